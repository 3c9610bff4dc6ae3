/**
 * Sparse Merkle tree over 256-bit keys (spec CRYPTO-7): proves that a key holds a value, and that it holds none.
 * Immutable: an update shares all untouched nodes, so every earlier root stays usable. A subtree with a single
 * leaf is that leaf, so depth follows the number of entries, not the width of the key.
 *
 * empty = 32 zero bytes; leaf = SHA-256(0x00 ‖ key ‖ SHA-256(value)); branch = SHA-256(0x01 ‖ left ‖ right).
 */
import { equalBytes } from '../bytes/hex.ts';
import { idBytes, idText } from '../bytes/id-text.ts';
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, sha256, sha256Text, ZERO_HASH, type Hash } from './hash.ts';
import { merkleNode } from './merkle.ts';

export const STATE_DEPTH_MAX = 256;

export interface StateChange {
  readonly key: Hash;
  /** `undefined` removes the key. */
  readonly value: Uint8Array | undefined;
  /** What the owner of the tree calls the key: kept beside it, in no hash. Keys are hashes that nobody can turn back. */
  readonly label?: string;
}

/** A change whose key is a text (`idText`) already, in which form the tree keeps it. */
export interface TextChange extends Omit<StateChange, 'key'> {
  readonly key: string;
}

export interface StateProof {
  /** From the root down to the place of the key; `ZERO_HASH` where the other side is empty. */
  readonly siblings: readonly Hash[];
  /** For an absent key: the other leaf that sits where the key would be, if any. */
  readonly terminal: { readonly key: Hash; readonly valueHash: Hash } | undefined;
}

/** The first bits that a set of keys has in common. */
export interface KeyPrefix {
  /** Number of bits, 0 to 256. */
  readonly depth: number;
  /** ⌈depth / 8⌉ bytes; bits beyond the depth are zero. */
  readonly bits: Uint8Array;
}

/** All entries under one prefix, and what proves that they are all (see `state-subtree.ts`). */
export interface Subtree {
  readonly count: number;
  /** From the root down to the prefix, one per bit; `ZERO_HASH` where the other side is empty. */
  readonly siblings: readonly Hash[];
  /** In ascending order of keys. */
  readonly entries: Iterable<StateLeaf>;
}

export interface StateLeaf {
  readonly key: Hash;
  readonly value: Uint8Array;
  /** Empty when none was given with the value. */
  readonly label: string;
}

/** What a tree answers, wherever it is kept. */
export interface StateTreeView {
  readonly root: Hash;
  /** Keys that hold a value. */
  readonly size: number;
  get(key: Hash): Uint8Array | undefined;
  /** Proof of what the key holds, or that it holds nothing. */
  prove(key: Hash): StateProof;
  /** In ascending order of keys. */
  entries(): Iterable<StateLeaf>;
  /** What lies under a prefix; undefined when the tree ends above it, in a leaf or in nothing. */
  subtree(prefix: KeyPrefix): Subtree | undefined;
}

type Node = Leaf | Branch;

/**
 * Keys and hashes in nodes are texts (`idText`): hundreds of states are kept, each with its own part of the tree, and as
 * typed arrays their hashes alone were most of what the garbage collector had to carry about.
 */
class Leaf {
  readonly count = 1;
  readonly key: string;
  readonly value: Uint8Array;
  readonly label: string;
  readonly valueHash: string;
  readonly hash: string;

  constructor(key: string, value: Uint8Array, label = '') {
    this.key = key;
    this.value = value;
    this.label = label;
    this.valueHash = sha256Text(value);
    layOut(leafScratch, key, this.valueHash);
    this.hash = sha256Text(leafScratch);
  }
}

class Branch {
  readonly left: Node | undefined;
  readonly right: Node | undefined;
  readonly count: number;
  readonly hash: string;

  constructor(left: Node | undefined, right: Node | undefined) {
    this.left = left;
    this.right = right;
    this.count = (left?.count ?? 0) + (right?.count ?? 0);
    layOut(branchScratch, left?.hash ?? ZERO_TEXT, right?.hash ?? ZERO_TEXT);
    this.hash = sha256Text(branchScratch);
  }
}

const ZERO_TEXT = idText(ZERO_HASH);
const branchScratch = new Uint8Array(1 + 2 * HASH_BYTES);
branchScratch[0] = 0x01;

/** Two hashes behind the domain byte. */
function layOut(scratch: Uint8Array, first: string, second: string): void {
  for (let i = 0; i < HASH_BYTES; i += 1) {
    scratch[1 + i] = first.charCodeAt(i);
    scratch[1 + HASH_BYTES + i] = second.charCodeAt(i);
  }
}

function hashOf(text: string): Hash {
  return asHash(idBytes(text));
}

const leafScratch = new Uint8Array(1 + 2 * HASH_BYTES);

export function leafHash(key: Hash, valueHash: Hash): Hash {
  leafScratch.set(key, 1);
  leafScratch.set(valueHash, 1 + HASH_BYTES);
  return sha256(leafScratch);
}

