import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes } from '../bytes/hex.ts';
import { MerkleTree, verifyMerklePath } from '../crypto/merkle.ts';
import { sha256, type Hash } from '../crypto/hash.ts';
import { VALUE_MIN, withdrawalLeaf, type Withdrawal } from '../ledger/escrow.ts';
import { amount, millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { decodeValueOrder, encodeValueOrder, type ValueOrder } from '../ledger/value-order.ts';
import { holder, orderOf, SUBNET } from '../testing/dag.ts';
import { LaneDraft, LaneTable } from './lanes.ts';
import { verifyBalance } from './balance-proof.ts';
import { balanceKey } from './ledger-records.ts';
import { LedgerDraft, LedgerTable } from './ledger-table.ts';
import { keyOf } from './slab.ts';

const MIN = VALUE_MIN;
const NEVER = millis(1_000_000);

/** A ledger at a word: names for holders, sums in multiples of the least balance. */
class Book {
  readonly table = new LedgerTable();
  deposits = 0;
  #sequence = 0;

  /** One change in a checkpoint of its own. */
  change(work: (draft: LedgerDraft) => void): LedgerDraft {
    const draft = new LedgerDraft(this.table, SUBNET);
    work(draft);
    this.table.adopt(draft);
    return draft;
  }

  deposit(to: string, value: bigint): LedgerDraft {
    this.deposits += 1;
    const number = this.deposits;
    return this.change((draft) => draft.credit({ number, to: holder(to), amount: amount(value) }));
  }

  /** `applied`, or why not; what is ignored must have left no trace. */
  order(from: string, order: ValueOrder, o: { time?: number; number?: number; subnet?: Hash } = {}): string {
    this.#sequence += 1;
    const payload = orderOf(from, o.number ?? this.#sequence, order, o.subnet ?? SUBNET);
    const draft = new LedgerDraft(this.table, SUBNET);
    const refusal = draft.apply(payload, o.time ?? 0);
    if (refusal !== undefined) assert.deepEqual(draft.changes(), [], 'an ignored order changes nothing');
    this.table.adopt(draft);
    return refusal ?? 'applied';
  }

  transfer(from: string, to: string, value: bigint, expiresAt = NEVER, time = 0): string {
    return this.order(from, { kind: 'transfer', to: holder(to), amount: amount(value), expiresAt }, { time });
  }

  of(name: string): bigint {
    return this.table.balanceOf(holder(name));
  }
}

const setAside = (value: bigint, changes: Partial<Extract<ValueOrder, { kind: 'set-aside' }>> = {}) =>
  ({
    kind: 'set-aside' as const,
    lane: 0,
    amount: amount(value),
    until: millis(100),
    payee: undefined,
    ...changes,
  }) satisfies ValueOrder;

const voucher = (
  to: string,
  value: bigint,
  changes: Partial<Extract<ValueOrder, { kind: 'voucher' }>> = {},
) =>
  ({
    kind: 'voucher' as const,
    lane: 0,
    to: holder(to),
    amount: amount(value),
    expiresAt: millis(100),
    ...changes,
  }) satisfies ValueOrder;

const anyAddress = fc.constantFrom('ann', 'bob').map(holder);
const anyOrder: fc.Arbitrary<ValueOrder> = fc.oneof(
  fc.record(
    {
      kind: fc.constantFrom('transfer' as const, 'withdraw' as const),
      to: anyAddress,
      amount: fc.bigInt(1n, 0xffff_ffff_ffff_ffffn).map(amount),
      expiresAt: fc.maxSafeNat().map(millis),
    },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constant('set-aside' as const),
      lane: fc.nat(LIMITS.voucherLanesMax - 1),
      amount: fc.bigInt(1n, 0xffff_ffff_ffff_ffffn).map(amount),
      until: fc.maxSafeNat().map(millis),
      payee: fc.option(anyAddress, { nil: undefined }),
    },
    { noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constant('release' as const), lane: fc.nat(LIMITS.voucherLanesMax - 1) },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constant('voucher' as const),
      lane: fc.nat(LIMITS.voucherLanesMax - 1),
      to: anyAddress,
      amount: fc.bigInt(1n, 0xffff_ffff_ffff_ffffn).map(amount),
      expiresAt: fc.maxSafeNat().map(millis),
    },
    { noNullPrototype: true },
  ),
);

