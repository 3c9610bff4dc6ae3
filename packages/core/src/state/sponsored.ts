/**
 * Whether a sponsorship pays for a transaction, and out of what is left of it (spec STATE-19). All of it is asked before anything is
 * taken: whoever may not use a budget cannot make it smaller either, and whoever may is bounded by device and day.
 */
import { equalBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { SponsorScope } from '../ledger/bodies/sponsor.ts';
import { BODY_CODES, type Body } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import { recoveryFlaw } from './apply-device-life.ts';
import { provenClaim } from './apply-device.ts';
import type { Device } from './device-record.ts';
import type { BlockContext, Flaw, PoolContext } from './block-context.ts';
import type { Draft } from './draft.ts';
import { setExpiring } from './expiry.ts';
import { DEPOSIT_BYTES, depositPrice } from './record-deposit.ts';
import type { RecordTypes } from './records.ts';
import type { RecordKind } from './keys.ts';
import { dayOf, type SponsoredDay, type Sponsorship } from './sponsor-record.ts';
import type { OpenedTransaction } from './verified-transaction.ts';

/** Records, as a draft or a state gives them. */
export interface RecordReader {
  get<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined;
}

/** The device a transaction is about, where it is about one. */
export function deviceOf(body: Body): Address | undefined {
  if (body.kind === 'claim') return addressOf(body.claim.device);
  if (body.kind === 'grant') return body.grant.device;
  if (body.kind === 'recover-device') return body.recovery.device;
  if (body.kind === 'delegate' || body.kind === 'revoke-access')
    return body.scope.kind === 'device' ? body.scope.device : undefined;
  return 'device' in body ? body.device : undefined;
}

/** Whose budget of the day a transaction would use: that of its device, or of its sender where accounts are named. */
export function subjectOf(
  { terms }: Sponsorship,
  { tx, sender }: Pick<OpenedTransaction, 'tx' | 'sender'>,
): Address | undefined {
  return terms.scope.kind === 'accounts' ? sender : deviceOf(tx.body);
}

/**
 * The one whose budget is used, if the sponsorship pays for this. Its device must be covered, and the sender must be the one who may
 * do this with it: with a stranger's device nothing is paid.
 */
export function coveredSubject(
  records: Draft,
  context: PoolContext,
  transaction: OpenedTransaction,
  sponsorship: Sponsorship,
): Result<Address, ErrorCode> {
  const { tx, sender } = transaction;
  const { body } = tx;
  const { kinds, scope } = sponsorship.terms;
  if (!kinds.includes(BODY_CODES[body.kind]))
    return refused('sponsor.not-covered', `the sponsorship pays for no ${body.kind}`);
  if (scope.kind === 'accounts')
    return scope.accounts.some((one) => equalBytes(one, sender))
      ? ok(sender)
      : refused('sponsor.not-covered', 'the sponsorship does not name the sender');
  const device = deviceOf(body);
  if (device === undefined)
    return refused('sponsor.not-covered', 'the sponsorship pays for what concerns a device');
  const places =
    body.kind === 'claim'
      ? claimed(records, context, sender, body)
      : held(records, context, { body, sender }, device);
  if (!places.ok) return places;
  return covers(records, scope, device, places.value)
    ? ok(device)
    : refused('sponsor.not-covered', 'the sponsorship does not cover the device');
}

/** Where a device belongs. */
interface Places {
  readonly batch: Hash;
  readonly model: Hash;
}

/** A claim counts when nothing is missing from it but its fee: without a voucher of the batch nobody gets this far. */
function claimed(
  records: Draft,
  context: PoolContext,
  sender: Address,
  body: Extract<Body, { readonly kind: 'claim' }>,
): Result<Places, ErrorCode> {
  const proven = provenClaim(records, context, sender, body.claim);
  return proven.ok ? ok({ batch: body.claim.batch, model: proven.value.model }) : proven;
}

function held(
  records: Draft,
  context: PoolContext,
  { body, sender }: Asked,
  device: Address,
): Result<Places, ErrorCode> {
  const record = records.get('device', idText(device));
  if (record === undefined) return refused('sponsor.not-covered', 'nobody has claimed the device');
  if (!equalBytes(record.owner, sender) && !isParty(records, context, { body, sender, record }))
    return refused('sponsor.not-covered', 'the sender may not do this with the device');
  return ok(record);
}

interface Asked {
  readonly body: Body;
  readonly sender: Address;
}

/** Those who may do something with a device that is not theirs. */
function isParty(
  records: Draft,
  context: PoolContext,
  { body, sender, record }: Asked & { readonly record: Device },
): boolean {
  const is = (address: Address | undefined): boolean => address !== undefined && equalBytes(address, sender);
  if (body.kind === 'accept-device' || body.kind === 'withdraw-device')
    return is(records.get('sale', idText(body.device))?.to);
  if (body.kind === 'recover-device')
    return recoveryFlaw(context, sender, record, body.recovery) === undefined;
  if (body.kind === 'mark-device')
    return body.mark === 'recovered' && is(records.get('device-recovery', idText(body.device))?.claimant);
  if (body.kind !== 'delegate' || body.scope.kind !== 'device') return false;
  const grant = records.get('grant', idText(body.scope.device) + idText(sender));
  return grant !== undefined && equalBytes(grant.granter, record.owner) && grant.basis === record.transfers;
}

function covers(
  records: RecordReader,
  scope: SponsorScope,
  device: Address,
  { batch, model }: Places,
): boolean {
  switch (scope.kind) {
    case 'batch':
      return equalBytes(scope.batch, batch);
    case 'model':
      return equalBytes(scope.model, model);
    case 'maker': {
      const maker = records.get('batch', idText(batch))?.maker;
      return maker !== undefined && equalBytes(scope.maker, maker);
    }
    case 'devices':
      return scope.devices.some((one) => equalBytes(one, device));
    case 'accounts':
      return false;
  }
}

/** What a sponsor would pay for a transaction, out of whose budget of the day. */
interface Charge {
  readonly id: string;
  readonly sponsorship: Sponsorship;
  readonly subject: Address;
  readonly value: bigint;
}

/** Fee and, where the sender has no account, the price of one. */
function chargeOf(
  draft: Draft,
  context: PoolContext,
  transaction: OpenedTransaction,
  sponsor: Hash,
): Result<Charge, ErrorCode> {
  const { tx, encoded, sender } = transaction;
  const id = idText(sponsor);
  const sponsorship = draft.get('sponsorship', id);
  if (sponsorship === undefined) return refused('sponsor.unknown', 'no such sponsorship');
  // Who pays nothing could promise anything: the price of the bytes and not a unit more.
  const price = draft.feePerByte * BigInt(encoded.length);
  if (tx.fee !== price)
    return refused('transaction.fee', `a sponsor pays ${price} for ${encoded.length} bytes, not ${tx.fee}`);
  const { accountPrice } = draft.parameters;
  const opening = draft.hasAccount(sender) ? 0n : accountPrice;
  if (opening > 0n && !sponsorship.terms.paysState)
    return refused('sponsor.not-covered', 'the sender has no account, and the sponsorship pays for none');
  const subject = coveredSubject(draft, context, transaction, sponsorship);
  return subject.ok ? ok({ id, sponsorship, subject: subject.value, value: price + opening }) : subject;
}

/** For a pool, which does not know the time: whether the sponsorship would pay for this now. */
export function allowanceFlaw(
  draft: Draft,
  context: PoolContext,
  transaction: OpenedTransaction,
  sponsor: Hash,
): Flaw {
  const charge = chargeOf(draft, context, transaction, sponsor);
  if (!charge.ok) return charge;
  const { id, sponsorship, subject, value } = charge.value;
  return budgetFlaw(allowanceOf(draft, sponsorship, id, subject), value);
}

/** Takes the fee from the sponsorship and, where it pays for state, opens its purse for the body. Gives what was taken. */
export function takeFromSponsor(
  draft: Draft,
  context: BlockContext,
  transaction: OpenedTransaction,
  sponsor: Hash,
): Result<Amount, ErrorCode> {
  const charge = chargeOf(draft, context, transaction, sponsor);
  if (!charge.ok) return charge;
  const { id, sponsorship, subject, value } = charge.value;
  const { terms, sponsor: payer } = sponsorship;
  // It may wait to be collected.
  if (terms.expiresAt <= context.time) return refused('sponsor.unknown', 'the sponsorship is over');
  const day = dayOf(context.time);
  const flaw = spend(draft, { id, subject, value, day });
  if (flaw !== undefined) return flaw;
  if (terms.paysState)
    draft.purse = {
      sender: transaction.sender,
      payer,
      sponsorship: sponsor,
      take: (own, price) => spend(own, { id, subject, value: price, day }),
    };
  return ok(amount(value));
}

/** What is left of the three budgets, in base units. */
export interface Allowance {
  readonly ofSubject: bigint;
  readonly ofDay: bigint;
  /** Paid in and not used. */
  readonly balance: bigint;
}

/** `day` is left out by those who do not know the time: what was used on the last day of use counts then. */
export function allowanceOf(
  records: RecordReader,
  sponsorship: Sponsorship,
  id: string,
  subject: Address,
  day?: number,
): Allowance {
  const { perDay, perDevicePerDay } = sponsorship.terms;
  const left = (budget: bigint, who: string): bigint => {
    const used = usedOn(records.get('sponsored', id + who), day);
    return used < budget ? budget - used : 0n;
  };
  return {
    ofSubject: left(perDevicePerDay, idText(subject)),
    ofDay: left(perDay, EVERYBODY),
    balance: sponsorship.balance,
  };
}

function usedOn(used: SponsoredDay | undefined, day: number | undefined): bigint {
  return used === undefined || (day !== undefined && used.day !== day) ? 0n : used.spent;
}

const EVERYBODY = idText(ZERO_HASH);

/** Encoded, see `sponsor-record.ts`. */
const SPONSORED_DAY_BYTES = 12 + DEPOSIT_BYTES;

/**
 * Takes a value from the budgets, or says which is used up. What a day's use is written down in costs a deposit, which the sponsorship
 * pays and has back when the day is over.
 */
export function spend(
  draft: Draft,
  o: { readonly id: string; readonly subject: Address; readonly value: bigint; readonly day: number },
): Flaw {
  const { id, value, day } = o;
  const sponsorship = draft.get('sponsorship', id);
  if (sponsorship === undefined) return refused('sponsor.unknown', 'no such sponsorship');
  const left = allowanceOf(draft, sponsorship, id, o.subject, day);
  const keys = [id + idText(o.subject), id + EVERYBODY];
  const price = depositPrice(draft.parameters.depositPerByte, SPONSORED_DAY_BYTES);
  const opening = keys.reduce(
    (sum, key) => (draft.get('sponsored', key) === undefined ? sum + price : sum),
    0n,
  );
  const short = budgetFlaw(left, value, opening);
  if (short !== undefined) return short;
  for (const key of keys) {
    const used = draft.get('sponsored', key);
    const deposit = used?.deposit ?? { payer: sponsorship.sponsor, amount: amount(price) };
    setExpiring(draft, 'sponsored', key, { day, spent: amount(usedOn(used, day) + value), deposit });
  }
  draft.set('sponsorship', id, { ...sponsorship, balance: amount(left.balance - value - opening) });
  return undefined;
}

export function budgetFlaw(left: Allowance, value: bigint, besides = 0n): Flaw {
  const short = (what: string, budget: bigint): Flaw =>
    refused('sponsor.budget', `${what} has ${budget} left, this needs ${value + besides}`);
  if (left.ofSubject < value) return short('the device’s day', left.ofSubject);
  if (left.ofDay < value) return short('the day', left.ofDay);
  if (left.balance < value + besides) return short('the sponsorship', left.balance);
  return undefined;
}
