/**
 * The state roots of headers this device believed lately, in flash alone (spec DEVICE-1.6): what was proved under one of
 * them needs no certificate again. 256 of them are 8 KiB, in four sectors of 4 KiB with their heights and check sums.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { height, type Height } from '@itc/core/ledger/ids.js';
import type { Flash, FlashRegion } from './flash.ts';
import { entriesPerSector, SectorLog } from './sector-log.ts';

export const RECENT_ROOTS = 256;
/** Height u53 ‖ root 32. */
const ROOT_BYTES = 40;

export interface BelievedRoot {
  readonly height: Height;
  readonly stateRoot: Hash;
}

/** Sectors that hold `RECENT_ROOTS` while one more is being written. */
export function rootSectors(flash: Pick<Flash, 'sectorBytes' | 'unitBytes'>): number {
  return Math.ceil(RECENT_ROOTS / entriesPerSector(flash, ROOT_BYTES)) + 1;
}

export class RecentRoots {
  readonly #log: SectorLog;

  constructor(flash: Flash, region: FlashRegion) {
    this.#log = new SectorLog(flash, region);
  }

  /** False: the flash did not take it. */
  add(root: BelievedRoot): boolean {
    const bytes = new Writer(ROOT_BYTES).u53(root.height).fixed(root.stateRoot, HASH_BYTES).finish();
    if (this.#log.fits(bytes.length) && this.#log.write(bytes) !== undefined) return true;
    return this.#log.openNext() && this.#log.write(bytes) !== undefined;
  }

  /** The height a root was believed at, or undefined: at least the last 256 are known. */
  heightOf(stateRoot: Hash): Height | undefined {
    for (let entry = this.#log.from({ serial: 1, at: 0 }); entry !== undefined;) {
      const read = decode(
        (reader) => ({ height: height(reader.u53()), stateRoot: asHash(reader.fixed(HASH_BYTES)) }),
        entry.bytes,
      );
      if (read.ok && equalBytes(read.value.stateRoot, stateRoot)) return read.value.height;
      entry = this.#log.from({ serial: entry.serial, at: entry.next });
    }
    return undefined;
  }
}