test('DAG-12.1: an order comes back as it was written, and whatever bytes are accepted are its only form', () => {
  fc.assert(
    fc.property(anyOrder, fc.nat(), fc.nat(255), (order, at, byte) => {
      const bytes = encodeValueOrder(SUBNET, order);
      const read = decodeValueOrder(bytes);
      assert.ok(read.ok);
      assert.deepEqual(read.value, { subnet: SUBNET, order });
      const damaged = bytes.with(at % bytes.length, byte);
      const again = decodeValueOrder(damaged);
      if (again.ok) assert.deepEqual(encodeValueOrder(again.value.subnet, again.value.order), damaged);
    }),
    { numRuns: 200 },
  );
});

test('DAG-12.1: orders of another subnet, without sum, with an unknown lane or to oneself by voucher are ignored', () => {
  const book = new Book();
  book.deposit('ann', 10n * MIN);
  const pay: ValueOrder = { kind: 'transfer', to: holder('bob'), amount: amount(MIN), expiresAt: NEVER };
  assert.equal(book.order('ann', pay, { subnet: sha256(SUBNET) }), 'other-subnet');
  assert.equal(book.order('ann', { ...pay, amount: amount(0n) }), 'value-malformed');
  assert.equal(book.order('ann', setAside(MIN, { lane: LIMITS.voucherLanesMax })), 'value-malformed');
  assert.equal(book.order('ann', voucher('ann', MIN)), 'value-malformed');
  assert.equal(book.order('ann', pay), 'applied');
});

test('DAG-12.2: deposits are credited in order of number, each once', () => {
  const book = new Book();
  book.deposit('ann', 5n * MIN);
  book.deposit('bob', 2n * MIN);
  book.deposit('ann', MIN);
  assert.deepEqual([book.of('ann'), book.of('bob')], [6n * MIN, 2n * MIN]);
  for (const number of [1, 3, 5])
    assert.throws(() =>
      book.change((draft) => draft.credit({ number, to: holder('ann'), amount: amount(MIN) })),
    );
  assert.equal(book.table.totals.inside, 8n * MIN);
});

test('DAG-12.2: a deposit for one holder too many leaves again to its receiver, and is lost to nobody', () => {
  const book = new Book();
  const some = { address: holder('somebody'), balance: MIN };
  for (let i = 0; i < LIMITS.subnetBalancesMax; i += 1) book.table.balances.set(`filler ${i}`, some);
  const { withdrawals } = book.deposit('ann', 3n * MIN);
  assert.deepEqual(withdrawals, [{ number: 1, to: holder('ann'), amount: 3n * MIN }]);
  assert.equal(book.of('ann'), 0n);
  assert.deepEqual(book.table.totals, { deposits: 1, withdrawals: 1, inside: 0n });
});

test('DAG-12.3: a transfer is free and moves exactly its sum', () => {
  const book = new Book();
  book.deposit('ann', 5n * MIN);
  assert.equal(book.transfer('ann', 'bob', 2n * MIN), 'applied');
  assert.equal(book.transfer('bob', 'ann', 1n), 'applied');
  assert.deepEqual([book.of('ann'), book.of('bob')], [3n * MIN + 1n, 2n * MIN - 1n]);
  assert.equal(book.transfer('ann', 'ann', 3n * MIN), 'applied');
  assert.equal(book.of('ann'), 3n * MIN + 1n);
});

