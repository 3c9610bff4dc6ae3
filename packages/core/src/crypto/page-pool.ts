/**
 * Pages of a state tree in memory (spec PAGES-3, PAGES-8): those read lately as they are stored, and those that the newest tree
 * has changed since it was last stored. A page is copied once when it is first changed, and then written in place by every update
 * until the next time; what earlier trees need of it is noted (`page-undo.ts`). So an update costs what it changes, not what lies
 * beside it, and a page that changes a hundred times is stored once.
 *
 * Updates follow one another: each is of the newest tree. Trees before it stay readable until `keep` lets go of them.
 */
import { CHUNK_WORDS, PageCache, PageTable, SpareChunks } from './page-cache.ts';
import { PageUndo } from './page-undo.ts';
import {
  Chunk,
  HEAD_WORDS,
  kindAt,
  locationAt,
  NODE,
  nodeWords,
  pageWords,
  redirect,
  topAt,
  type Page,
} from './state-page.ts';

/** Where pages are stored. Reading is synchronous: a state machine cannot wait. */
export interface PageStore {
  /** Shows the bytes round the page at a location, as they were stored. Throws when it is lost. */
  load(location: number, take: (bytes: Uint8Array, from: number, to: number) => void): void;
  /**
   * Where a page of so many bytes is to be stored, behind the one before: a whole number below 2^52, higher than all given before.
   * One that is not live is for earlier trees only. In the run it begins at `at`, see `StoredRun`.
   */
  place(bytes: number, isLive: boolean, at: number): number;
  /** The newest tree does not refer to this page any more; those before it do. */
  release(location: number, bytes: number): void;
  /** Whether the page should be stored anew when it is met, so that what lies round it can go. */
  moves(location: number): boolean;
}

/** What a reference to a page that is not stored begins at: no location is as high. */
const FRESH = 2 ** 52;
const SHIFT: number = Math.log2(CHUNK_WORDS);
const MASK = CHUNK_WORDS - 1;
/** Twice the bytes of a chunk, so that what ends one and what begins the next are not neighbours in a run. */
const RUN_SPAN: number = 8 * CHUNK_WORDS;
/** Of the words of changed pages: if more than one in so many is in pages that nobody refers to any more, the others move together. */
const WASTE_MAX = 4;

/** Pages that were changed between one time of storing and the next, by number. */
class Interval {
  readonly first: number;
  count = 0;
  /** Where it lies, in chunks and words, while it is not stored. */
  places: Int32Array = new Int32Array(256);
  /** The versions that made it, and that had no use for it any more, or 0. */
  made: Int32Array = new Int32Array(256);
  retired: Int32Array = new Int32Array(256);
  /** Of its newest entry of undone words: the version, or 0, and where. */
  undoVersion: Int32Array = new Int32Array(256);
  undoAt: Int32Array = new Int32Array(256);
  /** Whether it may refer to pages that are not stored. */
  refers: Uint8Array = new Uint8Array(256);
  /** Once stored: where, ascending, −1 for what nobody can see; and by which version. */
  locations: Float64Array = new Float64Array(0);
  sealed = 0;

  constructor(first: number) {
    this.first = first;
  }

  add(place: number, version: number): number {
    const i = this.count;
    if (i === this.places.length) {
      const grown = (list: Int32Array): Int32Array => {
        const larger = new Int32Array(2 * i);
        larger.set(list);
        return larger;
      };
      this.places = grown(this.places);
      this.made = grown(this.made);
      this.retired = grown(this.retired);
      this.undoVersion = grown(this.undoVersion);
      this.undoAt = grown(this.undoAt);
      const refers = new Uint8Array(2 * i);
      refers.set(this.refers);
      this.refers = refers;
    }
    this.places[i] = place;
    this.made[i] = version;
    this.count = i + 1;
    return i;
  }

  /** Which of its pages is stored there; −1 for none. */
  at(location: number): number {
    let low = 0;
    let high = this.shown.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.locations[this.shown[middle] as number] as number) < location) low = middle + 1;
      else high = middle;
    }
    const i = this.shown[low];
    return i !== undefined && this.locations[i] === location ? i : -1;
  }

  /** Those that are stored. */
  shown: Int32Array = new Int32Array(0);
}

