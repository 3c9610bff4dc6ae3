/**
 * Pages of the state in tables (spec PAGES-7 to PAGES-11). What is stored is never changed: pages go behind those stored before,
 * many of them in one value of a table, because writing in a row costs a tenth of writing here and there. What no state refers to
 * any more goes by whole segments of such values; where a segment is mostly of that kind, the rest of it is stored anew. One batch
 * of the tables takes a state into use, so that a crash finds the old one or the new one. Blocks that change much do not each have
 * their pages stored: until they have, the block log is what they come back from.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES } from '@itc/core/crypto/hash.js';
import { PagePool, type PageStore, type StoredRun } from '@itc/core/crypto/page-pool.js';
import type { StateHasher } from '@itc/core/crypto/state-hasher.js';
import { Chunk, pageBytesAt, type Page } from '@itc/core/crypto/state-page.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { StateKey } from '@itc/core/state/keys.js';
import type { KeyIndex, PagedRecords, PagedTop, RecordPages } from '@itc/core/state/paged-records.js';
import { idBytes, idText, RecordMap } from '@itc/core/state/record-map.js';
import { laneHasher } from '../crypto/sha256-lanes.ts';
import type { Change, Table, Tables } from '../ports.ts';

/** Four pages of LMDB less its head: more in one value is read in vain, less costs more values. */
const EXTENT_BYTES = 16_368;
/** A location is the number of an extent and where in it a page begins. */
const EXTENT_SPAN = 65_536;
const SEGMENT_EXTENTS = 1_024;
/** Bytes beside the state that are not worth tidying. */
const SLACK_BYTES = 16 << 20;
const CACHE_BYTES = 64 << 20;
const LIGHT_BYTES = 1 << 20;
const HEIGHTS = 32;
const SEGMENTS_MAX = 1 << 20;

export interface StatePagesOptions {
  readonly hasher?: StateHasher;
  /** Of pages kept in memory as they are stored. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Of changed pages that wait to be stored, see `isDue`. Default `cacheBytes`. */
  readonly freshBytes?: number;
  /** Changed pages up to this do not wait: storing them is soon done. Default 1 MiB. */
  readonly lightBytes?: number;
  /** So many heights at most are changed before their pages are stored. Default 32. */
  readonly heights?: number;
  /** Default 16 MiB. */
  readonly slackBytes?: number;
}

interface Segment {
  /** Bytes that the newest state refers to. */
  live: number;
  total: number;
}

/** Pages in one value of the table. */
interface Extent {
  readonly number: number;
  /** Where in the run it begins and ends. */
  readonly from: number;
  to: number;
}

/** What has changed since the last time, to be written with what else belongs to the height. */
export interface SealedPages {
  readonly at: number;
  readonly top: PagedTop;
  readonly nextExtent: number;
  readonly run: StoredRun | undefined;
  readonly extents: readonly Readonly<Extent>[];
  /** Change of live and of all bytes by segment. */
  readonly deltas: ReadonlyMap<number, Readonly<Segment>>;
  readonly keys: readonly { readonly key: StateKey; readonly change: 'added' | 'removed' }[];
}

/** What the tables stand for. */
interface Stored {
  readonly at: number;
  readonly top: PagedTop;
  readonly nextExtent: number;
  readonly segments: ReadonlyMap<number, Readonly<Segment>>;
}

const NOTHING: Stored = { at: 0, top: { tree: undefined, counts: [] }, nextExtent: 0, segments: new Map() };

export class StatePages implements PageStore, KeyIndex, RecordPages {
  readonly tree: RecordPages['tree'];
  readonly keys: KeyIndex = this;
  readonly #name: string;
  readonly #slack: number;
  readonly #freshBytes: number;
  readonly #lightBytes: number;
  readonly #heights: number;
  readonly #table: Table;
  readonly #keyTable: Table;
  readonly #pool: PagePool;
  #stored: Stored;
  /** As `#stored.segments`, with what is not written. */
  readonly #segments: Map<number, Segment>;
  /** Since the last seal. */
  #extents: Extent[] = [];
  #sealedAt = 0;
  #nextExtent: number;
  #deltas = new Map<number, Segment>();
  #keys: { key: StateKey; change: 'added' | 'removed' }[] = [];
  #notedKeys = 0;
  /** Keys that came or went at heights that are not written or still looked at, by the height. */
  #noted = RecordMap.empty<number>();
  #notedAt: { readonly at: number; readonly labels: readonly string[] }[] = [];
  /** Since when the newest state refers to nothing in a segment. */
  readonly #emptied = new Map<number, number>();
  readonly #tidied = new Set<number>();
  /** Up to which height segments were filled since the start; what is older than any state is not in here. */
  readonly #filled = new Map<number, number>();
  #keepFrom = 0;
  /** Pages known to be released, by segment, so that those who tidy need not look for them. */
  readonly #dead = new Map<number, Uint8Array>();
  #victim: { readonly segment: number; next: number } | undefined;
  /** Of changed pages when this was last tidied. */
  #tidiedBytes = 0;
  /** The version of the pages that goes with a height. */
  #versions: { readonly at: number; readonly version: number }[] = [];