test('DAG-12.3: a transfer beyond the balance or its time is ignored', () => {
  const book = new Book();
  book.deposit('ann', 5n * MIN);
  assert.equal(book.transfer('ann', 'bob', 5n * MIN + 1n), 'uncovered');
  assert.equal(book.transfer('nobody', 'bob', MIN), 'uncovered');
  assert.equal(book.transfer('ann', 'ann', 6n * MIN), 'uncovered');
  assert.equal(book.transfer('ann', 'bob', MIN, millis(50), 51), 'expired');
  assert.equal(book.transfer('ann', 'bob', MIN, millis(50), 50), 'applied');
});

test('DAG-12.4: attack state dust: no balance is below the least one, whoever sends what to whom', () => {
  const book = new Book();
  book.deposit('ann', 5n * MIN);
  assert.equal(book.transfer('ann', 'fresh', MIN - 1n), 'dust');
  assert.equal(book.transfer('ann', 'fresh', 4n * MIN + 1n), 'dust', 'what is left would be dust');
  assert.equal(book.transfer('ann', 'fresh', 5n * MIN), 'applied');
  assert.equal(book.table.balances.has(keyOf(holder('ann'))), false, 'who has nothing has no record');
  for (let i = 1; i < LIMITS.subnetBalancesMax; i += 1)
    book.table.balances.set(`filler ${i}`, { address: holder('somebody'), balance: MIN });
  assert.equal(book.transfer('fresh', 'one too many', MIN), 'holders-full');
});

test('DAG-12.5: a withdrawal leaves the balance and stands under the withdrawal root, numbered on', () => {
  const book = new Book();
  book.deposit('ann', 9n * MIN);
  const out = (value: bigint): ValueOrder => ({
    kind: 'withdraw',
    to: holder('main'),
    amount: amount(value),
    expiresAt: NEVER,
  });
  assert.equal(book.order('ann', out(MIN - 1n)), 'dust');
  assert.equal(book.order('ann', out(10n * MIN)), 'uncovered');
  const draft = book.change((d) => {
    assert.equal(d.apply(orderOf('ann', 1, out(2n * MIN)), 0), undefined);
    assert.equal(d.apply(orderOf('ann', 2, out(3n * MIN)), 0), undefined);
  });
  assert.equal(book.order('ann', out(MIN)), 'applied');
  assert.equal(book.table.totals.withdrawals, 3);
  const value = draft.value();
  assert.ok(value);
  assert.deepEqual([value.deposits, value.withdrawalCount, value.withdrawn], [1, 2, 5n * MIN]);
  const leaves = draft.withdrawals.map((withdrawal: Withdrawal) => withdrawalLeaf(SUBNET, withdrawal));
  const path = new MerkleTree(leaves).path(1);
  assert.ok(
    verifyMerklePath({ root: value.withdrawalRoot, leaf: leaves[1] as Hash, index: 1, count: 2, path }),
  );
});

