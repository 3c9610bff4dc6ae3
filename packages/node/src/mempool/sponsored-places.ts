/**
 * What waits at the cost of sponsors (spec NODE-3.11). Its senders may have nothing at all, so it is bounded by what the budgets can
 * still pay today, and in number by sponsorship and device: whoever may use a sponsor fills neither the pool nor the blocks.
 */
import { refused, type Refused } from '@itc/core/bytes/result.js';
import { asAddress } from '@itc/core/ledger/address.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { idBytes, idText } from '@itc/core/state/record-map.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { allowanceOf, subjectOf, type Allowance } from '@itc/core/state/sponsored.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { Charge, Entry } from './entry.ts';

export interface SponsoredLimits {
  readonly perSponsorshipMax: number;
  readonly perDeviceMax: number;
}

export const SPONSORED_LIMITS: SponsoredLimits = { perSponsorshipMax: 8_192, perDeviceMax: 16 };

interface Waiting {
  readonly entries: Set<Entry>;
  value: bigint;
}

interface Place extends Waiting {
  readonly subjects: Map<string, Waiting>;
}

type Flaw = Refused<ErrorCode> | undefined;

/** What a sponsored transaction would cost its sponsor; undefined for those that pay themselves, or whose sponsor is not there. */
export function chargeOf({ tx, ...rest }: VerifiedTransaction, state: LedgerState): Charge | undefined {
  if (tx.sponsor === undefined) return undefined;
  const id = idText(tx.sponsor);
  const sponsorship = state.record('sponsorship', id);
  const subject = sponsorship && subjectOf(sponsorship, { tx, sender: rest.sender });
  if (subject === undefined) return undefined;
  const opening = state.record('account', rest.account) === undefined ? state.parameters.accountPrice : 0n;
  return { sponsorship: id, subject: idText(subject), value: tx.fee + opening };
}

export class SponsoredPlaces {
  readonly #limits: SponsoredLimits;
  readonly #places = new Map<string, Place>();

  constructor(limits: SponsoredLimits = SPONSORED_LIMITS) {
    this.#limits = limits;
  }

  /** Sponsorships at whose cost something waits. */
  get ids(): readonly string[] {
    return [...this.#places.keys()];
  }

  /** Why a newcomer has no place here; `rival` is what it replaces. */
  flaw({ sponsorship, subject, value }: Charge, state: LedgerState, rival: Entry | undefined): Flaw {
    const left = leftOf(state, sponsorship, subject);
    if (left === undefined) return refused('sponsor.unknown', 'no such sponsorship');
    const place = this.#places.get(sponsorship);
    const own = place?.subjects.get(subject);
    const isIn = (waiting: Waiting | undefined): boolean =>
      rival !== undefined && waiting?.entries.has(rival) === true;
    const count = (waiting: Waiting | undefined): number =>
      (waiting?.entries.size ?? 0) - (isIn(waiting) ? 1 : 0);
    const owed = (waiting: Waiting | undefined): bigint =>
      (waiting?.value ?? 0n) - (isIn(waiting) ? (rival?.charge?.value ?? 0n) : 0n) + value;
    if (count(own) >= this.#limits.perDeviceMax || count(place) >= this.#limits.perSponsorshipMax)
      return refused('pool.full', 'enough waits already at the cost of this sponsorship');
    if (owed(own) > left.ofSubject || owed(place) > least(left.ofDay, left.balance))
      return refused('sponsor.budget', 'with what waits already the sponsorship cannot pay for this');
    return undefined;
  }

  enter(entry: Entry): void {
    const { charge } = entry;
    if (charge === undefined) return;
    let place = this.#places.get(charge.sponsorship);
    if (place === undefined) {
      place = { entries: new Set(), value: 0n, subjects: new Map() };
      this.#places.set(charge.sponsorship, place);
    }
    let own = place.subjects.get(charge.subject);
    if (own === undefined) {
      own = { entries: new Set(), value: 0n };
      place.subjects.set(charge.subject, own);
    }
    for (const waiting of [place, own]) {
      waiting.entries.add(entry);
      waiting.value += charge.value;
    }
  }

  leave(entry: Entry): void {
    const { charge } = entry;
    const place = charge && this.#places.get(charge.sponsorship);
    const own = charge && place?.subjects.get(charge.subject);
    if (charge === undefined || place === undefined || own === undefined) return;
    for (const waiting of [place, own]) if (waiting.entries.delete(entry)) waiting.value -= charge.value;
    if (own.entries.size === 0) place.subjects.delete(charge.subject);
    if (place.entries.size === 0) this.#places.delete(charge.sponsorship);
  }

  /** What a sponsorship cannot pay any more, newest first. */
  overdrawn(sponsorship: string, state: LedgerState): readonly Entry[] {
    const place = this.#places.get(sponsorship);
    if (place === undefined) return [];
    const gone = new Set<Entry>();
    let freed = 0n;
    const shed = (waiting: Waiting, budget: bigint): void => {
      let value = [...waiting.entries].reduce(
        (sum, entry) => (gone.has(entry) ? sum : sum + (entry.charge?.value ?? 0n)),
        0n,
      );
      for (const entry of [...waiting.entries].toReversed()) {
        if (value <= budget) return;
        if (gone.has(entry)) continue;
        gone.add(entry);
        value -= entry.charge?.value ?? 0n;
        freed += entry.charge?.value ?? 0n;
      }
    };
    for (const [subject, own] of place.subjects) {
      const left = leftOf(state, sponsorship, subject);
      shed(own, left?.ofSubject ?? -1n);
    }
    const [subject] = place.subjects.keys();
    const left = subject === undefined ? undefined : leftOf(state, sponsorship, subject);
    if (left !== undefined && place.value - freed > least(left.ofDay, left.balance))
      shed(place, least(left.ofDay, left.balance));
    return [...gone];
  }
}

function leftOf(state: LedgerState, sponsorship: string, subject: string): Allowance | undefined {
  const record = state.record('sponsorship', sponsorship);
  if (record === undefined) return undefined;
  const records = { get: state.record.bind(state) };
  return allowanceOf(records, record, sponsorship, asAddress(idBytes(subject)));
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
