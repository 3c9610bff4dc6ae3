/**
 * Whom a full pool sends away for something better (spec NODE-3.5). What waits behind a gap goes first: it may never be
 * executed, so it pays nothing for its place. Then the end of the lane that holds the cheapest entry: it cannot be
 * executed before that one, so it is worth no more, and evicting an earlier one would strand those behind it.
 */
import type { Entry, Lane } from './entry.ts';
import { Heap } from './heap.ts';

const worseFirst = (a: Entry, b: Entry): boolean =>
  a.price < b.price || (a.price === b.price && a.rank > b.rank);

export interface Shortage {
  /** Places and bytes that are to become free. */
  readonly places: number;
  readonly bytes: number;
}

export type Newcomer = Pick<Entry, 'price' | 'rank' | 'isDue' | 'transaction'> & {
  readonly lane: Lane | undefined;
};

/** Heaps hold some entries that have left or changed sides; they are passed over when they come up. */
export class Eviction {
  readonly #due = new Heap<Entry>(worseFirst);
  readonly #early = new Heap<Entry>(worseFirst);

  constructor(entries: Iterable<Entry>) {
    for (const entry of entries) this.note(entry);
  }

  /** Grows with every change; whoever owns it makes a new one when it is too large. */
  get size(): number {
    return this.#due.size + this.#early.size;
  }

  /** An entry has come, or has become due, or is not due any more. */
  note(entry: Entry): void {
    if (entry.lane === undefined) return;
    (entry.isDue ? this.#due : this.#early).push(entry);
  }

  /** Entries whose going makes enough room, all of them worse than the newcomer; undefined when there are not enough. */
  victims(newcomer: Newcomer, { places, bytes }: Shortage): readonly Entry[] | undefined {
    const victims = new Set<Entry>();
    const looked: Entry[] = [];
    /** Nonces from which a lane has lost its end already. */
    const ends = new Map<Lane, number>();
    let freed = 0;
    const isEnough = (): boolean => victims.size >= places && freed >= bytes;
    const add = (victim: Entry): void => {
      if (victims.has(victim)) return;
      victims.add(victim);
      freed += victim.transaction.encoded.length;
    };
    while (!isEnough()) {
      const worst = this.#worst(newcomer);
      if (worst === undefined) break;
      looked.push(worst);
      const { lane, isDue } = worst;
      if (victims.has(worst)) continue;
      // What the newcomer itself waits for must stay.
      if (lane === undefined || (lane === newcomer.lane && !isBehind(worst, newcomer))) continue;
      if (!isDue) add(worst);
      else {
        const end = (ends.get(lane) ?? lane.gap) - 1;
        const last = lane.entries.get(end);
        if (last === undefined || (lane === newcomer.lane && !isBehind(last, newcomer))) continue;
        ends.set(lane, end);
        add(last);
        // The cheap one at the front may have more behind it.
        if (last !== worst) this.#due.push(looked.pop() as Entry);
      }
    }
    for (const entry of looked) this.note(entry);
    return isEnough() ? [...victims] : undefined;
  }

  /** Takes the worst one out, when it is worse than the newcomer. */
  #worst(newcomer: Newcomer): Entry | undefined {
    const early = peekHere(this.#early, false);
    if (early !== undefined)
      return newcomer.isDue || worseFirst(early, newcomer as Entry) ? this.#early.pop() : undefined;
    if (!newcomer.isDue) return undefined;
    const due = peekHere(this.#due, true);
    return due !== undefined && worseFirst(due, newcomer as Entry) ? this.#due.pop() : undefined;
  }
}

function isBehind(entry: Entry, newcomer: Newcomer): boolean {
  return entry.transaction.tx.nonce > newcomer.transaction.tx.nonce;
}

function peekHere(heap: Heap<Entry>, isDue: boolean): Entry | undefined {
  for (let entry = heap.peek(); entry !== undefined; entry = heap.peek()) {
    if (entry.isHere && entry.isDue === isDue) return entry;
    heap.pop();
  }
  return undefined;
}
