/**
 * Thirty-two-byte names to small integers: open addressing over typed arrays, no string and no object per entry. The
 * caller chooses the integers (a place, a position in a ring); the name is kept under its integer.
 *
 * Names are hashes, but strangers choose among them: the position depends on two secret multipliers (multilinear
 * hashing, Lemire and Kaser 2014), so nobody can prepare names that collide here.
 */
import type { Hash } from '../crypto/hash.ts';

const WORDS = 8;
const CAPACITY_MIN = 256;

export class HashTable {
  /** Integer + 1; 0 is empty. At most half of the slots are taken, so probing is short. */
  #slots: Int32Array = new Int32Array(2 * CAPACITY_MIN);
  #words: Int32Array = new Int32Array(WORDS * CAPACITY_MIN);
  #count = 0;
  readonly #first: number;
  readonly #second: number;

  /** `random`: uniform in [0, 1). Without it positions are the same everywhere, which only tests may want. */
  constructor(random?: () => number) {
    this.#first = random === undefined ? 0x9e37_79b1 | 0 : secretOdd(random);
    this.#second = random === undefined ? 0x85eb_ca6b | 0 : secretOdd(random);
  }

  get size(): number {
    return this.#count;
  }

  /** The integer of a name, or −1. */
  find(name: Uint8Array): number {
    const slots = this.#slots;
    const words = this.#words;
    const mask = slots.length - 1;
    const a = wordAt(name, 0);
    const b = wordAt(name, 4);
    for (let slot = this.#position(a, b) & mask; ; slot = (slot + 1) & mask) {
      const id = (slots[slot] as number) - 1;
      if (id < 0) return -1;
      const at = id * WORDS;
      if (words[at] === a && words[at + 1] === b && isRest(words, at, name)) return id;
    }
  }

  /** The caller has made sure that neither the name nor the integer is in use. */
  add(name: Uint8Array, id: number): void {
    if (WORDS * (id + 1) > this.#words.length) this.#widen(id);
    if (4 * (this.#count + 1) > 2 * this.#slots.length) this.#rehash(2 * this.#slots.length);
    const at = id * WORDS;
    for (let i = 0; i < WORDS; i += 1) this.#words[at + i] = wordAt(name, 4 * i);
    this.#enter(id);
    this.#count += 1;
  }

  /** Removes the name kept under this integer and closes the gap, so that nothing behind it becomes unreachable. */
  delete(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let gap = this.#home(id) & mask;
    while (slots[gap] !== id + 1) {
      if (slots[gap] === 0) throw new Error(`nothing is kept under ${id}`);
      gap = (gap + 1) & mask;
    }
    for (let next = (gap + 1) & mask; slots[next] !== 0; next = (next + 1) & mask) {
      const home = this.#home((slots[next] as number) - 1) & mask;
      // Only what would still be found from its home may move into the gap.
      if (((next - home) & mask) < ((next - gap) & mask)) continue;
      slots[gap] = slots[next] as number;
      gap = next;
    }
    slots[gap] = 0;
    this.#count -= 1;
  }

  /** The name kept under an integer in use. */
  nameOf(id: number): Hash {
    const name = new Uint8Array(4 * WORDS);
    for (let i = 0; i < WORDS; i += 1) {
      const word = this.#words[id * WORDS + i] as number;
      name[4 * i] = word;
      name[4 * i + 1] = word >>> 8;
      name[4 * i + 2] = word >>> 16;
      name[4 * i + 3] = word >>> 24;
    }
    return name as Hash;
  }

  /** Where the search for a name begins, before it is cut to the size of the table. For tests of the secret. */
  homeOf(name: Uint8Array): number {
    return this.#position(wordAt(name, 0), wordAt(name, 4));
  }

  /** Slots looked at to find a name that is there. For tests of the secret. */
  probes(name: Uint8Array): number {
    const id = this.find(name);
    const mask = this.#slots.length - 1;
    let count = 1;
    for (let slot = this.homeOf(name) & mask; this.#slots[slot] !== id + 1; slot = (slot + 1) & mask)
      count += 1;
    return count;
  }

  #position(a: number, b: number): number {
    const mixed = (Math.imul(a, this.#first) + Math.imul(b, this.#second)) | 0;
    return mixed ^ (mixed >>> 15);
  }

  #home(id: number): number {
    return this.#position(this.#words[id * WORDS] as number, this.#words[id * WORDS + 1] as number);
  }

  #enter(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#home(id) & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = id + 1;
  }

  #widen(id: number): void {
    let length = this.#words.length;
    while (length < WORDS * (id + 1)) length *= 2;
    const words = new Int32Array(length);
    words.set(this.#words);
    this.#words = words;
  }

  #rehash(length: number): void {
    const before = this.#slots;
    this.#slots = new Int32Array(length);
    for (const entry of before) if (entry !== 0) this.#enter(entry - 1);
  }
}

function secretOdd(random: () => number): number {
  return Math.floor(random() * 0x1_0000_0000) | 1;
}

function wordAt(name: Uint8Array, at: number): number {
  return (
    (name[at] as number) |
    ((name[at + 1] as number) << 8) |
    ((name[at + 2] as number) << 16) |
    ((name[at + 3] as number) << 24)
  );
}

function isRest(words: Int32Array, at: number, name: Uint8Array): boolean {
  return (
    words[at + 2] === wordAt(name, 8) &&
    words[at + 3] === wordAt(name, 12) &&
    words[at + 4] === wordAt(name, 16) &&
    words[at + 5] === wordAt(name, 20) &&
    words[at + 6] === wordAt(name, 24) &&
    words[at + 7] === wordAt(name, 28)
  );
}
