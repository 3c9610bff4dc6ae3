/**
 * One update of a paged state tree. Changes go down the touched paths together, in the order of their keys. A page in which every
 * node keeps its place is written where it is; one in which leaves come or go is taken apart and built again. Hashes come up
 * level by level into the places that wait for them.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { asHash, type Hash } from './hash.ts';
import { classOf, countOf, keptAt, PageBuilder, type Kept, type Leaf, type Node } from './page-builder.ts';
import { OUTCOME, type PageChanges } from './page-changes.ts';
import type { PagePool } from './page-pool.ts';
import type { TreeShape, TreeTop } from './paged-state-tree.ts';
import { Numbers, PendingHashes } from './pending-hashes.ts';
import {
  hashOf,
  HASH_WORDS,
  kindAt,
  labelAt,
  labelByteAt,
  labelBytes,
  leftAt,
  locationAt,
  NODE,
  pageCount,
  redirect,
  referenceCount,
  rightAt,
  topAt,
  valueAt,
  valueByteAt,
  valueBytes,
  type Chunk,
} from './state-page.ts';

const NO_LABEL = new Uint8Array(0);

/** How the changes fit what a page holds: nothing to do, nothing that shows in its hash, every node in its place, or not. */
const SAME = 0;
const MOVES = 1;
const FITS = 2;
const BREAKS = 3;
type Fit = typeof SAME | typeof MOVES | typeof FITS | typeof BREAKS;

/** What is to be done in a page, one behind another: the kind, where, and what the kind needs. */
const LEAF_STEP = 0;
const BRANCH_STEP = 1;
const REFERENCE_STEP = 2;

/** The top of the tree after the changes; the same object when there are none. */
export function updatePages(
  shape: TreeShape,
  top: TreeTop | undefined,
  changes: PageChanges,
): TreeTop | undefined {
  return new Update(shape, changes).apply(top);
}

class Update {
  readonly #shape: TreeShape;
  readonly #pool: PagePool;
  readonly #changes: PageChanges;
  readonly #order: Int32Array;
  readonly #hashes: PendingHashes;
  readonly #builder: PageBuilder;
  readonly #steps = new Numbers();
  /** Pages below one that has to be taken apart, dealt with before that was known: by chunk and place of the reference. */
  readonly #done = new Map<Chunk, Map<number, Node | undefined>>();

  constructor(shape: TreeShape, changes: PageChanges) {
    this.#shape = shape;
    this.#pool = shape.pool;
    this.#changes = changes;
    this.#order = changes.inOrder();
    this.#hashes = new PendingHashes(shape.pool);
    this.#builder = new PageBuilder(shape.pool, this.#hashes, changes);
  }

  apply(top: TreeTop | undefined): TreeTop | undefined {
    const to = this.#order.length;
    this.#pool.begin();
    const outcome =
      top === undefined ? this.#merge(undefined, 0, to, 0) : this.#visit(top.location, 0, to, 0);
    if (outcome === 'same' || (outcome === undefined && top === undefined)) {
      this.#pool.forget();
      return top;
    }
    const next = outcome && this.#toppedBy(outcome);
    this.#hashes.settle(this.#shape.hasher, this.#changes);
    this.#pool.end();
    if (next === undefined) return undefined;
    const { chunk, at } = this.#pool.view(next, this.#pool.version, true);
    const place = { chunk, at: topAt(chunk.words, at) };
    return { hash: hashOf(place), count: pageCount(chunk.words, at), location: next };
  }

