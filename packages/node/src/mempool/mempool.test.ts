import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { verificationCost } from '@itc/core/crypto/cost.js';
import { ZERO_HASH } from '@itc/core/crypto/hash.js';
import { keySetOf } from '@itc/core/ledger/account-keys.js';
import { asAddress } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { encodeTransaction } from '@itc/core/ledger/transaction.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { schemeKeyPair } from '@itc/core/testing/schemes.js';
import { checkpoint, keyOf, make, stateWith, type Draft } from '../testing/pool.ts';
import { Heap } from './heap.ts';
import { Mempool, MEMPOOL_LIMITS, type MempoolLimits } from './mempool.ts';

const ALL = { bytesMax: 1 << 20, countMax: 1000, exclude: new Set<string>() };
const BYTES = make({ sender: 1, nonce: 0, fee: 1 }).encoded.length;
const small = (changes: Partial<MempoolLimits>): Mempool => new Mempool({ ...MEMPOOL_LIMITS, ...changes });
const names = (transactions: readonly VerifiedTransaction[]): string[] =>
  transactions.map(({ tx }) => `${tx.key.bytes[0]}:${tx.nonce}`);

function addAll(pool: Mempool, drafts: readonly Draft[], state: LedgerState = stateWith()): void {
  for (const draft of drafts) assert.deepEqual(pool.add(make(draft), state), { ok: true, value: undefined });
}

test('NODE-3.1: lanes keep the order of nonces; between lanes the higher fee per byte goes first', () => {
  const pool = new Mempool();
  addAll(pool, [
    { sender: 1, nonce: 1, fee: 900 },
    { sender: 1, nonce: 0, fee: 100 },
    { sender: 2, nonce: 0, fee: 500 },
    { sender: 3, nonce: 0, fee: 50 },
  ]);
  assert.deepEqual(names(pool.take(stateWith(), ALL)), ['2:0', '1:0', '1:1', '3:0']);
  assert.equal(pool.size, 4);
});

test('NODE-3.1: a gap in the nonces holds back what is behind it; lanes of one account do not wait for each other', () => {
  const pool = new Mempool();
  const state = stateWith({ 1: [0, 0, 0, 7] });
  addAll(
    pool,
    [
      { sender: 1, nonce: 0, fee: 1 },
      { sender: 1, nonce: 2, fee: 9 },
      { sender: 1, nonce: 7, fee: 5, lane: 3 },
    ],
    state,
  );
  assert.deepEqual(names(pool.take(state, ALL)), ['1:7', '1:0']);
});

test('NODE-3.2: checkpoints come first, and leave when one of their sequence was executed', () => {
  const pool = new Mempool();
  addAll(pool, [{ sender: 1, nonce: 0, fee: 1_000_000 }]);
  assert.ok(
    pool.add(checkpoint(5), stateWith()).ok &&
      pool.add(checkpoint(5, 1), stateWith()).ok &&
      pool.add(checkpoint(6), stateWith()).ok,
  );
  assert.deepEqual(
    pool.take(stateWith(), ALL).map(({ tx }) => tx.body.kind),
    ['checkpoint', 'checkpoint', 'checkpoint', 'transfer'],
  );
  pool.committed([checkpoint(5)], stateWith({}, 5), 1);
  assert.equal(pool.size, 2);
});

test('NODE-3.3: a block takes no more bytes and transactions than it may, and nothing that is already on its way', () => {
  const pool = new Mempool();
  addAll(
    pool,
    Array.from({ length: 10 }, (_, nonce) => ({ sender: 1, nonce, fee: 10 })),
  );
  assert.equal(pool.take(stateWith(), { ...ALL, countMax: 3 }).length, 3);
  assert.equal(pool.take(stateWith(), { ...ALL, bytesMax: 2 * (BYTES + 4) + 1 }).length, 2);
  const first = pool.take(stateWith(), { ...ALL, countMax: 4 });
  const exclude = new Set(first.map(({ name }) => name));
  assert.deepEqual(names(pool.take(stateWith(), { ...ALL, countMax: 2, exclude })), ['1:4', '1:5']);
});

