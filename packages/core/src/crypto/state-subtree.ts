/**
 * Whole pieces of the state tree (spec CRYPTO-7.6): all entries under one prefix of the keys with the path from
 * there to the root. Whoever holds the root checks a piece alone, whatever the others are, and pieces whose prefixes
 * cover all keys are the whole tree.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { HASH_BYTES, sha256, ZERO_HASH, type Hash } from './hash.ts';
import { merkleNode } from './merkle.ts';
import { bitAt, leafHash, STATE_DEPTH_MAX, type KeyPrefix, type StateLeaf } from './state-tree.ts';

/**
 * Whether `entries` are exactly what the tree under `root` holds below the prefix: in ascending order of keys, none
 * missing, none added. Never throws for what came from outside.
 */
export function verifySubtree(o: {
  readonly root: Hash;
  readonly prefix: KeyPrefix;
  readonly entries: readonly Pick<StateLeaf, 'key' | 'value'>[];
  readonly siblings: readonly Hash[];
}): boolean {
  const { prefix, entries, siblings } = o;
  if (prefix.depth > STATE_DEPTH_MAX || siblings.length !== prefix.depth) return false;
  if (siblings.some((sibling) => sibling.length !== HASH_BYTES)) return false;
  for (const [i, entry] of entries.entries()) {
    const previous = entries[i - 1];
    if (entry.key.length !== HASH_BYTES || !isUnder(prefix, entry.key)) return false;
    if (previous !== undefined && compareBytes(previous.key, entry.key) >= 0) return false;
  }
  let hash = subtreeHash(entries, prefix.depth);
  for (let depth = prefix.depth - 1; depth >= 0; depth -= 1) {
    const sibling = siblings[depth] as Hash;
    hash = bitAt(prefix.bits, depth) === 1 ? merkleNode(sibling, hash) : merkleNode(hash, sibling);
  }
  return equalBytes(hash, o.root);
}

/** Hash of the node that holds exactly these entries, which share their first `depth` bits and ascend. */
function subtreeHash(entries: readonly Pick<StateLeaf, 'key' | 'value'>[], depth: number): Hash {
  const [only] = entries;
  if (only === undefined) return ZERO_HASH;
  if (entries.length === 1) return leafHash(only.key, sha256(only.value));
  const split = entries.findIndex((entry) => bitAt(entry.key, depth) === 1);
  const middle = split < 0 ? entries.length : split;
  // Ascending keys that differ do so within 256 bits, which bounds the depth.
  return merkleNode(
    subtreeHash(entries.slice(0, middle), depth + 1),
    subtreeHash(entries.slice(middle), depth + 1),
  );
}

/** Whether a key begins with the prefix. */
export function isUnder(prefix: KeyPrefix, key: Uint8Array): boolean {
  const whole = prefix.depth >> 3;
  for (let i = 0; i < whole; i += 1) if (key[i] !== prefix.bits[i]) return false;
  const rest = prefix.depth & 7;
  return rest === 0 || ((key[whole] as number) ^ (prefix.bits[whole] as number)) >> (8 - rest) === 0;
}

export const WHOLE_TREE: KeyPrefix = { depth: 0, bits: new Uint8Array(0) };

/** The two halves of what a prefix covers, the lower one first. */
export function halvesOf(prefix: KeyPrefix): readonly [KeyPrefix, KeyPrefix] {
  const { depth } = prefix;
  const lower = new Uint8Array((depth >> 3) + 1);
  lower.set(prefix.bits);
  const upper = lower.slice();
  upper[depth >> 3] = (upper[depth >> 3] as number) | (0x80 >> (depth & 7));
  return [
    { depth: depth + 1, bits: lower },
    { depth: depth + 1, bits: upper },
  ];
}
