/**
 * Entries one behind the other in a ring of flash sectors (spec DEVICE-1.2 to 1.4). Sectors are opened in turn, each with
 * a serial that names its place, so all wear alike; an entry counts when its check sum holds, so a write cut off anywhere
 * is one that never began. Of the flash nothing is kept in memory but where it ends.
 *
 * Sector: serial u32 ‖ CRC u32 of 0x53 and serial. Entry: mark, one unit, all ones until released ‖ length u16 ‖ CRC u32 of serial,
 * length and bytes ‖ bytes. Header and entries are padded with ones to whole units.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { aligned, crc32, ERASED, type Flash, type FlashRegion } from './flash.ts';

export interface EntryPlace {
  readonly serial: number;
  /** Bytes from the start of its sector. */
  readonly at: number;
}

export interface LogEntry extends EntryPlace {
  readonly bytes: Uint8Array;
  readonly isReleased: boolean;
  /** Where the one behind it begins. */
  readonly next: number;
}

const SECTOR_HEAD_BYTES = 8;
const ENTRY_HEAD_BYTES = 6;
const SECTOR_LETTER = 0x53;

/** How many entries of so many bytes a sector holds. */
export function entriesPerSector(flash: Pick<Flash, 'sectorBytes' | 'unitBytes'>, bytes: number): number {
  const { sectorBytes, unitBytes } = flash;
  const entry = unitBytes + aligned(ENTRY_HEAD_BYTES + bytes, unitBytes);
  return Math.floor((sectorBytes - aligned(SECTOR_HEAD_BYTES, unitBytes)) / entry);
}

export class SectorLog {
  readonly #flash: Flash;
  readonly #region: FlashRegion;
  /** Serial of the sector that is written to; 0 before the first. */
  #head = 0;
  /** Where in it the next entry goes. */
  #at: number;
  #hasEntries = false;

  constructor(flash: Flash, region: FlashRegion) {
    if (region.count < 2 || region.first + region.count > flash.sectors)
      throw new RangeError(`a log takes two sectors or more of ${flash.sectors}`);
    this.#flash = flash;
    this.#region = region;
    this.#at = flash.sectorBytes;
    this.#mount();
  }

  get sectors(): number {
    return this.#region.count;
  }

  get head(): number {
    return this.#head;
  }

