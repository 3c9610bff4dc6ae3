/**
 * From the id of a transaction to its place in the chain. Ids are random: in one ordered table each would rewrite a page
 * of its own (17 µs of processor time per transaction, and growing). Here the ids of some blocks make a sorted run,
 * written once; sixteen runs of a level become one of the next (a log-structured merge tree, O'Neil et al., 1996).
 *
 *   run    table `transaction-runs`: level u8 ‖ first height u53 → last height u53 ‖ bits u8 ‖ count u32
 *   page   table `transaction-ids`: level u8 ‖ first height u53 ‖ page u32 → entries, sorted
 *   entry  first 8 bytes of the id ‖ height − first u32 ‖ index u32; it is in the page that its first `bits` bits name
 */
import { compareBytes, concatBytes } from '@itc/core/bytes/hex.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { height, type Height } from '@itc/core/ledger/ids.js';
import type { Change, Entry, Tables } from '../ports.ts';

export interface TransactionPlace {
  readonly height: Height;
  /** Position in the block. */
  readonly index: number;
}

export interface BlockIds {
  readonly height: Height;
  readonly ids: readonly Hash[];
}

interface Run {
  readonly level: number;
  readonly first: number;
  readonly last: number;
  readonly bits: number;
  readonly count: number;
}

const RUNS = 'transaction-runs';
const PAGES = 'transaction-ids';
const ENTRY_BYTES = 16;
const PREFIX_BYTES = 8;
const PAGE_ENTRIES = 256;
const FAN_OUT = 16;
/** Larger runs are left alone: merging them would hold up a commit. */
const MERGE_ENTRIES_MAX = 131_072;

export class TransactionIndex {
  readonly #tables: Tables;
  /** In the order of heights. */
  #runs: Run[];

  constructor(tables: Tables) {
    this.#tables = tables;
    this.#runs = [...tables.table(RUNS).range()].map(decodeRun).sort((a, b) => a.first - b.first);
  }

  /** Runs that a lookup may have to ask. */
  get size(): number {
    return this.#runs.length;
  }

