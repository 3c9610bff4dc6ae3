/**
 * Places in changed pages that wait for a hash. Values and leaves come first, then branches, the deepest first: all of one depth
 * need nothing of each other, so they are hashed at once.
 */
import type { PageChanges } from './page-changes.ts';
import type { PagePool } from './page-pool.ts';
import type { StateHasher } from './state-hasher.ts';
import { HASH_WORDS, leftAt, NODE, rightAt } from './state-page.ts';

/** Whole numbers in a row. */
export class Numbers {
  list: Int32Array = new Int32Array(16);
  length = 0;

  push(number: number): void {
    if (this.length === this.list.length) {
      const larger = new Int32Array(2 * this.length);
      larger.set(this.list);
      this.list = larger;
    }
    this.list[this.length] = number;
    this.length += 1;
  }

  at(i: number): number {
    return this.list[i] as number;
  }
}

const PAIR_WORDS = 2 * HASH_WORDS;
/** Their pages fill a second-level cache. */
const LEAVES_MUCH = 64;

/** Room for the inputs of a level and what comes out, used again for the next. */
let input = new Int32Array(0);
let output = new Int32Array(0);

function room(count: number): void {
  if (input.length >= PAIR_WORDS * count) return;
  input = new Int32Array(2 * PAIR_WORDS * count);
  output = new Int32Array(2 * HASH_WORDS * count);
}

const bytesOf = (words: Int32Array): Uint8Array => new Uint8Array(words.buffer);

export class PendingHashes {
  readonly #pool: PagePool;
  /** By depth: branches, by where they are; and references with the top of the page behind each. */
  readonly #branches: Numbers[] = [];
  readonly #references: Numbers[] = [];
  /** Leaves, and the change that made each. */
  readonly #leaves = new Numbers();

  constructor(pool: PagePool) {
    this.#pool = pool;
  }

  /** Places are those of `PagePool.address`. */
  branch(at: number, depth: number): void {
    (this.#branches[depth] ??= new Numbers()).push(at);
  }

  refer(at: number, depth: number, top: number): void {
    const references = (this.#references[depth] ??= new Numbers());
    references.push(at);
    references.push(top);
  }

  leaf(at: number, change: number): void {
    this.#leaves.push(at);
    this.#leaves.push(change);
  }

  /** Whether so much waits that it should not wait longer: soon it would be in no cache of the processor any more. */
  get isMuch(): boolean {
    return this.#leaves.length > 2 * LEAVES_MUCH;
  }

  /** May be called at any time between two pages: what waits needs nothing of pages that are still to come. */
  settle(hasher: StateHasher, changes: PageChanges): void {
    this.#settleLeaves(hasher, changes);
    this.#leaves.length = 0;
    for (let depth = Math.max(this.#branches.length, this.#references.length) - 1; depth >= 0; depth -= 1) {
      const branches = this.#branches[depth];
      if (branches !== undefined && branches.length > 0) {
        this.#settleBranches(hasher, branches);
        branches.length = 0;
      }
      const references = this.#references[depth];
      if (references !== undefined && references.length > 0) {
        this.#settleReferences(references);
        references.length = 0;
      }
    }
  }

  #settleBranches(hasher: StateHasher, { list, length }: Numbers): void {
    const pool = this.#pool;
    room(length);
    const [into, from] = [input, output];
    for (let i = 0, to = 0; i < length; i += 1, to += PAIR_WORDS) {
      const { words } = pool.chunkAt(list[i] as number);
      const at = pool.wordAt(list[i] as number);
      put(into, to, words, leftAt(at));
      put(into, to + HASH_WORDS, words, rightAt(words, at));
    }
    hasher.pairs(1, bytesOf(into), length, bytesOf(from));
    for (let i = 0; i < length; i += 1) this.#take(list[i] as number, HASH_WORDS * i);
  }

  #settleReferences({ list, length }: Numbers): void {
    const pool = this.#pool;
    for (let i = 0; i < length; i += 2) {
      const [at, top] = [list[i] as number, list[i + 1] as number];
      const to = pool.wordAt(at) + 1;
      const from = pool.wordAt(top) + 1;
      const { words } = pool.chunkAt(at);
      const { words: child } = pool.chunkAt(top);
      for (let j = 0; j < HASH_WORDS; j += 1) words[to + j] = child[from + j] as number;
    }
  }

  #settleLeaves(hasher: StateHasher, changes: PageChanges): void {
    const { list, length } = this.#leaves;
    const count = length / 2;
    if (count === 0) return;
    room(count);
    const places = new Uint32Array(2 * count);
    for (let i = 0; i < count; i += 1) {
      const change = list[2 * i + 1] as number;
      places[2 * i] = changes.valueStart(change);
      places[2 * i + 1] = changes.valueLength(change);
    }
    hasher.stretches(changes.heap, places, count, bytesOf(output));
    const keys = changes.keyWords;
    for (let i = 0; i < count; i += 1) {
      const key = HASH_WORDS * (list[2 * i + 1] as number);
      const to = PAIR_WORDS * i;
      for (let j = 0; j < HASH_WORDS; j += 1) {
        input[to + j] = keys[key + j] as number;
        input[to + HASH_WORDS + j] = output[HASH_WORDS * i + j] as number;
      }
    }
    hasher.pairs(0, bytesOf(input), count, bytesOf(output));
    for (let i = 0; i < count; i += 1) this.#take(list[2 * i] as number, HASH_WORDS * i);
  }

  /** A digest from `output` to the node at a place. */
  #take(address: number, from: number): void {
    const { words } = this.#pool.chunkAt(address);
    const to = this.#pool.wordAt(address) + 1;
    for (let j = 0; j < HASH_WORDS; j += 1) words[to + j] = output[from + j] as number;
  }
}

/** Hash of the node at a place, as an input. */
function put(into: Int32Array, to: number, words: Int32Array, node: number): void {
  if (((words[node] as number) & 3) === NODE.empty) into.fill(0, to, to + HASH_WORDS);
  else for (let j = 0; j < HASH_WORDS; j += 1) into[to + j] = words[node + 1 + j] as number;
}
