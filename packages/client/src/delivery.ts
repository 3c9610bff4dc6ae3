/**
 * Getting a transaction final although nodes lie, hang or die (Castro & Liskov, PBFT §4.1; spec CLIENT-7): one node has
 * it first; without a proof of finality in time, all known nodes get the same signed bytes. The ledger executes them once.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import type { TransactionStatus } from './api.ts';
import type { Client } from './client.ts';
import { systemClock, type Clock } from './clock.ts';
import { checkFinality, type Believer, type Finality } from './finality.ts';
import type { SignedTransaction } from './transactions.ts';

/** The part of `Client` that is used here. */
export type Endpoint = Pick<Client, 'url' | 'submit' | 'transaction'>;

export interface DeliveryOptions {
  /** In order of preference, at most `ENDPOINTS_MAX`. The first has it to itself while patience lasts. */
  readonly endpoints: readonly Endpoint[];
  /** Without one, the word of a node is taken for finality. */
  readonly believer?: Believer;
  /** 2 s when left out. */
  readonly patienceMs?: number;
  /** Of all of it; 60 s when left out. */
  readonly timeoutMs?: number;
  /** Of one request; 5 s when left out. */
  readonly requestMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** 0 ≤ x < 1, for jitter. */
  readonly random?: () => number;
}

export interface Delivered {
  readonly status: TransactionStatus;
  /** Undefined without a believer. */
  readonly finality: Finality | undefined;
  /** Whose answer it was. */
  readonly url: string;
  /** Whether more than the first node was asked. */
  readonly broadcast: boolean;
}

/** What one node has said last. */
export interface Told {
  readonly url: string;
  /** It has taken the transaction at least once. */
  readonly taken: boolean;
  /** `unproved`: it says final and shows no proof that holds. `silent`: not asked yet, or no answer. */
  readonly said: 'pending' | 'unknown' | 'refused' | 'unproved' | 'silent';
  readonly code?: ErrorCode;
  readonly message?: string;
}

/** Not final in time, or refused by every node. It may become final still, up to height `validUntil`. */
export class UndeliveredError extends LedgerError {
  readonly told: readonly Told[];

  constructor(o: {
    readonly code: ErrorCode;
    readonly id: Hash;
    readonly validUntil: number;
    readonly told: readonly Told[];
  }) {
    const { id, validUntil, told, code } = o;
    const taken = told.filter((one) => one.taken).length;
    const words = told.map(
      ({ url, said, code: why }) => `${url} ${said}${why === undefined ? '' : ` (${why})`}`,
    );
    super(
      code,
      `the transaction is not known to be final; ${taken} of ${told.length} nodes took it, and it may become final up to height ${validUntil}: ${words.join(', ')}`,
      { id: toHex(id), validUntil, told },
    );
    this.name = 'UndeliveredError';
    this.told = told;
  }
}

export const ENDPOINTS_MAX = 16;
const PATIENCE_MS = 2_000;
const TIMEOUT_MS = 60_000;
const REQUEST_MS = 5_000;
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 2_000;
/** A node that holds it is given it again this rarely: it may have lost it without a word. */
const AGAIN_MS = 10_000;
/** Refusals that may be gone the next moment; all others say that this node will never take it. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'peer.gone',
  'peer.timeout',
  'peer.busy',
  'peer.message',
  'pool.full',
  'not-ready',
  'internal',
  'storage.full',
  'storage.failed',
]);

/**
 * Resolves when a node has shown that the transaction is final, accepted or refused by the ledger: see its receipt.
 * Throws `UndeliveredError` (`peer.timeout`, or the code of the refusal when every node refuses), or the signal's reason.
 */
export function deliver(
  transaction: Pick<SignedTransaction, 'id' | 'encoded' | 'transaction'>,
  options: DeliveryOptions,
): Promise<Delivered> {
  const { length } = options.endpoints;
  if (length === 0 || length > ENDPOINTS_MAX)
    throw new RangeError(`expected 1 to ${ENDPOINTS_MAX} endpoints, got ${length}`);
  return new Delivery(transaction, options).run();
}

/** A node that will not take it, whatever it is asked again. */
class Hopeless extends Error {}

class Delivery {
  readonly #transaction: Pick<SignedTransaction, 'id' | 'encoded' | 'transaction'>;
  readonly #o: DeliveryOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #told: Told[];
  /** Ends every request and pause when the delivery is over. */
  readonly #over = new AbortController();
  #broadcast = false;

  constructor(
    transaction: Pick<SignedTransaction, 'id' | 'encoded' | 'transaction'>,
    options: DeliveryOptions,
  ) {
    this.#transaction = transaction;
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#told = options.endpoints.map(({ url }) => ({ url, taken: false, said: 'silent' }));
  }

