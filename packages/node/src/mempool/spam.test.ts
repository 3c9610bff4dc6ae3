import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { amount } from '@itc/core/ledger/ids.js';
import { asAddress } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { checkpoint, make, stateWith, type Draft } from '../testing/pool.ts';
import { Mempool, MEMPOOL_LIMITS, type MempoolLimits } from './mempool.ts';

const ALL = { bytesMax: 1 << 22, countMax: 4_096, exclude: new Set<string>() };
const HONEST = 1;
const SPAMMER = 100;
const small = (changes: Partial<MempoolLimits> = {}): Mempool =>
  new Mempool({ ...MEMPOOL_LIMITS, countMax: 200, ...changes });
const codeOf = (result: ReturnType<Mempool['add']>): string => (result.ok ? 'ok' : result.code);
const senders = (transactions: readonly VerifiedTransaction[]): number[] =>
  transactions.map(({ tx }) => tx.key.bytes[0] as number);

/** As many as are taken. */
function spam(pool: Mempool, drafts: Iterable<Draft>, state: LedgerState = stateWith()): number {
  let taken = 0;
  for (const draft of drafts) if (pool.add(make(draft), state).ok) taken += 1;
  return taken;
}

function* lane(
  sender: number,
  o: { from?: number; count: number; fee: number; lane?: number },
): Iterable<Draft> {
  const { from = 0, count, fee } = o;
  for (let nonce = from; nonce < from + count; nonce += 1)
    yield { sender, nonce, fee, ...(o.lane === undefined ? {} : { lane: o.lane }) };
}

function assertHonestGetsIn(pool: Mempool, fee: number, state: LedgerState = stateWith()): void {
  const honest = make({ sender: HONEST, nonce: 0, fee });
  assert.equal(codeOf(pool.add(honest, state)), 'ok');
  assert.ok(pool.get(honest.name) !== undefined);
  assert.ok(pool.take(state, ALL).includes(honest), 'it goes into the next block');
}

test('NODE-3.7: what an account cannot pay together does not wait together: one fee does not fill a block', () => {
  const pool = small();
  const poor = stateWith({}, 0, { [SPAMMER]: 1_001n });
  // One thousand for the fee and one to send: the first takes all there is.
  assert.equal(spam(pool, lane(SPAMMER, { count: 100, fee: 1_000 }), poor), 1);
  // Over many lanes neither.
  const lanes = Array.from({ length: 16 }, (_, i) => ({ sender: SPAMMER, nonce: 0, fee: 400, lane: i }));
  assert.equal(spam(small(), lanes, poor), 2);
});

test('NODE-3.7: a transfer of all there is leaves nothing for those behind it, in the pool and in the block', () => {
  const rich = stateWith({}, 0, { [SPAMMER]: 1_000_000n });
  const drained = stateWith({ [SPAMMER]: [1] }, 0, { [SPAMMER]: 0n });
  const drain: Body = { kind: 'transfer', to: asAddress(new Uint8Array(32)), amount: amount(999_000n) };
  const pool = small();
  assert.equal(codeOf(pool.add(make({ sender: SPAMMER, nonce: 0, fee: 1_000, body: drain }), rich)), 'ok');
  assert.equal(spam(pool, lane(SPAMMER, { from: 1, count: 50, fee: 1_000 }), rich), 0);

  // Validators heard of different transactions with the same nonce: the other one was executed.
  const other = small();
  assert.equal(spam(other, lane(SPAMMER, { count: 50, fee: 1_000 }), rich), 50);
  const elsewhere = make({ sender: SPAMMER, nonce: 0, fee: 1_001, body: drain });
  assert.equal(other.take(drained, ALL).length, 0, 'even before the pool has heard of the block');
  other.committed([elsewhere], drained, 1);
  assert.equal(other.size, 0);
});

