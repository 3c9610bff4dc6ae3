/** SHA-256 (FIPS 180-4) over the verifier's own memory: one message at a time, nothing allocated. */
import type { f64, i32 } from './integers.ts';
import {
  byteAt,
  DIGEST,
  I_SHA_BYTES,
  intAt,
  setByte,
  SHA_BLOCK,
  WORDS,
  type LightMachine,
} from './layout.ts';

/** Where in `words` the chaining value lies, behind the schedule. */
const CHAIN: i32 = WORDS - 8;

/** Fractional parts of the square roots of the first eight primes. */
const START: Int32Array = new Int32Array(8);
/** Fractional parts of the cube roots of the first sixty-four primes. */
const ROUNDS: Int32Array = new Int32Array(64);

/** Both tables follow from the primes, so they are computed once. */
function fillTables(): void {
  let found: i32 = 0;
  for (let n: i32 = 2; found < 64; n += 1) {
    let prime: boolean = true;
    for (let d: i32 = 2; d * d <= n; d += 1) if (n % d === 0) prime = false;
    if (!prime) continue;
    if (found < 8) START[found] = fraction(squareRoot(n as f64));
    ROUNDS[found] = fraction(cubeRoot(n as f64));
    found += 1;
  }
}

/** By Newton's method, to the last bits of a double; engines for chips may lack the library's. */
function squareRoot(n: f64): f64 {
  let root: f64 = n;
  for (let i: i32 = 0; i < 40; i += 1) root = (root + n / root) / 2;
  return root;
}

function cubeRoot(n: f64): f64 {
  let root: f64 = n;
  for (let i: i32 = 0; i < 60; i += 1) root = (2 * root + n / (root * root)) / 3;
  return root;
}

/** The first 32 bits behind the point, as a signed word. */
function fraction(root: f64): i32 {
  const bits: f64 = Math.floor((root - Math.floor(root)) * 4294967296);
  return (bits >= 2147483648 ? bits - 4294967296 : bits) as i32;
}

fillTables();

export function shaBegin(m: LightMachine): void {
  for (let i: i32 = 0; i < 8; i += 1) m.words[CHAIN + i] = START[i] as i32;
  m.ints[I_SHA_BYTES] = 0;
}

export function shaByte(m: LightMachine, value: i32): void {
  const length: i32 = intAt(m, I_SHA_BYTES);
  setByte(m, SHA_BLOCK + (length & 63), value);
  m.ints[I_SHA_BYTES] = length + 1;
  if (((length + 1) & 63) === 0) compress(m);
}

/** Takes `length` bytes of the verifier's memory into the hash. */
export function shaTake(m: LightMachine, from: i32, length: i32): void {
  for (let i: i32 = 0; i < length; i += 1) shaByte(m, byteAt(m, from + i));
}

/** The result lies at `DIGEST`, and is copied to `to` when that is another place. */
export function shaEnd(m: LightMachine, to: i32): void {
  const length: i32 = intAt(m, I_SHA_BYTES);
  shaByte(m, 0x80);
  while ((intAt(m, I_SHA_BYTES) & 63) !== 56) shaByte(m, 0);
  // Messages here are far shorter than 2^28 bytes: the upper half of the length is zero.
  for (let i: i32 = 0; i < 4; i += 1) shaByte(m, 0);
  const bits: i32 = length << 3;
  for (let i: i32 = 0; i < 4; i += 1) shaByte(m, (bits >>> (24 - 8 * i)) & 0xff);
  for (let i: i32 = 0; i < 8; i += 1) {
    const word: i32 = m.words[CHAIN + i] as i32;
    for (let k: i32 = 0; k < 4; k += 1) setByte(m, DIGEST + 4 * i + k, (word >>> (24 - 8 * k)) & 0xff);
  }
  if (to !== DIGEST) for (let i: i32 = 0; i < 32; i += 1) setByte(m, to + i, byteAt(m, DIGEST + i));
}

function turn(word: i32, bits: i32): i32 {
  return (word >>> bits) | (word << (32 - bits));
}

function compress(m: LightMachine): void {
  const w: Int32Array = m.words;
  for (let i: i32 = 0; i < 16; i += 1) {
    const at: i32 = SHA_BLOCK + 4 * i;
    w[i] = (byteAt(m, at) << 24) | (byteAt(m, at + 1) << 16) | (byteAt(m, at + 2) << 8) | byteAt(m, at + 3);
  }
  for (let i: i32 = 16; i < 64; i += 1) {
    const x: i32 = w[i - 15] as i32;
    const y: i32 = w[i - 2] as i32;
    const small: i32 = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3);
    const large: i32 = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
    w[i] = ((w[i - 16] as i32) + small + (w[i - 7] as i32) + large) | 0;
  }
  let a: i32 = w[CHAIN] as i32;
  let b: i32 = w[CHAIN + 1] as i32;
  let c: i32 = w[CHAIN + 2] as i32;
  let d: i32 = w[CHAIN + 3] as i32;
  let e: i32 = w[CHAIN + 4] as i32;
  let f: i32 = w[CHAIN + 5] as i32;
  let g: i32 = w[CHAIN + 6] as i32;
  let h: i32 = w[CHAIN + 7] as i32;
  for (let i: i32 = 0; i < 64; i += 1) {
    const chosen: i32 = (e & f) ^ (~e & g);
    const most: i32 = (a & b) ^ (a & c) ^ (b & c);
    const first: i32 =
      (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + chosen + (ROUNDS[i] as i32) + (w[i] as i32)) | 0;
    const second: i32 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + most) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  w[CHAIN] = ((w[CHAIN] as i32) + a) | 0;
  w[CHAIN + 1] = ((w[CHAIN + 1] as i32) + b) | 0;
  w[CHAIN + 2] = ((w[CHAIN + 2] as i32) + c) | 0;
  w[CHAIN + 3] = ((w[CHAIN + 3] as i32) + d) | 0;
  w[CHAIN + 4] = ((w[CHAIN + 4] as i32) + e) | 0;
  w[CHAIN + 5] = ((w[CHAIN + 5] as i32) + f) | 0;
  w[CHAIN + 6] = ((w[CHAIN + 6] as i32) + g) | 0;
  w[CHAIN + 7] = ((w[CHAIN + 7] as i32) + h) | 0;
}
