/**
 * The state tree in pages of a store (spec PAGES): the same tree and roots as `state-tree.ts`, of which a process holds
 * what it looks at. A tree is where its top page is, and which version of the pages it means; updates follow one another, and
 * earlier trees answer as they did for as long as the pool keeps their version.
 */
import { equalBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { HASH_BYTES, sha256, ZERO_HASH, type Hash } from './hash.ts';
import { merkleNode } from './merkle.ts';
import type { PageChanges } from './page-changes.ts';
import type { PagePool } from './page-pool.ts';
import { updatePages } from './paged-state-update.ts';
import type { StateHasher } from './state-hasher.ts';
import {
  countUnder,
  hashOf,
  kindAt,
  labelAt,
  labelByteAt,
  labelBytes,
  leftAt,
  locationAt,
  NODE,
  rightAt,
  topAt,
  valueAt,
  type Chunk,
  type Page,
  type Place,
} from './state-page.ts';
import {
  bitAt,
  leafHash,
  type KeyPrefix,
  type StateLeaf,
  type StateProof,
  type StateTreeView,
  type Subtree,
} from './state-tree.ts';

/** A tree and what it needs beside its pages. */
export interface TreeShape {
  readonly pool: PagePool;
  readonly hasher: StateHasher;
  /** The key that goes with a label. */
  readonly keyOf: (label: Uint8Array) => Hash;
}

/** All a store needs to remember of a tree. */
export interface TreeTop {
  readonly hash: Hash;
  readonly count: number;
  /** Once its pages are stored, see `PagePool.located`. */
  readonly location: number;
}

/** Looks for keys one after another. Those in ascending order share the pages from the top to where they part. */
export class TreeSearch {
  readonly #pool: PagePool;
  readonly #top: TreeTop | undefined;
  /** Pages on the way of the key before: where each is and how many bits lead to it. */
  readonly #chunks: Chunk[] = [];
  readonly #places: number[] = [];
  readonly #depths: number[] = [];
  #before: Uint8Array | undefined;
  #beforeAt = 0;

  constructor(pool: PagePool, top: TreeTop | undefined) {
    this.#pool = pool;
    this.#top = top;
  }

  /** As `PagedStateTree.find`; `keys` stay as they are. */
  find(keys: Uint8Array, start: number, first: number, label: string): Place | undefined {
    const leaf = this.leafAt(keys, start);
    return leaf && hasLabel(leaf, first, label) ? leaf : undefined;
  }

  /** The leaf met on the way of the key. */
  leafAt(keys: Uint8Array, start: number): Place | undefined {
    if (this.#top === undefined) return undefined;
    let level = this.#sharedWith(keys, start);
    if (level < 0) this.#enter((level = 0), this.#top.location, 0);
    let depth = this.#depths[level] as number;
    for (;;) {
      const chunk = this.#chunks[level] as Chunk;
      const { words } = chunk;
      let at = topAt(words, this.#places[level] as number);
      let head = words[at] as number;
      for (; (head & 3) === NODE.branch; depth += 1, head = words[at] as number) {
        const goesRight = ((keys[start + (depth >> 3)] as number) & (0x80 >> (depth & 7))) !== 0;
        at = leftAt(at) + (goesRight ? head >>> 2 : 0);
      }
      if ((head & 3) === NODE.leaf) return { chunk, at };
      if ((head & 3) === NODE.empty) return undefined;
      level += 1;
      this.#enter(level, locationAt(words, at), depth);
    }
  }

  #enter(level: number, reference: number, depth: number): void {
    this.#pool.open(reference);
    this.#chunks[level] = this.#pool.chunk;
    this.#places[level] = this.#pool.at;
    this.#depths[level] = depth;
  }

  /** The last of the pages on the way of the key before that is on the way of this one, too; −1 for none. */
  #sharedWith(keys: Uint8Array, start: number): number {
    const before = this.#before;
    const from = this.#beforeAt;
    this.#before = keys;
    this.#beforeAt = start;
    if (before === undefined) return -1;
    let byte = 0;
    while (byte < HASH_BYTES && before[from + byte] === keys[start + byte]) byte += 1;
    const bits =
      byte === HASH_BYTES
        ? 8 * byte
        : 8 * byte + Math.clz32((before[from + byte] as number) ^ (keys[start + byte] as number)) - 24;
    let level = this.#depths.length - 1;
    while ((this.#depths[level] as number) > bits) level -= 1;
    this.#depths.length = level + 1;
    return level;
  }
}

function hasLabel({ chunk: { words, bytes }, at }: Place, first: number, label: string): boolean {
  const length = labelBytes(words, at);
  const own = labelByteAt(at);
  if (length !== 1 + label.length || bytes[own] !== first) return false;
  for (let i = length - 1; i > 0; i -= 1) if (bytes[own + i] !== label.charCodeAt(i - 1)) return false;
  return true;
}

export class PagedStateTree implements StateTreeView {
  readonly #shape: TreeShape;
  readonly #version: number;
  /** Undefined for a tree without entries. */
  readonly top: TreeTop | undefined;

  constructor(shape: TreeShape, top: TreeTop | undefined, version: number = shape.pool.version) {
    this.#shape = shape;
    this.top = top;
    this.#version = version;
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
    const place = this.#topOf(this.top.location);
    const { words } = place.chunk;
    if (kindAt(words, place.at) === NODE.leaf)
      return equalBytes(this.root, leafHash(this.#shape.keyOf(labelAt(place)), sha256(valueAt(place))));
    const [left, right] = [leftAt(place.at), rightAt(words, place.at)];
    return equalBytes(this.root, merkleNode(hashAt(place, left), hashAt(place, right)));
  }

  /** All changes at once: every touched path is hashed one time. What became of each is noted in them. Of the newest tree only. */
  update(changes: PageChanges): PagedStateTree {
    const { pool } = this.#shape;
    if (this.#version !== pool.version) throw new RangeError('only the newest state can be changed');
    const top = updatePages(this.#shape, this.top, changes);
    return top === this.top ? this : new PagedStateTree(this.#shape, top);
  }

  get(key: Hash): Uint8Array | undefined {
    const leaf = this.#descend(key, undefined);
    if (leaf === undefined || !equalBytes(this.#shape.keyOf(labelAt(leaf)), key)) return undefined;
    return valueAt(leaf).slice();
  }

  /**
   * The same for one who has the label, its first byte and the rest of it as text: where the leaf is for the moment, and no hash. The
   * key lies at `start`.
   */
  find(keys: Uint8Array, start: number, first: number, label: string): Place | undefined {
    const isNewest = this.#version === this.#shape.pool.version;
    const leaf = isNewest
      ? new TreeSearch(this.#shape.pool, this.top).leafAt(keys, start)
      : this.#descend(keys, undefined, start);
    return leaf && hasLabel(leaf, first, label) ? leaf : undefined;
  }

  /** For many keys of the newest tree, until it changes. */
  search(): TreeSearch {
    if (this.#version !== this.#shape.pool.version) throw new RangeError('only the newest state is searched');
    return new TreeSearch(this.#shape.pool, this.top);
  }

  prove(key: Hash): StateProof {
    const siblings: Hash[] = [];
    const leaf = this.#descend(key, siblings);
    if (leaf === undefined) return { siblings, terminal: undefined };
    const other = this.#shape.keyOf(labelAt(leaf));
    if (equalBytes(other, key)) return { siblings, terminal: undefined };
    return { siblings, terminal: { key: other, valueHash: sha256(valueAt(leaf)) } };
  }

  entries(): Iterable<StateLeaf> {
    return this.#entriesOf(this.top && this.#keptTop(this.top.location));
  }

  subtree(prefix: KeyPrefix): Subtree | undefined {
    const siblings: Hash[] = [];
    let node = this.top && this.#keptTop(this.top.location);
    for (let depth = 0; depth < prefix.depth; depth += 1) {
      if (node === undefined || kindAt(node.chunk.words, node.at) !== NODE.branch) return undefined;
      node = this.#step(node, bitAt(prefix.bits, depth) === 1, siblings);
    }
    const count = node === undefined ? 0 : countUnder(node.chunk.words, node.at);
    return { count, siblings, entries: this.#entriesOf(node) };
  }

  /** The leaf met on the way of the key, noting the other sides passed. */
  #descend(key: Uint8Array, siblings: Hash[] | undefined, start = 0): Place | undefined {
    if (this.top === undefined) return undefined;
    let place = this.#topOf(this.top.location, siblings !== undefined);
    for (let depth = 0; ;) {
      const { chunk } = place;
      const { words } = chunk;
      let { at } = place;
      let kind = kindAt(words, at);
      for (; kind === NODE.branch; depth += 1, kind = kindAt(words, at)) {
        const goesRight = ((key[start + (depth >> 3)] as number) & (0x80 >> (depth & 7))) !== 0;
        const right = rightAt(words, at);
        const left = leftAt(at);
        siblings?.push(hashAt(place, goesRight ? left : right));
        at = goesRight ? right : left;
      }
      if (kind === NODE.empty) return undefined;
      if (kind === NODE.leaf) return { chunk, at };
      place = this.#topOf(locationAt(words, at), siblings !== undefined);
    }
  }

  /** The top node of a page, as it is for the moment. */
  #topOf(reference: number, hashes = true): Place {
    return topPlace(this.#shape.pool.view(reference, this.#version, hashes));
  }

  /** The same for one who goes on looking at it later. */
  #keptTop(reference: number): Place {
    return topPlace(this.#shape.pool.keptView(reference, this.#version));
  }

  #step({ chunk, at }: Place, goesRight: boolean, siblings: Hash[]): Place | undefined {
    const [left, right] = [leftAt(at), rightAt(chunk.words, at)];
    siblings.push(hashAt({ chunk, at }, goesRight ? left : right));
    const next = { chunk, at: goesRight ? right : left };
    switch (kindAt(chunk.words, next.at)) {
      case NODE.empty:
        return undefined;
      case NODE.page:
        return this.#keptTop(locationAt(chunk.words, next.at));
      default:
        return next;
    }
  }

  *#entriesOf(top: Place | undefined): Iterable<StateLeaf> {
    const stack: Place[] = top === undefined ? [] : [top];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const { chunk, at } = node;
      switch (kindAt(chunk.words, at)) {
        case NODE.empty:
          break;
        case NODE.page:
          stack.push(this.#keptTop(locationAt(chunk.words, at)));
          break;
        case NODE.leaf: {
          const label = labelAt(node);
          yield { key: this.#shape.keyOf(label), value: valueAt(node).slice(), label: idText(label) };
          break;
        }
        default:
          stack.push({ chunk, at: rightAt(chunk.words, at) }, { chunk, at: leftAt(at) });
      }
    }
  }
}

function topPlace({ chunk, at }: Page): Place {
  return { chunk, at: topAt(chunk.words, at) };
}

/** Of a node beside another one. */
function hashAt({ chunk }: Place, at: number): Hash {
  return kindAt(chunk.words, at) === NODE.empty ? ZERO_HASH : hashOf({ chunk, at });
}