test('DAG-12.5: what is too much for one checkpoint is ignored, not lost', () => {
  const book = new Book();
  book.deposit('ann', 2000n * MIN);
  const out: ValueOrder = { kind: 'withdraw', to: holder('main'), amount: amount(MIN), expiresAt: NEVER };
  const codes = new Map<string, number>();
  book.change((draft) => {
    for (let i = 1; i <= LIMITS.withdrawalsMax + 5; i += 1) {
      const code = draft.apply(orderOf('ann', i, out), 0) ?? 'applied';
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  });
  assert.deepEqual(
    [...codes],
    [
      ['applied', LIMITS.withdrawalsMax],
      ['withdrawals-full', 5],
    ],
  );
  assert.equal(book.of('ann'), 2000n * MIN - BigInt(LIMITS.withdrawalsMax) * MIN);
});

test('DAG-12.6: vouchers are paid from what was set aside, up to that, to whoever they name', () => {
  const book = new Book();
  book.deposit('ann', 10n * MIN);
  assert.equal(book.order('ann', setAside(4n * MIN)), 'applied');
  assert.equal(book.of('ann'), 6n * MIN);
  assert.equal(
    book.transfer('ann', 'bob', 7n * MIN),
    'uncovered',
    'what is set aside is not spent otherwise',
  );
  assert.equal(book.order('ann', voucher('bob', 3n * MIN), { number: 7 }), 'applied');
  assert.equal(book.order('ann', voucher('cid', 2n * MIN), { number: 8 }), 'uncovered');
  assert.equal(book.order('ann', voucher('cid', MIN), { number: 3 }), 'applied', 'in any order of number');
  assert.deepEqual([book.of('bob'), book.of('cid')], [3n * MIN, MIN]);
  assert.equal(book.order('ann', voucher('bob', 1n, { lane: 1 })), 'lane-missing');
  assert.equal(book.order('bob', voucher('ann', 1n)), 'lane-missing', 'lanes are of their holder');
});

test('DAG-12.7: attack double cash: a number is cashed once, also after the lane was opened anew', () => {
  const book = new Book();
  book.deposit('ann', 20n * MIN);
  assert.equal(book.order('ann', setAside(4n * MIN)), 'applied');
  const note = voucher('bob', MIN);
  assert.equal(book.order('ann', note, { number: 1 }), 'applied');
  assert.equal(book.order('ann', note, { number: 1 }), 'cashed');
  assert.equal(book.order('ann', voucher('cid', MIN), { number: 1 }), 'cashed', 'to somebody else as little');
  assert.equal(book.order('ann', setAside(4n * MIN, { until: millis(200) })), 'applied');
  assert.equal(book.order('ann', note, { number: 1 }), 'cashed', 'a lane that grew remembers');
  assert.equal(book.order('ann', { kind: 'release', lane: 0 }, { time: 201 }), 'applied');
  assert.equal(book.order('ann', setAside(4n * MIN, { until: millis(900) }), { time: 201 }), 'applied');
  assert.equal(book.order('ann', note, { number: 1, time: 201 }), 'expired');
  assert.equal(book.of('bob'), MIN);
});

test('DAG-12.7: a voucher is cashed up to its expiry, which is not beyond the time of its lane', () => {
  const book = new Book();
  book.deposit('ann', 20n * MIN);
  assert.equal(book.order('ann', setAside(4n * MIN)), 'applied');
  assert.equal(book.order('ann', voucher('bob', MIN, { expiresAt: millis(101) })), 'expired');
  assert.equal(book.order('ann', voucher('bob', MIN, { expiresAt: millis(60) }), { time: 61 }), 'expired');
  assert.equal(book.order('ann', voucher('bob', MIN), { time: 100 }), 'applied');
});

test('DAG-12.8: before its time nobody empties a lane, so its payee can count on it', () => {
  const book = new Book();
  book.deposit('ann', 20n * MIN);
  const payee = holder('bob');
  assert.equal(book.order('ann', setAside(4n * MIN, { payee })), 'applied');
  assert.equal(book.order('ann', voucher('accomplice', MIN)), 'other-payee');
  assert.equal(book.order('ann', { kind: 'release', lane: 0 }, { time: 100 }), 'lane-open');
  assert.equal(book.order('ann', setAside(MIN, { until: millis(99), payee })), 'lane-open', 'no earlier');
  assert.equal(book.order('ann', setAside(MIN)), 'lane-open', 'for nobody else');
  assert.equal(book.order('ann', voucher('bob', 4n * MIN), { time: 100 }), 'applied');
  assert.equal(book.order('ann', { kind: 'release', lane: 0 }, { time: 101 }), 'applied');
  assert.equal(book.order('ann', { kind: 'release', lane: 0 }, { time: 101 }), 'lane-missing');
});

/** One attempt in small numbers; whether it makes sense is left to chance. */
const NAMES = ['ann', 'bob', 'cid'] as const;
const attempt = fc.record({
  kind: fc.constantFrom(
    'deposit',
    'transfer',
    'transfer',
    'withdraw',
    'set-aside',
    'release',
    'voucher',
    'voucher',
  ),
  from: fc.constantFrom('ann' as const, 'ann' as const, ...NAMES),
  to: fc.constantFrom(...NAMES),
  /** In tenths of the least balance. */
  tenths: fc.oneof(fc.bigInt(1n, 60n), fc.bigInt(10n, 400n)),
  lane: fc.constantFrom(0, 0, 0, 1),
  number: fc.integer({ min: 1, max: 2 }),
  time: fc.nat(3),
  life: fc.integer({ min: 0, max: 6 }),
  dedicated: fc.boolean(),
});

/** A plain ledger with the same rules, written apart: maps of names, every voucher remembered for ever. */
class PlainLedger {
  readonly balance = new Map<string, bigint>();
  readonly lanes = new Map<string, { left: bigint; until: number; payee: string | undefined }>();
  readonly cashed = new Set<string>();
  deposited = 0n;
  withdrawn = 0n;

  of(name: string): bigint {
    return this.balance.get(name) ?? 0n;
  }

  add(name: string, value: bigint): void {
    this.balance.set(name, this.of(name) + value);
  }

  canTake(name: string, value: bigint): boolean {
    const left = this.of(name) - value;
    return left === 0n || left >= MIN;
  }

  canGet(name: string, value: bigint): boolean {
    return this.of(name) > 0n || value >= MIN;
  }

  get inside(): bigint {
    let sum = 0n;
    for (const value of this.balance.values()) sum += value;
    for (const { left } of this.lanes.values()) sum += left;
    return sum;
  }
}

test('DAG-12.9: any sequence of orders gives what a plain ledger gives, and nothing is made or lost', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(attempt, { minLength: 30, maxLength: 60 }), (attempts) => {
      const book = new Book();
      const plain = new PlainLedger();
      let now = 0;
      let lives = 0;
      const life = new Map<string, number>();
      for (const name of NAMES) {
        book.deposit(name, 30n * MIN);
        plain.add(name, 30n * MIN);
        plain.deposited += 30n * MIN;
      }
      for (const { kind, from, to, tenths, lane, number, time, life: lasts, dedicated } of attempts) {
        now += time;
        const value = (tenths * MIN) / 10n;
        const until = millis(now + 2 * lasts + 2);
        const expiresAt = millis(now + (kind === 'voucher' ? lasts >> 1 : lasts));
        const name = `${from}/${lane}`;
        const held = plain.lanes.get(name);
        let expected = true;
        let outcome = 'applied';
        if (kind === 'deposit') {
          const fits = value >= MIN ? value : MIN;
          book.deposit(to, fits);
          plain.add(to, fits);
          plain.deposited += fits;
        } else if (kind === 'transfer') {
          expected =
            from === to
              ? plain.of(from) >= value
              : plain.canTake(from, value) && plain.of(from) >= value && plain.canGet(to, value);
          outcome = book.transfer(from, to, value, expiresAt, now);
          if (expected && from !== to) {
            plain.add(from, -value);
            plain.add(to, value);
          }
        } else if (kind === 'withdraw') {
          expected = value >= MIN && plain.of(from) >= value && plain.canTake(from, value);
          const order = { kind, to: holder(to), amount: amount(value), expiresAt } as const;
          outcome = book.order(from, order, { time: now });
          if (expected) {
            plain.add(from, -value);
            plain.withdrawn += value;
          }
        } else if (kind === 'set-aside') {
          const payee = dedicated ? to : undefined;
          const same = held === undefined || (held.payee === payee && until >= held.until);
          expected =
            same &&
            plain.of(from) >= value &&
            plain.canTake(from, value) &&
            (held !== undefined || value >= MIN);
          const terms = { lane, until, payee: payee === undefined ? undefined : holder(payee) };
          outcome = book.order(from, setAside(value, terms), { time: now });
          if (expected) {
            if (held === undefined) life.set(name, (lives += 1));
            plain.add(from, -value);
            plain.lanes.set(name, { left: (held?.left ?? 0n) + value, until, payee });
          }
        } else if (kind === 'release') {
          expected =
            held !== undefined && now > held.until && (held.left === 0n || plain.canGet(from, held.left));
          outcome = book.order(from, { kind: 'release', lane }, { time: now });
          if (expected && held !== undefined) {
            plain.lanes.delete(name);
            plain.add(from, held.left);
          }
        } else {
          // A voucher of this very content, ever cashed, must not be cashed again, whatever lanes were opened since.
          const note = `${name}/${number}/${life.get(name) ?? 0}`;
          expected =
            from !== to &&
            held !== undefined &&
            expiresAt <= held.until &&
            (held.payee === undefined || held.payee === to) &&
            !plain.cashed.has(note) &&
            held.left >= value &&
            plain.canGet(to, value);
          outcome = book.order(from, voucher(to, value, { lane, expiresAt }), { time: now, number });
          if (expected && held !== undefined) {
            plain.cashed.add(note);
            plain.lanes.set(name, { ...held, left: held.left - value });
            plain.add(to, value);
          }
        }
        assert.equal(outcome === 'applied', expected, `${kind}: ${outcome}`);
        seen.add(`${kind} ${outcome}`);
        for (const who of NAMES) {
          assert.equal(book.of(who), plain.of(who));
          assert.ok(book.of(who) === 0n || book.of(who) >= MIN);
        }
        assert.equal(book.table.totals.inside, plain.inside);
        assert.equal(plain.deposited, plain.inside + plain.withdrawn);
      }
    }),
    { numRuns: 300, seed: 7 },
  );
  // A model that never gets anywhere proves nothing.
  for (const story of [
    'transfer applied',
    'transfer uncovered',
    'transfer dust',
    'withdraw applied',
    'set-aside applied',
    'set-aside lane-open',
    'release applied',
    'release lane-open',
    'voucher applied',
    'voucher cashed',
    'voucher uncovered',
    'voucher other-payee',
  ])
    assert.ok(seen.has(story), `${story} never came up: ${[...seen].join(', ')}`);
});

