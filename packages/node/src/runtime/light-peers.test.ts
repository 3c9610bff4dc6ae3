import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { epoch, height, amount, millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import { LightReader } from '@itc/core/light/light-reader.js';
import { encodeTrust, trustGenesis } from '@itc/core/light/trust.js';
import { keyPair } from '@itc/core/testing/keys.js';
import { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { MemoryHub, MemoryTransport } from '../network/memory-transport.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { SubnetWorld } from '../testing/subnet-world.ts';
import { AppliedRange } from './applied-range.ts';
import { Hops } from './hops.ts';
import { LightPeers } from './light-peers.ts';
import { decodePiece, encodePiece, LightPieces, type Piece, type PieceQuestion } from './light-pieces.ts';
import { LightServer, type LightWant } from './light-server.ts';

installNativeCrypto();

const world = await SubnetWorld.open({ members: 1, timing: { cadenceMs: 500 } });
const reading = world.reading(1);
world.of(0).subnet.offer(reading);
await world.until('it is final', () => world.of(0).store.place(reading.id) !== undefined);
let paid: Hash | undefined;
world.chain.onCommitted(({ block }) => {
  const [first] = block.transactions;
  if (paid === undefined && first?.tx.body.kind === 'transfer') paid = transactionId(first.encoded);
});
for (let i = 0; i <= LIMITS.pipelineDepth + 1; i += 1) {
  const below = world.chain.height;
  world.transact({ kind: 'transfer', to: keyPair(77).address, amount: amount(1n) });
  await world.until('the next block', () => world.chain.height > below);
}
const { chain, subnet, clock } = world;
const range = new AppliedRange({ chain, subnet, tables: new MemoryTables() });
await world.until('the range is stored', () => range.count > 0);
after(async () => {
  range.close();
  await world.close();
});

const member = new LightPieces({ chain, subnet: { id: subnet, store: world.of(0).store, range } });
/** Neither member nor with any transaction: what it has are headers and states. */
const pruned = new LightPieces({
  chain: {
    receipt: () => undefined,
    included: () => undefined,
    headerAt: (at) => chain.headerAt(at),
    stateUnder: (at) => chain.stateUnder(at),
  },
});

/** A pruned node, connected to peers with these pieces. */
async function among(...others: readonly Pick<LightPieces, 'find'>[]): Promise<{
  readonly light: LightPeers;
  readonly ask: (want: LightWant) => Promise<readonly string[] | string>;
}> {
  const hub = new MemoryHub();
  const on = async (seed: number, pieces: Pick<LightPieces, 'find'>): Promise<LightPeers> => {
    const { publicKey } = KeyPair.fromSeed(new Uint8Array(32).fill(seed));
    const transport = new MemoryTransport(hub, { key: publicKey, role: 'gateway' });
    const peers = new LightPeers({ chain, transport, clock, pieces: pieces as LightPieces });
    await transport.start();
    return peers;
  };
  for (const [i, pieces] of others.entries()) await on(100 + i, pieces);
  const light = await on(99, pruned);
  const { keys } = world.members[0] as (typeof world.members)[0];
  const server = new LightServer({ chain, hops: new Hops(chain), keys, now: () => millis(1), peers: light });
  return {
    light,
    ask: async (want) => {
      const request = { epoch: epoch(0), height: height(0), thirds: 2, wants: [want] } as const;
      const answer = await server.answerFetching(request);
      if (!answer.ok) return answer.code;
      const reader = new LightReader({
        trust: encodeTrust(trustGenesis(world.genesis)),
        verify: verifySignature,
      });
      return reader.push(answer.value).map(({ kind }) => kind);
    },
  };
}

const ofReading: LightWant = { kind: 'payload', id: reading.id };

test('LIGHT-10.6: what a node has forgotten it asks of peers, and proves it as if it were its own', async () => {
  const { ask } = await among({ find: () => undefined }, member);
  assert.deepEqual(await ask(ofReading), ['believed', 'applied', 'done']);
  assert.ok(paid !== undefined);
  assert.deepEqual(await ask({ kind: 'transaction', id: paid }), [
    'believed',
    'history',
    'transaction',
    'done',
  ]);
  const nobody: LightWant = { kind: 'payload', id: world.reading(2).id };
  assert.equal(await ask(nobody), 'not-found');
});

test('LIGHT-10.6: it is remembered, and asked again where the newest header commits more', async () => {
  let asked = 0;
  const counting = {
    find: (question: PieceQuestion) => {
      asked += 1;
      return member.find(question);
    },
  };
  const { ask } = await among(counting);
  for (let i = 0; i < 3; i += 1) assert.deepEqual(await ask(ofReading), ['believed', 'applied', 'done']);
  assert.equal(asked, 1);
});

test('LIGHT-10.6: attack a peer that makes pieces up: what does not hold is not shown, and one honest peer is enough', async () => {
  const lie = (change: (piece: Piece & { kind: 'payload' }) => Piece): Pick<LightPieces, 'find'> => ({
    find: (question) => {
      const piece = member.find(question);
      return typeof piece === 'object' && piece.kind === 'payload' ? change(piece) : piece;
    },
  });
  const lies = [
    lie((piece) => ({ ...piece, time: millis(piece.time + 1) })),
    lie((piece) => ({ ...piece, index: piece.index + 1 })),
    lie((piece) => ({ ...piece, id: world.reading(2).id })),
    lie((piece) => ({ ...piece, subnet: world.id })),
    lie((piece) => ({ ...piece, range: { ...piece.range, count: piece.range.count + 1 } })),
  ];
  for (const one of lies) assert.equal(await (await among(one)).ask(ofReading), 'not-found');
  const { ask } = await among(...lies.slice(0, 3), member);
  assert.deepEqual(await ask(ofReading), ['believed', 'applied', 'done']);
});

test('LIGHT-10.6: a peer is answered so many questions a second, and nobody waits for one that is silent', async () => {
  let answered = 0;
  const { light } = await among({
    find: () => {
      answered += 1;
      return undefined;
    },
  });
  const questions = Array.from({ length: 200 }, (_, i): PieceQuestion => ({
    kind: 'payload',
    id: world.reading(100 + i).id,
    under: chain.height,
  }));
  const asked = Promise.all(questions.map((question) => light.find(question)));
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(2_000);
  assert.ok((await asked).every((piece) => piece === undefined));
  assert.equal(answered, 64);
});

test('LIGHT-10.6: pieces have one encoding', () => {
  for (const question of [
    { ...ofReading, under: chain.height },
    { kind: 'transaction', id: paid as Hash, under: chain.height },
  ] as PieceQuestion[]) {
    const piece = member.find(question) as Piece;
    const bytes = encodePiece(piece);
    assert.deepEqual(decodePiece(bytes), { ok: true, value: piece });
    assert.equal(decodePiece(bytes.subarray(0, -1)).ok, false);
    assert.equal(decodePiece(bytes.with(0, 3)).ok, false);
  }
});
