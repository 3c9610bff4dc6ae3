/**
 * Merkle mountain range: an append-only list of hashes whose root is cheap to extend (spec CRYPTO-6).
 * The peaks, bagged from the right, give exactly the RFC 6962 root of the same leaves; the root of the range
 * commits that and the count: SHA-256('ITC1:mmr' ‖ 0x00 ‖ count u64 ‖ Merkle root).
 */
import { equalBytes } from '../bytes/hex.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from './hash.ts';
import {
  EMPTY_MERKLE_ROOT,
  MerkleTree,
  merkleLeaf,
  merkleNode,
  merkleRoot,
  merkleRootFromPath,
} from './merkle.ts';

export interface Mmr {
  readonly count: number;
  /** Roots of perfect trees, the largest first: one per set bit of `count`. */
  readonly peaks: readonly Hash[];
}

export interface MmrPath {
  readonly index: number;
  readonly count: number;
  /** From the leaf up. */
  readonly siblings: readonly Hash[];
}

export const EMPTY_MMR: Mmr = { count: 0, peaks: [] };

export function mmrAppend(mmr: Mmr, leaf: Hash): Mmr {
  const peaks = [...mmr.peaks];
  let merged = merkleLeaf(leaf);
  // Every trailing one bit of the count is a perfect tree of the size just completed.
  for (let count = mmr.count; count % 2 === 1; count = (count - 1) / 2)
    merged = merkleNode(peaks.pop() as Hash, merged);
  peaks.push(merged);
  return { count: mmr.count + 1, peaks };
}

export function mmrRoot(mmr: Mmr): Hash {
  let bagged: Hash | undefined;
  for (let i = mmr.peaks.length - 1; i >= 0; i -= 1) {
    const peak = mmr.peaks[i] as Hash;
    bagged = bagged === undefined ? peak : merkleNode(peak, bagged);
  }
  return commit(mmr.count, bagged ?? EMPTY_MERKLE_ROOT);
}

function commit(count: number, merkleRoot: Hash): Hash {
  return hashTagged('mmr', new Writer(8).u53(count).finish(), merkleRoot);
}

/** Path of one leaf; O(n). `MmrLog` answers the same from kept nodes. */
export function mmrPath(leaves: readonly Hash[], index: number): MmrPath {
  return { index, count: leaves.length, siblings: new MerkleTree(leaves).path(index) };
}

export function verifyMmrPath(o: {
  readonly root: Hash;
  readonly leaf: Hash;
  readonly path: MmrPath;
}): boolean {
  const { index, count, siblings } = o.path;
  if (o.leaf.length !== HASH_BYTES || siblings.some((sibling) => sibling.length !== HASH_BYTES)) return false;
  const merkleRoot = merkleRootFromPath({ leafHash: merkleLeaf(o.leaf), index, count, path: siblings });
  return merkleRoot !== undefined && equalBytes(commit(count, merkleRoot), o.root);
}

/** Leaves `start` … `start + leaves.length − 1` of a range of `count`, with what leads from them to the root. */
export interface MmrRange {
  readonly start: number;
  readonly count: number;
  readonly leaves: readonly Hash[];
  /** From the node over the leaves up. */
  readonly siblings: readonly Hash[];
}

/**
 * Whether the leaves are those of the range at these places. Only stretches that are one node of the tree can be
 * shown: a power of two from a multiple of it, or what is left of such a stretch at the end.
 */
export function verifyMmrRange(root: Hash, range: MmrRange): boolean {
  const { start, count, leaves, siblings } = range;
  if ([...leaves, ...siblings].some((hash) => hash.length !== HASH_BYTES)) return false;
  const turns = turnsTo(start, start + leaves.length, count);
  if (turns === undefined || turns.length !== siblings.length) return false;
  let hash = merkleRoot(leaves);
  for (const [i, sibling] of siblings.entries())
    hash = turns[i] === 'right' ? merkleNode(sibling, hash) : merkleNode(hash, sibling);
  return equalBytes(commit(count, hash), root);
}

/** On which side the node over [start, end) lies at each step from it up to the root; undefined when no node is over it. */
function turnsTo(start: number, end: number, count: number): ('left' | 'right')[] | undefined {
  if (!Number.isSafeInteger(count) || !Number.isSafeInteger(start)) return undefined;
  if (start < 0 || end <= start || end > count) return undefined;
  const turns: ('left' | 'right')[] = [];
  let low = 0;
  let high = count;
  while (low !== start || high !== end) {
    if (high - low < 2) return undefined;
    const middle = low + largestPowerBelow(high - low);
    if (end <= middle) {
      turns.push('left');
      high = middle;
    } else if (start >= middle) {
      turns.push('right');
      low = middle;
    } else return undefined;
  }
  return turns.reverse();
}

