/**
 * Records that must be durable before a message that depends on them may leave (spec PBFT, durability). All
 * callers that wait at one moment share one fdatasync (group commit).
 */
import { join } from 'node:path';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Disk, Random } from '../ports.ts';
import { bodyBytes, FrameFile, type FrameBody } from './frame-file.ts';

export interface WriteAheadLogOptions {
  readonly disk: Disk;
  readonly folder: string;
  readonly random: Random;
  /** Bound on one record. Default 8 MiB. */
  readonly recordBytesMax?: number;
  /** Bytes waiting for the disk; beyond, `append` refuses. Default 64 MiB. */
  readonly waitingBytesMax?: number;
}

interface Waiting {
  readonly kind: 'append' | 'write' | 'compact';
  readonly records: readonly FrameBody[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class WriteAheadLog implements AsyncDisposable {
  readonly #options: Required<WriteAheadLogOptions>;
  #file: FrameFile;
  #number: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #running: Promise<void> | undefined;
  #closed = false;
  #broken: unknown;

  private constructor(options: Required<WriteAheadLogOptions>, file: FrameFile, number: number) {
    this.#options = options;
    this.#file = file;
    this.#number = number;
  }

  /**
   * Opens the log and hands back its records in order. A tail torn by loss of power is dropped: nobody was
   * told that it is durable. Errors: `storage.corrupt`, `storage.full`, `storage.failed`.
   */
  static async open(
    options: WriteAheadLogOptions,
  ): Promise<{ readonly log: WriteAheadLog; readonly records: readonly Uint8Array[] }> {
    const filled = { recordBytesMax: 8 << 20, waitingBytesMax: 64 << 20, ...options };
    const { disk, folder } = filled;
    disk.makeFolder(folder);
    const numbers = disk
      .list(folder)
      .map(numberOf)
      .filter((number) => number !== undefined);
    const number = Math.max(1, ...numbers);
    const records: Uint8Array[] = [];
    const file = openLog(filled, join(folder, nameOf(number)), (body) => records.push(body.slice()));
    // A newer file holds everything that still counts; leftovers are of a compaction that was interrupted.
    for (const name of disk.list(folder))
      if (name !== nameOf(number) && name.startsWith('wal-')) disk.remove(join(folder, name));
    await file.sync();
    await disk.syncFolder(folder);
    return { log: new WriteAheadLog(filled, file, number), records };
  }

  /** Bytes on disk: when this grows past what the caller likes, it compacts. */
  get size(): number {
    return this.#file.end;
  }

  /**
   * Resolves when the records are durable, all or none of them, behind those of earlier calls. Rejects with
   * `storage.full` (nothing of this call is stored, and it may be tried again), `storage.failed`, `not-ready`.
   */
  append(records: readonly FrameBody[]): Promise<void> {
    return this.#enqueue('append', records);
  }

  /**
   * The same for records nobody is told of yet: resolves when they are written. They are durable with the next `append`, of
   * nothing if need be.
   */
  write(records: readonly FrameBody[]): Promise<void> {
    return this.#enqueue('write', records);
  }

  /** Whether all that was written is durable. */
  get isDurable(): boolean {
    return this.#waiting.length === 0 && this.#file.isDurable;
  }

  /**
   * Replaces everything appended so far by `keep`, in one step: a crash leaves the old log or the new one.
   * After `storage.full` the old log is still in force; after `storage.failed` the log takes nothing more.
   */
  compact(keep: readonly FrameBody[]): Promise<void> {
    return this.#enqueue('compact', keep);
  }

  /** Waits for what was accepted. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#running;
    this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #enqueue(kind: Waiting['kind'], records: readonly FrameBody[]): Promise<void> {
    if (this.#closed) return Promise.reject(new LedgerError('not-ready', 'the write-ahead log is closed'));
    const bytes = records.reduce((sum, record) => sum + bodyBytes(record), 0);
    if (this.#waitingBytes + bytes > this.#options.waitingBytesMax && this.#waiting.length > 0) {
      return Promise.reject(
        new LedgerError('not-ready', 'the write-ahead log is behind', { waitingBytes: this.#waitingBytes }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ kind, records, bytes, resolve, reject });
      this.#waitingBytes += bytes;
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // One turn of the event loop's microtasks: who appends in the same turn shares the first sync too.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const count = this.#waiting[0]?.kind === 'compact' ? 1 : leadingAppends(this.#waiting);
      const batch = this.#waiting.splice(0, count);
      try {
        if (batch[0]?.kind === 'compact') await this.#rewrite(batch[0].records);
        else await this.#write(batch);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
      for (const { bytes } of batch) this.#waitingBytes -= bytes;
    }
    this.#running = undefined;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    if (this.#broken !== undefined)
      throw new LedgerError('storage.failed', 'the write-ahead log failed before', {}, this.#broken);
    this.#file.append(batch.flatMap(({ records }) => records));
    if (batch.some(({ kind }) => kind === 'append')) await this.#file.sync();
  }

  async #rewrite(keep: readonly FrameBody[]): Promise<void> {
    const { disk, folder } = this.#options;
    const number = this.#number + 1;
    const draft = join(folder, `wal-${number}.tmp`);
    disk.remove(draft);
    let file: FrameFile | undefined;
    try {
      file = openLog(this.#options, draft, () => {});
      await file.sync();
      file.append(keep);
      await file.sync();
      disk.rename(draft, join(folder, nameOf(number)));
    } catch (error) {
      file?.close();
      disk.remove(draft);
      throw error;
    }
    try {
      await disk.syncFolder(folder);
    } catch (error) {
      // Which of the two a restart would find is now unknown, so nothing may be promised any more.
      this.#broken = error;
      throw error;
    }
    this.#file.close();
    disk.remove(join(folder, nameOf(this.#number)));
    this.#file = file;
    this.#number = number;
  }
}

function openLog(
  options: Required<WriteAheadLogOptions>,
  path: string,
  visit: (body: Uint8Array) => void,
): FrameFile {
  const { disk, random, recordBytesMax } = options;
  return FrameFile.open({ disk, path, random, bodyBytesMax: recordBytesMax, visit });
}

function leadingAppends(waiting: readonly Waiting[]): number {
  const compaction = waiting.findIndex(({ kind }) => kind === 'compact');
  return compaction < 0 ? waiting.length : compaction;
}

const nameOf = (number: number): string => `wal-${String(number).padStart(12, '0')}.log`;

function numberOf(name: string): number | undefined {
  const match = /^wal-(\d{12})\.log$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}
