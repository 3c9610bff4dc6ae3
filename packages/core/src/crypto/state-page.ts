/**
 * A page of the state tree (spec PAGES-2): the nodes of one subtree in words of 32 bits, a branch before what is left of it and
 * that before what is right. Nodes are read and written where they lie; nothing is decoded that is not asked for.
 *
 * page = words in it ‖ depth ‖ leaves ‖ ⌈depth / 32⌉ words of the prefix ‖ node
 * node = 0 | 1 + 4 · words of the left node ‖ hash ‖ left ‖ right
 *      | 2 ‖ hash ‖ leaves ‖ location, low word first
 *      | 3 + 4 · label bytes + 1 024 · value bytes ‖ hash ‖ label ‖ value, filled up to a word
 *
 * Words are those of the machine, little-endian wherever this runs, so that hashes are copied and compared by the word; hashes,
 * labels, values and prefixes are bytes in their own order.
 */
import { asHash, HASH_BYTES, type Hash } from './hash.ts';

export const NODE = { empty: 0, branch: 1, page: 2, leaf: 3 } as const;

export const HASH_WORDS: number = HASH_BYTES / 4;
export const BRANCH_WORDS: number = 1 + HASH_WORDS;
export const REFERENCE_WORDS: number = 1 + HASH_WORDS + 3;
export const LEAF_WORDS: number = 1 + HASH_WORDS;
export const HEAD_WORDS = 3;
/** Of a label: state keys are shorter. */
export const LABEL_BYTES_MAX = 255;
export const VALUE_BYTES_MAX = 0x3f_ffff;

const TWO_32 = 0x1_0000_0000;

/** Room for pages, seen by the word and by the byte. */
export class Chunk {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;

  constructor(words: number) {
    this.words = new Int32Array(words);
    this.bytes = new Uint8Array(this.words.buffer);
  }
}

/** A page where it lies: `at` is its first word. */
export interface Page {
  readonly chunk: Chunk;
  readonly at: number;
}

/** A node in a page. */
export interface Place {
  readonly chunk: Chunk;
  readonly at: number;
}

export function kindAt(words: Int32Array, at: number): number {
  return (words[at] as number) & 3;
}

export function leftAt(at: number): number {
  return at + BRANCH_WORDS;
}

export function rightAt(words: Int32Array, at: number): number {
  return at + BRANCH_WORDS + ((words[at] as number) >>> 2);
}

/** Of the node at a place alone, without what is below it. */
export function nodeWords(words: Int32Array, at: number): number {
  const head = words[at] as number;
  switch (head & 3) {
    case NODE.empty:
      return 1;
    case NODE.branch:
      return BRANCH_WORDS;
    case NODE.page:
      return REFERENCE_WORDS;
    default:
      return leafWords((head >>> 2) & 255, head >>> 10);
  }
}

export function leafWords(labelBytes: number, valueBytes: number): number {
  return LEAF_WORDS + ((labelBytes + valueBytes + 3) >>> 2);
}

/** First word behind a node and all below it. */
export function endOf(words: Int32Array, at: number): number {
  let node = at;
  while (((words[node] as number) & 3) === NODE.branch) node = rightAt(words, node);
  return node + nodeWords(words, node);
}

/** Leaves under a node. */
export function countUnder(words: Int32Array, at: number): number {
  const end = endOf(words, at);
  let count = 0;
  for (let node = at; node < end; node += nodeWords(words, node)) {
    const kind = kindAt(words, node);
    if (kind === NODE.leaf) count += 1;
    else if (kind === NODE.page) count += referenceCount(words, node);
  }
  return count;
}

export function referenceCount(words: Int32Array, at: number): number {
  return (words[at + 1 + HASH_WORDS] as number) >>> 0;
}

export function locationAt(words: Int32Array, at: number): number {
  const low = at + 2 + HASH_WORDS;
  return ((words[low] as number) >>> 0) + ((words[low + 1] as number) >>> 0) * TWO_32;
}

/** Lets the reference at a place lead to another page. */
export function redirect(words: Int32Array, at: number, location: number): void {
  words[at + 2 + HASH_WORDS] = (location % TWO_32) | 0;
  words[at + 3 + HASH_WORDS] = Math.floor(location / TWO_32);
}

/** First byte of the label of a leaf; its value is behind it. */
export function labelByteAt(at: number): number {
  return 4 * (at + LEAF_WORDS);
}

export function valueByteAt(words: Int32Array, at: number): number {
  return labelByteAt(at) + labelBytes(words, at);
}

export function labelBytes(words: Int32Array, at: number): number {
  return ((words[at] as number) >>> 2) & 255;
}

export function valueBytes(words: Int32Array, at: number): number {
  return (words[at] as number) >>> 10;
}

/** Views into the page. */
export function labelAt({ chunk: { words, bytes }, at }: Place): Uint8Array {
  const start = labelByteAt(at);
  return bytes.subarray(start, start + labelBytes(words, at));
}

export function valueAt({ chunk: { words, bytes }, at }: Place): Uint8Array {
  const start = valueByteAt(words, at);
  return bytes.subarray(start, start + valueBytes(words, at));
}

/** Whether the bytes from `start` are these. The last ones say most. */
export function bytesAre(bytes: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let i = expected.length - 1; i >= 0; i -= 1) if (bytes[start + i] !== expected[i]) return false;
  return true;
}

/** Hash of a node that is not empty. A copy: proofs outlive pages. */
export function hashOf({ chunk: { bytes }, at }: Place): Hash {
  return asHash(bytes.slice(4 * (at + 1), 4 * (at + 1) + HASH_BYTES));
}

export function copyWords(to: Int32Array, at: number, from: Int32Array, start: number, count: number): void {
  for (let i = 0; i < count; i += 1) to[at + i] = from[start + i] as number;
}

export function pageWords(words: Int32Array, page: number): number {
  return words[page] as number;
}

export function depthOf(words: Int32Array, page: number): number {
  return words[page + 1] as number;
}

/** Leaves under a page. */
export function pageCount(words: Int32Array, page: number): number {
  return (words[page + 2] as number) >>> 0;
}

/** The node a page is for. */
export function topAt(words: Int32Array, page: number): number {
  return page + HEAD_WORDS + (((words[page + 1] as number) + 31) >>> 5);
}

/** The lowest key under a page. */
export function lowestKey({ chunk: { words, bytes }, at }: Page): Hash {
  const key = new Uint8Array(HASH_BYTES);
  key.set(bytes.subarray(4 * (at + HEAD_WORDS), 4 * topAt(words, at)));
  return asHash(key);
}

/** Bytes of the page that begins there, or 0 where none can: what a store reads may be damaged. */
export function pageBytesAt(bytes: Uint8Array, at: number): number {
  if (at + 4 * HEAD_WORDS >= bytes.length) return 0;
  const words =
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24);
  return words > HEAD_WORDS && at + 4 * words <= bytes.length ? 4 * words : 0;
}
