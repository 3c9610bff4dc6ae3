/**
 * What a record costs as long as it is there (spec STATE-18): its payer leaves `depositPerByte` for every byte and has it back when
 * the record goes. So nobody fills the state with dust, and whoever tidies up is paid for it.
 */
import type { Reader } from '../bytes/reader.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Writer } from '../bytes/writer.ts';
import { equalBytes } from '../bytes/hex.ts';
import { HASH_BYTES, ZERO_HASH } from '../crypto/hash.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { readAddress } from '../ledger/fields.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import type { Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { Move } from './events.ts';
import { idText } from '../bytes/id-text.ts';

/** A field `deposit` of every record that holds one. */
export interface RecordDeposit {
  /** Whoever paid, and has it back: the sponsor's account where a sponsor paid. */
  readonly payer: Address;
  readonly amount: Amount;
}

/** Of records that genesis made. */
export const NO_DEPOSIT: RecordDeposit = { payer: asAddress(ZERO_HASH), amount: amount(0n) };

/** Bytes of the field, which are paid for like all others. */
export const DEPOSIT_BYTES = 40;

/** What a record takes besides its own bytes: its key, its place in the tree, its entry in the queue of what expires. */
const OVERHEAD_BYTES = 64;

export function writeDepositOf(writer: Writer, deposit: RecordDeposit): void {
  writer.fixed(deposit.payer, HASH_BYTES).u64(deposit.amount);
}

export function readDepositOf(reader: Reader): RecordDeposit {
  return { payer: readAddress(reader), amount: amount(reader.u64()) };
}

/** For a record of so many encoded bytes, the deposit's own included. */
export function depositPrice(depositPerByte: bigint, bytes: number): bigint {
  return depositPerByte * BigInt(bytes + OVERHEAD_BYTES);
}

/** What else the payer pays in the same breath. */
export interface Besides {
  /** Accounts that are about to be paid to, see `accountsPrice`. */
  readonly accounts?: readonly Address[];
  /** Out of the payer's own balance, whoever pays for state. */
  readonly value?: bigint;
}

/**
 * Takes the deposit for a record of `bytes` encoded bytes, from the sponsor's budget where a sponsor pays the deposits of this
 * transaction, else from the payer's balance. It is the last check before the first write: a refusal leaves the draft
 * as it was, an acceptance does not. Once it is accepted, `besides.value` may be debited.
 */
export function holdDeposit(
  draft: Draft,
  payer: Address,
  bytes: number,
  besides: Besides = {},
): Result<RecordDeposit, ErrorCode> {
  const held = holdDeposits(draft, payer, [bytes], besides);
  return held.ok ? ok(held.value[0] as RecordDeposit) : held;
}

/** All or none. */
export function holdDeposits(
  draft: Draft,
  payer: Address,
  bytes: readonly number[],
  { accounts = [], value = 0n }: Besides = {},
): Result<readonly RecordDeposit[], ErrorCode> {
  const { depositPerByte } = draft.parameters;
  const prices = bytes.map((one) => depositPrice(depositPerByte, one));
  const opening = accountsPrice(draft, accounts);
  const paid = payForState(
    draft,
    payer,
    prices.reduce((sum, price) => sum + price, opening),
    value,
  );
  if (!paid.ok) return paid;
  const source = paid.value;
  noteOpened(draft, source, opening);
  for (const price of prices)
    if (price > 0n) draft.moves.push({ kind: 'deposit-held', ...source, amount: amount(price) });
  return ok(prices.map((price) => ({ payer: source.account, amount: amount(price) })));
}

/**
 * The deposit of a record that takes the place of another: what is held stays when it is enough and not more, so that writing the
 * same record again costs nobody anything. Otherwise the new one is held and the old one released.
 */
export function exchangeDeposit(
  draft: Draft,
  held: RecordDeposit | undefined,
  payer: Address,
  bytes: number,
): Result<RecordDeposit, ErrorCode> {
  if (held?.amount === depositPrice(draft.parameters.depositPerByte, bytes)) return ok(held);
  const deposit = holdDeposit(draft, payer, bytes);
  if (deposit.ok && held !== undefined) releaseDeposit(draft, held);
  return deposit;
}

/** Back to who paid; the record goes, or holds another one. */
export function releaseDeposit(draft: Draft, deposit: RecordDeposit): void {
  if (deposit.amount === 0n) return;
  draft.adjust(deposit.payer, deposit.amount);
  draft.moves.push({ kind: 'deposit-returned', account: deposit.payer, amount: deposit.amount });
}

/**
 * Pays `accountPrice` for those of these accounts that have no record yet, so that they can be paid to. The price does not come back,
 * because an account stays for the sake of its nonces. Like a deposit it is the last check before the first write.
 */
export function openAccounts(
  draft: Draft,
  payer: Address,
  accounts: readonly Address[],
  value = 0n,
): Result<void, ErrorCode> {
  const price = accountsPrice(draft, accounts);
  // Most transfers are to somebody who is there.
  if (price === 0n) return balanceFlaw(draft.account(payer).balance, value) ?? NOTHING_PAID;
  const paid = payForState(draft, payer, price, value);
  if (!paid.ok) return paid;
  noteOpened(draft, paid.value, price);
  return NOTHING_PAID;
}

const NOTHING_PAID = ok(undefined);

function balanceFlaw(balance: bigint, value: bigint): Flaw {
  if (balance >= value) return undefined;
  return refused(
    'transaction.balance',
    `expected at least ${value} after the fee, the balance is ${balance}`,
  );
}

/** `accountPrice` for each of them without a record, counted once. */
export function accountsPrice(draft: Draft, accounts: readonly Address[]): bigint {
  const { accountPrice } = draft.parameters;
  if (accountPrice === 0n) return 0n;
  const [first] = accounts;
  if (first === undefined) return 0n;
  if (accounts.length === 1) return draft.hasAccount(first) ? 0n : accountPrice;
  const absent = new Set<string>();
  for (const address of accounts) if (!draft.hasAccount(address)) absent.add(idText(address));
  return accountPrice * BigInt(absent.size);
}

function noteOpened(draft: Draft, source: Source, price: bigint): void {
  if (price === 0n) return;
  draft.fees += price;
  draft.moves.push({ kind: 'account-opened', ...source, amount: amount(price) });
}

/** Whose money it was, and out of which budget where it was none of a balance. */
type Source = Pick<Move, 'account' | 'sponsorship'>;

/** From the sponsor, where one pays for what the sender adds to the state. */
function payForState(draft: Draft, payer: Address, price: bigint, value: bigint): Result<Source, ErrorCode> {
  const { purse } = draft;
  const isSponsored = purse !== undefined && equalBytes(purse.sender, payer);
  const { balance } = draft.account(payer);
  const short = balanceFlaw(balance, value);
  if (short !== undefined) return short;
  if (isSponsored) {
    const flaw = price === 0n ? undefined : purse.take(draft, price);
    return flaw ?? ok({ account: purse.payer, sponsorship: purse.sponsorship });
  }
  if (price === 0n) return ok({ account: payer });
  if (balance < value + price)
    return refused(
      'transaction.deposit',
      `what this adds to the state costs ${price}, the balance after fee and amount is ${balance - value}`,
    );
  draft.adjust(payer, -price);
  return ok({ account: payer });
}
