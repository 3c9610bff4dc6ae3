/**
 * The work a device does for a payload that is beyond its share (spec DEVICE-5): in slices that hold up nothing for long, and no more
 * than its owner allows. The radio and what else there is to do are its caller's, between two slices.
 */
import { StampSearch, type Stamp, type Tolled } from '@itc/core/dag/toll.js';
import type { WorkDemand } from '../work-demand.ts';

export interface WorkPolicy {
  /** More is not worth its energy: the payload waits instead. */
  readonly bitsMax: number;
  /** How long one slice may take: well below what a watchdog allows. */
  readonly sliceMs: number;
  /** Stamps searched for one payload before it waits: each asks for more, or for a newer anchor. */
  readonly attemptsMax: number;
}

/** For a chip that does some 20 000 hashes a second: a second or two of work, and rarely a minute. */
export const CHIP_WORK: WorkPolicy = { bitsMax: 18, sliceMs: 20, attemptsMax: 3 };

/** Hashes of the first slice: even a slow chip does them in a few milliseconds. */
const FIRST_TRIES = 16;
const TRIES_MAX = 65_536;
/** Not one search in three thousand takes more. */
const PATIENCE = 8;

export type WorkStep =
  | { readonly kind: 'found'; readonly stamp: Stamp }
  | { readonly kind: 'goes-on' }
  | { readonly kind: 'given-up' };

export class StampWork {
  readonly #search: Pick<StampSearch, 'step' | 'tried'>;
  readonly #monotonicMs: () => number;
  readonly #sliceMs: number;
  readonly #triesMax: number;
  #tries = FIRST_TRIES;

  constructor(o: {
    readonly search: Pick<StampSearch, 'step' | 'tried'>;
    readonly bits: number;
    readonly policy: Pick<WorkPolicy, 'sliceMs'>;
    readonly monotonicMs: () => number;
  }) {
    this.#search = o.search;
    this.#monotonicMs = o.monotonicMs;
    this.#sliceMs = o.policy.sliceMs;
    this.#triesMax = PATIENCE * 2 ** o.bits;
  }

  /** One slice. The next one is as long as this one's speed allows, and at most twice as long as this one. */
  slice(): WorkStep {
    const began = this.#monotonicMs();
    const stamp = this.#search.step(this.#tries);
    if (stamp !== undefined) return { kind: 'found', stamp };
    if (this.#search.tried >= this.#triesMax) return { kind: 'given-up' };
    const took = this.#monotonicMs() - began;
    // Half of the time that is allowed, so that a slice that is interrupted keeps within it.
    const fitting = took <= 0 ? Infinity : Math.floor((this.#tries * this.#sliceMs) / (2 * took));
    this.#tries = Math.max(1, Math.min(2 * this.#tries, fitting, TRIES_MAX));
    return { kind: 'goes-on' };
  }
}

/**
 * Where to anchor: the header the device believes itself, which no gateway can make up; one that follows no chain takes the
 * gateway's word. Undefined: the gateway contradicts what is believed.
 */
export function anchorOf(
  demand: WorkDemand,
  believed: { readonly height: number; readonly hash: Tolled['anchor'] } | undefined,
): { readonly height: number; readonly anchor: Tolled['anchor'] } | undefined {
  if (believed === undefined || believed.height === 0) return demand;
  if (believed.height === demand.height && believed.hash.some((byte, i) => byte !== demand.anchor[i]))
    return undefined;
  return { height: believed.height, anchor: believed.hash };
}
