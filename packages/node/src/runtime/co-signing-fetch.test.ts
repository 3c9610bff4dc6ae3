import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { headerHash } from '@itc/core/ledger/block.js';
import { encodeCoSigners } from '@itc/core/ledger/co-signers.js';
import { epoch, height } from '@itc/core/ledger/ids.js';
import { encodeCoSignedTrust } from '@itc/core/light/co-signed.js';
import { CoSignedReader } from '@itc/core/light/co-signed-reader.js';
import type { CoSignedHop } from '@itc/core/light/co-signed-stream.js';
import { coSignersOf, CoSignedWorld, slidingMembers } from '@itc/core/testing/co-signed-world.js';
import { pino } from 'pino';
import { KeyPair } from '../crypto/keypair.ts';
import { VerifyPool } from '../crypto/verify-pool.ts';
import { MemoryHub, MemoryTransport } from '../network/memory-transport.ts';
import { SeededRandom, systemRandom } from '../random.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';
import { CoSignedServer } from './co-signed-server.ts';
import { decodeCoSigningMessage, encodeSent } from './co-signing-messages.ts';
import { CoSigningStore } from './co-signing-store.ts';
import { CoSigning, type CoSignedChain } from './co-signing.ts';

const EPOCHS = 4;
const world = new CoSignedWorld(Array.from({ length: EPOCHS }, (_, at) => slidingMembers(at)));
const blocks = world.builder.blocks.map(({ block: { header } }) => header);
const hops = Array.from({ length: EPOCHS - 1 }, (_, at) => world.hop(at));

/** A node that took over a state: it has headers and epochs, and has executed none of the blocks. */
const chain = {
  id: world.chain,
  genesis: world.genesis,
  height: height(blocks.length),
  state: { coSigners: world.coSigners(EPOCHS - 1) },
  epoch: { epoch: epoch(EPOCHS - 1) },
  floor: height(1),
  stateUnder: () => undefined,
  headerAt: () => undefined,
  hashAt: (of: number) => {
    const header = blocks[of - 1];
    return header && headerHash(header);
  },
  closingHeight: (of: number) => hops[of]?.header.height,
  onCommitted: () => () => undefined,
  onReplaced: () => () => undefined,
} as unknown as CoSignedChain;

interface Scene {
  readonly hub: MemoryHub;
  readonly clock: ManualClock;
}

const transportOf = ({ hub }: Scene, seed: number): MemoryTransport =>
  new MemoryTransport(hub, { key: KeyPair.generate(new SeededRandom(seed)).publicKey, role: 'validator' });

function node(scene: Scene, seed: number, tables = new MemoryTables()) {
  const transport = transportOf(scene, seed);
  const coSigning = new CoSigning({
    chain,
    tables,
    transport,
    clock: scene.clock,
    random: systemRandom,
    pool: new VerifyPool({ workers: 0 }),
    logger: pino({ level: 'silent' }),
    keys: () => Promise.resolve([]),
  });
  return { transport, coSigning };
}

async function filled(): Promise<MemoryTables> {
  const tables = new MemoryTables();
  const store = new CoSigningStore(tables);
  for (const { header, stateRoot, successors, coSignatures } of hops)
    await store.put({ header, stateRoot, successors }, coSignatures, 0);
  const { header, stateRoot, coSignatures } = world.checkpoint(world.first[EPOCHS - 1] as never);
  await store.put({ header, stateRoot, successors: undefined }, coSignatures, 0);
  return tables;
}

/** Answers, and what they lead to, arrive while the clock goes on. */
async function pass({ clock }: Scene, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1_500);
  }
}

test('QUANTUM-2.5: a node that took over a state fetches the ends of epochs from a peer, judges them as a client does, and serves them', async () => {
  const scene = { hub: new MemoryHub(), clock: new ManualClock() };
  const full = node(scene, 1, await filled());
  const fresh = node(scene, 2);
  await full.transport.start();
  await fresh.transport.start();
  full.coSigning.start();
  fresh.coSigning.start();
  await pass(scene, 8);
  const { store } = fresh.coSigning;
  assert.deepEqual(
    store.boundaries().map(({ header }) => header.epoch),
    [0, 1, 2],
  );
  for (const { header, successors } of hops)
    assert.deepEqual(store.hop(header.height)?.successors, successors);
  // With the newest checkpoint from those who executed it, it answers like any other.
  const { header, stateRoot, coSignatures } = world.checkpoint(world.first[EPOCHS - 1] as never);
  await store.put({ header, stateRoot, successors: undefined }, coSignatures, 0);
  const answer = new CoSignedServer(chain as Chain, fresh.coSigning).answer({
    epoch: epoch(0),
    height: height(0),
    wants: [],
  });
  assert.ok(answer.ok);
  const reader = new CoSignedReader({ trust: encodeCoSignedTrust(world.start), verify: verifySignature });
  assert.equal(reader.push(answer.value)[0]?.kind, 'believed');
  assert.ok(reader.isDone);
  for (const each of [full, fresh]) await each.coSigning.stop();
});

test('QUANTUM-2.5: a peer that answers with another state, another record or signatures of others changes nothing', async () => {
  const [honest] = hops as [CoSignedHop];
  const strangers = new CoSignedWorld([slidingMembers(60), slidingMembers(61)]);
  const other = coSignersOf(1, slidingMembers(61));
  const tree = world.tree(other);
  const lies: readonly Partial<CoSignedHop>[] = [
    { coSignatures: strangers.hop(0).coSignatures },
    { coSignatures: honest.coSignatures.slice(0, 2) },
    { stateRoot: tree.root },
    { successors: { record: encodeCoSigners(other), proof: honest.successors.proof } },
    { coSignatures: honest.coSignatures.map((one) => ({ ...one, signature: new Uint8Array(2420) })) },
  ];
  for (const [i, lie] of lies.entries()) {
    const scene = { hub: new MemoryHub(), clock: new ManualClock() };
    const fresh = node(scene, 2);
    const liar = transportOf(scene, 3);
    let asked = 0;
    liar.open({
      ...CHANNELS.coSignature,
      receive: ({ id }, bytes) => {
        const message = decodeCoSigningMessage(bytes);
        if (!message.ok || message.value.kind !== 'request') return;
        asked += 1;
        const { header, stateRoot, successors, coSignatures } = { ...honest, ...lie };
        liar.send(
          id,
          CHANNELS.coSigned.number,
          encodeSent({ header, stateRoot, successors, signatures: coSignatures }),
        );
      },
    });
    liar.open({ ...CHANNELS.coSigned, receive: () => undefined });
    await liar.start();
    await fresh.transport.start();
    fresh.coSigning.start();
    await pass(scene, 3);
    assert.ok(asked > 0);
    const boundary = fresh.coSigning.store.boundary(0);
    assert.ok(boundary === undefined || boundary.coSignatures.length === 0, `lie ${i}`);
    assert.deepEqual(fresh.coSigning.newest(), undefined);
    // Nor does it stand in the way of what is true.
    const full = node(scene, 1, await filled());
    await full.transport.start();
    await pass(scene, 8);
    assert.equal(fresh.coSigning.store.boundaries().length, EPOCHS - 1, `after lie ${i}`);
    assert.ok(fresh.transport.peers().some(({ id }) => id === full.transport.self));
    await fresh.coSigning.stop();
  }
});
