/**
 * An append-only file of checksummed frames: the one on-disk form under the write-ahead log, the block log
 * and the segments.
 *
 *   file   = "ITCF" ‖ u32 version ‖ u32 marker ‖ u32 crc of the 12 bytes before, then frames
 *   frame  = u32 marker ‖ u32 length ‖ u32 distance ‖ u32 crc of length, distance and body ‖ body
 *
 * The marker is random per file, so nobody outside can craft bytes that look like a frame. `distance` counts
 * back to where the file was known to be durable when the frame was written. It separates the two reasons for
 * a bad frame: if a good frame further on was written when the bad one was already durable, the disk has
 * rotted (`storage.corrupt`); if not, power failed while both were on their way, and the tail is dropped.
 * Rot inside the last durable batch looks like the latter; no log without an outside witness can tell.
 */
import { crc32 } from 'node:zlib';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Disk, DiskFile, Random } from '../ports.ts';

const MAGIC = 0x49_54_43_46;
const VERSION = 1;
const HEADER_BYTES = 16;
export const FRAME_OVERHEAD_BYTES = 16;
const WINDOW_BYTES = 1 << 20;

export interface FrameFileOptions {
  readonly disk: Disk;
  readonly path: string;
  readonly random: Random;
  /** Bound on one body. */
  readonly bodyBytesMax: number;
  /** False for a file that was complete before its successor was begun: there a torn tail is corruption too. */
  readonly tornTailAllowed?: boolean;
  /** Skips reading the frames of a file whose index says it ends here; `visit` is then not called. */
  readonly trustedEnd?: number;
  /** Called for each frame in order while opening. The body is a view: copy what is kept. */
  readonly visit?: (body: Uint8Array, offset: number) => void;
}

/** A body in one piece, or the pieces it is laid out from. */
export type FrameBody = Uint8Array | readonly Uint8Array[];

/**
 * Frames are laid out here on their way to the disk: writing is synchronous, so one room is enough for all files. A fresh one
 * each time would be garbage outside the heap, of which the collector hears late and then marks everything.
 */
const ROOM_BYTES = 1 << 18;
let room: Uint8Array | undefined;

function roomOf(length: number): Uint8Array {
  if (length > ROOM_BYTES) return new Uint8Array(length);
  room ??= new Uint8Array(ROOM_BYTES);
  return room.subarray(0, length);
}

export class FrameFile {
  readonly path: string;
  /** Bytes dropped at opening because power failed while they were written. */
  readonly droppedBytes: number;
  readonly #file: DiskFile;
  readonly #marker: number;
  readonly #bodyBytesMax: number;
  #end: number;
  #durableEnd: number;
  #broken: unknown;

  private constructor(
    options: FrameFileOptions,
    file: DiskFile,
    recovered: { marker: number; end: number; dropped: number },
  ) {
    this.path = options.path;
    this.#file = file;
    this.#bodyBytesMax = options.bodyBytesMax;
    this.#marker = recovered.marker;
    this.#end = recovered.end;
    this.droppedBytes = recovered.dropped;
    // What was found may so far be only in the page cache (the process died, the machine did not): nothing counts
    // as durable before the first sync.
    this.#durableEnd = 0;
  }

