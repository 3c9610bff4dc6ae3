import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256 } from '@itc/core/crypto/hash.js';
import { asAddress, type Address } from '@itc/core/ledger/address.js';
import { amount } from '@itc/core/ledger/ids.js';
import { statement, statementCsv, statementJson, type LogEntry } from './statement.ts';
import { netted, type Obligation } from './streams.ts';

const ITC = 1_000_000_000n;
const itc = (value: bigint): string => String(value * ITC);
const at = (height: number, rest: Partial<LogEntry>, position = 0): LogEntry => ({
  cursor: `${height}.${position}`,
  height,
  time: height * 1000,
  ...rest,
});

/** Of an owner's month, as the log tells it. */
const month: readonly LogEntry[] = [
  at(9, { event: { kind: 'transferred', from: 'itc1bob', to: 'itc1alice', amount: itc(2n) } }),
  at(8, {
    sender: 'itc1alice',
    fee: '500',
    refused: { code: 'grant.unknown', message: 'the subject holds no grant' },
  }),
  at(7, {
    event: {
      kind: 'stream-settled',
      device: 'itc1lamp',
      moves: [{ kind: 'received', account: 'itc1alice', amount: '1234' }],
    },
  }),
  at(6, {
    transaction: 'aa',
    sender: 'itc1alice',
    fee: '700',
    sponsorship: 'ff',
    event: {
      kind: 'granted',
      device: 'itc1lamp',
      moves: [{ kind: 'deposit-held', account: 'itc1maker', sponsorship: 'ff', amount: '9000' }],
    },
  }),
  at(
    5,
    {
      event: {
        kind: 'rental-settled',
        moves: [
          { kind: 'received', account: 'itc1alice', amount: itc(3n) },
          { kind: 'received', account: 'itc1bob', amount: '1' },
        ],
      },
    },
    1,
  ),
  at(5, {
    transaction: 'bb',
    sender: 'itc1alice',
    fee: '1000',
    event: {
      kind: 'granted',
      device: 'itc1lamp',
      moves: [{ kind: 'deposit-held', account: 'itc1alice', amount: '5000' }],
    },
  }),
  at(4, {
    event: {
      kind: 'grant-expired',
      moves: [{ kind: 'deposit-returned', account: 'itc1alice', amount: '4000' }],
    },
  }),
];

test('CLIENT-9.1: opening balance and movements, each with its reason, add up to the closing balance', () => {
  const balance = 100n * ITC;
  const made = statement({ account: 'itc1alice', from: 0, to: 20_000, balance, entries: month });
  assert.equal(made.closing, balance);
  assert.deepEqual(
    made.lines.map(({ reason, change }) => [reason, change]),
    [
      ['deposit returned', 4000n],
      ['fee', -1000n],
      ['deposit held', -5000n],
      ['rent', 3n * ITC],
      ['sponsored', 0n],
      ['stream', 1234n],
      ['fee', -500n],
      ['transfer', 2n * ITC],
    ],
  );
  assert.equal(made.opening, balance - 5n * ITC - 1234n + 2500n);
  assert.equal(made.lines.at(-1)?.balance, made.closing);
  assert.deepEqual([made.sponsored, made.deposits], [700n, 1000n]);
  assert.equal(made.lines[4]?.sponsorship, 'ff');
  assert.deepEqual(made.totals.fee, -1500n);
});

test('CLIENT-9.1: a transfer to oneself, a share of many receivers, a reward and a returned bond', () => {
  const entries = [
    at(1, { sender: 'a', fee: '3', event: { kind: 'transferred', from: 'a', to: 'a', amount: '50' } }),
    at(2, {
      event: {
        kind: 'distributed',
        from: 'b',
        outputs: [
          { to: 'a', amount: '7' },
          { to: 'c', amount: '9' },
          { to: 'a', amount: '1' },
        ],
      },
    }),
    at(3, {
      event: {
        kind: 'rewards-paid',
        shares: [
          { validator: 'a', amount: '20' },
          { validator: 'b', amount: '30' },
        ],
      },
    }),
    at(4, { event: { kind: 'bond-released', validator: 'a', amount: '100' } }),
  ];
  const made = statement({ account: 'a', from: 0, to: 9000, balance: 1000n, entries });
  assert.deepEqual(
    made.lines.map(({ change }) => change),
    [-3n, -50n, 50n, 7n, 1n, 20n, 100n],
  );
  assert.equal(made.opening, 1000n - 125n);
});