  /** What to write so that these blocks, which follow all others, are found; `written` is to be called when it is. */
  add(blocks: readonly BlockIds[]): Written {
    const filled = blocks.filter(({ ids }) => ids.length > 0);
    const [first] = filled;
    const last = filled.at(-1);
    if (first === undefined || last === undefined) return NOTHING;
    const changes: Change[] = [];
    // One merge at a time, and only of what is stored: the next call sees to what this one makes due.
    const due = mergeable(this.#runs);
    const merged = due < 0 ? [] : this.#runs.slice(due, due + FAN_OUT);
    const made = merged.length === 0 ? [] : [this.#merge(changes, merged)];
    const entries = filled.flatMap(({ height: of, ids }) =>
      ids.map((id, index) => entryOf(id, of - first.height, index)),
    );
    made.push(writeRun(changes, { level: 0, first: first.height, last: last.height }, entries));
    const written = (): void => {
      const kept = this.#runs.filter((run) => !merged.includes(run));
      this.#runs = [...kept, ...made].sort((a, b) => a.first - b.first);
    };
    return { changes, written };
  }

  /** The newest place that `isRight` confirms among those whose first bytes match. */
  find(id: Hash, isRight: (place: TransactionPlace) => boolean): TransactionPlace | undefined {
    const prefix = id.subarray(0, PREFIX_BYTES);
    for (let i = this.#runs.length - 1; i >= 0; i -= 1) {
      const run = this.#runs[i] as Run;
      const page = this.#tables.table(PAGES).get(pageKey(run, pageOf(id, run.bits)));
      if (page === undefined) continue;
      for (let at = lowerBound(page, prefix); at < page.length; at += ENTRY_BYTES) {
        if (compareBytes(page.subarray(at, at + PREFIX_BYTES), prefix) !== 0) break;
        const reader = new Reader(page.subarray(at + PREFIX_BYTES, at + ENTRY_BYTES));
        const place = { height: height(run.first + reader.u32()), index: reader.u32() };
        if (isRight(place)) return place;
      }
    }
    return undefined;
  }

  /** What to remove once the blocks below a height are gone: whole runs only; of the rest nothing is found. */
  prune(below: number): Written {
    const gone = this.#runs.filter(({ last }) => last < below);
    const changes: Change[] = [];
    for (const run of gone) this.#remove(changes, run);
    return { changes, written: () => void (this.#runs = this.#runs.filter((run) => !gone.includes(run))) };
  }

  #merge(changes: Change[], runs: readonly Run[]): Run {
    const first = runs[0] as Run;
    const last = runs.at(-1) as Run;
    const entries: Uint8Array[] = [];
    for (const run of runs) {
      for (const { value } of this.#tables.table(PAGES).range(pagesOf(run))) {
        for (let at = 0; at < value.length; at += ENTRY_BYTES) {
          const entry = value.slice(at, at + ENTRY_BYTES);
          const view = new DataView(entry.buffer);
          view.setUint32(PREFIX_BYTES, view.getUint32(PREFIX_BYTES) + run.first - first.first);
          entries.push(entry);
        }
      }
      this.#remove(changes, run);
    }
    return writeRun(changes, { level: first.level + 1, first: first.first, last: last.last }, entries);
  }

  #remove(changes: Change[], run: Run): void {
    changes.push({ table: RUNS, key: runKey(run), value: undefined });
    for (const { key } of this.#tables.table(PAGES).range(pagesOf(run)))
      changes.push({ table: PAGES, key, value: undefined });
  }
}

/** To be committed, and then to be told. */
export interface Written {
  readonly changes: readonly Change[];
  readonly written: () => void;
}

const NOTHING: Written = { changes: [], written: () => undefined };

/** Where sixteen neighbours of one level begin, small enough to become one; −1 when there are none. */
function mergeable(runs: readonly Run[]): number {
  for (let at = 0; at + FAN_OUT <= runs.length; at += 1) {
    const some = runs.slice(at, at + FAN_OUT);
    const isEven = some.every(({ level }) => level === some[0]?.level);
    if (isEven && some.reduce((sum, { count }) => sum + count, 0) <= MERGE_ENTRIES_MAX) return at;
  }
  return -1;
}

function writeRun(
  changes: Change[],
  { level, first, last }: Pick<Run, 'level' | 'first' | 'last'>,
  entries: readonly Uint8Array[],
): Run {
  const count = entries.length;
  const bits = Math.max(0, Math.ceil(Math.log2(count / PAGE_ENTRIES)));
  const run = { level, first, last, bits, count };
  const sorted = entries.toSorted(compareBytes);
  for (let from = 0; from < count;) {
    const page = pageOf(sorted[from] as Uint8Array, bits);
    let to = from;
    while (to < count && pageOf(sorted[to] as Uint8Array, bits) === page) to += 1;
    changes.push({ table: PAGES, key: pageKey(run, page), value: concatBytes(...sorted.slice(from, to)) });
    from = to;
  }
  const value = new Writer(16).u53(last).u8(bits).u32(count).finish();
  changes.push({ table: RUNS, key: runKey(run), value });
  return run;
}

function entryOf(id: Hash, offset: number, index: number): Uint8Array {
  return new Writer(ENTRY_BYTES).raw(id.subarray(0, PREFIX_BYTES)).u32(offset).u32(index).finish();
}

/** The first `bits` bits of an id. */
function pageOf(id: Uint8Array, bits: number): number {
  if (bits === 0) return 0;
  return new DataView(id.buffer, id.byteOffset, 4).getUint32(0) >>> (32 - bits);
}

/** Position of the first entry whose prefix is not below. */
function lowerBound(page: Uint8Array, prefix: Uint8Array): number {
  let low = 0;
  let high = page.length / ENTRY_BYTES;
  while (low < high) {
    const middle = (low + high) >> 1;
    const at = middle * ENTRY_BYTES;
    if (compareBytes(page.subarray(at, at + PREFIX_BYTES), prefix) < 0) low = middle + 1;
    else high = middle;
  }
  return low * ENTRY_BYTES;
}

function runKey({ level, first }: Pick<Run, 'level' | 'first'>): Uint8Array {
  return new Writer(9).u8(level).u53(first).finish();
}

function pageKey({ level, first }: Pick<Run, 'level' | 'first'>, page: number): Uint8Array {
  return new Writer(13).u8(level).u53(first).u32(page).finish();
}

function pagesOf(run: Run): { readonly start: Uint8Array; readonly end: Uint8Array } {
  return { start: pageKey(run, 0), end: pageKey(run, 2 ** run.bits) };
}

function decodeRun({ key, value }: Entry): Run {
  const name = new Reader(key);
  const [level, first] = [name.u8(), name.u53()];
  const reader = new Reader(value);
  return { level, first, last: reader.u53(), bits: reader.u8(), count: reader.u32() };
}
