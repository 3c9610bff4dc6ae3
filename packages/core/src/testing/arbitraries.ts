/** fast-check generators of ledger structures, and the property every strict codec has. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareBytes, equalBytes, toHex } from '../bytes/hex.ts';
import type { Result } from '../bytes/result.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import { EMPTY_MERKLE_ROOT } from '../crypto/merkle.ts';
import { compareKeys, ED25519, KEY_BYTES, type Algorithm, type PublicKey } from '../crypto/signature.ts';
import { keySetOf, type KeySet } from '../ledger/account-keys.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import { HEADER_VERSION, type Block, type Certificate, type Header } from '../ledger/block.ts';
import type { CheckpointCertificate, SubnetCheckpoint } from '../ledger/checkpoint.ts';
import type { Cosigner } from '../ledger/cosigners.ts';
import { KELVIN_MAX, KELVIN_MIN, REFUSALS, type Acknowledgement, type Command } from '../ledger/command.ts';
import { VALUE_MIN, type CheckpointValue } from '../ledger/escrow.ts';
import type { Evidence } from '../ledger/evidence.ts';
import type { Envelope } from '../ledger/envelope.ts';
import type { Genesis } from '../ledger/genesis.ts';
import type { MemberFault } from '../ledger/member-fault.ts';
import {
  amount,
  AMOUNT_MAX,
  epoch,
  height,
  millis,
  SUPPLY,
  view,
  type Amount,
  type Height,
  type Millis,
} from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Guardianship } from '../ledger/bodies/keys.ts';
import { PARAMETER_NAMES } from '../ledger/bodies/parameters.ts';
import type { SponsorshipTerms } from '../ledger/bodies/sponsor.ts';
import type { Body } from '../ledger/body.ts';
import type { Transaction } from '../ledger/transaction.ts';
import { sortValidators, type ValidatorSet } from '../ledger/validators.ts';
import { anyAccessBody, anyDeviceLifeBody } from './device-arbitraries.ts';
import { anyFirmwareBody, anyRentalBody } from './market-arbitraries.ts';

type Arbitrary<T> = fc.Arbitrary<T>;

/** Plain objects, so that they compare equal to decoded ones. */
function record<T>(model: { [K in keyof T]: Arbitrary<T[K]> }): Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as Arbitrary<T>;
}

const bytes = (length: number): Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => new Uint8Array(value));
const upTo = (max: number): Arbitrary<Uint8Array> =>
  fc.uint8Array({ maxLength: max }).map((value) => new Uint8Array(value));

export const anyHash: Arbitrary<Hash> = bytes(32).map(asHash);
export const anyAddress: Arbitrary<Address> = bytes(32).map(asAddress);
export const anyKey: Arbitrary<PublicKey> = bytes(32).map((key) => ({ algorithm: ED25519, bytes: key }));
export const anySignature: Arbitrary<Uint8Array> = bytes(64);
export const anyCounter: Arbitrary<number> = fc.maxSafeNat();
export const anyMillis: Arbitrary<Millis> = fc.maxSafeNat().map(millis);
export const anyHeight: Arbitrary<Height> = fc.maxSafeNat().map(height);
export const anyAmount: Arbitrary<Amount> = fc.bigInt({ min: 0n, max: AMOUNT_MAX }).map(amount);
const smallAmount: Arbitrary<Amount> = fc.bigInt({ min: 0n, max: 1_000_000_000n }).map(amount);
const u32 = fc.nat(0xffff_ffff);

/** Keys of all schemes; ML-DSA is rare because its keys are long. */
export const anyAccountKey: Arbitrary<PublicKey> = fc
  .constantFrom<Algorithm>(1, 1, 1, 2, 2, 3, 4)
  .chain((algorithm) => bytes(KEY_BYTES[algorithm]).map((key) => ({ algorithm, bytes: key })));

export const anyKeySet: Arbitrary<KeySet> = fc
  .uniqueArray(record({ key: anyAccountKey, weight: fc.integer({ min: 1, max: 255 }) }), {
    minLength: 1,
    maxLength: LIMITS.signersMax,
    selector: ({ key }) => toHex(key.bytes),
  })
  .chain((keys) => {
    const sum = keys.reduce((total, { weight }) => total + weight, 0);
    return fc.integer({ min: 1, max: sum }).map((threshold) => keySetOf(keys, threshold));
  });

