/**
 * The vertices in memory as parallel typed arrays, addressed by a small integer (background: weight accounting).
 * Only what is not final lives here; places are reused, so memory follows the backlog and not the history.
 */
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { VerifiedEnvelope } from './verify.ts';

/** State of a place. */
export const FREE = 0;
export const PENDING = 1;
/** Approved by a strong quorum of stake. */
export const ACCEPTED = 2;

export const PARENT_STRIDE: number = LIMITS.parentsMax;
export const NO_SELF = 255;
/** No place. */
export const NONE = -1;

/** A parent that is final is no place any more: its checkpoint is kept instead, as a negative number. */
export const finalRef = (checkpoint: number): number => -checkpoint - 1;
export const checkpointOfRef = (ref: number): number => -ref - 1;

/** Thirty-two bytes as sixteen UTF-16 units: the shortest key a Map takes, made without hex. */
export function keyOf(hash: Uint8Array): string {
  const h = hash;
  return String.fromCharCode(
    ((h[0] as number) << 8) | (h[1] as number),
    ((h[2] as number) << 8) | (h[3] as number),
    ((h[4] as number) << 8) | (h[5] as number),
    ((h[6] as number) << 8) | (h[7] as number),
    ((h[8] as number) << 8) | (h[9] as number),
    ((h[10] as number) << 8) | (h[11] as number),
    ((h[12] as number) << 8) | (h[13] as number),
    ((h[14] as number) << 8) | (h[15] as number),
    ((h[16] as number) << 8) | (h[17] as number),
    ((h[18] as number) << 8) | (h[19] as number),
    ((h[20] as number) << 8) | (h[21] as number),
    ((h[22] as number) << 8) | (h[23] as number),
    ((h[24] as number) << 8) | (h[25] as number),
    ((h[26] as number) << 8) | (h[27] as number),
    ((h[28] as number) << 8) | (h[29] as number),
    ((h[30] as number) << 8) | (h[31] as number),
  );
}

export class Slab {
  capacity: number;
  count = 0;
  /** Bytes of the envelopes held. */
  bytes = 0;
  /** `PARENT_STRIDE` per place: a place, or a negative `finalRef`. */
  parents: Int32Array;
  parentCount: Uint8Array;
  /** Which of the parents is the issuer's own previous envelope; `NO_SELF` for the first of a lane. */
  selfAt: Uint8Array;
  /** Members whose envelopes approve this one, itself included. Invariant: a set bit is set on all pending ancestors. */
  bits: Uint32Array;
  /** Stake of those members. */
  weight: Float64Array;
  state: Uint8Array;
  issuer: Uint8Array;
  lane: Uint8Array;
  sequence: Float64Array;
  time: Float64Array;
  /** Payloads it carries. */
  payloads: Uint16Array;
  /** Newest and oldest checkpoint among the final roots of the past; see `tips.ts`. */
  newest: Int32Array;
  oldest: Int32Array;
  /** Children that count: lazy ones do not. */
  children: Uint32Array;
  /** Level of the issuer's rate bucket, in thousandths. */
  level: Float64Array;
  /** Checkpoint applied last when this one came. */
  cameAt: Int32Array;
  /** Stamp of the last walk that was here, instead of a set per walk. */
  mark: Uint32Array;
  next: Int32Array;
  #before: Int32Array;
  readonly envelopes: (VerifiedEnvelope | undefined)[] = [];
  /** Oldest and newest in order of insertion, which is an order of the DAG: parents first. */
  first: number = NONE;
  #last = NONE;
  #free: number[] = [];
  #used = 0;
  #stamp = 0;

