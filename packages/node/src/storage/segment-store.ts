/**
 * Bodies of the DAG (envelopes with their payloads) by hash, in append-only segments that end with a
 * checkpoint. Pruning unlinks whole files: it costs nothing per body and leaves nothing to compact.
 */
import { join } from 'node:path';
import { Writer } from '@itc/core/bytes/writer.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Disk, Random } from '../ports.ts';
import { FrameFile } from './frame-file.ts';
import { HashIndex, type Place } from './hash-index.ts';
import { indexPath, readIndex, sizeOf, writeIndex, type FilePlace } from './index-file.ts';
import { OpenFiles } from './open-files.ts';

export interface SegmentStoreOptions {
  readonly disk: Disk;
  readonly folder: string;
  readonly random: Random;
  /** Checkpoints with little in them share a segment until it has this size. Default 4 MiB. */
  readonly segmentBytesMin?: number;
}

interface Sealed {
  readonly number: number;
  /** The last checkpoint whose bodies may be in it; infinite when its seal was lost with the power. */
  checkpoint: number;
  readonly bytes: number;
}

interface Current {
  readonly number: number;
  readonly file: FrameFile;
  /** What its index will hold once it is sealed. */
  readonly bodies: { readonly prefix: Uint8Array; readonly offset: number }[];
}

const BODY_BYTES_MAX = LIMITS.envelopeBytesMax + LIMITS.envelopePayloadsMax * 4 + 64;
const SEAL_KIND = 0;
const BODY_KIND = 1;
/** Bytes of a hash that an index keeps. */
const PREFIX_BYTES = 8;
/** Of an index file: checksum, end and checkpoint; and for each body. */
const INDEX_HEAD_BYTES = 20;
const INDEX_BODY_BYTES = PREFIX_BYTES + 4;
const NAME = /^(\d{12})\.segment$/;

export class SegmentStore implements AsyncDisposable {
  readonly #options: Required<SegmentStoreOptions>;
  readonly #index: HashIndex;
  readonly #sealed: Sealed[] = [];
  readonly #sealedFiles: OpenFiles;
  #current: Current;
  #folderIsDurable = false;
  /** The sync of a segment that is being sealed: what was put before it waits for it too. */
  #sealing: Promise<void> = Promise.resolve();
  #isSealing = false;

  private constructor(options: Required<SegmentStoreOptions>) {
    this.#options = options;
    this.#index = new HashIndex(options.random);
    const { disk, folder, random } = options;
    this.#sealedFiles = new OpenFiles((path) =>
      FrameFile.open({
        disk,
        random,
        path,
        bodyBytesMax: BODY_BYTES_MAX,
        trustedEnd: sizeOf({ disk, path }),
      }),
    );
    const numbers = disk
      .list(folder)
      .flatMap((name) => (NAME.test(name) ? [Number(NAME.exec(name)?.[1])] : []));
    let current: Current | undefined;
    for (const [i, number] of numbers.entries()) current = this.#load(number, i === numbers.length - 1);
    this.#current = current ?? this.#begin((numbers.at(-1) ?? 0) + 1);
    // A segment without a seal is kept as long as the one after it.
    for (let i = this.#sealed.length - 2; i >= 0; i -= 1) {
      const [segment, next] = [this.#sealed[i] as Sealed, this.#sealed[i + 1] as Sealed];
      if (segment.checkpoint === Number.POSITIVE_INFINITY) segment.checkpoint = next.checkpoint;
    }
  }

  /** Recovers what was synced. Errors: `storage.corrupt`, `storage.full`, `storage.failed`. */
  static async open(options: SegmentStoreOptions): Promise<SegmentStore> {
    options.disk.makeFolder(options.folder);
    const store = new SegmentStore({ segmentBytesMin: 4 << 20, ...options });
    await store.sync();
    return store;
  }

  get count(): number {
    return this.#index.count;
  }

  /** Bytes on disk, with the indexes of finished segments. */
  get size(): number {
    const files = this.#sealed.reduce((sum, { bytes }) => sum + bytes, this.#current.file.end);
    return files + this.#sealed.length * INDEX_HEAD_BYTES + this.#index.count * INDEX_BODY_BYTES;
  }

  has(hash: Hash): boolean {
    return this.#find(hash) !== undefined;
  }

  /** Readable at once, durable after `sync`; a hash already stored is passed over. Errors: `storage.full` (nothing changed), `storage.failed`. */
  put(hash: Hash, body: Uint8Array): void {
    if (this.has(hash)) return;
    const { file, number, bodies } = this.#current;
    const head = new Writer(1 + HASH_BYTES).u8(BODY_KIND).fixed(hash, HASH_BYTES).finish();
    const [offset] = file.append([[head, body]]);
    this.#index.add(hash, { segment: number, offset: offset as number });
    bodies.push({ prefix: hash.slice(0, PREFIX_BYTES), offset: offset as number });
  }

  /** The body as it was put. Errors: `storage.corrupt`. */
  get(hash: Hash): Uint8Array | undefined {
    const place = this.#find(hash);
    return place === undefined
      ? undefined
      : this.#fileOf(place.segment)
          .read(place.offset)
          .subarray(1 + HASH_BYTES);
  }