  /** Opens or creates; drops a torn tail. Errors: `storage.corrupt`, `storage.full`, `storage.failed`. */
  static open(options: FrameFileOptions): FrameFile {
    const file = options.disk.open(options.path);
    try {
      const found = readHeader(file, options);
      if (found === undefined) {
        const marker = newMarker(options.random);
        file.truncate(0);
        file.write(encodeHeader(marker), 0);
        return new FrameFile(options, file, { marker, end: HEADER_BYTES, dropped: 0 });
      }
      const { end, dropped } =
        options.trustedEnd === undefined
          ? recover(file, found, options)
          : { end: options.trustedEnd, dropped: 0 };
      return new FrameFile(options, file, { marker: found, end, dropped });
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Offset of the next frame, and the size of the file. */
  get end(): number {
    return this.#end;
  }

  get isDurable(): boolean {
    return this.#durableEnd === this.#end;
  }

  get isEmpty(): boolean {
    return this.#end === HEADER_BYTES;
  }

  /**
   * Writes frames in one go and returns their offsets; durable after `sync`, which must have been called once
   * before. All or none: on `storage.full` the file is as before and can be used on.
   */
  append(bodies: readonly FrameBody[]): number[] {
    this.#assertUsable();
    if (this.#durableEnd === 0)
      throw new RangeError('sync a file before the first append: its header must be durable');
    let length = 0;
    for (const body of bodies) {
      const size = bodyBytes(body);
      if (size > this.#bodyBytesMax)
        throw new RangeError(`a frame holds at most ${this.#bodyBytesMax} bytes, got ${size}`);
      length += FRAME_OVERHEAD_BYTES + size;
    }
    const written = roomOf(length);
    const view = viewOf(written);
    const offsets: number[] = [];
    let at = 0;
    for (const body of bodies) {
      const offset = this.#end + at;
      const bodyAt = at + FRAME_OVERHEAD_BYTES;
      let end = bodyAt;
      for (const piece of piecesOf(body)) {
        written.set(piece, end);
        end += piece.length;
      }
      view.setUint32(at, this.#marker);
      view.setUint32(at + 4, end - bodyAt);
      view.setUint32(at + 8, offset - this.#durableEnd);
      const sum = checksum(this.#marker, written.subarray(at + 4, at + 12), written.subarray(bodyAt, end));
      view.setUint32(at + 12, sum);
      offsets.push(offset);
      at = end;
    }
    try {
      this.#file.write(written, this.#end);
    } catch (error) {
      this.#undo();
      throw error;
    }
    this.#end += length;
    return offsets;
  }

  /** The body of the frame at an offset that `append` or `visit` gave. Errors: `storage.corrupt`. */
  read(offset: number): Uint8Array {
    const head = this.#file.read(offset, FRAME_OVERHEAD_BYTES);
    const length = head.length === FRAME_OVERHEAD_BYTES ? viewOf(head).getUint32(4) : Number.NaN;
    if (!(length <= this.#bodyBytesMax)) throw corrupt(this.path, offset);
    const body = this.#file.read(offset + FRAME_OVERHEAD_BYTES, length);
    if (!frameHolds(this.#marker, head, body)) throw corrupt(this.path, offset);
    return body;
  }

  /** The first bytes of that body, unchecked: for asking which frame this is. */
  peek(offset: number, length: number): Uint8Array {
    return this.#file.read(offset + FRAME_OVERHEAD_BYTES, length);
  }

  /**
   * Resolves when everything appended before the call is durable. After a failed sync nobody knows what the
   * device holds, and asking again may lie (fsyncgate, 2018): the file refuses further writes until reopened.
   */
  async sync(): Promise<void> {
    this.#assertUsable();
    const end = this.#end;
    if (end === this.#durableEnd) return;
    try {
      await this.#file.sync();
    } catch (error) {
      this.#broken = error;
      throw error;
    }
    this.#durableEnd = Math.max(this.#durableEnd, end);
  }

  close(): void {
    this.#file.close();
  }

  #undo(): void {
    try {
      this.#file.truncate(this.#end);
    } catch (error) {
      this.#broken = error;
    }
  }

  #assertUsable(): void {
    if (this.#broken !== undefined) {
      throw new LedgerError(
        'storage.failed',
        `${this.path} failed before and has to be opened again`,
        { path: this.path },
        this.#broken,
      );
    }
  }
}

function encodeHeader(marker: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = viewOf(header);
  view.setUint32(0, MAGIC);
  view.setUint32(4, VERSION);
  view.setUint32(8, marker);
  view.setUint32(12, crc32(header.subarray(0, 12)));
  return header;
}

/** Never zero: a hole in a file reads as zeros. */
function newMarker(random: Random): number {
  return (viewOf(random.bytes(4)).getUint32(0) | 1) >>> 0;
}

/** The file's marker, or undefined when the file was never completed: nothing can have been stored in it. */
function readHeader(file: DiskFile, options: FrameFileOptions): number | undefined {
  const header = file.read(0, HEADER_BYTES);
  const view = viewOf(header);
  const isWhole =
    header.length === HEADER_BYTES &&
    view.getUint32(0) === MAGIC &&
    view.getUint32(12) === crc32(header.subarray(0, 12));
  if (isWhole && view.getUint32(4) !== VERSION) {
    throw new LedgerError(
      'storage.corrupt',
      `${options.path} has version ${view.getUint32(4)}, expected ${VERSION}`,
      { path: options.path },
    );
  }
  if (isWhole) return view.getUint32(8);
  // Frames follow a header only once it is durable, so a header that is damaged above them was not torn: it rotted.
  if (options.tornTailAllowed === false || file.size() > HEADER_BYTES) throw corrupt(options.path, 0);
  return undefined;
}

function recover(
  file: DiskFile,
  marker: number,
  options: FrameFileOptions,
): { end: number; dropped: number } {
  const window = new Window(file);
  let at = HEADER_BYTES;
  for (;;) {
    const body = frameAt(window, at, marker, options.bodyBytesMax);
    if (body === undefined) break;
    options.visit?.(body, at);
    at += FRAME_OVERHEAD_BYTES + body.length;
  }
  const dropped = window.size - at;
  if (dropped === 0) return { end: at, dropped };
  if (options.tornTailAllowed === false || wasDurable(window, at, marker, options.bodyBytesMax))
    throw corrupt(options.path, at);
  file.truncate(at);
  return { end: at, dropped };
}

/** Whether a good frame behind a bad one shows that the bad one had been durable. */
function wasDurable(window: Window, bad: number, marker: number, bodyBytesMax: number): boolean {
  let at = bad + 1;
  while (at + FRAME_OVERHEAD_BYTES <= window.size) {
    const found = window.find(marker, at);
    if (found === undefined) return false;
    const body = frameAt(window, found, marker, bodyBytesMax);
    if (body === undefined) {
      at = found + 1;
      continue;
    }
    if (found - viewOf(window.bytes(found, FRAME_OVERHEAD_BYTES)).getUint32(8) > bad) return true;
    at = found + FRAME_OVERHEAD_BYTES + body.length;
  }
  return false;
}

function frameAt(window: Window, at: number, marker: number, bodyBytesMax: number): Uint8Array | undefined {
  if (at + FRAME_OVERHEAD_BYTES > window.size) return undefined;
  const length = viewOf(window.bytes(at, FRAME_OVERHEAD_BYTES)).getUint32(4);
  if (length > bodyBytesMax || at + FRAME_OVERHEAD_BYTES + length > window.size) return undefined;
  const frame = window.bytes(at, FRAME_OVERHEAD_BYTES + length);
  const body = frame.subarray(FRAME_OVERHEAD_BYTES);
  return frameHolds(marker, frame.subarray(0, FRAME_OVERHEAD_BYTES), body) ? body : undefined;
}

function frameHolds(marker: number, head: Uint8Array, body: Uint8Array): boolean {
  const view = viewOf(head);
  return (
    view.getUint32(0) === marker &&
    view.getUint32(4) === body.length &&
    view.getUint32(12) === checksum(marker, head.subarray(4, 12), body)
  );
}

/** Seeded with the marker; CRC-32 as in zlib, which Node computes natively. */
function checksum(marker: number, lengthAndDistance: Uint8Array, body: Uint8Array): number {
  return crc32(body, crc32(lengthAndDistance, marker));
}

const piecesOf = (body: FrameBody): readonly Uint8Array[] => (body instanceof Uint8Array ? [body] : body);

/** Bytes of a body in pieces. */
export function bodyBytes(body: FrameBody): number {
  return body instanceof Uint8Array ? body.length : body.reduce((sum, { length }) => sum + length, 0);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function corrupt(path: string, offset: number): LedgerError {
  return new LedgerError(
    'storage.corrupt',
    `${path} is damaged at byte ${offset}; restore it from a backup or sync this node anew`,
    { path, offset },
  );
}

/** Reads a file through a sliding buffer. */
class Window {
  readonly size: number;
  readonly #file: DiskFile;
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;

  constructor(file: DiskFile) {
    this.#file = file;
    this.size = file.size();
  }

  /** The range must lie inside the file. */
  bytes(at: number, length: number): Uint8Array {
    if (at < this.#start || at + length > this.#start + this.#bytes.length) {
      this.#bytes = this.#file.read(at, Math.max(length, Math.min(WINDOW_BYTES, this.size - at)));
      this.#start = at;
    }
    return this.#bytes.subarray(at - this.#start, at - this.#start + length);
  }

  /** Where the marker occurs next, from `at` on. */
  find(marker: number, at: number): number | undefined {
    const wanted = new Uint8Array(4);
    viewOf(wanted).setUint32(0, marker);
    for (let from = at; from + 4 <= this.size; from += WINDOW_BYTES - 3) {
      const bytes = this.bytes(from, Math.min(WINDOW_BYTES, this.size - from));
      const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(wanted);
      if (found >= 0) return from + found;
    }
    return undefined;
  }
}
