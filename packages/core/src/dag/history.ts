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
  /** Whether something has left: only then is it worth asking the storage. */
  forgotten = false;

  get size(): number {
    return this.#byHash.size;
  }

  find(hash: Hash): FinalEnvelope | undefined {
    return this.#byHash.get(keyOf(hash));
  }

  add(final: FinalEnvelope): void {
    this.#byHash.set(keyOf(final.hash), final);
    if (this.#byHash.size <= LIMITS.finalisedKeptMax) return;
    for (const oldest of this.#byHash.keys()) {
      this.#byHash.delete(oldest);
      break;
    }
    this.forgotten = true;
  }

  values(): Iterable<FinalEnvelope> {
    return this.#byHash.values();
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
  #last: Anchor;

  constructor(subnet: Hash, powBits: number) {
    this.#last = { hash: subnet, sequence: 0, powBits };
    this.#byHash.set(keyOf(subnet), this.#last);
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
    this.#byHash.set(keyOf(anchor.hash), anchor);
    this.#last = anchor;
    if (this.#byHash.size <= LIMITS.anchorsKeptMax) return;
    for (const oldest of this.#byHash.keys()) {
      this.#byHash.delete(oldest);
      break;
    }
  }

  values(): Iterable<Anchor> {
    return this.#byHash.values();
  }
}
