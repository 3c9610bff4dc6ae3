/**
 * The keys of an account (spec STATE-15): one to eight of any scheme, each with a weight, and the weight that acts. An
 * account without such a record has the one key whose hash its address is.
 */
import type { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { hashTagged, type Hash } from '../crypto/hash.ts';
import { compareKeys, readAccountKey, writePublicKey, type PublicKey } from '../crypto/signature.ts';
import { LIMITS } from './limits.ts';

export interface KeySet {
  /** 1 to `signersMax`, ascending by `compareKeys`. */
  readonly keys: readonly WeightedKey[];
  /** 1 to the sum of the weights. */
  readonly threshold: number;
}

export interface WeightedKey {
  readonly key: PublicKey;
  /** 1 to 255. */
  readonly weight: number;
}

/** Bound on such a record: eight keys of ML-DSA-44, their weights and a deposit. */
export const KEYS_RECORD_BYTES_MAX = 12_288;

/** threshold u16 ‖ [ algorithm u8 ‖ key ‖ weight u8 ]. */
export function writeKeySet(writer: Writer, { keys, threshold }: KeySet): void {
  writer.u16(threshold).list(keys, (w, { key, weight }) => {
    writePublicKey(w, key);
    w.u8(weight);
  });
}

/** Refuses what no account could have. Whether each key is one of its scheme is not asked: that takes curve arithmetic. */
export function readKeySet(reader: Reader): KeySet {
  const threshold = reader.u16();
  const keys = reader.list(LIMITS.signersMax, (r) => ({ key: readAccountKey(r), weight: r.u8() }));
  let sum = 0;
  for (const [i, { key, weight }] of keys.entries()) {
    const before = keys[i - 1];
    if (before !== undefined && compareKeys(before.key, key) >= 0)
      reader.refuse('decode.not-canonical', 'expected keys ascending');
    if (weight === 0) reader.refuse('decode.out-of-range', 'expected weights from 1');
    sum += weight;
  }
  if (threshold < 1 || threshold > sum)
    reader.refuse('decode.out-of-range', `expected a threshold from 1 to ${sum}, got ${threshold}`);
  return { keys, threshold };
}

/** Whether a key acts by itself for the account whose address is its hash; `set` is what the ledger has of that account. */
export function actsAlone(set: KeySet | undefined, key: PublicKey): boolean {
  if (set === undefined) return true;
  const own = set.keys.find((entry) => compareKeys(entry.key, key) === 0);
  return own !== undefined && own.weight >= set.threshold;
}

/** Names a set of keys: what guardians agree on. */
export function keySetHash(keys: KeySet): Hash {
  const writer = new Writer(64);
  writeKeySet(writer, keys);
  return hashTagged('keySet', writer.finish());
}

/** Keys in any order, of weight 1 unless told otherwise; all of them must sign unless told otherwise. */
export function keySetOf(
  keys: readonly (PublicKey | WeightedKey)[],
  threshold: number = keys.reduce((sum, key) => sum + ('weight' in key ? key.weight : 1), 0),
): KeySet {
  const weighted = keys.map((key) => ('weight' in key ? key : { key, weight: 1 }));
  return { keys: weighted.toSorted((a, b) => compareKeys(a.key, b.key)), threshold };
}
