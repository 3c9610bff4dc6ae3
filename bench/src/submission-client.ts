/**
 * Brings transactions over submission streams, one to each validator, and hears block by block what is final. An
 * account keeps to one stream, so that its nonces arrive in order.
 */
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FrameDecoder } from '@itc/node/network/frame-decoder.js';
import {
  ANSWER_BYTES_MAX,
  decodeAnswer,
  SUBMISSION_KINDS,
  SUBMISSION_PATH,
  SUBMISSION_PROTOCOL,
  type SubmissionAnswer,
} from '@itc/node/api/submission-frames.js';
import { arrivalsOf, openLoop, windowsOf, type Completion, type LoadSamples } from './load.ts';

const DRAIN_MS = 60_000;
/** A refill waits this long for more to become final, so that writes carry many. */
const GATHER_MS = 2;

/** A signed transaction in its frame, and the account it is of. */
export interface Ready {
  readonly account: number;
  readonly frame: Uint8Array;
}

export interface LoadOptions {
  readonly rampMs: number;
  readonly durationMs: number;
  readonly windows: number;
  readonly next: () => Ready;
}

interface Stream {
  readonly socket: Socket;
  /** When each transaction was sent, by number. */
  readonly started: number[];
  outgoing: Uint8Array[];
}

export class SubmissionClient implements AsyncDisposable {
  readonly #streams: Stream[] = [];
  #completions: Completion[] = [];
  #pending = 0;
  /** Refusals by code: a load that is refused measures something else. */
  readonly refused: Map<string, number> = new Map();
  #failed: Error | undefined;
  #wake: (() => void) | undefined;

  static async connect(urls: readonly string[]): Promise<SubmissionClient> {
    const client = new SubmissionClient();
    for (const url of urls) client.#streams.push(client.#listen(await upgrade(url)));
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#streams) socket.destroy();
    return Promise.resolve();
  }

  /** As many in flight all the time: what became final is replaced. */
  async closed(o: LoadOptions & { readonly inFlight: number }): Promise<LoadSamples> {
    const from = performance.now() + o.rampMs;
    const to = from + o.durationMs;
    this.#completions = [];
    while (performance.now() < to) {
      this.#send(o.inFlight - this.#pending, o.next);
      await this.#change();
      await sleep(GATHER_MS);
    }
    await this.#drain();
    return windowsOf(this.#completions, { from, to, windows: o.windows });
  }

  /** At a given rate, whatever became of the earlier ones. */
  async open(o: LoadOptions & { readonly perSecond: number }): Promise<LoadSamples> {
    const from = performance.now() + o.rampMs;
    const to = from + o.durationMs;
    this.#completions = [];
    const durationMs = o.rampMs + o.durationMs;
    await openLoop((due) => this.#send(due, o.next), { perSecond: o.perSecond, durationMs, stepMs: 10 });
    await this.#drain();
    return arrivalsOf(this.#completions, { from, to, windows: o.windows });
  }

  #send(count: number, next: () => Ready): void {
    if (this.#failed !== undefined) throw this.#failed;
    for (let i = 0; i < count; i += 1) {
      const { account, frame } = next();
      this.#streams[account % this.#streams.length]?.outgoing.push(frame);
    }
    this.#pending += Math.max(0, count);
    const now = performance.now();
    for (const stream of this.#streams) {
      if (stream.outgoing.length === 0) continue;
      for (let i = 0; i < stream.outgoing.length; i += 1) stream.started.push(now);
      stream.socket.write(Buffer.concat(stream.outgoing));
      stream.outgoing = [];
    }
  }

  /** Resolves when something was answered, or nothing was for a while. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 100);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #drain(): Promise<void> {
    const deadline = performance.now() + DRAIN_MS;
    while (this.#pending > 0) {
      if (this.#failed !== undefined) throw this.#failed;
      if (performance.now() > deadline)
        throw new Error(`${this.#pending} transactions were not final ${DRAIN_MS} ms after the load`);
      await this.#change();
    }
  }

  #listen(socket: Socket): Stream {
    const stream: Stream = { socket, started: [], outgoing: [] };
    const decoder = new FrameDecoder(
      (kind) =>
        kind === SUBMISSION_KINDS.final || kind === SUBMISSION_KINDS.refused ? ANSWER_BYTES_MAX : undefined,
      (kind, body) => {
        const answer = decodeAnswer(kind, body);
        if (answer.ok) this.#answered(stream, answer.value);
        else this.#fail(new Error(`an answer does not decode: ${answer.message}`));
      },
    );
    socket.on('data', (chunk: Buffer) => {
      if (decoder.push(chunk) !== undefined) this.#fail(new Error('a validator sent no answer frames'));
      this.#wake?.();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('a validator ended the stream')));
    return stream;
  }

  #answered(stream: Stream, answer: SubmissionAnswer): void {
    const done = performance.now();
    switch (answer.kind) {
      case 'final':
        this.#pending -= answer.items.length;
        for (const { number, accepted } of answer.items) {
          if (accepted) this.#completions.push({ started: stream.started[number] ?? done, done });
          else this.#refuse('refused in its block');
        }
        return;
      case 'refused':
        this.#pending -= 1;
        this.#refuse(answer.code);
        return;
    }
  }

  #refuse(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    this.#wake?.();
  }
}

function upgrade(url: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: SUBMISSION_PROTOCOL };
    const sent = request(`${url}${SUBMISSION_PATH}`, { headers });
    sent.on('error', reject);
    sent.on('response', ({ statusCode }) => reject(new Error(`${url} answered ${statusCode}, not a stream`)));
    sent.on('upgrade', (_response, socket: Socket) => {
      socket.setNoDelay(true);
      resolve(socket);
    });
    sent.end();
  });
}
