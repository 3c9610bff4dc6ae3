/**
 * Bytes of a page of the state tree (spec PAGES-2): the nodes of one subtree, a branch before what is left of it and that
 * before what is right. Nodes are read where they lie; nothing is decoded that is not asked for.
 *
 * page = length u32 ‖ depth u16 ‖ ⌈depth / 8⌉ bytes of the prefix ‖ node
 * node = 0 | 1 ‖ bytes of the left node u32 ‖ leaves u32 ‖ hash ‖ left ‖ right
 *      | 2 ‖ leaves u32 ‖ hash ‖ location u64 | 3 ‖ label bytes u8 ‖ value bytes u32 ‖ hash ‖ label ‖ value
 */
import { HASH_BYTES } from './hash.ts';
import { PageSlab } from './page-slab.ts';

export const NODE = { empty: 0, branch: 1, page: 2, leaf: 3 } as const;

export const BRANCH_BYTES: number = 9 + HASH_BYTES;
export const PAGE_REFERENCE_BYTES: number = 5 + HASH_BYTES + 8;
export const LEAF_BYTES: number = 6 + HASH_BYTES;
const HEAD_BYTES = 6;
/** Of a label: state keys are shorter. */
export const LABEL_BYTES_MAX = 255;

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Locations are whole numbers below 2^53. */
export function readLocation(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4);
}

export function writeLocation(bytes: Uint8Array, at: number, location: number): void {
  writeU32(bytes, at, Math.floor(location / 0x1_0000_0000));
  writeU32(bytes, at + 4, location % 0x1_0000_0000);
}

/** Where the hash of a node that is not empty lies. */
export function hashAt(bytes: Uint8Array, at: number): number {
  switch (bytes[at] as number) {
    case NODE.branch:
      return at + 9;
    case NODE.page:
      return at + 5;
    default:
      return at + 6;
  }
}

/** Leaves under a node. */
export function countAt(bytes: Uint8Array, at: number): number {
  switch (bytes[at] as number) {
    case NODE.empty:
      return 0;
    case NODE.branch:
      return readU32(bytes, at + 5);
    case NODE.page:
      return readU32(bytes, at + 1);
    default:
      return 1;
  }
}

export function leftAt(at: number): number {
  return at + BRANCH_BYTES;
}

export function rightAt(bytes: Uint8Array, at: number): number {
  return at + BRANCH_BYTES + readU32(bytes, at + 1);
}

/** First byte behind a node and all below it. */
export function endOf(bytes: Uint8Array, at: number): number {
  let node = at;
  while (bytes[node] === NODE.branch) node = rightAt(bytes, node);
  if (bytes[node] === NODE.empty) return node + 1;
  if (bytes[node] === NODE.page) return node + PAGE_REFERENCE_BYTES;
  return node + LEAF_BYTES + (bytes[node + 1] as number) + readU32(bytes, node + 2);
}

export function locationAt(bytes: Uint8Array, at: number): number {
  return readLocation(bytes, at + 5 + HASH_BYTES);
}

/** Views into the page. */
export function labelAt(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.subarray(at + LEAF_BYTES, at + LEAF_BYTES + (bytes[at + 1] as number));
}

export function valueAt(bytes: Uint8Array, at: number): Uint8Array {
  const start = at + LEAF_BYTES + (bytes[at + 1] as number);
  return bytes.subarray(start, start + readU32(bytes, at + 2));
}

/** Whether a leaf has this label. The last byte of a label says most. */
export function labelEquals(bytes: Uint8Array, at: number, label: Uint8Array): boolean {
  const { length } = label;
  if (bytes[at + 1] !== length) return false;
  const start = at + LEAF_BYTES;
  for (let i = length - 1; i >= 0; i -= 1) if (bytes[start + i] !== label[i]) return false;
  return true;
}

/** Whether a leaf holds this value. */
export function valueEquals(bytes: Uint8Array, at: number, value: Uint8Array): boolean {
  const { length } = value;
  if (readU32(bytes, at + 2) !== length) return false;
  const start = at + LEAF_BYTES + (bytes[at + 1] as number);
  for (let i = length - 1; i >= 0; i -= 1) if (bytes[start + i] !== value[i]) return false;
  return true;
}

