/** A flash chip in a file: what simulated devices keep (spec EDGE-10.5). */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { ERASED, type Flash } from '../device-sdk/flash.ts';

const SECTOR_BYTES = 4_096;
/** 256 KiB: a hundredth of what small boards have. */
const SECTORS = 64;

export class FileFlash implements Flash {
  readonly sectorBytes = SECTOR_BYTES;
  readonly sectors = SECTORS;
  readonly unitBytes = 1;
  readonly #path: string;
  readonly #file: number;
  /** As in the file: reading costs nothing on a board either. */
  readonly #bytes = new Uint8Array(SECTORS * SECTOR_BYTES).fill(ERASED);

  /**
   * A new one is blank; one that was cut short is blank behind its end. Errors: `storage.failed`.
   * @param isDurable what was written outlives a loss of power of the host; otherwise the end of the process
   */
  constructor(path: string, isDurable = true) {
    this.#path = path;
    try {
      mkdirSync(dirname(path), { recursive: true });
      const { O_RDWR, O_CREAT, O_DSYNC } = constants;
      this.#file = openSync(path, O_RDWR | O_CREAT | (isDurable ? O_DSYNC : 0), 0o600);
      const { size } = fstatSync(this.#file);
      const length = Math.min(size, this.#bytes.length);
      readSync(this.#file, this.#bytes, 0, length, 0);
      if (length < this.#bytes.length)
        writeSync(this.#file, this.#bytes, length, this.#bytes.length - length, length);
    } catch (error) {
      throw new LedgerError('storage.failed', 'cannot open the flash of a device', { path }, error);
    }
  }

  read(at: number, length: number): Uint8Array {
    return this.#bytes.slice(at, at + length);
  }

  program(at: number, bytes: Uint8Array): void {
    for (const [i, byte] of bytes.entries()) this.#bytes[at + i] = (this.#bytes[at + i] as number) & byte;
    this.#write(at, bytes.length);
  }

  erase(sector: number): void {
    const at = sector * SECTOR_BYTES;
    this.#bytes.fill(ERASED, at, at + SECTOR_BYTES);
    this.#write(at, SECTOR_BYTES);
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(at: number, length: number): void {
    try {
      writeSync(this.#file, this.#bytes, at, length, at);
    } catch (error) {
      throw new LedgerError(
        'storage.failed',
        'cannot write the flash of a device',
        { path: this.#path },
        error,
      );
    }
  }
}
