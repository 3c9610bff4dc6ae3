import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes } from '../bytes/hex.ts';
import { asAddress } from '../ledger/address.ts';
import { ACTIONS } from '../ledger/bodies/access.ts';
import type { Body } from '../ledger/body.ts';
import { amount, millis, SUPPLY } from '../ledger/ids.ts';
import { makeBatch, memberSet, person, transfer, World, type Person } from '../testing/state-world.ts';
import { expiresAt, entryId, EXPIRING_KINDS, type ExpiringKind } from './expiry.ts';
import { stateKey } from './keys.ts';
import { eventMovements, receiptMovements } from './movements.ts';
import { STATE_LIMITS } from './limits.ts';
import { depositPrice, holdDeposit, openAccounts, releaseDeposit } from './record-deposit.ts';
import { Draft } from './draft.ts';
import { idBytes } from './record-map.ts';
import { recordBytes } from './records.ts';
import { applyBlock } from './apply.ts';
import { LedgerState } from './ledger-state.ts';

const PER_BYTE = 1000n;
const ACCOUNT = 5_000_000n;
const [alice, bob] = ['alice', 'bob'].map(person) as [Person, Person];
const batch = makeBatch(alice, 'lamp', 3);
const lamp = batch.devices[0]?.device as Person;

function world(): World {
  const w = new World(['alice', 'bob'], 10n, { depositPerByte: PER_BYTE, accountPrice: ACCOUNT });
  assert.equal(w.send(alice, { kind: 'register-maker', name: 'alice' }), 'ok');
  return w;
}

/** Alice owns the first lamp of her batch. */
function owned(): World {
  const w = world();
  assert.equal(w.send(alice, w.registerBatch(alice, batch, 0n)), 'ok');
  assert.equal(w.send(alice, { kind: 'claim', claim: w.claim(batch, 0, alice) }), 'ok');
  return w;
}

const grantUntil = (w: World, subject: Person, after: number): Body => ({
  kind: 'grant',
  grant: {
    device: lamp.address,
    subject: subject.address,
    actions: ACTIONS.onOff,
    levelMax: 100,
    notBefore: millis(0),
    expiresAt: millis(w.context.time + after),
  },
});

test('STATE-18.1: a record takes its deposit from its payer by its bytes, and gives it back when it goes', () => {
  const w = owned();
  const before = w.balance(alice);
  const grant = w.transaction(alice, grantUntil(w, bob, 60_000));
  const { events } = w.block(grant);
  const record = w.state.grant(lamp.address, bob.address);
  assert.ok(record);
  const price = PER_BYTE * BigInt(recordBytes('grant', record) + 64);
  assert.deepEqual(record.deposit, { payer: alice.address, amount: price });
  assert.equal(w.balance(alice), before - grant.tx.fee - price);
  assert.deepEqual(events[0]?.moves, [{ kind: 'deposit-held', account: alice.address, amount: price }]);
  const revoke = w.transaction(alice, { kind: 'revoke', device: lamp.address, subject: bob.address });
  const revoked = w.block(revoke);
  assert.equal(w.balance(alice), before - grant.tx.fee - revoke.tx.fee);
  assert.deepEqual(revoked.events[0]?.moves, [
    { kind: 'deposit-returned', account: alice.address, amount: price },
  ]);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-18.1: whatever is held and released in any order, nothing is made or lost, and who paid has it back', () => {
  const step = fc.record({ who: fc.nat(1), bytes: fc.nat(300), release: fc.boolean(), which: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const w = world();
      const draft = new Draft(w.state);
      const held: Parameters<typeof releaseDeposit>[1][] = [];
      const total = (): bigint =>
        [alice, bob].reduce((sum, { address }) => sum + draft.account(address).balance, 0n) +
        held.reduce((sum, { amount: value }) => sum + value, 0n);
      const before = total();
      for (const { who, bytes, release, which } of steps) {
        const { address } = who === 0 ? alice : bob;
        const had = draft.account(address).balance;
        const [one] = release ? held.splice(which % (held.length + 1), 1) : [];
        if (one !== undefined) releaseDeposit(draft, one);
        else {
          const deposit = holdDeposit(draft, address, bytes);
          assert.ok(deposit.ok);
          assert.deepEqual(deposit.value, { payer: address, amount: depositPrice(PER_BYTE, bytes) });
          assert.equal(draft.account(address).balance, had - deposit.value.amount);
          held.push(deposit.value);
        }
        assert.equal(total(), before);
      }
    }),
    { numRuns: 50 },
  );
});