/** The node a page is for. */
export function topAt(page: Uint8Array): number {
  return HEAD_BYTES + ((depthOf(page) + 7) >> 3);
}

export function pageLength(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at);
}

export function depthOf(page: Uint8Array): number {
  return ((page[4] as number) << 8) | (page[5] as number);
}

/** The lowest key under a page. */
export function lowestKey(page: Uint8Array): Uint8Array {
  const key = new Uint8Array(HASH_BYTES);
  key.set(page.subarray(HEAD_BYTES, topAt(page)));
  return key;
}

const slab = new PageSlab();

/** A page in the making. One is used again and again: what `finish` gives is a copy. */
export class PageWriter {
  #bytes = new Uint8Array(8192);
  #at = 0;

  begin(path: Uint8Array, depth: number): void {
    this.#at = 0;
    const prefixBytes = (depth + 7) >> 3;
    this.#room(HEAD_BYTES + prefixBytes);
    this.#bytes[4] = depth >> 8;
    this.#bytes[5] = depth;
    for (let i = 0; i < prefixBytes; i += 1) this.#bytes[HEAD_BYTES + i] = path[i] as number;
    const rest = depth & 7;
    const last = HEAD_BYTES + prefixBytes - 1;
    if (rest !== 0) this.#bytes[last] = (this.#bytes[last] as number) & (0xff00 >> rest);
    this.#at = HEAD_BYTES + prefixBytes;
  }

  empty(): void {
    this.#room(1);
    this.#bytes[this.#at] = NODE.empty;
    this.#at += 1;
  }

  /** The head of a page that this one is to be in the place of. */
  start(page: Uint8Array, top: number): void {
    this.#at = 0;
    this.copy(page, 0, top);
  }

  /** Where the next node begins. */
  get at(): number {
    return this.#at;
  }

  /** What is left follows, then `leftDone` with what this gives, then what is right. Hashes come later. */
  branch(count: number): number {
    this.#room(BRANCH_BYTES);
    const at = this.#at;
    this.#bytes[at] = NODE.branch;
    writeU32(this.#bytes, at + 5, count);
    this.#at += BRANCH_BYTES;
    return at;
  }

  leftDone(branch: number): void {
    writeU32(this.#bytes, branch + 1, this.#at - branch - BRANCH_BYTES);
  }

  /** Both sides may have more leaves now, or less. */
  countBranch(branch: number): void {
    const count = countAt(this.#bytes, leftAt(branch)) + countAt(this.#bytes, rightAt(this.#bytes, branch));
    writeU32(this.#bytes, branch + 5, count);
  }

  page(count: number, location: number): void {
    this.#room(PAGE_REFERENCE_BYTES);
    this.#bytes[this.#at] = NODE.page;
    this.redirect(this.#at, count, location);
    this.#at += PAGE_REFERENCE_BYTES;
  }

  /** Lets the reference at a place lead to another page. */
  redirect(at: number, count: number, location: number): void {
    writeU32(this.#bytes, at + 1, count);
    writeLocation(this.#bytes, at + 5 + HASH_BYTES, location);
  }

  leaf(label: Uint8Array, value: Uint8Array): void {
    this.#room(LEAF_BYTES + label.length + value.length);
    const at = this.#at;
    this.#bytes[at] = NODE.leaf;
    this.#bytes[at + 1] = label.length;
    writeU32(this.#bytes, at + 2, value.length);
    this.#bytes.set(label, at + LEAF_BYTES);
    this.#bytes.set(value, at + LEAF_BYTES + label.length);
    this.#at += LEAF_BYTES + label.length + value.length;
  }

  /** Nodes of another page as they are: nothing in them depends on where they lie. */
  copy(bytes: Uint8Array, from: number, to: number): void {
    this.#room(to - from);
    this.#bytes.set(bytes.subarray(from, to), this.#at);
    this.#at += to - from;
  }

  finish(): Uint8Array {
    writeU32(this.#bytes, 0, this.#at);
    return slab.copy(this.#bytes, 0, this.#at);
  }

  #room(length: number): void {
    if (this.#at + length <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#at + length));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