test('NODE-3.5: what waits behind a gap gives way to whatever could be executed, at any price', () => {
  const pool = small();
  const drafts = [1, 2, 3, 4].flatMap((i) => [...lane(SPAMMER + i, { from: 1, count: 50, fee: 1_000_000 })]);
  assert.equal(spam(pool, drafts), 200);
  assert.equal(pool.take(stateWith(), ALL).length, 0);
  assertHonestGetsIn(pool, 1);
  // Among themselves the price decides.
  assert.equal(codeOf(pool.add(make({ sender: 7, nonce: 5, fee: 1 }), stateWith())), 'pool.full');
  assert.equal(codeOf(pool.add(make({ sender: 7, nonce: 5, fee: 1_000_001 }), stateWith())), 'ok');
  assert.equal(pool.size, 200);
});

test('NODE-3.5: at the same price the one who has most waiting gives way to the one who has less', () => {
  const pool = small({ perAccountMax: 100 });
  assert.equal(
    spam(pool, [...lane(SPAMMER, { count: 100, fee: 10 }), ...lane(SPAMMER + 1, { count: 100, fee: 10 })]),
    200,
  );
  for (let sender = 1; sender <= 20; sender += 1)
    assert.equal(codeOf(pool.add(make({ sender, nonce: 0, fee: 10 }), stateWith())), 'ok');
  assert.equal(pool.size, 200);
  // And the spammer does not come back at that price.
  assert.equal(codeOf(pool.add(make({ sender: SPAMMER, nonce: 90, fee: 10 }), stateWith())), 'pool.full');
});

test('NODE-3.1: at the same price accounts take turns in a block, however many lanes and transactions one has', () => {
  const pool = new Mempool();
  for (let of = 0; of < 16; of += 1) spam(pool, lane(SPAMMER, { count: 100, fee: 10, lane: of }));
  spam(
    pool,
    [1, 2, 3, 4].flatMap((sender) => [...lane(sender, { count: 4, fee: 10 })]),
  );
  const taken = senders(pool.take(stateWith(), { ...ALL, countMax: 20 }));
  for (const sender of [1, 2, 3, 4]) assert.equal(taken.filter((of) => of === sender).length, 4);
});

test('NODE-3.5: a newcomer never displaces what it waits for itself, and a cheap front gives up its dear end first', () => {
  const pool = small({ countMax: 3 });
  spam(pool, [
    { sender: SPAMMER, nonce: 0, fee: 1 },
    { sender: SPAMMER, nonce: 1, fee: 900 },
    { sender: SPAMMER, nonce: 2, fee: 900 },
  ]);
  assert.equal(codeOf(pool.add(make({ sender: SPAMMER, nonce: 3, fee: 950 }), stateWith())), 'pool.full');
  assertHonestGetsIn(pool, 2);
  assert.deepEqual(
    pool.take(stateWith(), ALL).map(({ tx }) => `${tx.key.bytes[0]}:${tx.nonce}`),
    [`${HONEST}:0`, `${SPAMMER}:0`, `${SPAMMER}:1`],
  );
});

test('NODE-3.4: a nonce is not replaced over and over for next to nothing: a tenth more each time', () => {
  const pool = new Mempool();
  let taken = 0;
  for (let fee = 1_000; fee < 3_000; fee += 1)
    if (pool.add(make({ sender: SPAMMER, nonce: 0, fee }), stateWith()).ok) taken += 1;
  assert.ok(taken <= 12, `${taken} of 2000`);
  assert.equal(pool.size, 1);
  // What pays nothing is not replaced by what pays nothing.
  const free = small();
  assert.ok(free.add(make({ sender: 1, nonce: 0, fee: 0 }), stateWith()).ok);
  assert.equal(
    codeOf(free.add(make({ sender: 1, nonce: 0, fee: 0, validUntil: 999 }), stateWith())),
    'transaction.nonce',
  );
});

