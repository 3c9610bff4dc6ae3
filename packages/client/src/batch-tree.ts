/**
 * The Merkle tree of a batch that is too large to hold (spec CLIENT-1): leaves come one after the other, nodes go to a store, memory
 * holds one node per level. The same tree as `MerkleTree` of core/crypto builds of a list.
 */
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { merkleLeaf, merkleNode } from '@itc/core/crypto/merkle.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { batchLeaf } from '@itc/core/ledger/bodies/device.js';

/** Nodes by level, from the leaves up, each level in its order. */
export interface NodeStore {
  append(level: number, node: Hash): void;
  /** One that was appended. */
  read(level: number, index: number): Hash;
}

/** What a leaf is made of: both keys of one device. */
export interface LeafKeys {
  readonly device: PublicKey;
  readonly claimKey: PublicKey;
}

export interface BuiltTree {
  readonly root: Hash;
  readonly count: number;
}

interface Level {
  count: number;
  left: Hash | undefined;
}

interface Bytes {
  bytes: Uint8Array;
  length: number;
}

/** Leaves per word about progress. */
const PROGRESS = 10_000;

export class BatchTreeBuilder {
  readonly #store: NodeStore;
  /** Nodes of each level so far, and the left one that waits for its neighbour. */
  readonly #levels: Level[] = [];

  constructor(store: NodeStore) {
    this.#store = store;
  }

  get count(): number {
    return this.#levels[0]?.count ?? 0;
  }

  add({ device, claimKey }: LeafKeys): void {
    this.#add(0, merkleLeaf(batchLeaf(device, claimKey)));
  }

  #add(level: number, node: Hash): void {
    this.#levels[level] ??= { count: 0, left: undefined };
    const here = this.#levels[level] as Level;
    this.#store.append(level, node);
    here.count += 1;
    if (here.left === undefined) {
      here.left = node;
      return;
    }
    const { left } = here;
    here.left = undefined;
    this.#add(level + 1, merkleNode(left, node));
  }

  /** A node without a neighbour moves up as it is. A batch has at least one device. */
  finish(): BuiltTree {
    const { count } = this;
    if (count === 0) throw new RangeError('a batch has at least one device');
    for (let level = 0; ; level += 1) {
      const { left, count: width } = this.#levels[level] as Level;
      if (width === 1 && left !== undefined) return { root: left, count };
      if (left !== undefined) this.#add(level + 1, left);
    }
  }
}

/** All leaves of a source, in its order. Between leaves others get their turn where the source lets them. */
export async function buildBatchTree(
  leaves: AsyncIterable<LeafKeys> | Iterable<LeafKeys>,
  store: NodeStore,
  onProgress?: (count: number) => void,
): Promise<BuiltTree> {
  const builder = new BatchTreeBuilder(store);
  for await (const leaf of leaves) {
    builder.add(leaf);
    if (builder.count % PROGRESS === 0) onProgress?.(builder.count);
  }
  return builder.finish();
}

/** Siblings of one device from the leaf up. The index is asserted. */
export function batchPath(store: NodeStore, count: number, index: number): Hash[] {
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw new RangeError(`no device ${index} among ${count}`);
  const path: Hash[] = [];
  let at = index;
  for (let level = 0, width = count; width > 1; level += 1, width = Math.ceil(width / 2)) {
    const sibling = at % 2 === 0 ? at + 1 : at - 1;
    if (sibling < width) path.push(store.read(level, sibling));
    at = Math.floor(at / 2);
  }
  return path;
}

/** In flat memory: 64 bytes a device. */
export class MemoryNodes implements NodeStore {
  readonly #levels: Bytes[] = [];

  append(level: number, node: Hash): void {
    this.#levels[level] ??= { bytes: new Uint8Array(1024), length: 0 };
    const here = this.#levels[level] as Bytes;
    if (here.length === here.bytes.length) {
      const larger = new Uint8Array(2 * here.length);
      larger.set(here.bytes);
      here.bytes = larger;
    }
    here.bytes.set(node, here.length);
    here.length += HASH_BYTES;
  }

  read(level: number, index: number): Hash {
    const bytes = this.#levels[level]?.bytes.slice(HASH_BYTES * index, HASH_BYTES * (index + 1));
    return asHash(bytes ?? new Uint8Array(0));
  }
}
