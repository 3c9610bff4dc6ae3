import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes, toHex } from '../bytes/hex.ts';
import { ZERO_HASH, asHash, type Hash } from '../crypto/hash.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import { amount, AMOUNT_MAX, epoch, height, millis } from '../ledger/ids.ts';
import { hasCoSigner } from '../ledger/co-signers.ts';
import { anyGuardianship, anyKeySet, anySponsorshipTerms, anyValidatorSet } from '../testing/arbitraries.ts';
import { MARKET_RECORDS } from '../testing/market-arbitraries.ts';
import { bitmapOf } from '../ledger/validators.ts';
import { anyColourRange, termsWith } from '../testing/device-arbitraries.ts';
import { grantBy } from '../testing/devices.ts';
import { memberSet, person } from '../testing/state-world.ts';
import { DEVICE_STATES } from './device-record.ts';
import {
  accountKey,
  deviceKey,
  grantKey,
  parseStateKey,
  stateKey,
  stateKeyHash,
  RECORD_KINDS,
  type RecordKind,
} from './keys.ts';
import { NO_DEPOSIT } from './record-deposit.ts';
import { decodeRecord, encodeRecord, type RecordTypes } from './records.ts';
import { newValidator } from './validator-record.ts';

const hash: fc.Arbitrary<Hash> = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asHash);
const address = hash.map((bytes) => asAddress(bytes));
const counter = fc.maxSafeNat();
const value = fc.bigInt(0n, AMOUNT_MAX).map(amount);
const held = fc.record({ payer: address, amount: value }, { noNullPrototype: true });
const publicKey = hash.map((bytes) => ({ algorithm: 1 as const, bytes }));

const knownTerms = termsWith({
  actions: fc.integer({ min: 1, max: 15 }),
  levelMax: fc.nat(255),
  notBefore: counter.map(millis),
  expiresAt: counter.map(millis),
});