/** The pages that were changed, as they are to be stored, where they lay before. */
export class StoredRun {
  readonly table: PageTable;

  constructor(table: PageTable) {
    this.table = table;
  }

  /** So many bytes from where a page begins: those of the page, and of its neighbours as far as their places adjoin. */
  bytes(at: number, length: number): Uint8Array {
    const from = at % RUN_SPAN;
    return (this.table.chunks[Math.floor(at / RUN_SPAN)] as Chunk).bytes.subarray(from, from + length);
  }
}

export class PagePool {
  readonly #store: PageStore;
  readonly #cache: PageCache;
  readonly #undo = new PageUndo();
  #open = new Interval(0);
  #sealed: Interval[] = [];
  /** Stored, but not where they can be read. */
  #waiting: PageTable[] = [];
  #chunks: Chunk[] = [];
  readonly #spare: SpareChunks;
  #free = CHUNK_WORDS;
  /** Of changed pages that the newest tree has no use for. */
  #retiredWords = 0;
  #isUpdating = false;
  #keptFrom = 0;

  /** Of the newest tree. */
  version = 0;
  /** The page opened last. */
  chunk: Chunk = new Chunk(HEAD_WORDS);
  at = 0;

  constructor(store: PageStore, cacheBytes: number) {
    this.#store = store;
    this.#spare = new SpareChunks(cacheBytes);
    this.#cache = new PageCache(cacheBytes, this.#spare);
  }

