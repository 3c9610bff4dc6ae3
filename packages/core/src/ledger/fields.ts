/** Readers of the fields that most structures have. */
import type { Reader } from '../bytes/reader.ts';
import { asHash, HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { asAddress, type Address } from './address.ts';

export function readHash(reader: Reader): Hash {
  return asHash(reader.fixed(HASH_BYTES).slice());
}

export function readAddress(reader: Reader): Address {
  return asAddress(reader.fixed(HASH_BYTES).slice());
}