test('CLIENT-9.2: a period of any bounds continues the one before, whatever the order of the entries', () => {
  const cut = fc.integer({ min: 0, max: 12_000 });
  fc.assert(
    fc.property(
      cut,
      cut,
      fc.shuffledSubarray([...month], { minLength: month.length }),
      (one, other, entries) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other) + 1];
        const balance = 100n * ITC;
        const about = { account: 'itc1alice', balance, entries };
        const whole = statement({ ...about, from: 0, to: 20_000 });
        const [first, second, third] = [
          statement({ ...about, from: 0, to: from }),
          statement({ ...about, from, to }),
          statement({ ...about, from: to, to: 20_000 }),
        ];
        assert.deepEqual([first.opening, third.closing], [whole.opening, whole.closing]);
        assert.deepEqual([second.opening, second.closing], [first.closing, third.opening]);
        assert.equal(first.lines.length + second.lines.length + third.lines.length, whole.lines.length);
        for (const { opening, closing, lines } of [first, second, third])
          assert.equal(
            lines.reduce((sum, { change }) => sum + change, opening),
            closing,
          );
      },
    ),
    { numRuns: 60 },
  );
});

test('CLIENT-9.3: as CSV and as JSON', () => {
  const made = statement({ account: 'itc1alice', from: 0, to: 20_000, balance: 100n * ITC, entries: month });
  const rows = statementCsv(made).trimEnd().split('\r\n');
  assert.equal(rows.length, 3 + made.lines.length);
  assert.equal(
    rows[0],
    'time,height,transaction,reason,kind,change,balance,other,device,sponsorship,sponsored',
  );
  assert.equal(rows[3], '1970-01-01T00:00:05.000Z,5,bb,fee,granted,-0.000001,95.000004266,,itc1lamp,,');
  for (const row of rows) assert.equal(row.split(',').length, 11);
  const read = JSON.parse(statementJson(made)) as { closing: string; lines: { change: string }[] };
  assert.equal(read.closing, itc(100n));
  assert.equal(read.lines[1]?.change, '-1000');
});

test('CLIENT-9.4: netted obligations leave everybody as well off, in fewer transfers than there are parties', () => {
  const person = (n: number): Address => asAddress(sha256(Uint8Array.of(n)));
  const obligation = fc.record({ from: fc.nat(6), to: fc.nat(6), value: fc.bigInt(0n, 1000n) });
  const totals = (all: readonly Obligation[]): Map<string, bigint> => {
    const sums = new Map<string, bigint>();
    const add = (who: Address, value: bigint): unknown =>
      sums.set(who.join(), (sums.get(who.join()) ?? 0n) + value);
    for (const { from, to, amount: value } of all) {
      add(from, 0n - value);
      add(to, value);
    }
    return new Map([...sums].filter(([, sum]) => sum !== 0n).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  };
  fc.assert(
    fc.property(fc.array(obligation, { maxLength: 40 }), (drawn) => {
      const owed = drawn.map(({ from, to, value }) => ({
        from: person(from),
        to: person(to),
        amount: amount(value),
      }));
      const paid = netted(owed);
      assert.deepEqual(totals(paid), totals(owed));
      assert.ok(paid.length <= Math.max(0, totals(owed).size - 1));
      assert.ok(paid.every((one) => one.amount > 0n));
      assert.deepEqual(netted(owed.toReversed()), paid);
    }),
  );
});
