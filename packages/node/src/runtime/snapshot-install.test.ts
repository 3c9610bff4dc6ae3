import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { chunkDepths, chunkOf, chunkPrefixes, type SnapshotManifest } from '@itc/core/state/snapshot.js';
import { decodeBlock } from '@itc/core/ledger/block.js';
import { height } from '@itc/core/ledger/ids.js';
import { fakeVerify } from '@itc/core/testing/state-world.js';
import { installNativeCrypto } from '../crypto/native.ts';
import type { Change, Table, Tables } from '../ports.ts';
import { SeededRandom } from '../random.ts';
import { BlockLog } from '../storage/block-log.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { chainId, genesis, GrownChain } from '../testing/grown-chain.ts';
import { Chain } from './chain.ts';
import { prepareBlock } from './prepared-block.ts';
import { installSnapshot } from './snapshot-install.ts';
import { stateTables } from '../storage/state-pages.ts';
import { StateStaging } from './state-staging.ts';

installNativeCrypto();

const ANCHOR = 96;
const OWN = 20;

/** Tables whose process dies before the n-th batch from now on. */
class DyingTables implements Tables {
  readonly inner = new MemoryTables();
  /** Batches still allowed. */
  left = Number.POSITIVE_INFINITY;
  batches = 0;

  table(name: string): Table {
    return this.inner.table(name);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    if (this.left <= 0) throw new LedgerError('storage.failed', 'the process died here');
    this.left -= 1;
    this.batches += 1;
    await this.inner.commit(changes);
  }

  async flush(): Promise<void> {
    await this.inner.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inner[Symbol.asyncDispose]();
  }
}

const source = await GrownChain.open({
  disk: new MemoryDisk(),
  folder: '/blocks',
  tables: new MemoryTables(),
  random: new SeededRandom(1),
});
await source.grow(1, source.payments(40));
await source.grow(ANCHOR + 10 - source.chain.height);

async function take(chain: Chain, at: number): Promise<void> {
  const stored = source.chain.blockAt(at);
  assert.ok(stored);
  const block = await prepareBlock(chainId, stored.block, 'certified', () => undefined);
  assert.ok(block.ok);
  await chain.commit([{ block: block.value, certificate: stored.certificate }]);
}

function manifestAt(at: number): SnapshotManifest {
  const stored = source.chain.blockAt(at);
  const block = stored && decodeBlock(stored.block);
  assert.ok(stored && block?.ok);
  const { tree, size } = source.chain.stateAt(at);
  return {
    anchor: source.stable(at),
    header: block.value.header,
    certificate: stored.certificate,
    records: size,
    depths: chunkDepths(tree),
  };
}

/** Everything there is to fetch is in, but for some records that are left out. */
async function stage(tables: Tables, chain: Chain, left = 0): Promise<StateStaging> {
  const staging = await StateStaging.begin(tables, manifestAt(ANCHOR));
  const stored = source.chain.blockAt(ANCHOR);
  assert.ok(stored);
  await staging.addBlock(stored.block);
  await staging.addHashes(0, source.chain.hashPiece(0, ANCHOR - 1, height(ANCHOR)), chain.height);
  for (const [i, prefix] of (chunkPrefixes(staging.manifest.depths) ?? []).entries()) {
    const chunk = chunkOf(source.chain.stateAt(ANCHOR).tree, prefix);
    assert.ok(chunk);
    await staging.addChunk(i, { ...chunk, entries: chunk.entries.slice(left) });
  }
  return staging;
}

interface World {
  readonly disk: MemoryDisk;
  readonly tables: DyingTables;
  readonly log: BlockLog;
  readonly chain: Chain;
}

async function open(disk: MemoryDisk, tables: DyingTables): Promise<World> {
  const log = await BlockLog.open({ disk, folder: '/blocks', random: new SeededRandom(disk.syncs) });
  return { disk, tables, log, chain: await Chain.open({ genesis, log, tables, verify: fakeVerify }) };
}

async function behind(): Promise<World> {
  const world = await open(new MemoryDisk(), new DyingTables());
  for (let at = 1; at <= OWN; at += 1) await take(world.chain, at);
  return world;
}

test('SNAPSHOT-8: a crash before, at and after every step of taking over leaves the old state or the new one, and work goes on', async () => {
  const outcomes = new Set<number>();
  for (let step = 0; step < 40; step += 1) {
    const { disk, tables, log, chain } = await behind();
    const staging = await stage(tables, chain);
    const taking = installSnapshot({ chain, tables, log, staging, turns: [] }).catch(
      (error: unknown) => error,
    );
    // Power goes after some turns of the event loop: in the middle of whatever is under way.
    for (let turn = 0; turn < step; turn += 1) await Promise.resolve();
    tables.left = 0;
    const after = disk.crash(new SeededRandom(step));
    await taking;

    tables.left = Number.POSITIVE_INFINITY;
    const again = await open(after, tables);
    outcomes.add(again.chain.height);
    assert.ok([OWN, ANCHOR].includes(again.chain.height), `step ${step}: ${again.chain.height}`);
    assert.equal(toHex(again.chain.state.root), toHex(source.chain.stateAt(again.chain.height).root));
    for (let more = 0; more < 6; more += 1) await take(again.chain, again.chain.height + 1);
    assert.equal(toHex(again.chain.state.root), toHex(source.chain.stateAt(again.chain.height).root));
    // What a crash left behind does not stand in the way of a start after that.
    await again.log.close();
    const third = await open(after, tables);
    assert.equal(third.chain.height, again.chain.height);
  }
  assert.deepEqual(outcomes, new Set([OWN, ANCHOR]));
});

test('SNAPSHOT-8: a batch that fails leaves the chain where it was, with a log that goes on', async () => {
  const { tables, log, chain } = await behind();
  const staging = await stage(tables, chain);
  tables.left = 0;
  await assert.rejects(installSnapshot({ chain, tables, log, staging, turns: [] }), {
    code: 'storage.failed',
  });
  tables.left = Number.POSITIVE_INFINITY;
  assert.equal(chain.height, OWN);
  for (let at = OWN + 1; at <= OWN + 6; at += 1) await take(chain, at);
  // And the attempt may be repeated.
  await installSnapshot({ chain, tables, log, staging, turns: [] });
  assert.equal(chain.height, ANCHOR);
  await take(chain, ANCHOR + 1);
});

test('SNAPSHOT-8: records that do not have the root are not taken into use, and are removed', async () => {
  const { tables, log, chain } = await behind();
  const staging = await stage(tables, chain, 1);
  await assert.rejects(installSnapshot({ chain, tables, log, staging, turns: [] }), {
    code: 'storage.corrupt',
  });
  assert.equal(chain.height, OWN);
  for (const table of stateTables(staging.state)) assert.equal(tables.table(table).count(), 0);
  assert.equal(StateStaging.stored(tables), undefined);
});

test('SNAPSHOT-8: states are taken over again and again, and nothing of the earlier ones stays', async () => {
  const { tables, log, chain } = await behind();
  await installSnapshot({ chain, tables, log, staging: await stage(tables, chain), turns: [] });
  assert.equal(chain.state.size, source.chain.stateAt(ANCHOR).size);
  const rows = (name: string): number =>
    stateTables(name).reduce((sum, table) => sum + tables.table(table).count(), 0);
  assert.ok(rows('state-2') > 0);
  assert.equal(rows('state'), 0);
  assert.equal(tables.table('state-sync').count(), 0);
  // The chain writes to the store that is in use.
  for (let at = ANCHOR + 1; at <= ANCHOR + 10; at += 1) await take(chain, at);
  assert.equal(rows('state'), 0);
});
