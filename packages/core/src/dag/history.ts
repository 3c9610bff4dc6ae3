/** What is remembered of the final past: envelopes by hash and checkpoints that may serve as anchors. Both bounded. */
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { keyOf } from './slab.ts';
import type { AnchorView } from './verify.ts';

export interface FinalEnvelope {
  readonly hash: Hash;
  readonly checkpoint: number;
  readonly time: number;
}

/** The newest final envelopes; the oldest make room. What has left is found in storage only. */
export class FinalEnvelopes {
  readonly #byHash = new Map<string, FinalEnvelope>();
  /** Keys by age, as a ring: asking a Map for its oldest key costs more with every deletion. */
  readonly #ring: string[] = [];
  #oldest = 0;
  /** Whether something has left: only then is it worth asking the storage. */
  forgotten = false;

  get size(): number {
    return this.#byHash.size;
  }

  find(hash: Hash): FinalEnvelope | undefined {
    return this.#byHash.get(keyOf(hash));
  }

  /** As `find`, for who has the key already. */
  at(key: string): FinalEnvelope | undefined {
    return this.#byHash.get(key);
  }

  add(final: FinalEnvelope): void {
    const key = keyOf(final.hash);
    if (this.#byHash.has(key)) return;
    this.#byHash.set(key, final);
    if (this.#ring.length < LIMITS.finalisedKeptMax) {
      this.#ring.push(key);
      return;
    }
    this.#byHash.delete(this.#ring[this.#oldest] as string);
    this.#ring[this.#oldest] = key;
    this.#oldest = (this.#oldest + 1) % LIMITS.finalisedKeptMax;
    this.forgotten = true;
  }

  /** Oldest first. */
  *values(): Iterable<FinalEnvelope> {
    for (let i = 0; i < this.#ring.length; i += 1) {
      const key = this.#ring[(this.#oldest + i) % this.#ring.length] as string;
      yield this.#byHash.get(key) as FinalEnvelope;
    }
  }
}

export interface Anchor {
  readonly hash: Hash;
  readonly sequence: number;
  readonly powBits: number;
}

/** Applied checkpoints by hash. The subnet's id is the anchor before the first. */
export class Anchors implements AnchorView {
  readonly #byHash = new Map<string, Anchor>();
  readonly #ring: string[] = [];
  #oldest = 0;
  #last: Anchor;

  constructor(subnet: Hash, powBits: number) {
    this.#last = { hash: subnet, sequence: 0, powBits };
    this.add(this.#last);
  }

  get head(): number {
    return this.#last.sequence;
  }

  get last(): Anchor {
    return this.#last;
  }

  find(hash: Hash): Anchor | undefined {
    return this.#byHash.get(keyOf(hash));
  }

  add(anchor: Anchor): void {
    const key = keyOf(anchor.hash);
    this.#last = anchor;
    if (this.#byHash.has(key)) return;
    this.#byHash.set(key, anchor);
    if (this.#ring.length < LIMITS.anchorsKeptMax) {
      this.#ring.push(key);
      return;
    }
    this.#byHash.delete(this.#ring[this.#oldest] as string);
    this.#ring[this.#oldest] = key;
    this.#oldest = (this.#oldest + 1) % LIMITS.anchorsKeptMax;
  }

  /** Oldest first. */
  *values(): Iterable<Anchor> {
    for (let i = 0; i < this.#ring.length; i += 1)
      yield this.#byHash.get(this.#ring[(this.#oldest + i) % this.#ring.length] as string) as Anchor;
  }
}