  async run(): Promise<Delivered> {
    const { signal, patienceMs = PATIENCE_MS, timeoutMs = TIMEOUT_MS } = this.#o;
    signal?.throwIfAborted();
    const cancel = (): void => this.#over.abort(signal?.reason);
    signal?.addEventListener('abort', cancel);
    const pursuits = [this.#pursue(0)];
    const timer = this.#pause(timeoutMs);
    try {
      const patience = this.#pause(Math.min(patienceMs, timeoutMs));
      // Who is hopeless, or gone, is waited for no longer.
      const alone = await Promise.race([
        (pursuits[0] as Promise<Delivered>).catch(() => undefined),
        patience,
      ]);
      signal?.throwIfAborted();
      if (alone !== undefined) return alone;
      this.#broadcast = this.#o.endpoints.length > 1;
      for (let at = 1; at < this.#o.endpoints.length; at += 1) pursuits.push(this.#pursue(at));
      const any = Promise.any(pursuits).catch((error: unknown) => error as AggregateError);
      const result = await Promise.race([any, timer]);
      signal?.throwIfAborted();
      if (result === undefined || result instanceof AggregateError) throw this.#failure(result);
      return { ...result, broadcast: this.#broadcast };
    } finally {
      signal?.removeEventListener('abort', cancel);
      this.#over.abort(new Error('over'));
      await Promise.allSettled([...pursuits, timer]);
    }
  }

  /** Ends with the delivery at the latest. */
  async #pause(ms: number): Promise<undefined> {
    await this.#clock.sleep(ms, this.#over.signal).catch(() => undefined);
    return undefined;
  }

  /** All refused: the code they agree on, or the first one's. A bug of ours keeps its own face. */
  #failure(all: AggregateError | undefined): unknown {
    const strange = all?.errors.find((error: unknown) => !(error instanceof Hopeless));
    if (strange !== undefined) return strange;
    const refused = all === undefined ? undefined : this.#told.find(({ said }) => said === 'refused')?.code;
    return new UndeliveredError({
      code: refused ?? 'peer.timeout',
      id: this.#transaction.id,
      validUntil: this.#transaction.transaction.validUntil,
      told: this.#told,
    });
  }

  /** Asks one node until it shows finality, or refuses for good. */
  async #pursue(at: number): Promise<Delivered> {
    let givenAt = Number.NEGATIVE_INFINITY;
    let isNonceUsed = false;
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(pauseMs * 1.6, PAUSE_MS_MAX)) {
      this.#over.signal.throwIfAborted();
      const status = await this.#ask(at);
      if (status?.status === 'final') {
        const delivered = this.#believe(at, status);
        if (delivered !== undefined) return delivered;
      } else if (status !== undefined) {
        // The node has executed what used the nonce up, and it was not this.
        if (isNonceUsed && status.status === 'unknown')
          this.#refuse(at, 'transaction.nonce', 'another transaction has this place in the lane');
        const now = this.#clock.now();
        if (status.status === 'unknown' || now - givenAt > AGAIN_MS) {
          const given = await this.#give(at, status.status);
          isNonceUsed = given === 'nonce';
          if (given === 'held') givenAt = now;
        } else this.#note(at, { said: status.status });
      }
      // Between half and one and a half times, so that clients that failed together do not come back together.
      await this.#clock.sleep(pauseMs * (0.5 + this.#random()), this.#over.signal);
    }
  }

  #believe(at: number, status: TransactionStatus): Delivered | undefined {
    const { url } = this.#o.endpoints[at] as Endpoint;
    const { believer } = this.#o;
    if (believer === undefined) return { status, finality: undefined, url, broadcast: this.#broadcast };
    const finality = checkFinality(believer, this.#transaction.id, status);
    if (finality.ok) return { status, finality: finality.value, url, broadcast: this.#broadcast };
    this.#note(at, { said: 'unproved', message: finality.message });
    return undefined;
  }

  async #ask(at: number): Promise<TransactionStatus | undefined> {
    const endpoint = this.#o.endpoints[at] as Endpoint;
    try {
      const proof = this.#o.believer !== undefined;
      return await this.#inTime((signal) => endpoint.transaction(this.#transaction.id, { proof, signal }));
    } catch (error) {
      this.#missed(at, error);
      return undefined;
    }
  }

  /** `nonce`: its place in the lane is used up, by this very transaction as far as one can tell before asking again. */
  async #give(at: number, known: 'pending' | 'unknown'): Promise<'held' | 'nonce' | 'missed'> {
    const endpoint = this.#o.endpoints[at] as Endpoint;
    try {
      await this.#inTime((signal) => endpoint.submit(this.#transaction, { signal }));
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      if (error.code === 'transaction.duplicate' || error.code === 'transaction.nonce') {
        this.#note(at, { said: known, code: error.code });
        return error.code === 'transaction.nonce' ? 'nonce' : 'held';
      }
      if (PASSING.has(error.code)) {
        this.#missed(at, error);
        return 'missed';
      }
      return this.#refuse(at, error.code, error.message);
    }
    this.#note(at, { taken: true, said: 'pending' });
    return 'held';
  }

  #refuse(at: number, code: ErrorCode, message: string): never {
    this.#note(at, { said: 'refused', code, message });
    throw new Hopeless(message);
  }

  #missed(at: number, error: unknown): void {
    if (!(error instanceof LedgerError)) throw error;
    this.#note(at, { said: 'silent', code: error.code, message: error.message });
  }

  #note(at: number, change: Partial<Told>): void {
    const { url, taken } = this.#told[at] as Told;
    this.#told[at] = { url, taken, said: 'silent', ...change };
  }

  /** A node that accepts a connection and says nothing must not hold up anything. */
  async #inTime<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const request = new AbortController();
    const over = (): void => request.abort(this.#over.signal.reason);
    this.#over.signal.addEventListener('abort', over);
    const done = new AbortController();
    const { requestMs = REQUEST_MS } = this.#o;
    const late = this.#clock.sleep(requestMs, done.signal).then(
      () => request.abort(new LedgerError('peer.gone', `no answer within ${requestMs} ms`)),
      () => undefined,
    );
    try {
      return await work(request.signal);
    } catch (error) {
      // An abort arrives in whatever form the platform's fetch gives it.
      if (request.signal.aborted && !this.#over.signal.aborted) throw request.signal.reason;
      throw error;
    } finally {
      done.abort(new Error('answered'));
      this.#over.signal.removeEventListener('abort', over);
      await late;
    }
  }
}
