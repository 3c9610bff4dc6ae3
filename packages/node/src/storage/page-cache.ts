/**
 * Pages that were read lately, by what they take of memory. Two generations: what is asked for moves to the young one, and when
 * that holds half of the bytes, the old one goes as a whole. Nothing is sorted and nothing is counted per access.
 */
import { PageSlab } from '@itc/core/crypto/page-slab.js';

export class PageCache {
  readonly #bytesMax: number;
  readonly #slab = new PageSlab();
  #young = new Map<number, Uint8Array>();
  #old = new Map<number, Uint8Array>();
  #youngBytes = 0;
  #oldBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Never above the bound but by one page. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  get(location: number): Uint8Array | undefined {
    const young = this.#young.get(location);
    if (young !== undefined) return young;
    const old = this.#old.get(location);
    if (old === undefined) return undefined;
    this.#old.delete(location);
    this.#oldBytes -= costOf(old);
    // Into the buffer of the young ones: the old one would stay for it.
    const page = this.#slab.copy(old, 0, old.length);
    this.set(location, page);
    return page;
  }

  /** Keeps a copy of a page that was found in `bytes`. */
  take(location: number, bytes: Uint8Array, from: number, to: number): Uint8Array {
    const page = this.#slab.copy(bytes, from, to);
    this.set(location, page);
    return page;
  }

  /** A location has one content for all time. */
  set(location: number, page: Uint8Array): void {
    this.#young.set(location, page);
    this.#youngBytes += costOf(page);
    if (2 * this.#youngBytes <= this.#bytesMax) return;
    this.#old = this.#young;
    this.#oldBytes = this.#youngBytes;
    this.#young = new Map();
    this.#youngBytes = 0;
  }
}

/** What the engine keeps of a typed array beside its bytes. */
const OBJECT_BYTES = 200;

function costOf(page: Uint8Array): number {
  return page.length + OBJECT_BYTES;
}
