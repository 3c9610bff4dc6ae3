/** Sponsorships: opened, funded, changed, closed, and ended by their time (spec STATE-19). Checks come before the first write. */
import { asHash, type Hash } from '../crypto/hash.ts';
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Address } from '../ledger/address.ts';
import { sponsorshipId, type SponsorshipTerms } from '../ledger/bodies/sponsor.ts';
import { BODY_CODES, KINDS, type BodyKind, type BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount } from '../ledger/ids.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Expiry } from './collect-expired.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { exchangeDeposit, holdDeposit, NO_DEPOSIT } from './record-deposit.ts';
import { idBytes, idText } from './record-map.ts';
import { recordBytes } from './records.ts';
import type { Sponsorship } from './sponsor-record.ts';
import type { Rules } from './rules.ts';

/** Free as they are. */
const UNPAID: ReadonlySet<BodyKind> = new Set(['checkpoint', 'restart']);

export function termsFlaw(terms: SponsorshipTerms): Flaw {
  const { kinds, perDevicePerDay, perDay } = terms;
  const isPaid = (code: number): boolean =>
    KINDS.some((kind) => BODY_CODES[kind] === code && !UNPAID.has(kind));
  if (!kinds.every(isPaid))
    return refused('sponsor.malformed', 'expected kinds of transactions that cost a fee');
  if (perDevicePerDay === 0n || perDay < perDevicePerDay)
    return refused('sponsor.malformed', 'expected a budget per device above 0 and within that of the day');
  return undefined;
}

function nameFlaw({ name }: BodyOf<'open-sponsorship'>): Flaw {
  return name === '' ? refused('sponsor.malformed', 'expected a name') : undefined;
}

function timeFlaw(context: Pick<BlockContext, 'time'>, terms: SponsorshipTerms): Flaw {
  if (terms.expiresAt > context.time) return undefined;
  return refused('sponsor.malformed', 'expected a sponsorship that expires later');
}

function applyOpen(
  draft: Draft,
  context: Pick<BlockContext, 'time'>,
  sender: Address,
  body: BodyOf<'open-sponsorship'>,
): Result<LedgerEventBody, ErrorCode> {
  const { name, terms, amount: value } = body;
  const sponsorship = sponsorshipId(sender, name);
  const id = idText(sponsorship);
  if (draft.get('sponsorship', id) !== undefined)
    return refused('sponsor.exists', 'the sender has a sponsorship of this name');
  const flaw = timeFlaw(context, terms);
  if (flaw !== undefined) return flaw;
  const record: Sponsorship = { sponsor: sender, name, terms, balance: value, deposit: NO_DEPOSIT };
  const deposit = holdDeposit(draft, sender, recordBytes('sponsorship', record), { value });
  if (!deposit.ok) return deposit;
  draft.debit(sender, value);
  setExpiring(draft, 'sponsorship', id, { ...record, deposit: deposit.value });
  return ok({ kind: 'sponsorship-opened', sponsorship, sponsor: sender, name, amount: value });
}

function applyFund(
  draft: Draft,
  sender: Address,
  body: BodyOf<'fund-sponsorship'>,
): Result<LedgerEventBody, ErrorCode> {
  const { sponsorship, amount: value } = body;
  const id = idText(sponsorship);
  const record = draft.get('sponsorship', id);
  if (record === undefined) return refused('sponsor.unknown', 'no such sponsorship');
  const { balance } = draft.account(sender);
  if (balance < value)
    return refused(
      'transaction.balance',
      `expected at least ${value} after the fee, the balance is ${balance}`,
    );
  draft.debit(sender, value);
  const funded = amount(record.balance + value);
  draft.set('sponsorship', id, { ...record, balance: funded });
  return ok({
    kind: 'sponsorship-funded',
    sponsorship,
    sponsor: record.sponsor,
    from: sender,
    amount: value,
    balance: funded,
  });
}

function applyChange(
  draft: Draft,
  context: Pick<BlockContext, 'time'>,
  sender: Address,
  body: BodyOf<'change-sponsorship'>,
): Result<LedgerEventBody, ErrorCode> {
  const { sponsorship, terms } = body;
  const owned = ownSponsorship(draft, sender, sponsorship);
  if (!owned.ok) return owned;
  const flaw = timeFlaw(context, terms);
  if (flaw !== undefined) return flaw;
  const record = { ...owned.value, terms };
  const deposit = exchangeDeposit(draft, record.deposit, sender, recordBytes('sponsorship', record));
  if (!deposit.ok) return deposit;
  // It may have paid for this itself: what is left is what stands in the draft now.
  const { balance } = draft.get('sponsorship', idText(sponsorship)) ?? record;
  setExpiring(draft, 'sponsorship', idText(sponsorship), { ...record, balance, deposit: deposit.value });
  return ok({ kind: 'sponsorship-changed', sponsorship, sponsor: sender });
}

function applyClose(
  draft: Draft,
  sender: Address,
  body: BodyOf<'close-sponsorship'>,
): Result<LedgerEventBody, ErrorCode> {
  const owned = ownSponsorship(draft, sender, body.sponsorship);
  return owned.ok ? ok(end(draft, idText(body.sponsorship), owned.value)) : owned;
}

/** What is left returns. Deposits of days written down return to the sponsor when they are over. */
function end(draft: Draft, id: string, record: Sponsorship): LedgerEventBody {
  const { sponsor, balance } = record;
  dropExpiring(draft, 'sponsorship', id, record);
  if (balance > 0n) draft.credit(sponsor, balance);
  return { kind: 'sponsorship-ended', sponsorship: asHash(idBytes(id)), sponsor, amount: balance };
}

function ownSponsorship(draft: Draft, sender: Address, id: Hash): Result<Sponsorship, ErrorCode> {
  const record = draft.get('sponsorship', idText(id));
  if (record === undefined) return refused('sponsor.unknown', 'no such sponsorship');
  if (!equalBytes(record.sponsor, sender))
    return refused('sponsor.not-sponsor', 'only the sponsor changes and closes it');
  return ok(record);
}

export const SPONSOR_EXPIRY: Expiry<'sponsorship' | 'sponsored'> = {
  sponsorship: (draft, _, id, record) => end(draft, id, record),
  sponsored: (draft, _, id, record) => {
    const { deposit } = record;
    const of = id.slice(0, 32);
    const sponsorship = draft.get('sponsorship', of);
    if (sponsorship === undefined) dropExpiring(draft, 'sponsored', id, record);
    else {
      // It came out of the budget, and goes back there.
      setExpiring(draft, 'sponsored', id, undefined);
      draft.set('sponsorship', of, { ...sponsorship, balance: amount(sponsorship.balance + deposit.amount) });
    }
    return { kind: 'sponsored-day-ended', sponsorship: asHash(idBytes(of)), sponsor: deposit.payer };
  },
};

export const SPONSOR_RULES: Rules<
  'open-sponsorship' | 'fund-sponsorship' | 'change-sponsorship' | 'close-sponsorship'
> = {
  'open-sponsorship': {
    flaw: (_, body) => nameFlaw(body) ?? termsFlaw(body.terms),
    apply: (draft, context, { sender }, body) => applyOpen(draft, context, sender, body),
  },
  'fund-sponsorship': { apply: (draft, _, { sender }, body) => applyFund(draft, sender, body) },
  'change-sponsorship': {
    flaw: (_, { terms }) => termsFlaw(terms),
    apply: (draft, context, { sender }, body) => applyChange(draft, context, sender, body),
  },
  'close-sponsorship': { apply: (draft, _, { sender }, body) => applyClose(draft, sender, body) },
};