test('STATE-18.2: who cannot pay deposit and amount together is refused, and nothing but the fee is taken', () => {
  const w = world();
  const poor = person('poor');
  assert.equal(w.send(alice, transfer(poor, 50_000n)), 'ok');
  const sent = w.transaction(poor, { kind: 'register-maker', name: 'poor' });
  const [receipt] = w.block(sent).receipts;
  assert.equal(receipt?.outcome.ok === false && receipt.outcome.code, 'transaction.deposit');
  assert.equal(w.balance(poor), 50_000n - sent.tx.fee);
  assert.equal(w.state.maker(poor.address), undefined);
  // A deposit beside an amount: either alone could be paid.
  const draft = new Draft(w.state);
  const { balance } = draft.account(poor.address);
  assert.ok(!holdDeposit(draft, poor.address, 0, { value: balance }).ok);
  assert.ok(!openAccounts(draft, poor.address, [person('new').address], balance).ok);
  assert.equal(draft.account(poor.address).balance, balance);
  assert.deepEqual(draft.moves, []);
});

test('STATE-18.3: a record written again keeps its deposit and payer; one of another size exchanges it', () => {
  const w = owned();
  assert.equal(w.send(alice, grantUntil(w, bob, 60_000)), 'ok');
  const first = w.state.grant(lamp.address, bob.address)?.deposit;
  const before = w.balance(alice);
  const again = w.transaction(alice, grantUntil(w, bob, 90_000));
  const { events } = w.block(again);
  assert.deepEqual(w.state.grant(lamp.address, bob.address)?.deposit, first);
  assert.equal(events[0]?.moves, undefined);
  assert.equal(w.balance(alice), before - again.tx.fee);
  const body = grantUntil(w, bob, 90_000) as Extract<Body, { kind: 'grant' }>;
  assert.equal(w.send(alice, { kind: 'grant', grant: { ...body.grant, uses: 3 } }), 'ok');
  const larger = w.state.grant(lamp.address, bob.address)?.deposit;
  assert.ok(first && larger && larger.amount > first.amount);
  assert.equal(w.state.supply(), SUPPLY);
});

/** Every record of a kind in the list, with what its deposit must be. */
function depositsOf(state: LedgerState): { kind: string; held: bigint; price: bigint }[] {
  const kinds = ['maker', 'batch', 'device', 'grant', 'deposit', 'sponsorship', 'stream'] as const;
  return kinds.flatMap((kind) =>
    [...state.records.walk(kind)].map(([, record]) => ({
      kind,
      held: record.deposit.amount,
      price: depositPrice(PER_BYTE, recordBytes(kind, record)),
    })),
  );
}