  constructor(capacity = 256) {
    this.capacity = capacity;
    this.parents = new Int32Array(capacity * PARENT_STRIDE);
    this.parentCount = new Uint8Array(capacity);
    this.selfAt = new Uint8Array(capacity);
    this.bits = new Uint32Array(capacity);
    this.weight = new Float64Array(capacity);
    this.state = new Uint8Array(capacity);
    this.issuer = new Uint8Array(capacity);
    this.lane = new Uint8Array(capacity);
    this.sequence = new Float64Array(capacity);
    this.time = new Float64Array(capacity);
    this.payloads = new Uint16Array(capacity);
    this.newest = new Int32Array(capacity);
    this.oldest = new Int32Array(capacity);
    this.children = new Uint32Array(capacity);
    this.level = new Float64Array(capacity);
    this.cameAt = new Int32Array(capacity);
    this.mark = new Uint32Array(capacity);
    this.next = new Int32Array(capacity);
    this.#before = new Int32Array(capacity);
  }

  /** A place for one more envelope, at the end of the order. The caller checks the limits. */
  allocate(envelope: VerifiedEnvelope): number {
    let place = this.#free.pop();
    if (place === undefined) {
      if (this.#used === this.capacity) this.#grow();
      place = this.#used;
      this.#used += 1;
    }
    this.envelopes[place] = envelope;
    this.bytes += envelope.encoded.length;
    this.count += 1;
    this.state[place] = PENDING;
    this.bits[place] = 0;
    this.weight[place] = 0;
    this.children[place] = 0;
    this.mark[place] = 0;
    this.issuer[place] = envelope.issuer;
    this.lane[place] = envelope.envelope.lane;
    this.sequence[place] = envelope.envelope.sequence;
    this.time[place] = envelope.envelope.time;
    this.payloads[place] = envelope.envelope.payloadCount;
    this.next[place] = NONE;
    this.#before[place] = this.#last;
    if (this.#last === NONE) this.first = place;
    else this.next[this.#last] = place;
    this.#last = place;
    return place;
  }

  free(place: number): void {
    this.bytes -= (this.envelopes[place] as VerifiedEnvelope).encoded.length;
    this.count -= 1;
    this.envelopes[place] = undefined;
    this.state[place] = FREE;
    const before = this.#before[place] as number;
    const next = this.next[place] as number;
    if (before === NONE) this.first = next;
    else this.next[before] = next;
    if (next === NONE) this.#last = before;
    else this.#before[next] = before;
    this.#free.push(place);
  }

  envelope(place: number): VerifiedEnvelope {
    const envelope = this.envelopes[place];
    if (envelope === undefined) throw new Error(`place ${place} of the slab is free`);
    return envelope;
  }

  hash(place: number): Hash {
    return this.envelope(place).hash;
  }

  /** A number no mark holds yet. After four billion walks the marks are wiped once. */
  stamp(): number {
    if (this.#stamp === 0xffff_ffff) {
      this.mark.fill(0);
      this.#stamp = 0;
    }
    this.#stamp += 1;
    return this.#stamp;
  }

  #grow(): void {
    const capacity = this.capacity * 2;
    const wider = <T extends { set(from: T): void }>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.parents = wider(new Int32Array(capacity * PARENT_STRIDE), this.parents);
    this.parentCount = wider(new Uint8Array(capacity), this.parentCount);
    this.selfAt = wider(new Uint8Array(capacity), this.selfAt);
    this.bits = wider(new Uint32Array(capacity), this.bits);
    this.weight = wider(new Float64Array(capacity), this.weight);
    this.state = wider(new Uint8Array(capacity), this.state);
    this.issuer = wider(new Uint8Array(capacity), this.issuer);
    this.lane = wider(new Uint8Array(capacity), this.lane);
    this.sequence = wider(new Float64Array(capacity), this.sequence);
    this.time = wider(new Float64Array(capacity), this.time);
    this.payloads = wider(new Uint16Array(capacity), this.payloads);
    this.newest = wider(new Int32Array(capacity), this.newest);
    this.oldest = wider(new Int32Array(capacity), this.oldest);
    this.children = wider(new Uint32Array(capacity), this.children);
    this.level = wider(new Float64Array(capacity), this.level);
    this.cameAt = wider(new Int32Array(capacity), this.cameAt);
    this.mark = wider(new Uint32Array(capacity), this.mark);
    this.next = wider(new Int32Array(capacity), this.next);
    this.#before = wider(new Int32Array(capacity), this.#before);
    this.capacity = capacity;
  }
}
