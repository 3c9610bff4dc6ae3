import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ZERO_HASH } from '../crypto/hash.ts';
import { streamId, type StreamTerms } from '../ledger/bodies/stream.ts';
import type { Body } from '../ledger/body.ts';
import { amount, AMOUNT_MAX, millis, SUPPLY } from '../ledger/ids.ts';
import { person, World, type Person } from '../testing/state-world.ts';
import { STATE_LIMITS } from './limits.ts';
import { idText } from './record-map.ts';
import { accrued, endsAt, type Stream } from './stream-record.ts';

const ITC = 1_000_000_000n;
const [payer, payee, mallory] = ['payer', 'payee', 'mallory'].map(person) as [Person, Person, Person];
const stream = streamId(payer.address, 1);

const world = (): World => new World(['payer', 'payee', 'mallory'], 10n, { depositPerByte: 1000n });

function open(w: World, changes: Partial<StreamTerms> = {}): Extract<Body, { kind: 'open-stream' }> {
  return {
    kind: 'open-stream',
    number: 1,
    payee: payee.address,
    rate: amount(100n),
    period: 1,
    amount: amount(ITC),
    start: millis(0),
    end: millis(w.context.time + 1_000_000_000),
    notice: 0,
    device: undefined,
    ...changes,
  };
}

const recordOf = (w: World, id = stream): Stream | undefined => w.state.record('stream', idText(id));
const settle: Body = { kind: 'settle-stream', stream };
const close: Body = { kind: 'close-stream', stream };

/** What a transaction changes of the balance beside its fee. */
function moved(w: World, who: Person, sender: Person, body: Body): bigint {
  const before = w.balance(who);
  const { receipts } = w.block(w.transaction(sender, body));
  const [receipt] = receipts;
  assert.equal(receipt?.outcome.ok, true);
  return w.balance(who) - before + (who === sender ? (receipt?.fee ?? 0n) : 0n);
}

test('STATE-20.1: opening moves the amount into the stream; terms that contradict themselves are refused', () => {
  const w = world();
  const before = w.balance(payer);
  const sent = w.transaction(payer, open(w));
  const { events } = w.block(sent);
  const record = recordOf(w);
  assert.ok(record);
  assert.equal(record.start, w.context.time - 1000);
  assert.equal(w.balance(payer), before - sent.tx.fee - ITC - record.deposit.amount);
  assert.equal(events[0]?.kind, 'stream-opened');
  assert.equal(w.state.supply(), SUPPLY);
  assert.equal(w.send(payer, open(w)), 'stream.exists');
  for (const changes of [
    { payee: payer.address },
    { rate: amount(0n) },
    { period: 0 },
    { amount: amount(0n) },
    { start: millis(5), end: millis(5) },
    { end: millis(w.context.time) },
    { notice: STATE_LIMITS.streamNoticeMaxMs + 1 },
  ])
    assert.equal(w.send(payer, open(w, { number: 2, ...changes })), 'stream.malformed');
  assert.equal(w.send(payer, open(w, { number: 2, amount: w.balance(payer) })), 'transaction.balance');
});

test('STATE-20.2: due is the rate for the time gone by, in whole units, never more than was paid in', () => {
  const w = world();
  assert.equal(w.send(payer, open(w, { rate: amount(100n), period: 60 })), 'ok');
  // Blocks are a second apart: 1 s at 100 a minute is 1.66.
  assert.equal(moved(w, payee, payee, settle), 1n);
  assert.equal(moved(w, payee, payee, settle), 2n);
  assert.equal(moved(w, payee, payer, settle), 2n);
  const flow = {
    rate: amount(7n),
    period: 3,
    funded: amount(20n),
    start: millis(1000),
    end: millis(100_000),
  };
  assert.deepEqual(
    [0, 1000, 1428, 1429, 4000, 9571, 9572, 50_000].map((at) => accrued(flow, millis(at))),
    [0n, 0n, 0n, 1n, 7n, 19n, 20n, 20n],
  );
  assert.equal(endsAt(flow), 9572);
  assert.equal(endsAt({ ...flow, end: millis(4000) }), 4000);
  assert.equal(
    accrued({ ...flow, rate: amount(AMOUNT_MAX), funded: amount(AMOUNT_MAX) }, millis(90_000)),
    AMOUNT_MAX,
  );
});

test('STATE-20.3: settled in any steps by either side, it comes to what one settlement comes to; nothing is rounded away', () => {
  const steps = fc.array(fc.record({ skip: fc.nat(100_000), byPayer: fc.boolean() }), { maxLength: 12 });
  fc.assert(
    fc.property(steps, fc.bigInt(1n, 10_000n), fc.integer({ min: 1, max: 90 }), (moves, rate, period) => {
      const w = world();
      assert.equal(w.send(payer, open(w, { rate: amount(rate), period })), 'ok');
      const { start } = recordOf(w) as Stream;
      let got = 0n;
      for (const { skip, byPayer } of moves) {
        w.later += skip;
        const at = w.context.time;
        got += moved(w, payee, byPayer ? payer : payee, settle);
        assert.equal(got, (rate * BigInt(at - start)) / (BigInt(period) * 1000n));
        assert.equal(w.state.supply(), SUPPLY);
      }
    }),
    { numRuns: 30 },
  );
});

