/**
 * The one thing the device SDK asks of its board: NOR flash as data sheets have it. Calls return when the chip has done
 * what was asked; nothing here waits, allocates by size of the flash, or knows the time (spec DEVICE-1).
 */

export interface Flash {
  /** Bytes that are erased together. */
  readonly sectorBytes: number;
  readonly sectors: number;
  /**
   * Bytes that are programmed together, a power of two: 1 for serial NOR, 8 or 16 on chips with error correction. What
   * was programmed once may only be programmed again to all zeros.
   */
  readonly unitBytes: number;
  read(at: number, length: number): Uint8Array;
  /** Clears bits. Place and length are multiples of the unit. */
  program(at: number, bytes: Uint8Array): void;
  /** Sets every bit of the sector. */
  erase(sector: number): void;
}

/** A stretch of sectors with one use. */
export interface FlashRegion {
  readonly first: number;
  readonly count: number;
}

export const ERASED = 0xff;

/** The next multiple of the unit. */
export function aligned(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** CRC-32 of IEEE 802.3, bit by bit: a table would take 1 KiB. Against torn writes and worn cells, not against people. */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
