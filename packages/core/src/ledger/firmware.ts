/**
 * Firmware as a fact of the ledger (spec STATE-23), after TUF (theupdateframework.io) and Uptane: roles with thresholds per product
 * line, releases that only they make, and what a device attests. Snapshot and timestamp roles are the chain itself.
 */
import { compareBytes, concatBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import {
  compareKeys,
  readAccountKey,
  SIGNATURE_DOMAINS,
  writePublicKey,
  type PublicKey,
} from '../crypto/signature.ts';
import type { Address } from './address.ts';
import { readHash } from './fields.ts';
import { millis, type Millis } from './ids.ts';
import { LIMITS } from './limits.ts';

/** Ordered by major, then minor, then patch. */
export interface Version {
  /** Below 2^16. */
  readonly major: number;
  /** Below 2^16. */
  readonly minor: number;
  /** Below 2^32. */
  readonly patch: number;
}

export function writeVersion(writer: Writer, version: Version): void {
  writer.u16(version.major).u16(version.minor).u32(version.patch);
}

export function readVersion(reader: Reader): Version {
  return { major: reader.u16(), minor: reader.u16(), patch: reader.u32() };
}

export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

export function formatVersion(version: Version): string {
  return `${version.major}.${version.minor}.${version.patch}`;
}

/** `"1.4.0"`; undefined when it is anything else. */
export function parseVersion(text: string): Version | undefined {
  const match = /^(\d{1,5})\.(\d{1,5})\.(\d{1,10})$/.exec(text);
  if (match === null) return undefined;
  const [major, minor, patch] = match.slice(1).map(Number) as [number, number, number];
  return major > 0xffff || minor > 0xffff || patch > 0xffff_ffff ? undefined : { major, minor, patch };
}

/** Keys of any scheme, and how many of them must agree. */
export interface Role {
  /** Ascending, each once, 1 to `roleKeysMax`. */
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
}

export function writeRole(writer: Writer, role: Role): void {
  writer.list(role.keys, writePublicKey).u8(role.threshold);
}

export function readRole(reader: Reader): Role {
  const keys = reader.list(LIMITS.roleKeysMax, (r) => readAccountKey(r));
  for (let i = 1; i < keys.length; i += 1) {
    if (compareKeys(keys[i - 1] as PublicKey, keys[i] as PublicKey) >= 0)
      reader.refuse('decode.not-canonical', 'expected the keys of a role ascending, each once');
  }
  const threshold = reader.u8();
  if (threshold < 1 || threshold > keys.length)
    reader.refuse('decode.out-of-range', `expected a threshold from 1 to ${keys.length}, got ${threshold}`);
  return { keys, threshold };
}

/** Keys in any order. */
export function roleOf(keys: readonly PublicKey[], threshold: number): Role {
  return { keys: keys.toSorted(compareKeys), threshold };
}

export function sameRole(a: Role, b: Role): boolean {
  return (
    a.threshold === b.threshold &&
    a.keys.length === b.keys.length &&
    a.keys.every((key, i) => compareKeys(key, b.keys[i] as PublicKey) === 0)
  );
}

/** By one key of a role, named by its place there. */
export interface RoleSignature {
  readonly index: number;
  readonly signature: Uint8Array;
}

const ROLE_SIGNATURE_BYTES_MAX = 2420;

/** Ascending by place: each key signs once. */
export function writeRoleSignatures(writer: Writer, signatures: readonly RoleSignature[]): void {
  writer.list(signatures, (w, { index, signature }) => w.u8(index).bytes(signature));
}

export function readRoleSignatures(reader: Reader): readonly RoleSignature[] {
  const signatures = reader.list(LIMITS.roleKeysMax, (r) => ({
    index: r.u8(),
    signature: r.bytes(ROLE_SIGNATURE_BYTES_MAX).slice(),
  }));
  for (let i = 1; i < signatures.length; i += 1) {
    if ((signatures[i - 1] as RoleSignature).index >= (signatures[i] as RoleSignature).index)
      reader.refuse('decode.not-canonical', 'expected signatures ascending by key, each key once');
  }
  return signatures;
}

/** What the root role of a product line decides. */
export interface ChannelForm {
  /** 1 for the first, then one more each time. */
  readonly version: number;
  readonly root: Role;
  readonly release: Role;
  /** From this moment of chain time on devices install nothing, until the root role has signed again. */
  readonly expiresAt: Millis;
}

export function writeChannelForm(writer: Writer, form: ChannelForm): void {
  writer.u32(form.version);
  writeRole(writer, form.root);
  writeRole(writer, form.release);
  writer.u53(form.expiresAt);
}

export function readChannelForm(reader: Reader): ChannelForm {
  return {
    version: reader.u32(),
    root: readRole(reader),
    release: readRole(reader),
    expiresAt: millis(reader.u53()),
  };
}

/** One per maker, model and board: what a device has built in to know its own. */
export function channelId(o: {
  readonly maker: Address;
  readonly model: Hash;
  readonly board: string;
}): Hash {
  return hashTagged('firmwareChannel', o.maker, o.model, utf8Encode(o.board));
}

/** What the release role signs for. */
export interface ReleaseForm {
  /** Above that of every release before it. */
  readonly version: Version;
  /** Of the SUIT-profile manifest (draft-ietf-suit-manifest). */
  readonly manifest: Hash;
  readonly image: Hash;
  /** Bytes of the image. */
  readonly size: number;
  /** Security counter, never below that of an approved release: a device never goes below its own. */
  readonly counter: number;
  /** Least version it can be installed over. */
  readonly minimum: Version;
  /** Other product lines in the same device, at most `releaseDependenciesMax`, ascending. */
  readonly dependencies: readonly Dependency[];
}

export interface Dependency {
  readonly channel: Hash;
  readonly minimum: Version;
}

export function writeReleaseForm(writer: Writer, form: ReleaseForm): void {
  writeVersion(writer, form.version);
  writer.fixed(form.manifest, HASH_BYTES).fixed(form.image, HASH_BYTES).u53(form.size).u32(form.counter);
  writeVersion(writer, form.minimum);
  writer.list(form.dependencies, (w, { channel, minimum }) =>
    writeVersion(w.fixed(channel, HASH_BYTES), minimum),
  );
}

export function readReleaseForm(reader: Reader): ReleaseForm {
  const form: ReleaseForm = {
    version: readVersion(reader),
    manifest: readHash(reader),
    image: readHash(reader),
    size: reader.u53(),
    counter: reader.u32(),
    minimum: readVersion(reader),
    dependencies: reader.list(LIMITS.releaseDependenciesMax, (r) => ({
      channel: readHash(r),
      minimum: readVersion(r),
    })),
  };
  const { dependencies } = form;
  for (let i = 1; i < dependencies.length; i += 1) {
    if (
      compareBytes((dependencies[i - 1] as Dependency).channel, (dependencies[i] as Dependency).channel) >= 0
    )
      reader.refuse('decode.not-canonical', 'expected dependencies ascending, each once');
  }
  return form;
}

/** A step of a staged rollout. */
export interface RolloutStep {
  /** 1 for the first of its release, then one more each time: an old step cannot come back. */
  readonly step: number;
  /** Of 10 000 devices, how many may install; never fewer than before. */
  readonly share: number;
  readonly halted: boolean;
}

export const SHARE_ALL = 10_000;

export function writeRolloutStep(writer: Writer, { step, share, halted }: RolloutStep): void {
  writer.u32(step).u16(share).bool(halted);
}

export function readRolloutStep(reader: Reader): RolloutStep {
  const step = { step: reader.u32(), share: reader.u16(), halted: reader.bool() };
  if (step.share > SHARE_ALL)
    reader.refuse('decode.out-of-range', `expected a share up to ${SHARE_ALL}, got ${step.share}`);
  return step;
}

/** What is signed begins with what it is, so that no word passes for another. */
const WORDS = { channel: 1, release: 2, rollout: 3 } as const;

function signingBytes(
  chain: Hash,
  word: keyof typeof WORDS,
  channel: Hash,
  ...rest: Uint8Array[]
): Uint8Array {
  return concatBytes(
    utf8Encode(SIGNATURE_DOMAINS.firmware),
    Uint8Array.of(0),
    chain,
    Uint8Array.of(WORDS[word]),
    channel,
    ...rest,
  );
}

/** By thresholds of the root role that goes and of the one that comes. */
export function channelSigningBytes(chain: Hash, channel: Hash, form: ChannelForm): Uint8Array {
  const writer = new Writer(512);
  writeChannelForm(writer, form);
  return signingBytes(chain, 'channel', channel, writer.finish());
}

/** By the release role, also when approving: the number is part of it, so that it counts for one release only. */
export function releaseSigningBytes(
  chain: Hash,
  channel: Hash,
  number: number,
  form: ReleaseForm,
): Uint8Array {
  const writer = new Writer(256).u53(number);
  writeReleaseForm(writer, form);
  return signingBytes(chain, 'release', channel, writer.finish());
}

/** By the release role; one key of it suffices to halt. */
export function rolloutSigningBytes(
  chain: Hash,
  channel: Hash,
  of: { readonly number: number; readonly form: ReleaseForm },
  step: RolloutStep,
): Uint8Array {
  const writer = new Writer(256).u53(of.number);
  writeRolloutStep(writer, step);
  writeReleaseForm(writer, of.form);
  return signingBytes(chain, 'rollout', channel, writer.finish());
}

/**
 * A device's place in the rollout of a release, 0 to 9 999: it may install when its place is below the share, so whoever is in
 * stays in when the share grows. The moment of approval is part of it: neither who makes the release nor who chooses the key
 * of a device knows it beforehand, so neither can put a given device first.
 */
export function rolloutPlace(o: {
  readonly device: Address;
  readonly channel: Hash;
  readonly number: number;
  readonly approvedAt: Millis;
}): number {
  const hash = hashTagged(
    'rollout',
    o.channel,
    new Writer(16).u53(o.number).u53(o.approvedAt).finish(),
    o.device,
  );
  // 2^32 leaves a remainder of less than one in 400 000 against 10 000: nobody's place is worth more than another's.
  const value =
    (hash[0] as number) * 0x100_0000 +
    (hash[1] as number) * 0x1_0000 +
    (hash[2] as number) * 0x100 +
    (hash[3] as number);
  return value % SHARE_ALL;
}

/** What a device says about a release it tried, by its key, in a payload of content type `attestation`. */
export interface Attestation {
  readonly channel: Hash;
  readonly number: number;
  /** What it runs now. */
  readonly version: Version;
  readonly outcome: AttestedOutcome;
  /** Boots of its life: a later word has a greater one, or the same. */
  readonly boots: number;
  /** Hash of the image that runs, as the boot loader measured it (RFC 9334: evidence). */
  readonly measurement: Hash;
}

export const ATTESTED_OUTCOMES = ['installed', 'failed'] as const;
export type AttestedOutcome = (typeof ATTESTED_OUTCOMES)[number];

const VERSION = 1;

export function encodeAttestation(attestation: Attestation): Uint8Array {
  const writer = new Writer(128).u8(VERSION).fixed(attestation.channel, HASH_BYTES).u53(attestation.number);
  writeVersion(writer, attestation.version);
  return writer
    .u8(ATTESTED_OUTCOMES.indexOf(attestation.outcome))
    .u32(attestation.boots)
    .fixed(attestation.measurement, HASH_BYTES)
    .finish();
}

export function decodeAttestation(bytes: Uint8Array): Result<Attestation, DecodeCode> {
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected version ${VERSION}, got ${version}`);
    return {
      channel: readHash(reader),
      number: reader.u53(),
      version: readVersion(reader),
      outcome: readOutcome(reader),
      boots: reader.u32(),
      measurement: readHash(reader),
    };
  }, bytes);
}

function readOutcome(reader: Reader): AttestedOutcome {
  const code = reader.u8();
  return (
    ATTESTED_OUTCOMES[code] ??
    reader.refuse('decode.unknown-kind', `expected an outcome below ${ATTESTED_OUTCOMES.length}, got ${code}`)
  );
}

/** Leaf of the tree of attestations a member reports: the id of the payload, which covers signer and content. */
export function attestationLeaf(payload: Hash): Hash {
  return hashTagged('attestation', payload);
}
