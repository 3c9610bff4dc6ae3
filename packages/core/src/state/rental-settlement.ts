/** How a rental ends: who gets what of what the renter put up, at once and when nobody can claim any more (spec STATE-22). */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import { asHash } from '../crypto/hash.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, millis, type Amount, type Millis } from '../ledger/ids.ts';
import { rentalCharge } from '../ledger/rental.ts';
import type { BlockContext } from './block-context.ts';
import type { Expiry } from './collect-expired.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { releaseDeposit } from './record-deposit.ts';
import { idBytes, idText } from './record-map.ts';
import { takeAccess } from './rental-access.ts';
import { rentalHeld, type Rental, type Running, type Settlement } from './rental-record.ts';
import type { Rules } from './rules.ts';

/** Who is concerned, as events name them. */
export function partiesOf(
  device: Address,
  rental: Pick<Rental, 'owner' | 'renter' | 'id'>,
): { readonly device: Address; readonly owner: Address; readonly subject: Address; readonly rental: Hash } {
  return { device, owner: rental.owner, subject: rental.renter, rental: rental.id };
}

/**
 * The charge to the owner, the second carriage to whoever brought the word of the stop, the rest to the renter; the deposit
 * waits as long as it can be claimed. Nothing stays behind: what was held is what leaves.
 */
export function settleRental(
  draft: Draft,
  now: Millis,
  device: Address,
  o: { readonly rental: Rental; readonly running: Running; readonly carrier?: Address },
): LedgerEventBody {
  const { rental, running, carrier } = o;
  const { terms, maximum, owner, renter } = rental;
  const { startedAt, end, uses } = running;
  const charge = rentalCharge(terms, { maximum, elapsedMs: end - startedAt, uses });
  const heldBack = terms.window === 0 ? amount(0n) : terms.deposit;
  const carriage = carrier === undefined ? 0n : terms.carriage;
  const returned = amount(rentalHeld(rental) - charge - carriage - heldBack);
  takeAccess(draft, device, rental);
  setExpiring(draft, 'rental', idText(device), undefined);
  draft.credit(owner, charge);
  if (carrier !== undefined) draft.credit(carrier, carriage);
  draft.credit(renter, returned);
  if (heldBack === 0n) releaseDeposit(draft, rental.deposit);
  else {
    const { window, arbiter } = terms;
    // What was left for the record of the rental is more than this one needs, and cannot fail.
    const { deposit } = rental;
    const until = millis(now + window);
    const held = { device, owner, renter, arbiter, window, held: heldBack, claim: undefined, until, deposit };
    setExpiring(draft, 'settlement', idText(rental.id), held);
  }
  return {
    kind: 'rental-settled',
    ...partiesOf(device, rental),
    startedAt,
    end,
    uses,
    charge,
    returned,
    heldBack,
  };
}

type Open = Result<{ readonly id: string; readonly settlement: Settlement }, ErrorCode>;

function openSettlement(draft: Draft, context: BlockContext, rental: Hash): Open {
  const id = idText(rental);
  const settlement = draft.get('settlement', id);
  if (settlement === undefined) return refused('rental.unknown', 'no deposit of such a rental is held');
  // The queue may be behind.
  if (settlement.until <= context.time) return refused('rental.time', 'the time to claim and answer is over');
  return ok({ id, settlement });
}

function applyClaim(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: { readonly rental: Hash; readonly amount: Amount },
): Result<LedgerEventBody, ErrorCode> {
  const open = openSettlement(draft, context, body.rental);
  if (!open.ok) return open;
  const { id, settlement } = open.value;
  if (!equalBytes(settlement.owner, sender)) return refused('rental.party', 'the owner claims damage');
  if (settlement.claim !== undefined) return refused('damage.state', 'the owner has made a claim');
  if (body.amount === 0n || body.amount > settlement.held)
    return refused('damage.amount', `expected 1 to ${settlement.held}, got ${body.amount}`);
  const claim = { amount: body.amount, conceded: amount(0n) };
  const until = millis(context.time + settlement.window);
  setExpiring(draft, 'settlement', id, { ...settlement, claim, until });
  const parties = partiesOf(settlement.device, { ...settlement, id: body.rental });
  return ok({ kind: 'damage-claimed', ...parties, amount: body.amount, until });
}

