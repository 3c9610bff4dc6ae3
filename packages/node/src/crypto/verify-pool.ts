/**
 * Signature verification on worker threads. The main thread of a node spends 1 to 3 % of its time on a
 * batch handed over as one buffer; verifying there would take all of it.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { concatBytes } from '@itc/core/bytes/hex.js';
import { ED25519, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '@itc/core/crypto/signature.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { packBatch, verifyPacked, type SignedItem } from './verify-batch.ts';
import { verifyNative } from './native.ts';
import type { VerifyJob, VerifyReply } from './verify-worker.ts';

export interface VerifyPoolOptions {
  /** Threads; 0 verifies on the calling thread. Default: one less than the processors, at least 1, at most 8. */
  readonly workers?: number;
  /** Batches up to this many items are verified at once on the calling thread: the hop would cost more. Default 2. */
  readonly inlineMax?: number;
  /** Larger batches are cut, so that all threads share one. Default 128. */
  readonly chunkMax?: number;
  /** Items waiting or under way; beyond, `verifyBatch` refuses. Default 65 536. */
  readonly itemsMax?: number;
}

interface Job {
  readonly packed: Uint8Array<ArrayBuffer>;
  readonly count: number;
  readonly done: (verdicts: Uint8Array) => void;
}

interface Thread {
  readonly worker: Worker;
  /** Two at a time, so that a thread never waits for the main one between batches. */
  readonly jobs: Map<number, Job>;
}

const JOBS_PER_THREAD = 2;

export class VerifyPool implements AsyncDisposable {
  readonly #inlineMax: number;
  readonly #chunkMax: number;
  readonly #itemsMax: number;
  readonly #threads: Thread[] = [];
  #waiting: Job[] = [];
  #items = 0;
  #nextId = 0;
  #closed = false;

  constructor(options: VerifyPoolOptions = {}) {
    const workers = options.workers ?? Math.min(8, Math.max(1, availableParallelism() - 1));
    this.#inlineMax = options.inlineMax ?? 2;
    this.#chunkMax = options.chunkMax ?? 128;
    this.#itemsMax = options.itemsMax ?? 65_536;
    for (let i = 0; i < workers; i += 1) this.#startThread();
  }

  /** Items waiting or under way. */
  get items(): number {
    return this.#items;
  }

  get workers(): number {
    return this.#threads.length;
  }

  /**
   * One verdict per item, in order, under the rule of spec CRYPTO-3; malformed items are false.
   * Rejects with `not-ready` when the queue is full or the pool is closed: nothing was verified, try later.
   */
  async verifyBatch(items: readonly SignedItem[]): Promise<boolean[]> {
    if (this.#closed) throw new LedgerError('not-ready', 'the verification pool is closed');
    if (items.length <= this.#inlineMax || this.#threads.length === 0) {
      return items.map(({ key, prefix, message, signature }) =>
        verifyNative(
          { algorithm: ED25519, bytes: key },
          prefix === undefined ? message : concatBytes(prefix, message),
          signature,
        ),
      );
    }
    if (this.#items + items.length > this.#itemsMax) {
      throw new LedgerError('not-ready', 'the verification queue is full', {
        items: this.#items,
        itemsMax: this.#itemsMax,
      });
    }
    const verdicts = Array.from({ length: items.length }, () => false);
    const wellFormed = [...items.keys()].filter((i) => isWellFormed(items[i] as SignedItem));
    const size = Math.min(this.#chunkMax, Math.ceil(wellFormed.length / this.#threads.length));
    const chunks: Promise<void>[] = [];
    for (let start = 0; start < wellFormed.length; start += size) {
      const chosen = wellFormed.slice(start, start + size);
      chunks.push(
        this.#submit(chosen.map((i) => items[i] as SignedItem)).then((answer) => {
          for (const [k, i] of chosen.entries()) verdicts[i] = answer[k] === 1;
        }),
      );
    }
    await Promise.all(chunks);
    return verdicts;
  }

  /** Finishes what was accepted, then ends the threads. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#items > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #submit(items: readonly SignedItem[]): Promise<Uint8Array> {
    this.#items += items.length;
    return new Promise((resolve) => {
      this.#waiting.push({
        packed: packBatch(items),
        count: items.length,
        done: (verdicts) => {
          this.#items -= items.length;
          resolve(verdicts);
        },
      });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      while (thread.jobs.size < JOBS_PER_THREAD) {
        const job = this.#waiting.shift();
        if (job === undefined) return;
        const id = this.#nextId;
        this.#nextId += 1;
        thread.jobs.set(id, job);
        thread.worker.ref();
        // Copied when the structured clone runs, not transferred: should the thread die, the job is still here to be redone.
        const message: VerifyJob = { id, count: job.count, packed: job.packed };
        thread.worker.postMessage(message);
      }
    }
    if (this.#threads.length > 0) return;
    // Every thread is gone: verify here rather than never answer.
    for (const job of this.#waiting.splice(0)) job.done(verifyPacked(job.packed, job.count));
  }

  #startThread(): void {
    const worker = new Worker(new URL('./verify-worker.js', import.meta.url));
    const thread: Thread = { worker, jobs: new Map() };
    // An idle pool does not keep the process alive.
    worker.unref();
    worker.on('message', ({ id, verdicts }: VerifyReply) => {
      const job = thread.jobs.get(id);
      thread.jobs.delete(id);
      if (thread.jobs.size === 0) worker.unref();
      job?.done(verdicts);
      this.#dispatch();
    });
    worker.on('error', () => this.#dropThread(thread));
    worker.on('exit', () => this.#dropThread(thread));
    this.#threads.push(thread);
  }

  /** A thread that died (out of memory) loses no job: the others, or this thread, take them over. */
  #dropThread(thread: Thread): void {
    const at = this.#threads.indexOf(thread);
    if (at >= 0) this.#threads.splice(at, 1);
    this.#waiting.unshift(...thread.jobs.values());
    thread.jobs.clear();
    this.#dispatch();
  }
}

function isWellFormed(item: SignedItem): boolean {
  return item.key.length === PUBLIC_KEY_BYTES && item.signature.length === SIGNATURE_BYTES;
}
