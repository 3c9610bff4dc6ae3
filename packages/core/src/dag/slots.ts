/**
 * What each lane holds that is not final: its newest envelope, the first envelope of every slot (issuer, lane,
 * sequence), and whether a slot is contested (spec DAG-2.9). Keyed by slot and not by hash, so that no equivocation can
 * be committed twice under two names.
 */
import { LIMITS } from '../ledger/limits.ts';
import { NONE, type Slab } from './slab.ts';

export const laneIndex = (issuer: number, lane: number): number => issuer * LIMITS.envelopeLanesMax + lane;

export class Slots {
  readonly #slab: Slab;
  /** For each lane the place with the highest sequence. */
  readonly newest: Int32Array;
  readonly #muted: Uint8Array;
  /** Place + 1 of the first in its slot; open addressing, at most half full. The key is read from the slab. */
  #table: Int32Array = new Int32Array(512);
  #count = 0;
  #mutedCount = 0;

  constructor(slab: Slab, members: number) {
    this.#slab = slab;
    this.newest = new Int32Array(members * LIMITS.envelopeLanesMax).fill(NONE);
    this.#muted = new Uint8Array(this.newest.length);
  }

  /** Lanes with two envelopes in one pending slot have no tips until a checkpoint decides. */
  isMuted(lane: number): boolean {
    return this.#muted[lane] === 1;
  }

  get mutedCount(): number {
    return this.#mutedCount;
  }

  /** The first envelope seen in a slot, or `NONE`. An honest lane only ever asks beyond its newest. */
  first(lane: number, sequence: number): number {
    const newest = this.newest[lane] as number;
    if (newest === NONE || sequence > (this.#slab.sequence[newest] as number)) return NONE;
    return (this.#table[this.#find(lane, sequence)] as number) - 1;
  }

  /** Enters a place into its slot; a second one mutes the lane. */
  take(place: number): void {
    const slab = this.#slab;
    const lane = laneIndex(slab.issuer[place] as number, slab.lane[place] as number);
    const sequence = slab.sequence[place] as number;
    if (4 * (this.#count + 1) > 2 * this.#table.length) this.#grow();
    const at = this.#find(lane, sequence);
    if (this.#table[at] === 0) {
      this.#table[at] = place + 1;
      this.#count += 1;
    } else if (this.#muted[lane] === 0) {
      this.#muted[lane] = 1;
      this.#mutedCount += 1;
    }
    const newest = this.newest[lane] as number;
    if (newest === NONE || (slab.sequence[newest] as number) < sequence) this.newest[lane] = place;
  }

  clear(): void {
    this.#table.fill(0);
    this.#count = 0;
    this.newest.fill(NONE);
    this.#muted.fill(0);
    this.#mutedCount = 0;
  }

  /** Where the slot is, or the free position where it belongs. */
  #find(lane: number, sequence: number): number {
    const table = this.#table;
    const { sequence: sequences, issuer, lane: lanes } = this.#slab;
    const mask = table.length - 1;
    const low = (sequence % 0x1_0000_0000) | 0;
    // Fibonacci hashing: consecutive sequences, which is what a lane has, come to lie far apart.
    let at = (Math.imul(low, 0x9e37_79b1) ^ Math.imul(lane + 1, 0x85eb_ca6b)) >>> 8;
    for (at &= mask; table[at] !== 0; at = (at + 1) & mask) {
      const place = (table[at] as number) - 1;
      if (
        sequences[place] === sequence &&
        laneIndex(issuer[place] as number, lanes[place] as number) === lane
      )
        break;
    }
    return at;
  }

  #grow(): void {
    const before = this.#table;
    this.#table = new Int32Array(2 * before.length);
    const { sequence, issuer, lane } = this.#slab;
    for (const entry of before) {
      if (entry === 0) continue;
      const place = entry - 1;
      const key = laneIndex(issuer[place] as number, lane[place] as number);
      this.#table[this.#find(key, sequence[place] as number)] = entry;
    }
  }
}
