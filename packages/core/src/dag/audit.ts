/**
 * Which device signatures a member checks in envelopes of others (spec DAG-13): the issuer has checked all of them and
 * answers for it with its own. Always checked is what moves value and what could do a device lasting harm; of the rest a
 * share nobody else can foresee, everything while there is little.
 */
import { LIMITS } from '../ledger/limits.ts';
import type { Payload } from '../ledger/payload.ts';

export const AUDIT: {
  readonly share: number;
  readonly perSecond: number;
  readonly payloadBytesMax: number;
  readonly aheadMax: number;
} = {
  /** Share of ordinary payloads a member checks however many there are. */
  share: 1 / 16,
  /** Up to that many in a second it checks them all; beyond, at least as many. */
  perSecond: 256,
  /** Longer ones do not fit into an accusation: every member checks them, or refuses the envelope. */
  payloadBytesMax: LIMITS.payloadBytesMax - 2_048,
  /** How far a number may be ahead of its lane's last final one and still be ordinary. */
  aheadMax: LIMITS.laneWindow / 2,
};

/** Whose signature is part of what makes an envelope valid, for every member alike: an order about value, and what is too long to accuse by. */
export function isAlwaysChecked(payload: Pick<Payload, 'contentType' | 'bytes'>): boolean {
  return (
    payload.contentType === 'value' ||
    payload.contentType === 'accusation' ||
    payload.bytes.length > AUDIT.payloadBytesMax
  );
}

/** The last final number of a payload's lane, undefined when it has none. */
export type LaneHigh = (payload: Pick<Payload, 'signer' | 'device'>) => number | undefined;

export interface AuditorOptions {
  /** In (0, 1]; 1 checks everything. */
  readonly share?: number;
  readonly perSecond?: number;
  /** Uniform in [0, 1), known to nobody else. */
  readonly random: () => number;
  readonly laneHigh: LaneHigh;
}

export class Auditor {
  readonly #share: number;
  readonly #perSecond: number;
  readonly #random: () => number;
  readonly #laneHigh: LaneHigh;
  /** Ordinary payloads seen in this second and in the one before. */
  #second = 0;
  #seen = 0;
  #seenBefore = 0;

  constructor(options: AuditorOptions) {
    this.#share = options.share ?? AUDIT.share;
    this.#perSecond = options.perSecond ?? AUDIT.perSecond;
    this.#random = options.random;
    this.#laneHigh = options.laneHigh;
  }

  /** Indices of the payloads to check, ascending. @param now milliseconds, from any start */
  choose(payloads: readonly Payload[], now: number): number[] {
    this.#advance(now);
    const chosen: number[] = [];
    let skip = this.#draw();
    for (const [i, payload] of payloads.entries()) {
      if (isAlwaysChecked(payload) || !this.#isOrdinary(payload)) {
        chosen.push(i);
        continue;
      }
      this.#seen += 1;
      if (skip > 0) {
        skip -= 1;
        continue;
      }
      chosen.push(i);
      skip = this.#draw();
    }
    return chosen;
  }

  /** Applied, it takes one number of its lane and leaves all others as they are. */
  #isOrdinary(payload: Payload): boolean {
    const high = this.#laneHigh(payload);
    return high !== undefined && payload.sequence <= high + AUDIT.aheadMax;
  }

  /** How many are passed over before the next is checked: one draw for each that is, and none for the others. */
  #draw(): number {
    const most = Math.max(this.#seen, this.#seenBefore);
    const share = Math.max(this.#share, most === 0 ? 1 : this.#perSecond / most);
    return share >= 1 ? 0 : Math.floor(Math.log(1 - this.#random()) / Math.log(1 - share));
  }

  #advance(now: number): void {
    const second = Math.floor(now / 1_000);
    if (second === this.#second) return;
    this.#seenBefore = second === this.#second + 1 ? this.#seen : 0;
    this.#seen = 0;
    this.#second = second;
  }
}