/** In order, whether or not they may guard anything. */
export const anyGuardianship: Arbitrary<Guardianship> = record({
  guardians: fc
    .uniqueArray(anyAddress, { maxLength: LIMITS.guardiansMax, selector: (address) => toHex(address) })
    .map((guardians) => guardians.toSorted(compareBytes)),
  threshold: fc.nat(255),
  delay: anyMillis,
});
/** At most 64 bytes in UTF-8. */
const anyText = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((text) => Buffer.byteLength(text) <= 64 && !/\p{Cs}/u.test(text));

/** Three members or fewer, or four to eight of equal weight: always acceptable. */
export const anyValidatorSet: Arbitrary<ValidatorSet> = fc
  .tuple(
    fc.uniqueArray(anyKey, { minLength: 1, maxLength: 8, selector: (key) => toHex(key.bytes) }),
    fc.integer({ min: 1, max: 1000 }),
  )
  .map(([keys, weight]) => sortValidators(keys.map((key) => ({ key, weight }))));

const anyCheckpointValue: Arbitrary<CheckpointValue> = fc.oneof(
  record({
    deposits: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    withdrawalRoot: anyHash,
    withdrawalCount: fc.integer({ min: 1, max: LIMITS.withdrawalsMax }),
    withdrawn: fc.bigInt({ min: BigInt(LIMITS.withdrawalsMax) * VALUE_MIN, max: AMOUNT_MAX }).map(amount),
  }),
  record({
    deposits: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    withdrawalRoot: fc.constant(EMPTY_MERKLE_ROOT),
    withdrawalCount: fc.constant(0),
    withdrawn: fc.constant(amount(0n)),
  }),
);

const checkpointFields = {
  subnet: anyHash,
  sequence: anyCounter,
  previous: anyHash,
  time: anyMillis,
  anchors: fc
    .uniqueArray(anyHash, { minLength: 1, maxLength: 4, selector: (hash) => toHex(hash) })
    .map((anchors) => anchors.toSorted(compareBytes)),
  inclusionRoot: anyHash,
  appliedRoot: anyHash,
  stateRoot: anyHash,
  envelopeCount: u32,
  payloadCount: u32,
  powBits: fc.nat(24),
};

export const anyCheckpoint: Arbitrary<SubnetCheckpoint> = fc.oneof(
  record(checkpointFields),
  record({ ...checkpointFields, value: anyCheckpointValue }),
);

export const anyCheckpointCertificate: Arbitrary<CheckpointCertificate> = record({
  checkpoint: anyCheckpoint,
  signers: upTo(4),
  signatures: fc.array(anySignature, { maxLength: 4 }),
});

const anyStatement = {
  culprit: anyKey,
  epoch: u32.map(epoch),
  height: anyHeight,
};

export const anyEvidence: Arbitrary<Evidence> = fc.oneof(
  record({
    kind: fc.constantFrom('pre-prepare' as const, 'prepare' as const, 'commit' as const),
    ...anyStatement,
    view: anyCounter.map(view),
    first: record({ hash: anyHash, signature: anySignature }),
    second: record({ hash: anyHash, signature: anySignature }),
  }),
  record({
    kind: fc.constant('checkpoint' as const),
    ...anyStatement,
    first: record({ hash: anyHash, stateRoot: anyHash, signature: anySignature }),
    second: record({ hash: anyHash, stateRoot: anyHash, signature: anySignature }),
  }),
);

/** Of the form every envelope has; the signature is anybody's. */
const anyEnvelope: Arbitrary<Envelope> = fc
  .tuple(
    record({ subnet: anyHash, issuer: anyKey, lane: fc.nat(15), time: anyCounter, anchor: anyHash }),
    record({ payloadRoot: anyHash, payloadCount: fc.nat(512), nonce: anyCounter, signature: anySignature }),
  )
  .map(([head, rest]) => ({
    ...head,
    ...rest,
    time: millis(head.time),
    sequence: 1,
    previous: head.subnet,
    parents: [head.subnet],
  }));

