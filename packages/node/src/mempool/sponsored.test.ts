import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asHash } from '@itc/core/crypto/hash.js';
import { ACTIONS } from '@itc/core/ledger/bodies/access.js';
import type { SponsorshipTerms } from '@itc/core/ledger/bodies/sponsor.js';
import { BODY_CODES, type Body } from '@itc/core/ledger/body.js';
import { asAddress, type Address } from '@itc/core/ledger/address.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import { idText } from '@itc/core/state/record-map.js';
import { NO_DEPOSIT } from '@itc/core/state/record-deposit.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { make } from '../testing/pool.ts';
import { Mempool, MEMPOOL_LIMITS } from './mempool.ts';
import { SPONSORED_LIMITS } from './sponsored-places.ts';

const sponsorship = asHash(new Uint8Array(32).fill(9));
const deviceOf = (n: number): Address => asAddress(new Uint8Array(32).fill(100 + n));

interface Budgets {
  readonly perDevicePerDay: bigint;
  readonly perDay: bigint;
  readonly balance: bigint;
  /** Used today, by the number of the device. */
  readonly used?: Readonly<Record<number, bigint>>;
  readonly nonces?: Readonly<Record<number, number>>;
  readonly gone?: boolean;
}

/** Senders without a balance, and one sponsorship for their devices. */
function stateWith(budgets: Budgets): LedgerState {
  const { perDevicePerDay, perDay, balance, used = {}, nonces = {}, gone } = budgets;
  const terms: SponsorshipTerms = {
    kinds: [BODY_CODES.grant],
    scope: { kind: 'devices', devices: [0, 1, 2, 3].map(deviceOf) },
    perDevicePerDay: amount(perDevicePerDay),
    perDay: amount(perDay),
    expiresAt: millis(1_000_000),
    paysState: true,
  };
  const days = new Map(
    Object.entries(used).map(([n, spent]) => [
      idText(sponsorship) + idText(deviceOf(Number(n))),
      { day: 1, spent: amount(spent), deposit: NO_DEPOSIT },
    ]),
  );
  const bySender = new Map(Object.entries(nonces).map(([n, next]) => [sent(Number(n), 0, 0).account, next]));
  const record = (kind: string, id: string): unknown => {
    if (kind === 'sponsored') return days.get(id);
    if (kind === 'account') return { balance: 0n, nonces: [bySender.get(id) ?? 0] };
    if (kind !== 'sponsorship' || gone === true || id !== idText(sponsorship)) return undefined;
    return { sponsor: deviceOf(50), name: 's', terms, balance: amount(balance), deposit: NO_DEPOSIT };
  };
  return { record, parameters: { feePerByte: 0n, accountPrice: 0n } } as unknown as LedgerState;
}

/** A grant of the device with the sender's number. */
function sent(sender: number, nonce: number, fee: number, device = sender): VerifiedTransaction {
  const grant = {
    device: deviceOf(device),
    subject: deviceOf(77),
    actions: ACTIONS.onOff,
    levelMax: 1,
    notBefore: millis(0),
    expiresAt: millis(1),
  };
  const body: Body = { kind: 'grant', grant };
  return make({ sender, nonce, fee, body, sponsor: sponsorship });
}

const ALL = { bytesMax: 1 << 20, countMax: 1000, exclude: new Set<string>() };
const PLENTY = { perDevicePerDay: 1_000_000n, perDay: 10_000_000n, balance: 100_000_000n };
const codeOf = (found: ReturnType<Mempool['add']>): string => (found.ok ? 'ok' : found.code);

test('NODE-3.11: a sender without ITC waits and goes into a block at its sponsor’s cost', () => {
  const pool = new Mempool();
  const state = stateWith(PLENTY);
  assert.equal(codeOf(pool.add(sent(1, 0, 500), state)), 'ok');
  assert.equal(codeOf(pool.add(sent(1, 1, 500), state)), 'ok');
  assert.equal(pool.take(state, ALL).length, 2);
  assert.equal(codeOf(pool.add(sent(2, 0, 500), stateWith({ ...PLENTY, gone: true }))), 'sponsor.unknown');
});