const RECORDS: { readonly [K in RecordKind]: fc.Arbitrary<RecordTypes[K]> } = {
  ...MARKET_RECORDS,
  parameters: fc.record({
    chain: hash,
    feePerByte: value,
    bondPerWeight: value,
    rewardPerCheckpoint: value,
    depositPerByte: value,
    accountPrice: value,
    burnShare: fc.nat(10_000),
  }),
  'co-signing-key': fc.record({ key: address, since: counter.map(height), deposit: held }),
  'co-signers': fc
    .record(
      {
        epoch: fc.nat(0xffff_ffff).map(epoch),
        members: fc.array(
          fc.record(
            { weight: fc.integer({ min: 1, max: 0xffff_ffff }), key: address },
            { noNullPrototype: true },
          ),
          { minLength: 1, maxLength: 8 },
        ),
      },
      { noNullPrototype: true },
    )
    .filter(({ members }) => members.some(hasCoSigner)),
  account: fc
    .record({ balance: value, nonces: fc.array(counter, { maxLength: 16 }) })
    .filter(({ balance, nonces }) => nonces.at(-1) !== 0 && (balance > 0n || nonces.length > 0)),
  maker: fc.record({
    name: fc.string({ unit: 'grapheme-ascii', maxLength: 64 }),
    registeredAt: counter.map(height),
    attestation: fc.option(publicKey, { nil: undefined }),
    deposit: held,
  }),
  batch: fc
    .record({
      maker: address,
      root: hash,
      count: fc.nat(0xffff_ffff),
      model: hash,
      depositPerDevice: value,
      claimed: fc.nat(0xffff_ffff),
      registeredAt: counter.map(height),
      attestation: fc.option(publicKey, { nil: undefined }),
      deposit: held,
    })
    .filter(({ count, claimed }) => claimed <= count),
  device: fc.record({
    key: publicKey,
    owner: address,
    batch: hash,
    model: hash,
    claimedAt: counter.map(millis),
    state: fc.constantFrom(...DEVICE_STATES),
    transfers: fc.nat(0xffff_ffff),
    ownedSince: counter.map(millis),
    history: hash,
    recoveryDelay: counter,
    deposit: held,
  }),
  grant: fc
    .tuple(
      knownTerms,
      fc.record({
        granter: address,
        basis: counter,
        serial: counter,
        rental: fc.option(hash, { nil: undefined }),
        deposit: held,
      }),
    )
    .map(([terms, rest]) => ({ ...terms, ...rest })),
  delegation: fc
    .tuple(
      knownTerms,
      fc.record({
        via: fc.option(address, { nil: undefined }),
        basis: counter,
        serial: counter,
        deposit: held,
      }),
    )
    .map(([terms, rest]) => ({ ...terms, ...rest })),
  group: fc.record({
    name: fc.string({ unit: 'grapheme-ascii', maxLength: 64 }),
    place: fc.boolean(),
    devices: fc
      .uniqueArray(fc.record({ device: address, transfers: fc.nat(9) }, { noNullPrototype: true }), {
        maxLength: 5,
        selector: ({ device }) => toHex(device),
      })
      .map((devices) => devices.toSorted((a, b) => compareBytes(a.device, b.device))),
    serial: counter,
    deposit: held,
  }),
  model: fc
    .tuple(
      fc.record({
        name: fc.string({ unit: 'grapheme-ascii', maxLength: 64 }),
        actions: fc.nat(0xffff),
        levelMax: fc.nat(255),
        registeredAt: counter.map(height),
        deposit: held,
      }),
      fc.option(anyColourRange),
    )
    .map(([model, colour]) => ({ ...model, ...(colour && { colour }) })),
  sale: fc.record({ to: address, price: value, expiresAt: counter.map(millis), deposit: held }),
  'device-recovery': fc
    .record({
      claimant: address,
      readyAt: counter.map(millis),
      expiresAt: counter.map(millis),
      deposit: held,
    })
    .filter(({ readyAt, expiresAt }) => readyAt < expiresAt),
  epoch: fc.record({
    epoch: fc.nat(0xffff_ffff).map(epoch),
    since: counter.map(height),
    validators: anyValidatorSet,
    next: fc.option(
      fc.record({ validators: anyValidatorSet, closes: counter.map(height) }, { noNullPrototype: true }),
      {
        nil: undefined,
      },
    ),
    fees: value,
    reserve: value,
    burned: value,
  }),
  validator: fc
    .record({
      key: publicKey,
      since: counter.map(height),
      bond: value,
      unbonding: fc.uniqueArray(
        fc.record(
          { amount: fc.bigInt(1n, AMOUNT_MAX).map(amount), releaseAt: counter.map(height) },
          { noNullPrototype: true },
        ),
        { maxLength: 8, selector: ({ releaseAt }) => releaseAt },
      ),
      weight: fc.nat(0xffff_ffff),
      votes: fc.uniqueArray(
        fc.record(
          { voter: address, weight: fc.nat(0xffff_ffff), castAt: counter.map(height) },
          { noNullPrototype: true },
        ),
        { maxLength: 4, selector: ({ voter }) => toHex(voter) },
      ),
      jailed: fc.boolean(),
      restartAt: counter.map(height),
    })
    .map((record) => ({
      ...record,
      unbonding: record.unbonding.toSorted((a, b) => a.releaseAt - b.releaseAt),
      votes: record.jailed ? [] : record.votes.toSorted((a, b) => compareBytes(a.voter, b.voter)),
      weight: record.jailed ? 0 : record.weight,
    })),
  subnet: fc.record({
    name: fc.string({ unit: 'grapheme-ascii', maxLength: 64 }),
    members: fc.constant(memberSet),
    powBits: fc.nat(24),
    lastSequence: counter,
    lastHash: hash,
    lastTime: counter.map(millis),
    lastHeight: counter.map(height),
    envelopes: counter,
    payloads: counter,
    deposit: held,
  }),
  membership: fc.record({
    terms: fc.record(
      {
        stakePerWeight: value,
        stakeMin: value,
        delayBlocks: counter,
        isByInvitation: fc.boolean(),
      },
      { noNullPrototype: true },
    ),
    powBits: fc.nat(24),
    turns: fc
      .uniqueArray(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { maxLength: 8 })
      .map((turns) => turns.toSorted((a, b) => a - b)),
  }),
  stake: fc
    .record({
      key: publicKey,
      owner: address,
      stake: value,
      leaving: fc.constant([]),
      isAdmitted: fc.boolean(),
      votes: fc.uniqueArray(address, { maxLength: 4, selector: toHex }),
      isPunished: fc.boolean(),
    })
    .map((stake) => ({
      ...stake,
      votes: stake.isAdmitted || stake.isPunished ? [] : stake.votes.toSorted(compareBytes),
    })),
  turn: fc.record({ members: anyValidatorSet }),
  'checkpoint-range': fc.record({ root: hash }),
  'subnet-base': fc.record({ powBits: fc.nat(255) }),
  'checkpoint-peaks': fc
    .tuple(
      fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      fc.array(hash, { minLength: 53, maxLength: 53 }),
    )
    .map(([count, peaks]) => ({
      count,
      peaks: peaks.slice(0, count.toString(2).replaceAll('0', '').length),
    })),
  escrow: fc
    .record({ held: value, claimable: value, deposits: counter, credited: counter, withdrawals: counter })
    .filter(({ held, claimable, deposits, credited }) => claimable <= held && credited <= deposits),
  deposit: fc.record({ to: address, amount: value, deposit: held }),
  sponsorship: fc.record({
    sponsor: address,
    name: fc.string({ unit: 'grapheme-ascii', maxLength: 64 }),
    terms: anySponsorshipTerms,
    balance: value,
    deposit: held,
  }),
  sponsored: fc.record({ day: fc.nat(0xffff_ffff), spent: value, deposit: held }),
  stream: fc
    .record({
      payer: address,
      payee: address,
      rate: fc.bigInt(1n, AMOUNT_MAX).map(amount),
      period: fc.integer({ min: 1, max: 0xffff_ffff }),
      funded: value,
      paid: value,
      start: counter.map(millis),
      end: counter.map(millis),
      notice: counter,
      device: fc.option(address, { nil: undefined }),
      deposit: held,
    })
    .filter(({ funded, paid, start, end }) => paid <= funded && start <= end),
  'parameter-votes': fc
    .record({
      votes: fc.uniqueArray(
        fc.record({ voter: address, value, castAt: counter.map(height) }, { noNullPrototype: true }),
        { maxLength: 4, selector: ({ voter }) => toHex(voter) },
      ),
      next: fc.option(value, { nil: undefined }),
    })
    .filter(({ votes, next }) => votes.length > 0 || next !== undefined)
    .map(({ votes, next }) => ({ votes: votes.toSorted((a, b) => compareBytes(a.voter, b.voter)), next })),
  expiry: fc.tuple(address, address).map(([device, subject]) => ({ key: grantKey(device, subject) })),
  withdrawals: fc.integer({ min: 1, max: 40 }).chain((count) =>
    fc.record({
      root: hash,
      first: counter,
      count: fc.constant(count),
      unpaid: value,
      paid: fc
        .array(fc.boolean(), { minLength: count, maxLength: count })
        .filter((bits) => bits.includes(false))
        .map((bits) =>
          bitmapOf(
            bits.flatMap((bit, i) => (bit ? [i] : [])),
            count,
          ),
        ),
    }),
  ),
  keys: fc.tuple(anyKeySet, held).map(([set, deposit]) => ({ ...set, deposit })),
  guardians: fc
    .record({
      guardianship: anyGuardianship.filter(({ guardians }) => guardians.length > 0),
      deposit: held,
      choices: fc.array(fc.option(hash, { nil: undefined }), { minLength: 8, maxLength: 8 }),
      pending: fc.option(fc.record({ keys: hash, readyAt: counter.map(millis) }, { noNullPrototype: true }), {
        nil: undefined,
      }),
    })
    .map(({ guardianship, choices, pending, deposit }) => ({
      ...guardianship,
      threshold: 1 + (guardianship.threshold % guardianship.guardians.length),
      votes: guardianship.guardians.flatMap((guardian, i) => {
        const choice = choices[i];
        return choice === undefined ? [] : [{ guardian, choice }];
      }),
      pending,
      deposit,
    })),
};