/** Root of the perfect tree over leaves index · 2^level … (index + 1) · 2^level − 1, where it is kept. */
export type NodeAt = (level: number, index: number) => Hash | undefined;

export interface MmrNode {
  readonly level: number;
  readonly index: number;
  readonly hash: Hash;
}

/** What there is to keep once leaf number `count` has come: it, and every perfect tree it completes. Undefined where one before is missing. */
export function nodesOfLeaf(leaf: Hash, count: number, nodeAt: NodeAt): MmrNode[] | undefined {
  const nodes: MmrNode[] = [{ level: 0, index: count, hash: merkleLeaf(leaf) }];
  for (let { level, index, hash } = nodes[0] as MmrNode; index % 2 === 1;) {
    const left = nodeAt(level, index - 1);
    if (left === undefined) return undefined;
    hash = merkleNode(left, hash);
    level += 1;
    index = (index - 1) / 2;
    nodes.push({ level, index, hash });
  }
  return nodes;
}

/** Peaks as nodes: enough to go on from, and for the paths of all leaves that come after them. */
export function nodesOfPeaks({ count, peaks }: Mmr): MmrNode[] {
  let start = 0;
  return peaks.map((hash) => {
    const size = largestPowerBelow(count - start + 1);
    const node = { level: Math.log2(size), index: start / size, hash };
    start += size;
    return node;
  });
}

/** From nodes of this range or a longer one; undefined where one that is needed is not kept. */
export function pathOfNodes(nodeAt: NodeAt, index: number, count: number): MmrPath | undefined {
  const siblings = siblingsOf(nodeAt, index, index + 1, count);
  return siblings && { index, count, siblings };
}

/** What leads from the node over leaves from … to − 1 to the root over `count`. */
function siblingsOf(nodeAt: NodeAt, from: number, to: number, count: number): Hash[] | undefined {
  const siblings: Hash[] = [];
  let start = 0;
  let end = count;
  while (start !== from || end !== to) {
    const middle = start + largestPowerBelow(end - start);
    const isLeft = from < middle;
    const sibling = isLeft ? rootOf(nodeAt, middle, end) : rootOf(nodeAt, start, middle);
    if (sibling === undefined) return undefined;
    siblings.push(sibling);
    if (isLeft) end = middle;
    else start = middle;
  }
  return siblings.reverse();
}

/** Root over leaves start … end − 1; start is a multiple of the largest power of two in the range. */
function rootOf(nodeAt: NodeAt, start: number, end: number): Hash | undefined {
  const size = end - start;
  const power = largestPowerBelow(size + 1);
  const left = nodeAt(Math.log2(power), start / power);
  if (power === size || left === undefined) return left;
  const right = rootOf(nodeAt, start + power, end);
  return right && merkleNode(left, right);
}

/**
 * The same range with its inner nodes kept, for whoever serves paths: 64 bytes a leaf, O(log n) an append,
 * O(log² n) a path, also against any earlier count.
 */
export class MmrLog {
  /** `#levels[k][i]` is the root of the perfect tree over leaves i·2^k … (i+1)·2^k − 1. */
  readonly #levels: Hash[][] = [[]];
  readonly #nodeAt: NodeAt = (level, index) => this.#levels[level]?.[index];

  get count(): number {
    return (this.#levels[0] as Hash[]).length;
  }

  append(leaf: Hash): void {
    for (const { level, hash } of nodesOfLeaf(leaf, this.count, this.#nodeAt) as MmrNode[])
      (this.#levels[level] ??= []).push(hash);
  }

  root(count: number = this.count): Hash {
    this.#check(count);
    return commit(count, count === 0 ? EMPTY_MERKLE_ROOT : (rootOf(this.#nodeAt, 0, count) as Hash));
  }

  path(index: number, count: number = this.count): MmrPath {
    this.#check(count);
    if (!Number.isInteger(index) || index < 0 || index >= count)
      throw new RangeError(`no leaf ${index} among ${count}`);
    return pathOfNodes(this.#nodeAt, index, count) as MmrPath;
  }

  /** What `verifyMmrRange` needs besides the leaves start … end − 1, which must be one node of the tree of `count`. */
  rangePath(start: number, end: number, count: number = this.count): Hash[] {
    this.#check(count);
    if (turnsTo(start, end, count) === undefined)
      throw new RangeError(`no node is over leaves ${start} to ${end} of ${count}`);
    return siblingsOf(this.#nodeAt, start, end, count) as Hash[];
  }

  #check(count: number): void {
    if (!Number.isInteger(count) || count < 0 || count > this.count) {
      throw new RangeError(`expected a count up to ${this.count}, got ${count}`);
    }
  }
}

/** The largest power of two strictly below n, for n ≥ 2. */
function largestPowerBelow(n: number): number {
  let power = 1;
  while (power * 2 < n) power *= 2;
  return power;
}
