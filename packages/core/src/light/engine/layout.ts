/** All the memory of one verifier, 12 kB, and where in it things lie (spec LIGHT-9). */
import type { f64, i32, u8 } from './integers.ts';

/** What survives a restart, as `encodeTrust` writes it: 149 bytes. */
export const TRUST: i32 = 0;
export const TRUST_BYTES: i32 = 149;
export const TRUST_EPOCH: i32 = 32;
export const TRUST_SET: i32 = 36;
export const TRUST_HEIGHT: i32 = 68;
export const TRUST_TIME: i32 = 76;
export const TRUST_HASH: i32 = 84;
export const TRUST_STATE_ROOT: i32 = 116;
export const TRUST_ENDED: i32 = 148;
/** The same before this stream, to go back to. */
export const BEFORE: i32 = 152;
/** The header that was certified last, with everything that the stream leaves out because the client knows it. */
export const HEADER: i32 = 304;
export const HEADER_BYTES: i32 = 215;
/** The header items are judged under: that one, or an earlier one its history holds. */
export const TARGET: i32 = 520;
export const TARGET_HASH: i32 = 736;
/** Places in a header (spec WIRE-4.1). */
export const H_VERSION: i32 = 0;
export const H_FLAGS: i32 = 2;
export const H_EPOCH: i32 = 3;
export const H_HEIGHT: i32 = 7;
export const H_TIME: i32 = 15;
export const H_TX_ROOT: i32 = 55;
export const H_STATE_ROOT: i32 = 87;
export const H_HISTORY_ROOT: i32 = 119;
export const H_SET: i32 = 151;
export const H_NEXT_SET: i32 = 183;
export const HEADER_VERSION: i32 = 1;
export const FLAG_CLOSES: i32 = 1;
/** In a stream only: an earlier header whose set is another than the newest one's. */
export const FLAG_OTHER_SET: i32 = 2;
/** Of the last certified header. */
export const HEADER_HASH: i32 = 768;
/** What is signed: 101 bytes of a vote, 120 of a statement of freshness. */
export const MESSAGE: i32 = 800;
export const VOTE_BYTES: i32 = 101;
/** Block and result of SHA-256. */
export const SHA_BLOCK: i32 = 920;
export const DIGEST: i32 = 984;
/** Node of a path on its way up. */
export const NODE: i32 = 1016;
/** State key of the item, and its hash. */
export const KEY: i32 = 1048;
/** The longest key a record of the ledger has is of 105. */
export const KEY_BYTES_MAX: i32 = 112;
export const KEY_HASH: i32 = 1160;
export const OTHER_KEY: i32 = 1192;
/** Id of the transaction or payload that was shown, or the key of the gateway that says it is fresh. */
export const ID: i32 = 1224;
/** The part of the stream that is being read. The longest is a statement of freshness. */
export const FIELD: i32 = 1256;
/** Levels of a state path with something on the other side: bit i mod 8, the lowest first, of byte ⌊i / 8⌋ is the i-th from the leaf up. */
export const LEVELS: i32 = 1360;
export const BITMAP: i32 = 1392;
/** Validators: key 32 ‖ weight u32 each. */
export const MEMBERS_MAX: i32 = 128;
export const MEMBER_BYTES: i32 = 36;
export const TRUSTED_SET: i32 = 1408;
export const SHOWN_SET: i32 = 6016;
/**
 * The record under the key of an item, where signers and sets were: items come when the newest header is certified, and nobody asks for those
 * then. The longest are the keys of an account, eight of ML-DSA-44.
 */
export const VALUE: i32 = 1392;
export const VALUE_BYTES_MAX: i32 = 10560;
/** The nonce of the request, 32 bytes; what a gateway answers with must have it. */
export const NONCE: i32 = 11952;
export const STATE_BYTES: i32 = 11984;

