/**
 * Signature verification on worker threads. The main thread of a node spends 1 to 3 % of its time on a
 * batch handed over as one buffer; verifying there would take all of it.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { concatBytes } from '@itc/core/bytes/hex.js';
import { verificationCost } from '@itc/core/crypto/cost.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { packBatch, type SignedItem } from './verify-batch.ts';
import { resultOf, type SignWork, type Work } from './pool-work.ts';
import { verifyNative } from './native.ts';
import type { WorkJob, WorkReply } from './verify-worker.ts';

export interface VerifyPoolOptions {
  /** Threads; 0 verifies on the calling thread. Default: one less than the processors, at least 1, at most 8. */
  readonly workers?: number;
  /** Batches up to this cost are verified at once on the calling thread: the hop would cost more. Default 2. */
  readonly inlineMax?: number;
  /** Batches of a larger cost are cut, so that all threads share one. Default 128. */
  readonly chunkMax?: number;
  /** Cost waiting or under way; beyond, `verifyBatch` refuses. Default 65 536: three seconds of one thread. */
  readonly costMax?: number;
}

interface Job {
  readonly work: Work;
  readonly done: (result: Uint8Array) => void;
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
  readonly #costMax: number;
  readonly #threads: Thread[] = [];
  #waiting: Job[] = [];
  #items = 0;
  #cost = 0;
  #nextId = 0;
  #closed = false;

  constructor(options: VerifyPoolOptions = {}) {
    const workers = options.workers ?? Math.min(8, Math.max(1, availableParallelism() - 1));
    this.#inlineMax = options.inlineMax ?? 2;
    this.#chunkMax = options.chunkMax ?? 128;
    this.#costMax = options.costMax ?? 65_536;
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
   * One verdict per item, in order, under the rule of its scheme; malformed items are false.
   * Rejects with `not-ready` when the queue is full or the pool is closed: nothing was verified, try later.
   */
  async verifyBatch(items: readonly SignedItem[]): Promise<boolean[]> {
    if (this.#closed) throw new LedgerError('not-ready', 'the verification pool is closed');
    const cost = costOf(items);
    if (cost <= this.#inlineMax || this.#threads.length === 0) return items.map(verifyItem);
    if (this.#cost + cost > this.#costMax) {
      throw new LedgerError('not-ready', 'the verification queue is full', {
        cost: this.#cost,
        costMax: this.#costMax,
      });
    }
    const chunks = inChunks(items, Math.min(this.#chunkMax, Math.ceil(cost / this.#threads.length)));
    const verdicts = await Promise.all(chunks.map((chunk) => this.#submit(chunk)));
    return verdicts.flatMap((answer) => Array.from(answer, (verdict) => verdict === 1));
  }

  /** An ML-DSA-44 signature: some milliseconds that the caller's thread does not spend. */
  async signMlDsa(o: Omit<SignWork, 'kind'>): Promise<Uint8Array> {
    if (this.#closed) throw new LedgerError('not-ready', 'the verification pool is closed');
    const work: SignWork = { kind: 'sign', ...o };
    if (this.#threads.length === 0) return resultOf(work);
    this.#items += 1;
    return new Promise((resolve) => {
      const done = (signature: Uint8Array): void => {
        this.#items -= 1;
        resolve(signature);
      };
      this.#waiting.push({ work, done });
      this.#dispatch();
    });
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
    const cost = costOf(items);
    this.#items += items.length;
    this.#cost += cost;
    return new Promise((resolve) => {
      this.#waiting.push({
        work: { kind: 'verify', packed: packBatch(items), count: items.length },
        done: (verdicts) => {
          this.#items -= items.length;
          this.#cost -= cost;
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
        const message: WorkJob = { id, work: job.work };
        thread.worker.postMessage(message);
      }
    }
    if (this.#threads.length > 0) return;
    // Every thread is gone: verify here rather than never answer.
    for (const job of this.#waiting.splice(0)) job.done(resultOf(job.work));
  }

  #startThread(): void {
    const worker = new Worker(new URL('./verify-worker.js', import.meta.url));
    const thread: Thread = { worker, jobs: new Map() };
    // An idle pool does not keep the process alive.
    worker.unref();
    worker.on('message', ({ id, result }: WorkReply) => {
      const job = thread.jobs.get(id);
      thread.jobs.delete(id);
      if (thread.jobs.size === 0) worker.unref();
      job?.done(result);
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

function verifyItem({ algorithm = ED25519, key, prefix, message, signature }: SignedItem): boolean {
  const signed = prefix === undefined ? message : concatBytes(prefix, message);
  return verifyNative({ algorithm, bytes: key }, signed, signature);
}

function costOf(items: readonly SignedItem[]): number {
  return items.reduce((sum, { algorithm = ED25519 }) => sum + verificationCost(algorithm), 0);
}

/** In order; each of at most this cost, or of one item. */
function inChunks(items: readonly SignedItem[], costMax: number): SignedItem[][] {
  const chunks: SignedItem[][] = [];
  let room = 0;
  for (const item of items) {
    const cost = verificationCost(item.algorithm ?? ED25519);
    if (cost > room || chunks.length === 0) {
      chunks.push([]);
      room = costMax;
    }
    chunks.at(-1)?.push(item);
    room -= cost;
  }
  return chunks;
}
