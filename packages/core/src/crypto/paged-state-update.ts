/**
 * One update of a paged state tree. Changes go down the touched paths together. A page in which every node keeps its place is
 * written anew as it goes by; one in which leaves come or go is taken apart and built again. Pages are appended before those
 * that refer to them; then hashes come up level by level into the places that wait for them.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { asHash, HASH_BYTES, type Hash } from './hash.ts';
import {
  classOf,
  countOf,
  keptAt,
  PageBuilder,
  type Appended,
  type Kept,
  type Leaf,
  type Node,
  type PageDraft,
} from './page-builder.ts';
import type { PageStore, TreeShape, TreeTop } from './paged-state-tree.ts';
import {
  countAt,
  depthOf,
  endOf,
  hashAt,
  labelAt,
  labelEquals,
  leftAt,
  locationAt,
  lowestKey,
  NODE,
  readU32,
  rightAt,
  topAt,
  valueEquals,
} from './state-page.ts';
import { bitAt } from './state-tree.ts';

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

const NO_LABEL = new Uint8Array(0);

/** Looks whether a page is still of the tree and, if its store wants that (`PageStore.moves`), appends it anew. */
export function pageMove(page: Uint8Array): PageChange {
  return new PageChange(asHash(lowestKey(page)), NO_LABEL, 'moves', depthOf(page));
}

/** A page below that is another one now, or nodes in its place. */
interface Child {
  readonly at: number;
  readonly node: Node | undefined;
}

/** How the changes fit what a page holds: nothing to do, every node in its place, or not. */
const SAME = 0;
const FITS = 1;
const BREAKS = 2;
type Fit = typeof SAME | typeof FITS | typeof BREAKS;

