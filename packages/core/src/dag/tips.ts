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
  #places: Int32Array = new Int32Array(64);
  /** By place: its position + 1, or 0. */
  #position: Int32Array = new Int32Array(256);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(place: number): boolean {
    return place < this.#position.length && this.#position[place] !== 0;
  }

  add(place: number): void {
    if (this.has(place)) return;
    if (place >= this.#position.length) this.#position = wider(this.#position, place + 1);
    if (this.#size === this.#places.length) this.#places = wider(this.#places, this.#size + 1);
    this.#places[this.#size] = place;
    this.#size += 1;
    this.#position[place] = this.#size;
  }

  remove(place: number): void {
    if (!this.has(place)) return;
    const position = (this.#position[place] as number) - 1;
    this.#position[place] = 0;
    this.#size -= 1;
    if (position === this.#size) return;
    const last = this.#places[this.#size] as number;
    this.#places[position] = last;
    this.#position[last] = position + 1;
  }

  at(position: number): number {
    return this.#places[position] as number;
  }

  /** A view, good until the next change. */
  places(): Int32Array {
    return this.#places.subarray(0, this.#size);
  }
}

function wider(array: Int32Array, least: number): Int32Array {
  let length = array.length;
  while (length < least) length *= 2;
  const grown = new Int32Array(length);
  grown.set(array);
  return grown;
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
  const left = Array.from(pool.places()).filter((place) => place !== skip && !chosen.includes(place));
  while (chosen.length < until && left.length > 0) {
    const at = Math.floor(random() * left.length);
    chosen.push(left[at] as number);
    left[at] = left[left.length - 1] as number;
    left.pop();
  }
}
