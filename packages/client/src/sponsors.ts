/** Sponsorships: somebody else pays, within budgets (spec STATE-19). */
import { compareBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { SponsorScope, SponsorshipTerms } from '@itc/core/ledger/bodies/sponsor.js';
import { BODY_CODES, type Body, type BodyKind } from '@itc/core/ledger/body.js';
import type { Amount, Millis } from '@itc/core/ledger/ids.js';

export { sponsorshipId } from '@itc/core/ledger/bodies/sponsor.js';

export interface TermsOptions {
  /** In any order. */
  readonly kinds: readonly BodyKind[];
  /** Lists in any order. */
  readonly scope: SponsorScope;
  readonly perDevicePerDay: Amount;
  readonly perDay: Amount;
  readonly expiresAt: Millis;
  /** Whether deposits of records and prices of accounts are paid too; owners without ITC need it. */
  readonly paysState: boolean;
}

export function sponsorshipTerms(o: TermsOptions): SponsorshipTerms {
  const kinds = [...new Set(o.kinds.map((kind) => BODY_CODES[kind]))].toSorted((a, b) => a - b);
  return { ...o, kinds, scope: sortedScope(o.scope) };
}

function sortedScope(scope: SponsorScope): SponsorScope {
  if (scope.kind === 'devices') return { ...scope, devices: sorted(scope.devices) };
  if (scope.kind === 'accounts') return { ...scope, accounts: sorted(scope.accounts) };
  return scope;
}

function sorted(addresses: readonly Address[]): readonly Address[] {
  return addresses.toSorted(compareBytes);
}

/** `amount` is paid in from the sender's balance. */
export function openSponsorship(o: {
  readonly name: string;
  readonly terms: SponsorshipTerms;
  readonly amount: Amount;
}): Body {
  return { kind: 'open-sponsorship', name: o.name, terms: o.terms, amount: o.amount };
}

/** By anybody. */
export function fundSponsorship(sponsorship: Hash, amount: Amount): Body {
  return { kind: 'fund-sponsorship', sponsorship, amount };
}

export function changeSponsorship(sponsorship: Hash, terms: SponsorshipTerms): Body {
  return { kind: 'change-sponsorship', sponsorship, terms };
}

/** What is left returns to the sponsor. */
export function closeSponsorship(sponsorship: Hash): Body {
  return { kind: 'close-sponsorship', sponsorship };
}
