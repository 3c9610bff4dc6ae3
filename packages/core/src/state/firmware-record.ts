/** What the ledger remembers of firmware (spec STATE-23). The heads are what devices read: they make no BigInt. */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import {
  readChannelForm,
  readReleaseForm,
  readRolloutStep,
  writeChannelForm,
  writeReleaseForm,
  writeRolloutStep,
  type ChannelForm,
  type ReleaseForm,
  type RolloutStep,
} from '../ledger/firmware.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { STATE_LIMITS } from './limits.ts';
import { DEPOSIT_BYTES, readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** A product line; `channelId` is in the key. */
export interface ChannelHead {
  readonly maker: Address;
  readonly model: Hash;
  readonly board: string;
  /** As the root role signed it last. */
  readonly form: ChannelForm;
  /** Version of the form that brought the release role of today: what others signed for counts no more. */
  readonly releaseSince: number;
  /** Number of the newest release; 0 before the first. */
  readonly newest: number;
  /** Of the oldest one that is remembered; above the newest when there is none. */
  readonly oldest: number;
  /** Greatest security counter that was approved. */
  readonly counter: number;
}

export interface Channel extends ChannelHead {
  readonly deposit: RecordDeposit;
}

/** Channel and number are in the key. */
export interface ReleaseHead {
  readonly form: ReleaseForm;
  /** Bits of the keys of the release role that signed for it, lowest first. */
  readonly approvals: number;
  /** `releaseSince` of the channel at that time: the bits mean nothing under another role. */
  readonly approvedUnder: number;
  /** Block time at which the threshold was reached; 0 while it is not. */
  readonly approvedAt: Millis;
  /** The last one; step 0 before the first. */
  readonly rollout: RolloutStep;
}

export interface Release extends ReleaseHead {
  readonly deposit: RecordDeposit;
}

/** Channel, number, subnet and reporting member are in the key. */
export interface Installs {
  readonly count: number;
  readonly failures: number;
  /** Over `attestationLeaf`: each attestation is provable under it. */
  readonly root: Hash;
  /** Block time of the report. */
  readonly at: Millis;
  readonly deposit: RecordDeposit;
}

/** When a report goes, unless another one has come. */
export function installsDue({ at }: Pick<Installs, 'at'>): Millis {
  return millis(Math.min(at + STATE_LIMITS.installsKeptMs, Number.MAX_SAFE_INTEGER));
}

/** Approved, and by keys that still are those of the release role. */
export function isApproved(channel: ChannelHead, release: ReleaseHead): boolean {
  return release.approvedAt > 0 && release.approvedUnder === channel.releaseSince;
}

export function writeChannel(writer: Writer, channel: Channel): void {
  writer.fixed(channel.maker, HASH_BYTES).fixed(channel.model, HASH_BYTES).text(channel.board);
  writeChannelForm(writer, channel.form);
  writer.u32(channel.releaseSince).u53(channel.newest).u53(channel.oldest).u32(channel.counter);
  writeDepositOf(writer, channel.deposit);
}

function readChannelHead(reader: Reader): ChannelHead {
  const head: ChannelHead = {
    maker: readAddress(reader),
    model: readHash(reader),
    board: reader.text(LIMITS.textBytesMax),
    form: readChannelForm(reader),
    releaseSince: reader.u32(),
    newest: reader.u53(),
    oldest: reader.u53(),
    counter: reader.u32(),
  };
  const { form, releaseSince, newest, oldest } = head;
  if (releaseSince < 1 || releaseSince > form.version)
    reader.refuse('decode.out-of-range', `expected a release role from version 1 to ${form.version}`);
  if (oldest < 1 || oldest > newest + 1)
    reader.refuse(
      'decode.out-of-range',
      `expected the oldest release from 1 to ${newest + 1}, got ${oldest}`,
    );
  return head;
}

export function readChannel(reader: Reader): Channel {
  return { ...readChannelHead(reader), deposit: readDepositOf(reader) };
}

export function writeRelease(writer: Writer, release: Release): void {
  writeReleaseForm(writer, release.form);
  writer.u8(release.approvals).u32(release.approvedUnder).u53(release.approvedAt);
  writeRolloutStep(writer, release.rollout);
  writeDepositOf(writer, release.deposit);
}

function readReleaseHead(reader: Reader): ReleaseHead {
  const head: ReleaseHead = {
    form: readReleaseForm(reader),
    approvals: reader.u8(),
    approvedUnder: reader.u32(),
    approvedAt: millis(reader.u53()),
    rollout: readRolloutStep(reader),
  };
  if (head.approvals === 0) reader.refuse('decode.out-of-range', 'a release is signed for by somebody');
  return head;
}

export function readRelease(reader: Reader): Release {
  return { ...readReleaseHead(reader), deposit: readDepositOf(reader) };
}

export function writeInstalls(writer: Writer, installs: Installs): void {
  writer.u32(installs.count).u32(installs.failures).fixed(installs.root, HASH_BYTES).u53(installs.at);
  writeDepositOf(writer, installs.deposit);
}

export function readInstalls(reader: Reader): Installs {
  const installs: Installs = {
    count: reader.u32(),
    failures: reader.u32(),
    root: readHash(reader),
    at: millis(reader.u53()),
    deposit: readDepositOf(reader),
  };
  if (installs.count === 0 || installs.failures > installs.count)
    reader.refuse('decode.out-of-range', 'expected some installs, and no more failures than that');
  return installs;
}

/** From the bytes of a record, without what is paid for it. */
export function decodeChannelHead(bytes: Uint8Array): Result<ChannelHead, DecodeCode> {
  return decode((reader) => withoutDeposit(reader, readChannelHead), bytes);
}

export function decodeReleaseHead(bytes: Uint8Array): Result<ReleaseHead, DecodeCode> {
  return decode((reader) => withoutDeposit(reader, readReleaseHead), bytes);
}

function withoutDeposit<T>(reader: Reader, read: (reader: Reader) => T): T {
  const head = read(reader);
  reader.fixed(DEPOSIT_BYTES);
  return head;
}