/**
 * The renter concedes all of the claim or a part, the arbiter decides between what is conceded and what is claimed. Where
 * nobody decides, the owner gets what is conceded: a claim that nobody supports is worth nothing, however late the renter looks.
 */
function applyAnswer(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: { readonly rental: Hash; readonly amount: Amount },
): Result<LedgerEventBody, ErrorCode> {
  const open = openSettlement(draft, context, body.rental);
  if (!open.ok) return open;
  const { id, settlement } = open.value;
  const { claim, renter, arbiter } = settlement;
  const isRenter = equalBytes(renter, sender);
  if (!isRenter && (arbiter === undefined || !equalBytes(arbiter, sender)))
    return refused('rental.party', 'the renter or the arbiter answers');
  if (claim === undefined) return refused('damage.state', 'there is no claim to answer');
  const least = isRenter ? claim.conceded + 1n : claim.conceded;
  if (body.amount < least || body.amount > claim.amount)
    return refused('damage.amount', `expected ${least} to ${claim.amount}, got ${body.amount}`);
  if (!isRenter) return ok(payDeposit(draft, id, settlement, body.amount, 'arbiter'));
  if (body.amount === claim.amount) return ok(payDeposit(draft, id, settlement, body.amount, 'renter'));
  setExpiring(draft, 'settlement', id, { ...settlement, claim: { ...claim, conceded: body.amount } });
  const parties = partiesOf(settlement.device, { ...settlement, id: body.rental });
  return ok({ kind: 'damage-conceded', ...parties, amount: body.amount });
}

function payDeposit(
  draft: Draft,
  id: string,
  settlement: Settlement,
  toOwner: Amount,
  by: 'renter' | 'arbiter' | 'time',
): LedgerEventBody {
  const toRenter = amount(settlement.held - toOwner);
  draft.credit(settlement.owner, toOwner);
  draft.credit(settlement.renter, toRenter);
  dropExpiring(draft, 'settlement', id, settlement);
  const parties = partiesOf(settlement.device, { ...settlement, id: asHash(idBytes(id)) });
  return { kind: 'rental-deposit-settled', ...parties, by, toOwner, toRenter };
}

export const CLAIM_RULES: Rules<'claim-damage' | 'answer-claim'> = {
  'claim-damage': {
    apply: (draft, context, { sender }, body) => applyClaim(draft, context, sender, body),
  },
  'answer-claim': {
    apply: (draft, context, { sender }, body) => applyAnswer(draft, context, sender, body),
  },
};

export const RENTAL_EXPIRY: Expiry<'rental-offer' | 'rental' | 'settlement'> = {
  'rental-offer': (draft, _, id, offer) => {
    dropExpiring(draft, 'rental-offer', id, offer);
    return { kind: 'offer-expired', device: asAddress(idBytes(id)), owner: offer.owner };
  },
  rental: (draft, { time }, id, rental) => {
    const device = asAddress(idBytes(id));
    const { running } = rental;
    if (running !== undefined) return settleRental(draft, time, device, { rental, running });
    // The device never said that it started: nothing is owed.
    const returned = amount(rentalHeld(rental));
    takeAccess(draft, device, rental);
    draft.credit(rental.renter, returned);
    dropExpiring(draft, 'rental', id, rental);
    return { kind: 'rental-lapsed', ...partiesOf(device, rental), returned };
  },
  settlement: (draft, _, id, settlement) =>
    payDeposit(draft, id, settlement, settlement.claim?.conceded ?? amount(0n), 'time'),
};
