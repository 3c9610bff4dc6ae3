/** A clock that stands still until it is told to go on. */
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import type { Clock, Timer } from '../ports.ts';

export class ManualClock implements Clock {
  #ms = 1_700_000_000_000;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];

  now(): Millis {
    return millis(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { at: this.#ms + delayMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  /** Runs what becomes due on the way, in its order. */
  advance(ms: number): void {
    const end = this.#ms + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#ms = Math.max(this.#ms, next.at);
      next.callback();
    }
    this.#ms = end;
  }
}
