/**
 * Renting a device (spec STATE-22): an owner offers, a renter puts everything up at once, the device itself says when it
 * started and stopped. Nothing the renter agreed to can be taken back by the owner, and nothing here needs the renter's phone.
 */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { ACTIONS_ALL } from '../ledger/bodies/access.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, AMOUNT_MAX, millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { parsePayload, type Payload } from '../ledger/payload.ts';
import {
  decodeRentalWord,
  rentalEscrow,
  rentalId,
  rentalLength,
  termsHash,
  type RentalEvent,
  type RentalTerms,
  type RentalWord,
} from '../ledger/rental.ts';
import { modelFlaw, ownDevice, stateFlaw } from './apply-device-life.ts';
import type { BlockContext, Flaw, PoolContext } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { STATE_LIMITS } from './limits.ts';
import { exchangeDeposit, holdDeposits, NO_DEPOSIT, type RecordDeposit } from './record-deposit.ts';
import { idText } from './record-map.ts';
import { recordBytes } from './records.ts';
import { accessFlaw, giveAccess, narrowAccess, rentalGrant, takeAccess } from './rental-access.ts';
import { rentalDue, type RentalOffer, type Rental, type Running } from './rental-record.ts';
import { partiesOf, settleRental } from './rental-settlement.ts';
import type { Rules } from './rules.ts';
import type { VerifiedTransaction } from './verified-transaction.ts';

type Outcome = Result<LedgerEventBody, ErrorCode>;

const LEVEL_MAX = 254;

function termsFlaw(owner: Address, terms: RentalTerms): Flaw {
  const { unit, minimum, maximum, duration, startWithin, window, arbiter, actions, levelMax } = terms;
  const malformed = (message: string): Flaw => refused('rental-offer.malformed', message);
  if (maximum < 1 || minimum > maximum) return malformed('expected a maximum from 1, not below the minimum');
  if (unit === 'minute' && duration !== 0)
    return malformed('a rental by the minute is as long as its minutes');
  const length = rentalLength(terms, maximum);
  if (length < 1 || length > STATE_LIMITS.rentalMsMax)
    return malformed(`expected a length up to ${STATE_LIMITS.rentalMsMax} ms, got ${length}`);
  if (
    startWithin < 1 ||
    startWithin > STATE_LIMITS.rentalWindowMsMax ||
    window > STATE_LIMITS.rentalWindowMsMax
  )
    return malformed(`expected times up to ${STATE_LIMITS.rentalWindowMsMax} ms`);
  if (rentalEscrow(terms, maximum) > AMOUNT_MAX) return malformed('nobody could put up as much');
  if (arbiter !== undefined && equalBytes(arbiter, owner)) return malformed('the owner is no arbiter');
  if (actions === 0 || (actions & ~ACTIONS_ALL) !== 0)
    return malformed(`expected at least one of the known actions and no other, got ${actions}`);
  if (levelMax > LEVEL_MAX) return malformed(`expected a level up to ${LEVEL_MAX}, got ${levelMax}`);
  return undefined;
}

function applyOffer(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'offer-rental'>,
): Outcome {
  const { device, terms, expiresAt } = body;
  const own = ownDevice(draft, sender, device);
  if (!own.ok) return own;
  const beyond = modelFlaw(draft, own.value, terms);
  if (beyond !== undefined) return beyond;
  if (expiresAt <= context.time)
    return refused('rental-offer.malformed', 'expected an offer that expires later');
  const id = idText(device);
  const before = draft.get('rental-offer', id);
  const offer: RentalOffer = { owner: sender, terms, expiresAt, deposit: NO_DEPOSIT };
  const deposit = exchangeDeposit(draft, before?.deposit, sender, recordBytes('rental-offer', offer));
  if (!deposit.ok) return deposit;
  setExpiring(draft, 'rental-offer', id, { ...offer, deposit: deposit.value });
  return ok({ kind: 'rental-offered', device, owner: sender, terms, expiresAt });
}

function applyWithdraw(draft: Draft, sender: Address, device: Address): Outcome {
  const id = idText(device);
  const offer = draft.get('rental-offer', id);
  if (offer === undefined) return refused('rental-offer.unknown', 'the device is not offered');
  // Who sold the device still has the storage deposit of the offer back.
  if (!equalBytes(offer.owner, sender)) return refused('device.not-owner', 'the offer is somebody else’s');
  dropExpiring(draft, 'rental-offer', id, offer);
  return ok({ kind: 'offer-withdrawn', device, owner: sender });
}

