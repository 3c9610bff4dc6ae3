/** What an update does to the tree: keys, labels and values of thousands of changes in a few buffers, and their order. */
import { HASH_BYTES } from './hash.ts';
import { depthOf, lowestKey, type Page } from './state-page.ts';

/** What became of a key. */
export const OUTCOME = { none: 0, added: 1, changed: 2, removed: 3 } as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** In place of the length of a value. */
const REMOVED = 0xffff_ffff;
const LOOK = 0xffff_fffe;
/** Of a change: where its label begins and its length, then the same of its value. */
const PLACES = 4;
/** So that an index and 32 bits of a key are one whole number. */
const COUNT_MAX = 1 << 21;

export class PageChanges {
  count = 0;
  keys: Uint8Array;
  /** Labels and values. */
  heap: Uint8Array;
  #free = 0;
  #places: Uint32Array;
  outcomes: Uint8Array;

  /** Room for so many changes to begin with, and so many bytes of labels and values. */
  constructor(expected = 16, bytes: number = 64 * expected) {
    this.keys = new Uint8Array(HASH_BYTES * expected);
    this.heap = new Uint8Array(bytes);
    this.#places = new Uint32Array(PLACES * expected);
    this.outcomes = new Uint8Array(expected);
  }

  /** `undefined` removes the key. Of several changes of one key the last counts. */
  add(key: Uint8Array, label: Uint8Array, value: Uint8Array | undefined): void {
    const i = this.#begin(label.length + (value?.length ?? 0));
    this.keys.set(key, HASH_BYTES * i);
    this.#end(i, label, value);
  }

  /**
   * The same with a label of one byte and what follows it as text, and room for a value of so many bytes, or none when it is removed;
   * key and value come later. Gives the index of the change.
   */
  addText(first: number, label: string, valueLength: number | undefined): number {
    const length = 1 + label.length;
    const i = this.#begin(length + (valueLength ?? 0));
    const { heap } = this;
    const at = this.#free;
    heap[at] = first;
    for (let j = 1; j < length; j += 1) heap[at + j] = label.charCodeAt(j - 1);
    this.#note(i, length, valueLength);
    return i;
  }

  /** The key lies at `start`. */
  setKey(i: number, keys: Uint8Array, start: number): void {
    const at = HASH_BYTES * i;
    for (let j = 0; j < HASH_BYTES; j += 1) this.keys[at + j] = keys[start + j] as number;
  }

  /** Looks whether a page is still of the tree and, if its store wants that (`PageStore.moves`), has it written anew. */
  addLook(page: Page): void {
    const i = this.#begin(0);
    this.keys.set(lowestKey(page), HASH_BYTES * i);
    this.#places.set([this.#free, 0, depthOf(page.chunk.words, page.at), LOOK], PLACES * i);
  }

  isLook(i: number): boolean {
    return this.#places[PLACES * i + 3] === LOOK;
  }

  /** How far down a look goes. */
  lookDepth(i: number): number {
    return this.#places[PLACES * i + 2] as number;
  }

  isRemoval(i: number): boolean {
    return this.#places[PLACES * i + 3] === REMOVED;
  }

  labelStart(i: number): number {
    return this.#places[PLACES * i] as number;
  }

  labelLength(i: number): number {
    return this.#places[PLACES * i + 1] as number;
  }

  valueStart(i: number): number {
    return this.#places[PLACES * i + 2] as number;
  }

  valueLength(i: number): number {
    return this.#places[PLACES * i + 3] as number;
  }

  /** Views. */
  label(i: number): Uint8Array {
    return this.heap.subarray(this.labelStart(i), this.labelStart(i) + this.labelLength(i));
  }

  value(i: number): Uint8Array | undefined {
    const length = this.valueLength(i);
    if (length >= LOOK) return undefined;
    return this.heap.subarray(this.valueStart(i), this.valueStart(i) + length);
  }