/** Bit `depth` of a key, the highest of the first byte being 0. */
export function bitAt(key: Uint8Array, depth: number): number {
  return ((key[depth >> 3] as number) >> (7 - (depth & 7))) & 1;
}

/** The same of a key as text. */
function textBitAt(key: string, depth: number): number {
  return (key.charCodeAt(depth >> 3) >> (7 - (depth & 7))) & 1;
}

export class StateTree implements StateTreeView {
  static readonly empty: StateTree = new StateTree(undefined);

  readonly #top: Node | undefined;
  #root: Hash | undefined;

  private constructor(top: Node | undefined) {
    this.#top = top;
  }

  get root(): Hash {
    return (this.#root ??= this.#top === undefined ? ZERO_HASH : hashOf(this.#top.hash));
  }

  get size(): number {
    return this.#top?.count ?? 0;
  }

  /**
   * All changes at once: every touched path is hashed one time. Of several changes to one key the last counts.
   * Keys and values are kept, not copied.
   */
  update(changes: readonly (StateChange | TextChange)[]): StateTree {
    const ordered = inOrder(changes);
    const top = applyChanges(this.#top, { changes: ordered, from: 0, to: ordered.length }, 0);
    return top === this.#top ? this : new StateTree(top);
  }

  get(key: Hash): Uint8Array | undefined {
    const text = idText(key);
    const leaf = this.#descend(text, undefined);
    return leaf?.key === text ? leaf.value : undefined;
  }

  prove(key: Hash): StateProof {
    const siblings: Hash[] = [];
    const text = idText(key);
    const leaf = this.#descend(text, siblings);
    const other = leaf !== undefined && leaf.key !== text ? leaf : undefined;
    return {
      siblings,
      terminal: other && { key: hashOf(other.key), valueHash: hashOf(other.valueHash) },
    };
  }

  entries(): Iterable<StateLeaf> {
    return entriesOf(this.#top);
  }

  subtree(prefix: KeyPrefix): Subtree | undefined {
    const siblings: Hash[] = [];
    let node = this.#top;
    for (let depth = 0; depth < prefix.depth; depth += 1) {
      if (!(node instanceof Branch)) return undefined;
      const goRight: boolean = bitAt(prefix.bits, depth) === 1;
      siblings.push(nodeHash(goRight ? node.left : node.right));
      node = goRight ? node.right : node.left;
    }
    return { count: node?.count ?? 0, siblings, entries: entriesOf(node) };
  }

  /** The leaf met on the way of the key, noting the other sides passed. */
  #descend(key: string, siblings: Hash[] | undefined): Leaf | undefined {
    let node = this.#top;
    for (let depth = 0; node instanceof Branch; depth += 1) {
      const goRight: boolean = textBitAt(key, depth) === 1;
      const other: Node | undefined = goRight ? node.left : node.right;
      siblings?.push(nodeHash(other));
      node = goRight ? node.right : node.left;
    }
    return node;
  }
}

function nodeHash(node: Node | undefined): Hash {
  return node === undefined ? ZERO_HASH : hashOf(node.hash);
}

function* entriesOf(top: Node | undefined): Iterable<StateLeaf> {
  const stack: (Node | undefined)[] = [top];
  while (stack.length > 0) {
    const node = stack.pop();
    if (node === undefined) continue;
    if (node instanceof Leaf) yield { key: hashOf(node.key), value: node.value, label: node.label };
    else stack.push(node.right, node.left);
  }
}

/** A change with its key as the tree keeps it. */
interface Keyed {
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly label: string | undefined;
}

/** Sorted by key, one per key, the last one given. */
function inOrder(changes: readonly (StateChange | TextChange)[]): Keyed[] {
  const sorted = changes
    .map(({ key, value, label }): Keyed => {
      if (key.length !== HASH_BYTES) throw new RangeError(`a state key has ${HASH_BYTES} bytes`);
      return { key: typeof key === 'string' ? key : idText(key), value, label };
    })
    .sort((a, b) => (a.key < b.key ? -1 : a.key === b.key ? 0 : 1));
  // The sort is stable, so among equal keys the last in the list is the last given.
  return sorted.filter(({ key }, i) => sorted[i + 1]?.key !== key);
}

/** Part of the sorted changes: bounds cost nothing, where slices would be copied at every level. */
interface ChangeRange<T extends Pick<Keyed, 'key'>> {
  readonly changes: readonly T[];
  readonly from: number;
  readonly to: number;
}

function applyChanges(node: Node | undefined, range: ChangeRange<Keyed>, depth: number): Node | undefined {
  const { changes, from, to } = range;
  if (from === to) return node;
  if (!(node instanceof Branch)) return build(mergeLeaf(node, changes.slice(from, to)), depth);
  const split = splitAt(range, depth);
  const left = applyChanges(node.left, { changes, from, to: split }, depth + 1);
  const right = applyChanges(node.right, { changes, from: split, to }, depth + 1);
  if (left === node.left && right === node.right) return node;
  return join(left, right);
}

/** The leaves of a place that held at most one, after the changes; sorted by key. */
function mergeLeaf(leaf: Leaf | undefined, changes: readonly Keyed[]): Leaf[] {
  const leaves: Leaf[] = [];
  let waiting = leaf;
  for (const { key, value, label } of changes) {
    if (waiting !== undefined) {
      if (waiting.key === key) {
        // Writing what is there already keeps the node, so that nothing above is hashed again.
        if (value !== undefined)
          leaves.push(equalBytes(waiting.value, value) ? waiting : new Leaf(key, value, label));
        waiting = undefined;
        continue;
      }
      if (waiting.key < key) {
        leaves.push(waiting);
        waiting = undefined;
      }
    }
    if (value !== undefined) leaves.push(new Leaf(key, value, label));
  }
  if (waiting !== undefined) leaves.push(waiting);
  return leaves;
}

function build(leaves: readonly Leaf[], depth: number): Node | undefined {
  if (leaves.length <= 1) return leaves[0];
  const split = splitAt({ changes: leaves, from: 0, to: leaves.length }, depth);
  return new Branch(build(leaves.slice(0, split), depth + 1), build(leaves.slice(split), depth + 1));
}

/** A branch, unless what is left is at most one leaf. */
function join(left: Node | undefined, right: Node | undefined): Node | undefined {
  if (left === undefined && !(right instanceof Branch)) return right;
  if (right === undefined && !(left instanceof Branch)) return left;
  return new Branch(left, right);
}

/** First position whose key has bit `depth` set; all keys of the range share the bits above. */
function splitAt(range: ChangeRange<Pick<Keyed, 'key'>>, depth: number): number {
  const { changes } = range;
  let low = range.from;
  let high = range.to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (textBitAt((changes[middle] as Pick<Keyed, 'key'>).key, depth) === 1) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Whether the tree under `root` holds exactly `value` for `key`, or nothing when `value` is undefined.
 * Never throws: the proof comes from outside.
 */
export function verifyStateProof(
  root: Hash,
  key: Hash,
  value: Uint8Array | undefined,
  proof: StateProof,
): boolean {
  const { siblings, terminal } = proof;
  if (siblings.length > STATE_DEPTH_MAX || key.length !== HASH_BYTES) return false;
  let hash: Hash = ZERO_HASH;
  if (value !== undefined) {
    if (terminal !== undefined) return false;
    hash = leafHash(key, sha256(value));
  } else if (terminal !== undefined) {
    // Another leaf proves absence only if it sits on the way of the key, and is another.
    if (equalBytes(terminal.key, key)) return false;
    for (let depth = 0; depth < siblings.length; depth += 1) {
      if (bitAt(terminal.key, depth) !== bitAt(key, depth)) return false;
    }
    hash = leafHash(terminal.key, terminal.valueHash);
  }
  for (let depth = siblings.length - 1; depth >= 0; depth -= 1) {
    const sibling = siblings[depth] as Hash;
    hash = bitAt(key, depth) === 1 ? merkleNode(sibling, hash) : merkleNode(hash, sibling);
  }
  return equalBytes(hash, root);
}

/** u16 depth, bitmap of siblings that are not empty (first in the lowest bit), those hashes, 0/1, terminal. */
export function writeStateProof(writer: Writer, proof: StateProof): void {
  const { siblings, terminal } = proof;
  const bitmap = new Uint8Array(Math.ceil(siblings.length / 8));
  for (const [i, sibling] of siblings.entries()) {
    if (!equalBytes(sibling, ZERO_HASH)) bitmap[i >> 3] = (bitmap[i >> 3] as number) | (1 << (i & 7));
  }
  writer.u16(siblings.length).raw(bitmap);
  for (const sibling of siblings) if (!equalBytes(sibling, ZERO_HASH)) writer.fixed(sibling, HASH_BYTES);
  writer.bool(terminal !== undefined);
  if (terminal !== undefined) writer.fixed(terminal.key, HASH_BYTES).fixed(terminal.valueHash, HASH_BYTES);
}

export function readStateProof(reader: Reader): StateProof {
  const depth = reader.u16();
  if (depth > STATE_DEPTH_MAX)
    reader.refuse('decode.too-long', `expected at most ${STATE_DEPTH_MAX} siblings, got ${depth}`);
  const bitmap = reader.fixed(Math.ceil(depth / 8));
  const isSet = (i: number): boolean => (((bitmap[i >> 3] as number) >> (i & 7)) & 1) === 1;
  for (let i = depth; i < bitmap.length * 8; i += 1) {
    if (isSet(i)) reader.refuse('decode.not-canonical', 'expected no bit beyond the depth');
  }
  const siblings: Hash[] = [];
  for (let i = 0; i < depth; i += 1) {
    const sibling = isSet(i) ? readHash(reader) : ZERO_HASH;
    if (isSet(i) && equalBytes(sibling, ZERO_HASH))
      reader.refuse('decode.not-canonical', 'an empty sibling is written as a clear bit');
    siblings.push(sibling);
  }
  return {
    siblings,
    terminal: reader.bool() ? { key: readHash(reader), valueHash: readHash(reader) } : undefined,
  };
}

function readHash(reader: Reader): Hash {
  return asHash(reader.fixed(HASH_BYTES).slice());
}
