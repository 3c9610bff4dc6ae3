/**
 * The tables port over LMDB: ordered, memory-mapped, copy-on-write, so that kill -9 and loss of power leave
 * the last complete batch. The only file of this package that imports lmdb.
 */
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Change, Entry, RangeOptions, Table, Tables } from '../ports.ts';
import { nodeDisk } from './node-disk.ts';
import { assertKey } from './table-key.ts';

export interface LmdbTablesOptions {
  readonly folder: string;
  /** Commits are refused with `storage.full` while less than this is free on the volume. Default 16 MiB. */
  readonly reserveBytes?: number;
}

const TABLES_MAX = 64;
/** A commit in a tree of hashes rewrites about one page and its share of inner pages per key. */
const BYTES_PER_CHANGE = 8192;
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

class LmdbTable implements Table {
  readonly database: Database<Uint8Array, Uint8Array>;

  constructor(database: Database<Uint8Array, Uint8Array>) {
    this.database = database;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const value = this.database.get(key);
    return value === undefined ? undefined : plain(value);
  }

  view<T>(key: Uint8Array, read: (value: Uint8Array) => T): T | undefined {
    // In a buffer that the next read uses again, and which is longer than it says.
    const value = this.database.getBinaryFast(key);
    return value && read(new Uint8Array(value.buffer, value.byteOffset, value.length));
  }

  has(key: Uint8Array): boolean {
    return this.database.doesExist(key);
  }

  *range(options: RangeOptions = {}): Generator<Entry> {
    const { start, end, limit, reverse = false } = options;
    // LMDB walks backwards from `start` to `end`, and there includes the first bound and leaves out the second;
    // the port's range is the same set of keys either way.
    const bounds = reverse
      ? {
          reverse,
          ...(end && { start: end, exclusiveStart: true }),
          ...(start && { end: start, inclusiveEnd: true }),
        }
      : { ...(start && { start }), ...(end && { end }) };
    for (const { key, value } of this.database.getRange({
      ...bounds,
      ...(limit === undefined ? {} : { limit }),
    })) {
      yield { key: plain(key), value: plain(value) };
    }
  }

  count(): number {
    return this.database.getCount();
  }
}

/** LMDB hands out Buffers, whose `slice` aliases: callers expect plain arrays. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

export class LmdbTables implements Tables {
  readonly #folder: string;
  readonly #reserveBytes: number;
  readonly #root: RootDatabase<Uint8Array, Uint8Array>;
  readonly #tables = new Map<string, LmdbTable>();

  private constructor(options: LmdbTablesOptions, root: RootDatabase<Uint8Array, Uint8Array>) {
    this.#folder = options.folder;
    this.#reserveBytes = options.reserveBytes ?? 16 << 20;
    this.#root = root;
  }

  /** Creates what is missing. Errors: `storage.failed`. */
  static async open(options: LmdbTablesOptions): Promise<LmdbTables> {
    nodeDisk.makeFolder(options.folder);
    try {
      const root = open<Uint8Array, Uint8Array>({
        ...BINARY,
        path: join(options.folder, 'tables.mdb'),
        noSubdir: true,
        maxDbs: TABLES_MAX,
      });
      return new LmdbTables(options, root);
    } catch (error) {
      throw new LedgerError(
        'storage.failed',
        `cannot open the tables in ${options.folder}`,
        { folder: options.folder },
        error,
      );
    }
  }

  table(name: string): Table {
    return this.#table(name);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    for (const { key } of changes) assertKey(key);
    this.#assertRoom(changes);
    const tables = new Map(changes.map(({ table }) => [table, this.#table(table).database]));
    try {
      // Everything queued inside one `batch` becomes one transaction, written by LMDB's own thread: half the
      // main thread's time of a transaction whose callback runs here.
      await this.#root.batch(() => {
        for (const { table, key, value } of changes) {
          const database = tables.get(table) as Database<Uint8Array, Uint8Array>;
          if (value === undefined) void database.remove(key);
          else void database.put(key, value);
        }
      });
    } catch (error) {
      // LMDB reports a short write as an input/output error, and the cause as a promise that rejects.
      const cause: unknown = await Promise.resolve((error as { commitError?: unknown }).commitError).catch(
        (reason: unknown) => reason,
      );
      this.#assertRoom(changes);
      throw new LedgerError(
        'storage.failed',
        `cannot write the tables in ${this.#folder}`,
        { folder: this.#folder },
        cause ?? error,
      );
    }
  }

  async flush(): Promise<void> {
    await this.#root.flushed;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#root.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #table(name: string): LmdbTable {
    let table = this.#tables.get(name);
    if (table === undefined) {
      if (this.#tables.size >= TABLES_MAX) throw new RangeError(`at most ${TABLES_MAX} tables`);
      table = new LmdbTable(this.#root.openDB({ ...BINARY, name }));
      this.#tables.set(name, table);
    }
    return table;
  }

  /** Asked before writing, because LMDB's own failure in the middle of a commit is harder to tell from a broken disk. */
  #assertRoom(changes: readonly Change[]): void {
    const { bavail, bsize } = statfsSync(this.#folder);
    const values = changes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    const needed = this.#reserveBytes + values + changes.length * BYTES_PER_CHANGE;
    if (bavail * bsize >= needed) return;
    throw new LedgerError('storage.full', `less than ${needed} bytes are free for ${this.#folder}`, {
      folder: this.#folder,
      needed,
    });
  }
}