test('STATE-18.4: makers, batches, devices, grants, subnets hold what their bytes cost; what genesis made holds none', () => {
  const w = owned();
  assert.equal(w.send(alice, grantUntil(w, bob, 60_000)), 'ok');
  assert.equal(w.send(alice, { kind: 'create-subnet', name: 'house', members: memberSet, powBits: 3 }), 'ok');
  const found = depositsOf(w.state);
  assert.deepEqual(new Set(found.map(({ kind }) => kind)), new Set(['maker', 'batch', 'device', 'grant']));
  for (const { kind, held, price } of found) assert.equal(held, price, kind);
  for (const { subnet } of w.state.subnets())
    assert.equal(subnet.deposit.amount > 0n, subnet.name === 'house');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-18.5: whoever first pays to an account pays for it once; dust accounts cost their maker', () => {
  const w = world();
  const dust = Array.from({ length: 3 }, (_, i) => ({ to: person(`dust-${i}`).address, amount: amount(1n) }));
  const before = w.balance(alice);
  // One of them twice: an account is paid for once.
  const outputs = [...dust, dust[0] as (typeof dust)[number]];
  const sent = w.transaction(alice, { kind: 'transfers', outputs });
  const { events } = w.block(sent);
  assert.equal(w.balance(alice), before - sent.tx.fee - 4n - 3n * ACCOUNT);
  assert.deepEqual(events[0]?.moves, [
    { kind: 'account-opened', account: alice.address, amount: 3n * ACCOUNT },
  ]);
  assert.equal(w.state.epoch.fees >= 3n * ACCOUNT, true);
  const again = w.transaction(alice, { kind: 'transfers', outputs });
  w.block(again);
  assert.equal(w.balance(alice), before - sent.tx.fee - again.tx.fee - 8n - 3n * ACCOUNT);
  // What cannot pay for the account does not make it.
  const poor = person('poor');
  assert.equal(w.send(alice, transfer(poor, ACCOUNT)), 'ok');
  const nobody = asAddress(new Uint8Array(32).fill(7));
  assert.equal(w.send(poor, { kind: 'transfer', to: nobody, amount: amount(1n) }), 'transaction.deposit');
  assert.equal(w.state.account(nobody), undefined);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-18.5: where bytes are free, an account without a record still makes none by sending', () => {
  const w = new World(['alice'], 0n, { accountPrice: ACCOUNT });
  assert.equal(w.send(person('nobody'), transfer(alice, 0n)), 'transaction.balance');
  assert.equal(w.state.account(person('nobody').address), undefined);
});

test('STATE-18.6: an expired grant goes with the first block from its time on, and its deposit returns', () => {
  const w = owned();
  const before = w.balance(alice);
  const grant = w.transaction(alice, grantUntil(w, bob, 2000));
  w.block(grant);
  w.block();
  assert.ok(w.state.grant(lamp.address, bob.address));
  const { events } = w.block();
  assert.equal(w.state.grant(lamp.address, bob.address), undefined);
  const [event] = events;
  assert.equal(event?.kind, 'grant-expired');
  assert.deepEqual(
    event?.moves?.map(({ kind, account }) => [kind, account]),
    [['deposit-returned', alice.address]],
  );
  assert.equal(w.balance(alice), before - grant.tx.fee);
  assert.equal(w.state.count('expiry'), 0);
});

test('STATE-18.6: one block collects a bounded number, in the order of their times, and the next ones the rest', () => {
  const w = owned();
  const extra = 3;
  const many = STATE_LIMITS.expiriesPerBlock + extra;
  const { time } = w.context;
  for (let from = 0; from < many; from += 64) {
    const count = Math.min(64, many - from);
    w.block(
      ...Array.from({ length: count }, (_, i) => {
        const body = grantUntil(w, person(`guest-${from + i}`), 0) as Extract<Body, { kind: 'grant' }>;
        const grant = { ...body.grant, expiresAt: millis(time + 100_000 + many - from - i) };
        return w.transaction(
          alice,
          { kind: 'grant', grant },
          { lane: i % 16, nonce: nonceOf(w, i % 16) + Math.floor(i / 16) },
        );
      }),
    );
  }
  assert.equal(w.state.count('grant'), many);
  w.later = 1_000_000;
  w.block();
  const left = [...w.state.grants()].map(({ grant }) => grant.expiresAt).toSorted((a, b) => a - b);
  assert.deepEqual(
    left,
    [many - 2, many - 1, many].map((i) => time + 100_000 + i),
  );
  w.block();
  assert.equal(w.state.count('grant'), 0);
  assert.equal(w.state.supply(), SUPPLY);
});

function nonceOf(w: World, lane: number): number {
  return w.state.account(alice.address)?.nonces[lane] ?? 0;
}

