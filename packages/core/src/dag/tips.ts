/**
 * Tips (spec DAG-4): vertices without counting children, and how parents are chosen among them. Restricted
 * uniform random: lazy tips are never in the pool and never remove others from it, and as every issuer has at
 * most one tip per lane and lanes follow stake, nobody can flood the pool. Adding, removing and picking are O(1).
 */
import { LIMITS } from '../ledger/limits.ts';
import type { Slab } from './slab.ts';

/** More tips than all lanes of a subnet can have at a time: only a pool held against the rules is larger. */
const SMALL_POOL = 128;
const TRIES = 64;

/** A set of places one can pick from uniformly: the last fills the gap of the removed. */
export class TipPool {
  readonly #places: number[] = [];
  readonly #position = new Map<number, number>();

  get size(): number {
    return this.#places.length;
  }

  has(place: number): boolean {
    return this.#position.has(place);
  }

  add(place: number): void {
    if (this.#position.has(place)) return;
    this.#position.set(place, this.#places.length);
    this.#places.push(place);
  }

  remove(place: number): void {
    const position = this.#position.get(place);
    if (position === undefined) return;
    this.#position.delete(place);
    const last = this.#places.pop() as number;
    if (last === place) return;
    this.#places[position] = last;
    this.#position.set(last, position);
  }

  at(position: number): number {
    return this.#places[position] as number;
  }

  places(): readonly number[] {
    return this.#places;
  }
}

/**
 * Feedback on the size of the pool: as many parents as there are tips, between 2 and 8, so that an adversary
 * who approves nothing new is outrun and a small subnet is approved in one step.
 */
export function parentsWanted(tips: number): number {
  return Math.max(2, Math.min(LIMITS.parentsMax, tips));
}

/** A tip is lazy when everything it adds to the past has been final for long (spec DAG-4.3). Subjective: only selection asks. */
export function isLazy(slab: Slab, place: number, head: number): boolean {
  return (
    head - (slab.newest[place] as number) > LIMITS.lazyNewestMax ||
    head - (slab.oldest[place] as number) > LIMITS.lazyOldestMax
  );
}

/**
 * Up to `count` distinct tips: first one or two from `fresh` (tips that approve another member's newest
 * envelope: choosing them keeps acceptance going whatever else fills the pool), the rest from all, uniformly.
 * `skip` is the own newest envelope, which is a parent anyway.
 */
export function selectTips(choice: {
  readonly pool: TipPool;
  readonly fresh: TipPool;
  readonly count: number;
  readonly skip: number;
  readonly random: () => number;
}): number[] {
  const { pool, fresh, count, skip, random } = choice;
  const chosen: number[] = [];
  pick(fresh, Math.min(2, count), skip, random, chosen);
  pick(pool, count, skip, random, chosen);
  return chosen;
}

/**
 * Uniform without repetition. Random positions until enough are found: at most nine places are taken already, so
 * in a large pool hardly any try is in vain. A small pool is shuffled instead (Fisher–Yates over a copy).
 */
function pick(pool: TipPool, until: number, skip: number, random: () => number, chosen: number[]): void {
  for (let tries = 0; pool.size > SMALL_POOL && tries < TRIES && chosen.length < until; tries += 1) {
    const place = pool.at(Math.floor(random() * pool.size));
    if (place !== skip && !chosen.includes(place)) chosen.push(place);
  }
  if (chosen.length >= until) return;
  const left = pool.places().filter((place) => place !== skip && !chosen.includes(place));
  while (chosen.length < until && left.length > 0) {
    const at = Math.floor(random() * left.length);
    chosen.push(left[at] as number);
    left[at] = left[left.length - 1] as number;
    left.pop();
  }
}
