/**
 * Records in pages of a store (spec PAGES): read when they are asked for, decoded once while they are remembered. What a
 * process holds of a state is a page number, a few counts, and what its caches have room for.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { PagedStateTree, type TreeSearch, type TreeShape, type TreeTop } from '../crypto/paged-state-tree.ts';
import { OUTCOME, PageChanges } from '../crypto/page-changes.ts';
import { valueAt, valueByteAt, valueBytes, type Page } from '../crypto/state-page.ts';
import { KeyHashes } from './key-hashes.ts';
import { RECORD_KINDS, stateKey, stateKeyHash, type RecordKind, type StateKey } from './keys.ts';
import { idBytes, idText } from './record-map.ts';
import {
  KINDS,
  type ChangedRecords,
  type RecordChange,
  noChanges,
  type RecordStore,
  type StateEntry,
} from './record-store.ts';
import { accountLength, readAccountAt, writeAccountAt } from './account-bytes.ts';
import { decodeRecord, encodeRecord, type Account, type RecordTypes } from './records.ts';

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

/** An index beside 32 bits in one whole number. */
const INDEX_SPAN = 1 << 21;

export const EMPTY_TOP: PagedTop = { tree: undefined, counts: [] };

const keyOfLabel = (label: Uint8Array): Hash => stateKeyHash(label as StateKey);

export class PagedRecords implements RecordStore {
  readonly #pages: RecordPages;
  readonly #decoded: DecodedRecords;
  readonly #hashes: KeyHashes;
  readonly tree: PagedStateTree;
  readonly #counts: readonly number[];

  private constructor(
    pages: RecordPages,
    known: { readonly decoded: DecodedRecords; readonly hashes: KeyHashes },
    tree: PagedStateTree,
    counts: readonly number[],
  ) {
    this.#pages = pages;
    this.#decoded = known.decoded;
    this.#hashes = known.hashes;
    this.tree = tree;
    this.#counts = counts;
  }

  static open(pages: RecordPages, top: PagedTop = EMPTY_TOP): PagedRecords {
    const tree = new PagedStateTree({ ...pages.tree, keyOf: keyOfLabel }, top.tree);
    const known = { decoded: new DecodedRecords(), hashes: new KeyHashes(pages.tree.hasher) };
    return new PagedRecords(pages, known, tree, top.counts);
  }

  get top(): PagedTop {
    return { tree: this.tree.top, counts: this.#counts };
  }

  record<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    const number = RECORD_KINDS[kind];
    const newest = this.#decoded.newest(this.tree);
    const known = newest?.get(number, id);
    if (known !== undefined) return known as RecordTypes[K];
    const record = this.#read(kind, number, id);
    if (newest !== undefined && record !== undefined) newest.note(number, id, record);
    return record;
  }

  /**
   * For a block that is about to ask for these accounts: their keys are hashed at once, and their records are read in the order of
   * the tree, which goes through each page one time.
   */
  prepare(ids: readonly string[]): void {
    const newest = this.#decoded.newest(this.tree);
    // A few are read as soon when they are asked for.
    if (newest === undefined || ids.length < MANY || this.count('account') === 0) return;
    const places = this.#hashes.all(RECORD_KINDS.account, ids);
    const { bytes } = this.#hashes;
    const order = new Float64Array(ids.length);
    for (let i = 0; i < order.length; i += 1)
      order[i] = firstBits(bytes, places[i] as number) * INDEX_SPAN + i;
    order.sort();
    const accounts = new Map<string, object>();
    const search = this.tree.search();
    let before = -1;
    for (const number of order) {
      const i = number % INDEX_SPAN;
      const place = places[i] as number;
      if (place === before) continue;
      before = place;
      const id = ids[i] as string;
      const account = this.#account(search, place, id);
      if (account !== undefined) accounts.set(id, account);
    }
    newest.replace(RECORD_KINDS.account, accounts);
  }

  #account(search: TreeSearch, hashAt: number, id: string): Account | undefined {
    const leaf = search.find(this.#hashes.bytes, hashAt, RECORD_KINDS.account, id);
    if (leaf === undefined) return undefined;
    const { words, bytes } = leaf.chunk;
    return readAccountAt(bytes, valueByteAt(words, leaf.at), valueBytes(words, leaf.at));
  }