  /** Bytes in memory: pages as they are stored; those that are not stored; what earlier trees need. */
  get memory(): {
    readonly cached: number;
    readonly fresh: number;
    readonly waiting: number;
    readonly undo: number;
  } {
    let waiting = 0;
    for (const table of this.#waiting) waiting += table.bytes;
    return { cached: this.#cache.bytes, fresh: this.freshBytes, waiting, undo: this.#undo.bytes };
  }

  /** Of pages changed since they were last stored. */
  get freshBytes(): number {
    return this.#chunks.length === 0 ? 0 : 4 * ((this.#chunks.length - 1) * CHUNK_WORDS + this.#free);
  }

  /** Where the page is in the newest tree: `chunk` and `at`, until the next page is opened. */
  open(reference: number): void {
    if (reference < FRESH) {
      this.#openStored(reference);
      return;
    }
    const i = reference - FRESH - this.#open.first;
    if (i >= 0) this.openFresh(i);
    else this.#openStored(this.located(reference));
  }

  /** By the number that `thaw` and `add` give. */
  openFresh(i: number): void {
    const place = this.#open.places[i] as number;
    this.chunk = this.#chunks[place >>> SHIFT] as Chunk;
    this.at = place & MASK;
  }

  /** The page as a tree of some version has it, for one who looks at it until others have changed it or keeps a copy. */
  view(reference: number, version: number, hashes: boolean): Page {
    if (version < this.#keptFrom) throw new RangeError(`version ${version} of the state is not kept`);
    if (version < this.version) {
      const interval = this.#intervalOf(reference, version);
      if (interval !== undefined) {
        const i = reference >= FRESH ? reference - FRESH - interval.first : interval.at(reference);
        const undone = i < 0 ? 0 : (interval.undoVersion[i] as number);
        if (undone > version) {
          this.open(reference);
          return this.#undo.before(this, version, undone, interval.undoAt[i] as number, hashes);
        }
      }
    }
    this.open(reference);
    return { chunk: this.chunk, at: this.at };
  }

  /** The same, safe from all that happens later. */
  keptView(reference: number, version: number): Page {
    const { chunk, at } = this.view(reference, version, true);
    const copy = new Chunk(pageWords(chunk.words, at));
    copy.words.set(chunk.words.subarray(at, at + copy.words.length));
    return { chunk: copy, at: 0 };
  }

  /** The location behind a reference, once it is stored. */
  located(reference: number): number {
    if (reference < FRESH) return reference;
    const number = reference - FRESH;
    for (const interval of this.#sealed)
      if (number >= interval.first && number < interval.first + interval.count)
        return interval.locations[number - interval.first] as number;
    throw new RangeError(`page ${number} is not kept`);
  }

  /** A version begins. An update that threw has left the newest tree torn: there is no next one. */
  begin(): void {
    if (this.#isUpdating) throw new RangeError('the update before this one has failed');
    this.#isUpdating = true;
    this.#cache.recycle();
    this.version += 1;
    this.#undo.begin(this.version);
  }

  end(): void {
    this.#undo.end();
    this.#isUpdating = false;
  }

  /** The version that has begun came to nothing. */
  forget(): void {
    this.version -= 1;
    this.#isUpdating = false;
  }

  moves(reference: number): boolean {
    return reference < FRESH && this.#store.moves(reference);
  }

  /** Opens the page where it may be written to. Gives its number, see `reference`. */
  thaw(reference: number): number {
    const known = reference - FRESH - this.#open.first;
    if (known >= 0) {
      this.openFresh(known);
      return known;
    }
    this.open(reference);
    const { chunk, at } = this;
    this.#store.release(this.located(reference), 4 * pageWords(chunk.words, at));
    return this.add(chunk, at, false);
  }

  /** A page of the newest tree with these words, which may refer to pages that are not stored. Gives its number; it is open. */
  add(from: Chunk, start: number, refers = true): number {
    const count = pageWords(from.words, start);
    const place = this.#allocate(count);
    this.chunk = this.#chunks[place >>> SHIFT] as Chunk;
    this.at = place & MASK;
    this.chunk.words.set(from.words.subarray(start, start + count), this.at);
    const i = this.#open.add(place, this.version);
    if (refers) this.#open.refers[i] = 1;
    return i;
  }

  /** The page with this number comes to refer to one that is not stored. */
  noteReference(i: number): void {
    this.#open.refers[i] = 1;
  }

  reference(i: number): number {
    return FRESH + this.#open.first + i;
  }

  /** The newest tree has no use for the page any more. */
  retire(reference: number): void {
    const i = reference - FRESH - this.#open.first;
    if (i >= 0) {
      this.#open.retired[i] = this.version;
      this.openFresh(i);
      this.#retiredWords += pageWords(this.chunk.words, this.at);
      return;
    }
    this.open(reference);
    this.#store.release(this.located(reference), 4 * pageWords(this.chunk.words, this.at));
  }

  /** The page that is open and has this number is about to be changed; what is, is to be given to `save`. */
  edit(i: number): boolean {
    const open = this.#open;
    // Nobody has seen a page of this version.
    if (open.made[i] === this.version) return false;
    const at = this.#undo.enter(open.undoVersion[i] as number, open.undoAt[i] as number);
    open.undoVersion[i] = this.version;
    open.undoAt[i] = at;
    return true;
  }

  save(words: Int32Array, page: number, at: number, count: number): void {
    this.#undo.save(words, page, at, count);
  }

  /** The place of a word of a page that has this number and is open, as one number, see `chunkAt`. */
  address(at: number, i: number): number {
    return ((this.#open.places[i] as number) & ~MASK) + at;
  }

  wordAt(address: number): number {
    return address & MASK;
  }

  chunkAt(address: number): Chunk {
    return this.#chunks[address >>> SHIFT] as Chunk;
  }

  /** Ends an interval: gives all pages that were changed in it, as they are to be stored now. Undefined when there are none. */
  seal(): StoredRun | undefined {
    const open = this.#open;
    if (open.count === 0) return undefined;
    const shown = this.#shown(open);
    if (4 * this.#retiredWords * WASTE_MAX > this.freshBytes) this.#compact(open, shown);
    const locations = new Float64Array(open.count).fill(-1);
    const table = new PageTable(shown.length);
    table.chunks.push(...this.#chunks);
    for (const i of shown) {
      const place = open.places[i] as number;
      const [chunk, at] = [place >>> SHIFT, place & MASK];
      const count = pageWords((table.chunks[chunk] as Chunk).words, at);
      const location = this.#store.place(4 * count, open.retired[i] === 0, RUN_SPAN * chunk + 4 * at);
      locations[i] = location;
      table.add(location, chunk, at, count);
    }
    for (const i of shown) {
      if (open.refers[i] === 0) continue;
      this.openFresh(i);
      this.#settleReferences(this.chunk.words, this.at, locations);
    }
    open.locations = locations;
    open.shown = shown;
    open.sealed = this.version;
    open.places = new Int32Array(0);
    this.#sealed.push(open);
    this.#open = new Interval(open.first + open.count);
    this.#chunks = [];
    this.#free = CHUNK_WORDS;
    this.#retiredWords = 0;
    this.#waiting.push(table);
    return new StoredRun(table);
  }

  /** The oldest of these is stored where it can be read. */
  stored(run: StoredRun): void {
    this.#waiting = this.#waiting.filter((table) => table !== run.table);
    this.#cache.adopt(run.table);
  }

  /** Nobody looks at trees before this version. */
  keep(version: number): void {
    this.#keptFrom = Math.max(this.#keptFrom, version);
    this.#undo.keep(version);
    // The tree of this version knows its top by the number it had before it was stored.
    this.#sealed = this.#sealed.filter(({ sealed }) => sealed >= version);
  }

  #intervalOf(reference: number, version: number): Interval | undefined {
    if (reference >= FRESH) {
      const number = reference - FRESH;
      if (number >= this.#open.first) return this.#open;
      return this.#sealed.find(({ first, count }) => number >= first && number < first + count);
    }
    return this.#sealed.find((each) => each.sealed > version && each.at(reference) >= 0);
  }

  #openStored(location: number): void {
    for (const table of this.#waiting) {
      if (!table.find(location)) continue;
      this.chunk = table.chunk as Chunk;
      this.at = table.at;
      return;
    }
    const cache = this.#cache;
    if (!cache.find(location))
      this.#store.load(location, (bytes, from, to) => cache.take(location, bytes, from, to));
    this.chunk = cache.chunk as Chunk;
    this.at = cache.at;
  }

  #allocate(words: number): number {
    if (words > CHUNK_WORDS) throw new RangeError(`a page of ${words} words`);
    if (this.#free + words > CHUNK_WORDS) {
      this.#chunks.push(this.#spare.take());
      this.#free = 0;
    }
    const place = (this.#chunks.length - 1) * CHUNK_WORDS + this.#free;
    this.#free += words;
    return place;
  }

  /** Numbers of all pages that the newest tree or one before it can meet. */
  #shown({ count, made, retired }: Interval): Int32Array {
    const shown = new Int32Array(count);
    let length = 0;
    for (let i = 0; i < count; i += 1) {
      const by = retired[i] as number;
      // Or a tree that has it, is kept, and is older than what had no use for it.
      if (by === 0 || by > Math.max(made[i] as number, this.#keptFrom)) shown[length++] = i;
    }
    return shown.slice(0, length);
  }

  /** Moves these pages together, and lets go of those between them. */
  #compact(open: Interval, shown: Int32Array): void {
    const before = this.#chunks;
    this.#chunks = [];
    this.#free = CHUNK_WORDS;
    for (const i of shown) {
      const place = open.places[i] as number;
      const { words } = before[place >>> SHIFT] as Chunk;
      const at = place & MASK;
      const count = pageWords(words, at);
      open.places[i] = this.#allocate(count);
      this.openFresh(i);
      this.chunk.words.set(words.subarray(at, at + count), this.at);
    }
    for (const chunk of before) this.#spare.give(chunk);
  }

  /** What refers to pages of this interval by number does so by location from now on. */
  #settleReferences(words: Int32Array, page: number, locations: Float64Array): void {
    const end = page + pageWords(words, page);
    for (let at = topAt(words, page); at < end; at += nodeWords(words, at)) {
      if (kindAt(words, at) !== NODE.page) continue;
      const number = locationAt(words, at) - FRESH;
      if (number >= 0) redirect(words, at, locations[number - this.#open.first] as number);
    }
  }
}
