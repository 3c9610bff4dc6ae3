/**
 * What time it is, for a device whose own clock may be wrong or stand at zero (spec DEVICE-1.7). The time of the last
 * believed header is the floor, what passed since is added, and it never goes back.
 */
import { millis, type Millis } from '@itc/core/ledger/ids.js';

export interface ChainTime {
  readonly time: Millis;
  /** A header was believed since the start. Before that the clock goes on from where the power went. */
  readonly isSure: boolean;
}

export class ChainClock {
  readonly #monotonicMs: () => number;
  #floor: number;
  #learntAt: number;
  #last: number;
  #isSure = false;

  /** `floor`: of the trust that was kept. `monotonicMs` counts from some start and never goes back. */
  constructor(floor: Millis, monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#floor = floor;
    this.#last = floor;
    this.#learntAt = monotonicMs();
  }

  /** A header was believed just now. A clock that had run ahead stands until the chain's time has passed it. */
  believed(time: Millis): void {
    this.#floor = time;
    this.#learntAt = this.#monotonicMs();
    this.#isSure = true;
  }

  now(): ChainTime {
    const time = Math.floor(this.#floor + this.#monotonicMs() - this.#learntAt);
    this.#last = Math.max(this.#last, time);
    return { time: millis(this.#last), isSure: this.#isSure };
  }
}
