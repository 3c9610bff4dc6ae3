/**
 * Which transactions have waited here for too long: what a validator reports, so that a proposer cannot leave one
 * sender out (PBFT, inclusion). The pool numbers what comes and has no clock; this samples the numbers by time.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Mempool } from '../mempool/mempool.ts';
import type { Clock } from '../ports.ts';
import type { Chain } from './chain.ts';

/** A proposer under load makes a block of the best-paid; this is what everybody else waits at most. */
const AGE_MS = 5_000;
const LOOK_MS = 500;

export class Overdue {
  readonly #mempool: Mempool;
  readonly #chain: Chain;
  readonly #clock: Clock;
  /** Oldest first: the first one is at least `AGE_MS` old as soon as there is such a sample. */
  readonly #samples: { readonly at: number; readonly mark: number }[] = [];
  #ids: readonly Hash[] = [];

  constructor(o: { readonly mempool: Mempool; readonly chain: Chain; readonly clock: Clock }) {
    this.#mempool = o.mempool;
    this.#chain = o.chain;
    this.#clock = o.clock;
  }

  /** At most `inclusionMax`, oldest first. Looked up now and then, so that ticks cost nothing. */
  ids(): readonly Hash[] {
    const now = this.#clock.monotonicMs();
    const last = this.#samples.at(-1);
    if (last !== undefined && now - last.at < LOOK_MS) return this.#ids;
    this.#samples.push({ at: now, mark: this.#mempool.mark });
    while ((this.#samples[1]?.at ?? now) <= now - AGE_MS) this.#samples.shift();
    const [oldest] = this.#samples;
    const before = oldest !== undefined && oldest.at <= now - AGE_MS ? oldest.mark : 0;
    const waiting = this.#mempool.oldest({
      before,
      countMax: LIMITS.inclusionMax,
      admits: (checkpoint) => this.#chain.admits(checkpoint),
    });
    this.#ids = waiting.map(({ id }) => id);
    return this.#ids;
  }
}
