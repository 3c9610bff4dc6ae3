/**
 * What a crash in the middle of a write leaves behind: a frame that was begun and not finished, after everything that
 * was durable. The frames before it are not touched: losing those would be a lost disk, which is another fault.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const MAGIC = 'ITCF';
const MARKER_AT = 8;
const BODY_BYTES = 700;

/** Appends the beginning of a frame to the newest file of each kind below the folder; returns how many were torn. */
export function tearTails(folder: string, random: () => number): number {
  const newest = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(?:log|blocks)$/.test(entry.name)) continue;
    const kind = `${entry.parentPath}/${entry.name.replace(/\d+/g, '')}`;
    const path = join(entry.parentPath, entry.name);
    // Names hold numbers of equal width, so the greatest name is the newest file.
    if (path > (newest.get(kind) ?? '')) newest.set(kind, path);
  }
  let torn = 0;
  for (const path of newest.values()) if (tear(path, random)) torn += 1;
  return torn;
}

function tear(path: string, random: () => number): boolean {
  const file = openSync(path, 'r+');
  try {
    const header = Buffer.alloc(MARKER_AT + 4);
    if (readSync(file, header, 0, header.length, 0) < header.length) return false;
    if (header.toString('latin1', 0, 4) !== MAGIC) return false;
    const frame = Buffer.alloc(16 + BODY_BYTES, 0xa5);
    header.copy(frame, 0, MARKER_AT);
    frame.writeUInt32BE(BODY_BYTES, 4);
    frame.writeUInt32BE(0, 8);
    writeSync(file, frame, 0, 1 + Math.floor(random() * (frame.length - 1)), fstatSync(file).size);
    return true;
  } finally {
    closeSync(file);
  }
}