test('NODE-3.4: the same transaction twice is a duplicate; the same nonce gives way to a higher fee only', () => {
  const pool = new Mempool();
  const transaction = make({ sender: 1, nonce: 0, fee: 10 });
  assert.ok(pool.add(transaction, stateWith()).ok);
  assert.equal(codeOf(pool.add(transaction, stateWith())), 'transaction.duplicate');
  assert.equal(codeOf(pool.add(make({ sender: 1, nonce: 0, fee: 9 }), stateWith())), 'transaction.nonce');
  assert.ok(pool.add(make({ sender: 1, nonce: 0, fee: 11 }), stateWith()).ok);
  assert.equal(pool.size, 1);
  assert.equal(pool.get(transaction.name), undefined);
});

test('NODE-3.5: a full pool sends the end of the cheapest lane away for something better, and refuses what is not', () => {
  const pool = small({ countMax: 4 });
  addAll(pool, [
    { sender: 1, nonce: 0, fee: 10 },
    { sender: 1, nonce: 1, fee: 900 },
    { sender: 2, nonce: 0, fee: 50 },
    { sender: 3, nonce: 0, fee: 60 },
  ]);
  assert.equal(codeOf(pool.add(make({ sender: 4, nonce: 0, fee: 10 }), stateWith())), 'pool.full');
  addAll(pool, [{ sender: 4, nonce: 0, fee: 11 }]);
  assert.deepEqual(names(pool.take(stateWith(), ALL)), ['3:0', '2:0', '4:0', '1:0']);
});

test('NODE-3.5: one account cannot fill the pool, nor can bytes', () => {
  const crowded = small({ perAccountMax: 3 });
  addAll(
    crowded,
    [0, 1, 2].map((nonce) => ({ sender: 1, nonce, fee: 1 })),
  );
  assert.equal(codeOf(crowded.add(make({ sender: 1, nonce: 3, fee: 100 }), stateWith())), 'pool.full');
  assert.ok(
    crowded.add(make({ sender: 1, nonce: 2, fee: 100 }), stateWith()).ok,
    'a replacement takes no further place',
  );
  const narrow = small({ bytesMax: 3 * BYTES });
  addAll(
    narrow,
    [1, 2, 3].map((sender) => ({ sender, nonce: 0, fee: 10 })),
  );
  assert.equal(codeOf(narrow.add(make({ sender: 4, nonce: 0, fee: 10 }), stateWith())), 'pool.full');
  assert.equal(narrow.bytes, 3 * BYTES);
});

test('a refused replacement leaves what it would have replaced', () => {
  const long: Body = { kind: 'register-maker', name: 'x'.repeat(64) };
  const pool = small({ bytesMax: 2 * BYTES });
  const kept = make({ sender: 1, nonce: 0, fee: 10 });
  assert.ok(pool.add(kept, stateWith()).ok);
  addAll(pool, [{ sender: 2, nonce: 0, fee: 1000 }]);
  const growing = make({ sender: 1, nonce: 0, fee: 20, body: long });
  assert.ok(growing.encoded.length > BYTES);
  assert.equal(codeOf(pool.add(growing, stateWith())), 'pool.full');
  assert.equal(pool.get(kept.name), kept);
});

test('NODE-3.6: what was committed, made stale or expired leaves', () => {
  const pool = new Mempool();
  const drafts = [0, 1, 2].map((nonce) => ({ sender: 1, nonce, fee: 10 }));
  addAll(pool, [...drafts, { sender: 2, nonce: 0, fee: 1, validUntil: 60 }]);
  pool.committed([make({ sender: 1, nonce: 1, fee: 77 })], stateWith({ 1: [2] }), 63);
  assert.deepEqual(names(pool.take(stateWith({ 1: [2] }), ALL)), ['1:2', '2:0']);
  pool.committed([], stateWith(), 64);
  assert.equal(pool.size, 1);
});

test('NODE-3.3: through any additions and commits the bounds hold and a proposal is a run of nonces per lane', () => {
  const step = fc.record({
    sender: fc.integer({ min: 1, max: 4 }),
    nonce: fc.nat({ max: 6 }),
    fee: fc.nat({ max: 40 }),
    commit: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pool = small({ countMax: 8, perAccountMax: 4, bytesMax: 7 * BYTES });
      const next = [0, 0, 0, 0, 0];
      const state = (): LedgerState =>
        stateWith(Object.fromEntries(next.map((nonce, sender) => [sender, [nonce]])));
      for (const { sender, nonce, fee, commit } of steps) {
        const wanted = make({ sender, nonce, fee });
        pool.add(wanted, state());
        assert.ok(pool.size <= 8 && pool.bytes <= 7 * BYTES && pool.bytes === pool.size * BYTES);
        const taken = pool.take(state(), ALL);
        const expected = [...next];
        for (const { tx } of taken) {
          const from = tx.key.bytes[0] as number;
          assert.equal(tx.nonce, expected[from]);
          expected[from] = (expected[from] as number) + 1;
        }
        if (!commit) continue;
        for (const [from, value] of expected.entries()) next[from] = value;
        pool.committed(taken, state(), 1);
        assert.ok(taken.every(({ name }) => pool.get(name) === undefined));
      }
    }),
    { numRuns: 150 },
  );
});

