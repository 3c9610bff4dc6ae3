/**
 * Pages that were read or written lately, by what they take of memory. Generations: what is asked for moves to the youngest one,
 * and the oldest go as a whole. Pages lie one behind another in a few large buffers, found by tables of numbers: a hundred
 * thousand objects would be looked at by every turn of the garbage collector.
 */
import { Chunk, pageWords } from './state-page.ts';

/** Of a chunk: 1 MiB, and the most a page can have. */
export const CHUNK_WORDS: number = 1 << 18;
const SLOTS_MIN = 256;
/** A table of pages that has less of the cache's room than one in so many does not stay one by itself. */
const SHARE_MIN = 16;
/** Of the tables, at worst. */
const BYTES_PER_PAGE = 64;

/** Where pages are in some chunks. */
export class PageTable {
  readonly chunks: Chunk[] = [];
  bytes = 0;
  #count = 0;
  /** Of a slot: location + 1 of the page, 0 for none, and where it lies, in chunks and words. Both are in one line of memory. */
  #slots: Float64Array;

  /** Of the page found last. */
  chunk: Chunk | undefined;
  at = 0;

  /** Room for so many pages to begin with. */
  constructor(expected = 0) {
    let slots = SLOTS_MIN;
    while (slots < 2 * (expected + 1)) slots *= 2;
    this.#slots = new Float64Array(2 * slots);
  }

