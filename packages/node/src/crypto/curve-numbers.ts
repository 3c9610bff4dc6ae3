/** Numbers about the curve of Ed25519 (RFC 8032 §5.1) as the key tables need them: scalars in digits, points from their encoding, encodings compared. */
import { hash } from 'node:crypto';
import { LANES, LIMB_BITS, LIMBS } from './curve-code.ts';

const P = 2n ** 255n - 19n;
/** Order of the base point. */
const L = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;
/** How the y coordinates of the points of small order begin, 0, 1, −1 and those of order 8. */
const SMALL_ORDER = new Set([0, 1, 0xffff_ffec, 0x8f95_e826, 0x706a_17c7]);

export const times = (a: bigint, b: bigint): bigint => (a * b) % P;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base, left = exponent; left > 0n; left >>= 1n, square = times(square, square))
    if ((left & 1n) === 1n) result = times(result, square);
  return result;
}

const inverse = (value: bigint): bigint => power(value, P - 2n);

export const D: bigint = times(P - 121_665n, inverse(121_666n));
export const HALF: bigint = (P + 1n) / 2n;

export interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

/** RFC 8032 §5.1.3; undefined off the curve. */
export function pointOf(encoded: Uint8Array): Point | undefined {
  const number = BigInt(`0x${Buffer.from(encoded).reverse().toString('hex')}`);
  return pointAt(number & (2n ** 255n - 1n), number >> 255n === 1n);
}

function pointAt(y: bigint, isOdd: boolean): Point | undefined {
  const square = times(times(y, y) + P - 1n, inverse(times(D, times(y, y)) + 1n));
  let x = power(square, (P + 3n) / 8n);
  if (times(x, x) !== square) x = times(x, power(2n, (P - 1n) / 4n));
  if (times(x, x) !== square) return undefined;
  return { x: ((x & 1n) === 1n) === isOdd ? x : P - x, y };
}

/** y = 4/5, x even. */
export const BASE_POINT: Point = pointAt(times(4n, inverse(5n)), false) as Point;

/** 256 bits as words, the lowest first, and one more that stays zero. One for all: read it before the next. */
const scalar = new Uint32Array(9);
const quarters = new BigUint64Array(scalar.buffer, 0, 4);
let room = Buffer.alloc(1_024);

/** 32 bytes from there on, the lowest first. */
export function words(bytes: Uint8Array, from: number): void {
  for (let i = 0; i < 8; i += 1) {
    const at = from + 4 * i;
    scalar[i] =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
  }
}

/** h = SHA-512(R ‖ A ‖ M) mod L. */
export function hashWords(signed: {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}): void {
  const { key, message, signature } = signed;
  const length = 64 + message.length;
  if (room.length < length) room = Buffer.alloc(2 * length);
  for (let i = 0; i < 32; i += 1) room[i] = signature[i] as number;
  room.set(key, 32);
  room.set(message, 64);
  const digest = hash('sha512', room.subarray(0, length), 'buffer').reverse();
  let h = BigInt(`0x${digest.toString('hex')}`) % L;
  for (let i = 0; i < 4; i += 1) {
    quarters[i] = h;
    h >>= 64n;
  }
}

function bitsAt(at: number, bits: number): number {
  const low = (scalar[at >> 5] as number) >>> (at & 31);
  const high = (at & 31) === 0 ? 0 : (scalar[(at >> 5) + 1] as number) << (32 - (at & 31));
  return (low | high) & ((1 << bits) - 1);
}

/** In digits from −2^(bits − 1) to 2^(bits − 1): half of the multiples do, the others are their negatives. */
export function digitsInto(digits: Int8Array, bits: number): void {
  const half = 1 << (bits - 1);
  let carried = 0;
  for (let i = 0; i < digits.length; i += 1) {
    const at = i * bits;
    let digit = carried + (at < 256 ? bitsAt(at, Math.min(bits, 256 - at)) : 0);
    carried = digit > half ? 1 : 0;
    if (carried === 1) digit -= 2 * half;
    digits[i] = digit;
  }
}

/** Whether an encoding that begins with these words may be of a point of small order. */
export function mayBeOfSmallOrder(): boolean {
  return SMALL_ORDER.has(scalar[0] as number);
}

const xLimbs = new Int32Array(LIMBS);
const yLimbs = new Int32Array(LIMBS);

/** Whether the words encode the point with these coordinates, in one lane of vectors. */
export function isEncodingOf(limbs: Int16Array, x: number, y: number): boolean {
  freeze(xLimbs, limbs, x);
  freeze(yLimbs, limbs, y);
  if (((xLimbs[0] as number) & 1) !== (scalar[7] as number) >>> 31) return false;
  for (let limb = 0; limb < LIMBS - 1; limb += 1)
    if (yLimbs[limb] !== bitsAt(LIMB_BITS * limb, LIMB_BITS)) return false;
  return yLimbs[LIMBS - 1] === bitsAt(LIMB_BITS * (LIMBS - 1), TOP_BITS);
}

const TOP_BITS = 255 - LIMB_BITS * (LIMBS - 1);
const MASK = (1 << LIMB_BITS) - 1;

/** The one representation that is not negative and below p. */
function freeze(into: Int32Array, limbs: Int16Array, first: number): void {
  for (let limb = 0; limb < LIMBS; limb += 1)
    into[limb] = limbs[first + 2 * LANES * (limb >> 1) + (limb & 1)] as number;
  // What is beyond 2^255, or below zero, comes back 19 times; of numbers so close to the range nothing is left after three.
  for (let round = 0; round < 3; round += 1) {
    const beyond = carry(into);
    into[0] = (into[0] as number) + 19 * beyond;
  }
  // p and more are those that 19 more take beyond.
  into[0] = (into[0] as number) + 19;
  if (carry(into) === 0) {
    into[0] = (into[0] as number) - 19;
    carry(into);
  }
}

/** To limbs of their size; what is beyond 2^255. */
function carry(into: Int32Array): number {
  let carried = 0;
  for (let limb = 0; limb < LIMBS; limb += 1) {
    const value = (into[limb] as number) + carried;
    const bits = limb === LIMBS - 1 ? TOP_BITS : LIMB_BITS;
    carried = value >> bits;
    into[limb] = value & (limb === LIMBS - 1 ? (1 << TOP_BITS) - 1 : MASK);
  }
  return carried;
}
