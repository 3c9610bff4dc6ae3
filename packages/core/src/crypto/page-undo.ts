/**
 * What updates have overwritten in pages, for as long as somebody may look at the trees before them. A page that is written in
 * place is itself the newest tree; whoever asks for an earlier one gets a copy with the old words put back, the newest first.
 * Hashes of branches are not among them: they follow from what is below, and one who asks for them has them computed.
 */
import { asHash, HASH_BYTES, ZERO_HASH, type Hash } from './hash.ts';
import { merkleNode } from './merkle.ts';
import { Chunk, kindAt, leftAt, NODE, rightAt, topAt, type Page } from './state-page.ts';

/** Of an entry: version and place of the entry before it for the same page, and the words of its runs. */
const ENTRY_WORDS = 3;
/** Of a run: where in the page, and how many words. */
const RUN_WORDS = 2;

export class PageUndo {
  /** What each version has overwritten. */
  readonly #log = new Map<number, Int32Array>();
  #version = 0;
  #words = new Int32Array(1024);
  #at = 0;
  #entry = 0;

  /** Bytes that are held. */
  bytes = 0;

  begin(version: number): void {
    this.#version = version;
    this.#at = 0;
  }

  end(): void {
    if (this.#at === 0) return;
    this.#log.set(this.#version, this.#words.slice(0, this.#at));
    this.bytes += 4 * this.#at;
  }

  /** Begins what this version overwrites in a page, of which the entry before is that. Gives the place of the new one. */
  enter(beforeVersion: number, beforeAt: number): number {
    this.#room(ENTRY_WORDS);
    this.#entry = this.#at;
    this.#words[this.#at] = beforeVersion;
    this.#words[this.#at + 1] = beforeAt;
    this.#words[this.#at + 2] = 0;
    this.#at += ENTRY_WORDS;
    return this.#entry;
  }

  /** So many words of the page, from `at` on, are about to be overwritten. */
  save(words: Int32Array, page: number, at: number, count: number): void {
    this.#room(RUN_WORDS + count);
    const own = this.#words;
    let to = this.#at;
    own[to] = at - page;
    own[to + 1] = count;
    to += RUN_WORDS;
    for (let i = 0; i < count; i += 1) own[to + i] = words[at + i] as number;
    this.#at = to + count;
    own[this.#entry + 2] = this.#at - this.#entry - ENTRY_WORDS;
  }

  /** The page as it was at `version`, from as it is now and its newest entry. A copy; the branches' hashes only if asked for. */
  before(page: Page, version: number, newest: number, newestAt: number, hashes: boolean): Page {
    const count = page.chunk.words[page.at] as number;
    const chunk = new Chunk(count);
    chunk.words.set(page.chunk.words.subarray(page.at, page.at + count));
    for (let [entryVersion, at] = [newest, newestAt]; entryVersion > version;) {
      const log = this.#log.get(entryVersion);
      if (log === undefined) throw new RangeError(`version ${version} is not kept`);
      let run = at + ENTRY_WORDS;
      const end = run + (log[at + 2] as number);
      while (run < end) {
        const length = log[run + 1] as number;
        chunk.words.set(log.subarray(run + RUN_WORDS, run + RUN_WORDS + length), log[run] as number);
        run += RUN_WORDS + length;
      }
      [entryVersion, at] = [log[at] as number, log[at + 1] as number];
    }
    if (hashes) hashAgain(chunk, topAt(chunk.words, 0));
    return { chunk, at: 0 };
  }

  /** Nobody looks at anything before this version. */
  keep(version: number): void {
    for (const [each, words] of this.#log) {
      if (each > version) return;
      this.#log.delete(each);
      this.bytes -= 4 * words.length;
    }
  }

  #room(words: number): void {
    if (this.#at + words <= this.#words.length) return;
    const larger = new Int32Array(Math.max(2 * this.#words.length, this.#at + words));
    larger.set(this.#words.subarray(0, this.#at));
    this.#words = larger;
  }
}

/** Computes the branches of a subtree from its leaves and references; gives its hash. */
function hashAgain(chunk: Chunk, at: number): Hash {
  const { words, bytes } = chunk;
  const kind = kindAt(words, at);
  if (kind === NODE.empty) return ZERO_HASH;
  const start = 4 * (at + 1);
  if (kind === NODE.branch) {
    const hash = merkleNode(hashAgain(chunk, leftAt(at)), hashAgain(chunk, rightAt(words, at)));
    bytes.set(hash, start);
    return hash;
  }
  return asHash(bytes.slice(start, start + HASH_BYTES));
}