/** The top of the tree after the changes. */
export function updatePages(
  shape: TreeShape,
  top: TreeTop | undefined,
  changes: readonly PageChange[],
): TreeTop | undefined {
  return new Update(shape, inOrder(changes)).apply(top);
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
  readonly #pages: PageStore;
  readonly #shape: TreeShape;
  readonly #changes: readonly PageChange[];
  readonly #builder: PageBuilder;
  /** Pages below a page that has to be taken apart, which were dealt with before that was known. */
  readonly #done = new Map<Uint8Array, readonly Child[]>();

  constructor(shape: TreeShape, changes: readonly PageChange[]) {
    this.#shape = shape;
    this.#pages = shape.pages;
    this.#changes = changes;
    this.#builder = new PageBuilder(shape.pages);
  }

  apply(top: TreeTop | undefined): TreeTop | undefined {
    const to = this.#changes.length;
    const outcome =
      top === undefined ? this.#merge(undefined, 0, to, 0) : this.#visit(top.location, 0, to, 0);
    if (outcome === 'same') return top;
    const next = outcome && this.#toppedBy(outcome);
    this.#builder.hashes.settle(this.#shape.hasher);
    if (next === undefined) return undefined;
    // A page below may be all that is left: then it is referred to by no other.
    const { page, at, location } = next;
    const start = hashAt(page, at);
    return { hash: asHash(page.slice(start, start + HASH_BYTES)), count: countAt(page, at), location };
  }

  #toppedBy(node: Node): { readonly page: Uint8Array; readonly at: number; readonly location: number } {
    if (node.kind === 'kept' && node.page[node.at] === NODE.page)
      return { ...node, location: locationAt(node.page, node.at) };
    const { page, location } = node.kind === 'appended' ? node : this.#builder.append(node, 0, NO_LABEL);
    return { page, at: topAt(page), location };
  }

  /** Changes in a page and all below it: one in its place, or what there is instead for the page above to deal with. */
  #visit(location: number, from: number, to: number, depth: number): Node | undefined | 'same' {
    const moves = this.#pages.moves(location);
    if (!moves && this.#endsHere(from, to, depth)) return 'same';
    const page = this.#pages.read(location);
    const top = topAt(page);
    const children: Child[] = [];
    const fit = this.#scan(page, top, from, to, depth, children);
    if (fit === SAME && !moves) return 'same';
    this.#pages.release(location, page.length);
    const before = countAt(page, top);
    if (fit !== BREAKS && classOf(before + growthOf(page, children)) === classOf(before))
      return this.#rewrite(page, from, to, depth, children);
    if (children.length > 0) this.#done.set(page, children);
    const node = this.#change({ kind: 'kept', page, at: top }, from, to, depth);
    // As long as it stays one page, all that the page above has to do is to refer to it.
    const count = countOf(node);
    if (node === undefined || count <= 1 || classOf(count) !== classOf(before)) return node;
    if (node.kind === 'kept' || node.kind === 'appended') return node;
    return this.#builder.append(node, depth, (this.#changes[from] as PageChange).key);
  }

  /** Whether all changes are looks at pages further up, one of which may have been here before. */
  #endsHere(from: number, to: number, depth: number): boolean {
    for (let i = from; i < to; i += 1) {
      const change = this.#changes[i] as PageChange;
      if (change.value !== 'moves' || change.depth > depth) return false;
    }
    return true;
  }

  /** Deals with the pages below, and says how the changes fit this one. Stops where they do not. */
  #scan(page: Uint8Array, at: number, from: number, to: number, depth: number, children: Child[]): Fit {
    if (from === to) return SAME;
    switch (page[at] as number) {
      case NODE.empty:
      case NODE.leaf:
        return this.#scanEnd(page, at, from, to);
      case NODE.page: {
        const node = this.#visit(locationAt(page, at), from, to, depth);
        if (node === 'same') return SAME;
        children.push({ at, node });
        return node?.kind === 'appended' ? FITS : BREAKS;
      }
      default: {
        const split = splitAt(this.#changes, from, to, depth);
        const left = this.#scan(page, leftAt(at), from, split, depth + 1, children);
        if (left === BREAKS) return BREAKS;
        const right = this.#scan(page, rightAt(page, at), split, to, depth + 1, children);
        return left > right ? left : right;
      }
    }
  }

  #scanEnd(page: Uint8Array, at: number, from: number, to: number): Fit {
    let fit: Fit = SAME;
    for (let i = from; i < to; i += 1) {
      const { value, label } = this.#changes[i] as PageChange;
      if (value === 'moves') continue;
      const isHere = page[at] === NODE.leaf && labelEquals(page, at, label);
      if (isHere === (value === undefined)) return BREAKS;
      if (value !== undefined && !valueEquals(page, at, value)) fit = FITS;
    }
    return fit;
  }

  /** A page with the same nodes, but for values and what lies below. */
  #rewrite(page: Uint8Array, from: number, to: number, depth: number, children: readonly Child[]): Appended {
    const draft = this.#builder.draft(0);
    const top = topAt(page);
    draft.writer.start(page, top);
    const isChanged = this.#rewriteNode(draft, { page, children, next: 0 }, top, from, to, depth);
    return this.#builder.finish(draft, !isChanged);
  }

  /** Whether the node has another hash. */
  #rewriteNode(
    draft: PageDraft,
    source: Source,
    at: number,
    from: number,
    to: number,
    depth: number,
  ): boolean {
    const { writer, slots } = draft;
    const { page } = source;
    if (from === to) {
      writer.copy(page, at, endOf(page, at));
      return false;
    }
    switch (page[at] as number) {
      case NODE.branch: {
        const split = splitAt(this.#changes, from, to, depth);
        const start = writer.at;
        writer.copy(page, at, leftAt(at));
        const isLeft = this.#rewriteNode(draft, source, leftAt(at), from, split, depth + 1);
        writer.leftDone(start);
        const isRight = this.#rewriteNode(draft, source, rightAt(page, at), split, to, depth + 1);
        writer.countBranch(start);
        if (!isLeft && !isRight) return false;
        slots.branches.push(start, depth);
        return true;
      }
      case NODE.page: {
        const start = writer.at;
        writer.copy(page, at, endOf(page, at));
        const child = source.children[source.next];
        if (child?.at !== at) return false;
        source.next += 1;
        const appended = child.node as Appended;
        writer.redirect(start, appended.count, appended.location);
        if (appended.isSame) return false;
        slots.references.push({ at: start, depth, child: appended.page });
        return true;
      }
      default:
        return this.#rewriteEnd(draft, page, at, from, to);
    }
  }

  #rewriteEnd(draft: PageDraft, page: Uint8Array, at: number, from: number, to: number): boolean {
    const { writer, slots } = draft;
    for (let i = from; i < to; i += 1) {
      const change = this.#changes[i] as PageChange;
      const { value, label, key } = change;
      if (value === undefined || value === 'moves' || valueEquals(page, at, value)) continue;
      change.outcome = 'changed';
      slots.leaves.push({ at: writer.at, key, value });
      writer.leaf(label, value);
      return true;
    }
    writer.copy(page, at, endOf(page, at));
    return false;
  }

  /** The node after changes that all lie below it, where nodes come or go; the same object when nothing changed. */
  #change(node: Kept | undefined, from: number, to: number, depth: number): Node | undefined {
    if (node === undefined) return this.#merge(undefined, from, to, depth);
    const { page, at } = node;
    if (from === to) return node;
    switch (page[at] as number) {
      case NODE.leaf:
        return this.#merge(node, from, to, depth);
      case NODE.page: {
        const done = this.#done.get(page)?.find((child) => child.at === at);
        if (done !== undefined) return done.node;
        const next = this.#visit(locationAt(page, at), from, to, depth);
        return next === 'same' ? node : next;
      }
      default: {
        const split = splitAt(this.#changes, from, to, depth);
        const leftBefore = keptAt(page, leftAt(at));
        const rightBefore = keptAt(page, rightAt(page, at));
        const left = this.#change(leftBefore, from, split, depth + 1);
        const right = this.#change(rightBefore, split, to, depth + 1);
        return left === leftBefore && right === rightBefore ? node : join(left, right);
      }
    }
  }

  /** Changes where there was at most one leaf. */
  #merge(node: Kept | undefined, from: number, to: number, depth: number): Node | undefined {
    const leaves: Keyed[] = [];
    let waiting: Keyed | undefined = node && { key: this.#shape.keyOf(labelAt(node.page, node.at)), node };
    for (let i = from; i < to; i += 1) {
      const change = this.#changes[i] as PageChange;
      const { key, label, value } = change;
      if (value === 'moves') continue;
      const order = waiting === undefined ? 1 : compareBytes(waiting.key, key);
      if (waiting !== undefined && order < 0) leaves.push(waiting);
      if (node !== undefined && waiting !== undefined && order === 0) {
        if (value === undefined) change.outcome = 'removed';
        else if (valueEquals(node.page, node.at, value)) leaves.push(waiting);
        else {
          change.outcome = 'changed';
          leaves.push({ key, node: { kind: 'leaf', key, label, value } });
        }
      } else if (value !== undefined) {
        change.outcome = 'added';
        leaves.push({ key, node: { kind: 'leaf', key, label, value } });
      }
      if (order <= 0) waiting = undefined;
    }
    if (waiting !== undefined) leaves.push(waiting);
    return build(leaves, 0, leaves.length, depth);
  }
}

/** A page that is written anew, and which of the pages below it have been dealt with. */
interface Source {
  readonly page: Uint8Array;
  readonly children: readonly Child[];
  next: number;
}

interface Keyed {
  readonly key: Hash;
  readonly node: Leaf | Kept;
}

function growthOf(page: Uint8Array, children: readonly Child[]): number {
  let growth = 0;
  for (const { at, node } of children) growth += countOf(node) - countAt(page, at);
  return growth;
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
  const split = splitAt(leaves, from, to, depth);
  return join(build(leaves, from, split, depth + 1), build(leaves, split, to, depth + 1));
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
