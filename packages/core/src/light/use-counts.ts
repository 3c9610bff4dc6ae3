/**
 * How often a device has obeyed under each grant that is for so many commands (spec LIGHT-12). The grant says how many, the device
 * counts: the ledger hears nothing of single commands. A count is forgotten only when its grant has expired.
 */
import { decode, type DecodeCode } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { CountedUse } from './access.ts';

interface Count {
  readonly used: number;
  readonly expiresAt: Millis;
}

export class UseCounts {
  readonly #counts = new Map<number, Count>();

  get size(): number {
    return this.#counts.size;
  }

  used(serial: number): number {
    return this.#counts.get(serial)?.used ?? 0;
  }

  /** Whether each of these grants has one left; `full`: there is no room to count another one. */
  check(uses: readonly CountedUse[], now: Millis): 'left' | 'used-up' | 'full' {
    if (uses.some((use) => this.used(use.serial) >= use.uses)) return 'used-up';
    const fresh = uses.filter(({ serial }) => !this.#counts.has(serial)).length;
    if (this.#counts.size + fresh <= LIMITS.useCountsMax) return 'left';
    let over = 0;
    for (const { expiresAt } of this.#counts.values()) if (expiresAt <= now) over += 1;
    return this.#counts.size - over + fresh <= LIMITS.useCountsMax ? 'left' : 'full';
  }

  /** Once per command that `check` found some left for; must be durable before the device acts. */
  take(uses: readonly CountedUse[], now: Millis): void {
    if (uses.length === 0) return;
    for (const [serial, { expiresAt }] of this.#counts) if (expiresAt <= now) this.#counts.delete(serial);
    for (const { serial, expiresAt } of uses) {
      const before = this.#counts.get(serial);
      // Granting again may have moved the end: the count lives as long as any grant it has counted under.
      const until = before !== undefined && before.expiresAt > expiresAt ? before.expiresAt : expiresAt;
      this.#counts.set(serial, { used: (before?.used ?? 0) + 1, expiresAt: until });
    }
  }

  /** Ascending by serial. */
  encode(): Uint8Array {
    const counts = [...this.#counts].sort(([a], [b]) => a - b);
    return new Writer(256)
      .list(counts, (w, [serial, { used, expiresAt }]) => w.u53(serial).u32(used).u53(expiresAt))
      .finish();
  }

  static decode(bytes: Uint8Array): Result<UseCounts, DecodeCode> {
    return decode((reader) => {
      const counts = new UseCounts();
      let previous = -1;
      const entries = reader.list(LIMITS.useCountsMax, (r) => ({
        serial: r.u53(),
        used: r.u32(),
        expiresAt: millis(r.u53()),
      }));
      for (const { serial, ...count } of entries) {
        if (serial <= previous || count.used === 0)
          reader.refuse('decode.not-canonical', 'expected counts above 0 in ascending order, each once');
        previous = serial;
        counts.#counts.set(serial, count);
      }
      return counts;
    }, bytes);
  }
}