  private constructor(tables: Tables, name: string, options: StatePagesOptions) {
    this.#name = name;
    this.#slack = options.slackBytes ?? SLACK_BYTES;
    this.#table = tables.table(pageTable(name));
    this.#keyTable = tables.table(keyTable(name));
    const cacheBytes = options.cacheBytes ?? CACHE_BYTES;
    this.#freshBytes = options.freshBytes ?? cacheBytes;
    this.#lightBytes = options.lightBytes ?? LIGHT_BYTES;
    this.#heights = options.heights ?? HEIGHTS;
    this.#pool = new PagePool(this, cacheBytes);
    this.tree = { pool: this.#pool, hasher: options.hasher ?? laneHasher() };
    this.#stored = storedIn(tables, name) ?? NOTHING;
    this.#nextExtent = this.#stored.nextExtent;
    this.#sealedAt = this.#stored.at;
    this.#segments = new Map([...this.#stored.segments].map(([number, segment]) => [number, { ...segment }]));
    const current = Math.floor(this.#nextExtent / SEGMENT_EXTENTS);
    for (const [number, { live }] of this.#segments)
      if (live === 0 && number < current) this.#emptied.set(number, this.#stored.at);
  }

  /** Errors: `storage.corrupt`. */
  static open(tables: Tables, name: string, options: StatePagesOptions = {}): StatePages {
    return new StatePages(tables, name, options);
  }

  /** The state that was written last, and the height given with it; undefined before the first one. */
  get stored(): { readonly at: number; readonly top: PagedTop } | undefined {
    return this.#stored === NOTHING ? undefined : this.#stored;
  }

  /** Bytes in memory: pages as they are stored, those that wait to be, and what earlier states need. */
  get memory(): PagePool['memory'] {
    return this.#pool.memory;
  }

  /** What the newest state refers to, and what there is. */
  get bytes(): Readonly<Segment> {
    return sumOf(this.#segments.values());
  }

  load(location: number, take: (bytes: Uint8Array, from: number, to: number) => void): void {
    const extent = Math.floor(location / EXTENT_SPAN);
    const isThere = this.#table.view(extentKey(extent), (bytes) => {
      const from = location % EXTENT_SPAN;
      take(bytes, from, endOfPage(bytes, from));
      return true;
    });
    if (isThere !== true)
      throw new LedgerError('storage.corrupt', `page ${location} of the ${this.#name} is not there`);
  }

  place(bytes: number, isLive: boolean, at: number): number {
    let extent = this.#extents.at(-1);
    if (extent?.to !== at || at - extent.from + bytes > EXTENT_BYTES) {
      extent = { number: this.#nextExtent, from: at, to: at };
      this.#extents.push(extent);
      this.#nextExtent += 1;
    }
    const location = extent.number * EXTENT_SPAN + extent.to - extent.from;
    extent.to += bytes;
    this.#account(extent.number, isLive ? bytes : 0, bytes);
    if (!isLive) this.#markDead(location);
    return location;
  }

  release(location: number, bytes: number): void {
    this.#account(Math.floor(location / EXTENT_SPAN), -bytes, 0);
    this.#markDead(location);
  }

  moves(location: number): boolean {
    return (
      this.#victim !== undefined &&
      Math.floor(location / EXTENT_SPAN / SEGMENT_EXTENTS) === this.#victim.segment
    );
  }

  *range(prefix: Uint8Array, from: Uint8Array = prefix): Iterable<Uint8Array> {
    const least = idText(from);
    const noted = this.#noted.entries(idText(prefix))[Symbol.iterator]();
    const end = above(prefix);
    let next = noted.next();
    while (next.done !== true && next.value[0] < least) next = noted.next();
    for (const { key } of this.#keyTable.range({ start: from, ...(end && { end }) })) {
      const text = idText(key);
      for (; next.done !== true && next.value[0] < text; next = noted.next()) yield idBytes(next.value[0]);
      if (next.done !== true && next.value[0] === text) next = noted.next();
      yield key;
    }
    for (; next.done !== true; next = noted.next()) yield idBytes(next.value[0]);
  }

  has(key: StateKey): boolean {
    return this.#noted.get(idText(key)) !== undefined || this.#keyTable.has(key);
  }

  note(key: StateKey, change: 'added' | 'removed'): void {
    this.#keys.push({ key, change });
  }

  /**
   * Whether the pages should be stored with this height, or may wait for the next: what changes often is then stored once. Blocks
   * that change little do not wait, and what waits is bounded in heights and bytes.
   */
  isDue(at: number): boolean {
    const { freshBytes } = this.#pool;
    return (
      freshBytes <= this.#lightBytes || freshBytes >= this.#freshBytes || at - this.#sealedAt >= this.#heights
    );
  }

  /** Ends what belongs to one height, whose pages wait for those of a height above. */
  pass(at: number): void {
    this.#versions.push({ at, version: this.#pool.version });
    const labels = this.#keys.slice(this.#notedKeys).map(({ key }) => idText(key));
    this.#notedKeys = this.#keys.length;
    if (labels.length === 0) return;
    this.#noted = this.#noted.setAll(labels.map((label) => [label, at] as const));
    this.#notedAt.push({ at, labels });
  }

  /** Ends what belongs to one height: the state there, and every page that has changed since the last call. */
  seal(top: PagedTop, at: number): SealedPages {
    this.pass(at);
    const run = this.#pool.seal();
    const { tree, counts } = top;
    const sealed: SealedPages = {
      at,
      top: { tree: tree && { ...tree, location: this.#pool.located(tree.location) }, counts },
      nextExtent: this.#nextExtent,
      run,
      extents: this.#extents,
      deltas: this.#deltas,
      keys: this.#keys,
    };
    this.#extents = [];
    this.#deltas = new Map();
    this.#keys = [];
    this.#notedKeys = 0;
    this.#sealedAt = at;
    this.#tidiedBytes = 0;
    return sealed;
  }

  /**
   * For the batch that takes the last of these states into use; they follow on what was written before. States below
   * `keepFrom` are looked at no more.
   */
  changes(sealed: readonly SealedPages[], keepFrom: number): Change[] {
    const next = this.#after(sealed);
    const changes: Change[] = [];
    for (const { run, extents, keys } of sealed) {
      for (const { number, from, to } of extents) {
        const value = (run as StoredRun).bytes(from, to - from);
        changes.push({ table: pageTable(this.#name), key: extentKey(number), value });
      }
      for (const { key, change } of keys)
        changes.push({ table: keyTable(this.#name), key, value: change === 'added' ? NO_BYTES : undefined });
    }
    const segments = new Map(next.segments);
    for (const number of this.#droppable(keepFrom)) {
      segments.delete(number);
      for (let extent = number * SEGMENT_EXTENTS; extent < (number + 1) * SEGMENT_EXTENTS; extent += 1)
        changes.push({ table: pageTable(this.#name), key: extentKey(extent), value: undefined });
    }
    changes.push(storedChange(this.#name, { ...next, segments }));
    return changes;
  }

  /** That batch is written. */
  written(sealed: readonly SealedPages[], keepFrom: number): void {
    const next = this.#after(sealed);
    const segments = new Map(next.segments);
    for (const number of this.#droppable(keepFrom)) {
      segments.delete(number);
      this.#segments.delete(number);
      this.#emptied.delete(number);
      this.#tidied.delete(number);
      this.#dead.delete(number);
      this.#filled.delete(number);
    }
    const firstOpen = Math.floor(this.#stored.nextExtent / SEGMENT_EXTENTS);
    this.#stored = { ...next, segments };
    this.#keepFrom = keepFrom;
    // The segment that is written to may be empty for now.
    const current = Math.floor(next.nextExtent / SEGMENT_EXTENTS);
    for (let number = firstOpen; number < current; number += 1) this.#filled.set(number, next.at);
    for (const [number, { live }] of segments) {
      if (live > 0 || number >= current) this.#emptied.delete(number);
      else if (!this.#emptied.has(number)) this.#emptied.set(number, next.at);
    }
    for (const { run } of sealed) if (run !== undefined) this.#pool.stored(run);
    this.#forgetKeys(Math.min(keepFrom, next.at));
    this.#keep(keepFrom);
  }

  /**
   * The same records, after moving some pages out of the segment that has the least to lose, when what no state refers to
   * takes more than the state: about twice as much at a time as was changed since the last call.
   */
  tidy(records: PagedRecords): PagedRecords {
    let budget = 2 * (this.#pool.freshBytes - this.#tidiedBytes);
    this.#tidiedBytes = this.#pool.freshBytes;
    this.#victim ??= this.#chosen();
    const pages: Page[] = [];
    for (let victim = this.#victim; victim !== undefined && budget > 0; victim.next += 1) {
      if (victim.next >= (victim.segment + 1) * SEGMENT_EXTENTS) {
        const moved = records.moved(pages);
        this.#tidied.add(victim.segment);
        this.#victim = undefined;
        return moved;
      }
      const chunk = this.#table.view(extentKey(victim.next), (bytes) => {
        const copy = new Chunk(bytes.length >>> 2);
        copy.bytes.set(bytes.subarray(0, copy.bytes.length));
        return copy;
      });
      for (let at = 0, end = 0; chunk !== undefined && at < chunk.bytes.length; at = end) {
        end = endOfPage(chunk.bytes, at);
        if (!this.#isDead(victim.next * EXTENT_SPAN + at)) pages.push({ chunk, at: at >>> 2 });
      }
      budget -= chunk?.bytes.length ?? 0;
    }
    return pages.length === 0 ? records : records.moved(pages);
  }

  /** Nobody looks at states below this height. */
  #keep(keepFrom: number): void {
    const last = this.#versions.findLastIndex(({ at }) => at <= keepFrom);
    if (last < 0) return;
    this.#pool.keep((this.#versions[last] as { readonly version: number }).version);
    this.#versions.splice(0, last);
  }

  #markDead(location: number): void {
    const segment = Math.floor(location / EXTENT_SPAN / SEGMENT_EXTENTS);
    let dead = this.#dead.get(segment);
    if (dead === undefined) this.#dead.set(segment, (dead = new Uint8Array(SEGMENT_EXTENTS * DEAD_BYTES)));
    const bit = deadBit(location);
    dead[bit >> 3] = (dead[bit >> 3] as number) | (1 << (bit & 7));
  }

  #isDead(location: number): boolean {
    const dead = this.#dead.get(Math.floor(location / EXTENT_SPAN / SEGMENT_EXTENTS));
    const bit = deadBit(location);
    return dead !== undefined && ((dead[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
  }

  #chosen(): { readonly segment: number; next: number } | undefined {
    // In what was filled at heights that are still kept nothing could be dropped yet, and much of it will go by itself.
    const isOld = (segment: number): boolean =>
      (segment + 1) * SEGMENT_EXTENTS <= this.#stored.nextExtent &&
      (this.#filled.get(segment) ?? 0) <= this.#keepFrom;
    const full = [...this.#segments].filter(([segment, { live }]) => live > 0 && isOld(segment));
    const { live, total } = sumOf(full.map(([, segment]) => segment));
    if (total - live <= this.bytes.live + this.#slack) return undefined;
    const [least] = full
      .filter(([segment]) => !this.#tidied.has(segment))
      .sort(([, a], [, b]) => a.live / a.total - b.live / b.total);
    return least && { segment: least[0], next: least[0] * SEGMENT_EXTENTS };
  }

  #droppable(keepFrom: number): number[] {
    return [...this.#emptied].flatMap(([number, since]) => (since <= keepFrom ? [number] : []));
  }

  #after(sealed: readonly SealedPages[]): Stored {
    const last = sealed.at(-1);
    if (last === undefined) return this.#stored;
    const segments = new Map([...this.#stored.segments].map(([number, each]) => [number, { ...each }]));
    for (const { deltas } of sealed) for (const [number, delta] of deltas) add(segments, number, delta);
    return { at: last.at, top: last.top, nextExtent: last.nextExtent, segments };
  }

  #forgetKeys(upTo: number): void {
    for (let first = this.#notedAt[0]; first !== undefined && first.at <= upTo; first = this.#notedAt[0]) {
      const { at, labels } = first;
      const gone = labels.filter((label) => this.#noted.get(label) === at);
      this.#noted = this.#noted.setAll(gone.map((label) => [label, undefined] as const));
      this.#notedAt.shift();
    }
  }

  #account(extent: number, live: number, total: number): void {
    const number = Math.floor(extent / SEGMENT_EXTENTS);
    add(this.#segments, number, { live, total });
    add(this.#deltas, number, { live, total });
  }
}

/** Names of the tables that hold a state. */
export function stateTables(name: string): readonly string[] {
  return [pageTable(name), keyTable(name)];
}

/** For a batch that makes a store be as if it had never been, beside emptying its tables. */
export function forgetChange(name: string): Change {
  return { table: 'meta', key: metaKey(name), value: undefined };
}

/** A page begins in one of as many pieces of an extent as there are bits; two in one piece are too short to be. */
const PIECE_BYTES = 64;
const DEAD_BYTES: number = 16_384 / PIECE_BYTES / 8;

function deadBit(location: number): number {
  const extent = Math.floor(location / EXTENT_SPAN) % SEGMENT_EXTENTS;
  return 8 * DEAD_BYTES * extent + Math.floor((location % EXTENT_SPAN) / PIECE_BYTES);
}

const NO_BYTES = new Uint8Array(0);
const pageTable = (name: string): string => `${name}-pages`;
const keyTable = (name: string): string => `${name}-keys`;
/** In the table `meta`, where other keys are single bytes. */
const metaKey = (name: string): Uint8Array => new Writer(32).u8(2).text(name).finish();
const extentKey = (number: number): Uint8Array => new Writer(8).u53(number).finish();

/** Where the page that begins here ends; bytes that cannot be one are damage. */
function endOfPage(bytes: Uint8Array, at: number): number {
  const length = pageBytesAt(bytes, at);
  if (length > 0) return at + length;
  throw new LedgerError(
    'storage.corrupt',
    `there is no page at byte ${at} of ${toHex(bytes.subarray(0, 8))}…`,
  );
}

function add(segments: Map<number, Segment>, number: number, { live, total }: Readonly<Segment>): void {
  const segment = segments.get(number);
  if (segment === undefined) segments.set(number, { live, total });
  else {
    segment.live += live;
    segment.total += total;
  }
}

function sumOf(segments: Iterable<Readonly<Segment>>): Segment {
  const sum = { live: 0, total: 0 };
  for (const { live, total } of segments) {
    sum.live += live;
    sum.total += total;
  }
  return sum;
}

/** The first key behind all that begin with the prefix; undefined when there is none. */
function above(prefix: Uint8Array): Uint8Array | undefined {
  const last = prefix.findLastIndex((byte) => byte < 255);
  if (last < 0) return undefined;
  return prefix.slice(0, last + 1).with(last, (prefix[last] as number) + 1);
}

function storedChange(name: string, { at, top, nextExtent, segments }: Stored): Change {
  const { tree, counts } = top;
  const writer = new Writer(256 + 24 * segments.size).u53(at).bool(tree !== undefined);
  if (tree !== undefined) writer.fixed(tree.hash, HASH_BYTES).u53(tree.count).u53(tree.location);
  writer.list(counts, (w, count) => w.u53(count)).u53(nextExtent);
  writer.u32(segments.size);
  for (const [number, { live, total }] of segments) writer.u53(number).u53(live).u53(total);
  return { table: 'meta', key: metaKey(name), value: writer.finish() };
}

function storedIn(tables: Tables, name: string): Stored | undefined {
  const bytes = tables.table('meta').get(metaKey(name));
  if (bytes === undefined) return undefined;
  const stored = decode((reader): Stored => {
    const at = reader.u53();
    const tree = reader.bool()
      ? { hash: asHash(reader.fixed(HASH_BYTES).slice()), count: reader.u53(), location: reader.u53() }
      : undefined;
    const counts = reader.list(256, (r) => r.u53());
    const nextExtent = reader.u53();
    const segments = new Map<number, Segment>();
    const length = reader.u32();
    if (length > SEGMENTS_MAX) reader.refuse('decode.too-long', `expected at most ${SEGMENTS_MAX} segments`);
    for (let i = 0; i < length; i += 1)
      segments.set(reader.u53(), { live: reader.u53(), total: reader.u53() });
    return { at, top: { tree, counts }, nextExtent, segments };
  }, bytes);
  if (!stored.ok)
    throw new LedgerError(
      'storage.corrupt',
      `what is kept of the ${name} does not decode: ${stored.message}`,
    );
  return stored.value;
}
