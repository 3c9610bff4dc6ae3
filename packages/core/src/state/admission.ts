/** What a transaction needs before its body counts: due, paid, and signed by those who may act for its sender (spec STATE-2). */
import { ok, refused, type Result } from '../bytes/result.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import type { BlockContext, Flaw, PoolContext } from './block-context.ts';
import { signersFlaw } from './apply-keys.ts';
import { checkpointWeight, senderFlaw } from './apply-subnet.ts';
import { Draft } from './draft.ts';
import type { LedgerState } from './ledger-state.ts';
import { STATE_LIMITS } from './limits.ts';
import { EMPTY_ACCOUNT, type Account, type Parameters } from './records.ts';
import { ruleOf } from './rules.ts';
import { allowanceFlaw, takeFromSponsor } from './sponsored.ts';
import type { OpenedTransaction, VerifiedTransaction } from './verified-transaction.ts';

/**
 * Whether a pool should take a transaction that is to be executed at `context.height` or later. Nonces and
 * checkpoints may run ahead by a bounded number; bodies are judged only as far as no state could accept them,
 * because what they need may be waiting in the same pool. A checkpoint pays nothing, so its sender and its
 * signatures are checked here: otherwise blocks could be filled for free. Whether the sender has signed is not asked:
 * a pool may find out what is cheap first.
 */
export function precheck(
  state: LedgerState,
  context: PoolContext,
  transaction: OpenedTransaction,
): Result<void, ErrorCode> {
  const { tx, sender } = transaction;
  const expiry = expiryFlaw(context, transaction);
  if (expiry !== undefined) return expiry;
  const { body } = tx;
  if (body.kind === 'checkpoint') {
    const { checkpoint } = body.certificate;
    const subnet = state.subnet(checkpoint.subnet);
    if (subnet === undefined)
      return refused('subnet.unknown', 'the checkpoint names a subnet that does not exist');
    const ahead = checkpoint.sequence - subnet.lastSequence;
    if (ahead < 1 || ahead > STATE_LIMITS.checkpointsAheadMax) {
      return refused(
        'checkpoint.sequence',
        `expected a sequence above ${subnet.lastSequence}, got ${checkpoint.sequence}`,
      );
    }
    const flaw = senderFlaw(subnet, tx.key, checkpoint.sequence);
    if (flaw !== undefined) return flaw;
    const signed = checkpointWeight(subnet, context, body.certificate);
    return signed.ok ? ok(undefined) : signed;
  }
  const account = state.account(sender);
  const next = account?.nonces[tx.lane] ?? 0;
  const { sponsor } = tx;
  // What may be free must not wait in numbers.
  const aheadMax = body.kind === 'restart' ? 0 : STATE_LIMITS.nonceAheadMax;
  const rule = ruleOf(body);
  const flaw =
    signersFlaw(state.keys(sender), transaction) ??
    nonceFlaw(next, tx.nonce, aheadMax) ??
    (sponsor === undefined
      ? feeFlaw(state.parameters, account, transaction)
      : allowanceFlaw(new Draft(state), context, transaction, sponsor)) ??
    rule.flaw?.(sender, body) ??
    rule.proved?.(state, context, transaction, body);
  return flaw ?? ok(undefined);
}

/**
 * Nonce and fee; then the fee goes to the pool of the epoch and the lane advances, whatever becomes of the body. Gives what was
 * taken. When a check fails nothing changes: a transaction that was never due costs nobody anything.
 */
export function takeFee(
  draft: Draft,
  context: BlockContext,
  transaction: VerifiedTransaction,
): Result<Amount, ErrorCode> {
  const { tx } = transaction;
  const { sponsor } = tx;
  const before = draft.get('account', transaction.account);
  const next = before?.nonces[tx.lane] ?? 0;
  const flaw =
    signersFlaw(draft.get('keys', transaction.account), transaction) ??
    nonceFlaw(next, tx.nonce, 0) ??
    (sponsor === undefined ? feeFlaw(draft.parameters, before, transaction) : undefined);
  if (flaw !== undefined) return flaw;
  const taken = sponsor === undefined ? ok(tx.fee) : takeFromSponsor(draft, context, transaction, sponsor);
  if (!taken.ok) return taken;
  const { balance, nonces: known } = before ?? EMPTY_ACCOUNT;
  const nonces = known.slice();
  while (nonces.length < tx.lane) nonces.push(0);
  nonces[tx.lane] = next + 1;
  draft.setAccount(transaction.account, {
    balance: sponsor === undefined ? amount(balance - tx.fee) : balance,
    nonces,
  });
  draft.fees += taken.value;
  return taken;
}

export function expiryFlaw(context: Pick<BlockContext, 'height'>, { tx }: OpenedTransaction): Flaw {
  if (context.height <= tx.validUntil) return undefined;
  return refused('transaction.expired', `valid up to height ${tx.validUntil}, this is ${context.height}`);
}

function nonceFlaw(next: number, nonce: number, ahead: number): Flaw {
  if (nonce >= next && nonce <= next + ahead) return undefined;
  return refused(
    'transaction.nonce',
    ahead === 0
      ? `expected nonce ${next}, got ${nonce}`
      : `expected a nonce from ${next} to ${next + ahead}, got ${nonce}`,
  );
}

function feeFlaw(
  parameters: Pick<Parameters, 'feePerByte' | 'accountPrice'>,
  account: Account | undefined,
  { tx, encoded }: OpenedTransaction,
): Flaw {
  const isFree = tx.body.kind === 'restart';
  const price = isFree ? 0n : parameters.feePerByte * BigInt(encoded.length);
  if (tx.fee < price)
    return refused(
      'transaction.fee',
      `expected at least ${price} for ${encoded.length} bytes, got ${tx.fee}`,
    );
  const balance = account?.balance ?? 0n;
  if (balance < tx.fee)
    return refused('transaction.balance', `the fee is ${tx.fee}, the balance is ${balance}`);
  // Where bytes are free, a nonce would still be a new account.
  if (account === undefined && !isFree && parameters.accountPrice > 0n)
    return refused('transaction.balance', 'the sender has no account yet, and nobody pays for one');
  return undefined;
}
