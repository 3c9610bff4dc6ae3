/** What is remembered of the final past: envelopes by hash and checkpoints that may serve as anchors. Both bounded. */
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { HashTable } from './hash-table.ts';
import type { AnchorView } from './verify.ts';

export interface FinalEnvelope {
  readonly hash: Hash;
  readonly checkpoint: number;
  readonly time: number;
}

/** The newest final envelopes; the oldest make room. What has left is found in storage only. */
export class FinalEnvelopes {
  readonly #table: HashTable;
  /** By position in the ring. */
  #checkpoints = new Int32Array(256);
  #times = new Float64Array(256);
  #oldest = 0;
  /** Whether something has left: only then is it worth asking the storage. */
  forgotten = false;

  constructor(random?: () => number) {
    this.#table = new HashTable(random);
  }

  get size(): number {
    return this.#table.size;
  }

  find(hash: Hash): FinalEnvelope | undefined {
    const at = this.#table.find(hash);
    return at < 0 ? undefined : this.#entry(at);
  }

  /** Position of an envelope, or −1: `checkpointAt` and `timeAt` take it until something is added. */
  position(hash: Hash): number {
    return this.#table.find(hash);
  }

  checkpointAt(position: number): number {
    return this.#checkpoints[position] as number;
  }

  timeAt(position: number): number {
    return this.#times[position] as number;
  }

  add(final: FinalEnvelope): void {
    if (this.#table.find(final.hash) >= 0) return;
    let at = this.#table.size;
    if (at === LIMITS.finalisedKeptMax) {
      at = this.#oldest;
      this.#oldest = (at + 1) % LIMITS.finalisedKeptMax;
      this.#table.delete(at);
      this.forgotten = true;
    } else if (at === this.#checkpoints.length) this.#grow();
    this.#table.add(final.hash, at);
    this.#checkpoints[at] = final.checkpoint;
    this.#times[at] = final.time;
  }

  /** Oldest first. */
  *values(): Iterable<FinalEnvelope> {
    const { size } = this.#table;
    for (let i = 0; i < size; i += 1) yield this.#entry((this.#oldest + i) % size);
  }

  #entry(at: number): FinalEnvelope {
    return { hash: this.#table.nameOf(at), checkpoint: this.checkpointAt(at), time: this.timeAt(at) };
  }

  #grow(): void {
    const checkpoints = new Int32Array(2 * this.#checkpoints.length);
    const times = new Float64Array(checkpoints.length);
    checkpoints.set(this.#checkpoints);
    times.set(this.#times);
    this.#checkpoints = checkpoints;
    this.#times = times;
  }
}

export interface Anchor {
  readonly hash: Hash;
  readonly sequence: number;
  readonly powBits: number;
  /** Bits by which each member pays more or less under this anchor; absent when nobody does. */
  readonly adjustments?: readonly number[] | undefined;
}

/** Applied checkpoints by hash. The subnet's id is the anchor before the first. */
export class Anchors implements AnchorView {
  readonly #table: HashTable;
  readonly #ring: Anchor[] = [];
  #oldest = 0;
  #last: Anchor;

  constructor(subnet: Hash, powBits: number, random?: () => number) {
    this.#table = new HashTable(random);
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
    const at = this.#table.find(hash);
    return at < 0 ? undefined : this.#ring[at];
  }

  add(anchor: Anchor): void {
    this.#last = anchor;
    if (this.#table.find(anchor.hash) >= 0) return;
    let at = this.#ring.length;
    if (at === LIMITS.anchorsKeptMax) {
      at = this.#oldest;
      this.#oldest = (at + 1) % LIMITS.anchorsKeptMax;
      this.#table.delete(at);
    }
    this.#table.add(anchor.hash, at);
    this.#ring[at] = anchor;
  }

  /** Oldest first. */
  *values(): Iterable<Anchor> {
    for (let i = 0; i < this.#ring.length; i += 1)
      yield this.#ring[(this.#oldest + i) % this.#ring.length] as Anchor;
  }
}
