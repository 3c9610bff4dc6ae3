/**
 * Many transactions over one connection (spec NODE-14): an HTTP upgrade, then frames both ways. Transactions come in as
 * they are signed; what is final goes out block by block. No text, no request per transaction, no asking.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Height } from '@itc/core/ledger/ids.js';
import { openTransaction } from '@itc/core/state/verified-transaction.js';
import type { Mempool } from '../mempool/mempool.ts';
import { FrameDecoder } from '../network/frame-decoder.ts';
import type { Chain, CommittedBlock } from '../runtime/chain.ts';
import type { Judged } from '../runtime/intake.ts';
import type { Routes } from './server.ts';
import type { Source, SourceBudget } from './source-budget.ts';
import {
  encodeAnswer,
  SUBMISSION_KINDS,
  SUBMISSION_PATH,
  SUBMISSION_PROTOCOL,
  type FinalItem,
  type SubmissionAnswer,
} from './submission-frames.ts';

export interface SubmissionPort {
  readonly chain: Chain;
  readonly mempool: Pick<Mempool, 'get'>;
  /** False when too many wait to be checked: nothing was kept. */
  offer(encoded: Uint8Array, done: (judged: Judged) => void): boolean;
  /** What addresses may still ask to be checked. */
  readonly sources: SourceBudget;
}

const STREAMS_MAX = 64;
/** Transactions of one stream without an answer; beyond, it is not read. */
export const UNANSWERED_MAX = 16_384;
/** Answers nobody reads. */
const BACKLOG_BYTES_MAX = 4_194_304;
/** When the queue to be checked is full, reading goes on after this. */
const PAUSE_MS = 10;
const IDLE_MS = 300_000;
/** Heights between two looks for transactions that left the pool without becoming final. */
const SWEEP_BLOCKS = 64;

interface Waiter {
  readonly stream: SubmissionStream;
  readonly number: number;
  readonly validUntil: Height;
  /** The same transaction, sent again. */
  readonly next: Waiter | undefined;
}

/** Everybody who waits for a transaction, over all streams of a process. */
class Waiters {
  readonly #port: SubmissionPort;
  readonly #byName = new Map<string, Waiter>();

