/** Where records are in the state tree, for thousands of keys at a time: what a block reads it writes soon after. */
import { utf8Encode } from '../bytes/writer.ts';
import { HASH_BYTES, TAGS } from '../crypto/hash.ts';
import { Numbers } from '../crypto/pending-hashes.ts';
import type { StateHasher } from '../crypto/state-hasher.ts';

/** Of keys that are remembered: those of two full blocks. What lives longer is a burden to the garbage collector. */
const REMEMBERED_MAX = 16_384;
const TAG = Uint8Array.of(...utf8Encode(TAGS.stateKey), 0);

export class KeyHashes {
  readonly #hasher: StateHasher;
  /** By the number of the kind, and the id as text: where in `bytes` the hash begins. */
  #places: (Map<string, number> | undefined)[] = [];
  #count = 0;
  /** Hashes, one behind another; see `at`. */
  bytes: Uint8Array = new Uint8Array(HASH_BYTES * 64);
  #inputs: Uint8Array = new Uint8Array(4096);
  #used = 0;
  /** Where an input begins and its length, then the same of the next. */
  readonly #waiting = new Numbers();

  constructor(hasher: StateHasher) {
    this.#hasher = hasher;
  }

  /** Where the hash of this key begins in `bytes`, until the next call. */
  at(kind: number, id: string): number {
    const known = this.#places[kind]?.get(id);
    if (known !== undefined) return known;
    return this.all(kind, [id])[0] as number;
  }

  /** Where the hashes of all these keys begin, until the next call. */
  all(kind: number, ids: readonly string[]): Int32Array {
    if (this.#count + ids.length > REMEMBERED_MAX) this.#clear();
    const places = new Int32Array(ids.length);
    for (let i = 0; i < ids.length; i += 1) places[i] = this.#add(kind, ids[i] as string);
    this.#settle();
    return places;
  }

  #clear(): void {
    this.#places = [];
    this.#count = 0;
  }

  #add(kind: number, id: string): number {
    const places = (this.#places[kind] ??= new Map());
    const known = places.get(id);
    if (known !== undefined) return known;
    const length = TAG.length + 1 + id.length;
    if (this.#used + length > this.#inputs.length) this.#inputs = grown(this.#inputs, this.#used + length);
    const inputs = this.#inputs;
    let at = this.#used;
    for (let i = 0; i < TAG.length; i += 1) inputs[at + i] = TAG[i] as number;
    at += TAG.length;
    inputs[at] = kind;
    for (let i = 0; i < id.length; i += 1) inputs[at + 1 + i] = id.charCodeAt(i);
    this.#waiting.push(this.#used);
    this.#waiting.push(length);
    this.#used += length;
    const place = HASH_BYTES * this.#count;
    places.set(id, place);
    this.#count += 1;
    return place;
  }

  /** Computes the hashes of the keys added. */
  #settle(): void {
    const count = this.#waiting.length / 2;
    if (count === 0) return;
    const end = HASH_BYTES * this.#count;
    if (end > this.bytes.length) this.bytes = grown(this.bytes, end);
    const output = this.bytes.subarray(end - HASH_BYTES * count, end);
    const places = new Uint32Array(this.#waiting.list.buffer, 0, 2 * count);
    this.#hasher.stretches(this.#inputs, places, count, output);
    this.#waiting.length = 0;
    this.#used = 0;
  }
}

function grown(bytes: Uint8Array, needed: number): Uint8Array {
  const larger = new Uint8Array(Math.max(2 * bytes.length, needed));
  larger.set(bytes);
  return larger;
}