test('NODE-3.5: whoever is refused for want of bytes has displaced nobody', () => {
  const long: Body = { kind: 'register-maker', name: 'x'.repeat(64) };
  const wide = make({ sender: 50, nonce: 0, fee: 60_000, body: long });
  const narrow = make({ sender: 1, nonce: 0, fee: 1 }).encoded.length;
  assert.ok(wide.encoded.length > narrow);
  const pool = small({ bytesMax: 2 * narrow });
  spam(pool, [
    { sender: 1, nonce: 0, fee: 10 },
    { sender: 2, nonce: 0, fee: 1_000_000 },
  ]);
  assert.equal(codeOf(pool.add(wide, stateWith())), 'pool.full');
  assert.deepEqual(senders(pool.take(stateWith(), ALL)), [2, 1]);
});

test('NODE-3.2: one subnet’s checkpoints do not keep out another’s', () => {
  const pool = small({ checkpointsMax: 40, checkpointsPerSubnetMax: 32 });
  const state = stateWith();
  for (let salt = 0; salt < 50; salt += 1) pool.add(checkpoint(1 + (salt % 5), salt, 1), state);
  assert.equal(pool.size, 32);
  for (let subnet = 2; subnet < 20; subnet += 1)
    assert.equal(codeOf(pool.add(checkpoint(1, 0, subnet), state)), 'ok', `subnet ${subnet}`);
  assert.equal(pool.size, 40);
  // Nor does it come back: it has most of them still.
  assert.equal(codeOf(pool.add(checkpoint(1, 51, 1), state)), 'pool.full');
});

test('NODE-3.6: what has expired does not go into the block, also before it was swept', () => {
  const pool = new Mempool();
  spam(pool, [
    { sender: 1, nonce: 0, fee: 10, validUntil: 5 },
    { sender: 2, nonce: 0, fee: 9, validUntil: 6 },
  ]);
  assert.deepEqual(senders(pool.take(stateWith(), { ...ALL, height: 6 })), [2]);
});

test('NODE-3.6: after a state that came without its blocks, lanes go on where it is', () => {
  const pool = new Mempool();
  spam(pool, [...lane(1, { count: 3, fee: 10 }), ...lane(2, { from: 5, count: 2, fee: 10 })]);
  const state = stateWith({ 1: [2], 2: [5] });
  pool.refresh(state);
  const taken = pool.take(state, ALL).map(({ tx }) => `${tx.key.bytes[0]}:${tx.nonce}`);
  assert.deepEqual(taken, ['1:2', '2:5', '2:6']);
  assert.equal(pool.size, 3);
});

