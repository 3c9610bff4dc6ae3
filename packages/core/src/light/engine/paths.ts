/** Paths from a leaf to a root, one sibling at a time, the lowest first (spec CRYPTO-5, CRYPTO-6, CRYPTO-7). */
import type { f64, i32 } from './integers.ts';
import {
  byteAt,
  FIELD,
  KEY_HASH,
  N_COUNT,
  N_INDEX,
  N_LAST,
  NODE,
  numberAt,
  type LightMachine,
} from './layout.ts';
import { shaBegin, shaByte, shaEnd, shaTake } from './sha256.ts';

const HASH_BYTES: i32 = 32;
const LEAF: i32 = 0;
const INNER: i32 = 1;

/** The leaf at `from` is number `index` of `count`. False when there is no such place. */
export function beginPath(m: LightMachine, from: i32, index: f64, count: f64): boolean {
  if (index < 0 || count < 1 || index >= count) return false;
  m.numbers[N_INDEX] = index;
  m.numbers[N_LAST] = count - 1;
  m.numbers[N_COUNT] = count;
  shaBegin(m);
  shaByte(m, LEAF);
  shaTake(m, from, HASH_BYTES);
  shaEnd(m, NODE);
  return true;
}

function isOdd(n: f64): boolean {
  return n - 2 * Math.floor(n / 2) === 1;
}

/** One step up (RFC 9162 §2.1.3.2), the sibling at `FIELD`; there is one as long as the root is not reached. */
export function climbPath(m: LightMachine): void {
  let at: f64 = numberAt(m, N_INDEX);
  let last: f64 = numberAt(m, N_LAST);
  // A node without a right neighbour has moved up unhashed until it became a right child.
  if (at === last) {
    while (at !== 0 && !isOdd(at)) {
      at /= 2;
      last = Math.floor(last / 2);
    }
  }
  joinNodes(m, isOdd(at));
  m.numbers[N_INDEX] = Math.floor(at / 2);
  m.numbers[N_LAST] = Math.floor(last / 2);
}

export function isAtRoot(m: LightMachine): boolean {
  return numberAt(m, N_LAST) === 0;
}

/** `NODE` and the sibling at `FIELD` under their parent. */
export function joinNodes(m: LightMachine, siblingFirst: boolean): void {
  shaBegin(m);
  shaByte(m, INNER);
  shaTake(m, siblingFirst ? FIELD : NODE, HASH_BYTES);
  shaTake(m, siblingFirst ? NODE : FIELD, HASH_BYTES);
  shaEnd(m, NODE);
}

/** Bit `depth` of the hashed state key, the highest of the first byte being 0. */
export function keyBit(m: LightMachine, key: i32, depth: i32): i32 {
  return (byteAt(m, key + (depth >> 3)) >> (7 - (depth & 7))) & 1;
}

/** The leaf of the state tree over a key and the hash of its value becomes the node to climb from. */
export function beginState(m: LightMachine, key: i32, valueHash: i32): void {
  shaBegin(m);
  shaByte(m, LEAF);
  shaTake(m, key, HASH_BYTES);
  shaTake(m, valueHash, HASH_BYTES);
  shaEnd(m, NODE);
}

/** One step up the state tree from `depth`, the sibling at `FIELD`. */
export function climbState(m: LightMachine, depth: i32): void {
  joinNodes(m, keyBit(m, KEY_HASH, depth) === 1);
}
