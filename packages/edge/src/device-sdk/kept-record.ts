/**
 * One record in two sectors, for what must be the old one or the new one after any loss of power (spec DEVICE-1.1). Each
 * commit goes behind the one before; when a sector is full the other is erased, which holds older ones only. So a sector
 * of 4 KiB is erased once for some forty commits of 158 bytes in two.
 */
import type { Flash } from './flash.ts';
import { SectorLog } from './sector-log.ts';

export const RECORD_SECTORS = 2;

export class KeptRecord {
  readonly #log: SectorLog;

  constructor(flash: Flash, first: number) {
    this.#log = new SectorLog(flash, { first, count: RECORD_SECTORS });
  }

  get bytesMax(): number {
    return this.#log.entryBytesMax;
  }

  read(): Uint8Array | undefined {
    return this.#log.last();
  }

  /** Durable when it returns true. False: the flash is worn out, and the record before stands. */
  write(bytes: Uint8Array): boolean {
    if (this.#log.fits(bytes.length) && this.#log.write(bytes) !== undefined) return true;
    // The other sector may be erased only while this one holds the record.
    if (this.#log.head > 0 && !this.#log.hasEntries) return false;
    return this.#log.openNext() && this.#log.write(bytes) !== undefined;
  }
}