  /** Resolves when everything put before the call is durable. After `storage.failed` the store has to be opened again. */
  async sync(): Promise<void> {
    await Promise.all([this.#sealing, this.#current.file.sync()]);
    if (this.#folderIsDurable) return;
    this.#folderIsDurable = true;
    await this.#options.disk.syncFolder(this.#options.folder);
  }

  /**
   * Notes that a checkpoint became final: what arrived up to now belongs to it or to one before. Makes
   * everything durable; a segment that is large enough is finished and a new one begins.
   */
  async seal(checkpoint: number): Promise<void> {
    const { file, number, bodies } = this.#current;
    if (file.end < this.#options.segmentBytesMin || this.#isSealing) return this.sync();
    this.#isSealing = true;
    try {
      const next = this.#begin(number + 1);
      // Its name and header are durable before anything is put there.
      await next.file.sync();
      await this.#options.disk.syncFolder(this.#options.folder);
      file.append([new Writer(16).u8(SEAL_KIND).u53(checkpoint).finish()]);
      for (const sealed of this.#sealed) sealed.checkpoint = Math.min(sealed.checkpoint, checkpoint);
      this.#sealed.push({ number, checkpoint, bytes: file.end });
      this.#current = next;
      const previous = this.#sealing;
      this.#sealing = file.sync().then(() => {
        file.close();
        writeIndex(this.#placeOf(number), encodeIndex({ end: file.end, checkpoint, bodies }));
        return previous;
      });
      await this.sync();
    } finally {
      this.#isSealing = false;
    }
  }

  /** Unlinks the segments that hold only what belongs to checkpoints below `checkpoint`; returns the bytes set free. */
  prune(checkpoint: number): number {
    let freed = 0;
    while (this.#sealed[0] !== undefined && this.#sealed[0].checkpoint < checkpoint) {
      const { number, bytes } = this.#sealed.shift() as Sealed;
      const { path, disk } = this.#placeOf(number);
      this.#sealedFiles.close(path);
      disk.remove(path);
      disk.remove(indexPath(path));
      freed += bytes;
    }
    if (freed > 0) this.#index.dropBelow(this.#sealed[0]?.number ?? this.#current.number);
    return freed;
  }

  async close(): Promise<void> {
    await this.sync();
    this.#sealedFiles.closeAll();
    this.#current.file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #placeOf(number: number): FilePlace & { readonly random: Random } {
    const { disk, random, folder } = this.#options;
    return { disk, random, path: join(folder, `${String(number).padStart(12, '0')}.segment`) };
  }

  #begin(number: number): Current {
    this.#folderIsDurable = false;
    return {
      number,
      file: FrameFile.open({ ...this.#placeOf(number), bodyBytesMax: BODY_BYTES_MAX }),
      bodies: [],
    };
  }

  #fileOf(segment: number): FrameFile {
    return segment === this.#current.number
      ? this.#current.file
      : this.#sealedFiles.get(this.#placeOf(segment).path);
  }

  #find(hash: Hash): Place | undefined {
    return this.#index.get(hash, ({ segment, offset }) =>
      equalBytes(this.#fileOf(segment).peek(offset + 1, HASH_BYTES), hash),
    );
  }

  /** The segment when it is not sealed and therefore goes on as the current one. */
  #load(number: number, isLast: boolean): Current | undefined {
    const place = this.#placeOf(number);
    const index = isLast ? undefined : readIndex(place);
    const known = index === undefined ? undefined : decodeIndex(index, place);
    if (known !== undefined) {
      for (const { prefix, offset } of known.bodies) this.#index.add(prefix, { segment: number, offset });
      this.#sealed.push({ number, checkpoint: known.checkpoint, bytes: known.end });
      return undefined;
    }
    let checkpoint: number | undefined;
    const bodies: Current['bodies'] = [];
    const file = FrameFile.open({
      ...place,
      bodyBytesMax: BODY_BYTES_MAX,
      visit: (body, offset) => {
        const reader = new Reader(body);
        if (reader.u8() === SEAL_KIND) checkpoint = reader.u53();
        else bodies.push({ prefix: reader.fixed(PREFIX_BYTES).slice(), offset });
      },
    });
    for (const { prefix, offset } of bodies) this.#index.add(prefix, { segment: number, offset });
    if (checkpoint === undefined && isLast) return { number, file, bodies };
    this.#sealed.push({
      number,
      checkpoint: checkpoint ?? Number.POSITIVE_INFINITY,
      bytes: file.end,
    });
    file.close();
    return undefined;
  }
}

interface SegmentIndex {
  readonly end: number;
  readonly checkpoint: number;
  readonly bodies: Current['bodies'];
}

/** u53 end ‖ u53 checkpoint ‖ per body: 8 bytes of its hash, u32 offset. */
function encodeIndex(index: SegmentIndex): Uint8Array {
  const writer = new Writer(16 + 12 * index.bodies.length).u53(index.end).u53(index.checkpoint);
  for (const { prefix, offset } of index.bodies) writer.raw(prefix).u32(offset);
  return writer.finish();
}

/** Undefined when it does not fit the file: then the file is read. */
function decodeIndex(bytes: Uint8Array, place: FilePlace): SegmentIndex | undefined {
  const reader = new Reader(bytes);
  const end = reader.u53();
  const checkpoint = reader.u53();
  if (sizeOf(place) !== end) return undefined;
  const bodies = Array.from({ length: reader.remaining / 12 }, () => ({
    prefix: reader.fixed(PREFIX_BYTES),
    offset: reader.u32(),
  }));
  return { end, checkpoint, bodies };
}
