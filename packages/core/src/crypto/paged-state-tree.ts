/**
 * The state tree in pages of a store (spec PAGES): the same tree and roots as `state-tree.ts`, of which a process holds
 * what it looks at. A tree is where its top page lies; pages never change, so every earlier tree stays as it was until the
 * store lets go of pages that only it refers to.
 */
import { equalBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { asHash, HASH_BYTES, sha256, ZERO_HASH, type Hash } from './hash.ts';
import { merkleNode } from './merkle.ts';
import { updatePages, type PageChange } from './paged-state-update.ts';
import type { StateHasher } from './state-hasher.ts';
import { countAt, hashAt, labelAt, leftAt, locationAt, NODE, rightAt, topAt, valueAt } from './state-page.ts';
import {
  bitAt,
  leafHash,
  type KeyPrefix,
  type StateLeaf,
  type StateProof,
  type StateTreeView,
  type Subtree,
} from './state-tree.ts';

/** Where pages are. Reading is synchronous: a state machine cannot wait. */
export interface PageStore {
  /** What was appended there; nobody writes to it. Throws when it is lost. */
  read(location: number): Uint8Array;
  /** Keeps a page that nobody writes to again, and says where: a whole number below 2^53. */
  append(page: Uint8Array): number;
  /** The tree that is being made does not refer to this page any more; those before it do. */
  release(location: number, bytes: number): void;
  /** Whether the page should be appended anew when it is met, so that what lies round it can go. */
  moves(location: number): boolean;
}

/** A tree and what it needs beside its pages. */
export interface TreeShape {
  readonly pages: PageStore;
  readonly hasher: StateHasher;
  /** The key that goes with a label. */
  readonly keyOf: (label: Uint8Array) => Hash;
}

/** All a store needs to remember of a tree. */
export interface TreeTop {
  readonly hash: Hash;
  readonly count: number;
  readonly location: number;
}

/** A node in a page. */
interface Place {
  readonly page: Uint8Array;
  readonly at: number;
}

export class PagedStateTree implements StateTreeView {
  readonly #shape: TreeShape;
  /** Undefined for a tree without entries. */
  readonly top: TreeTop | undefined;

  constructor(shape: TreeShape, top: TreeTop | undefined) {
    this.#shape = shape;
    this.top = top;
  }

  get root(): Hash {
    return this.top?.hash ?? ZERO_HASH;
  }

  get size(): number {
    return this.top?.count ?? 0;
  }

  /** Whether the top page is there and has the hash of the tree. */
  get isWhole(): boolean {
    if (this.top === undefined) return true;
    const { page, at } = this.#openTop() as Place;
    if (page[at] === NODE.leaf) {
      return equalBytes(this.root, leafHash(this.#shape.keyOf(labelAt(page, at)), sha256(valueAt(page, at))));
    }
    return equalBytes(this.root, merkleNode(hashOf(page, leftAt(at)), hashOf(page, rightAt(page, at))));
  }

  /** All changes at once: every touched path is hashed one time. What became of each is noted in it. */
  update(changes: readonly PageChange[]): PagedStateTree {
    return new PagedStateTree(this.#shape, updatePages(this.#shape, this.top, changes));
  }

  get(key: Hash): Uint8Array | undefined {
    const leaf = this.#descend(key, undefined);
    if (leaf === undefined || !equalBytes(this.#shape.keyOf(labelAt(leaf.page, leaf.at)), key))
      return undefined;
    return valueAt(leaf.page, leaf.at).slice();
  }

  /** The same for one who has the label: a view of a page, and no hash. */
  view(key: Hash, label: string): Uint8Array | undefined {
    const leaf = this.#descend(key, undefined);
    if (leaf === undefined) return undefined;
    const own = labelAt(leaf.page, leaf.at);
    if (own.length !== label.length) return undefined;
    for (let i = own.length - 1; i >= 0; i -= 1) if (own[i] !== label.charCodeAt(i)) return undefined;
    return valueAt(leaf.page, leaf.at);
  }

  prove(key: Hash): StateProof {
    const siblings: Hash[] = [];
    const leaf = this.#descend(key, siblings);
    if (leaf === undefined) return { siblings, terminal: undefined };
    const other = this.#shape.keyOf(labelAt(leaf.page, leaf.at));
    if (equalBytes(other, key)) return { siblings, terminal: undefined };
    return { siblings, terminal: { key: other, valueHash: sha256(valueAt(leaf.page, leaf.at)) } };
  }

  entries(): Iterable<StateLeaf> {
    return this.#entriesOf(this.#openTop());
  }

  subtree(prefix: KeyPrefix): Subtree | undefined {
    const siblings: Hash[] = [];
    let node = this.#openTop();
    for (let depth = 0; depth < prefix.depth; depth += 1) {
      if (node === undefined || node.page[node.at] !== NODE.branch) return undefined;
      node = this.#step(node, bitAt(prefix.bits, depth) === 1, siblings);
    }
    const from = node;
    const count = node === undefined ? 0 : countAt(node.page, node.at);
    return { count, siblings, entries: this.#entriesOf(from) };
  }

  /** The leaf met on the way of the key, noting the other sides passed. */
  #descend(key: Uint8Array, siblings: Hash[] | undefined): Place | undefined {
    if (this.top === undefined) return undefined;
    const { pages } = this.#shape;
    let page = pages.read(this.top.location);
    let at = topAt(page);
    for (let depth = 0; ;) {
      switch (page[at] as number) {
        case NODE.empty:
          return undefined;
        case NODE.leaf:
          return { page, at };
        case NODE.page:
          page = pages.read(locationAt(page, at));
          at = topAt(page);
          continue;
        default: {
          const goRight = bitAt(key, depth) === 1;
          const right = rightAt(page, at);
          const left = leftAt(at);
          siblings?.push(hashOf(page, goRight ? left : right));
          at = goRight ? right : left;
          depth += 1;
        }
      }
    }
  }

  #openTop(): Place | undefined {
    if (this.top === undefined) return undefined;
    const page = this.#shape.pages.read(this.top.location);
    return { page, at: topAt(page) };
  }

  #step({ page, at }: Place, goRight: boolean, siblings: Hash[]): Place | undefined {
    const right = rightAt(page, at);
    siblings.push(hashOf(page, goRight ? leftAt(at) : right));
    return this.#open({ page, at: goRight ? right : leftAt(at) });
  }

  /** The node itself, in its own page; undefined for an empty one. */
  #open(place: Place): Place | undefined {
    const { page, at } = place;
    if (page[at] === NODE.empty) return undefined;
    if (page[at] !== NODE.page) return place;
    const below = this.#shape.pages.read(locationAt(page, at));
    return { page: below, at: topAt(below) };
  }

  *#entriesOf(top: Place | undefined): Iterable<StateLeaf> {
    const stack: Place[] = top === undefined ? [] : [top];
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      const node = this.#open(place);
      if (node === undefined) continue;
      const { page, at } = node;
      if (page[at] === NODE.leaf) {
        const label = labelAt(page, at);
        yield { key: this.#shape.keyOf(label), value: valueAt(page, at).slice(), label: idText(label) };
      } else {
        stack.push({ page, at: rightAt(page, at) }, { page, at: leftAt(at) });
      }
    }
  }
}

/** A copy: proofs outlive pages. */
function hashOf(page: Uint8Array, at: number): Hash {
  if (page[at] === NODE.empty) return ZERO_HASH;
  const start = hashAt(page, at);
  return asHash(page.slice(start, start + HASH_BYTES));
}
