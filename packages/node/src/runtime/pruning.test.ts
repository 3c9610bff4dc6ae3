import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { encodeHeader, headerHash, transactionsRootOf } from '@itc/core/ledger/block.js';
import { merkleLeaf, merkleRootFromPath } from '@itc/core/crypto/merkle.js';
import { height } from '@itc/core/ledger/ids.js';
import { checkpointSigningBytes, type SubnetCheckpoint } from '@itc/core/ledger/checkpoint.js';
import { millis } from '@itc/core/ledger/ids.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { bitmapOf, sortValidators } from '@itc/core/ledger/validators.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import { fakeSign, person } from '@itc/core/testing/state-world.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { MemoryHub, MemoryTransport } from '../network/memory-transport.ts';
import { SeededRandom } from '../random.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { chainId, GrownChain, people, treasury } from '../testing/grown-chain.ts';
import type { NodeConfig } from '../config.ts';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { ApiServer } from '../api/server.ts';
import { chainRoutes } from '../api/chain-routes.ts';
import { SourceBudget } from '../api/source-budget.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { freePorts } from '../testing/ports.ts';
import { Hops } from './hops.ts';
import { Snapshots } from './snapshots.ts';
import { BlockSync } from './block-sync.ts';
import { prepareBlock } from './prepared-block.ts';
import { Pruning, type PruningOptions } from './pruning.ts';

installNativeCrypto();

const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

interface World {
  readonly grown: GrownChain;
  readonly disk: MemoryDisk;
  readonly tables: MemoryTables;
}

async function grown(blocks: number): Promise<World> {
  const [disk, tables] = [new MemoryDisk(), new MemoryTables()];
  const random = new SeededRandom(1);
  const chain = await GrownChain.open({ disk, folder: '/blocks', tables, random, segmentBytes: 16_384 });
  await chain.grow(blocks);
  return { grown: chain, disk, tables };
}

function pruningOf(
  { grown: of, tables }: World,
  retain: Pick<PruningOptions, 'retainBlocks' | 'retainBytes'>,
): Pruning {
  return new Pruning({ chain: of.chain, log: of.log, tables, logger, ...retain });
}

test('SNAPSHOT-10: without a configured bound every block stays', async () => {
  const world = await grown(200);
  const pruning = pruningOf(world, {});
  pruning.noteStable(192);
  await pruning.idle();
  assert.equal(world.grown.chain.floor, 1);
  assert.ok(world.grown.chain.blockAt(1));
});

test('SNAPSHOT-10: whole segments go below the newest stable checkpoint less the blocks to retain, and no other', async () => {
  const world = await grown(200);
  const { chain } = world.grown;
  const pruning = pruningOf(world, { retainBlocks: 50 });
  pruning.noteStable(64);
  await pruning.idle();
  const early = chain.floor;
  assert.ok(early <= 14, String(early));
  pruning.noteStable(192);
  await pruning.idle();
  const { floor } = chain;
  assert.ok(floor > 100 && floor <= 142, String(floor));
  assert.equal(chain.blockAt(floor - 1), undefined);
  for (let at: number = floor; at <= 200; at += 1) assert.ok(chain.blockAt(at));
  // What others have signed above the own height prunes nothing here.
  pruning.noteStable(1_000_000);
  await pruning.idle();
  assert.ok(chain.floor <= 150);
});

test('SNAPSHOT-10: above the bytes to retain the oldest segments go, but none that holds a block above the stable checkpoint', async () => {
  const world = await grown(200);
  const { chain } = world.grown;
  const pruning = pruningOf(world, { retainBytes: 60_000 });
  pruning.noteStable(32);
  await pruning.idle();
  assert.ok(chain.floor <= 32);
  pruning.noteStable(192);
  await pruning.idle();
  assert.ok(world.grown.log.size <= 60_000);
  assert.ok(chain.floor > 32 && chain.floor < 192);
});