const anyFault: Arbitrary<MemberFault> = fc.oneof(
  record({ kind: fc.constant('equivocation' as const), first: anyEnvelope, second: anyEnvelope }),
  record({
    kind: fc.constant('forgery' as const),
    envelope: anyEnvelope,
    index: fc.nat(511),
    path: fc.array(anyHash, { maxLength: 9 }),
    bytes: fc.uint8Array({ maxLength: 100 }),
  }),
);

const anyMemberStake = record({ key: anyKey, amount: anyAmount, possession: anySignature });

const anyList = fc
  .uniqueArray(anyAddress, { minLength: 1, maxLength: 4, selector: (address) => toHex(address) })
  .map((list) => list.toSorted(compareBytes));

export const anySponsorshipTerms: Arbitrary<SponsorshipTerms> = record({
  kinds: fc
    .uniqueArray(fc.nat(255), { minLength: 1, maxLength: 8 })
    .map((kinds) => kinds.toSorted((a, b) => a - b)),
  scope: fc.oneof(
    record({ kind: fc.constant('batch' as const), batch: anyHash }),
    record({ kind: fc.constant('model' as const), model: anyHash }),
    record({ kind: fc.constant('maker' as const), maker: anyAddress }),
    record({ kind: fc.constant('devices' as const), devices: anyList }),
    record({ kind: fc.constant('accounts' as const), accounts: anyList }),
  ),
  perDevicePerDay: anyAmount,
  perDay: anyAmount,
  expiresAt: anyMillis,
  paysState: fc.boolean(),
});

const anyTokenBody: Arbitrary<Body> = fc.oneof(
  record({
    kind: fc.constant('open-sponsorship' as const),
    name: anyText,
    terms: anySponsorshipTerms,
    amount: anyAmount,
  }),
  record({ kind: fc.constant('fund-sponsorship' as const), sponsorship: anyHash, amount: anyAmount }),
  record({
    kind: fc.constant('change-sponsorship' as const),
    sponsorship: anyHash,
    terms: anySponsorshipTerms,
  }),
  record({ kind: fc.constant('close-sponsorship' as const), sponsorship: anyHash }),
  record({
    kind: fc.constant('open-stream' as const),
    number: anyCounter,
    payee: anyAddress,
    rate: anyAmount,
    period: u32,
    amount: anyAmount,
    start: anyMillis,
    end: anyMillis,
    notice: anyCounter,
    device: fc.option(anyAddress, { nil: undefined }),
  }),
  record({ kind: fc.constant('fund-stream' as const), stream: anyHash, amount: anyAmount }),
  record({ kind: fc.constantFrom('settle-stream' as const, 'close-stream' as const), stream: anyHash }),
  record({
    kind: fc.constant('parameter-vote' as const),
    parameter: fc.constantFrom(...PARAMETER_NAMES),
    value: anyAmount,
  }),
);