for (const kind of Object.keys(RECORDS) as RecordKind[]) {
  test(`STATE-1.2: a record of kind ${kind} comes back as it was written`, () => {
    fc.assert(
      fc.property(RECORDS[kind] as fc.Arbitrary<RecordTypes[RecordKind]>, (record) => {
        const decoded = decodeRecord(kind, encodeRecord(kind, record));
        assert.ok(decoded.ok);
        // The spread gives fast-check’s bare objects a prototype.
        assert.deepEqual(decoded.value, { ...record });
      }),
      { numRuns: 40 },
    );
  });

  test(`STATE-1.2: whatever bytes are accepted as ${kind} encode to themselves`, () => {
    const damaged = fc
      .tuple(RECORDS[kind] as fc.Arbitrary<RecordTypes[RecordKind]>, fc.nat(), fc.nat(255), fc.boolean())
      .map(([record, at, byte, cut]) => {
        const bytes = encodeRecord(kind, record);
        bytes[at % bytes.length] = byte;
        return cut ? bytes.slice(0, at % bytes.length) : bytes;
      });
    fc.assert(
      fc.property(damaged, (bytes) => {
        const decoded = decodeRecord(kind, bytes);
        if (decoded.ok) assert.deepEqual(encodeRecord(kind, decoded.value), bytes);
      }),
      { numRuns: 40 },
    );
  });
}

