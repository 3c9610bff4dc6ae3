/**
 * The hashes of a state tree by the thousand. A tree that takes a block's changes at once knows all inputs of one level
 * before it needs any output, so whoever can hash several at a time (lanes of a vector unit, an accelerator) may.
 */
import { HASH_BYTES, sha256 } from './hash.ts';

export interface StateHasher {
  /** SHA-256(domain ‖ 64 bytes) of each of `count` inputs that lie one behind another; the digests go to `output` likewise. */
  pairs(domain: 0 | 1, input: Uint8Array, count: number, output: Uint8Array): void;
  /**
   * SHA-256 of each of `count` stretches of `bytes`, one digest behind another. `places` has where a stretch begins and its length,
   * then the same of the next.
   */
  stretches(bytes: Uint8Array, places: Uint32Array, count: number, output: Uint8Array): void;
}

const PAIR_BYTES = 2 * HASH_BYTES;
const scratch = new Uint8Array(1 + PAIR_BYTES);

/** One by one, by whatever SHA-256 is installed. */
export const serialHasher: StateHasher = {
  pairs(domain, input, count, output) {
    scratch[0] = domain;
    for (let i = 0; i < count; i += 1) {
      for (let j = 0; j < PAIR_BYTES; j += 1) scratch[1 + j] = input[PAIR_BYTES * i + j] as number;
      output.set(sha256(scratch), HASH_BYTES * i);
    }
  },
  stretches(bytes, places, count, output) {
    for (let i = 0; i < count; i += 1) {
      const start = places[2 * i] as number;
      output.set(sha256(bytes.subarray(start, start + (places[2 * i + 1] as number))), HASH_BYTES * i);
    }
  },
};
