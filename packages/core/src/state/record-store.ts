/**
 * What a state asks of whatever holds its records: everything in memory (`memory-records.ts`) or pages of a store
 * (`paged-records.ts`). A store is an immutable value; an update gives the next one.
 */
import type { StateTreeView } from '../crypto/state-tree.ts';
import { RECORD_KINDS, type RecordKind, type StateKey } from './keys.ts';
import type { RecordTypes } from './records.ts';

/** A record as a shell keeps it: state key and canonical bytes. */
export interface StateEntry {
  readonly key: StateKey;
  readonly value: Uint8Array;
}

/** What a block did to one record; `undefined` removes it. */
export interface RecordChange {
  readonly key: StateKey;
  readonly value: Uint8Array | undefined;
}

/** Changed records of a block by kind and id text; `undefined` removes. */
export type ChangedRecords = { readonly [K in RecordKind]: Map<string, RecordTypes[K] | undefined> };

export const KINDS: readonly RecordKind[] = Object.keys(RECORD_KINDS) as readonly RecordKind[];

export function noChanges(): ChangedRecords {
  return Object.fromEntries(KINDS.map((kind) => [kind, new Map()])) as unknown as ChangedRecords;
}

export interface RecordStore {
  readonly tree: StateTreeView;
  /** By id text, see `idText`. */
  record<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined;
  /** Records of a kind whose ids begin with the prefix and are not below `from`, in ascending order of ids. */
  walk<K extends RecordKind>(
    kind: K,
    prefix?: string,
    from?: string,
  ): Iterable<readonly [id: string, record: RecordTypes[K]]>;
  /** Records of a kind. */
  count(kind: RecordKind): number;
  /** Every record with its bytes, in no particular order. */
  entries(): Iterable<StateEntry>;
  /** A block is about to ask for these accounts, some named twice: whoever has to look for them may do so at once. */
  prepare?(accounts: readonly string[]): void;
  /** Each changed record is encoded once, each touched path of the tree hashed once. */
  advance(changed: ChangedRecords): {
    readonly records: RecordStore;
    readonly changes: readonly RecordChange[];
  };
}
