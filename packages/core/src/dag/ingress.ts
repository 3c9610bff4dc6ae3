/**
 * Envelopes between the wire and the signature check (spec DAG-11): first fair by peer, so that no channel crowds out
 * another; then, once form and proof of work are known, fair by issuer and its stake. Answers to requests come before
 * gossip and are bounded by what was asked for; votes and requests do not pass here at all.
 */
import type { ScreenedEnvelope } from './verify.ts';
import { FairQueue } from './fair-queue.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { ValidatorSet } from '../ledger/validators.ts';

/** All in one place; peers need not agree on them. */
export const INGRESS = {
  /** Bytes and items of all peers that nobody has looked at. */
  rawBytesMax: 33_554_432,
  rawCountMax: 8_192,
  rawQuantumBytes: 16_384,
  /** Screened envelopes that wait for the check of their signatures, and their cost. */
  screenedCountMax: 4_096,
  screenedCostMax: 262_144,
  /** Cost of a signature, and of an envelope for each KiB. */
  signatureCost: 16,
  bytesPerCost: 1_024,
  quantumCost: 32,
  /** Shares of stake are rounded to 64ths, as lanes are: a turn of everybody is 128 signatures, short beside the delay. */
  quantaMax: 64,
  delayMaxMs: 1_000,
  /** Raw items looked at in one go: an attacker's must not hold up what else the process does. */
  screensMax: 256,
} as const;

export interface RawEnvelope {
  /** Member at the other end of the channel. */
  readonly from: number;
  readonly encoded: Uint8Array;
  /** It came as an answer that we are owed: age is not judged, and it goes first. */
  readonly wanted: boolean;
  /** As the message said. */
  readonly reply: boolean;
}

export interface IngressItem {
  readonly raw: RawEnvelope;
  readonly screened: ScreenedEnvelope;
}

/** What checking and keeping an envelope costs, in sixteenths of a signature. */
export function costOf(screened: Pick<ScreenedEnvelope, 'payloads' | 'encoded'>): number {
  const bytes = Math.ceil(screened.encoded.length / INGRESS.bytesPerCost);
  return INGRESS.signatureCost * (1 + screened.payloads.length) + bytes;
}

export class Ingress {
  readonly #raw: FairQueue<RawEnvelope>;
  readonly #screened: FairQueue<IngressItem>;
  /** Answers, in the order they came: parents come first in them. */
  #wanted: RawEnvelope[] = [];
  readonly #wantedMax: number;
  wantedDropped = 0;

  constructor(members: ValidatorSet) {
    this.#raw = new FairQueue({
      weights: members.map(() => 1),
      quantum: INGRESS.rawQuantumBytes,
      quantaMax: 1,
      countMax: INGRESS.rawCountMax,
      costMax: INGRESS.rawBytesMax,
      delayMaxMs: INGRESS.delayMaxMs,
    });
    this.#screened = new FairQueue({
      weights: members.map((member) => member.weight),
      quantum: INGRESS.quantumCost,
      quantaMax: INGRESS.quantaMax,
      countMax: INGRESS.screenedCountMax,
      costMax: INGRESS.screenedCostMax,
      delayMaxMs: INGRESS.delayMaxMs,
    });
    this.#wantedMax = LIMITS.replyEnvelopesMax * members.length;
  }

  get length(): number {
    return this.#wanted.length + this.#raw.length + this.#screened.length;
  }

  /** Gossip refused or pushed out, by peer before screening and by issuer after it. */
  dropped(): { readonly byPeer: number[]; readonly byIssuer: number[] } {
    return { byPeer: this.#raw.dropped(), byIssuer: this.#screened.dropped() };
  }

  /** False when there is no room. What is lost here comes again by the exchange of heads, or is asked for again. */
  receive(raw: RawEnvelope, now: number): boolean {
    if (!raw.wanted) return this.#raw.push(raw.from, raw, Math.max(1, raw.encoded.length), now);
    if (this.#wanted.length >= this.#wantedMax) {
      this.wantedDropped += 1;
      return false;
    }
    this.#wanted.push(raw);
    return true;
  }

  /**
   * The envelopes whose signatures are to be checked next: one at least if there is any, and up to `room` in cost. `screen`
   * does everything before signatures and gives undefined for what is refused or known; beside answers it runs at
   * most `screensMax` times.
   */
  take(room: number, now: number, screen: (raw: RawEnvelope) => ScreenedEnvelope | undefined): IngressItem[] {
    const items: IngressItem[] = [];
    let left = room;
    let answers = 0;
    while (left > 0 && answers < this.#wanted.length) {
      const raw = this.#wanted[answers] as RawEnvelope;
      answers += 1;
      const screened = screen(raw);
      if (screened === undefined) continue;
      left -= costOf(screened);
      items.push({ raw, screened });
    }
    this.#wanted = this.#wanted.slice(answers);
    if (left > 0) this.#screenGossip(now, screen);
    while (left > 0) {
      const item = this.#screened.next(now);
      if (item === undefined) break;
      left -= costOf(item.screened);
      items.push(item);
    }
    return items;
  }

  #screenGossip(now: number, screen: (raw: RawEnvelope) => ScreenedEnvelope | undefined): void {
    for (let i = 0; i < INGRESS.screensMax; i += 1) {
      const raw = this.#raw.next(now);
      if (raw === undefined) return;
      const screened = screen(raw);
      if (screened !== undefined)
        this.#screened.push(screened.issuer, { raw, screened }, costOf(screened), now);
    }
  }
}