  constructor(port: SubmissionPort) {
    this.#port = port;
    port.chain.onCommitted((committed) => this.#committed(committed));
  }

  add(name: string, waiter: Omit<Waiter, 'next'>): void {
    this.#byName.set(name, { ...waiter, next: this.#byName.get(name) });
  }

  drop(stream: SubmissionStream): void {
    for (const [name, first] of this.#byName) {
      let kept: Waiter | undefined;
      for (const waiter of chained(first)) if (waiter.stream !== stream) kept = { ...waiter, next: kept };
      if (kept === undefined) this.#byName.delete(name);
      else if (kept.next !== first.next) this.#byName.set(name, kept);
    }
  }

  #committed({ block, receipts }: CommittedBlock): void {
    if (this.#byName.size === 0) return;
    const { height } = block.header;
    const answers = new Map<SubmissionStream, FinalItem[]>();
    for (const [index, { name }] of block.transactions.entries()) {
      const first = this.#byName.get(name);
      if (first === undefined) continue;
      this.#byName.delete(name);
      const accepted = receipts[index]?.outcome.ok === true;
      for (const { stream, number } of chained(first)) {
        let items = answers.get(stream);
        if (items === undefined) answers.set(stream, (items = []));
        items.push({ number, index, accepted });
      }
    }
    for (const [stream, items] of answers) stream.answer({ kind: 'final', height, items }, items.length);
    if (height % SWEEP_BLOCKS === 0) this.#sweep(height);
  }

  /** What neither waits in the pool nor became final was displaced or has expired. */
  #sweep(height: number): void {
    for (const [name, first] of this.#byName) {
      if (this.#port.mempool.get(name) !== undefined) continue;
      this.#byName.delete(name);
      for (const { stream, number, validUntil } of chained(first)) {
        const late = validUntil < height;
        stream.answer({
          kind: 'refused',
          number,
          code: late ? 'transaction.expired' : 'pool.full',
          message: late ? `valid up to height ${validUntil}` : 'it gave way to others that pay more',
        });
      }
    }
  }
}

function* chained(first: Waiter): Iterable<Waiter> {
  for (let waiter: Waiter | undefined = first; waiter !== undefined; waiter = waiter.next) yield waiter;
}

class SubmissionStream {
  readonly #socket: Duplex;
  readonly #port: SubmissionPort;
  readonly #waiters: Waiters;
  readonly #source: Source;
  readonly #decoder: FrameDecoder;
  /** Read, and not offered yet because too much waits to be checked. */
  #held: Uint8Array[] = [];
  #numbered = 0;
  #unanswered = 0;
  #isAdvancing = false;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(socket: Duplex, port: SubmissionPort, waiters: Waiters) {
    this.#socket = socket;
    this.#port = port;
    this.#waiters = waiters;
    this.#source = port.sources.sourceOf(socket as Socket);
    this.#decoder = new FrameDecoder(
      (kind) => (kind === SUBMISSION_KINDS.transaction ? LIMITS.transactionBytesMax : undefined),
      (_kind, body) => void this.#held.push(body.slice()),
    );
  }

  receive(chunk: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#decoder.push(chunk) !== undefined) return this.close();
    this.#advance();
  }

  /** `count` transactions of this stream have found their answer. */
  answer(answer: SubmissionAnswer, count = 1): void {
    if (this.#isClosed) return;
    this.#unanswered -= count;
    if (this.#socket.writableLength > BACKLOG_BYTES_MAX) return this.close();
    this.#socket.write(encodeAnswer(answer));
    if (this.#held.length > 0) this.#advance();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#held = [];
    this.#waiters.drop(this);
    this.#socket.destroy();
  }

  #advance(): void {
    // A verdict may come while its transaction is being offered, and calls for the next one: that is this loop's.
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    let done = 0;
    while (done < this.#held.length && this.#unanswered < UNANSWERED_MAX) {
      if (!this.#offer(this.#held[done] as Uint8Array)) break;
      done += 1;
    }
    this.#isAdvancing = false;
    this.#held = this.#held.slice(done);
    if (this.#held.length === 0) {
      this.#socket.resume();
      return;
    }
    this.#socket.pause();
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      if (!this.#isClosed) this.#advance();
    }, PAUSE_MS).unref();
  }

  #offer(encoded: Uint8Array): boolean {
    const number = this.#numbered;
    if (!this.#port.offer(encoded, (judged) => this.#judged(encoded, number, judged))) return false;
    this.#numbered = (this.#numbered + 1) >>> 0;
    this.#unanswered += 1;
    return true;
  }

  #judged(encoded: Uint8Array, number: number, judged: Judged): void {
    if (this.#isClosed) return;
    if (judged.ok) {
      const { name, tx } = judged.value;
      return this.#waiters.add(name, { stream: this, number, validUntil: tx.validUntil });
    }
    const { code, message } = judged;
    if (code === 'transaction.duplicate' && this.#follow(encoded, number)) return undefined;
    this.answer({ kind: 'refused', number, code, message });
    const { sources } = this.#port;
    sources.refused(this.#source, code);
    if (sources.waitMs(this.#source) > 0) this.close();
  }

  /** A transaction sent again, after a connection was lost: waits with the first one, or hears at once that it is final. */
  #follow(encoded: Uint8Array, number: number): boolean {
    const opened = openTransaction(encoded);
    if (!opened.ok) return false;
    const { name, id, tx } = opened.value;
    if (this.#port.mempool.get(name) !== undefined) {
      this.#waiters.add(name, { stream: this, number, validUntil: tx.validUntil });
      return true;
    }
    const receipt = this.#port.chain.receipt(id);
    if (receipt === undefined) return false;
    const { height, index, outcome } = receipt;
    this.answer({ kind: 'final', height, items: [{ number, index, accepted: outcome.ok }] });
    return true;
  }
}

export function submissionStream(port: SubmissionPort): Routes {
  return (api) => {
    const waiters = new Waiters(port);
    const streams = new Set<SubmissionStream>();
    api.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      const refusal = refusalOf(request, streams.size, port.sources);
      if (refusal !== undefined) {
        socket.end(`HTTP/1.1 ${refusal}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
        return;
      }
      const stream = new SubmissionStream(socket, port, waiters);
      streams.add(stream);
      (socket as Socket).setNoDelay(true);
      (socket as Socket).setTimeout(IDLE_MS, () => stream.close());
      socket.on('close', () => {
        streams.delete(stream);
        stream.close();
      });
      // Half an end is an end: whoever sends nothing more has said so by its last answer.
      socket.on('end', () => stream.close());
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${SUBMISSION_PROTOCOL}\r\n\r\n`,
      );
      if (head.length > 0) stream.receive(head);
      socket.on('data', (chunk: Buffer) => stream.receive(chunk));
    });
    api.addHook('preClose', () => {
      for (const stream of streams) stream.close();
    });
  };
}

function refusalOf(
  { url, headers, socket }: IncomingMessage,
  open: number,
  sources: SourceBudget,
): string | undefined {
  if (url !== SUBMISSION_PATH) return '404 Not Found';
  if (headers.upgrade?.toLowerCase() !== SUBMISSION_PROTOCOL) return '400 Bad Request';
  const waitMs = sources.waitMs(sources.sourceOf(socket));
  if (waitMs > 0) return `429 Too Many Requests\r\nretry-after: ${Math.ceil(waitMs / 1_000)}`;
  return open >= STREAMS_MAX ? '503 Service Unavailable' : undefined;
}