export const anyBody: Arbitrary<Body> = fc.oneof(
  anyTokenBody,
  anyRentalBody,
  anyFirmwareBody,
  record({ kind: fc.constant('transfer' as const), to: anyAddress, amount: anyAmount }),
  record({
    kind: fc.constant('transfers' as const),
    outputs: fc.array(record({ to: anyAddress, amount: anyAmount }), { minLength: 1, maxLength: 4 }),
  }),
  record({ kind: fc.constant('register-maker' as const), name: anyText }),
  record({ kind: fc.constant('register-maker' as const), name: anyText, attestation: anyKey }),
  record({
    kind: fc.constant('register-batch' as const),
    batch: fc.oneof(
      record({ root: anyHash, count: u32, model: anyHash, depositPerDevice: anyAmount }),
      record({
        root: anyHash,
        count: u32,
        model: anyHash,
        depositPerDevice: anyAmount,
        attestation: anySignature,
      }),
    ),
  }),
  record({
    kind: fc.constant('claim' as const),
    claim: record({
      batch: anyHash,
      device: anyKey,
      claimKey: anyKey,
      index: u32,
      path: fc.array(anyHash, { maxLength: 5 }),
      endorsement: anySignature,
      proof: anySignature,
    }),
  }),
  anyDeviceLifeBody,
  anyAccessBody,
  record({
    kind: fc.constant('create-subnet' as const),
    name: anyText,
    members: anyValidatorSet,
    powBits: fc.nat(255),
  }),
  record({ kind: fc.constant('checkpoint' as const), certificate: anyCheckpointCertificate }),
  record({
    kind: fc.constant('bond' as const),
    key: anyKey,
    amount: anyAmount,
    possession: anySignature,
  }),
  record({ kind: fc.constant('unbond' as const), amount: anyAmount }),
  record({ kind: fc.constant('weight-vote' as const), validator: anyAddress, weight: u32 }),
  record({ kind: fc.constant('evidence' as const), evidence: anyEvidence }),
  record({ kind: fc.constant('restart' as const) }),
  fc
    .tuple(bytes(1312), bytes(2420), fc.option(record({ key: bytes(1312), consent: bytes(2420) })))
    .map(([key, possession, former]) => ({
      kind: 'co-sign' as const,
      key,
      possession,
      ...(former && { former }),
    })),
  record({
    kind: fc.constant('found-subnet' as const),
    name: anyText,
    powBits: fc.nat(255),
    terms: record({
      stakePerWeight: anyAmount,
      stakeMin: anyAmount,
      delayBlocks: anyCounter,
      isByInvitation: fc.boolean(),
    }),
    members: fc.array(anyMemberStake, { maxLength: 4 }),
  }),
  fc
    .tuple(anyHash, anyMemberStake)
    .map(([subnet, stake]) => ({ kind: 'join-subnet' as const, subnet, ...stake })),
  record({
    kind: fc.constant('leave-subnet' as const),
    subnet: anyHash,
    member: anyAddress,
    amount: anyAmount,
  }),
  record({
    kind: fc.constant('admit-member' as const),
    subnet: anyHash,
    voter: anyAddress,
    candidate: anyAddress,
  }),
  record({ kind: fc.constant('collect-stake' as const), subnet: anyHash, member: anyAddress }),
  anyFault.map((fault) => ({ kind: 'accuse-member' as const, fault })),
  record({ kind: fc.constant('deposit' as const), subnet: anyHash, to: anyAddress, amount: anyAmount }),
  record({
    kind: fc.constant('withdraw' as const),
    subnet: anyHash,
    checkpoint: anyCounter,
    withdrawal: record({ number: anyCounter, to: anyAddress, amount: anyAmount }),
    path: fc.array(anyHash, { maxLength: 9 }),
  }),
  record({ kind: fc.constant('rotate-keys' as const), keys: anyKeySet }),
  anyGuardianship.map((guardianship) => ({ kind: 'set-guardians' as const, ...guardianship })),
  record({ kind: fc.constant('recover' as const), account: anyAddress, keys: anyKeySet }),
  record({ kind: fc.constant('veto-recovery' as const), account: anyAddress }),
  record({ kind: fc.constant('finish-recovery' as const), account: anyAddress, keys: anyKeySet }),
);

export const anyTransaction: Arbitrary<Transaction> = record({
  key: anyKey,
  lane: fc.nat(15),
  nonce: anyCounter,
  fee: anyAmount,
  validUntil: anyHeight,
  body: anyBody,
  signature: anySignature,
});

export const anyHeader: Arbitrary<Header> = record({
  version: fc.constant(HEADER_VERSION),
  flags: fc.constantFrom(0, 1),
  epoch: u32.map(epoch),
  height: anyHeight,
  time: anyMillis,
  parentHash: anyHash,
  txRoot: anyHash,
  stateRoot: anyHash,
  historyRoot: anyHash,
  validatorsHash: anyHash,
  nextValidatorsHash: anyHash,
});

export const anyBlock: Arbitrary<Block> = record({
  header: anyHeader,
  transactions: fc.array(upTo(40), { maxLength: 4 }),
});

export const anyCertificate: Arbitrary<Certificate> = record({
  epoch: u32.map(epoch),
  view: anyCounter.map(view),
  height: anyHeight,
  hash: anyHash,
  signers: upTo(16),
  signatures: fc.array(anySignature, { maxLength: 4 }),
});

