/** The search for proof of work under the simulator's quick hash, which the core's search, made for SHA-256, does not know. */
import type { Hash } from '@itc/core/crypto/hash.js';
import { workBits } from '@itc/core/dag/proof-of-work.js';

/** The first nonce from `start` that shows at least `bits`; undefined when none of `tries` does. */
export function workSearch(search: {
  readonly bodyHash: Hash;
  readonly bits: number;
  readonly start: number;
  readonly tries: number;
}): number | undefined {
  const { bodyHash, bits, start, tries } = search;
  for (let nonce = start; nonce < start + tries; nonce += 1)
    if (workBits(bodyHash, nonce) >= bits) return nonce;
  return undefined;
}
