/** Pages of a paged state tree in memory, and who still refers to them. */
import { compareBytes, equalBytes, toHex } from '../bytes/hex.ts';
import { PagePool, type PageStore } from '../crypto/page-pool.ts';
import type { StateKey } from '../state/keys.ts';
import type { KeyIndex } from '../state/paged-records.ts';

export class MemoryPages implements PageStore {
  readonly pages: Map<number, Uint8Array> = new Map();
  readonly pool: PagePool;
  /** Released since this was last emptied. */
  released: number[] = [];
  loads = 0;
  /** Pages that should lie elsewhere. */
  moving: ReadonlySet<number> = new Set();
  #next = 7;
  #placed: { readonly location: number; readonly bytes: number; readonly at: number }[] = [];

  /** Those of another, as they are stored. */
  constructor(cacheBytes: number = 1 << 20, other?: MemoryPages) {
    this.pool = new PagePool(this, cacheBytes);
    if (other === undefined) return;
    this.pages = other.pages;
    this.released = other.released;
    this.#next = other.#next;
  }

  load(location: number, take: (bytes: Uint8Array, from: number, to: number) => void): void {
    this.loads += 1;
    const page = this.pages.get(location);
    if (page === undefined) throw new RangeError(`no page at ${location}`);
    take(page, 0, page.length);
  }

  place(bytes: number, isLive: boolean, at: number): number {
    const location = this.#next;
    // As large as locations get: they must survive their encoding.
    this.#next += 0x1_0001_0003;
    this.#placed.push({ location, bytes, at });
    if (!isLive) this.released.push(location);
    return location;
  }

  release(location: number): void {
    this.released.push(location);
  }

  moves(location: number): boolean {
    return this.moving.has(location);
  }

  /** Stores what was changed. */
  seal(): void {
    const run = this.pool.seal();
    if (run === undefined) return;
    for (const { location, bytes, at } of this.#placed)
      this.pages.set(location, run.bytes(at, bytes).slice());
    this.#placed = [];
    this.pool.stored(run);
  }

  /** Lets go of what was released. */
  drop(): void {
    for (const location of this.released) this.pages.delete(location);
    this.released = [];
  }
}

/** Every key that ever was: more than any one state has, as an index may. */
export class MemoryKeys implements KeyIndex {
  readonly #keys = new Map<string, Uint8Array>();

  range(prefix: Uint8Array, from: Uint8Array = prefix): readonly Uint8Array[] {
    return [...this.#keys.values()]
      .filter((key) => equalBytes(key.subarray(0, prefix.length), prefix) && compareBytes(key, from) >= 0)
      .sort(compareBytes);
  }

  has(key: StateKey): boolean {
    return this.#keys.has(toHex(key));
  }

  note(key: StateKey): void {
    this.#keys.set(toHex(key), key);
  }
}