function applyRent(
  draft: Draft,
  context: BlockContext,
  { sender, tx, id: transaction }: VerifiedTransaction,
  body: BodyOf<'rent'>,
): Outcome {
  const { device, maximum } = body;
  const id = idText(device);
  const offer = draft.get('rental-offer', id);
  const record = draft.get('device', id);
  if (
    offer === undefined ||
    record === undefined ||
    !equalBytes(offer.owner, record.owner) ||
    offer.expiresAt <= context.time
  )
    return refused('rental-offer.unknown', 'the device is not offered by its owner');
  const frozen = stateFlaw(record, false);
  if (frozen !== undefined) return frozen;
  const { owner } = record;
  const { terms } = offer;
  if (!equalBytes(termsHash(terms), body.terms))
    return refused('rental-offer.changed', 'the owner offers other terms than those that were agreed to');
  if (equalBytes(sender, owner) || (terms.arbiter !== undefined && equalBytes(sender, terms.arbiter)))
    return refused('rental.party', 'neither owner nor arbiter rents the device');
  if (maximum < Math.max(1, terms.minimum) || maximum > terms.maximum)
    return refused('rental.maximum', `expected ${terms.minimum} to ${terms.maximum}, got ${maximum}`);
  if (draft.get('rental', id) !== undefined) return refused('rental.taken', 'somebody has the device');
  const access = accessFlaw(draft, device, sender);
  if (!access.ok) return access;
  const rental: Rental = {
    id: rentalId({ renter: sender, lane: tx.lane, nonce: tx.nonce }),
    owner,
    renter: sender,
    terms,
    maximum,
    rentedAt: context.time,
    running: undefined,
    deposit: NO_DEPOSIT,
  };
  const value = rentalEscrow(terms, maximum);
  const startBy = millis(context.time + terms.startWithin);
  const grant = rentalGrant(rental, { transfers: record.transfers, transaction });
  const sizes = [recordBytes('rental', rental) + RUNNING_BYTES, recordBytes('grant', grant)];
  const deposits = holdDeposits(draft, sender, sizes, { value });
  if (!deposits.ok) return deposits;
  const [own, granted] = deposits.value as readonly [RecordDeposit, RecordDeposit];
  draft.debit(sender, value);
  setExpiring(draft, 'rental', id, { ...rental, deposit: own });
  giveAccess(draft, device, sender, { ...grant, deposit: granted });
  return ok({ kind: 'rented', ...partiesOf(device, rental), maximum, held: amount(value), startBy });
}

/** What the record grows by when the rental starts, paid for at once: the device's word must not fail for a deposit. */
const RUNNING_BYTES = 28;

interface Word {
  readonly payload: Payload;
  readonly word: RentalWord;
}

/** What can be said of the bytes without any state. */
function parseWord(chain: Hash, bytes: Uint8Array, event: RentalEvent): Result<Word, ErrorCode> {
  const payload = parsePayload(chain, bytes);
  if (!payload.ok) return refused('rental.word', payload.message);
  if (payload.value.contentType !== 'rental') return refused('rental.word', 'the payload is about no rental');
  const word = decodeRentalWord(payload.value.content);
  if (!word.ok) return refused('rental.word', word.message);
  if (word.value.event !== event)
    return refused('rental.word', `expected the word ${event}, the device said ${word.value.event}`);
  return ok({ payload: payload.value, word: word.value });
}

function signatureFlaw({ verify }: Pick<PoolContext, 'verify'>, { payload }: Word): Flaw {
  if (verify(payload.signer, payload.signedBytes, payload.signature)) return undefined;
  return refused('payload.signature', 'expected the device’s signature of its word');
}

function wordProof(context: PoolContext, bytes: Uint8Array, event: RentalEvent): Flaw {
  const word = parseWord(context.chain, bytes, event);
  return word.ok ? signatureFlaw(context, word.value) : word;
}

interface KnownWord extends Word {
  /** Id text of the device. */
  readonly id: string;
  readonly rental: Rental;
}

/** The word and the rental it is about: signed by the device that is rented, and not of a time to come. */
function knownWord(
  draft: Draft,
  context: BlockContext,
  bytes: Uint8Array,
  event: RentalEvent,
): Result<KnownWord, ErrorCode> {
  const parsed = parseWord(context.chain, bytes, event);
  if (!parsed.ok) return parsed;
  const { payload, word } = parsed.value;
  const id = idText(payload.device);
  const rental = draft.get('rental', id);
  if (rental === undefined || !equalBytes(rental.id, word.rental))
    return refused('rental.unknown', 'the device that signed has no such rental');
  if (word.at > context.time + LIMITS.clockSkewMsMax)
    return refused('rental.time', `the device speaks of ${word.at}, the block is of ${context.time}`);
  // The queue may be behind: what is due is over.
  if (rentalDue(rental) <= context.time) return refused('rental.time', 'the rental is over');
  const flaw = signatureFlaw(context, parsed.value);
  return flaw ?? ok({ ...parsed.value, id, rental });
}

