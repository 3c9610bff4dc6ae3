/**
 * Nodes of a tree that is being updated where leaves come or go, and how they become pages. A page holds the nodes with up to
 * 16^k leaves and refers to pages for those with up to 16^(k − 1): pages follow the number of records, not the depth, so that they
 * are well filled whatever the size of the tree.
 */
import { HASH_BYTES } from './hash.ts';
import type { PageChanges } from './page-changes.ts';
import type { PagePool } from './page-pool.ts';
import { PageWriter } from './page-writer.ts';
import { Numbers, type PendingHashes } from './pending-hashes.ts';
import { countUnder, endOf, kindAt, NODE, pageCount, topAt, type Chunk } from './state-page.ts';

const FAN_OUT = 16;

/** What a change puts there. */
export interface Leaf {
  readonly kind: 'leaf';
  readonly change: number;
}

export interface Branch {
  readonly kind: 'branch';
  readonly left: Node | undefined;
  readonly right: Node | undefined;
  readonly count: number;
}

/** A node of an earlier page with everything below it, untouched; never an empty one. */
export interface Kept {
  readonly kind: 'kept';
  readonly chunk: Chunk;
  readonly at: number;
  readonly count: number;
}

/** A page that this update has made or changed. Its hashes may still be to come. */
export interface Paged {
  readonly kind: 'paged';
  /** Of the pool's. */
  readonly number: number;
  readonly count: number;
  /** Whether it has the hash of the page in whose place it is. */
  readonly isSame: boolean;
}

export type Node = Leaf | Branch | Kept | Paged;

export function keptAt(chunk: Chunk, at: number): Kept | undefined {
  if (kindAt(chunk.words, at) === NODE.empty) return undefined;
  return { kind: 'kept', chunk, at, count: countUnder(chunk.words, at) };
}

export function countOf(node: Node | undefined): number {
  switch (node?.kind) {
    case undefined:
      return 0;
    case 'leaf':
      return 1;
    case 'kept':
    case 'branch':
    case 'paged':
      return node.count;
  }
}

/** The most leaves that a page may have whose top has this many. */
export function classOf(count: number): number {
  let limit = FAN_OUT;
  while (limit < count) limit *= FAN_OUT;
  return limit;
}

/** A page in the making, and the places in it that wait for hashes. */
class PageDraft {
  readonly writer: PageWriter = new PageWriter();
  /** Place and depth. */
  readonly branches: Numbers = new Numbers();
  /** Place, depth and number of the page. */
  readonly references: Numbers = new Numbers();
  /** Place and change. */
  readonly leaves: Numbers = new Numbers();
}

export class PageBuilder {
  readonly #pool: PagePool;
  readonly #hashes: PendingHashes;
  readonly #changes: PageChanges;
  /** By the pages begun above, which wait for where this one lies. */
  readonly #drafts: PageDraft[] = [];
  /** Bits that lead to the node that is being written. */
  readonly #path = new Uint8Array(HASH_BYTES + 1);

  constructor(pool: PagePool, hashes: PendingHashes, changes: PageChanges) {
    this.#pool = pool;
    this.#hashes = hashes;
    this.#changes = changes;
  }

  /** A page with this node at its top, where the bits of the key lead. */
  append(node: Node, depth: number, key: Uint8Array): Paged {
    this.#path.set(key);
    return this.#append(node, depth, 0);
  }

  /** Where the top of the page is, see `PagePool.address`. */
  topOf(number: number): number {
    const pool = this.#pool;
    pool.openFresh(number);
    return pool.address(topAt(pool.chunk.words, pool.at), number);
  }

  #append(node: Node, depth: number, nesting: number): Paged {
    const draft = (this.#drafts[nesting] ??= new PageDraft());
    const count = countOf(node);
    draft.writer.begin(this.#path, depth, count);
    this.#write(draft, node, { depth, nesting, limit: classOf(count) });
    return this.#finish(draft, node.kind === 'kept');
  }

  #finish({ writer, branches, references, leaves }: PageDraft, isSame: boolean): Paged {
    writer.finish();
    const pool = this.#pool;
    const number = pool.add(writer.chunk, 0);
    const base = pool.address(pool.at, number);
    const count = pageCount(pool.chunk.words, pool.at);
    for (let i = 0; i < branches.length; i += 2)
      this.#hashes.branch(base + branches.at(i), branches.at(i + 1));
    for (let i = 0; i < leaves.length; i += 2) this.#hashes.leaf(base + leaves.at(i), leaves.at(i + 1));
    for (let i = 0; i < references.length; i += 3)
      this.#hashes.refer(base + references.at(i), references.at(i + 1), this.topOf(references.at(i + 2)));
    branches.length = 0;
    references.length = 0;
    leaves.length = 0;
    return { kind: 'paged', number, count, isSame };
  }

  #write(draft: PageDraft, node: Node | undefined, at: Position): void {
    const { writer, leaves } = draft;
    switch (node?.kind) {
      case undefined:
        return writer.empty();
      case 'leaf':
        leaves.push(writer.at);
        leaves.push(node.change);
        return writer.leaf(this.#changes.label(node.change), this.#changes.value(node.change) as Uint8Array);
      case 'paged':
        return this.#refer(draft, node, at.depth);
      case 'kept': {
        const { words } = node.chunk;
        const isBelow = kindAt(words, node.at) === NODE.branch && node.count <= at.limit / FAN_OUT;
        if (!isBelow) return writer.copy(words, node.at, endOf(words, node.at));
        return this.#refer(draft, this.#append(node, at.depth, at.nesting + 1), at.depth);
      }
      case 'branch': {
        if (node.count <= at.limit / FAN_OUT)
          return this.#refer(draft, this.#append(node, at.depth, at.nesting + 1), at.depth);
        return this.#writeBranch(draft, node, at);
      }
    }
  }

  #refer({ writer, references }: PageDraft, child: Paged, depth: number): void {
    references.push(writer.at);
    references.push(depth);
    references.push(child.number);
    writer.page(child.count, this.#pool.reference(child.number));
  }

  #writeBranch(draft: PageDraft, node: Branch, at: Position): void {
    const { writer, branches } = draft;
    const { depth } = at;
    const below = { ...at, depth: depth + 1 };
    branches.push(writer.at);
    branches.push(depth);
    const branch = writer.branch();
    const byte = depth >> 3;
    const bit = 0x80 >> (depth & 7);
    this.#path[byte] = (this.#path[byte] as number) & ~bit;
    this.#write(draft, node.left, below);
    writer.leftDone(branch);
    this.#path[byte] = (this.#path[byte] as number) | bit;
    this.#write(draft, node.right, below);
  }
}

/** Where a node is written: its depth, pages begun above, and the leaves that the page has at most. */
interface Position {
  readonly depth: number;
  readonly nesting: number;
  readonly limit: number;
}
