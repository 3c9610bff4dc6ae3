/**
 * From a 32-byte hash to a place in a segment: open addressing over typed arrays, 20 bytes a slot. It keeps 64
 * bits of each hash; whoever reads the place compares the whole.
 */
import type { Random } from '../ports.ts';

export interface Place {
  readonly segment: number;
  readonly offset: number;
}

const COLUMNS = 4;
/** The column of an offset holds offset + 1, so that 0 means a free slot. */
const OFFSET = 3;

export class HashIndex {
  /** Who knows how slots are chosen could grind hashes into one long run; the salt is ours alone. */
  readonly #salt: number;
  #slots: Uint32Array;
  #capacity: number;
  #count = 0;

  constructor(random: Random, capacity = 1024) {
    this.#salt = new DataView(random.bytes(4).buffer).getUint32(0) | 1;
    this.#capacity = capacity;
    this.#slots = new Uint32Array(capacity * COLUMNS);
  }

  get count(): number {
    return this.#count;
  }

  /** Adds a place. The caller has asked `get` first: the same hash twice is kept twice. */
  add(hash: Uint8Array, place: Place): void {
    if (2 * (this.#count + 1) > this.#capacity) this.#rebuild(2 * this.#capacity, () => true);
    this.#insert(word(hash, 0), word(hash, 4), place.segment, place.offset + 1);
  }

  /** The first place that `isRight` confirms among those whose 64 bits match. */
  get(hash: Uint8Array, isRight: (place: Place) => boolean): Place | undefined {
    const high = word(hash, 0);
    const low = word(hash, 4);
    for (let slot = this.#slotOf(high, low); ; slot = (slot + 1) % this.#capacity) {
      const at = slot * COLUMNS;
      const offset = this.#slots[at + OFFSET] as number;
      if (offset === 0) return undefined;
      if (this.#slots[at] !== high || this.#slots[at + 1] !== low) continue;
      const place = { segment: this.#slots[at + 2] as number, offset: offset - 1 };
      if (isRight(place)) return place;
    }
  }

  /** Forgets all places in segments below a number. Takes time in proportion to the whole index. */
  dropBelow(segment: number): void {
    this.#rebuild(this.#capacity, (other) => other >= segment);
  }

  #rebuild(capacity: number, keep: (segment: number) => boolean): void {
    const old = this.#slots;
    this.#capacity = capacity;
    this.#slots = new Uint32Array(capacity * COLUMNS);
    this.#count = 0;
    for (let at = 0; at < old.length; at += COLUMNS) {
      const [high, low, segment, offset] = old.subarray(at, at + COLUMNS) as unknown as [
        number,
        number,
        number,
        number,
      ];
      if (offset !== 0 && keep(segment)) this.#insert(high, low, segment, offset);
    }
  }

  #insert(high: number, low: number, segment: number, offset: number): void {
    let slot = this.#slotOf(high, low);
    while (this.#slots[slot * COLUMNS + OFFSET] !== 0) slot = (slot + 1) % this.#capacity;
    this.#slots.set([high, low, segment, offset], slot * COLUMNS);
    this.#count += 1;
  }

  #slotOf(high: number, low: number): number {
    let mixed = Math.imul(high ^ this.#salt, 0x9e3779b1);
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ low, this.#salt);
    return ((mixed ^ (mixed >>> 13)) >>> 0) % this.#capacity;
  }
}

function word(hash: Uint8Array, at: number): number {
  return (
    (((hash[at] as number) << 24) |
      ((hash[at + 1] as number) << 16) |
      ((hash[at + 2] as number) << 8) |
      (hash[at + 3] as number)) >>>
    0
  );
}
