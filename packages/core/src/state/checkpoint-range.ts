/**
 * All checkpoints of a subnet as one mountain range (spec STATE-8.10). Its root has a record of its own, of nothing else, so that
 * a light client is shown a reading of any age under the newest header by two paths; what the range grows from lies apart.
 */
import type { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import { EMPTY_MMR, mmrAppend, mmrRoot, type Mmr } from '../crypto/mmr.ts';
import type { SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { readHash } from '../ledger/fields.ts';
import type { Draft } from './draft.ts';
import { idText } from './record-map.ts';

export interface CheckpointRange {
  readonly root: Hash;
}

/** Both records, keys and values, as long as a million checkpoints make them at most: what the subnet's deposit is for, too. */
export const RANGE_BYTES: number = 65 + 43 + 20 * HASH_BYTES;

/** One per bit of a count below 2^53. */
const PEAKS_MAX = 53;

/** Leaf of a checkpoint; its place is its sequence − 1. */
export function checkpointLeaf(
  checkpoint: Pick<SubnetCheckpoint, 'time' | 'payloadCount' | 'appliedRoot'>,
): Hash {
  const { time, payloadCount, appliedRoot } = checkpoint;
  return hashTagged('checkpointLeaf', new Writer(12).u53(time).u32(payloadCount).finish(), appliedRoot);
}

/** The next checkpoint, behind all before it. */
export function rememberCheckpoint(draft: Draft, checkpoint: SubnetCheckpoint): void {
  const id = idText(checkpoint.subnet);
  const peaks = mmrAppend(draft.get('checkpoint-peaks', id) ?? EMPTY_MMR, checkpointLeaf(checkpoint));
  draft.set('checkpoint-peaks', id, peaks);
  draft.set('checkpoint-range', id, { root: mmrRoot(peaks) });
}

export function writeCheckpointRange(writer: Writer, range: CheckpointRange): void {
  writer.fixed(range.root, HASH_BYTES);
}

export function readCheckpointRange(reader: Reader): CheckpointRange {
  return { root: readHash(reader) };
}

export function writeCheckpointPeaks(writer: Writer, { count, peaks }: Mmr): void {
  writer.u53(count).list(peaks, (w, peak) => w.fixed(peak, HASH_BYTES));
}

export function readCheckpointPeaks(reader: Reader): Mmr {
  const range: Mmr = { count: reader.u53(), peaks: reader.list(PEAKS_MAX, readHash) };
  if (range.count === 0 || peaksOf(range.count) !== range.peaks.length)
    reader.refuse('decode.not-canonical', 'expected a peak for each bit of the count');
  return range;
}

function peaksOf(count: number): number {
  let bits = 0;
  for (let rest = count; rest > 0; rest = Math.floor(rest / 2)) bits += rest % 2;
  return bits;
}