test('STATE-18.6: a state that forgets what it knew of the queue, after a restart, collects the same', () => {
  const step = fc.record({ subject: fc.nat(5), after: fc.integer({ min: 1, max: 9 }), skip: fc.nat(4) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
      const w = owned();
      for (const { subject, after, skip } of steps) {
        w.later += 700 * skip;
        const sent = w.transaction(alice, grantUntil(w, person(`guest-${subject}`), 1000 * after));
        const again = LedgerState.fromRecords(w.state.entries());
        assert.ok(again.ok);
        const restarted = applyBlock(again.value, w.context, [sent]);
        const { state, events } = w.block(sent);
        assert.deepEqual(restarted.state.root, state.root);
        assert.deepEqual(restarted.events, events);
        for (const [id] of state.records.walk('expiry')) assert.ok(id >= state.queueFrom);
      }
    }),
    { numRuns: 25 },
  );
});

/** What the queue must hold, by the records themselves. */
function queueOf(state: LedgerState): string[] {
  const found = (kind: ExpiringKind): string[] =>
    [...state.records.walk(kind)].flatMap(([id, record]) => {
      const at = expiresAt(kind, record);
      return at === undefined ? [] : [entryId(at, stateKey(kind, idBytes(id)))];
    });
  return EXPIRING_KINDS.flatMap(found).toSorted();
}

test('STATE-18.7: a grant replaced with a later end survives the earlier one; the queue has one entry per record', () => {
  const w = owned();
  assert.equal(w.send(alice, grantUntil(w, bob, 2000)), 'ok');
  assert.equal(w.send(alice, grantUntil(w, bob, 60_000)), 'ok');
  for (let i = 0; i < 5; i += 1) w.block();
  assert.ok(w.state.grant(lamp.address, bob.address));
  assert.deepEqual(
    [...w.state.records.walk('expiry')].map(([id]) => id),
    queueOf(w.state),
  );
  assert.equal(w.state.count('expiry'), 1);
});

test('STATE-18.7: after any grants and revocations the queue holds exactly what the records say', () => {
  const step = fc.record({ subject: fc.nat(3), after: fc.integer({ min: 1, max: 8 }), revoke: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const w = owned();
      for (const { subject, after, revoke } of steps) {
        const guest = person(`guest-${subject}`);
        w.send(
          alice,
          revoke
            ? { kind: 'revoke', device: lamp.address, subject: guest.address }
            : grantUntil(w, guest, 1000 * after),
        );
        assert.deepEqual(
          [...w.state.records.walk('expiry')].map(([id]) => id),
          queueOf(w.state),
        );
        for (const { grant } of w.state.grants()) assert.ok(grant.expiresAt > w.context.time - 1000);
        assert.equal(w.state.supply(), SUPPLY);
      }
    }),
    { numRuns: 25 },
  );
});

test('STATE-18.8: receipts and events add up to the change of every balance, fees of refused transactions included', () => {
  const w = owned();
  const before = new Map([alice, bob].map((who) => [who, w.balance(who)]));
  const nonce = nonceOf(w, 0);
  const { receipts, events } = w.block(
    w.transaction(alice, grantUntil(w, bob, 60_000), { nonce }),
    w.transaction(alice, transfer(bob, 77n), { nonce: nonce + 1 }),
    w.transaction(alice, { kind: 'register-maker', name: 'again' }, { nonce: nonce + 2 }),
  );
  const told = [...receipts.flatMap(receiptMovements), ...events.flatMap(eventMovements)];
  for (const [{ address }, had] of before) {
    const own = told.filter(({ account }) => equalBytes(account, address));
    const sum = own.reduce((total, { change }) => total + change, 0n);
    assert.equal((w.state.account(address)?.balance ?? 0n) - had, sum);
  }
  assert.deepEqual(told.map(({ reason }) => reason).toSorted(), [
    'deposit-held',
    'fee',
    'fee',
    'fee',
    'transfer',
    'transfer',
  ]);
});
