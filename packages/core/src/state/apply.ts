/**
 * Blocks become states (spec STATE-2). Deterministic and total: whatever verified transactions a block holds,
 * there is one next state, and what was refused has a receipt that says why.
 */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import type { Receipt } from '../ledger/receipt.ts';
import type { Body } from '../ledger/transaction.ts';
import type { Address } from '../ledger/address.ts';
import { applyRegisterMaker, applyTransfer, applyTransfers, makerFlaw } from './apply-account.ts';
import { applyClaim, applyRegisterBatch, batchFlaw, claimFlaw } from './apply-device.ts';
import { applyDeposit, applyWithdraw, depositFlaw } from './apply-escrow.ts';
import { applyGrant, applyRevoke, grantFlaw } from './apply-grant.ts';
import {
  applyCheckpoint,
  applyCreateSubnet,
  checkpointWeight,
  senderFlaw,
  subnetFlaw,
} from './apply-subnet.ts';
import { accusedFlaw, applyEvidence, evidenceFlaw } from './apply-evidence.ts';
import {
  amountFlaw,
  applyBond,
  applyRestart,
  applyUnbond,
  applyWeightVote,
  possessionFlaw,
  restartFlaw,
} from './apply-validator.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import { endBlock } from './end-of-block.ts';
import { Draft } from './draft.ts';
import type { LedgerEvent, LedgerEventBody } from './events.ts';
import type { LedgerState, RecordChange } from './ledger-state.ts';
import { STATE_LIMITS } from './limits.ts';
import type { OpenedTransaction, VerifiedTransaction } from './verified-transaction.ts';

export interface AppliedBlock {
  readonly state: LedgerState;
  /** One per transaction, in order. */
  readonly receipts: readonly Receipt[];
  /** For a shell to persist: with these, `LedgerState.fromRecords` gives this state again. */
  readonly changes: readonly RecordChange[];
  /** One per accepted transaction, in order, then those of the end of the block. */
  readonly events: readonly LedgerEvent[];
}

/** `state` stays as it was. A chain other than the state's is our bug and throws. */
export function applyBlock(
  state: LedgerState,
  context: BlockContext,
  transactions: readonly VerifiedTransaction[],
): AppliedBlock {
  if (!equalBytes(context.chain, state.parameters.chain))
    throw new Error('the block and the state are of different chains');
  const draft = new Draft(state);
  const receipts: Receipt[] = [];
  const events: LedgerEvent[] = [];
  for (const [index, transaction] of transactions.entries()) {
    const { receipt, event } = applyTransaction(draft, context, transaction, index);
    receipts.push(receipt);
    if (event !== undefined) events.push(event);
  }
  const { height, time: at } = context;
  for (const event of endBlock(draft, height))
    events.push({ ...event, height, at, transaction: undefined, index: transactions.length });
  return { ...state.advance(draft.changed), receipts, events };
}

/** One transaction on the draft of its block. A refused one leaves at most its fee and its nonce behind. */
export function applyTransaction(
  draft: Draft,
  context: BlockContext,
  transaction: VerifiedTransaction,
  index: number,
): { readonly receipt: Receipt; readonly event: LedgerEvent | undefined } {
  const { fee, result } = execute(draft, context, transaction);
  const { height, time } = context;
  const { id } = transaction;
  const { kind } = transaction.tx.body;
  if (result.ok) {
    const receipt: Receipt = { transaction: id, height, index, kind, fee, outcome: { ok: true } };
    // The body was made for this event alone: completing it costs a tenth of copying it, and there is one per transaction.
    const event = Object.assign(result.value, { height, at: time, transaction: id, index });
    return { receipt, event };
  }
  const { code, message } = result;
  const receipt: Receipt = {
    transaction: id,
    height,
    index,
    kind,
    fee,
    outcome: { ok: false, code, message },
  };
  return { receipt, event: undefined };
}

const NO_FEE = amount(0n);

function execute(
  draft: Draft,
  context: BlockContext,
  transaction: VerifiedTransaction,
): { readonly fee: Amount; readonly result: Result<LedgerEventBody, ErrorCode> } {
  const { tx, sender } = transaction;
  const { body } = tx;
  const expiry = expiryFlaw(context, transaction);
  if (expiry !== undefined) return { fee: NO_FEE, result: expiry };
  // A checkpoint is useful to all and replays against its own sequence: it needs neither fee nor nonce. With a
  // nonce, a member that lost the race for one checkpoint could not place the next one it has signed already.
  if (body.kind === 'checkpoint') {
    return { fee: NO_FEE, result: applyCheckpoint(draft, context, tx.key, body.certificate) };
  }
  // A restart may be free, so it is asked here whether it is due: a refused one must leave nothing behind.
  const refusal = body.kind === 'restart' ? restartFlaw(draft, context, tx.key, sender) : undefined;
  if (refusal !== undefined) return { fee: NO_FEE, result: refusal };
  const admission = takeFee(draft, transaction);
  if (admission !== undefined) return { fee: NO_FEE, result: admission };
  return { fee: tx.fee, result: applyBody(draft, context, transaction, body) };
}

/**
 * Nonce and fee; then the fee goes to the pool of the epoch and the lane advances, whatever becomes of the body.
 * When a check fails nothing changes: a transaction that was never due costs its sender nothing.
 */