test('a heap gives everything back in order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (values) => {
      const heap = new Heap<number>((a, b) => a < b);
      for (const value of values) heap.push(value);
      const out = values.map(() => heap.pop());
      assert.deepEqual(
        out,
        [...values].sort((a, b) => a - b),
      );
      assert.equal(heap.pop(), undefined);
    }),
  );
});

function codeOf(result: ReturnType<Mempool['add']>): string {
  return result.ok ? 'ok' : result.code;
}

const rotation: Body = { kind: 'rotate-keys', keys: keySetOf([keyOf(9)]) };

test('NODE-3.10: behind a change of keys nothing of its account goes into the same block, nor into the next while it is on its way', () => {
  const pool = new Mempool();
  addAll(pool, [
    { sender: 1, nonce: 0, fee: 500 },
    { sender: 1, nonce: 1, fee: 500, body: rotation },
    { sender: 1, nonce: 2, fee: 500 },
    { sender: 1, nonce: 0, lane: 1, fee: 400 },
    { sender: 2, nonce: 0, fee: 10 },
  ]);
  const first = pool.take(stateWith(), ALL);
  assert.deepEqual(names(first), ['1:0', '1:1', '2:0']);
  const exclude = new Set(first.map(({ name }) => name));
  assert.deepEqual(names(pool.take(stateWith(), { ...ALL, exclude })), []);
});

test('NODE-3.10: nor behind the end of a recovery of it', () => {
  const pool = new Mempool();
  const { sender } = make({ sender: 1, nonce: 0, fee: 1 });
  const finish: Body = { kind: 'finish-recovery', account: sender, keys: keySetOf([keyOf(9)]) };
  addAll(pool, [
    { sender: 1, nonce: 0, fee: 10 },
    { sender: 2, nonce: 0, fee: 500, body: finish },
  ]);
  assert.deepEqual(names(pool.take(stateWith(), ALL)), ['2:0']);
});

test('NODE-3.10: after it, what the former keys have signed leaves', () => {
  const pool = new Mempool();
  addAll(pool, [
    { sender: 1, nonce: 0, fee: 500, body: rotation },
    { sender: 1, nonce: 1, fee: 500 },
    { sender: 1, nonce: 0, lane: 3, fee: 500 },
    { sender: 2, nonce: 0, fee: 10 },
  ]);
  const executed = make({ sender: 1, nonce: 0, fee: 500, body: rotation });
  pool.committed([executed], stateWith({ 1: [1] }, 0, {}, { 1: 9 }), 1);
  assert.deepEqual(names(pool.take(stateWith({ 1: [1] }, 0, {}, { 1: 9 }), ALL)), ['2:0']);
  assert.equal(pool.size, 1);
  addAll(pool, [{ sender: 3, nonce: 0, fee: 10 }]);
  pool.refresh(stateWith({}, 0, {}, { 3: 9 }));
  assert.equal(pool.size, 1);
});

test('CRYPTO-11.3: a block holds no more signatures than can be checked in time', () => {
  const pool = new Mempool();
  const { bytes } = schemeKeyPair(3, 1).key;
  const count = LIMITS.blockVerificationMax / verificationCost(3);
  for (let nonce = 0; nonce < count + 5; nonce += 1) {
    const encoded = encodeTransaction({
      key: { algorithm: 3, bytes },
      lane: 0,
      nonce,
      fee: amount(1000n),
      validUntil: height(1000),
      body: { kind: 'transfer', to: asAddress(new Uint8Array(32)), amount: amount(1n) },
      signature: new Uint8Array(2420),
    });
    const verified = verifyTransaction(ZERO_HASH, encoded, () => true);
    assert.ok(verified.ok && pool.add(verified.value, stateWith()).ok);
  }
  assert.equal(pool.take(stateWith(), { ...ALL, bytesMax: 1 << 22 }).length, count);
});