  find(location: number): boolean {
    const slot = this.#slotOf(location);
    if (this.#slots[slot] === 0) return false;
    const place = this.#slots[slot + 1] as number;
    this.chunk = this.chunks[Math.floor(place / CHUNK_WORDS)];
    this.at = place % CHUNK_WORDS;
    return true;
  }

  /** A page of so many words that is in this chunk of the table's. */
  add(location: number, chunk: number, at: number, words: number): void {
    if (4 * (this.#count + 1) > this.#slots.length) this.#grow();
    const slot = this.#slotOf(location);
    if (this.#slots[slot] === 0) this.#count += 1;
    this.#slots[slot] = location + 1;
    this.#slots[slot + 1] = CHUNK_WORDS * chunk + at;
    this.bytes += 4 * words + BYTES_PER_PAGE;
  }

  /** Where each page lies. */
  each(visit: (location: number, chunk: Chunk, at: number) => void): void {
    for (let slot = 0; slot < this.#slots.length; slot += 2) {
      if (this.#slots[slot] === 0) continue;
      const place = this.#slots[slot + 1] as number;
      const chunk = this.chunks[Math.floor(place / CHUNK_WORDS)] as Chunk;
      visit((this.#slots[slot] as number) - 1, chunk, place % CHUNK_WORDS);
    }
  }

  #slotOf(location: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    // Locations are extents with a place in them: both have to count.
    let slot = Math.imul((location / 65_536) ^ Math.imul(location, 0x9e37_79b1), 0x85eb_ca6b) >>> 7;
    for (slot = (2 * slot) & mask; slots[slot] !== 0 && slots[slot] !== location + 1;)
      slot = (slot + 2) & mask;
    return slot;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Float64Array(2 * before.length);
    for (let i = 0; i < before.length; i += 2) {
      const location = before[i] as number;
      if (location === 0) continue;
      const slot = this.#slotOf(location - 1);
      this.#slots[slot] = location;
      this.#slots[slot + 1] = before[i + 1] as number;
    }
  }
}

/** Chunks that nobody uses: memory from the system has to be cleared first, which costs as much as what is written to it. */
export class SpareChunks {
  readonly #chunks: Chunk[] = [];
  readonly #countMax: number;

  constructor(bytesMax: number) {
    this.#countMax = Math.ceil(bytesMax / (4 * CHUNK_WORDS));
  }

  take(): Chunk {
    return this.#chunks.pop() ?? new Chunk(CHUNK_WORDS);
  }

  give(chunk: Chunk): void {
    if (chunk.words.length === CHUNK_WORDS && this.#chunks.length < this.#countMax) this.#chunks.push(chunk);
  }
}

export class PageCache {
  readonly #bytesMax: number;
  readonly #chunks: SpareChunks;
  /** The youngest first. Pages that are read go to it; a table that was filled elsewhere comes behind it. */
  #tables: PageTable[] = [new PageTable()];
  #free = CHUNK_WORDS;
  #bytes = 0;
  /** Who has just opened a page may still look at it. */
  #forgotten: Chunk[] = [];

  chunk: Chunk | undefined;
  at = 0;

  constructor(bytesMax: number, chunks: SpareChunks) {
    this.#bytesMax = bytesMax;
    this.#chunks = chunks;
  }

  /** Never above the bound but by one page. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the page is here; then `chunk` and `at` say where. Pages stay as they are until `recycle`. */
  find(location: number): boolean {
    const tables = this.#tables;
    for (let i = 0; i < tables.length; i += 1) {
      const table = tables[i] as PageTable;
      if (!table.find(location)) continue;
      this.chunk = table.chunk;
      this.at = table.at;
      // What is about to be forgotten, and is asked for, stays.
      if (i > 0 && i === tables.length - 1 && 4 * this.#bytes > 3 * this.#bytesMax) this.#keep(location);
      return true;
    }
    return false;
  }

  /** Keeps a copy of a page that was found in `bytes`. A location has one content for all time. */
  take(location: number, bytes: Uint8Array, from: number, to: number): void {
    const words = (to - from) >>> 2;
    this.#place(location, words);
    (this.chunk as Chunk).bytes.set(bytes.subarray(from, to), 4 * this.at);
    this.#bound();
  }

  /**
   * Takes over a whole table of pages with its chunks, or what is in it when that is little: buffers filled by a thousandth, and as
   * many tables to look through, would be all there is when blocks change little.
   */
  adopt(table: PageTable): void {
    if (SHARE_MIN * table.bytes < this.#bytesMax) {
      table.each((location, chunk, at) => {
        this.#copy(location, chunk, at);
      });
      this.#forgotten.push(...table.chunks);
      return;
    }
    this.#tables.splice(1, 0, table);
    this.#bytes += table.bytes;
    this.#bound();
  }

  /** Nobody looks at a page that was opened before: what was forgotten may be written to. */
  recycle(): void {
    for (const chunk of this.#forgotten) this.#chunks.give(chunk);
    this.#forgotten = [];
  }

  #keep(location: number): void {
    this.#copy(location, this.chunk as Chunk, this.at);
  }

  #copy(location: number, from: Chunk, at: number): void {
    const words = pageWords(from.words, at);
    this.#place(location, words);
    (this.chunk as Chunk).words.set(from.words.subarray(at, at + words), this.at);
    this.#bound();
  }

  #place(location: number, words: number): void {
    let young = this.#tables[0] as PageTable;
    // A quarter of the room at a time: what is forgotten at once is as much.
    if (4 * young.bytes > this.#bytesMax) {
      this.#tables.unshift((young = new PageTable()));
      this.#free = CHUNK_WORDS;
    }
    let chunk = young.chunks.at(-1);
    if (chunk === undefined || this.#free + words > chunk.words.length) {
      const most = this.#bytesMax >>> 4;
      chunk = most < CHUNK_WORDS ? new Chunk(Math.max(words, most)) : this.#chunks.take();
      young.chunks.push(chunk);
      this.#free = 0;
    }
    const before = young.bytes;
    young.add(location, young.chunks.length - 1, this.#free, words);
    this.#bytes += young.bytes - before;
    this.chunk = chunk;
    this.at = this.#free;
    this.#free += words;
  }

  #bound(): void {
    while (this.#bytes > this.#bytesMax && this.#tables.length > 1) {
      const forgotten = this.#tables.pop() as PageTable;
      this.#bytes -= forgotten.bytes;
      this.#forgotten.push(...forgotten.chunks);
    }
  }
}
