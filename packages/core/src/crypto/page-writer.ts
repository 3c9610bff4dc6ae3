/** A page in the making. One writer is used again and again: what it has written is copied to where the page stays. */
import { HASH_BYTES } from './hash.ts';
import {
  BRANCH_WORDS,
  Chunk,
  HASH_WORDS,
  HEAD_WORDS,
  labelByteAt,
  leafWords,
  LABEL_BYTES_MAX,
  NODE,
  redirect,
  REFERENCE_WORDS,
  VALUE_BYTES_MAX,
} from './state-page.ts';

export class PageWriter {
  #chunk = new Chunk(2048);
  #at = 0;

  get chunk(): Chunk {
    return this.#chunk;
  }

  /** Where the next node begins; at the end, the words of the page. */
  get at(): number {
    return this.#at;
  }

  /** `path` has the bits that lead to the top. */
  begin(path: Uint8Array, depth: number, count: number): void {
    const prefixWords = (depth + 31) >>> 5;
    this.#at = 0;
    this.#room(HEAD_WORDS + prefixWords);
    const { words, bytes } = this.#chunk;
    words[1] = depth;
    words[2] = count;
    const start = 4 * HEAD_WORDS;
    bytes.fill(0, start, start + 4 * prefixWords);
    const whole = depth >>> 3;
    for (let i = 0; i < whole; i += 1) bytes[start + i] = path[i] as number;
    if (whole < HASH_BYTES && (depth & 7) !== 0)
      bytes[start + whole] = (path[whole] as number) & (0xff00 >> (depth & 7));
    this.#at = HEAD_WORDS + prefixWords;
  }

  empty(): void {
    this.#room(1);
    this.#chunk.words[this.#at] = NODE.empty;
    this.#at += 1;
  }

  /** What is left follows, then `leftDone` with what this gives, then what is right. Hashes come later. */
  branch(): number {
    this.#room(BRANCH_WORDS);
    const at = this.#at;
    this.#at += BRANCH_WORDS;
    return at;
  }

  leftDone(branch: number): void {
    this.#chunk.words[branch] = NODE.branch | ((this.#at - branch - BRANCH_WORDS) << 2);
  }

  page(count: number, location: number): void {
    this.#room(REFERENCE_WORDS);
    const { words } = this.#chunk;
    words[this.#at] = NODE.page;
    words[this.#at + 1 + HASH_WORDS] = count;
    redirect(words, this.#at, location);
    this.#at += REFERENCE_WORDS;
  }

  leaf(label: Uint8Array, value: Uint8Array): void {
    if (label.length > LABEL_BYTES_MAX || value.length > VALUE_BYTES_MAX)
      throw new RangeError(`a leaf of ${label.length} and ${value.length} bytes`);
    const words = leafWords(label.length, value.length);
    this.#room(words);
    const { chunk } = this;
    const at = this.#at;
    chunk.words[at + words - 1] = 0;
    chunk.words[at] = NODE.leaf | (label.length << 2) | (value.length << 10);
    chunk.bytes.set(label, labelByteAt(at));
    chunk.bytes.set(value, labelByteAt(at) + label.length);
    this.#at += words;
  }

  /** Nodes of another page as they are: nothing in them depends on where they lie. */
  copy(words: Int32Array, from: number, to: number): void {
    this.#room(to - from);
    this.#chunk.words.set(words.subarray(from, to), this.#at);
    this.#at += to - from;
  }

  finish(): void {
    this.#chunk.words[0] = this.#at;
  }

  #room(words: number): void {
    const { length } = this.#chunk.words;
    if (this.#at + words <= length) return;
    const larger = new Chunk(Math.max(2 * length, this.#at + words));
    larger.words.set(this.#chunk.words.subarray(0, this.#at));
    this.#chunk = larger;
  }
}
