/**
 * Nodes of a tree that is being updated, and how they become pages. A page holds the nodes with up to 16^k leaves and refers to
 * pages for those with up to 16^(k − 1): pages follow the number of records, not the depth, so that they are well filled
 * whatever the size of the tree.
 */
import { HASH_BYTES, type Hash } from './hash.ts';
import type { PageStore } from './paged-state-tree.ts';
import { PendingHashes, Slots } from './pending-hashes.ts';
import { countAt, endOf, NODE, PageWriter, topAt } from './state-page.ts';

const FAN_OUT = 16;

export interface Leaf {
  readonly kind: 'leaf';
  readonly key: Hash;
  readonly label: Uint8Array;
  readonly value: Uint8Array;
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
  readonly page: Uint8Array;
  readonly at: number;
}

/** A page of this update. Its hashes may still be to come. */
export interface Appended {
  readonly kind: 'appended';
  readonly page: Uint8Array;
  readonly location: number;
  readonly count: number;
  /** Whether it has the hash of the page in whose place it is. */
  readonly isSame: boolean;
}

export type Node = Leaf | Branch | Kept | Appended;

export function keptAt(page: Uint8Array, at: number): Kept | undefined {
  return page[at] === NODE.empty ? undefined : { kind: 'kept', page, at };
}

export function countOf(node: Node | undefined): number {
  switch (node?.kind) {
    case undefined:
      return 0;
    case 'leaf':
      return 1;
    case 'kept':
      return countAt(node.page, node.at);
    case 'branch':
    case 'appended':
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
export class PageDraft {
  readonly writer: PageWriter = new PageWriter();
  slots: Slots = new Slots();
}

export class PageBuilder {
  readonly #pages: PageStore;
  readonly hashes: PendingHashes = new PendingHashes();
  readonly #drafts: PageDraft[] = [];
  /** Bits that lead to the node that is being written. */
  readonly #path = new Uint8Array(HASH_BYTES + 1);

  constructor(pages: PageStore) {
    this.#pages = pages;
  }

  /** A draft for a page; `nesting` counts the pages begun above, which wait for where it lies. */
  draft(nesting: number): PageDraft {
    return (this.#drafts[nesting] ??= new PageDraft());
  }

  /** Appends what was drafted. */
  finish(draft: PageDraft, isSame: boolean): Appended {
    const page = draft.writer.finish();
    this.hashes.add(page, draft.slots);
    draft.slots = new Slots();
    return {
      kind: 'appended',
      page,
      location: this.#pages.append(page),
      count: countAt(page, topAt(page)),
      isSame,
    };
  }

  /** A page with this node at its top, where the bits of the key lead. */
  append(node: Node, depth: number, key: Uint8Array): Appended {
    this.#path.set(key);
    return this.#append(node, depth, 0);
  }

  #append(node: Node, depth: number, nesting: number): Appended {
    const draft = this.draft(nesting);
    draft.writer.begin(this.#path, depth);
    this.#write(draft, node, { depth, nesting, limit: classOf(countOf(node)) });
    return this.finish(draft, node.kind === 'kept');
  }

  #write(draft: PageDraft, node: Node | undefined, at: Position): void {
    const { writer, slots } = draft;
    switch (node?.kind) {
      case undefined:
        return writer.empty();
      case 'leaf':
        slots.leaves.push({ at: writer.at, key: node.key, value: node.value });
        return writer.leaf(node.label, node.value);
      case 'appended':
        return this.#refer(draft, node, at.depth);
      case 'kept': {
        const { page, at: from } = node;
        const isBelow = page[from] === NODE.branch && countOf(node) <= at.limit / FAN_OUT;
        if (!isBelow) return writer.copy(page, from, endOf(page, from));
        return this.#refer(draft, this.#append(node, at.depth, at.nesting + 1), at.depth);
      }
      case 'branch': {
        if (node.count <= at.limit / FAN_OUT)
          return this.#refer(draft, this.#append(node, at.depth, at.nesting + 1), at.depth);
        return this.#writeBranch(draft, node, at);
      }
    }
  }

  #refer({ writer, slots }: PageDraft, child: Appended, depth: number): void {
    slots.references.push({ at: writer.at, depth, child: child.page });
    writer.page(child.count, child.location);
  }

  #writeBranch(draft: PageDraft, node: Branch, at: Position): void {
    const { writer, slots } = draft;
    const { depth } = at;
    const below = { ...at, depth: depth + 1 };
    slots.branches.push(writer.at, depth);
    const branch = writer.branch(node.count);
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
