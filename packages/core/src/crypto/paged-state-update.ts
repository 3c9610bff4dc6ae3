/**
 * One update of a paged state tree: changes go down the touched paths together, hashes come up level by level, all of a
 * level at once, and only then pages are written, each once, what lies below before what refers to it.
 *
 * A page holds the nodes with up to 16^k leaves, and refers to pages for those with up to 16^(k − 1): pages follow the number
 * of records, not the depth, so that they are well filled whatever the size of the tree.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { asHash, HASH_BYTES, type Hash } from './hash.ts';
import type { TreeShape, TreeTop } from './paged-state-tree.ts';
import {
  countAt,
  depthOf,
  endOf,
  hashAt,
  labelAt,
  leftAt,
  locationAt,
  lowestKey,
  NODE,
  PageWriter,
  readU32,
  rightAt,
  topAt,
  valueAt,
} from './state-page.ts';
import { bitAt } from './state-tree.ts';

const FAN_OUT = 16;

/** What happens to one key. */
export class PageChange {
  readonly key: Hash;
  readonly label: Uint8Array;
  /** `undefined` removes the key; `moves` only has the pages on its way looked at, see `pageMove`. */
  readonly value: Uint8Array | 'moves' | undefined;
  /** How far down a look goes. */
  readonly depth: number;
  /** Set by the update. */
  outcome: 'none' | 'added' | 'changed' | 'removed' = 'none';
  /** First bits of the key: most comparisons end here. */
  readonly order: number;

  constructor(key: Hash, label: Uint8Array, value: Uint8Array | 'moves' | undefined, depth = 0) {
    this.key = key;
    this.label = label;
    this.value = value;
    this.depth = depth;
    this.order = readU32(key, 0);
  }
}

/** Looks whether a page is still of the tree and, if its store wants that (`PageStore.moves`), appends it anew. */
export function pageMove(page: Uint8Array): PageChange {
  return new PageChange(asHash(lowestKey(page)), NO_HASH, 'moves', depthOf(page));
}

class Leaf {
  readonly key: Hash;
  readonly label: Uint8Array;
  readonly value: Uint8Array;
  hash: Uint8Array = NO_HASH;
  hashAt = 0;

  constructor({ key, label }: PageChange, value: Uint8Array) {
    this.key = key;
    this.label = label;
    this.value = value;
  }
}

class Branch {
  readonly left: Node | undefined;
  readonly right: Node | undefined;
  readonly count: number;
  hash: Uint8Array = NO_HASH;
  hashAt = 0;

  constructor(left: Node | undefined, right: Node | undefined) {
    this.left = left;
    this.right = right;
    this.count = countOf(left) + countOf(right);
  }
}

/** A node of an earlier page with everything below it, untouched; never an empty one. */
class Kept {
  readonly page: Uint8Array;
  readonly at: number;

  constructor(page: Uint8Array, at: number) {
    this.page = page;
    this.at = at;
  }
}

type Node = Leaf | Branch | Kept;

const NO_HASH = new Uint8Array(HASH_BYTES);

function keptAt(page: Uint8Array, at: number): Kept | undefined {
  return page[at] === NODE.empty ? undefined : new Kept(page, at);
}

function countOf(node: Node | undefined): number {
  if (node === undefined) return 0;
  if (node instanceof Branch) return node.count;
  return node instanceof Leaf ? 1 : countAt(node.page, node.at);
}

/** The top of the tree after the changes. */
export function updatePages(
  shape: TreeShape,
  top: TreeTop | undefined,
  changes: readonly PageChange[],
): TreeTop | undefined {
  const update = new Update(shape);
  const next = update.apply(top, inOrder(changes));
  return next === 'same' ? top : next;
}

/** Sorted by key, one per key, the last one given. */
function inOrder(changes: readonly PageChange[]): PageChange[] {
  // A look at the pages on a key's way is no change of what the key holds, and goes before those.
  const sorted = changes.toSorted(
    (a, b) =>
      a.order - b.order ||
      compareBytes(a.key, b.key) ||
      Number(b.value === 'moves') - Number(a.value === 'moves'),
  );
  return sorted.filter((change, i) => {
    const next = sorted[i + 1];
    return next === undefined || change.value === 'moves' || !equalBytes(next.key, change.key);
  });
}