  #read<K extends RecordKind>(kind: K, number: number, id: string): RecordTypes[K] | undefined {
    // Most questions about kinds of which there are few have the answer no, and need no page for it.
    if (this.count(kind) === 0) return undefined;
    if (!UNORDERED.has(kind) && !this.#pages.keys.has(stateKey(kind, idBytes(id)))) return undefined;
    const hashAt = this.#hashes.at(number, id);
    const leaf = this.tree.find(this.#hashes.bytes, hashAt, number, id);
    return leaf && this.#decoded.get(kind, number, id, valueAt(leaf));
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

  advance(changed: ChangedRecords): AdvancedRecords {
    let expected = 0;
    for (const kind of KINDS) expected += changed[kind].size;
    const changes = new PageChanges(expected);
    for (const kind of KINDS) if (changed[kind].size > 0) this.#collect(kind, changed, changes);
    return this.#updated(changes, changed);
  }

  #collect<K extends RecordKind>(kind: K, changed: ChangedRecords, changes: PageChanges): void {
    const number = RECORD_KINDS[kind];
    const records = changed[kind];
    const places = this.#hashes.all(number, [...records.keys()]);
    let next = 0;
    for (const [id, record] of records) {
      let i: number;
      if (record === undefined) i = changes.addText(number, id, undefined);
      else if (kind === 'account') {
        const account = record as Account;
        i = changes.addText(number, id, accountLength(account));
        writeAccountAt(changes.heap, changes.valueStart(i), account);
      } else {
        const value = encodeRecord(kind, record);
        this.#decoded.remember(kind, number, id, value, record);
        i = changes.addText(number, id, value.length);
        changes.heap.set(value, changes.valueStart(i));
      }
      changes.setKey(i, this.#hashes.bytes, places[next++] as number);
    }
  }

  /** Records as another state had them; that they are canonical is for the caller to know. */
  load(entries: readonly StateEntry[]): PagedRecords {
    const changes = new PageChanges(entries.length);
    for (const { key, value } of entries) changes.add(stateKeyHash(key), key, value);
    return this.#updated(changes, undefined).records;
  }

  /** The same records, after a look whether these pages are still theirs and should be moved, see `PageStore.moves`. */
  moved(pages: readonly Page[]): PagedRecords {
    const changes = new PageChanges(pages.length, 0);
    for (const page of pages) changes.addLook(page);
    return this.#updated(changes, noChanges()).records;
  }

  #updated(changes: PageChanges, written: ChangedRecords | undefined): AdvancedRecords {
    const tree = this.tree.update(changes);
    this.#decoded.follow(this.tree, tree, written);
    const counts = this.#counts.slice();
    for (let i = 0; i < changes.count; i += 1) {
      const outcome = changes.outcomes[i];
      if (outcome !== OUTCOME.added && outcome !== OUTCOME.removed) continue;
      const kind = changes.heap[changes.labelStart(i)] as number;
      while (counts.length <= kind) counts.push(0);
      counts[kind] = (counts[kind] as number) + (outcome === OUTCOME.added ? 1 : -1);
      if (!isUnordered(kind))
        this.#pages.keys.note(
          changes.label(i).slice() as StateKey,
          outcome === OUTCOME.added ? 'added' : 'removed',
        );
    }
    const known = { decoded: this.#decoded, hashes: this.#hashes };
    return new AdvancedRecords(new PagedRecords(this.#pages, known, tree, counts), changes);
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

/** The next records. What changed is told to those who ask: a shell that keeps pages has no use for it. */
class AdvancedRecords {
  readonly records: PagedRecords;
  readonly #changes: PageChanges;

  constructor(records: PagedRecords, changes: PageChanges) {
    this.records = records;
    this.#changes = changes;
  }

  get changes(): readonly RecordChange[] {
    const all = this.#changes;
    const changes: RecordChange[] = [];
    for (let i = 0; i < all.count; i += 1) {
      if (all.outcomes[i] === OUTCOME.none) continue;
      changes.push({ key: all.label(i).slice() as StateKey, value: all.value(i)?.slice() });
    }
    return changes;
  }
}

const UNORDERED_NUMBERS: ReadonlySet<number> = new Set([...UNORDERED].map((kind) => RECORD_KINDS[kind]));

function isUnordered(kind: number): boolean {
  return UNORDERED_NUMBERS.has(kind);
}

function firstBits(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x100_0000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}

/** Most recently decoded records that are asked for again and again, with the bytes they came from. */
const REMEMBERED_MAX = 4_096;
/** Records of the newest state that were read or written lately: some 6 MB of accounts. */
const NEWEST_MAX = 32_768;
/** Accounts in a block that are worth to be read together; a kind of which a block changes as many is known by that alone. */
const MANY = 1_024;

/** Records by the number of their kind and their id as text. */
class RecordTable {
  #kinds: (Map<string, object> | undefined)[] = [];
  #size = 0;

  get(kind: number, id: string): object | undefined {
    return this.#kinds[kind]?.get(id);
  }

  note(kind: number, id: string, record: object): void {
    if (this.#size >= NEWEST_MAX) this.clear();
    const records = (this.#kinds[kind] ??= new Map());
    records.set(id, record);
    // Written again counts again: an upper bound is enough.
    this.#size += 1;
  }

  /** All that is known of a kind from now on. */
  replace(kind: number, records: Map<string, object>): void {
    this.#size += records.size - (this.#kinds[kind]?.size ?? 0);
    this.#kinds[kind] = records;
  }

  /** What a block has changed of a kind; nobody changes the map again. */
  follow(kind: number, changed: Map<string, object | undefined>): void {
    if (changed.size >= MANY) {
      for (const [id, record] of changed) if (record === undefined) changed.delete(id);
      this.replace(kind, changed as Map<string, object>);
      return;
    }
    for (const [id, record] of changed) {
      if (record === undefined) this.#kinds[kind]?.delete(id);
      else this.note(kind, id, record);
    }
  }

  clear(): void {
    this.#kinds = [];
    this.#size = 0;
  }
}

/**
 * The same bytes give the same object, as long as it is remembered: sets of validators are told apart by identity. Accounts
 * are decoded when they are asked for; there are too many to meet one again soon.
 */
class DecodedRecords {
  readonly #records = new Map<string, { readonly bytes: Uint8Array; readonly record: unknown }>();
  /** Blocks follow on the newest state, so it alone is worth to be known without its pages. */
  readonly #newest = new RecordTable();
  #newestTree: PagedStateTree | undefined;

  /** What is known of this state, if it is the newest one. */
  newest(tree: PagedStateTree): RecordTable | undefined {
    return tree === this.#newestTree ? this.#newest : undefined;
  }

  /** A state has followed on another: `written` is what is different, undefined when that is not known. */
  follow(before: PagedStateTree, after: PagedStateTree, written: ChangedRecords | undefined): void {
    if (before !== this.#newestTree || written === undefined) this.#newest.clear();
    this.#newestTree = after;
    if (written === undefined) return;
    for (const kind of KINDS) this.#newest.follow(RECORD_KINDS[kind], written[kind]);
  }

  /** `value` may be a view of a page. */
  get<K extends RecordKind>(kind: K, number: number, id: string, value: Uint8Array): RecordTypes[K] {
    if (UNORDERED.has(kind)) return decoded(kind, value);
    const known = this.#records.get(String.fromCharCode(number) + id);
    if (known !== undefined && equalBytes(known.bytes, value)) return known.record as RecordTypes[K];
    const bytes = value.slice();
    const record = decoded(kind, bytes);
    this.remember(kind, number, id, bytes, record);
    return record;
  }

  remember(kind: RecordKind, number: number, id: string, bytes: Uint8Array, record: unknown): void {
    if (UNORDERED.has(kind)) return;
    if (this.#records.size >= REMEMBERED_MAX) this.#records.clear();
    this.#records.set(String.fromCharCode(number) + id, { bytes, record });
  }
}

/** What is under a root was encoded here or verified; that it does not decode is damage. */
function decoded<K extends RecordKind>(kind: K, value: Uint8Array): RecordTypes[K] {
  const record = decodeRecord(kind, value);
  if (!record.ok) throw new RangeError(`a stored ${kind} does not decode: ${record.message}`);
  return record.value;
}