  /** The oldest sector there may be; opening the next one erases it once the ring is full. */
  get oldest(): number {
    return Math.max(1, this.#head - this.#region.count + 1);
  }

  /** Of one entry, in a sector of its own. */
  get entryBytesMax(): number {
    const { sectorBytes, unitBytes } = this.#flash;
    const room = sectorBytes - aligned(SECTOR_HEAD_BYTES, unitBytes) - unitBytes - ENTRY_HEAD_BYTES;
    return Math.min(room - unitBytes, 0xffff - 1);
  }

  fits(length: number): boolean {
    return this.#at + this.#entryBytes(length) <= this.#flash.sectorBytes;
  }

  /** The next sector in turn; what it held is gone. False when the flash does not erase any more. */
  openNext(): boolean {
    const serial = this.#head + 1;
    const base = this.#base(serial);
    const { sectorBytes, unitBytes } = this.#flash;
    this.#flash.erase(base / sectorBytes);
    if (!this.#isBlank(base, sectorBytes)) return false;
    const head = this.#padded(sectorHead(serial), aligned(SECTOR_HEAD_BYTES, unitBytes));
    if (!this.#program(base, head)) return false;
    this.#head = serial;
    this.#at = head.length;
    this.#hasEntries = false;
    return true;
  }

  /**
   * Into the open sector, where it must fit, and read back. Undefined when the flash did not take it: the sector is then
   * written to no more.
   */
  write(bytes: Uint8Array): EntryPlace | undefined {
    if (!this.fits(bytes.length)) throw new RangeError(`no room for ${bytes.length} bytes`);
    const { unitBytes, sectorBytes } = this.#flash;
    const at = this.#at;
    const length = this.#entryBytes(bytes.length);
    const body = new Writer(length).u16(bytes.length).u32(entryCheck(this.#head, bytes)).raw(bytes).finish();
    // The mark stays as it was erased.
    if (!this.#program(this.#base(this.#head) + at + unitBytes, this.#padded(body, length - unitBytes))) {
      this.#at = sectorBytes;
      return undefined;
    }
    this.#at = at + length;
    this.#hasEntries = true;
    return { serial: this.#head, at };
  }

  /** Whether the open sector holds something; another must not be opened over what is older before it does. */
  get hasEntries(): boolean {
    return this.#hasEntries;
  }

  /** The first entry at a place or behind it, released or not. */
  from(place: EntryPlace): LogEntry | undefined {
    const start = Math.max(place.serial, this.oldest);
    for (let serial = start; serial <= this.#head; serial += 1) {
      if (!this.#isOpened(serial)) continue;
      const entry = this.#entry(serial, serial === place.serial ? place.at : 0);
      if (typeof entry === 'object') return entry;
    }
    return undefined;
  }

  /** Kept over a restart by clearing bits: nothing is erased for it. Twice is once. */
  release(entry: EntryPlace): void {
    const at = this.#base(entry.serial) + entry.at;
    this.#flash.program(at, new Uint8Array(this.#flash.unitBytes));
  }

  /** The newest that is whole. */
  last(): Uint8Array | undefined {
    for (let serial = this.#head; serial >= this.oldest; serial -= 1) {
      let last: LogEntry | undefined;
      for (let entry = this.from({ serial, at: 0 }); entry?.serial === serial;) {
        last = entry;
        entry = this.from({ serial, at: entry.next });
      }
      if (last !== undefined) return last.bytes;
    }
    return undefined;
  }

  /** Finds the open sector, and its end. */
  #mount(): void {
    for (let i = 0; i < this.#region.count; i += 1) {
      const base = (this.#region.first + i) * this.#flash.sectorBytes;
      const head = this.#flash.read(base, SECTOR_HEAD_BYTES);
      const serial = new DataView(head.buffer, head.byteOffset, 4).getUint32(0);
      const isWhole = equalBytes(head, sectorHead(serial)) && serial % this.#region.count === i;
      if (isWhole && serial > this.#head) this.#head = serial;
    }
    if (this.#head === 0) return;
    let entry = this.#entry(this.#head, 0);
    for (; typeof entry === 'object'; entry = this.#entry(this.#head, entry.next)) this.#hasEntries = true;
    if (entry !== 'torn') this.#at = entry;
    else if (!this.#hasEntries) {
      // Nothing in it is whole: the next one opened is this one again, and what is older stays.
      this.#head -= 1;
      this.#hasEntries = this.#head > 0;
    }
  }

  /** A number: nothing stands from there on. 'torn': what stands there was cut off, and nothing was written behind it. */
  #entry(serial: number, from: number): LogEntry | number | 'torn' {
    const { sectorBytes, unitBytes } = this.#flash;
    const base = this.#base(serial);
    const at = Math.max(from, aligned(SECTOR_HEAD_BYTES, unitBytes));
    if (at + unitBytes + ENTRY_HEAD_BYTES > sectorBytes) return at;
    const head = this.#flash.read(base + at, unitBytes + ENTRY_HEAD_BYTES);
    if (head.every((byte) => byte === ERASED))
      return this.#isBlank(base + at, sectorBytes - at) ? at : 'torn';
    const view = new DataView(head.buffer, head.byteOffset + unitBytes, ENTRY_HEAD_BYTES);
    const length = view.getUint16(0);
    const next = at + this.#entryBytes(length);
    if (next > sectorBytes) return 'torn';
    const bytes = this.#flash.read(base + at + unitBytes + ENTRY_HEAD_BYTES, length);
    if (view.getUint32(2) !== entryCheck(serial, bytes)) return 'torn';
    const isReleased = head.subarray(0, unitBytes).some((byte) => byte !== ERASED);
    return { serial, at, bytes, isReleased, next };
  }

  #isOpened(serial: number): boolean {
    return equalBytes(this.#flash.read(this.#base(serial), SECTOR_HEAD_BYTES), sectorHead(serial));
  }

  #base(serial: number): number {
    return (this.#region.first + (serial % this.#region.count)) * this.#flash.sectorBytes;
  }

  #entryBytes(length: number): number {
    const { unitBytes } = this.#flash;
    return unitBytes + aligned(ENTRY_HEAD_BYTES + length, unitBytes);
  }

  #isBlank(at: number, length: number): boolean {
    return this.#flash.read(at, length).every((byte) => byte === ERASED);
  }

  #padded(bytes: Uint8Array, length: number): Uint8Array {
    const padded = new Uint8Array(length).fill(ERASED);
    padded.set(bytes);
    return padded;
  }

  /** Programs and reads back. */
  #program(at: number, bytes: Uint8Array): boolean {
    this.#flash.program(at, bytes);
    return equalBytes(this.#flash.read(at, bytes.length), bytes);
  }
}

/** Over four erased bytes alone the sum is all ones as well, and an erased sector would pass: hence the letter before them. */
function sectorHead(serial: number): Uint8Array {
  const check = crc32(new Writer(5).u8(SECTOR_LETTER).u32(serial).finish());
  return new Writer(SECTOR_HEAD_BYTES).u32(serial).u32(check).finish();
}

/** With the serial in it, nothing of an earlier lap passes. */
function entryCheck(serial: number, bytes: Uint8Array): number {
  return crc32(new Writer(6 + bytes.length).u32(serial).u16(bytes.length).raw(bytes).finish());
}
