/** A fake of the tables port: sorted arrays in memory. For tests and simulations. */
import { compareBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Change, Entry, RangeOptions, Table, Tables } from '../ports.ts';
import { assertKey } from './table-key.ts';

class MemoryTable implements Table {
  readonly #values = new Map<string, Entry>();
  #sorted: Entry[] | undefined;

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#values.get(toHex(key))?.value.slice();
  }

  view<T>(key: Uint8Array, read: (value: Uint8Array) => T): T | undefined {
    const entry = this.#values.get(toHex(key));
    return entry && read(entry.value);
  }

  has(key: Uint8Array): boolean {
    return this.#values.has(toHex(key));
  }

  *range(options: RangeOptions = {}): Generator<Entry> {
    this.#sorted ??= [...this.#values.values()].sort((a, b) => compareBytes(a.key, b.key));
    const { start, end, limit = Number.POSITIVE_INFINITY } = options;
    const entries = this.#sorted.filter(
      ({ key }) =>
        (start === undefined || compareBytes(key, start) >= 0) &&
        (end === undefined || compareBytes(key, end) < 0),
    );
    if (options.reverse === true) entries.reverse();
    for (const { key, value } of entries.slice(0, limit)) yield { key: key.slice(), value: value.slice() };
  }

  count(): number {
    return this.#values.size;
  }

  apply(key: Uint8Array, value: Uint8Array | undefined): void {
    this.#sorted = undefined;
    if (value === undefined) this.#values.delete(toHex(key));
    else this.#values.set(toHex(key), { key: key.slice(), value: value.slice() });
  }
}

export class MemoryTables implements Tables {
  readonly #tables = new Map<string, MemoryTable>();

  table(name: string): Table {
    return this.#table(name);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    for (const { key } of changes) assertKey(key);
    await Promise.resolve();
    for (const { table, key, value } of changes) this.#table(table).apply(key, value);
  }

  async flush(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  #table(name: string): MemoryTable {
    const table = this.#tables.get(name) ?? new MemoryTable();
    this.#tables.set(name, table);
    return table;
  }
}