test('STATE-1.2: records that contradict themselves are refused', () => {
  const codeOf = (kind: RecordKind, bytes: Uint8Array): string => {
    const decoded = decodeRecord(kind, bytes);
    return decoded.ok ? 'ok' : decoded.code;
  };
  const account = (balance: bigint, nonces: number[]): string =>
    codeOf('account', encodeRecord('account', { balance: amount(balance), nonces }));
  assert.equal(account(1n, [3, 0]), 'decode.not-canonical');
  assert.equal(account(0n, []), 'decode.not-canonical');
  assert.equal(account(0n, [1]), 'ok');
  assert.equal(
    account(
      1n,
      Array.from({ length: 17 }, () => 1),
    ),
    'decode.too-long',
  );
  const batch = {
    maker: person('a').address,
    root: ZERO_HASH,
    count: 2,
    model: ZERO_HASH,
    depositPerDevice: amount(1n),
    registeredAt: height(1),
    attestation: undefined,
    deposit: NO_DEPOSIT,
  };
  assert.equal(codeOf('batch', encodeRecord('batch', { ...batch, claimed: 2 })), 'ok');
  assert.equal(codeOf('batch', encodeRecord('batch', { ...batch, claimed: 3 })), 'decode.out-of-range');
  const grant = grantBy(person('a').address, millis(9000));
  assert.equal(codeOf('grant', encodeRecord('grant', { ...grant, actions: 0 })), 'decode.out-of-range');
  assert.equal(codeOf('grant', encodeRecord('grant', { ...grant, actions: 16 })), 'decode.out-of-range');
});

test('STATE-1.2: a validator record with empty or unordered parts, unordered votes, or weight after a punishment is refused', () => {
  const [a, b] = ['a', 'b'].map((name) => person(name).address).toSorted(compareBytes) as [Address, Address];
  const { key } = person('key');
  const record = newValidator({ key, since: height(1), bond: amount(9n), weight: 3 });
  const codeOf = (changes: Partial<typeof record>): string => {
    const decoded = decodeRecord('validator', encodeRecord('validator', { ...record, ...changes }));
    return decoded.ok ? 'ok' : decoded.code;
  };
  const part = (value: bigint, at: number): (typeof record.unbonding)[number] => ({
    amount: amount(value),
    releaseAt: height(at),
  });
  const vote = (voter: Address): (typeof record.votes)[number] => ({ voter, weight: 1, castAt: height(1) });
  assert.equal(codeOf({ unbonding: [part(1n, 4), part(1n, 5)], votes: [vote(a), vote(b)] }), 'ok');
  assert.equal(codeOf({ unbonding: [part(0n, 4)] }), 'decode.not-canonical');
  assert.equal(codeOf({ unbonding: [part(1n, 5), part(1n, 4)] }), 'decode.not-canonical');
  assert.equal(codeOf({ unbonding: [part(1n, 5), part(1n, 5)] }), 'decode.not-canonical');
  assert.equal(codeOf({ votes: [vote(b), vote(a)] }), 'decode.not-canonical');
  assert.equal(codeOf({ votes: [vote(a), vote(a)] }), 'decode.not-canonical');
  assert.equal(codeOf({ jailed: true }), 'decode.not-canonical');
  assert.equal(codeOf({ jailed: true, weight: 0, votes: [vote(a)] }), 'decode.not-canonical');
  assert.equal(codeOf({ jailed: true, weight: 0 }), 'ok');
});

test('STATE-1.1: a key is its kind byte and the id, and splits back', () => {
  const a = person('a').address;
  const b = person('b').address;
  assert.deepEqual(deviceKey(a), Uint8Array.from([4, ...a]));
  assert.deepEqual(grantKey(a, b), Uint8Array.from([5, ...a, ...b]));
  assert.deepEqual(parseStateKey(grantKey(a, b)), { kind: 'grant', id: Uint8Array.from([...a, ...b]) });
  assert.deepEqual(parseStateKey(stateKey('parameters')), { kind: 'parameters', id: new Uint8Array(0) });
  assert.throws(() => stateKey('grant', a), RangeError);
  assert.equal(parseStateKey(Uint8Array.of(Object.keys(RECORD_KINDS).length)), undefined);
  assert.equal(parseStateKey(new Uint8Array(0)), undefined);
  assert.equal(parseStateKey(accountKey(a).subarray(0, 32)), undefined);
});

test('STATE-1.1: kinds do not meet in the tree: an account and a device of one address lie apart', () => {
  const a = person('a').address;
  assert.notDeepEqual(stateKeyHash(accountKey(a)), stateKeyHash(deviceKey(a)));
});