/** Places in `ints`. */
export const I_STATE: i32 = 0;
export const I_NEED: i32 = 1;
export const I_HAVE: i32 = 2;
/** Where in `bytes` the field goes. */
export const I_DEST: i32 = 3;
/** Bytes of the last `push` that were read. */
export const I_READ: i32 = 4;
export const I_HOPS_LEFT: i32 = 5;
export const I_FORM: i32 = 6;
/** Members still to come, and how many a set has. */
export const I_MEMBERS_LEFT: i32 = 7;
export const I_TRUSTED_COUNT: i32 = 8;
export const I_SHOWN_COUNT: i32 = 9;
/** Where the set that is read goes, and that which certifies. */
export const I_SET: i32 = 10;
export const I_SIGNER: i32 = 11;
export const I_SIGNATURES_LEFT: i32 = 12;
export const I_ITEM: i32 = 13;
export const I_PATH_LEFT: i32 = 14;
export const I_KEY_BYTES: i32 = 15;
/** Bytes of the record; −1 when the key holds nothing. */
export const I_VALUE_BYTES: i32 = 16;
export const I_SHA_BYTES: i32 = 17;
export const I_CODE: i32 = 18;
export const I_HOPS: i32 = 19;
/** Signatures that were verified, for figures. */
export const I_VERIFIED: i32 = 20;
/** Where the header that is read goes. */
export const I_HEADER: i32 = 21;
/** Of a state path: levels, and how many were climbed. */
export const I_DEPTH: i32 = 22;
export const I_CLIMBED: i32 = 23;
export const INTS: i32 = 24;

/** Places in `numbers`. */
export const N_INDEX: i32 = 0;
export const N_LAST: i32 = 1;
export const N_COUNT: i32 = 2;
/** Milliseconds since 1970 by the client's clock; 0 when it has none. */
export const N_NOW: i32 = 3;
/** For how long a third of the trusted weight is enough; 0 never. */
export const N_TRUSTING: i32 = 4;
export const N_TOTAL: i32 = 5;
export const N_GREATEST: i32 = 6;
export const NUMBERS: i32 = 8;

/** Schedule and chaining value of SHA-256. */
export const WORDS: i32 = 72;

/** One verifier. Nothing grows: every stream of whatever length is judged in this. */
export class LightMachine {
  readonly bytes: Uint8Array = new Uint8Array(STATE_BYTES);
  readonly ints: Int32Array = new Int32Array(INTS);
  readonly numbers: Float64Array = new Float64Array(NUMBERS);
  readonly words: Int32Array = new Int32Array(WORDS);
}

export function byteAt(m: LightMachine, at: i32): i32 {
  return m.bytes[at] as i32;
}

export function setByte(m: LightMachine, at: i32, value: i32): void {
  m.bytes[at] = value as u8;
}

export function intAt(m: LightMachine, at: i32): i32 {
  return m.ints[at] as i32;
}

export function numberAt(m: LightMachine, at: i32): f64 {
  return m.numbers[at] as f64;
}

export function u16At(m: LightMachine, at: i32): i32 {
  return (byteAt(m, at) << 8) | byteAt(m, at + 1);
}

/** As a whole number, because it may not fit a signed word. */
export function u32At(m: LightMachine, at: i32): f64 {
  return u16At(m, at) * (65536 as f64) + u16At(m, at + 2);
}

/** −1 where the field holds more than 2^53 − 1. */
export function u53At(m: LightMachine, at: i32): f64 {
  const high: f64 = u32At(m, at);
  if (high > 2097151) return -1;
  return high * (4294967296 as f64) + u32At(m, at + 4);
}

/** Six bytes: what the stream has for heights, times and sequences, which hash as eight. */
export function u48At(m: LightMachine, at: i32): f64 {
  return u16At(m, at) * (4294967296 as f64) + u32At(m, at + 2);
}

export function copyWithin(m: LightMachine, to: i32, from: i32, length: i32): void {
  for (let i: i32 = 0; i < length; i += 1) setByte(m, to + i, byteAt(m, from + i));
}

export function isEqual(m: LightMachine, a: i32, b: i32, length: i32): boolean {
  let difference: i32 = 0;
  for (let i: i32 = 0; i < length; i += 1) difference |= byteAt(m, a + i) ^ byteAt(m, b + i);
  return difference === 0;
}

/** Negative, zero or positive as the bytes at `a` lie before, at or behind those at `b`. */
export function order(m: LightMachine, a: i32, b: i32, length: i32): i32 {
  for (let i: i32 = 0; i < length; i += 1) {
    const difference: i32 = byteAt(m, a + i) - byteAt(m, b + i);
    if (difference !== 0) return difference;
  }
  return 0;
}
