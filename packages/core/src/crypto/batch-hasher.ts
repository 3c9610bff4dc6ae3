/**
 * SHA-256 of many short messages at a time. A call of a native function costs more than the work on a few blocks, so whoever has
 * all inputs before it needs an output (a level of a Merkle tree, the payloads of an envelope) hands them over together, and
 * whoever can hash several at a time, as the lanes of a vector unit do, installs that once at start.
 */
import { HASH_BYTES, sha256Into } from './hash.ts';

/** Messages that are laid out where they are hashed. */
export interface MessageSource {
  /** In bytes. */
  readonly lengthOf: (index: number) => number;
  /** Writes so many bytes from `at` on. */
  readonly write: (index: number, into: Uint8Array, at: number) => void;
}

/** Digests go to `output` one behind another. Inputs of fixed length lie so, too, and may begin where `output` does. */
export interface BatchHasher {
  readonly messages: (count: number, source: MessageSource, output: Uint8Array) => void;
  /** SHA-256(0x00 ‖ 32 bytes). */
  readonly leaves: (input: Uint8Array, count: number, output: Uint8Array) => void;
  /** SHA-256(domain ‖ 64 bytes). */
  readonly pairs: (domain: 0 | 1, input: Uint8Array, count: number, output: Uint8Array) => void;
}

// Hashing is synchronous and copies its input into its state, so one scratch buffer per shape is enough.
const leafScratch = new Uint8Array(1 + HASH_BYTES);
const pairScratch = new Uint8Array(1 + 2 * HASH_BYTES);
let room = new Uint8Array(1_024);

/** One by one, by whatever SHA-256 is installed. */
export const serialBatchHasher: BatchHasher = {
  messages(count, source, output) {
    for (let i = 0; i < count; i += 1) {
      const length = source.lengthOf(i);
      if (room.length < length) room = new Uint8Array(2 * length);
      source.write(i, room, 0);
      sha256Into(room.subarray(0, length), output, HASH_BYTES * i);
    }
  },
  leaves(input, count, output) {
    for (let i = 0; i < count; i += 1) {
      for (let j = 0; j < HASH_BYTES; j += 1) leafScratch[1 + j] = input[HASH_BYTES * i + j] as number;
      sha256Into(leafScratch, output, HASH_BYTES * i);
    }
  },
  pairs(domain, input, count, output) {
    pairScratch[0] = domain;
    for (let i = 0; i < count; i += 1) {
      for (let j = 0; j < 2 * HASH_BYTES; j += 1)
        pairScratch[1 + j] = input[2 * HASH_BYTES * i + j] as number;
      sha256Into(pairScratch, output, HASH_BYTES * i);
    }
  },
};

let installed: () => BatchHasher = () => serialBatchHasher;

/** What computes the same function for many; asked for each time, so that it may be made when it is first needed. */
export function installBatchHasher(hasher: () => BatchHasher): void {
  installed = hasher;
}

export function batchHasher(): BatchHasher {
  return installed();
}
