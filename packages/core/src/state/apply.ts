/**
 * Blocks become states (spec STATE-2). Deterministic and total: whatever verified transactions a block holds,
 * there is one next state, and what was refused has a receipt that says why.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Result } from '../bytes/result.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import type { Receipt } from '../ledger/receipt.ts';
import { expiryFlaw, takeFee } from './admission.ts';
import { addAccountsOf } from './apply-account.ts';
import { applyCheckpoint } from './apply-subnet.ts';
import { restartFlaw } from './apply-validator.ts';
import type { BlockContext } from './block-context.ts';
import { Draft } from './draft.ts';
import { endBlock } from './end-of-block.ts';
import type { LedgerEvent, LedgerEventBody } from './events.ts';
import type { LedgerState, RecordChange } from './ledger-state.ts';
import { ruleOf } from './rules.ts';
import type { VerifiedTransaction } from './verified-transaction.ts';

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
  state.records.prepare?.(accountsIn(transactions));
  const receipts: Receipt[] = [];
  const events: LedgerEvent[] = [];
  for (const [index, transaction] of transactions.entries()) {
    const { receipt, event } = applyTransaction(draft, context, transaction, index);
    receipts.push(receipt);
    if (event !== undefined) events.push(event);
  }
  const { height, time: at } = context;
  for (const event of endBlock(draft, context))
    events.push({ ...event, height, at, transaction: undefined, index: transactions.length });
  const next = state.advance(draft.changed, draft.queueFrom);
  return {
    state: next.state,
    receipts,
    events,
    get changes() {
      return next.changes;
    },
  };
}

/** Some of them more than once. */
function accountsIn(transactions: readonly VerifiedTransaction[]): readonly string[] {
  const accounts: string[] = [];
  for (const transaction of transactions) addAccountsOf(transaction, accounts);
  return accounts;
}

/** One transaction on the draft of its block. A refused one leaves at most its fee and its nonce behind. */
export function applyTransaction(
  draft: Draft,
  context: BlockContext,
  transaction: VerifiedTransaction,
  index: number,
): { readonly receipt: Receipt; readonly event: LedgerEvent | undefined } {
  const { fee, result } = execute(draft, context, transaction);
  draft.purse = undefined;
  const { moves } = draft;
  if (moves.length > 0) draft.moves = [];
  const { height, time } = context;
  const { id } = transaction;
  const { sponsor, body } = transaction.tx;
  const outcome = result.ok ? DONE : { ok: false as const, code: result.code, message: result.message };
  const account = transaction.sender;
  const { kind } = body;
  // Written out: there is one per transaction, and spreading what all have in common costs ten times as much.
  const receipt: Receipt =
    sponsor === undefined
      ? { transaction: id, account, height, index, kind, fee, outcome }
      : { transaction: id, account, sponsor, height, index, kind, fee, outcome };
  if (!result.ok) return { receipt, event: undefined };
  // The body was made for this event alone: completing it costs a tenth of copying it.
  const event = result.value as Unplaced;
  event.height = height;
  event.at = time;
  event.transaction = id;
  event.index = index;
  if (moves.length > 0) event.moves = moves;
  return { receipt, event: event as LedgerEvent };
}

const DONE = { ok: true } as const;

/** An event that is being told where it happened. */
type Unplaced = { -readonly [K in 'height' | 'at' | 'transaction' | 'index' | 'moves']?: LedgerEvent[K] };

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
  const refusal = body.kind === 'restart' ? restartFlaw(draft, context, transaction) : undefined;
  if (refusal !== undefined) return { fee: NO_FEE, result: refusal };
  const taken = takeFee(draft, context, transaction);
  if (!taken.ok) return { fee: NO_FEE, result: taken };
  const rule = ruleOf(body);
  return {
    fee: taken.value,
    result: rule.flaw?.(sender, body) ?? rule.apply(draft, context, transaction, body),
  };
}
