/** The system's clock, and one that stands still until told to move. */
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import type { Clock, Timer } from './ports.ts';

export const systemClock: Clock = {
  now: () => millis(Date.now()),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
};

interface Deadline {
  readonly at: number;
  readonly callback: () => void;
}

/** A fake: time moves only in `advance`, which fires what is due in order of deadline, then of creation. */
export class ManualClock implements Clock {
  #now: number;
  #monotonicMs = 0;
  #timers: Deadline[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs;
  }

  now(): Millis {
    return millis(this.#now);
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { at: this.#monotonicMs + Math.max(0, delayMs), callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  advance(durationMs: number): void {
    const end = this.#monotonicMs + durationMs;
    for (;;) {
      let next: Deadline | undefined;
      for (const timer of this.#timers)
        if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
      if (next === undefined) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#move(next.at);
      next.callback();
    }
    this.#move(end);
  }

  #move(to: number): void {
    this.#now += to - this.#monotonicMs;
    this.#monotonicMs = to;
  }
}
