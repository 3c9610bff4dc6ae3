/**
 * Places in new pages that wait for a hash. Values and leaves come first, then branches, the deepest first: all of one depth
 * need nothing of each other, so they are hashed at once.
 */
import { HASH_BYTES, type Hash } from './hash.ts';
import type { StateHasher } from './state-hasher.ts';
import { hashAt, leftAt, NODE, rightAt, topAt } from './state-page.ts';

/** Nodes of one page whose hashes are to come, as they were written. */
export class Slots {
  /** Place and depth, one behind the other. */
  readonly branches: number[] = [];
  readonly references: { readonly at: number; readonly depth: number; readonly child: Uint8Array }[] = [];
  readonly leaves: { readonly at: number; readonly key: Hash; readonly value: Uint8Array }[] = [];
}

interface Level {
  readonly pages: Uint8Array[];
  readonly at: number[];
  /** What refers to a page whose top is of this depth, and that page. */
  readonly referring: { readonly page: Uint8Array; readonly at: number; readonly child: Uint8Array }[];
}

const PAIR_BYTES = 2 * HASH_BYTES;

export class PendingHashes {
  readonly #levels: Level[] = [];
  readonly #leafPages: Uint8Array[] = [];
  readonly #leafSlots: Slots['leaves'] = [];

  /** What waits in a page, now that its bytes are where they stay. */
  add(page: Uint8Array, { branches, references, leaves }: Slots): void {
    for (let i = 0; i < branches.length; i += 2) {
      const level = this.#level(branches[i + 1] as number);
      level.pages.push(page);
      level.at.push(branches[i] as number);
    }
    for (const { at, depth, child } of references) this.#level(depth).referring.push({ page, at, child });
    for (const leaf of leaves) {
      this.#leafPages.push(page);
      this.#leafSlots.push(leaf);
    }
  }

  settle(hasher: StateHasher): void {
    this.#settleLeaves(hasher);
    for (let depth = this.#levels.length - 1; depth >= 0; depth -= 1) {
      const level = this.#levels[depth];
      if (level === undefined) continue;
      const { pages, at, referring } = level;
      const input = room(pages.length);
      for (let i = 0; i < pages.length; i += 1) {
        const page = pages[i] as Uint8Array;
        const branch = at[i] as number;
        put(input, PAIR_BYTES * i, page, leftAt(branch));
        put(input, PAIR_BYTES * i + HASH_BYTES, page, rightAt(page, branch));
      }
      const output = new Uint8Array(HASH_BYTES * pages.length);
      hasher.pairs(1, input, pages.length, output);
      for (let i = 0; i < pages.length; i += 1) {
        const page = pages[i] as Uint8Array;
        copyHash(page, hashAt(page, at[i] as number), output, HASH_BYTES * i);
      }
      for (const { page, at: reference, child } of referring)
        copyHash(page, hashAt(page, reference), child, hashAt(child, topAt(child)));
    }
  }

  #settleLeaves(hasher: StateHasher): void {
    const slots = this.#leafSlots;
    if (slots.length === 0) return;
    const digests = new Uint8Array(HASH_BYTES * slots.length);
    hasher.values(
      slots.map(({ value }) => value),
      digests,
    );
    const input = room(slots.length);
    for (const [i, { key }] of slots.entries()) {
      copyHash(input, PAIR_BYTES * i, key, 0);
      copyHash(input, PAIR_BYTES * i + HASH_BYTES, digests, HASH_BYTES * i);
    }
    hasher.pairs(0, input, slots.length, digests);
    for (const [i, { at }] of slots.entries()) {
      const page = this.#leafPages[i] as Uint8Array;
      copyHash(page, hashAt(page, at), digests, HASH_BYTES * i);
    }
  }

  #level(depth: number): Level {
    return (this.#levels[depth] ??= { pages: [], at: [], referring: [] });
  }
}

/** Hash of the node at a place, as an input. */
function put(input: Uint8Array, at: number, page: Uint8Array, node: number): void {
  if (page[node] === NODE.empty) input.fill(0, at, at + HASH_BYTES);
  else copyHash(input, at, page, hashAt(page, node));
}

/** Thirty-two single bytes take less time than a view of them. */
function copyHash(target: Uint8Array, at: number, from: Uint8Array, start: number): void {
  for (let i = 0; i < HASH_BYTES; i += 1) target[at + i] = from[start + i] as number;
}

/** Room for the inputs of a level, used again for the next. */
let inputs = new Uint8Array(0);

function room(count: number): Uint8Array {
  if (inputs.length < PAIR_BYTES * count) inputs = new Uint8Array(2 * PAIR_BYTES * count);
  return inputs;
}
