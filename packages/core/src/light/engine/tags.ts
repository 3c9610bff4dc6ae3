/** Hashes and messages with their domains (spec CRYPTO-1, CRYPTO-2), laid out in the verifier's memory. */
import type { f64, i32 } from './integers.ts';
import {
  copyWithin,
  DIGEST,
  FIELD,
  H_EPOCH,
  H_HEIGHT,
  HEADER,
  HEADER_BYTES,
  HEADER_HASH,
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

/** To `DIGEST`: a number of `width` bytes, big-endian, and the node that was reached: what roots of counted lists commit. */
export function countedRoot(m: LightMachine, tag: string, count: f64, width: i32): void {
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
}

function writeDomain(m: LightMachine, domain: string): i32 {
  for (let i: i32 = 0; i < domain.length; i += 1) setByte(m, MESSAGE + i, domain.charCodeAt(i));
  setByte(m, MESSAGE + domain.length, 0);
  copyWithin(m, MESSAGE + domain.length + 1, TRUST, HASH_BYTES);
  return MESSAGE + domain.length + 1 + HASH_BYTES;
}

/** What voters for the header at `HEADER` signed, in the view at `FIELD`, six bytes: epoch, view, height and hash. */
export function writeVote(m: LightMachine): void {
  const at: i32 = writeDomain(m, 'ITC1:sign-commit');
  copyWithin(m, at, HEADER + H_EPOCH, 4);
  setByte(m, at + 4, 0);
  setByte(m, at + 5, 0);
  copyWithin(m, at + 6, FIELD, 6);
  copyWithin(m, at + 12, HEADER + H_HEIGHT, 8);
  copyWithin(m, at + 20, HEADER_HASH, HASH_BYTES);
}

/** What a gateway signs to say that a header is its newest: nonce ‖ header hash ‖ time. The time lies at `time`. */
export function writeFreshness(m: LightMachine, time: i32): i32 {
  const at: i32 = writeDomain(m, 'ITC1:sign-fresh');
  copyWithin(m, at, NONCE, HASH_BYTES);
  copyWithin(m, at + HASH_BYTES, HEADER_HASH, HASH_BYTES);
  copyWithin(m, at + 2 * HASH_BYTES, time, 8);
  return at + 2 * HASH_BYTES + 8 - MESSAGE;
}
