/**
 * The index of a finished file, kept beside it as `NAME.idx` = u32 crc ‖ index: written without a sync and
 * checked by its checksum, because losing it costs a scan and nothing else.
 */
import { crc32 } from 'node:zlib';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Disk } from '../ports.ts';

export interface FilePlace {
  readonly disk: Disk;
  readonly path: string;
}

const CHECKSUM_BYTES = 4;
/** Not zero, so that a file of zeros is no index. */
const CHECKSUM_SEED = 1;

export function writeIndex(place: FilePlace, index: Uint8Array): void {
  const bytes = new Uint8Array(CHECKSUM_BYTES + index.length);
  new DataView(bytes.buffer).setUint32(0, crc32(index, CHECKSUM_SEED));
  bytes.set(index, CHECKSUM_BYTES);
  const path = indexPath(place.path);
  place.disk.remove(path);
  try {
    const file = place.disk.open(path);
    try {
      file.write(bytes, 0);
    } finally {
      file.close();
    }
  } catch (error) {
    // No room for an index is no reason to refuse what it would index.
    if (!(error instanceof LedgerError)) throw error;
    place.disk.remove(path);
  }
}

/** The index as written, or undefined when there is none that can be trusted. */
export function readIndex(place: FilePlace): Uint8Array | undefined {
  const file = place.disk.open(indexPath(place.path));
  try {
    const bytes = file.read(0, file.size());
    const index = bytes.subarray(CHECKSUM_BYTES);
    const isWhole =
      bytes.length >= CHECKSUM_BYTES &&
      new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) === crc32(index, CHECKSUM_SEED);
    return isWhole ? index : undefined;
  } finally {
    file.close();
  }
}

export const indexPath = (path: string): string => `${path}.idx`;

export function sizeOf(place: FilePlace): number {
  const file = place.disk.open(place.path);
  try {
    return file.size();
  } finally {
    file.close();
  }
}
