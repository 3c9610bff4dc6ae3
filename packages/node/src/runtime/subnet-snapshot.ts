/**
 * A subnet's state as one document (spec SUBNET-6): the same bytes at every honest member for the same checkpoint, so
 * that one who was away too long takes it over from any, believing the main chain and more than a third of the stake.
 */
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { compareBytes, equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import { StateTree } from '@itc/core/crypto/state-tree.js';
import { LaneTable } from '@itc/core/dag/lanes.js';
import { readSnapshotRecord, snapshotRecord, type LogRecord, type Snapshot } from '@itc/core/dag/records.js';
import { checkpointHash, type SubnetCheckpoint } from '@itc/core/ledger/checkpoint.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import type { FinalPlace } from './subnet-store.ts';

export const SNAPSHOT = {
  /** Checkpoints that may serve as anchors: more than any envelope under way names. */
  anchors: 64,
  /** Checkpoints whose envelopes are known to be final: an anchor, and below it the depth of its parents. */
  finals: 128,
  /** Documents are made at multiples of this checkpoint; a large state is written down more rarely. */
  interval: 32,
  largeLanes: 4_096,
  largeFactor: 16,
  /** Bounds of a document that is taken in. */
  bytesMax: 40 << 20,
} as const;

export interface SnapshotDocument {
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly digest: Hash;
  /** Lanes and members in the state. */
  readonly entries: number;
}

/** Whether every member writes the document of this checkpoint down. A matter of the state alone, so all agree. */
export function isSnapshotDue(sequence: number, lanes: number): boolean {
  const { interval, largeLanes, largeFactor } = SNAPSHOT;
  return sequence > 0 && sequence % (lanes > largeLanes ? interval * largeFactor : interval) === 0;
}

/**
 * From a member's own records. `finalOf` finds what its memory has let go of: the envelopes that lanes go on from may be
 * older than anything else. Undefined before the first checkpoint, or while one of those cannot be found.
 */
export function snapshotDocument(
  record: LogRecord,
  heads: readonly Hash[],
  finalOf: (hash: Hash) => { readonly checkpoint: number; readonly time: number } | undefined,
): SnapshotDocument | undefined {
  const whole = readSnapshotRecord(record.bytes);
  const { checkpoint } = whole;
  if (checkpoint === undefined) return undefined;
  const { sequence } = checkpoint;
  const finals = whole.finalised.filter((final) => final.checkpoint > sequence - SNAPSHOT.finals);
  const recent = new Set(finals.map(({ hash }) => toHex(hash)));
  const older: FinalPlace[] = [];
  for (const hash of heads) {
    if (recent.has(toHex(hash))) continue;
    const place = finalOf(hash);
    if (place === undefined) return undefined;
    older.push({ hash, ...place });
  }
  older.sort((a, b) => compareBytes(a.hash, b.hash));
  const { bytes } = snapshotRecord({
    ...whole,
    // Counted since this member's records begin, which is no business of others.
    envelopesFinal: 0,
    payloadsApplied: 0,
    anchors: whole.anchors.filter((anchor) => anchor.sequence > sequence - SNAPSHOT.anchors),
    finalised: [...older, ...finals],
  });
  return { sequence, bytes, digest: sha256(bytes), entries: whole.entries.length };
}

/**
 * Whether a document is the state that a checkpoint of the main chain commits. What it tells of the past (anchors, final
 * envelopes) no root commits: for that the caller goes by the digest.
 */
export function verifySnapshot(
  bytes: Uint8Array,
  committed: SubnetCheckpoint,
  stake: readonly number[],
): Result<Snapshot, ErrorCode> {
  let snapshot: Snapshot;
  try {
    snapshot = readSnapshotRecord(bytes);
    // The one canonical form, or two documents would have one content.
    if (!equalBytes(snapshotRecord(snapshot).bytes, bytes))
      return refused('decode.not-canonical', 'the snapshot is not in its canonical form');
    LaneTable.from(stake, snapshot.entries);
  } catch (error) {
    return refused('peer.message', `the snapshot does not decode: ${(error as Error).message}`);
  }
  const { checkpoint, entries, anchors } = snapshot;
  if (checkpoint === undefined || !equalBytes(checkpointHash(checkpoint), checkpointHash(committed)))
    return refused('peer.message', 'the snapshot is not of the checkpoint that the main chain holds');
  if (!equalBytes(StateTree.empty.update(entries).root, committed.stateRoot))
    return refused('peer.message', 'the lanes of the snapshot do not have the state root of the checkpoint');
  const last = anchors.at(-1);
  if (last === undefined || !equalBytes(last.hash, checkpointHash(committed)))
    return refused('peer.message', 'the newest anchor of the snapshot is not its checkpoint');
  if (snapshot.finalised.length > LIMITS.finalisedKeptMax)
    return refused('decode.too-long', 'the snapshot tells of too many final envelopes');
  return ok(snapshot);
}