test('SNAPSHOT-11: of a pruned block header and certificate stay, and its hash is that of the history', async () => {
  const world = await grown(100);
  const { chain } = world.grown;
  const before = chain.headerAt(3);
  const pruning = pruningOf(world, { retainBlocks: 0 });
  pruning.noteStable(96);
  await pruning.idle();
  assert.ok(chain.floor > 3);
  const after = chain.headerAt(3);
  assert.ok(before && after);
  assert.deepEqual(encodeHeader(after.header), encodeHeader(before.header));
  assert.deepEqual(after.certificate, before.certificate);
  assert.equal(toHex(headerHash(after.header)), toHex(chain.hashAt(3) as Uint8Array));
  // Receipts and blocks are gone, the state and the way to it are not.
  await world.grown.grow(8);
  await world.grown.close();
  const { disk, tables } = world;
  const random = new SeededRandom(2);
  const again = await GrownChain.open({ disk, folder: '/blocks', tables, random, segmentBytes: 16_384 });
  assert.equal(again.chain.height, 108);
  assert.equal(again.chain.floor, chain.floor);
  assert.deepEqual(again.chain.headerAt(3)?.certificate, before.certificate);
});

test('SNAPSHOT-11: a subnet checkpoint in a pruned block is proved as before; its neighbours are gone', async () => {
  const world = await grown(1);
  const { grown: g } = world;
  const members = sortValidators(people.slice(0, 4).map(({ key }) => ({ key, weight: 1 })));
  const name = 'home';
  await g.grow(1, [g.transaction(treasury, { kind: 'create-subnet', name, members, powBits: 4 })]);
  await g.grow(6);
  const subnet = subnetId(treasury.address, name);
  const root = sha256(Uint8Array.of(1));
  const checkpoint: SubnetCheckpoint = {
    subnet,
    sequence: 1,
    previous: subnet,
    time: millis(g.chain.time),
    anchors: [root],
    inclusionRoot: root,
    appliedRoot: root,
    stateRoot: root,
    envelopeCount: 1,
    payloadCount: 1,
    powBits: 4,
  };
  const bytes = checkpointSigningBytes(chainId, checkpoint);
  const signatures = members.map(({ key }) => fakeSign(key, bytes));
  const certificate = { checkpoint, signers: bitmapOf([0, 1, 2, 3], 4), signatures };
  const sender = people.find(({ key }) => key === members[0]?.key) ?? treasury;
  await g.grow(1, [
    ...g.payments(3),
    g.transaction(sender, { kind: 'checkpoint', certificate }),
    ...g.payments(2),
  ]);
  await g.grow(90);
  const place = g.chain.checkpointPlace(subnet, 1);
  assert.ok(place);
  const before = g.chain.included(place);
  const payment = { height: place.height, index: 0 };
  const paid = g.chain.included(payment);
  assert.ok(before && paid);
  assert.ok(g.chain.receipt(transactionId(paid.transaction)));
  const pruning = pruningOf(world, { retainBlocks: 0 });
  pruning.noteStable(96);
  await pruning.idle();
  assert.equal(g.chain.blockAt(place.height), undefined);
  const after = g.chain.included(place);
  assert.deepEqual(after, before);
  const { transaction, index, count, path, header } = before;
  const reached = merkleRootFromPath({
    leafHash: merkleLeaf(transactionId(transaction)),
    index,
    count,
    path,
  });
  assert.ok(reached);
  assert.equal(toHex(transactionsRootOf(count, reached)), toHex(header.txRoot));
  assert.equal(g.chain.included(payment), undefined);
  assert.equal(g.chain.receipt(transactionId(paid.transaction)), undefined);
  assert.equal(height(place.height), header.height);
});

test('SNAPSHOT-11: a crash while pruning loses nothing: what remains of a block is there before the block goes', async () => {
  for (let batches = 0; batches < 4; batches += 1) {
    const world = await grown(400);
    const { chain, log } = world.grown;
    const certificates = [5, 200].map((at) => chain.headerAt(at)?.certificate);
    let left = batches;
    const dying = {
      table: (name: string) => world.tables.table(name),
      commit: async (changes: Parameters<MemoryTables['commit']>[0]) => {
        if ((left -= 1) < 0) throw new Error('the process died here');
        await world.tables.commit(changes);
      },
      flush: () => world.tables.flush(),
      [Symbol.asyncDispose]: () => world.tables[Symbol.asyncDispose](),
    };
    const pruning = new Pruning({ chain, log, tables: dying, logger, retainBlocks: 0 });
    pruning.noteStable(384);
    await pruning.idle();
    const disk = world.disk.crash(new SeededRandom(batches));
    const { tables } = world;
    const random = new SeededRandom(2);
    const again = await GrownChain.open({ disk, folder: '/blocks', tables, random, segmentBytes: 16_384 });
    assert.equal(again.chain.height, 400);
    for (const [i, at] of [5, 200].entries())
      assert.deepEqual(again.chain.headerAt(at)?.certificate, certificates[i]);
  }
});

