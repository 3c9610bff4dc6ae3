/**
 * Weight (spec DAG-5): the stake of the distinct members whose envelopes approve a vertex, directly or not. It
 * is a set and never a sum over descendants, so nobody counts twice (the error of IRI's cumulative weight). The weight of
 * proof of work is fixed for an epoch and added per member, so the same set gives both.
 */
import { ACCEPTED, PARENT_STRIDE, PENDING, type Slab } from './slab.ts';

export class Weights {
  readonly #stake: Float64Array;
  /** What work adds to each member in this epoch. */
  readonly #work: Float64Array;
  /** Stake from which a vertex is accepted. */
  readonly threshold: number;
  #stack = new Int32Array(1024);

  constructor(stake: readonly number[], threshold: number) {
    this.#stake = Float64Array.from(stake);
    this.#work = new Float64Array(stake.length);
    this.threshold = threshold;
  }

  /**
   * Counts the issuer of `place` for `place` and its whole pending past. The walk stops where the bit is set
   * already: below it, it is set everywhere. So each pair of vertex and member is visited once in all.
   * Newly accepted places are appended to `accepted`.
   */
  approve(slab: Slab, place: number, accepted: number[]): void {
    const { parents, parentCount, bits, weight, state } = slab;
    const member = slab.issuer[place] as number;
    const bit = 1 << member;
    const stake = this.#stake[member] as number;
    // A place is pushed once, when its bit is set, so the stack never outgrows the slab.
    if (this.#stack.length < slab.capacity) this.#stack = new Int32Array(slab.capacity);
    const stack = this.#stack;
    let depth = 0;
    bits[place] = (bits[place] as number) | bit;
    stack[depth++] = place;
    while (depth > 0) {
      const at = stack[--depth] as number;
      const sum = (weight[at] as number) + stake;
      weight[at] = sum;
      if (sum >= this.threshold && state[at] === PENDING) {
        state[at] = ACCEPTED;
        accepted.push(at);
      }
      const start = at * PARENT_STRIDE;
      const end = start + (parentCount[at] as number);
      for (let i = start; i < end; i += 1) {
        const parent = parents[i] as number;
        if (parent < 0 || ((bits[parent] as number) & bit) !== 0) continue;
        bits[parent] = (bits[parent] as number) | bit;
        stack[depth++] = parent;
      }
    }
  }

  /** Stake of a bitmap of members. */
  stakeOf(bits: number): number {
    return sumOver(this.#stake, bits);
  }

  /** The weights of a new epoch. */
  setWork(work: readonly number[]): void {
    for (let i = 0; i < this.#work.length; i += 1) this.#work[i] = work[i] ?? 0;
  }

  /** Stake and work of a bitmap of members: what decides a contested slot, and level 1. */
  weightOf(bits: number): number {
    return sumOver(this.#stake, bits) + sumOver(this.#work, bits);
  }

  /** Stake and work of everybody. */
  get total(): number {
    return this.weightOf(-1);
  }

  /** Security level of a vertex that is not final: 2 accepted, 1 approved by more than half of all weight, else 0. */
  levelOf(slab: Slab, place: number): 0 | 1 | 2 {
    if (slab.state[place] === ACCEPTED) return 2;
    return 2 * this.weightOf(slab.bits[place] as number) > this.total ? 1 : 0;
  }
}

function sumOver(weights: Float64Array, bits: number): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i += 1) if (((bits >>> i) & 1) === 1) sum += weights[i] as number;
  return sum;
}
