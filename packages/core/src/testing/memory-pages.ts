/** Pages of a paged state tree in memory, and who still refers to them. */
import { compareBytes, equalBytes, toHex } from '../bytes/hex.ts';
import type { PageStore } from '../crypto/paged-state-tree.ts';
import type { StateKey } from '../state/keys.ts';
import type { KeyIndex } from '../state/paged-records.ts';

export class MemoryPages implements PageStore {
  readonly pages: Map<number, Uint8Array> = new Map();
  /** Released since this was last emptied. */
  released: number[] = [];
  reads = 0;
  /** Pages that should lie elsewhere. */
  moving: ReadonlySet<number> = new Set();
  #next = 7;

  read(location: number): Uint8Array {
    this.reads += 1;
    const page = this.pages.get(location);
    if (page === undefined) throw new RangeError(`no page at ${location}`);
    return page;
  }

  append(page: Uint8Array): number {
    const location = this.#next;
    // As large as locations get: they must survive their encoding.
    this.#next += 0x1_0001_0003;
    this.pages.set(location, page);
    return location;
  }

  release(location: number): void {
    this.released.push(location);
  }

  moves(location: number): boolean {
    return this.moving.has(location);
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
