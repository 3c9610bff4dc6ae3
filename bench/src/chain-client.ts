/**
 * Hands in transactions over the HTTP API, many in one request, and learns from the event stream of one validator
 * which block is final and how many transactions it holds. Which they were is read after the load, from the
 * blocks, so that asking does not weigh on what is measured.
 */
import { Agent, request, type ClientRequest, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '@itc/core/bytes/hex.js';
import { EventParser } from '@itc/client/event-stream.js';
import { arrivalsOf, openLoop, windowsOf, type Completion, type LoadSamples } from './load.ts';

const BATCH_MAX = 500;
const DRAIN_MS = 60_000;
/** A refill waits this long for more to become final, so that requests carry many. */
const GATHER_MS = 2;

export interface Prepared {
  readonly id: string;
  readonly encoded: Uint8Array;
}

interface LoadOptions {
  readonly rampMs: number;
  readonly durationMs: number;
  readonly windows: number;
  readonly next: () => Prepared;
}

interface BlockItems {
  readonly items: readonly { readonly id: string }[];
}

export class ChainClient implements AsyncDisposable {
  readonly #urls: readonly string[];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  /** When each block was heard to be final, by height, and what waits to hear of the next. */
  readonly #heard = new Map<number, number>();
  #onBlock: ((transactions: number) => void) | undefined;
  #events: ClientRequest | undefined;
  #turn = 0;
  readonly #started = new Map<string, number>();
  /** Refusals by code: a load that is refused measures something else. */
  readonly refused: Map<string, number> = new Map();
  #failed: Error | undefined;
  #read = 0;

  private constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  static async connect(urls: readonly string[]): Promise<ChainClient> {
    const client = new ChainClient(urls);
    await client.#listen(urls[0] as string);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#events?.destroy();
    this.#agent.destroy();
    return Promise.resolve();
  }

  /** As many in flight all the time: what became final is replaced. */
  async closed(o: LoadOptions & { readonly inFlight: number }): Promise<LoadSamples> {
    const from = performance.now() + o.rampMs;
    const to = from + o.durationMs;
    let pending = 0;
    let free = o.inFlight;
    this.#onBlock = (transactions) => {
      pending -= transactions;
      free += transactions;
    };
    while (performance.now() < to) {
      this.#check();
      const count = Math.min(free, BATCH_MAX);
      if (count > 0) {
        free -= count;
        pending += count;
        void this.#submit(Array.from({ length: count }, o.next)).then((refused) => {
          pending -= refused;
          free += refused;
        });
      }
      if (free === 0 || count < BATCH_MAX) await sleep(GATHER_MS);
    }
    await this.#drain(() => pending);
    return windowsOf(await this.#completions(), { from, to, windows: o.windows });
  }

  /** At a given rate, whatever became of the earlier ones. */
  async open(o: LoadOptions & { readonly perSecond: number }): Promise<LoadSamples> {
    const from = performance.now() + o.rampMs;
    const to = from + o.durationMs;
    let pending = 0;
    this.#onBlock = (transactions) => (pending -= transactions);
    const offer = (due: number): void => {
      this.#check();
      for (let left = due; left > 0; left -= BATCH_MAX) {
        const count = Math.min(left, BATCH_MAX);
        pending += count;
        void this.#submit(Array.from({ length: count }, o.next)).then((refused) => (pending -= refused));
      }
    };
    await openLoop(offer, { perSecond: o.perSecond, durationMs: o.rampMs + o.durationMs, stepMs: 10 });
    await this.#drain(() => pending);
    return arrivalsOf(await this.#completions(), { from, to, windows: o.windows });
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  async #drain(pending: () => number): Promise<void> {
    const deadline = performance.now() + DRAIN_MS;
    while (pending() > 0) {
      this.#check();
      if (performance.now() > deadline)
        throw new Error(`${pending()} transactions were not final ${DRAIN_MS} ms after the load`);
      await sleep(10);
    }
    this.#onBlock = undefined;
  }

  /** Which transactions the blocks since the last time held, and when each of them was final. */
  async #completions(): Promise<readonly Completion[]> {
    const completions: Completion[] = [];
    for (const height of [...this.#heard.keys()].sort((a, b) => a - b)) {
      if (height <= this.#read) continue;
      this.#read = height;
      const done = this.#heard.get(height) as number;
      this.#heard.delete(height);
      const { items } = (await this.#get(`${this.#urls[0]}/api/v1/blocks/${height}`)) as BlockItems;
      for (const { id } of items) {
        const started = this.#started.get(id);
        if (started === undefined) continue;
        this.#started.delete(id);
        completions.push({ started, done });
      }
    }
    return completions;
  }

  /** Resolves with how many were refused. */
  async #submit(transactions: readonly Prepared[]): Promise<number> {
    const url = this.#urls[this.#turn % this.#urls.length] as string;
    this.#turn += 1;
    const started = performance.now();
    for (const { id } of transactions) this.#started.set(id, started);
    try {
      const body = JSON.stringify({ transactions: transactions.map(({ encoded }) => toHex(encoded)) });
      const answer = (await this.#post(`${url}/api/v1/transactions/batch`, body)) as {
        results: readonly { id?: string; code?: string }[];
      };
      let refused = 0;
      for (const { code } of answer.results) {
        if (code === undefined) continue;
        refused += 1;
        this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
      }
      return refused;
    } catch (error) {
      this.#failed ??= error as Error;
      return 0;
    }
  }

  #get(url: string): Promise<unknown> {
    return this.#exchange(url, 'GET');
  }

  #post(url: string, body: string): Promise<unknown> {
    return this.#exchange(url, 'POST', body);
  }

  #exchange(url: string, method: string, body?: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const headers =
        body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const sent = request(url, { method, agent: this.#agent, headers }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(pieces).toString();
          const { statusCode = 0 } = response;
          if (statusCode >= 300)
            reject(new Error(`${method} ${url} answered ${statusCode}: ${text.slice(0, 300)}`));
          else resolve(JSON.parse(text));
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  async #listen(url: string): Promise<void> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      this.#events = request(`${url}/api/v1/events`, { headers: { accept: 'text/event-stream' } }, resolve);
      this.#events.once('error', reject);
      this.#events.end();
    });
    const parser = new EventParser();
    response.setEncoding('utf8');
    response.on('error', () => undefined);
    response.on('data', (text: string) => {
      const now = performance.now();
      for (const { event, data } of parser.push(text)) {
        if (event !== 'block') continue;
        const { height, transactions } = JSON.parse(data) as { height: number; transactions: number };
        if (transactions === 0) continue;
        this.#heard.set(height, now);
        this.#onBlock?.(transactions);
      }
    });
  }
}