function takeFee(draft: Draft, transaction: VerifiedTransaction): Flaw {
  const { tx, sender } = transaction;
  const account = draft.account(sender);
  const next = account.nonces[tx.lane] ?? 0;
  const flaw = nonceFlaw(next, tx.nonce, 0) ?? feeFlaw(draft.feePerByte, account.balance, transaction);
  if (flaw !== undefined) return flaw;
  const nonces = account.nonces.slice();
  while (nonces.length < tx.lane) nonces.push(0);
  nonces[tx.lane] = next + 1;
  draft.setAccount(sender, { balance: amount(account.balance - tx.fee), nonces });
  draft.fees += tx.fee;
  return undefined;
}

function expiryFlaw(context: Pick<BlockContext, 'height'>, { tx }: OpenedTransaction): Flaw {
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

function feeFlaw(feePerByte: Amount, balance: Amount, { tx, encoded }: OpenedTransaction): Flaw {
  const price = tx.body.kind === 'restart' ? 0n : feePerByte * BigInt(encoded.length);
  if (tx.fee < price)
    return refused(
      'transaction.fee',
      `expected at least ${price} for ${encoded.length} bytes, got ${tx.fee}`,
    );
  if (balance < tx.fee)
    return refused('transaction.balance', `the fee is ${tx.fee}, the balance is ${balance}`);
  return undefined;
}

/** What no state could accept; asked by a pool before and by `applyBody` in any case. */
function bodyFlaw(sender: Address, body: Body): Flaw {
  switch (body.kind) {
    case 'register-maker':
      return makerFlaw(body);
    case 'register-batch':
      return batchFlaw(body.batch);
    case 'grant':
      return grantFlaw(sender, body.grant);
    case 'create-subnet':
      return subnetFlaw(body);
    case 'bond':
    case 'unbond':
      return amountFlaw(body);
    case 'evidence':
      return evidenceFlaw(body.evidence);
    case 'deposit':
      return depositFlaw(body);
    case 'transfer':
    case 'claim':
    case 'revoke':
    case 'checkpoint':
    case 'weight-vote':
    case 'restart':
    case 'transfers':
    case 'withdraw':
      return undefined;
  }
}

function applyBody(
  draft: Draft,
  context: BlockContext,
  { sender, tx }: VerifiedTransaction,
  body: Exclude<Body, { kind: 'checkpoint' }>,
): Result<LedgerEventBody, ErrorCode> {
  const flaw = bodyFlaw(sender, body);
  if (flaw !== undefined) return flaw;
  switch (body.kind) {
    case 'transfer':
      return applyTransfer(draft, sender, body);
    case 'transfers':
      return applyTransfers(draft, sender, body);
    case 'deposit':
      return applyDeposit(draft, sender, body);
    case 'withdraw':
      return applyWithdraw(draft, body);
    case 'register-maker':
      return applyRegisterMaker(draft, context, sender, body);
    case 'register-batch':
      return applyRegisterBatch(draft, context, sender, body.batch);
    case 'claim':
      return applyClaim(draft, context, sender, body.claim);
    case 'grant':
      return applyGrant(draft, sender, body.grant);
    case 'revoke':
      return applyRevoke(draft, sender, body.device, body.subject);
    case 'create-subnet':
      return applyCreateSubnet(draft, sender, body);
    case 'bond':
      return applyBond(draft, context, sender, body);
    case 'unbond':
      return applyUnbond(draft, context, sender, body);
    case 'weight-vote':
      return applyWeightVote(draft, context, sender, body);
    case 'evidence':
      return applyEvidence(draft, context, body.evidence);
    case 'restart':
      return applyRestart(draft, context, tx.key, sender);
  }
}

/**
 * Whether a pool should take a transaction that is to be executed at `context.height` or later. Nonces and
 * checkpoints may run ahead by a bounded number; bodies are judged only as far as no state could accept them,
 * because what they need may be waiting in the same pool. A checkpoint pays nothing, so its sender and its
 * signatures are checked here: otherwise blocks could be filled for free. Whether the sender has signed is not asked:
 * a pool may find out what is cheap first.
 */
export function precheck(
  state: LedgerState,
  context: Pick<BlockContext, 'chain' | 'height' | 'verify'>,
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
    const flaw = senderFlaw(subnet, tx.key);
    if (flaw !== undefined) return flaw;
    const signed = checkpointWeight(subnet, context, body.certificate);
    return signed.ok ? ok(undefined) : signed;
  }
  const account = state.account(sender);
  const next = account?.nonces[tx.lane] ?? 0;
  // What may be free must not wait in numbers.
  const aheadMax = body.kind === 'restart' ? 0 : STATE_LIMITS.nonceAheadMax;
  const flaw =
    nonceFlaw(next, tx.nonce, aheadMax) ??
    feeFlaw(state.parameters.feePerByte, account?.balance ?? amount(0n), transaction) ??
    bodyFlaw(sender, body) ??
    provedFlaw(state, context, transaction);
  return flaw ?? ok(undefined);
}

/** What a pool asks about signatures inside bodies, and about that which would fill it otherwise. */
function provedFlaw(
  state: LedgerState,
  context: Pick<BlockContext, 'chain' | 'height' | 'verify'>,
  { tx, sender }: OpenedTransaction,
): Flaw {
  const { body } = tx;
  switch (body.kind) {
    case 'claim':
      return claimFlaw(context, body.claim);
    case 'bond':
      return possessionFlaw(context, sender, body);
    case 'evidence':
      return accusedFlaw(new Draft(state), context, body.evidence);
    case 'restart':
      return restartFlaw(new Draft(state), context, tx.key, sender);
    case 'transfer':
    case 'transfers':
    case 'register-maker':
    case 'register-batch':
    case 'grant':
    case 'revoke':
    case 'create-subnet':
    case 'checkpoint':
    case 'unbond':
    case 'weight-vote':
    case 'deposit':
    case 'withdraw':
      return undefined;
  }
}
