/** fast-check generators of renting and firmware: bodies and records. Their parts are made here, because bodies of all kinds need them. */
import fc from 'fast-check';
import { compareBytes, toHex } from '../bytes/hex.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import { compareKeys, type PublicKey } from '../crypto/signature.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import type { FirmwareBody } from '../ledger/bodies/firmware.ts';
import type { RentalBody } from '../ledger/bodies/rental.ts';
import type {
  Attestation,
  ChannelForm,
  ReleaseForm,
  Role,
  RoleSignature,
  Version,
} from '../ledger/firmware.ts';
import { amount, AMOUNT_MAX, millis, type Amount, type Millis } from '../ledger/ids.ts';
import { RENTAL_EVENTS, RENTAL_UNITS, type RentalTerms, type RentalWord } from '../ledger/rental.ts';
import type { RecordTypes } from '../state/records.ts';

type Arbitrary<T> = fc.Arbitrary<T>;

function record<T>(model: { [K in keyof T]: Arbitrary<T[K]> }): Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as Arbitrary<T>;
}

const bytes = (minLength: number, maxLength = minLength): Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength }).map((value) => new Uint8Array(value));
const hash: Arbitrary<Hash> = bytes(32).map(asHash);
const address: Arbitrary<Address> = bytes(32).map(asAddress);
const counter = fc.maxSafeNat();
const time: Arbitrary<Millis> = counter.map(millis);
const value: Arbitrary<Amount> = fc.bigInt({ min: 0n, max: AMOUNT_MAX }).map(amount);
const u32 = fc.nat(0xffff_ffff);
const board = fc.string({ unit: 'grapheme-ascii', maxLength: 20 });
const orNone = <T>(arbitrary: Arbitrary<T>): Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const deposit = record({ payer: address, amount: value });

export const anyRentalTerms: Arbitrary<RentalTerms> = record({
  unit: fc.constantFrom(...RENTAL_UNITS),
  price: value,
  minimum: u32,
  maximum: u32,
  duration: time,
  deposit: value,
  carriage: value,
  startWithin: time,
  window: time,
  arbiter: orNone(address),
  actions: fc.nat(0xffff),
  levelMax: fc.nat(255),
});

export const anyRentalWord: Arbitrary<RentalWord> = record({
  rental: hash,
  event: fc.constantFrom(...RENTAL_EVENTS),
  at: time,
  uses: u32,
}).map((word) => (word.event === 'started' ? { ...word, uses: 0 } : word));

const word = bytes(0, 60);

export const anyRentalBody: Arbitrary<RentalBody> = fc.oneof(
  record({
    kind: fc.constant('offer-rental' as const),
    device: address,
    terms: anyRentalTerms,
    expiresAt: time,
  }),
  record({ kind: fc.constant('withdraw-offer' as const), device: address }),
  record({ kind: fc.constant('rent' as const), device: address, terms: hash, maximum: u32 }),
  record({
    kind: fc.constantFrom('rental-start' as const, 'rental-use' as const, 'rental-stop' as const),
    word,
  }),
  record({ kind: fc.constant('end-rental' as const), device: address }),
  record({
    kind: fc.constantFrom('claim-damage' as const, 'answer-claim' as const),
    rental: hash,
    amount: value,
  }),
);

const version: Arbitrary<Version> = record({ major: fc.nat(0xffff), minor: fc.nat(0xffff), patch: u32 });

const key: Arbitrary<PublicKey> = fc.oneof(
  bytes(32).map((key) => ({ algorithm: 1 as const, bytes: key })),
  bytes(33).map((key) => ({ algorithm: 2 as const, bytes: key })),
);

const role: Arbitrary<Role> = fc
  .tuple(
    fc.uniqueArray(key, { minLength: 1, maxLength: 5, selector: ({ bytes: own }) => toHex(own) }),
    fc.nat(),
  )
  .map(([keys, n]) => ({ keys: keys.toSorted(compareKeys), threshold: 1 + (n % keys.length) }));

const channelForm: Arbitrary<ChannelForm> = record({
  version: fc.integer({ min: 1, max: 0xffff_ffff }),
  root: role,
  release: role,
  expiresAt: time,
});

