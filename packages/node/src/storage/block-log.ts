/**
 * Committed blocks with their certificates, by height: append-only segment files, never rewritten. The log is
 * the truth a node restarts from; executed state may lag behind it and is caught up from here.
 *
 * Heights have no gaps, but for one kind: a node that took over a snapshot goes on at the snapshot's height. The
 * segment that begins there says so in its name, so that no other hole passes for one.
 */
import { join } from 'node:path';
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Disk, Random } from '../ports.ts';
import { FrameFile, type FrameFileOptions } from './frame-file.ts';
import { indexPath, readIndex, sizeOf, writeIndex } from './index-file.ts';
import { OpenFiles } from './open-files.ts';

export interface BlockLogOptions {
  readonly disk: Disk;
  readonly folder: string;
  readonly random: Random;
  /** A segment is finished at the first sync that finds it this long. Default 64 MiB. */
  readonly segmentBytes?: number;
}

export interface StoredBlock {
  readonly height: number;
  /** Encoded block and certificate, as they were appended. */
  readonly block: Uint8Array;
  readonly certificate: Uint8Array;
}

/** Which blocks a file holds and where. */
interface Segment {
  readonly path: string;
  readonly number: number;
  /** The height it was begun for, when that does not follow the segment before. */
  readonly from: number | undefined;
  /** Height of its first block; meaningless while it has none. */
  first: number;
  /** Position in the file of height `first + i`; 32 bits, as segments stay far below 4 GiB. */
  offsets: Uint32Array;
  count: number;
  /** Size when finished; the newest segment's is its file's. */
  bytes: number;
}

const CERTIFICATE_BYTES_MAX = 64 * 1024;
const BODY_BYTES_MAX = LIMITS.blockBytesMax + CERTIFICATE_BYTES_MAX + 16;
const NAME = /^(\d{8})(?:-from-(\d+))?\.blocks$/;

export class BlockLog implements AsyncDisposable {
  readonly #options: Required<BlockLogOptions>;
  readonly #segments: Segment[];
  readonly #finished: OpenFiles;
  /** The file of the last segment. */
  #file: FrameFile;
  #folderIsDurable = false;
  #isRolling = false;