  /** Indexes in ascending order of keys, one per key but for looks, which come before what changes what the key holds. */
  inOrder(): Int32Array {
    const { count, keys } = this;
    const numbers = new Float64Array(count);
    for (let i = 0, at = 0; i < count; i += 1, at += HASH_BYTES) {
      const first =
        (keys[at] as number) * 0x100_0000 +
        (((keys[at + 1] as number) << 16) | ((keys[at + 2] as number) << 8) | (keys[at + 3] as number));
      numbers[i] = first * COUNT_MAX + i;
    }
    numbers.sort();
    const order = new Int32Array(count);
    for (let i = 0; i < count; i += 1) order[i] = (numbers[i] as number) % COUNT_MAX;
    // The first 32 bits settle most of it.
    for (let from = 0, to = 1; from < count; from = to, to += 1) {
      const first = Math.floor((numbers[from] as number) / COUNT_MAX);
      while (to < count && Math.floor((numbers[to] as number) / COUNT_MAX) === first) to += 1;
      if (to - from > 1) order.subarray(from, to).sort((a, b) => this.#compare(a, b));
    }
    let length = 0;
    for (let i = 0; i < count; i += 1) {
      const [change, next] = [order[i] as number, order[i + 1]];
      const isLast = next === undefined || this.isLook(change) || this.#compareKeys(change, next) !== 0;
      if (isLast) order[length++] = change;
    }
    return order.subarray(0, length);
  }

  /** First of the sorted positions whose key has bit `depth` set; all keys of the range share the bits above. */
  splitAt(order: Int32Array, from: number, to: number, depth: number): number {
    const { keys } = this;
    const byte = depth >> 3;
    const bit = 0x80 >> (depth & 7);
    let low = from;
    let high = to;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (((keys[HASH_BYTES * (order[middle] as number) + byte] as number) & bit) !== 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** All keys by the word. */
  get keyWords(): Int32Array {
    return new Int32Array(this.keys.buffer);
  }

  key(i: number): Uint8Array {
    return this.keys.subarray(HASH_BYTES * i, HASH_BYTES * (i + 1));
  }

  #compare(a: number, b: number): number {
    return this.#compareKeys(a, b) || Number(this.isLook(b)) - Number(this.isLook(a)) || a - b;
  }

  #compareKeys(a: number, b: number): number {
    const { keys } = this;
    for (let i = 0; i < HASH_BYTES; i += 1) {
      const difference = (keys[HASH_BYTES * a + i] as number) - (keys[HASH_BYTES * b + i] as number);
      if (difference !== 0) return difference;
    }
    return 0;
  }

  #begin(bytes: number): number {
    const i = this.count;
    if (i >= COUNT_MAX) throw new RangeError(`at most ${COUNT_MAX} changes at once`);
    if (i === this.outcomes.length) {
      const room = Math.max(16, 2 * i);
      this.keys = grown(this.keys, HASH_BYTES * room);
      this.outcomes = grown(this.outcomes, room);
      const places = new Uint32Array(PLACES * room);
      places.set(this.#places);
      this.#places = places;
    }
    if (this.#free + bytes > this.heap.length)
      this.heap = grown(this.heap, Math.max(2 * this.heap.length, this.#free + bytes));
    this.count = i + 1;
    return i;
  }

  #end(i: number, label: Uint8Array, value: Uint8Array | undefined): void {
    this.heap.set(label, this.#free);
    this.#note(i, label.length, value?.length);
    if (value !== undefined) this.heap.set(value, this.valueStart(i));
  }

  #note(i: number, labelLength: number, valueLength: number | undefined): void {
    const places = this.#places;
    const start = this.#free + labelLength;
    places[PLACES * i] = this.#free;
    places[PLACES * i + 1] = labelLength;
    places[PLACES * i + 2] = start;
    places[PLACES * i + 3] = valueLength ?? REMOVED;
    this.#free = start + (valueLength ?? 0);
  }
}

function grown(bytes: Uint8Array, length: number): Uint8Array {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}