function applyStart(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'rental-start'>,
): Outcome {
  const known = knownWord(draft, context, body.word, 'started');
  if (!known.ok) return known;
  const { payload, word, id, rental } = known.value;
  const { terms, rentedAt, maximum } = rental;
  if (rental.running !== undefined) return refused('rental.state', 'the rental has started already');
  if (word.at < rentedAt || word.at > rentedAt + terms.startWithin)
    return refused('rental.time', `expected a start from ${rentedAt} to ${rentedAt + terms.startWithin}`);
  const end = millis(word.at + rentalLength(terms, maximum));
  const running: Running = { startedAt: word.at, end, uses: 0, counter: payload.sequence };
  setExpiring(draft, 'rental', id, { ...rental, running });
  narrowAccess(draft, payload.device, rental, end);
  draft.credit(sender, terms.carriage);
  return ok({ kind: 'rental-started', ...partiesOf(payload.device, rental), startedAt: word.at, end });
}

interface RunningWord extends KnownWord {
  readonly running: Running;
}

/** Of a rental that runs, said after everything the device has said before. */
function laterWord(
  draft: Draft,
  context: BlockContext,
  bytes: Uint8Array,
  event: RentalEvent,
): Result<RunningWord, ErrorCode> {
  const known = knownWord(draft, context, bytes, event);
  if (!known.ok) return known;
  const { payload, word, rental } = known.value;
  const { running } = rental;
  if (running === undefined) return refused('rental.state', 'the rental has not started');
  if (payload.sequence <= running.counter)
    return refused(
      'rental.replayed',
      `expected a sequence above ${running.counter}, got ${payload.sequence}`,
    );
  if (word.at < running.startedAt || word.uses < running.uses)
    return refused('rental.time', 'the device takes back what it said before');
  return ok({ ...known.value, running });
}

function applyUse(draft: Draft, context: BlockContext, body: BodyOf<'rental-use'>): Outcome {
  const known = laterWord(draft, context, body.word, 'used');
  if (!known.ok) return known;
  const { payload, word, id, rental, running } = known.value;
  const { uses, at } = word;
  setExpiring(draft, 'rental', id, { ...rental, running: { ...running, uses, counter: payload.sequence } });
  return ok({ kind: 'rental-used', ...partiesOf(payload.device, rental), at, uses });
}

function applyStop(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'rental-stop'>,
): Outcome {
  const known = laterWord(draft, context, body.word, 'stopped');
  if (!known.ok) return known;
  const { payload, word, rental, running } = known.value;
  const last = running.startedAt + rentalLength(rental.terms, rental.maximum);
  const end = millis(Math.min(word.at, last));
  return ok(
    settleRental(draft, context.time, payload.device, {
      rental,
      running: { ...running, end, uses: word.uses },
      carrier: sender,
    }),
  );
}

/**
 * The renter gives the device back and pays up to now, unless the device says within the window that it served longer: so
 * neither an owner who pulls the plug nor a renter who stays on in a house without uplink gains anything.
 */
function applyEnd(draft: Draft, context: BlockContext, sender: Address, device: Address): Outcome {
  const id = idText(device);
  const rental = draft.get('rental', id);
  if (rental === undefined) return refused('rental.unknown', 'nobody rents this device');
  if (!equalBytes(rental.renter, sender)) return refused('rental.party', 'the renter gives the device back');
  const { running } = rental;
  if (running === undefined)
    return refused('rental.state', 'the rental has not started; it returns by itself');
  if (running.end <= context.time) return refused('rental.time', 'the rental has ended');
  const end = millis(Math.max(running.startedAt, context.time));
  setExpiring(draft, 'rental', id, { ...rental, running: { ...running, end } });
  takeAccess(draft, device, rental);
  return ok({ kind: 'rental-given-back', ...partiesOf(device, rental), end });
}

type RentalKind =
  | 'offer-rental'
  | 'withdraw-offer'
  | 'rent'
  | 'rental-start'
  | 'rental-use'
  | 'rental-stop'
  | 'end-rental';

export const RENTAL_RULES: Rules<RentalKind> = {
  'offer-rental': {
    flaw: (sender, { terms }) => termsFlaw(sender, terms),
    apply: (draft, context, { sender }, body) => applyOffer(draft, context, sender, body),
  },
  'withdraw-offer': { apply: (draft, _, { sender }, { device }) => applyWithdraw(draft, sender, device) },
  rent: { apply: applyRent },
  'rental-start': {
    signs: true,
    proved: (_, context, __, { word }) => wordProof(context, word, 'started'),
    apply: (draft, context, { sender }, body) => applyStart(draft, context, sender, body),
  },
  'rental-use': {
    signs: true,
    proved: (_, context, __, { word }) => wordProof(context, word, 'used'),
    apply: (draft, context, _, body) => applyUse(draft, context, body),
  },
  'rental-stop': {
    signs: true,
    proved: (_, context, __, { word }) => wordProof(context, word, 'stopped'),
    apply: (draft, context, { sender }, body) => applyStop(draft, context, sender, body),
  },
  'end-rental': {
    apply: (draft, context, { sender }, { device }) => applyEnd(draft, context, sender, device),
  },
};
