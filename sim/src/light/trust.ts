/** The 149 bytes a light client keeps (spec LIGHT-4.5), read apart from the core. */
import { Reader } from '@itc/core/bytes/reader.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';

export interface Believed {
  readonly chain: Hash;
  readonly epoch: number;
  /** Hash of the set. */
  readonly set: Hash;
  readonly height: number;
  readonly time: number;
  readonly hash: Hash;
  readonly stateRoot: Hash;
  readonly ended: boolean;
}

export function readTrust(bytes: Uint8Array): Believed {
  const reader = new Reader(bytes);
  const hash = (): Hash => asHash(reader.fixed(HASH_BYTES).slice());
  return {
    chain: hash(),
    epoch: reader.u32(),
    set: hash(),
    height: reader.u53(),
    time: reader.u53(),
    hash: hash(),
    stateRoot: hash(),
    ended: reader.bool(),
  };
}
