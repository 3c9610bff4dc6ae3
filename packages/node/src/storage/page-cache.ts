/**
 * Pages that were read lately, by what they take of memory. Two generations: what is asked for moves to the young one, and when
 * that holds half of the bytes, the old one goes as a whole. Pages lie one behind another in a few large buffers, found by
 * tables of numbers: a hundred thousand objects would be looked at by every turn of the garbage collector.
 */
import { pageLength } from '@itc/core/crypto/state-page.js';

const CHUNK_BYTES = 1 << 20;
const SLOTS_MIN = 1_024;

/** Filled and then dropped; never larger than it was made for but by one page. */
class Generation {
  bytes = 0;
  readonly #chunks: Uint8Array[] = [];
  #free = 0;
  #count = 0;
  /** Location + 1 of the page in a slot; 0 for none. */
  #locations: Float64Array = new Float64Array(SLOTS_MIN);
  /** Its chunk and where in it. */
  #places: Float64Array = new Float64Array(SLOTS_MIN);

  get(location: number): Uint8Array | undefined {
    const slot = this.#slotOf(location);
    if (this.#locations[slot] === 0) return undefined;
    const place = this.#places[slot] as number;
    const chunk = this.#chunks[Math.floor(place / CHUNK_BYTES)] as Uint8Array;
    const at = chunk.length > CHUNK_BYTES ? 0 : place % CHUNK_BYTES;
    return chunk.subarray(at, at + pageLength(chunk, at));
  }

  add(location: number, bytes: Uint8Array, from: number, to: number): Uint8Array {
    const length = to - from;
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || this.#free + length > chunk.length) {
      chunk = new Uint8Array(Math.max(length, CHUNK_BYTES));
      this.#chunks.push(chunk);
      this.#free = 0;
    }
    const page = chunk.subarray(this.#free, this.#free + length);
    page.set(bytes.subarray(from, to));
    if (2 * (this.#count + 1) > this.#locations.length) this.#grow();
    const slot = this.#slotOf(location);
    if (this.#locations[slot] === 0) this.#count += 1;
    this.#locations[slot] = location + 1;
    this.#places[slot] = (this.#chunks.length - 1) * CHUNK_BYTES + this.#free;
    this.#free += length;
    this.bytes += length + BYTES_PER_PAGE;
    return page;
  }

  #slotOf(location: number): number {
    const locations = this.#locations;
    const mask = locations.length - 1;
    // Locations are extents with a place in them: both have to count.
    let slot = Math.imul((location / 65_536) ^ Math.imul(location, 0x9e37_79b1), 0x85eb_ca6b) >>> 7;
    for (slot &= mask; locations[slot] !== 0 && locations[slot] !== location + 1;) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [locations, places] = [this.#locations, this.#places];
    this.#locations = new Float64Array(2 * locations.length);
    this.#places = new Float64Array(2 * locations.length);
    for (const [i, location] of locations.entries()) {
      if (location === 0) continue;
      const slot = this.#slotOf(location - 1);
      this.#locations[slot] = location;
      this.#places[slot] = places[i] as number;
    }
  }
}

/** Of the tables, at worst. */
const BYTES_PER_PAGE = 64;

export class PageCache {
  readonly #bytesMax: number;
  #young = new Generation();
  #old = new Generation();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Never above the bound but by one page. */
  get bytes(): number {
    return this.#young.bytes + this.#old.bytes;
  }

  /** Views stay as they are, also of pages that are forgotten meanwhile. */
  get(location: number): Uint8Array | undefined {
    const young = this.#young.get(location);
    if (young !== undefined) return young;
    const old = this.#old.get(location);
    return old && this.take(location, old, 0, old.length);
  }

  /** Keeps a copy of a page that was found in `bytes`. A location has one content for all time. */
  take(location: number, bytes: Uint8Array, from: number, to: number): Uint8Array {
    const page = this.#young.add(location, bytes, from, to);
    if (2 * this.#young.bytes > this.#bytesMax) {
      this.#old = this.#young;
      this.#young = new Generation();
    }
    return page;
  }
}
