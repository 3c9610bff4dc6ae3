/**
 * What a device could not send yet, oldest first, in a ring of sectors (spec DEVICE-2). What to do when it is full, the
 * owner decides beforehand.
 */
import type { Flash, FlashRegion } from './flash.ts';
import { SectorLog, type EntryPlace, type LogEntry } from './sector-log.ts';

/**
 * When there is no room: `drop-oldest` gives up the oldest sector, `drop-newest` refuses. `thin-out` begins earlier:
 * from half full on it keeps one in two, from three quarters on one in four, and so on, so that each stage lasts about
 * as long as the first; full, it refuses.
 */
export type SpoolPolicy = 'drop-oldest' | 'drop-newest' | 'thin-out';

/** `stored` is durable. `failed`: the flash did not take it. */
export type Stored = 'stored' | 'thinned' | 'full' | 'failed';

export class Spool {
  readonly #log: SectorLog;
  readonly #policy: SpoolPolicy;
  /** Everything before it was released. */
  #oldest: EntryPlace;
  #offered = 0;
  #dropped = 0;

  constructor(flash: Flash, region: FlashRegion, policy: SpoolPolicy) {
    this.#log = new SectorLog(flash, region);
    this.#policy = policy;
    this.#oldest = { serial: this.#log.oldest, at: 0 };
  }

  get entryBytesMax(): number {
    return this.#log.entryBytesMax;
  }

  /** Stored entries the policy gave up since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  store(bytes: Uint8Array): Stored {
    if (bytes.length > this.entryBytesMax)
      throw new RangeError(`expected at most ${this.entryBytesMax} bytes, got ${bytes.length}`);
    this.#offered += 1;
    if (this.#policy === 'thin-out' && this.#offered % this.#stride() !== 0) return 'thinned';
    if (this.#log.fits(bytes.length) && this.#log.write(bytes) !== undefined) return 'stored';
    if (!this.#makeRoom()) return 'full';
    return this.#log.openNext() && this.#log.write(bytes) !== undefined ? 'stored' : 'failed';
  }

  /** Up to `countMax` of the oldest that together have at most `bytesMax` bytes. */
  oldest(countMax: number, bytesMax: number): LogEntry[] {
    const entries: LogEntry[] = [];
    let bytes = 0;
    for (let entry = this.#first(); entry !== undefined && entries.length < countMax;) {
      bytes += entry.bytes.length;
      if (bytes > bytesMax) break;
      entries.push(entry);
      entry = this.#live({ serial: entry.serial, at: entry.next });
    }
    return entries;
  }

  /** They were delivered. A loss of power before the last is released lets the others be sent again. */
  release(entries: readonly EntryPlace[]): void {
    // What the policy gave up in the meantime is not there to be released.
    for (const entry of entries) if (entry.serial >= this.#log.oldest) this.#log.release(entry);
  }

  #first(): LogEntry | undefined {
    const entry = this.#live(this.#oldest);
    if (entry !== undefined) this.#oldest = entry;
    return entry;
  }

  #live(from: EntryPlace): LogEntry | undefined {
    let entry = this.#log.from(from);
    while (entry?.isReleased === true) entry = this.#log.from({ serial: entry.serial, at: entry.next });
    return entry;
  }

  /** Whether the sector that comes next in turn may be erased. */
  #makeRoom(): boolean {
    const next = this.#log.head + 1 - this.#log.sectors;
    let entry = next < 1 ? undefined : this.#live({ serial: next, at: 0 });
    if (entry?.serial !== next) return true;
    if (this.#policy !== 'drop-oldest') return false;
    for (; entry?.serial === next; entry = this.#live({ serial: next, at: entry.next })) this.#dropped += 1;
    return true;
  }

  /** One in so many is kept: 1, 2, 4, … as the sectors that are left halve. */
  #stride(): number {
    const first = this.#first();
    const used = first === undefined ? 0 : this.#log.head - first.serial + 1;
    let stride = 1;
    for (let left = this.#log.sectors / 2; left >= 1 && this.#log.sectors - used < left; left /= 2)
      stride *= 2;
    return stride;
  }
}
