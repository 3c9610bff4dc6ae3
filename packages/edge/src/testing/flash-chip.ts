/** A NOR flash as its data sheet has it, whose power can be cut between any two bytes. */
import { aligned, ERASED, type Flash } from '../device-sdk/flash.ts';

export class PowerCut extends Error {}

export class FlashChip implements Flash {
  readonly sectorBytes: number;
  readonly sectors: number;
  readonly unitBytes: number;
  /** Erasures of each sector. */
  readonly wear: number[];
  /** Bytes that were programmed or erased since it was made. */
  touched = 0;
  /** Erasures that the power was cut in. */
  tornErasures = 0;
  readonly #bytes: Uint8Array;
  /** Units that were programmed since their erasure, and those that were voided. */
  readonly #written: Uint8Array;
  #cutAt = Number.POSITIVE_INFINITY;
  #isOff = false;

  constructor(o: { readonly sectorBytes: number; readonly sectors: number; readonly unitBytes?: number }) {
    this.sectorBytes = o.sectorBytes;
    this.sectors = o.sectors;
    this.unitBytes = o.unitBytes ?? 1;
    this.wear = Array.from({ length: o.sectors }, () => 0);
    // As delivered: what stands in it is anything.
    this.#bytes = new Uint8Array(o.sectors * o.sectorBytes).fill(0x5a);
    this.#written = new Uint8Array(this.#bytes.length / this.unitBytes).fill(1);
  }

  /** Another chip with the same in it. */
  copy(): FlashChip {
    const chip = new FlashChip(this);
    chip.#bytes.set(this.#bytes);
    chip.#written.set(this.#written);
    return chip;
  }

  /** The power goes while the byte after so many more is being changed. */
  cutAfter(bytes: number): void {
    this.#cutAt = this.touched + bytes;
  }

  powerOn(): void {
    this.#cutAt = Number.POSITIVE_INFINITY;
    this.#isOff = false;
  }

  read(at: number, length: number): Uint8Array {
    this.#assertOn();
    if (at < 0 || at + length > this.#bytes.length) throw new RangeError('read beyond the flash');
    return this.#bytes.slice(at, at + length);
  }

  program(at: number, bytes: Uint8Array): void {
    this.#assertOn();
    const { unitBytes } = this;
    if (at % unitBytes !== 0 || bytes.length !== aligned(bytes.length, unitBytes))
      throw new Error('programmed across units');
    for (let i = 0; i < bytes.length; i += unitBytes) {
      const unit = bytes.subarray(i, i + unitBytes);
      const place = (at + i) / unitBytes;
      // Chips with error correction take a unit once, and zeros at any time; all ones change nothing.
      if (unit.some((byte) => byte !== 0) && unit.some((byte) => byte !== ERASED)) {
        if (this.#written[place] === 1) throw new Error(`unit ${place} was programmed twice`);
      }
      if (unit.some((byte) => byte !== ERASED)) this.#written[place] = 1;
      for (const [k, byte] of unit.entries()) this.#change(at + i + k, byte);
    }
  }

  erase(sector: number): void {
    this.#assertOn();
    if (sector < 0 || sector >= this.sectors) throw new RangeError(`no sector ${sector}`);
    this.wear[sector] = (this.wear[sector] ?? 0) + 1;
    const base = sector * this.sectorBytes;
    try {
      for (let i = 0; i < this.sectorBytes; i += 1) {
        this.#step(() => {
          this.#bytes[base + i] = (this.#bytes[base + i] as number) | 0xa5;
        });
        this.#bytes[base + i] = ERASED;
      }
    } catch (cut) {
      this.tornErasures += 1;
      throw cut;
    }
    this.#written.fill(0, base / this.unitBytes, (base + this.sectorBytes) / this.unitBytes);
  }

  #change(at: number, byte: number): void {
    const before = this.#bytes[at] as number;
    // A byte that is cut off has some of its bits.
    this.#step(() => {
      this.#bytes[at] = before & (byte | 0x6c);
    });
    this.#bytes[at] = before & byte;
  }

  #step(torn: () => void): void {
    if (this.touched >= this.#cutAt) {
      torn();
      this.#isOff = true;
      throw new PowerCut('the power is gone');
    }
    this.touched += 1;
  }

  #assertOn(): void {
    if (this.#isOff) throw new PowerCut('the power is gone');
  }
}