test('NODE-3.11: attack: a device fills neither its sponsor’s share of the pool nor more than its day pays for', () => {
  const pool = new Mempool();
  const state = stateWith(PLENTY);
  for (let nonce = 0; nonce < SPONSORED_LIMITS.perDeviceMax; nonce += 1)
    assert.equal(codeOf(pool.add(sent(1, nonce, 10), state)), 'ok');
  assert.equal(codeOf(pool.add(sent(1, SPONSORED_LIMITS.perDeviceMax, 10), state)), 'pool.full');
  // By another of its accounts: it is the device that counts.
  assert.equal(codeOf(pool.add(sent(9, 0, 10, 1), state)), 'pool.full');
  assert.equal(codeOf(pool.add(sent(2, 0, 10), state)), 'ok');
  const poor = new Mempool();
  const used = stateWith({ ...PLENTY, used: { 1: 999_000n } });
  assert.equal(codeOf(poor.add(sent(1, 0, 600), used)), 'ok');
  assert.equal(codeOf(poor.add(sent(1, 1, 600), used)), 'sponsor.budget');
});

test('NODE-3.11: attack: many devices together wait for no more than the day and what was paid in', () => {
  for (const budgets of [
    { ...PLENTY, perDay: 1000n },
    { ...PLENTY, balance: 1000n },
  ]) {
    const pool = new Mempool();
    const state = stateWith(budgets);
    assert.equal(codeOf(pool.add(sent(1, 0, 600), state)), 'ok');
    assert.equal(codeOf(pool.add(sent(2, 0, 600), state)), 'sponsor.budget');
    assert.equal(codeOf(pool.add(sent(2, 0, 400), state)), 'ok');
  }
  const small = new Mempool({ ...MEMPOOL_LIMITS, perSponsorshipMax: 2 });
  const state = stateWith(PLENTY);
  assert.equal(codeOf(small.add(sent(1, 0, 1), state)), 'ok');
  assert.equal(codeOf(small.add(sent(2, 0, 1), state)), 'ok');
  assert.equal(codeOf(small.add(sent(3, 0, 1), state)), 'pool.full');
});

test('NODE-3.11: what the sponsor pays no more leaves with the block that made it so', () => {
  const pool = new Mempool();
  const state = stateWith(PLENTY);
  const first = sent(1, 0, 500);
  for (const one of [first, sent(1, 1, 500), sent(2, 0, 500)])
    assert.equal(codeOf(pool.add(one, state)), 'ok');
  pool.committed([first], stateWith({ ...PLENTY, balance: 600n, nonces: { 1: 1 } }), 1);
  assert.equal(pool.size, 1);
  pool.refresh(stateWith({ ...PLENTY, gone: true, nonces: { 1: 1 } }));
  assert.equal(pool.size, 0);
});

test('NODE-3.11: after anything that comes and goes, what waits is within the budgets and the counts are right', () => {
  const step = fc.record({
    sender: fc.nat(3),
    nonce: fc.nat(4),
    fee: fc.nat(400),
    act: fc.constantFrom('add', 'add', 'add', 'commit', 'narrow'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pool = new Mempool({ ...MEMPOOL_LIMITS, perDeviceMax: 3, perSponsorshipMax: 7 });
      const nonces: Record<number, number> = {};
      let budgets: Budgets = { perDevicePerDay: 700n, perDay: 1500n, balance: 2000n };
      let height = 0;
      for (const { sender, nonce, fee, act } of steps) {
        const state = (): LedgerState => stateWith({ ...budgets, nonces });
        if (act === 'add') pool.add(sent(sender, nonce, fee), state());
        else {
          height += 1;
          const taken = act === 'commit' ? pool.take(state(), { ...ALL, countMax: 2 }) : [];
          for (const { tx } of taken) nonces[tx.key.bytes[0] as number] = tx.nonce + 1;
          if (act === 'narrow') budgets = { ...budgets, balance: budgets.balance / 2n };
          pool.committed(taken, state(), act === 'narrow' ? 64 * height : 64 * height + 1);
        }
        const waiting = pool.take(state(), ALL);
        const all = waiting.reduce((sum, { tx }) => sum + tx.fee, 0n);
        assert.ok(all <= budgets.perDay);
        if (act === 'narrow') assert.ok(all <= budgets.balance);
        assert.ok(waiting.length <= 7);
        for (const who of [0, 1, 2, 3]) {
          const own = waiting.filter(({ tx }) => tx.key.bytes[0] === who);
          assert.ok(own.length <= 3);
          assert.ok(own.reduce((sum, { tx }) => sum + tx.fee, 0n) <= budgets.perDevicePerDay);
        }
      }
    }),
    { numRuns: 60 },
  );
});