/** What any honest implementation computes from the entries alone, however slowly. */
test('NODE-3.3: under any spam: bounds, payable runs of nonces, dearest first, and nothing left behind', () => {
  const step = fc.record({
    sender: fc.integer({ min: 1, max: 5 }),
    lane: fc.nat({ max: 1 }),
    nonce: fc.nat({ max: 5 }),
    fee: fc.integer({ min: 1, max: 30 }),
    act: fc.constantFrom('add', 'add', 'add', 'commit', 'elsewhere', 'expire'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const pool = small({ countMax: 8, perAccountMax: 5 });
      const nonces: Record<number, number[]> = {};
      const balances: Record<number, bigint> = {};
      for (let sender = 1; sender <= 5; sender += 1) {
        nonces[sender] = [0, 0];
        balances[sender] = 60n;
      }
      const state = (): LedgerState => stateWith(nonces, 0, balances);
      const here = new Map<string, VerifiedTransaction>();
      for (const [i, { sender, lane: of, nonce, fee, act }] of steps.entries()) {
        const wanted = make({ sender, nonce, fee, lane: of, validUntil: 1_000 + i });
        switch (act) {
          case 'add':
            if (pool.add(wanted, state()).ok) here.set(wanted.name, wanted);
            break;
          case 'commit': {
            const taken = pool.take(state(), { ...ALL, countMax: 3 });
            for (const { tx } of taken) {
              const from = tx.key.bytes[0] as number;
              const at = nonces[from] as number[];
              assert.equal(at[tx.lane], tx.nonce);
              at[tx.lane] = tx.nonce + 1;
              balances[from] = (balances[from] as bigint) - tx.fee - 1n;
              assert.ok((balances[from] as bigint) >= -1n, 'every one of them could pay its fee');
            }
            pool.committed(taken, state(), 1);
            break;
          }
          case 'elsewhere': {
            // Another transaction with the next nonce, heard of by others only, which took most of the account.
            const at = nonces[sender] as number[];
            const other = make({ sender, nonce: at[of] as number, fee: 1, lane: of, validUntil: 5_000 + i });
            at[of] = (at[of] as number) + 1;
            balances[sender] = (balances[sender] as bigint) / 2n;
            pool.committed([other], state(), 1);
            break;
          }
          case 'expire':
            pool.committed([], state(), 64);
            break;
        }
        const waiting = [...here.values()].filter(({ name }) => pool.get(name) !== undefined);
        assert.equal(waiting.length, pool.size);
        assert.ok(pool.size <= 8);
        assert.equal(
          pool.bytes,
          waiting.reduce((sum, { encoded }) => sum + encoded.length, 0),
        );
        for (const [from, balance] of Object.entries(balances)) {
          const own = waiting.filter(({ tx }) => tx.key.bytes[0] === Number(from));
          const owed = own.reduce((sum, { tx }) => sum + tx.fee + 1n, 0n);
          assert.ok(owed <= balance || own.length === 0, `${from} owes ${owed} of ${balance}`);
          for (const { tx } of own) assert.ok(tx.nonce >= (nonces[Number(from)]?.[tx.lane] ?? 0));
        }
        // The dearest of all heads comes first, and everything that can be executed comes.
        const due = waiting.filter(({ tx }) => isDue(tx, waiting, nonces));
        const taken = pool.take(state(), ALL);
        assert.deepEqual(new Set(taken), new Set(due));
        const heads = due.filter(({ tx }) => tx.nonce === nonces[tx.key.bytes[0] as number]?.[tx.lane]);
        const best = Math.max(...heads.map(({ tx }) => Number(tx.fee)));
        if (taken[0] !== undefined) assert.equal(Number(taken[0].tx.fee), best);
      }
    }),
    { numRuns: 300 },
  );
});

function isDue(
  tx: VerifiedTransaction['tx'],
  waiting: readonly VerifiedTransaction[],
  nonces: Readonly<Record<number, readonly number[]>>,
): boolean {
  const sender = tx.key.bytes[0] as number;
  for (let nonce = nonces[sender]?.[tx.lane] ?? 0; nonce < tx.nonce; nonce += 1) {
    const isHere = waiting.some(
      (other) => other.tx.key.bytes[0] === sender && other.tx.lane === tx.lane && other.tx.nonce === nonce,
    );
    if (!isHere) return false;
  }
  return true;
}

test('NODE-3.5: many accounts do not slow a proposal down, nor do many evictions', () => {
  const count = 6_000;
  const pool = small({ countMax: count });
  const state = stateWith();
  for (let sender = 0; sender < count; sender += 1)
    pool.add(make({ sender: 1_000 + sender, nonce: 0, fee: 10 }), state);
  assert.equal(pool.size, count);
  const started = process.cpuUsage();
  for (let i = 0; i < 20; i += 1) assert.equal(pool.take(state, { ...ALL, countMax: 100 }).length, 100);
  const { user } = process.cpuUsage(started);
  assert.ok(user < 200_000, `${user} µs for 20 proposals`);
  const better = Array.from({ length: 1_000 }, (_, i) => make({ sender: 50_000 + i, nonce: 0, fee: 20 }));
  const before = process.cpuUsage();
  for (const one of better) assert.ok(pool.add(one, state).ok);
  const evicting = process.cpuUsage(before).user;
  assert.ok(evicting < 400_000, `${evicting} µs for 1000 evictions`);
  assert.equal(pool.size, count);
});