test('STATE-20.3: neither a stranger nor anybody after the end settles or closes', () => {
  const w = world();
  assert.equal(w.send(payer, open(w)), 'ok');
  assert.equal(w.send(mallory, settle), 'stream.not-party');
  assert.equal(w.send(mallory, close), 'stream.not-party');
  assert.equal(w.send(payer, { kind: 'settle-stream', stream: ZERO_HASH }), 'stream.unknown');
  assert.equal(w.send(payee, close), 'ok');
  assert.equal(w.send(payee, settle), 'stream.unknown');
});

test('STATE-20.4: the payee ends it at once: what is due is paid, the rest and the deposit return', () => {
  const w = world();
  const before = w.balance(payer);
  const opened = w.transaction(payer, open(w, { notice: 60_000 }));
  w.block(opened);
  assert.equal(moved(w, payee, payee, close), 100n);
  assert.equal(w.balance(payer), before - opened.tx.fee - 100n);
  assert.equal(recordOf(w), undefined);
  assert.equal(w.state.count('expiry'), 0);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-20.4: the payer’s notice runs first, once, and cannot be made shorter by giving it again', () => {
  const w = world();
  const before = w.balance(payer);
  const opened = w.transaction(payer, open(w, { notice: 5000 }));
  w.block(opened);
  const given = w.transaction(payer, close);
  const noticedAt = w.context.time;
  w.block(given);
  assert.equal(recordOf(w)?.end, noticedAt + 5000);
  const again = w.transaction(payer, close);
  w.block(again);
  assert.equal(recordOf(w)?.end, noticedAt + 5000);
  const had = w.balance(payee);
  for (let i = 0; i < 3; i += 1) w.block();
  assert.ok(recordOf(w));
  const { events } = w.block();
  assert.equal(events[0]?.kind, 'stream-ended');
  assert.equal(recordOf(w), undefined);
  // One second until the notice, and its five.
  assert.equal(w.balance(payee) - had, 600n);
  const fees = opened.tx.fee + given.tx.fee + again.tx.fee;
  assert.equal(w.balance(payer), before - fees - 600n);
});

test('STATE-20.4: without notice the payer ends it at once', () => {
  const w = world();
  assert.equal(w.send(payer, open(w)), 'ok');
  assert.equal(moved(w, payee, payer, close), 100n);
  assert.equal(recordOf(w), undefined);
});

test('STATE-20.5: it ends by itself when its money or its time ends, and pays to the last unit', () => {
  for (const [changes, pays] of [
    [{ amount: amount(250n) }, 250n],
    [{ end: millis(1_000_000 + 1000 + 2500) }, 250n],
  ] as const) {
    const w = world();
    const before = w.balance(payee);
    assert.equal(w.send(payer, open(w, changes)), 'ok');
    w.block();
    assert.ok(recordOf(w));
    for (let i = 0; i < 2; i += 1) w.block();
    assert.equal(recordOf(w), undefined);
    assert.equal(w.balance(payee) - before, pays);
    assert.equal(w.state.supply(), SUPPLY);
  }
});

test('STATE-20.5: a stream to an account that is not there pays for it when it is opened', () => {
  const w = new World(['payer'], 10n, { accountPrice: 5_000_000n });
  const fresh = person('fresh');
  const { events } = w.block(w.transaction(payer, open(w, { payee: fresh.address, amount: amount(50n) })));
  assert.deepEqual(
    events[0]?.moves?.map(({ kind }) => kind),
    ['account-opened', 'paid'],
  );
  w.block();
  assert.equal(w.balance(fresh), 50n);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-20.6: anyone adds to it, and it goes on for longer; what was due stays due', () => {
  const w = world();
  assert.equal(w.send(payer, open(w, { amount: amount(150n) })), 'ok');
  const ends = endsAt(recordOf(w) as Stream);
  assert.equal(w.send(mallory, { kind: 'fund-stream', stream, amount: amount(1000n) }), 'ok');
  assert.equal(endsAt(recordOf(w) as Stream), ends + 10_000);
  assert.equal(
    w.send(mallory, { kind: 'fund-stream', stream, amount: w.balance(mallory) }),
    'transaction.balance',
  );
  assert.equal(
    w.send(mallory, { kind: 'fund-stream', stream: ZERO_HASH, amount: amount(1n) }),
    'stream.unknown',
  );
  const had = w.balance(payee);
  w.later = 60_000;
  w.block();
  assert.equal(w.balance(payee) - had, 1150n);
  assert.equal(w.state.supply(), SUPPLY);
});
