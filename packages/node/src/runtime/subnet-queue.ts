/**
 * Payloads that wait for an envelope, in turn by whoever they are of: a device that brings the backlog of a week, or two hundred
 * that do so at once, delay the reading of another by a turn, not by their backlog (spec SUBNET-9). Those of one device
 * stay in their order.
 */
import { verificationCost } from '@itc/core/crypto/cost.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Payload } from '@itc/core/ledger/payload.js';

interface Flow {
  readonly payloads: Payload[];
  /** Those before it have been taken. */
  first: number;
}

export class SubnetQueue {
  /**
   * By the signer as the parsed payload names it: one object for all payloads of a device. Where it is not, each payload
   * has a flow of its own, which is as if they came first.
   */
  readonly #flows = new Map<PublicKey, Flow>();
  /** Before all others, in this order. */
  #front: Payload[] = [];
  #count = 0;

  get length(): number {
    return this.#count;
  }

  push(payload: Payload): void {
    let flow = this.#flows.get(payload.signer);
    if (flow === undefined) {
      flow = { payloads: [], first: 0 };
      this.#flows.set(payload.signer, flow);
    }
    flow.payloads.push(payload);
    this.#count += 1;
  }

  /** Taken before, and not issued: they go first. */
  putBack(payloads: readonly Payload[]): void {
    this.#front = [...payloads, ...this.#front];
    this.#count += payloads.length;
  }

  /** As many as fit, one of each flow in turn. */
  take(countMax: number, bytesMax: number): Payload[] {
    const taken: Payload[] = [];
    let bytes = 0;
    let cost = 0;
    const fits = (payload: Payload): boolean => {
      const needed = bytes + payload.bytes.length + 4;
      // A command of a scheme that is dear to check has the place of several payloads (SUBNET-9, CRYPTO-11).
      const dearer = cost + verificationCost(payload.signer.algorithm);
      if (dearer > countMax || needed > bytesMax) return false;
      bytes = needed;
      cost = dearer;
      taken.push(payload);
      return true;
    };
    const front = this.#front.findIndex((payload) => !fits(payload));
    this.#front = front < 0 ? [] : this.#front.slice(front);
    // A flow that was served goes to the end, so that the next envelope goes on where this one ended.
    for (let isRoom = front < 0; isRoom && this.#flows.size > 0;) {
      const [entry] = this.#flows;
      const [signer, flow] = entry as [PublicKey, Flow];
      isRoom = fits(flow.payloads[flow.first] as Payload);
      if (!isRoom) break;
      flow.first += 1;
      this.#flows.delete(signer);
      if (flow.first < flow.payloads.length) this.#flows.set(signer, compacted(flow));
    }
    this.#count -= taken.length;
    return taken;
  }

  *values(): Generator<Payload> {
    yield* this.#front;
    for (const { payloads, first } of this.#flows.values())
      for (let i = first; i < payloads.length; i += 1) yield payloads[i] as Payload;
  }
}

/** Moved up when more than half is behind: each payload moves at most once. */
function compacted(flow: Flow): Flow {
  return flow.first < 32 || 2 * flow.first < flow.payloads.length
    ? flow
    : { payloads: flow.payloads.slice(flow.first), first: 0 };
}
