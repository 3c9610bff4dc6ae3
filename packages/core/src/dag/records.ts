/**
 * The member's log (spec DAG-10). The shell appends records, makes them durable, and hands them back in order
 * at start. `Member.snapshot` gives a set of records that replaces all earlier ones.
 */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, type Hash } from '../crypto/hash.ts';
import {
  readCheckpointCertificate,
  writeCheckpointCertificate,
  type SubnetCheckpoint,
} from '../ledger/checkpoint.ts';
import { readCheckpoint, writeCheckpoint } from '../ledger/checkpoint.ts';
import { height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Committed } from './effects.ts';
import type { Anchor } from './history.ts';

export interface LogRecord {
  readonly kind: 'envelope' | 'vote' | 'applied' | 'snapshot' | 'deposit' | 'turn';
  readonly bytes: Uint8Array;
}

const KINDS = [
  'envelope',
  'vote',
  'applied',
  'snapshot',
  'deposit',
  'turn',
] as const satisfies readonly LogRecord['kind'][];

/** One byte of kind and the bytes, in two pieces for a log that lays them out itself: envelopes are long, and need not be copied before. */
export function logRecordPieces(record: LogRecord): readonly [Uint8Array, Uint8Array] {
  return [Uint8Array.of(KINDS.indexOf(record.kind)), record.bytes];
}

export function decodeLogRecord(bytes: Uint8Array): Result<LogRecord, DecodeCode> {
  return decode((reader) => {
    const kind = KINDS[reader.u8()];
    if (kind === undefined) return reader.refuse('decode.unknown-kind', 'expected a record of the member');
    return { kind, bytes: reader.fixed(reader.remaining).slice() };
  }, bytes);
}

/** Written before the vote leaves: a member signs one checkpoint per sequence and round, also after a crash. */
export interface VoteRecord {
  readonly sequence: number;
  readonly round: number;
  readonly hash: Hash;
}

export function voteRecord(vote: VoteRecord): LogRecord {
  const bytes = new Writer(48).u53(vote.sequence).u32(vote.round).fixed(vote.hash, HASH_BYTES).finish();
  return { kind: 'vote', bytes };
}

export function appliedRecord(committed: Committed): LogRecord {
  const writer = new Writer(1024).u53(committed.height).u32(committed.txIndex);
  writeCheckpointCertificate(writer, committed.certificate);
  return { kind: 'applied', bytes: writer.finish() };
}

/** Everything about the past that the future needs. */
export interface Snapshot {
  /** The last checkpoint applied; undefined before the first. */
  readonly checkpoint: SubnetCheckpoint | undefined;
  readonly envelopesFinal: number;
  readonly payloadsApplied: number;
  /** The lane table's tree. */
  readonly entries: readonly { readonly key: Hash; readonly value: Uint8Array }[];
  /** Ascending by sequence. */
  readonly anchors: readonly Anchor[];
  /** Oldest first. */
  readonly finalised: readonly {
    readonly hash: Hash;
    readonly checkpoint: number;
    readonly time: number;
  }[];
}

export function snapshotRecord(snapshot: Snapshot): LogRecord {
  const writer = new Writer(65_536);
  writer.bool(snapshot.checkpoint !== undefined);
  if (snapshot.checkpoint !== undefined) writeCheckpoint(writer, snapshot.checkpoint);
  writer.u53(snapshot.envelopesFinal).u53(snapshot.payloadsApplied).u32(snapshot.entries.length);
  for (const entry of snapshot.entries) writer.fixed(entry.key, HASH_BYTES).bytes(entry.value);
  writer.u32(snapshot.anchors.length);
  let adjustments: readonly number[] | undefined;
  for (const anchor of snapshot.anchors) {
    writer.fixed(anchor.hash, HASH_BYTES).u53(anchor.sequence).u8(anchor.powBits);
    // Standings change rarely: most anchors share those of the one before.
    const changed = anchor.adjustments !== adjustments;
    writer.bool(changed);
    if (!changed) continue;
    adjustments = anchor.adjustments;
    writer.list(adjustments ?? [], (w, bits) => w.u8(ADJUSTMENT_OFFSET + bits));
  }
  writer.u32(snapshot.finalised.length);
  for (const final of snapshot.finalised)
    writer.fixed(final.hash, HASH_BYTES).u53(final.checkpoint).u53(final.time);
  return { kind: 'snapshot', bytes: writer.finish() };
}

/** Bits more or less, as an unsigned byte. */
const ADJUSTMENT_OFFSET = 128;

function many<T>(reader: Reader, countMax: number, read: () => T): T[] {
  const count = reader.u32();
  if (count > countMax) reader.refuse('decode.too-long', `expected at most ${countMax} items, got ${count}`);
  const items: T[] = [];
  for (let i = 0; i < count; i += 1) items.push(read());
  return items;
}

/** The set of members is the longest. */
const ENTRY_BYTES_MAX = 2_048;
const ENTRIES_MAX =
  LIMITS.payloadLanesMax +
  LIMITS.subnetMembersMax * (LIMITS.envelopeLanesMax + 1) +
  LIMITS.subnetBalancesMax +
  LIMITS.subnetVoucherLanesMax +
  2;

function readSnapshot(reader: Reader): Snapshot {
  const hash = (): Hash => asHash(reader.fixed(HASH_BYTES).slice());
  let adjustments: readonly number[] | undefined;
  return {
    checkpoint: reader.bool() ? readCheckpoint(reader) : undefined,
    envelopesFinal: reader.u53(),
    payloadsApplied: reader.u53(),
    entries: many(reader, ENTRIES_MAX, () => ({ key: hash(), value: reader.bytes(ENTRY_BYTES_MAX).slice() })),
    anchors: many(reader, LIMITS.anchorsKeptMax, () => {
      const anchor = { hash: hash(), sequence: reader.u53(), powBits: reader.u8() };
      if (reader.bool()) {
        const read = reader.list(LIMITS.subnetMembersMax, (r) => r.u8() - ADJUSTMENT_OFFSET);
        adjustments = read.length === 0 ? undefined : read;
      }
      return { ...anchor, adjustments };
    }),
    finalised: many(reader, LIMITS.finalisedKeptMax, () => ({
      hash: hash(),
      checkpoint: reader.u53(),
      time: reader.u53(),
    })),
  };
}

function must<T>(result: Result<T>, what: string): T {
  if (!result.ok) throw new Error(`a ${what} of our own log is not readable: ${result.message}`);
  return result.value;
}

/** Records are our own and checksummed by the shell: one that cannot be read throws. */
export function readVoteRecord(bytes: Uint8Array): VoteRecord {
  const read = (r: Reader): VoteRecord => ({
    sequence: r.u53(),
    round: r.u32(),
    hash: asHash(r.fixed(HASH_BYTES).slice()),
  });
  return must(decode(read, bytes), 'vote');
}

export function readAppliedRecord(bytes: Uint8Array): Committed {
  const read = (r: Reader): Committed => ({
    height: height(r.u53()),
    txIndex: r.u32(),
    certificate: readCheckpointCertificate(r),
  });
  return must(decode(read, bytes), 'checkpoint');
}

export function readSnapshotRecord(bytes: Uint8Array): Snapshot {
  return must(decode(readSnapshot, bytes), 'snapshot');
}
