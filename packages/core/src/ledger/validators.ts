/** The validator set of an epoch and its quorum arithmetic by weight (spec PBFT-1). */
import type { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { compareBytes } from '../bytes/hex.ts';
import { hashTagged, type Hash } from '../crypto/hash.ts';
import { readPublicKey, writePublicKey, type PublicKey } from '../crypto/signature.ts';
import { LIMITS } from './limits.ts';

export interface Validator {
  readonly key: PublicKey;
  /** Positive, at most u32. */
  readonly weight: number;
}

/** Sorted by key bytes, no duplicates; the position is the index used in bitmaps and for primary = view mod n. */
export type ValidatorSet = readonly Validator[];

export interface Quorum {
  readonly total: number;
  /** F = ⌊(W − 1) / 3⌋: weight that may be faulty. */
  readonly faulty: number;
  /** Q = W − F. Two quorums overlap in more than F. */
  readonly strong: number;
  /** F + 1: holds at least one correct voice. */
  readonly weak: number;
}

export function quorumOf(weights: readonly number[]): Quorum {
  let total = 0;
  for (const weight of weights) total += weight;
  const faulty = Math.floor((total - 1) / 3);
  return { total, faulty, strong: total - faulty, weak: faulty + 1 };
}

/**
 * Why a set is not acceptable, or undefined. No weight may reach a third of the total (one member alone would
 * be beyond the fault bound) once there are four or more members; smaller sets tolerate no fault at all.
 */
export function validatorSetFlaw(set: ValidatorSet): string | undefined {
  if (set.length === 0 || set.length > LIMITS.validatorsMax)
    return `expected 1 to ${LIMITS.validatorsMax} members, got ${set.length}`;
  const { total } = quorumOf(set.map((member) => member.weight));
  for (const [i, member] of set.entries()) {
    if (!Number.isInteger(member.weight) || member.weight < 1 || member.weight > LIMITS.weightMax)
      return `member ${i} has weight ${member.weight}`;
    if (set.length >= 4 && member.weight * 3 >= total)
      return `member ${i} holds a third of the weight or more`;
    const previous = set[i - 1];
    if (previous !== undefined && compareBytes(previous.key.bytes, member.key.bytes) >= 0)
      return 'members are not sorted by key, or one is there twice';
  }
  return undefined;
}

export function sortValidators(set: ValidatorSet): ValidatorSet {
  return [...set].sort((a, b) => compareBytes(a.key.bytes, b.key.bytes));
}

export function writeValidatorSet(writer: Writer, set: ValidatorSet): void {
  writer.list(set, (w, member) => {
    writePublicKey(w, member.key);
    w.u32(member.weight);
  });
}

export function readValidatorSet(reader: Reader): ValidatorSet {
  const set = reader.list(LIMITS.validatorsMax, (r) => ({ key: readPublicKey(r), weight: r.u32() }));
  const flaw = validatorSetFlaw(set);
  if (flaw !== undefined) reader.refuse('decode.not-canonical', flaw);
  return set;
}

export function validatorsHash(set: ValidatorSet): Hash {
  const writer = new Writer();
  writeValidatorSet(writer, set);
  return hashTagged('validators', writer.finish());
}

/** Ascending, least significant bit first inside each byte; exactly ⌈n / 8⌉ bytes; no bit at or beyond n. */
export function bitmapOf(indices: Iterable<number>, n: number): Uint8Array {
  const bitmap = new Uint8Array(Math.ceil(n / 8));
  for (const index of indices) bitmap[index >> 3] = (bitmap[index >> 3] as number) | (1 << (index & 7));
  return bitmap;
}

/** The indices of a bitmap, or undefined when its length or a bit does not fit n members. */
export function indicesOf(bitmap: Uint8Array, n: number): number[] | undefined {
  if (bitmap.length !== Math.ceil(n / 8)) return undefined;
  const indices: number[] = [];
  for (let i = 0; i < bitmap.length * 8; i += 1) {
    if ((((bitmap[i >> 3] as number) >> (i & 7)) & 1) === 0) continue;
    if (i >= n) return undefined;
    indices.push(i);
  }
  return indices;
}
