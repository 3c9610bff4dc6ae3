/**
 * Merkle trees in the shape of RFC 6962 §2.1 over leaves that are 32-byte hashes (spec CRYPTO-5).
 * A leaf is hashed behind 0x00 and an inner node behind 0x01, so neither can pass as the other; the number
 * of leaves is always committed by the caller next to the root, so a tree cannot be re-read with another shape.
 */
import { equalBytes } from '../bytes/hex.ts';
import { batchHasher } from './batch-hasher.ts';
import { asHash, HASH_BYTES, sha256, type Hash } from './hash.ts';

export const EMPTY_MERKLE_ROOT: Hash = sha256(new Uint8Array(0));

// Hashing is synchronous and copies its input into its state, so one scratch buffer per shape is enough.
const leafScratch = new Uint8Array(1 + HASH_BYTES);
const nodeScratch = new Uint8Array(1 + 2 * HASH_BYTES);
nodeScratch[0] = 0x01;

/** SHA-256(0x00 ‖ leaf). */
export function merkleLeaf(leaf: Hash): Hash {
  leafScratch.set(leaf, 1);
  return sha256(leafScratch);
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function merkleNode(left: Hash, right: Hash): Hash {
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 1 + HASH_BYTES);
  return sha256(nodeScratch);
}

/** One level up: pairs are hashed, an odd last node moves up as it is, which gives RFC 6962's shape. */
function levelAbove(level: readonly Hash[]): Hash[] {
  const above: Hash[] = [];
  for (let i = 0; i + 1 < level.length; i += 2)
    above.push(merkleNode(level[i] as Hash, level[i + 1] as Hash));
  if (level.length % 2 === 1) above.push(level[level.length - 1] as Hash);
  return above;
}

/** All levels of a tree, kept to hand out many paths at the price of one build. */
export class MerkleTree {
  readonly #levels: Hash[][];
  readonly count: number;

  constructor(leaves: readonly Hash[]) {
    this.count = leaves.length;
    this.#levels = [leaves.map(merkleLeaf)];
    for (let level = this.#levels[0] as Hash[]; level.length > 1;) {
      level = levelAbove(level);
      this.#levels.push(level);
    }
  }

  get root(): Hash {
    return this.#levels[this.#levels.length - 1]?.[0] ?? EMPTY_MERKLE_ROOT;
  }

  /** Siblings from the leaf up. The index is asserted. */
  path(index: number): Hash[] {
    if (!Number.isInteger(index) || index < 0 || index >= this.count) {
      throw new RangeError(`no leaf ${index} among ${this.count}`);
    }
    const path: Hash[] = [];
    let at = index;
    for (const level of this.#levels) {
      const sibling = level[at % 2 === 0 ? at + 1 : at - 1];
      if (sibling !== undefined) path.push(sibling);
      at = Math.floor(at / 2);
    }
    return path;
  }
}

/** SHA-256 of nothing when there are no leaves, as RFC 6962 has it. */
export function merkleRoot(leaves: readonly Hash[]): Hash {
  const hashes = new Uint8Array(leaves.length * HASH_BYTES);
  for (const [i, leaf] of leaves.entries()) hashes.set(leaf, i * HASH_BYTES);
  return rootInPlace(hashes, leaves.length);
}

/** The same for leaves that lie side by side. */
export function merkleRootOfRow(leaves: Uint8Array): Hash {
  return rootInPlace(leaves.slice(), leaves.length / HASH_BYTES);
}

/** The same over the SHA-256 of each item. */
export function merkleRootOfItems(items: readonly Uint8Array[]): Hash {
  const hashes = new Uint8Array(items.length * HASH_BYTES);
  const source = {
    lengthOf: (i: number) => (items[i] as Uint8Array).length,
    write: (i: number, into: Uint8Array, at: number) => into.set(items[i] as Uint8Array, at),
  };
  batchHasher().messages(items.length, source, hashes);
  return rootInPlace(hashes, items.length);
}

/** `hashes`: leaves side by side; each level is written over the one below. */
function rootInPlace(hashes: Uint8Array, count: number): Hash {
  if (count === 0) return EMPTY_MERKLE_ROOT;
  const hasher = batchHasher();
  hasher.leaves(hashes, count, hashes);
  for (let width = count; width > 1; width = (width + 1) >> 1) {
    hasher.pairs(1, hashes, width >> 1, hashes);
    // An odd last node moves up as it is.
    if (width % 2 === 1)
      hashes.copyWithin(((width - 1) / 2) * HASH_BYTES, (width - 1) * HASH_BYTES, width * HASH_BYTES);
  }
  return asHash(hashes.slice(0, HASH_BYTES));
}

/** Siblings of one leaf from the bottom up; see `MerkleTree` for many paths of one tree. */
export function merklePath(leaves: readonly Hash[], index: number): Hash[] {
  return new MerkleTree(leaves).path(index);
}

/**
 * The root a path leads to from an already hashed leaf (RFC 9162 §2.1.3.2), or undefined when the path has
 * not exactly the length that index and count ask for.
 */
export function merkleRootFromPath(o: {
  readonly leafHash: Hash;
  readonly index: number;
  readonly count: number;
  readonly path: readonly Hash[];
}): Hash | undefined {
  if (!Number.isSafeInteger(o.count) || !Number.isSafeInteger(o.index) || o.index < 0 || o.index >= o.count) {
    return undefined;
  }
  let at = o.index;
  let last = o.count - 1;
  let hash = o.leafHash;
  for (const sibling of o.path) {
    if (last === 0) return undefined;
    // A node without a right neighbour has moved up unhashed until it became a right child.
    if (at === last) {
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    }
    hash = at % 2 === 1 ? merkleNode(sibling, hash) : merkleNode(hash, sibling);
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? hash : undefined;
}

/** Whether `leaf` is number `index` of the `count` leaves under `root`. */
export function verifyMerklePath(o: {
  readonly root: Hash;
  readonly leaf: Hash;
  readonly index: number;
  readonly count: number;
  readonly path: readonly Hash[];
}): boolean {
  if (o.leaf.length !== HASH_BYTES || o.path.some((sibling) => sibling.length !== HASH_BYTES)) return false;
  const root = merkleRootFromPath({
    leafHash: merkleLeaf(o.leaf),
    index: o.index,
    count: o.count,
    path: o.path,
  });
  return root !== undefined && equalBytes(root, o.root);
}
