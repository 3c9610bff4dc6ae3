/**
 * A full disk is the one failure of storage that passes by itself: whoever could not write waits, and tries again, until there
 * is room (spec SUBNET-3, NODE-4).
 */
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Clock, Timer } from '../ports.ts';

export function isFull(error: unknown): error is LedgerError {
  return error instanceof LedgerError && error.code === 'storage.full';
}

const RETRY_MS = 1_000;

export class DiskPause {
  readonly #clock: Clock;
  readonly #retry: () => void;
  #error: LedgerError | undefined;
  #isDue = false;
  #timer: Timer | undefined;

  /** `retry` is called when it is time to try again. */
  constructor(options: { readonly clock: Clock; readonly retry: () => void }) {
    this.#clock = options.clock;
    this.#retry = options.retry;
  }

  /** Why nothing can be written now; undefined while it can, as far as is known. */
  get error(): LedgerError | undefined {
    return this.#error;
  }

  /** Whether writing may be tried: always but between two tries. */
  get mayWrite(): boolean {
    return this.#error === undefined || this.#isDue;
  }

  /** A write found no room. True for the first of them. */
  begin(error: LedgerError): boolean {
    const isFirst = this.#error === undefined;
    this.#error = error;
    this.#isDue = false;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(RETRY_MS, () => {
      this.#isDue = true;
      this.#retry();
    });
    return isFirst;
  }

  /** A write found room. True when there was none before. */
  end(): boolean {
    const wasFull = this.#error !== undefined;
    this.stop();
    this.#error = undefined;
    this.#isDue = false;
    return wasFull;
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