class Update {
  readonly #shape: TreeShape;
  readonly #leaves: Leaf[] = [];
  /** Branches to hash, by depth. */
  readonly #levels: Branch[][] = [];
  #changes: readonly PageChange[] = [];
  readonly #writers: PageWriter[] = [];
  /** Bits that lead to the node that is being written. */
  readonly #path = new Uint8Array(HASH_BYTES + 1);

  constructor(shape: TreeShape) {
    this.#shape = shape;
  }

  apply(top: TreeTop | undefined, changes: readonly PageChange[]): TreeTop | undefined | 'same' {
    this.#changes = changes;
    let next: Node | undefined;
    if (top === undefined) {
      next = this.#merge(undefined, 0, changes.length, 0);
      if (next === undefined) return 'same';
    } else {
      const page = this.#shape.pages.read(top.location);
      const before = new Kept(page, topAt(page));
      next = this.#change(before, 0, changes.length, 0);
      if (next === before && !this.#shape.pages.moves(top.location)) return 'same';
      this.#shape.pages.release(top.location, page.length);
    }
    this.#hash();
    return next === undefined ? undefined : this.#writeTop(next);
  }

  /** The node after changes `from` to `to` − 1, which all lie below it; the same object when nothing changed. */
  #change(node: Node | undefined, from: number, to: number, depth: number): Node | undefined {
    if (from === to) return node;
    if (!(node instanceof Kept)) return this.#merge(node, from, to, depth);
    const { page, at } = node;
    switch (page[at] as number) {
      case NODE.leaf:
        return this.#merge(node, from, to, depth);
      case NODE.page:
        return this.#changePage(node, from, to, depth);
      default: {
        const split = splitAt(this.#changes, from, to, depth);
        const leftBefore = keptAt(page, leftAt(at));
        const rightBefore = keptAt(page, rightAt(page, at));
        const left = this.#change(leftBefore, from, split, depth + 1);
        const right = this.#change(rightBefore, split, to, depth + 1);
        if (left === leftBefore && right === rightBefore) return node;
        const isMoved = hasHashOf(left, leftBefore) && hasHashOf(right, rightBefore);
        return this.#join(left, right, depth, isMoved ? node : undefined);
      }
    }
  }

  #changePage(node: Kept, from: number, to: number, depth: number): Node | undefined {
    const { pages } = this.#shape;
    const location = locationAt(node.page, node.at);
    if (!pages.moves(location) && this.#endsHere(from, to, depth)) return node;
    const page = pages.read(location);
    const top = new Kept(page, topAt(page));
    const next = this.#change(top, from, to, depth);
    if (next === top && !pages.moves(location)) return node;
    pages.release(location, page.length);
    return next;
  }

  /** Whether all changes are looks at pages further up, one of which may have been here before. */
  #endsHere(from: number, to: number, depth: number): boolean {
    for (let i = from; i < to; i += 1) {
      const change = this.#changes[i] as PageChange;
      if (change.value !== 'moves' || change.depth > depth) return false;
    }
    return true;
  }