  /** The reference of a page with this node at its top. */
  #toppedBy(node: Node): number {
    if (node.kind === 'paged') return this.#pool.reference(node.number);
    // A page below may be all that is left: then it is referred to by no other.
    if (node.kind === 'kept' && kindAt(node.chunk.words, node.at) === NODE.page)
      return locationAt(node.chunk.words, node.at);
    return this.#pool.reference(this.#builder.append(node, 0, NO_LABEL).number);
  }

  /** As `#visitPage`; hashes are computed when many wait. */
  #visit(reference: number, from: number, to: number, depth: number): Node | undefined | 'same' {
    const node = this.#visitPage(reference, from, to, depth);
    if (this.#hashes.isMuch) this.#hashes.settle(this.#shape.hasher, this.#changes);
    return node;
  }

  /** Changes in a page and all below it: one in its place, or what there is instead for the page above to deal with. */
  #visitPage(reference: number, from: number, to: number, depth: number): Node | undefined | 'same' {
    const pool = this.#pool;
    const moves = pool.moves(reference);
    if (!moves && this.#endsHere(from, to, depth)) return 'same';
    pool.open(reference);
    const { chunk, at: page } = pool;
    const { words } = chunk;
    const mark = this.#steps.length;
    const fit = this.#scan(chunk, page, topAt(words, page), from, to, depth);
    if (fit === SAME && !moves) return 'same';
    const before = pageCount(words, page);
    if (fit !== BREAKS) {
      const count = before + this.#growth(mark, words, page);
      if (classOf(count) === classOf(before)) {
        const number = this.#write(reference, mark, count);
        return { kind: 'paged', number, count, isSame: fit !== FITS };
      }
    }
    this.#setAside(mark, chunk, page);
    const node = this.#change(keptAt(chunk, topAt(words, page)), from, to, depth);
    pool.retire(reference);
    // As long as it stays one page, all that the page above has to do is to refer to it.
    const count = countOf(node);
    if (node === undefined || count <= 1 || classOf(count) !== classOf(before)) return node;
    if (node.kind === 'kept' || node.kind === 'paged') return node;
    return this.#builder.append(node, depth, this.#changes.key(this.#order[from] as number));
  }

  /** Whether all changes are looks at pages further up, one of which may have been here before. */
  #endsHere(from: number, to: number, depth: number): boolean {
    const changes = this.#changes;
    for (let i = from; i < to; i += 1) {
      const change = this.#order[i] as number;
      if (!changes.isLook(change) || changes.lookDepth(change) > depth) return false;
    }
    return true;
  }

  /** Deals with the pages below, and notes what is to be done in this one. Stops where changes do not fit. */
  #scan(chunk: Chunk, page: number, at: number, from: number, to: number, depth: number): Fit {
    if (from === to) return SAME;
    const { words } = chunk;
    switch (kindAt(words, at)) {
      case NODE.empty:
      case NODE.leaf:
        return this.#scanEnd(chunk, page, at, from, to);
      case NODE.page:
        return this.#scanReference(words, page, at, from, to, depth);
      default: {
        const split = this.#changes.splitAt(this.#order, from, to, depth);
        const left = this.#scan(chunk, page, leftAt(at), from, split, depth + 1);
        if (left === BREAKS) return BREAKS;
        const right = this.#scan(chunk, page, rightAt(words, at), split, to, depth + 1);
        const fit = left > right ? left : right;
        if (fit === FITS) this.#step(BRANCH_STEP, at - page, depth);
        return fit;
      }
    }
  }

  #scanReference(words: Int32Array, page: number, at: number, from: number, to: number, depth: number): Fit {
    const node = this.#visit(locationAt(words, at), from, to, depth);
    if (node === 'same') return SAME;
    if (node?.kind !== 'paged') {
      this.#broken = { at, node };
      return BREAKS;
    }
    this.#step(REFERENCE_STEP, at - page, depth);
    this.#steps.push(node.number);
    this.#steps.push(node.count);
    this.#steps.push(node.isSame ? 1 : 0);
    return node.isSame ? MOVES : FITS;
  }

  /** The page below that does not fit, with what there is instead: it comes last. */
  #broken: { readonly at: number; readonly node: Node | undefined } | undefined;

  #scanEnd(chunk: Chunk, page: number, at: number, from: number, to: number): Fit {
    const { words, bytes } = chunk;
    const changes = this.#changes;
    const isLeaf = kindAt(words, at) === NODE.leaf;
    let fit: Fit = SAME;
    for (let i = from; i < to; i += 1) {
      const change = this.#order[i] as number;
      if (changes.isLook(change)) continue;
      const removes = changes.isRemoval(change);
      const isHere = isLeaf && this.#hasLabel(bytes, words, at, change);
      if (isHere === removes) return BREAKS;
      if (removes) continue;
      const length = valueBytes(words, at);
      // In a leaf of another size nothing behind it would keep its place.
      if (changes.valueLength(change) !== length) return BREAKS;
      const start = valueByteAt(words, at);
      if (sameBytes(bytes, start, changes.heap, changes.valueStart(change), length)) continue;
      this.#step(LEAF_STEP, at - page, change);
      fit = FITS;
    }
    return fit;
  }

  #hasLabel(bytes: Uint8Array, words: Int32Array, at: number, change: number): boolean {
    const length = labelBytes(words, at);
    const { heap } = this.#changes;
    if (this.#changes.labelLength(change) !== length) return false;
    return sameBytes(bytes, labelByteAt(at), heap, this.#changes.labelStart(change), length);
  }

  #step(kind: number, at: number, argument: number): void {
    this.#steps.push(kind);
    this.#steps.push(at);
    this.#steps.push(argument);
  }

  /** How many leaves come below a page, less those that go. */
  #growth(mark: number, words: Int32Array, page: number): number {
    const steps = this.#steps;
    let growth = 0;
    for (let i = mark; i < steps.length; i += 3) {
      if (steps.at(i) !== REFERENCE_STEP) continue;
      growth += steps.at(i + 4) - referenceCount(words, page + steps.at(i + 1));
      i += 3;
    }
    return growth;
  }

  /** Takes the steps from `mark` on in the page itself. Gives its number. */
  #write(reference: number, mark: number, count: number): number {
    const [pool, steps] = [this.#pool, this.#steps];
    const number = pool.thaw(reference);
    const { chunk, at: page } = pool;
    const { words } = chunk;
    const saves = pool.edit(number);
    const base = pool.address(page, number);
    if (pageCount(words, page) !== count) {
      if (saves) pool.save(words, page, page + 2, 1);
      words[page + 2] = count;
    }
    for (let i = mark; i < steps.length; i += 3) {
      const at = steps.at(i + 1);
      const argument = steps.at(i + 2);
      switch (steps.at(i)) {
        case BRANCH_STEP:
          this.#hashes.branch(base + at, argument);
          break;
        case LEAF_STEP:
          this.#writeValue(chunk, page, page + at, argument, saves);
          this.#hashes.leaf(base + at, argument);
          break;
        default:
          if (saves) pool.save(words, page, page + at + 1, HASH_WORDS + 3);
          words[page + at + 1 + HASH_WORDS] = steps.at(i + 4);
          redirect(words, page + at, pool.reference(steps.at(i + 3)));
          pool.noteReference(number);
          if (steps.at(i + 5) === 0)
            this.#hashes.refer(base + at, argument, this.#builder.topOf(steps.at(i + 3)));
          i += 3;
      }
    }
    steps.length = mark;
    return number;
  }

  #writeValue(chunk: Chunk, page: number, at: number, change: number, saves: boolean): void {
    const { words, bytes } = chunk;
    const changes = this.#changes;
    const start = valueByteAt(words, at);
    const length = valueBytes(words, at);
    if (saves) {
      this.#pool.save(words, page, at + 1, HASH_WORDS);
      this.#pool.save(words, page, start >>> 2, ((start + length + 3) >>> 2) - (start >>> 2));
    }
    const from = changes.valueStart(change);
    for (let i = 0; i < length; i += 1) bytes[start + i] = changes.heap[from + i] as number;
    changes.outcomes[change] = OUTCOME.changed;
  }

  /** Keeps what became of pages below one that has to be taken apart; nothing else of it was done yet. */
  #setAside(mark: number, chunk: Chunk, page: number): void {
    const steps = this.#steps;
    const done = this.#done.get(chunk) ?? new Map<number, Node | undefined>();
    for (let i = mark; i < steps.length; i += 3) {
      if (steps.at(i) !== REFERENCE_STEP) continue;
      const [number, count, isSame] = [steps.at(i + 3), steps.at(i + 4), steps.at(i + 5) === 1];
      done.set(page + steps.at(i + 1), { kind: 'paged', number, count, isSame });
      i += 3;
    }
    if (this.#broken !== undefined) done.set(this.#broken.at, this.#broken.node);
    this.#broken = undefined;
    if (done.size > 0) this.#done.set(chunk, done);
    steps.length = mark;
  }

  /** The node after changes that all lie below it, where nodes come or go; the same object when nothing changed. */
  #change(node: Kept | undefined, from: number, to: number, depth: number): Node | undefined {
    if (node === undefined) return this.#merge(undefined, from, to, depth);
    if (from === to) return node;
    const { chunk, at } = node;
    const { words } = chunk;
    switch (kindAt(words, at)) {
      case NODE.leaf:
        return this.#merge(node, from, to, depth);
      case NODE.page: {
        const done = this.#done.get(chunk);
        if (done?.has(at) === true) return done.get(at);
        const next = this.#visit(locationAt(words, at), from, to, depth);
        return next === 'same' ? node : next;
      }
      default: {
        const split = this.#changes.splitAt(this.#order, from, to, depth);
        const leftBefore = keptAt(chunk, leftAt(at));
        const rightBefore = keptAt(chunk, rightAt(words, at));
        const left = this.#change(leftBefore, from, split, depth + 1);
        const right = this.#change(rightBefore, split, to, depth + 1);
        return left === leftBefore && right === rightBefore ? node : join(left, right);
      }
    }
  }

  /** Changes where there was at most one leaf. */
  #merge(node: Kept | undefined, from: number, to: number, depth: number): Node | undefined {
    const changes = this.#changes;
    const leaves: Keyed[] = [];
    let waiting: Keyed | undefined = node && { key: this.#shape.keyOf(labelAt(node)), node };
    for (let i = from; i < to; i += 1) {
      const change = this.#order[i] as number;
      if (changes.isLook(change)) continue;
      const key = asHash(changes.key(change));
      const value = changes.value(change);
      const order = waiting === undefined ? 1 : compareBytes(waiting.key, key);
      if (waiting !== undefined && order < 0) leaves.push(waiting);
      if (node !== undefined && waiting !== undefined && order === 0) {
        if (value === undefined) changes.outcomes[change] = OUTCOME.removed;
        else if (equalBytes(valueAt(node), value)) leaves.push(waiting);
        else {
          changes.outcomes[change] = OUTCOME.changed;
          leaves.push({ key, node: { kind: 'leaf', change } });
        }
      } else if (value !== undefined) {
        changes.outcomes[change] = OUTCOME.added;
        leaves.push({ key, node: { kind: 'leaf', change } });
      }
      if (order <= 0) waiting = undefined;
    }
    if (waiting !== undefined) leaves.push(waiting);
    return build(leaves, 0, leaves.length, depth);
  }
}

interface Keyed {
  readonly key: Hash;
  readonly node: Leaf | Kept;
}

function sameBytes(a: Uint8Array, at: number, b: Uint8Array, from: number, length: number): boolean {
  // The last ones say most.
  for (let i = length - 1; i >= 0; i -= 1) if (a[at + i] !== b[from + i]) return false;
  return true;
}

/** A branch, unless what is left is at most one leaf. */
function join(left: Node | undefined, right: Node | undefined): Node | undefined {
  const [less, more] = [countOf(left), countOf(right)];
  if (left === undefined && more <= 1) return right;
  if (right === undefined && less <= 1) return left;
  return { kind: 'branch', left, right, count: less + more };
}

function build(leaves: readonly Keyed[], from: number, to: number, depth: number): Node | undefined {
  if (to - from <= 1) return from === to ? undefined : leaves[from]?.node;
  let split = from;
  while (split < to && !isRight((leaves[split] as Keyed).key, depth)) split += 1;
  return join(build(leaves, from, split, depth + 1), build(leaves, split, to, depth + 1));
}

function isRight(key: Hash, depth: number): boolean {
  return ((key[depth >> 3] as number) & (0x80 >> (depth & 7))) !== 0;
}
