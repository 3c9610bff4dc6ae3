/**
 * From a payload's id to its checkpoint. A row per payload under its random id would be most of what a member writes: each
 * dirties a page of its own. So payloads are gathered by the ten thousands and go into a few hundred rows together, by the first
 * byte of their ids; what is not gathered yet is in memory, and at start read again from the lists of the checkpoints.
 */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { Change, Tables } from '../ports.ts';

export interface PlaceCandidate {
  readonly checkpoint: number;
  /** Among the applied payloads of the checkpoint. */
  readonly index: number;
}

/** Row of a group: first byte of the ids u8 ‖ number of the group u53 → entries. */
const PLACES = 'subnet-places';
/** Number of the group u53 → its last checkpoint u53. */
const GROUPS = 'subnet-place-groups';
/** u32 of the id behind its first byte ‖ checkpoint u32 after the group's first ‖ index u32. */
const ENTRY_BYTES = 12;
/** Payloads of a group, at least: with those of its last checkpoint there may be more. */
export const GROUP_MIN = 65_536;
const BUCKETS = 256;

interface Recent {
  readonly checkpoint: number;
  /** The first byte of each id and the four behind it, in the order of the list. */
  readonly buckets: Uint8Array;
  readonly prefixes: Uint32Array;
}

/** Of the id that begins at `at`. */
const prefixAt = (ids: Uint8Array, at: number): number =>
  (((ids[at + 1] as number) << 24) |
    ((ids[at + 2] as number) << 16) |
    ((ids[at + 3] as number) << 8) |
    (ids[at + 4] as number)) >>>
  0;

export class SubnetPlaces {
  readonly #tables: Tables;
  readonly #groupMin: number;
  /** Checkpoints whose payloads are in no group yet, oldest first. */
  #recent: Recent[] = [];
  #recentCount = 0;
  /** First (its number) and last checkpoint of each group, oldest first. */
  readonly #groups: { readonly first: number; readonly last: number }[] = [];

  constructor(tables: Tables, groupMin: number = GROUP_MIN) {
    this.#tables = tables;
    this.#groupMin = groupMin;
    for (const { key, value } of tables.table(GROUPS).range())
      this.#groups.push({ first: new Reader(key).u53(), last: new Reader(value).u53() });
  }

  /** The last checkpoint whose payloads are in a group; those after it have to be remembered at start. */
  get grouped(): number {
    return this.#groups.at(-1)?.last ?? 0;
  }

  /**
   * Of a checkpoint that is on the disk already, or is written together with what `due` gives. `ids`: side by side, in the
   * order of its list.
   */
  remember(checkpoint: number, ids: Uint8Array): void {
    const count = ids.length / HASH_BYTES;
    if (count === 0) return;
    const buckets = new Uint8Array(count);
    const prefixes = new Uint32Array(count);
    for (let i = 0; i < count; i += 1) {
      buckets[i] = ids[i * HASH_BYTES] as number;
      prefixes[i] = prefixAt(ids, i * HASH_BYTES);
    }
    this.#recent.push({ checkpoint, buckets, prefixes });
    this.#recentCount += count;
  }

  /** Rows for what has gathered, when it is enough; `written` says that they are on the disk. */
  due(): { readonly changes: readonly Change[]; readonly written: () => void } | undefined {
    const first = this.#recent[0]?.checkpoint;
    const last = this.#recent.at(-1)?.checkpoint;
    if (first === undefined || last === undefined || this.#recentCount < this.#groupMin) return undefined;
    const writers = Array.from({ length: BUCKETS }, () => new Writer(8_192));
    for (const { checkpoint, buckets, prefixes } of this.#recent) {
      for (const [index, prefix] of prefixes.entries())
        writers[buckets[index] as number]
          ?.u32(prefix)
          .u32(checkpoint - first)
          .u32(index);
    }
    const changes: Change[] = [];
    for (const [bucket, writer] of writers.entries())
      if (writer.length > 0)
        changes.push({ table: PLACES, key: rowKey(bucket, first), value: writer.finish() });
    changes.push({ table: GROUPS, key: groupKey(first), value: groupKey(last) });
    const count = this.#recent.length;
    return {
      changes,
      written: () => {
        for (const { prefixes } of this.#recent.splice(0, count)) this.#recentCount -= prefixes.length;
        this.#groups.push({ first, last });
      },
    };
  }

  /** Where the payload may be, newest first: few, and whoever asks compares the whole id. */
  *candidates(id: Hash): Generator<PlaceCandidate> {
    const prefix = prefixAt(id, 0);
    for (const { checkpoint, prefixes, buckets } of this.#recent.toReversed())
      for (let at = prefixes.indexOf(prefix); at >= 0; at = prefixes.indexOf(prefix, at + 1))
        if (buckets[at] === id[0]) yield { checkpoint, index: at };
    const table = this.#tables.table(PLACES);
    for (const { first } of this.#groups.toReversed())
      yield* table.view(rowKey(id[0] as number, first), (row) => entriesOf(row, prefix, first)) ?? [];
  }

  /** What goes with the oldest checkpoint. */
  forget(checkpoint: number): { readonly changes: readonly Change[]; readonly written: () => void } {
    const changes: Change[] = [];
    const groups = this.#groups.filter(({ last }) => last <= checkpoint);
    for (const { first } of groups) {
      for (let bucket = 0; bucket < BUCKETS; bucket += 1)
        changes.push({ table: PLACES, key: rowKey(bucket, first), value: undefined });
      changes.push({ table: GROUPS, key: groupKey(first), value: undefined });
    }
    const written = (): void => {
      this.#groups.splice(0, groups.length);
      const gone = this.#recent.filter((recent) => recent.checkpoint <= checkpoint);
      for (const { prefixes } of gone) this.#recentCount -= prefixes.length;
      this.#recent.splice(0, gone.length);
    };
    return { changes, written };
  }
}

function entriesOf(row: Uint8Array, prefix: number, first: number): PlaceCandidate[] {
  const found: PlaceCandidate[] = [];
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  for (let at = 0; at + ENTRY_BYTES <= row.length; at += ENTRY_BYTES)
    if (view.getUint32(at) === prefix)
      found.push({ checkpoint: first + view.getUint32(at + 4), index: view.getUint32(at + 8) });
  return found;
}

const groupKey = (checkpoint: number): Uint8Array => new Writer(8).u53(checkpoint).finish();

const rowKey = (bucket: number, first: number): Uint8Array => new Writer(9).u8(bucket).u53(first).finish();
