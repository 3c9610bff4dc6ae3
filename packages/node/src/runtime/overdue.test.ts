import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { amount } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto, verifyNative } from '../crypto/native.ts';
import { Mempool } from '../mempool/mempool.ts';
import { MemoryHub, MemoryTransport } from '../network/memory-transport.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { SoloChain } from '../testing/solo-chain.ts';
import { CHANNELS, channelOf } from './channels.ts';
import { decodeBatch } from './intake.ts';
import { Overdue } from './overdue.ts';
import { TransactionRequest } from './transaction-request.ts';

installNativeCrypto();

function payment(solo: SoloChain, from: KeyPair): VerifiedTransaction {
  const encoded = solo.sign(from, { kind: 'transfer', to: solo.treasury.address, amount: amount(1n) });
  const verified = verifyTransaction(solo.chain.id, encoded, verifyNative);
  assert.ok(verified.ok);
  return verified.value;
}

const texts = (ids: readonly Hash[]): string[] => ids.map(toHex);

test('NODE-10.1: overdue is what has waited for five seconds and could be in a block: oldest first, and bounded', async () => {
  const solo = await SoloChain.open();
  const [a, b, c] = solo.validators as [KeyPair, KeyPair, KeyPair];
  const mempool = new Mempool();
  const clock = new ManualClock();
  const overdue = new Overdue({ mempool, chain: solo.chain, clock });
  const wait = (ms: number): void => {
    for (let done = 0; done < ms; done += 500) {
      overdue.ids();
      clock.advance(500);
    }
  };
  wait(1_000);
  const first = payment(solo, a);
  const second = payment(solo, a);
  mempool.add(first, solo.chain.state);
  mempool.add(second, solo.chain.state);
  wait(1_000);
  const other = payment(solo, b);
  mempool.add(other, solo.chain.state);
  // Its predecessor never came: that it waits is nobody's fault.
  payment(solo, c);
  mempool.add(payment(solo, c), solo.chain.state);
  wait(3_500);
  assert.deepEqual(texts(overdue.ids()), []);
  wait(1_000);
  assert.deepEqual(texts(overdue.ids()), texts([first.id]));
  wait(1_500);
  assert.deepEqual(texts(overdue.ids()), texts([first.id, other.id]));

  // What follows in a lane becomes overdue when its turn has come.
  await solo.block([first.encoded]);
  mempool.committed([first], solo.chain.state, solo.chain.height);
  wait(1_000);
  assert.deepEqual(texts(overdue.ids()), texts([second.id, other.id]));
});

test('NODE-10.2: what others report as overdue goes into a block first, behind what its lane needs, whatever others pay', async () => {
  const solo = await SoloChain.open();
  const [a, b] = solo.validators as [KeyPair, KeyPair];
  const mempool = new Mempool();
  const lane = [payment(solo, a), payment(solo, a), payment(solo, a)] as const;
  const others = Array.from({ length: 20 }, () => payment(solo, b));
  for (const transaction of [...others, ...lane]) mempool.add(transaction, solo.chain.state);
  const taken = mempool.take(solo.chain.state, {
    bytesMax: 1_000_000,
    countMax: 3,
    exclude: new Set(),
    first: ['nothing of that name', lane[1].name],
  });
  assert.deepEqual(
    taken.map(({ id }) => toHex(id)),
    texts([lane[0].id, lane[1].id, (others[0] as VerifiedTransaction).id]),
  );
  const all = mempool.take(solo.chain.state, {
    bytesMax: 1_000_000,
    countMax: 1_000,
    exclude: new Set([lane[0].name]),
    first: [lane[1].name, lane[1].name],
  });
  // Nothing twice, nothing that is under way already.
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  assert.equal(all.length, 22);
});

test('NODE-10.3: a validator that lacks what is overdue asks the others for it; strangers are not answered, nor anybody all the time', async () => {
  const solo = await SoloChain.open();
  const [a, b, c] = solo.validators as [KeyPair, KeyPair, KeyPair];
  const hub = new MemoryHub();
  const clock = new ManualClock();
  const ends = [a, b, c].map((keys) => {
    const transport = new MemoryTransport(hub, { key: keys.publicKey, role: 'validator' });
    const mempool = new Mempool();
    const heard: string[] = [];
    const requests = new TransactionRequest({
      mempool,
      transport,
      clock,
      // The third is connected, but no validator.
      voters: () => [a, b].map(({ publicKey }) => toHex(publicKey.bytes)),
      blame: () => assert.fail('nobody is to blame'),
    });
    transport.open({
      ...CHANNELS.transaction,
      receive: (_peer, bytes) =>
        heard.push(...(decodeBatch(bytes.slice()) ?? []).map((encoded) => toHex(encoded))),
    });
    return { transport, mempool, requests, heard };
  });
  const [asking, having, stranger] = ends as [(typeof ends)[0], (typeof ends)[0], (typeof ends)[0]];
  for (const { transport } of ends) await transport.start();
  const known = payment(solo, a);
  having.mempool.add(known, solo.chain.state);
  const unknown = asHash((fromHex('00'.repeat(32)) as { value: Uint8Array }).value);

  asking.requests.want([known.id, unknown]);
  asking.requests.want([known.id, unknown]);
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
  assert.deepEqual(asking.heard, [toHex(known.encoded)]);

  const request = new Writer(64).list([known.id], (w, id) => w.fixed(id, 32)).finish();
  stranger.transport.send(having.transport.self, CHANNELS.transactionRequest.number, request);
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
  assert.deepEqual(stranger.heard, []);

  clock.advance(1_000);
  asking.requests.want([known.id]);
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
  assert.equal(asking.heard.length, 2);
  asking.mempool.add(known, solo.chain.state);
  clock.advance(1_000);
  asking.requests.want([known.id]);
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
  assert.equal(asking.heard.length, 2);
});

test('NODE-2.9: votes, heads and reports overtake proposals and transactions, which overtake blocks sent for synchronisation', () => {
  const sender = { sender: 0, epoch: 0 } as const;
  const kinds = ['prepare', 'commit', 'checkpoint', 'status', 'fetch', 'include'] as const;
  for (const kind of kinds)
    assert.equal(channelOf({ kind, ...sender } as unknown as Parameters<typeof channelOf>[0]).priority, 0);
  const large = ['pre-prepare', 'body', 'view-change', 'new-view'] as const;
  for (const kind of large)
    assert.equal(channelOf({ kind, ...sender } as unknown as Parameters<typeof channelOf>[0]).priority, 1);
  assert.deepEqual(
    [CHANNELS.head.priority, CHANNELS.transaction.priority, CHANNELS.blockReply.priority],
    [0, 1, 2],
  );
  assert.ok(CHANNELS.proposal.bytesMax >= LIMITS.blockBytesMax);
});