  /** A branch, unless what is left is at most one leaf. With `before`, one that had the same hash. */
  #join(
    left: Node | undefined,
    right: Node | undefined,
    depth: number,
    before: Kept | undefined,
  ): Node | undefined {
    if (left === undefined && countOf(right) <= 1) return right;
    if (right === undefined && countOf(left) <= 1) return left;
    const branch = new Branch(left, right);
    if (before === undefined) (this.#levels[depth] ??= []).push(branch);
    else {
      branch.hash = before.page;
      branch.hashAt = hashAt(before.page, before.at);
    }
    return branch;
  }

  /** Changes where there was at most one leaf. */
  #merge(node: Node | undefined, from: number, to: number, depth: number): Node | undefined {
    const leaves: Keyed[] = [];
    let waiting = node && this.#keyed(node);
    for (let i = from; i < to; i += 1) {
      const change = this.#changes[i] as PageChange;
      const { key, value } = change;
      if (value === 'moves') continue;
      const order = waiting === undefined ? 1 : compareBytes(waiting.key, key);
      if (waiting !== undefined && order < 0) leaves.push(waiting);
      if (waiting !== undefined && order === 0) {
        const { page, at } = waiting.node as Kept;
        if (value === undefined) change.outcome = 'removed';
        else if (equalBytes(valueAt(page, at), value)) leaves.push(waiting);
        else {
          change.outcome = 'changed';
          leaves.push(this.#leaf(change, value));
        }
      } else if (value !== undefined) {
        change.outcome = 'added';
        leaves.push(this.#leaf(change, value));
      }
      if (order <= 0) waiting = undefined;
    }
    if (waiting !== undefined) leaves.push(waiting);
    return this.#build(leaves, 0, leaves.length, depth);
  }

  #keyed(node: Node): Keyed {
    if (!(node instanceof Kept)) throw new RangeError('a node is changed once in an update');
    return { key: this.#shape.keyOf(labelAt(node.page, node.at)), node };
  }

  #leaf(change: PageChange, value: Uint8Array): Keyed {
    const node = new Leaf(change, value);
    this.#leaves.push(node);
    return { key: change.key, node };
  }

  #build(leaves: readonly Keyed[], from: number, to: number, depth: number): Node | undefined {
    if (to - from <= 1) return from === to ? undefined : (leaves[from] as Keyed).node;
    const split = splitAt(leaves, from, to, depth);
    const left = this.#build(leaves, from, split, depth + 1);
    return this.#join(left, this.#build(leaves, split, to, depth + 1), depth, undefined);
  }

  #hash(): void {
    const { hasher } = this.#shape;
    const leaves = this.#leaves;
    if (leaves.length > 0) {
      const values = new Uint8Array(HASH_BYTES * leaves.length);
      hasher.values(
        leaves.map(({ value }) => value),
        values,
      );
      const input = room(leaves.length);
      for (const [i, leaf] of leaves.entries()) {
        copyHash(input, 2 * HASH_BYTES * i, leaf.key, 0);
        copyHash(input, 2 * HASH_BYTES * i + HASH_BYTES, values, HASH_BYTES * i);
      }
      this.#hashed(0, leaves, input, new Uint8Array(HASH_BYTES * leaves.length));
    }
    for (let depth = this.#levels.length - 1; depth >= 0; depth -= 1) {
      const branches = this.#levels[depth];
      if (branches === undefined) continue;
      const input = room(branches.length);
      for (let i = 0; i < branches.length; i += 1) {
        const { left, right } = branches[i] as Branch;
        putHash(input, 2 * HASH_BYTES * i, left);
        putHash(input, 2 * HASH_BYTES * i + HASH_BYTES, right);
      }
      this.#hashed(1, branches, input, new Uint8Array(HASH_BYTES * branches.length));
    }
  }

  #hashed(domain: 0 | 1, nodes: readonly (Leaf | Branch)[], input: Uint8Array, output: Uint8Array): void {
    this.#shape.hasher.pairs(domain, input, nodes.length, output);
    for (let i = 0; i < nodes.length; i += 1) {
      const node = nodes[i] as Leaf | Branch;
      node.hash = output;
      node.hashAt = HASH_BYTES * i;
    }
  }

  #writeTop(node: Node): TreeTop {
    const count = countOf(node);
    const hash = new Uint8Array(HASH_BYTES);
    putHash(hash, 0, node);
    const isPage = node instanceof Kept && node.page[node.at] === NODE.page;
    const location = isPage ? locationAt(node.page, node.at) : this.#writePage(node, 0, 0);
    return { hash: asHash(hash), count, location };
  }

  /** Appends a page with this node at its top. `nesting` counts the pages that wait above for where it lies. */
  #writePage(node: Node, depth: number, nesting: number): number {
    const writer = (this.#writers[nesting] ??= new PageWriter());
    writer.begin(this.#path, depth);
    if (node instanceof Kept) writer.copy(node.page, node.at, endOf(node.page, node.at));
    else this.#writeNode(writer, node, { depth, nesting, limit: classLimit(countOf(node)) });
    return this.#shape.pages.append(writer.finish());
  }

  #writeNode(writer: PageWriter, node: Node | undefined, at: Position): void {
    if (node === undefined) return writer.empty();
    if (node instanceof Leaf) return writer.leaf(node.label, node.value, node.hash, node.hashAt);
    const count = countOf(node);
    const isBelow = count > 1 && count <= at.limit / FAN_OUT;
    if (node instanceof Kept) {
      const { page, at: from } = node;
      if (!isBelow || page[from] !== NODE.branch) return writer.copy(page, from, endOf(page, from));
      const location = this.#writePage(node, at.depth, at.nesting + 1);
      return writer.page(count, page, hashAt(page, from), location);
    }
    if (isBelow) {
      const location = this.#writePage(node, at.depth, at.nesting + 1);
      return writer.page(count, node.hash, node.hashAt, location);
    }
    const { depth } = at;
    const below = { ...at, depth: depth + 1 };
    const branch = writer.branch(count, node.hash, node.hashAt);
    const byte = depth >> 3;
    const bit = 0x80 >> (depth & 7);
    this.#path[byte] = (this.#path[byte] as number) & ~bit;
    this.#writeNode(writer, node.left, below);
    writer.leftDone(branch);
    this.#path[byte] = (this.#path[byte] as number) | bit;
    this.#writeNode(writer, node.right, below);
    this.#path[byte] = (this.#path[byte] as number) & ~bit;
  }
}