export const anyGenesis: Arbitrary<Genesis> = record({
  name: anyText,
  time: anyMillis,
  validators: anyValidatorSet,
  addresses: fc.uniqueArray(anyAddress, {
    minLength: 1,
    maxLength: 4,
    selector: (address) => toHex(address),
  }),
  subnets: fc.uniqueArray(
    record({ id: anyHash, name: anyText, members: anyValidatorSet, powBits: fc.nat(24) }),
    {
      maxLength: 2,
      selector: (subnet) => toHex(subnet.id),
    },
  ),
  feePerByte: anyAmount,
  bondPerWeight: smallAmount,
  /** Beyond what the weights need. */
  spare: smallAmount,
  reserve: smallAmount,
  rewardPerCheckpoint: anyAmount,
  depositPerByte: anyAmount,
  accountPrice: anyAmount,
  burnShare: fc.nat(10_000),
}).map(({ addresses, spare, ...rest }) => {
  const [{ weight }] = rest.validators as [ValidatorSet[number]];
  const validatorBond = amount(BigInt(weight) * rest.bondPerWeight + spare);
  const left = SUPPLY - validatorBond * BigInt(rest.validators.length) - rest.reserve;
  return {
    ...rest,
    validatorBond,
    accounts: addresses
      .toSorted(compareBytes)
      .map((address, i) => ({ address, balance: amount(i === 0 ? left : 0n) })),
  };
});

const anyCosigners: Arbitrary<readonly Cosigner[]> = fc
  .uniqueArray(record({ key: anyKey, signature: anySignature }), {
    minLength: 1,
    maxLength: 7,
    selector: ({ key }) => toHex(key.bytes),
  })
  .map((all) => all.toSorted((a, b) => compareKeys(a.key, b.key)));

const plainCommand = {
  device: anyAddress,
  action: fc.oneof(
    fc.constant({ kind: 'on' as const }),
    fc.constant({ kind: 'off' as const }),
    fc.constant({ kind: 'begin' as const }),
    fc.constant({ kind: 'end' as const }),
    record({ kind: fc.constant('level' as const), level: fc.nat(254) }),
    record({
      kind: fc.constant('colour-temperature' as const),
      kelvin: fc.integer({ min: KELVIN_MIN, max: KELVIN_MAX }),
    }),
  ),
  notAfter: anyMillis,
};

export const anyCommand: Arbitrary<Command> = fc.oneof(
  record(plainCommand),
  record({ ...plainCommand, cosigners: anyCosigners }),
);

const answerFields = {
  command: anyHash,
  outcome: fc.oneof(
    fc.constant({ kind: 'done' as const }),
    record({ kind: fc.constant('refused' as const), reason: fc.constantFrom(...REFUSALS) }),
  ),
  on: fc.boolean(),
  level: fc.nat(254),
  time: anyMillis,
};

export const anyAcknowledgement: Arbitrary<Acknowledgement> = fc.oneof(
  record(answerFields),
  record({ ...answerFields, kelvin: fc.integer({ min: 1, max: 0xffff }) }),
);

/**
 * The property of a strict codec: what was encoded decodes to the same value; cut short or lengthened it is
 * refused; with any byte changed it is refused or has the changed bytes as its only encoding.
 */
export function assertStrict<T>(
  arbitrary: Arbitrary<T>,
  codec: { readonly encode: (value: T) => Uint8Array; readonly decode: (encoded: Uint8Array) => Result<T> },
  runs = 60,
): void {
  const property = fc.property(
    arbitrary,
    fc.nat(),
    fc.integer({ min: 1, max: 255 }),
    (value, position, mask) => {
      const encoded = codec.encode(value);
      const back = codec.decode(encoded);
      assert.ok(back.ok, back.ok ? '' : back.message);
      assert.deepEqual(back.value, value);
      assert.ok(equalBytes(codec.encode(back.value), encoded));

      const at = position % encoded.length;
      assert.ok(!codec.decode(encoded.slice(0, at)).ok, `cut to ${at} of ${encoded.length} bytes`);
      assert.ok(!codec.decode(Uint8Array.of(...encoded, mask)).ok, 'one byte more');
      const changed = encoded.with(at, (encoded[at] as number) ^ mask);
      const read = codec.decode(changed);
      if (read.ok) assert.equal(toHex(codec.encode(read.value)), toHex(changed), `byte ${at} changed`);
    },
  );
  fc.assert(property, { numRuns: runs });
}