const releaseForm: Arbitrary<ReleaseForm> = record({
  version,
  manifest: hash,
  image: hash,
  size: counter,
  counter: u32,
  minimum: version,
  dependencies: fc
    .uniqueArray(record({ channel: hash, minimum: version }), {
      maxLength: 4,
      selector: ({ channel }) => toHex(channel),
    })
    .map((all) => all.toSorted((a, b) => compareBytes(a.channel, b.channel))),
});

const rollout = record({ step: u32, share: fc.nat(10_000), halted: fc.boolean() });

const signatures: Arbitrary<readonly RoleSignature[]> = fc
  .uniqueArray(record({ index: fc.nat(255), signature: bytes(0, 80) }), {
    maxLength: 4,
    selector: ({ index }) => index,
  })
  .map((all) => all.toSorted((a, b) => a.index - b.index));

const release = { channel: hash, number: counter };

export const anyFirmwareBody: Arbitrary<FirmwareBody> = fc.oneof(
  record({
    kind: fc.constant('create-channel' as const),
    model: hash,
    board,
    form: channelForm,
    signatures,
  }),
  record({
    kind: fc.constant('rotate-channel' as const),
    channel: hash,
    form: channelForm,
    signatures,
    accepted: signatures,
  }),
  record({ kind: fc.constant('release-firmware' as const), ...release, form: releaseForm, signatures }),
  record({ kind: fc.constant('approve-release' as const), ...release, signatures }),
  record({ kind: fc.constant('roll-out' as const), ...release, step: rollout, signatures }),
  record({
    kind: fc.constant('report-installs' as const),
    ...release,
    subnet: hash,
    count: u32,
    failures: u32,
    root: hash,
  }),
);

export const anyAttestation: Arbitrary<Attestation> = record({
  ...release,
  version,
  outcome: fc.constantFrom('installed' as const, 'failed' as const),
  boots: u32,
  measurement: hash,
});

type MarketKind = 'rental-offer' | 'rental' | 'settlement' | 'channel' | 'release' | 'installs';

const half = fc.nat(2 ** 50).map(millis);

/** Records of all these kinds, as a state may hold them. */
export const MARKET_RECORDS: { readonly [K in MarketKind]: Arbitrary<RecordTypes[K]> } = {
  'rental-offer': record({ owner: address, terms: anyRentalTerms, expiresAt: time, deposit }),
  rental: record({
    id: hash,
    owner: address,
    renter: address,
    terms: fc
      .tuple(anyRentalTerms, half, half)
      .map(([terms, startWithin, window]) => ({ ...terms, startWithin, window })),
    maximum: u32,
    rentedAt: half,
    running: orNone(
      fc.tuple(half, fc.nat(2 ** 50), u32, counter).map(([startedAt, length, uses, last]) => ({
        startedAt,
        end: millis(startedAt + length),
        uses,
        counter: last,
      })),
    ),
    deposit,
  }),
  settlement: record({
    device: address,
    owner: address,
    renter: address,
    arbiter: orNone(address),
    window: time,
    held: fc.bigInt({ min: 1n, max: AMOUNT_MAX }).map(amount),
    claim: fc.boolean(),
    until: time,
    deposit,
  }).map(({ claim, ...rest }) => ({
    ...rest,
    claim: claim ? { amount: rest.held, conceded: amount(rest.held / 2n) } : undefined,
  })),
  channel: fc
    .record(
      {
        maker: address,
        model: hash,
        board,
        form: channelForm,
        newest: fc.nat(2 ** 50),
        counter: u32,
        deposit,
      },
      { noNullPrototype: true },
    )
    .map((channel) => ({
      ...channel,
      releaseSince: channel.form.version,
      oldest: Math.max(1, channel.newest - 3),
    })),
  release: record({
    form: releaseForm,
    approvals: fc.integer({ min: 1, max: 255 }),
    approvedUnder: u32,
    approvedAt: time,
    rollout,
    deposit,
  }),
  installs: fc
    .integer({ min: 1, max: 0xffff_ffff })
    .chain((count) =>
      record({ count: fc.constant(count), failures: fc.nat(count), root: hash, at: time, deposit }),
    ),
};
