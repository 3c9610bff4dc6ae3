/**
 * Records in pages of a store (spec PAGES): read when they are asked for, decoded once while they are remembered. What a
 * process holds of a state is a page number, a few counts, and what its caches have room for.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { PagedStateTree, type TreeShape, type TreeTop } from '../crypto/paged-state-tree.ts';
import { PageChange, pageMove } from '../crypto/paged-state-update.ts';
import { RECORD_KINDS, stateKey, stateKeyHash, type RecordKind, type StateKey } from './keys.ts';
import { idBytes, idText } from './record-map.ts';
import {
  KINDS,
  type ChangedRecords,
  type RecordChange,
  type RecordStore,
  type StateEntry,
} from './record-store.ts';
import { decodeRecord, encodeRecord, type RecordTypes } from './records.ts';

/**
 * Which keys there are, in their order. It may name more than a state has, since states of several heights share it and each
 * asks its own tree, but never less.
 */
export interface KeyIndex {
  /** State keys that begin with these bytes, ascending, none of them below `from`. */
  range(prefix: Uint8Array, from?: Uint8Array): Iterable<Uint8Array>;
  has(key: StateKey): boolean;
  /** The next state has a key that this one had not, or has not one that it had. */
  note(key: StateKey, change: 'added' | 'removed'): void;
}

/** What several states of one store share. */
export interface RecordPages {
  readonly tree: Omit<TreeShape, 'keyOf'>;
  readonly keys: KeyIndex;
}

/** A state as its store remembers it. */
export interface PagedTop {
  readonly tree: TreeTop | undefined;
  /** By the number of the kind. */
  readonly counts: readonly number[];
}

/** Kinds of which nobody asks in order, and of which there are so many that an index of them would cost a third of the state. */
const UNORDERED: ReadonlySet<RecordKind> = new Set(['account']);

export const EMPTY_TOP: PagedTop = { tree: undefined, counts: [] };

const keyOfLabel = (label: Uint8Array): Hash => stateKeyHash(label as StateKey);

export class PagedRecords implements RecordStore {
  readonly #pages: RecordPages;
  readonly #decoded: DecodedRecords;
  readonly tree: PagedStateTree;
  readonly #counts: readonly number[];

  private constructor(
    pages: RecordPages,
    decoded: DecodedRecords,
    tree: PagedStateTree,
    counts: readonly number[],
  ) {
    this.#pages = pages;
    this.#decoded = decoded;
    this.tree = tree;
    this.#counts = counts;
  }

  static open(pages: RecordPages, top: PagedTop = EMPTY_TOP): PagedRecords {
    const tree = new PagedStateTree({ ...pages.tree, keyOf: keyOfLabel }, top.tree);
    return new PagedRecords(pages, new DecodedRecords(), tree, top.counts);
  }

  get top(): PagedTop {
    return { tree: this.tree.top, counts: this.#counts };
  }

  record<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    const label = String.fromCharCode(RECORD_KINDS[kind]) + id;
    const newest = this.#decoded.newest(this.tree.top);
    const known = newest?.get(label);
    if (known !== undefined) return known as RecordTypes[K];
    const record = this.#read(kind, id, label);
    if (newest !== undefined && record !== undefined) this.#decoded.note(label, record);
    return record;
  }

  #read<K extends RecordKind>(kind: K, id: string, label: string): RecordTypes[K] | undefined {
    // Most questions about kinds of which there are few have the answer no, and need no page for it.
    if (this.count(kind) === 0) return undefined;
    if (!UNORDERED.has(kind) && !this.#pages.keys.has(stateKey(kind, idBytes(id)))) return undefined;
    const value = this.tree.view(hashOf(label), label);
    return value && this.#decoded.get(kind, label, value);
  }

  *walk<K extends RecordKind>(
    kind: K,
    prefix = '',
    from = '',
  ): Iterable<readonly [id: string, record: RecordTypes[K]]> {
    for (const id of this.#ids(kind, prefix, from)) {
      const record = this.record(kind, id);
      if (record !== undefined) yield [id, record];
    }
  }

  count(kind: RecordKind): number {
    return this.#counts[RECORD_KINDS[kind]] ?? 0;
  }

  *entries(): Iterable<StateEntry> {
    for (const { label, value } of this.tree.entries()) yield { key: idBytes(label) as StateKey, value };
  }

  advance(changed: ChangedRecords): {
    readonly records: PagedRecords;
    readonly changes: readonly RecordChange[];
  } {
    const changes: PageChange[] = [];
    const written: [label: string, record: object | undefined][] = [];
    const collect = <K extends RecordKind>(kind: K): void => {
      for (const [id, record] of changed[kind]) {
        const key = stateKey(kind, idBytes(id));
        const label = String.fromCharCode(RECORD_KINDS[kind]) + id;
        const value = record && encodeRecord(kind, record);
        if (value !== undefined) this.#decoded.remember(kind, label, value, record);
        written.push([label, record]);
        changes.push(new PageChange(hashOf(label), key, value));
      }
    };
    for (const kind of KINDS) collect(kind);
    return this.#updated(changes, written);
  }