test('SNAPSHOT-12: a pruned process refuses blocks below its floor, clearly; whoever needs them asks others, or looks for a state', async () => {
  const pruned = await grown(200);
  const pruning = pruningOf(pruned, { retainBlocks: 0 });
  pruning.noteStable(192);
  await pruning.idle();
  const hub = new MemoryHub();
  const synced = async (name: string, of: GrownChain): Promise<BlockSync> => {
    const transport = new MemoryTransport(hub, { key: person(name).key, role: 'validator' });
    const sync = new BlockSync({
      chain: of.chain,
      transport,
      clock: new ManualClock(),
      accept: async (blocks) => {
        for (const { candidate, certificate } of blocks) {
          const block = await prepareBlock(chainId, candidate.bytes, 'certified', () => undefined);
          assert.ok(block.ok);
          await of.chain.commit([{ block: block.value, certificate }]);
        }
      },
      warn: (message) => assert.fail(message),
    });
    await transport.start();
    return sync;
  };
  const behind = (await grown(0)).grown;
  await synced('pruned', pruned.grown);
  const sync = await synced('behind', behind);
  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
  await settled();
  assert.equal(behind.chain.height, 0);
  assert.ok(sync.isPruned);
  // Somebody who keeps everything.
  const archive = await grown(200);
  await synced('archive', archive.grown);
  await settled();
  assert.ok(!sync.isPruned);
  for (let i = 0; i < 100 && behind.chain.height < 200; i += 1) await settled();
  assert.equal(behind.chain.height, 200);
});

test('SNAPSHOT-10: an observer, which hears no checkpoints, prunes a watermark window below its committed block', async () => {
  const [disk, tables] = [new MemoryDisk(), new MemoryTables()];
  const random = new SeededRandom(1);
  const of = await GrownChain.open({ disk, folder: '/blocks', tables, random, segmentBytes: 16_384 });
  const transport = new MemoryTransport(new MemoryHub(), { key: person('observer').key, role: 'gateway' });
  const config = { retainBlocks: 0, peers: [] } as unknown as NodeConfig;
  const { chain, log } = of;
  const clock = new ManualClock();
  const verify = (): boolean => true;
  const consensus = undefined;
  const snapshots = new Snapshots({
    config,
    chain,
    tables,
    log,
    transport,
    clock,
    random,
    logger,
    verify,
    consensus,
  });
  await of.grow(120);
  await snapshots.stop();
  assert.equal(chain.floor, 1);
  await of.grow(80);
  await snapshots.stop();
  assert.ok(chain.floor > 1 && chain.floor <= 200 - LIMITS.watermarkWindow, String(chain.floor));
});

test('SNAPSHOT-11: the API says that a block was pruned, what the oldest is, and whom to ask; lists end there', async () => {
  const world = await grown(200);
  const pruning = pruningOf(world, { retainBlocks: 0 });
  pruning.noteStable(192);
  await pruning.idle();
  const { chain } = world.grown;
  const [port] = await freePorts(1);
  const server = new ApiServer({
    host: '127.0.0.1',
    port: port as number,
    version: '0',
    logger,
    routes: [
      chainRoutes({
        chain,
        hops: new Hops(chain),
        status: () => assert.fail('nobody asks'),
        submit: () => assert.fail('nobody submits'),
        isPending: () => false,
        sources: new SourceBudget({ clock: new ManualClock(), random: new SeededRandom(1) }),
      }),
    ],
  });
  await server.start();
  try {
    const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}/api/v1${path}`);
    const gone = await get('/blocks/2');
    assert.equal(gone.status, 410);
    const problem = (await gone.json()) as { code: string; detail: string };
    assert.equal(problem.code, 'block.pruned');
    assert.match(
      problem.detail,
      new RegExp(`the oldest is ${chain.floor}; ask a node that keeps all blocks`),
    );
    assert.equal((await get(`/blocks/${chain.floor}`)).status, 200);
    assert.equal((await get('/blocks/5000')).status, 404);
    const list = (await (await get('/blocks?limit=100&before=9999')).json()) as {
      blocks: { height: number }[];
    };
    assert.equal(list.blocks.at(-1)?.height, Math.max(chain.floor, 101));
  } finally {
    await server.stop();
  }
});