interface Keyed {
  readonly key: Hash;
  readonly node: Leaf | Kept;
}

/** Where a node is written: its depth, pages begun above, and the leaves that nodes of this page have at most. */
interface Position {
  readonly depth: number;
  readonly nesting: number;
  readonly limit: number;
}

/** The least power of the fan-out that is not below. */
function classLimit(count: number): number {
  let limit = FAN_OUT;
  while (limit < count) limit *= FAN_OUT;
  return limit;
}

/** Whether a node that was only moved to another page has the hash it had. */
function hasHashOf(node: Node | undefined, before: Kept | undefined): boolean {
  if (node === before) return true;
  if (node === undefined || before === undefined || node instanceof Leaf) return false;
  const [bytes, at] =
    node instanceof Kept ? [node.page, hashAt(node.page, node.at)] : [node.hash, node.hashAt];
  // A branch that is still to be hashed has none.
  if (bytes === NO_HASH) return false;
  const own = hashAt(before.page, before.at);
  for (let i = 0; i < HASH_BYTES; i += 1) if (bytes[at + i] !== before.page[own + i]) return false;
  return true;
}

function putHash(target: Uint8Array, at: number, node: Node | undefined): void {
  if (node === undefined) target.fill(0, at, at + HASH_BYTES);
  else if (node instanceof Kept) copyHash(target, at, node.page, hashAt(node.page, node.at));
  else copyHash(target, at, node.hash, node.hashAt);
}

function copyHash(target: Uint8Array, at: number, from: Uint8Array, start: number): void {
  for (let i = 0; i < HASH_BYTES; i += 1) target[at + i] = from[start + i] as number;
}

/** Room for the inputs of a level, used again for the next. */
let inputs = new Uint8Array(0);

function room(count: number): Uint8Array {
  if (inputs.length < 2 * HASH_BYTES * count) inputs = new Uint8Array(4 * HASH_BYTES * count);
  return inputs;
}

/** First position whose key has bit `depth` set; all keys of the range share the bits above. */
function splitAt(list: readonly { readonly key: Hash }[], from: number, to: number, depth: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bitAt((list[middle] as { readonly key: Hash }).key, depth) === 1) high = middle;
    else low = middle + 1;
  }
  return low;
}