  /** Records as another state had them; that they are canonical is for the caller to know. */
  load(entries: readonly StateEntry[]): PagedRecords {
    return this.#updated(
      entries.map(({ key, value }) => new PageChange(stateKeyHash(key), key, value)),
      undefined,
    ).records;
  }

  /** The same records, after a look whether these pages are still theirs and should be moved, see `PageStore.moves`. */
  moved(pages: readonly Uint8Array[]): PagedRecords {
    return this.#updated(pages.map(pageMove), []).records;
  }

  #updated(
    all: readonly PageChange[],
    written: readonly (readonly [label: string, record: object | undefined])[] | undefined,
  ): {
    readonly records: PagedRecords;
    readonly changes: readonly RecordChange[];
  } {
    const tree = this.tree.update(all);
    this.#decoded.follow(this.tree.top, tree.top, written);
    const counts = this.#counts.slice();
    const changes: RecordChange[] = [];
    for (const { label, value, outcome } of all) {
      if (outcome === 'none' || value === 'moves') continue;
      const key = label as StateKey;
      changes.push({ key, value });
      if (outcome === 'changed') continue;
      const kind = label[0] as number;
      while (counts.length <= kind) counts.push(0);
      counts[kind] = (counts[kind] as number) + (outcome === 'added' ? 1 : -1);
      if (!isUnordered(kind)) this.#pages.keys.note(key, outcome);
    }
    return { records: new PagedRecords(this.#pages, this.#decoded, tree, counts), changes };
  }

  *#ids(kind: RecordKind, prefix: string, from: string): Iterable<string> {
    const first = String.fromCharCode(RECORD_KINDS[kind]);
    const start = first + prefix;
    if (UNORDERED.has(kind)) {
      for (const { label } of this.tree.entries())
        if (label.startsWith(start) && label >= first + from) yield label.slice(1);
      return;
    }
    const least = from > prefix ? idBytes(first + from) : undefined;
    for (const key of this.#pages.keys.range(idBytes(start), least)) yield idText(key.subarray(1));
  }
}

const UNORDERED_NUMBERS: ReadonlySet<number> = new Set([...UNORDERED].map((kind) => RECORD_KINDS[kind]));

function isUnordered(kind: number): boolean {
  return UNORDERED_NUMBERS.has(kind);
}

/** What a block reads it writes soon after: some 8 MB of hashes at most. */
const HASHES_MAX = 32_768;
const hashes = new Map<string, Hash>();

function hashOf(label: string): Hash {
  let hash = hashes.get(label);
  if (hash !== undefined) return hash;
  hash = stateKeyHash(idBytes(label) as StateKey);
  if (hashes.size >= HASHES_MAX) hashes.clear();
  hashes.set(label, hash);
  return hash;
}

/** Most recently decoded records that are asked for again and again, with the bytes they came from. */
const REMEMBERED_MAX = 4_096;
/** Records of the newest state that were read or written lately: some 6 MB of accounts. */
const NEWEST_MAX = 32_768;

/**
 * The same bytes give the same object, as long as it is remembered: sets of validators are told apart by identity. Accounts
 * are decoded when they are asked for; there are too many to meet one again soon.
 */
class DecodedRecords {
  readonly #records = new Map<string, { readonly bytes: Uint8Array; readonly record: unknown }>();
  /** Blocks follow on the newest state, so it alone is worth to be known without its pages. */
  readonly #newest = new Map<string, object>();
  #newestTop: TreeTop | undefined;

  /** What is known of the state with this top, if that is the newest one. */
  newest(top: TreeTop | undefined): ReadonlyMap<string, object> | undefined {
    return top !== undefined && top === this.#newestTop ? this.#newest : undefined;
  }

  note(label: string, record: object): void {
    if (this.#newest.size >= NEWEST_MAX) this.#newest.clear();
    this.#newest.set(label, record);
  }

  /** A state has followed on another: `written` is what is different, undefined when that is not known. */
  follow(
    before: TreeTop | undefined,
    after: TreeTop | undefined,
    written: readonly (readonly [label: string, record: object | undefined])[] | undefined,
  ): void {
    if (before !== this.#newestTop || written === undefined) this.#newest.clear();
    this.#newestTop = after;
    for (const [label, record] of written ?? []) {
      if (record === undefined) this.#newest.delete(label);
      else this.note(label, record);
    }
  }

  /** `value` may be a view of a page. */
  get<K extends RecordKind>(kind: K, label: string, value: Uint8Array): RecordTypes[K] {
    if (UNORDERED.has(kind)) return decoded(kind, value);
    const known = this.#records.get(label);
    if (known !== undefined && equalBytes(known.bytes, value)) return known.record as RecordTypes[K];
    const bytes = value.slice();
    const record = decoded(kind, bytes);
    this.remember(kind, label, bytes, record);
    return record;
  }

  remember(kind: RecordKind, label: string, bytes: Uint8Array, record: unknown): void {
    if (UNORDERED.has(kind)) return;
    if (this.#records.size >= REMEMBERED_MAX) this.#records.clear();
    this.#records.set(label, { bytes, record });
  }
}

/** What is under a root was encoded here or verified; that it does not decode is damage. */
function decoded<K extends RecordKind>(kind: K, value: Uint8Array): RecordTypes[K] {
  const record = decodeRecord(kind, value);
  if (!record.ok) throw new RangeError(`a stored ${kind} does not decode: ${record.message}`);
  return record.value;
}