test('DAG-12.10: balances are under the state root, provable, absent ones too, and a snapshot brings them back', () => {
  const table = new LaneTable([1]);
  const draft = new LaneDraft(table, SUBNET);
  for (const [i, name] of ['ann', 'bob', 'cid'].entries())
    draft.ledger.credit({ number: i + 1, to: holder(name), amount: amount(BigInt(i + 1) * MIN) });
  assert.equal(draft.ledger.apply(orderOf('cid', 1, setAside(MIN, { payee: holder('bob') })), 0), undefined);
  assert.equal(draft.ledger.apply(orderOf('cid', 9, voucher('bob', 5n)), 0), undefined);
  table.adopt(draft);
  const proves = (name: string, balance: bigint): boolean => {
    const address = holder(name);
    return verifyBalance(table.root, { address, balance, proof: table.tree.prove(balanceKey(address)) });
  };
  assert.ok(
    proves('ann', MIN) && proves('bob', 2n * MIN + 5n) && proves('cid', 2n * MIN) && proves('dan', 0n),
  );
  assert.ok(!proves('ann', MIN + 1n) && !proves('dan', MIN) && !proves('bob', 0n) && !proves('ann', -1n));

  const again = LaneTable.from([1], [...table.entries()]);
  assert.equal(compareBytes(again.root, table.root), 0);
  assert.deepEqual(again.ledger.totals, table.ledger.totals);
  assert.equal(again.ledger.balanceOf(holder('bob')), 2n * MIN + 5n);
  assert.deepEqual(again.ledger.voucherLane(holder('cid'), 0), table.ledger.voucherLane(holder('cid'), 0));
});