  private constructor(options: Required<BlockLogOptions>, segments: Segment[], file: FrameFile) {
    this.#options = options;
    this.#segments = segments;
    this.#file = file;
    this.#finished = new OpenFiles((path) =>
      openFile(options, { path, tornTailAllowed: false, trustedEnd: sizeOf({ disk: options.disk, path }) }),
    );
  }

  /** Recovers what was synced and drops a torn tail. Errors: `storage.corrupt`, `storage.full`, `storage.failed`. */
  static async open(options: BlockLogOptions): Promise<BlockLog> {
    const filled = { segmentBytes: 64 << 20, ...options };
    const { disk, folder } = filled;
    disk.makeFolder(folder);
    const names = disk.list(folder).filter((name) => NAME.test(name));
    const segments: Segment[] = [];
    let newest: FrameFile | undefined;
    for (const [i, name] of names.entries()) {
      const { segment, file } = openSegment(filled, name, i === names.length - 1);
      if (segment.from !== undefined && segment.count === 0) {
        // Begun for a snapshot whose block was not synced: as if it had never been.
        file?.close();
        removeSegment(disk, segment);
        newest = undefined;
        continue;
      }
      const previous = segments.at(-1);
      const expected = segment.from ?? (previous === undefined ? segment.first : endOf(previous));
      if (segment.count > 0 && expected !== segment.first) {
        throw new LedgerError('storage.corrupt', `blocks before ${segment.path} are missing`, {
          path: segment.path,
        });
      }
      segments.push(segment);
      newest = file;
    }
    const { segment, file } =
      newest === undefined
        ? beginSegment(filled, (segments.at(-1)?.number ?? 0) + 1)
        : { segment: segments.pop() as Segment, file: newest };
    const log = new BlockLog(filled, [...segments, segment], file);
    await log.sync();
    return log;
  }

  /** Height of the lowest stored block; 0 when empty. */
  get first(): number {
    return this.#segments.find(({ count }) => count > 0)?.first ?? 0;
  }

  /** The highest block reached from a stored one without a gap; 0 when that height is not stored. */
  runFrom(height: number): number {
    const at = this.#segments.findIndex(({ first, count }) => height >= first && height < first + count);
    let reached = at < 0 ? 0 : endOf(this.#segments[at] as Segment) - 1;
    for (const segment of at < 0 ? [] : this.#segments.slice(at + 1)) {
      if (segment.count === 0 || segment.first !== reached + 1) break;
      reached = endOf(segment) - 1;
    }
    return reached;
  }

  /** Height of the newest block; 0 when empty. */
  get last(): number {
    const newest = this.#segments.findLast(({ count }) => count > 0);
    return newest === undefined ? 0 : newest.first + newest.count - 1;
  }

  /** Bytes on disk, indexes not counted. */
  get size(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /**
   * Writes the next height (any height when empty); readable at once, durable after `sync`. Errors:
   * `storage.full` (the log is as before), `storage.failed`.
   */
  append(height: number, block: Uint8Array, certificate: Uint8Array): void {
    const { from, count } = this.#segments.at(-1) as Segment;
    const expected = count === 0 && from !== undefined ? from : this.last === 0 ? height : this.last + 1;
    if (height < 1 || height !== expected) throw new RangeError(`expected block ${expected}, got ${height}`);
    const body = new Writer(block.length + certificate.length + 16)
      .u53(height)
      .bytes(block)
      .bytes(certificate)
      .finish();
    const segment = this.#segments.at(-1) as Segment;
    const [offset] = this.#file.append([body]);
    push(segment, { height, offset: offset as number });
    segment.bytes = this.#file.end;
  }

  /** Resolves when every block appended before the call is durable. */
  async sync(): Promise<void> {
    await this.#file.sync();
    if (!this.#folderIsDurable) {
      this.#folderIsDurable = true;
      await this.#options.disk.syncFolder(this.#options.folder);
    }
    if (this.#file.end >= this.#options.segmentBytes && this.#file.isDurable && !this.#isRolling)
      await this.#roll();
  }

  /** Errors: `storage.corrupt` when the stored bytes do not have their checksum. */
  get(height: number): StoredBlock | undefined {
    const segment = this.#find(height);
    if (segment === undefined) return undefined;
    const file = segment === this.#segments.at(-1) ? this.#file : this.#finished.get(segment.path);
    const stored = decodeBody(file.read(segment.offsets[height - segment.first] as number));
    if (stored.height !== height)
      throw new LedgerError(
        'storage.corrupt',
        `${segment.path} holds ${stored.height} in place of ${height}`,
      );
    return stored;
  }

  /** Stored blocks from a height upwards, read one by one. */
  *entries(from = 1): Generator<StoredBlock> {
    for (let height = Math.max(from, this.first); height <= this.last && height > 0; height += 1) {
      const stored = this.get(height);
      if (stored !== undefined) yield stored;
    }
  }

  /**
   * Leaves a gap: the next block appended is `height`, above the newest one. After a crash before that block is synced
   * the log is as before.
   */
  async skipTo(height: number): Promise<void> {
    await this.sync();
    if (height <= this.last) throw new RangeError(`block ${height} is not above ${this.last}`);
    await this.#begin(height);
  }

  /**
   * Removes whole segments below a height, so that some blocks below it may stay; the newest block's always does.
   * Resolves with the lowest height kept when the files are gone.
   */
  async dropBelow(height: number): Promise<number> {
    // A gap is over when what lies before it is gone: its name no longer matters.
    while (endOf(this.#segments[0] as Segment) <= Math.min(height, this.last))
      this.#remove(this.#segments.shift() as Segment);
    await this.#options.disk.syncFolder(this.#options.folder);
    return this.first;
  }

  /** Where the lowest segment ends: asked for this height, `dropBelow` removes that one; 0 when it is the newest. */
  get firstEnd(): number {
    const lowest = this.#segments.find(({ count }) => count > 0);
    return lowest === undefined || endOf(lowest) > this.last ? 0 : endOf(lowest);
  }

  /** Removes what lies behind the gap above a height, if there is one. */
  async dropBehindGap(height: number): Promise<void> {
    const reached = Math.max(height, this.runFrom(height), this.runFrom(height + 1));
    const stale = this.#segments.filter(({ first, count }) => count > 0 && first > reached);
    if (stale.length === 0) return;
    this.#file.close();
    for (const segment of this.#segments.filter(({ count }) => count === 0)) this.#remove(segment);
    for (const segment of stale) this.#remove(segment);
    const kept = this.#segments.filter((segment) => segment.count > 0 && !stale.includes(segment));
    const number = Math.max(...this.#segments.map((segment) => segment.number)) + 1;
    const { segment, file } = beginSegment(this.#options, number);
    this.#segments.splice(0, this.#segments.length, ...kept, segment);
    this.#file = file;
    await file.sync();
    await this.#options.disk.syncFolder(this.#options.folder);
  }

  #remove(segment: Segment): void {
    this.#finished.close(segment.path);
    removeSegment(this.#options.disk, segment);
  }

  async close(): Promise<void> {
    await this.sync();
    this.#finished.closeAll();
    this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #find(height: number): Segment | undefined {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const segment = this.#segments[middle] as Segment;
      if (height < segment.first) high = middle - 1;
      else if (height >= segment.first + segment.count) low = middle + 1;
      else return segment;
    }
    return undefined;
  }

  /** Begins the next segment. Its name and header are durable before a block goes there. */
  async #roll(): Promise<void> {
    await this.#begin(undefined);
  }

  async #begin(from: number | undefined): Promise<void> {
    this.#isRolling = true;
    try {
      const finished = this.#segments.at(-1) as Segment;
      const { segment, file } = beginSegment(this.#options, finished.number + 1, from);
      await file.sync();
      await this.#options.disk.syncFolder(this.#options.folder);
      // Blocks that arrived meanwhile are in the old one: it goes on until a sync finds it durable.
      if (!this.#file.isDurable) return file.close();
      writeIndex({ disk: this.#options.disk, path: finished.path }, encodeIndex(finished));
      this.#file.close();
      this.#file = file;
      this.#segments.push(segment);
    } finally {
      this.#isRolling = false;
    }
  }
}

function beginSegment(
  options: Required<BlockLogOptions>,
  number: number,
  from?: number,
): { readonly segment: Segment; readonly file: FrameFile } {
  const gap = from === undefined ? '' : `-from-${from}`;
  const path = join(options.folder, `${String(number).padStart(8, '0')}${gap}.blocks`);
  const file = openFile(options, { path, tornTailAllowed: true });
  return {
    segment: { path, number, from, first: 0, offsets: new Uint32Array(64), count: 0, bytes: file.end },
    file,
  };
}

/** The file comes along for the newest segment only; the others are opened when read. */
function openSegment(
  options: Required<BlockLogOptions>,
  name: string,
  isLast: boolean,
): { readonly segment: Segment; readonly file: FrameFile | undefined } {
  const path = join(options.folder, name);
  const { disk } = options;
  const [, digits, gap] = NAME.exec(name) ?? [];
  const number = Number(digits);
  const from = gap === undefined ? undefined : Number(gap);
  // With its index a finished segment need not be read; each block is checked when it is asked for.
  const index = isLast ? undefined : readIndex({ disk, path });
  const known = index === undefined ? undefined : decodeIndex(index);
  if (known !== undefined && known.bytes === sizeOf({ disk, path }))
    return { segment: { path, number, from, ...known }, file: undefined };
  const offsets = new Uint32Array(64);
  const segment: Segment = { path, number, from, first: 0, offsets, count: 0, bytes: 0 };
  const visit = (body: Uint8Array, offset: number): void => {
    const { height } = decodeBody(body);
    if (segment.count > 0 && height !== segment.first + segment.count) {
      throw new LedgerError(
        'storage.corrupt',
        `${path} holds block ${height}, expected ${segment.first + segment.count}`,
        { path },
      );
    }
    push(segment, { height, offset });
  };
  const file = openFile(options, { path, tornTailAllowed: isLast, visit });
  segment.bytes = file.end;
  if (isLast) return { segment, file };
  file.close();
  writeIndex({ disk, path }, encodeIndex(segment));
  return { segment, file: undefined };
}

function openFile(
  options: Required<BlockLogOptions>,
  file: Pick<FrameFileOptions, 'path' | 'tornTailAllowed' | 'visit' | 'trustedEnd'>,
): FrameFile {
  return FrameFile.open({
    disk: options.disk,
    random: options.random,
    bodyBytesMax: BODY_BYTES_MAX,
    ...file,
  });
}

function removeSegment(disk: Disk, segment: Segment): void {
  disk.remove(segment.path);
  disk.remove(indexPath(segment.path));
}

/** The height after its last block. */
function endOf(segment: Segment): number {
  return segment.first + segment.count;
}

function push(segment: Segment, entry: { readonly height: number; readonly offset: number }): void {
  if (segment.count === 0) segment.first = entry.height;
  if (segment.count === segment.offsets.length) {
    const grown = new Uint32Array(2 * segment.offsets.length);
    grown.set(segment.offsets);
    segment.offsets = grown;
  }
  segment.offsets[segment.count] = entry.offset;
  segment.count += 1;
}

function decodeBody(body: Uint8Array): StoredBlock {
  const reader = new Reader(body);
  return {
    height: reader.u53(),
    block: reader.bytes(LIMITS.blockBytesMax),
    certificate: reader.bytes(CERTIFICATE_BYTES_MAX),
  };
}

/** u53 size of the file ‖ u53 first height ‖ u32 offsets. */
function encodeIndex(segment: Segment): Uint8Array {
  const writer = new Writer(16 + 4 * segment.count).u53(segment.bytes).u53(segment.first);
  for (let i = 0; i < segment.count; i += 1) writer.u32(segment.offsets[i] as number);
  return writer.finish();
}

function decodeIndex(index: Uint8Array): Pick<Segment, 'bytes' | 'first' | 'offsets' | 'count'> {
  const reader = new Reader(index);
  const [bytes, first, count] = [reader.u53(), reader.u53(), reader.remaining / 4];
  return { bytes, first, count, offsets: Uint32Array.from({ length: count }, () => reader.u32()) };
}
