/**
 * Accounts as they are stored, read and written in place: there are two in every transfer. The bytes are those of the record's codec
 * (`records.ts`): balance u64, a u16 count, and nonces of eight bytes each.
 */
import type { Amount } from '../ledger/ids.ts';
import type { Account } from './records.ts';

const HEAD_BYTES = 10;
const NONCE_BYTES = 8;

/** A whole number of 64 bits and its bytes, the other way round. */
const wide = new BigUint64Array(1);
const wideBytes = new Uint8Array(wide.buffer);

export function accountLength({ nonces }: Account): number {
  return HEAD_BYTES + NONCE_BYTES * nonces.length;
}

/** Writes `accountLength` bytes. */
export function writeAccountAt(bytes: Uint8Array, at: number, { balance, nonces }: Account): void {
  wide[0] = balance;
  for (let i = 0; i < 8; i += 1) bytes[at + i] = wideBytes[7 - i] as number;
  bytes[at + 8] = nonces.length >>> 8;
  bytes[at + 9] = nonces.length;
  for (let i = 0; i < nonces.length; i += 1) {
    const nonce = nonces[i] as number;
    const to = at + HEAD_BYTES + NONCE_BYTES * i;
    writeU32(bytes, to, Math.floor(nonce / 0x1_0000_0000));
    writeU32(bytes, to + 4, nonce % 0x1_0000_0000);
  }
}

/** What is under a root was encoded here or verified; that it is not as long as it says is damage. */
export function readAccountAt(bytes: Uint8Array, at: number, length: number): Account {
  for (let i = 0; i < 8; i += 1) wideBytes[7 - i] = bytes[at + i] as number;
  const count = ((bytes[at + 8] as number) << 8) | (bytes[at + 9] as number);
  if (length !== HEAD_BYTES + NONCE_BYTES * count)
    throw new RangeError(`an account of ${length} bytes does not have ${count} nonces`);
  const nonces: number[] = [];
  for (let i = 0, from = at + HEAD_BYTES; i < count; i += 1, from += NONCE_BYTES)
    nonces.push(readU32(bytes, from) * 0x1_0000_0000 + readU32(bytes, from + 4));
  return { balance: wide[0] as Amount, nonces };
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}
