/**
 * The sequence numbers of one lane (signer, device) that have been taken: the greatest, and which of the last
 * `LIMITS.laneWindow` below it. The same rule as the subnet applies when it orders payloads.
 */
import { LIMITS } from '@itc/core/ledger/limits.js';
import { decode, type DecodeCode } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';

const BITMAP_BYTES = LIMITS.laneWindow / 8;

export class Lane {
  #high: number;
  readonly #taken: Uint8Array;

  constructor(high = 0, taken: Uint8Array = new Uint8Array(BITMAP_BYTES)) {
    this.#high = high;
    this.#taken = taken;
  }

  get high(): number {
    return this.#high;
  }

  check(sequence: number): 'new' | 'taken' | 'stale' {
    if (sequence > this.#high) return 'new';
    if (sequence <= this.#high - LIMITS.laneWindow) return 'stale';
    const bit = sequence % LIMITS.laneWindow;
    return ((this.#taken[bit >> 3] as number) >> (bit & 7)) & 1 ? 'taken' : 'new';
  }

  take(sequence: number): void {
    // The bitmap is a ring: numbers passed over become free places for the new ones.
    const skipped = Math.min(sequence - this.#high, LIMITS.laneWindow);
    for (let i = 1; i <= skipped; i += 1) {
      const bit = (sequence - skipped + i) % LIMITS.laneWindow;
      this.#taken[bit >> 3] = (this.#taken[bit >> 3] as number) & ~(1 << (bit & 7));
    }
    this.#high = Math.max(this.#high, sequence);
    const bit = sequence % LIMITS.laneWindow;
    this.#taken[bit >> 3] = (this.#taken[bit >> 3] as number) | (1 << (bit & 7));
  }

  encode(): Uint8Array {
    return new Writer(8 + BITMAP_BYTES).u53(this.#high).fixed(this.#taken, BITMAP_BYTES).finish();
  }

  static decode(bytes: Uint8Array): Result<Lane, DecodeCode> {
    return decode((reader) => new Lane(reader.u53(), reader.fixed(BITMAP_BYTES).slice()), bytes);
  }
}
