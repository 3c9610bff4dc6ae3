/** Hashes and messages with their domains (spec CRYPTO-1, CRYPTO-2), laid out in the verifier's memory. */
import type { f64, i32 } from './integers.ts';
import {
  byteAt,
  copyWithin,
  DIGEST,
  FIELD,
  HEADER_BYTES,
  HEADER_HASH,
  isEqual,
  MESSAGE,
  NODE,
  NONCE,
  setByte,
  TRUST,
  type LightMachine,
} from './layout.ts';
import { shaBegin, shaByte, shaEnd, shaTake } from './sha256.ts';

const HASH_BYTES: i32 = 32;

/** Begins a hash: tag ‖ 0x00. */
export function shaTag(m: LightMachine, tag: string): void {
  shaBegin(m);
  for (let i: i32 = 0; i < tag.length; i += 1) shaByte(m, tag.charCodeAt(i));
  shaByte(m, 0);
}

export function hashHeader(m: LightMachine, from: i32, to: i32): void {
  shaTag(m, 'ITC1:header');
  shaTake(m, from, HEADER_BYTES);
  shaEnd(m, to);
}

/** A number of `width` bytes, big-endian, and the node that was reached: what roots of counted lists commit. */
export function isCountedRoot(m: LightMachine, tag: string, count: f64, width: i32, root: i32): boolean {
  shaTag(m, tag);
  let unit: f64 = 1;
  for (let i: i32 = 1; i < width; i += 1) unit *= 256;
  let rest: f64 = count;
  for (let i: i32 = 0; i < width; i += 1) {
    const digit: f64 = Math.floor(rest / unit);
    shaByte(m, digit as i32);
    rest -= digit * unit;
    unit /= 256;
  }
  shaTake(m, NODE, HASH_BYTES);
  shaEnd(m, DIGEST);
  return isEqual(m, DIGEST, root, HASH_BYTES);
}

function writeDomain(m: LightMachine, domain: string): i32 {
  for (let i: i32 = 0; i < domain.length; i += 1) setByte(m, MESSAGE + i, domain.charCodeAt(i));
  setByte(m, MESSAGE + domain.length, 0);
  copyWithin(m, MESSAGE + domain.length + 1, TRUST, HASH_BYTES);
  return MESSAGE + domain.length + 1 + HASH_BYTES;
}

/** What voters of the certificate at `FIELD` signed: its epoch, view, height and hash lie there in the same order. */
export function writeVote(m: LightMachine): void {
  const at: i32 = writeDomain(m, 'ITC1:sign-commit');
  copyWithin(m, at, FIELD, 4 + 8 + 8 + HASH_BYTES);
}

/** What a gateway signs to say that a header is its newest: nonce ‖ header hash ‖ time. The time lies at `time`. */
export function writeFreshness(m: LightMachine, time: i32): i32 {
  const at: i32 = writeDomain(m, 'ITC1:sign-fresh');
  copyWithin(m, at, NONCE, HASH_BYTES);
  copyWithin(m, at + HASH_BYTES, HEADER_HASH, HASH_BYTES);
  copyWithin(m, at + 2 * HASH_BYTES, time, 8);
  return at + 2 * HASH_BYTES + 8 - MESSAGE;
}

/** Whether the header there has the version that is known, and no flag that is not. */
export function hasKnownForm(m: LightMachine, at: i32): boolean {
  return byteAt(m, at) === 0 && byteAt(m, at + 1) === 1 && byteAt(m, at + 2) <= 1;
}
