/** The system's randomness, and a seeded stream for tests and simulations. */
import { randomBytes } from 'node:crypto';
import type { Random } from './ports.ts';

export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  uniform: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};

/** A fake: mulberry32 over a 32-bit seed. Repeatable, and no secret may ever come from it. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.uniform() * 256));
  }

  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
