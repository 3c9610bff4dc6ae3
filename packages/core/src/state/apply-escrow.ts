/**
 * Value into subnets and out of them (spec STATE-14). What a subnet's members sign can at worst hand its own escrow to
 * the wrong people: sums are bounded here, whatever a checkpoint says.
 */
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import { verifyMerklePath } from '../crypto/merkle.ts';
import type { Address } from '../ledger/address.ts';
import type { SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { VALUE_MIN, withdrawalLeaf } from '../ledger/escrow.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';
import { allPaid, isPaid, NO_ESCROW, withPaid, type Escrow } from './escrow-record.ts';
import type { LedgerEventBody } from './events.ts';
import { countedId } from './keys.ts';
import { DEPOSIT_BYTES, holdDeposit, openAccounts, releaseDeposit } from './record-deposit.ts';
import { idText } from './record-map.ts';
import type { Rules } from './rules.ts';

/** Encoded, see `escrow-record.ts`. */
const DEPOSIT_RECORD_BYTES = 40 + DEPOSIT_BYTES;

export function depositFlaw(body: BodyOf<'deposit'>): Flaw {
  if (body.amount >= VALUE_MIN) return undefined;
  return refused('deposit.amount', `expected at least ${VALUE_MIN}, got ${body.amount}`);
}

/** The fee is off the balance already. */
export function applyDeposit(
  draft: Draft,
  sender: Address,
  body: BodyOf<'deposit'>,
): Result<LedgerEventBody, ErrorCode> {
  const { subnet, to, amount: value } = body;
  const id = idText(subnet);
  if (draft.get('subnet', id) === undefined)
    return refused('subnet.unknown', 'the deposit names a subnet that does not exist');
  const escrow = draft.get('escrow', id) ?? NO_ESCROW;
  if (escrow.deposits - escrow.credited >= LIMITS.depositsKeptMax)
    return refused('deposit.full', `${LIMITS.depositsKeptMax} deposits wait for a checkpoint of the subnet`);
  const deposit = holdDeposit(draft, sender, DEPOSIT_RECORD_BYTES, { value });
  if (!deposit.ok) return deposit;
  draft.debit(sender, value);
  const number = escrow.deposits + 1;
  draft.set('escrow', id, { ...escrow, held: amount(escrow.held + value), deposits: number });
  draft.set('deposit', idText(countedId(subnet, number)), {
    to,
    amount: value,
    deposit: deposit.value,
  });
  // The one that leaves was credited: at most `depositsKeptMax` wait.
  const oldest = idText(countedId(subnet, Math.max(0, number - LIMITS.depositsKeptMax)));
  const leaving = draft.get('deposit', oldest);
  if (leaving !== undefined) {
    draft.set('deposit', oldest, undefined);
    releaseDeposit(draft, leaving.deposit);
  }
  return ok({ kind: 'deposited', subnet, number, from: sender, to, amount: value });
}

/** What is known of a subnet's value when a checkpoint is judged. */
export interface ValueBounds {
  readonly deposits: number;
  readonly credited: number;
  /** Held and not claimable: the most a checkpoint may let out. */
  readonly available: bigint;
}

export function valueBounds(escrow: Escrow = NO_ESCROW): ValueBounds {
  return {
    deposits: escrow.deposits,
    credited: escrow.credited,
    available: escrow.held - escrow.claimable,
  };
}

/** Credits only deposits that were made, never takes one back, and lets out no more than there is. */
export function valueFlaw(checkpoint: Pick<SubnetCheckpoint, 'value'>, bounds: ValueBounds): Flaw {
  const credited = checkpoint.value?.deposits ?? 0;
  const withdrawn = checkpoint.value?.withdrawn ?? 0n;
  if (credited < bounds.credited || credited > bounds.deposits)
    return refused(
      'checkpoint.value',
      `expected deposits ${bounds.credited} to ${bounds.deposits} to be credited, got ${credited}`,
    );
  if (withdrawn > bounds.available)
    return refused(
      'checkpoint.value',
      `expected at most ${bounds.available} to be withdrawn, got ${withdrawn}`,
    );
  return undefined;
}

/** The checkpoint was judged by `valueFlaw`. */
export function commitValue(draft: Draft, checkpoint: SubnetCheckpoint): void {
  const { subnet, sequence, value } = checkpoint;
  if (value === undefined) return;
  const id = idText(subnet);
  const escrow = draft.get('escrow', id) ?? NO_ESCROW;
  const { withdrawalRoot: root, withdrawalCount: count, withdrawn } = value;
  draft.set('escrow', id, {
    ...escrow,
    credited: value.deposits,
    claimable: amount(escrow.claimable + withdrawn),
    withdrawals: escrow.withdrawals + count,
  });
  if (count === 0) return;
  draft.set('withdrawals', idText(countedId(subnet, sequence)), {
    root,
    first: escrow.withdrawals + 1,
    count,
    unpaid: withdrawn,
    paid: new Uint8Array(Math.ceil(count / 8)),
  });
}

/** Each leaf is paid once: its bit is the nullifier, and when all are set the record is gone. */
export function applyWithdraw(
  draft: Draft,
  sender: Address,
  body: BodyOf<'withdraw'>,
): Result<LedgerEventBody, ErrorCode> {
  const { subnet, checkpoint, withdrawal, path } = body;
  const { number, to, amount: value } = withdrawal;
  const key = idText(countedId(subnet, checkpoint));
  const open = draft.get('withdrawals', key);
  const escrow = draft.get('escrow', idText(subnet));
  if (open === undefined || escrow === undefined)
    return refused('withdrawal.unknown', `nothing of checkpoint ${checkpoint} waits to be withdrawn`);
  const index = number - open.first;
  const leaf: Hash = withdrawalLeaf(subnet, withdrawal);
  if (!verifyMerklePath({ root: open.root, leaf, index, count: open.count, path }))
    return refused('withdrawal.proof', 'the path does not lead to the withdrawal root of the checkpoint');
  if (isPaid(open, index)) return refused('withdrawal.paid', `withdrawal ${number} has been paid`);
  if (value > open.unpaid)
    return refused(
      'withdrawal.exhausted',
      `of what the checkpoint let out ${open.unpaid} is left, got ${value}`,
    );
  const opened = openAccounts(draft, sender, value === 0n ? [] : [to]);
  if (!opened.ok) return opened;
  const next = withPaid(open, index, value);
  const done = allPaid(next);
  draft.set('withdrawals', key, done ? undefined : next);
  // A checkpoint may have declared more than its leaves hold: with the last of them the rest is not on its way out any more.
  const settled = done ? open.unpaid : value;
  draft.set('escrow', idText(subnet), {
    ...escrow,
    held: amount(escrow.held - value),
    claimable: amount(escrow.claimable - settled),
  });
  draft.credit(to, value);
  return ok({ kind: 'withdrawn', subnet, checkpoint, number, to, amount: value });
}

export const ESCROW_RULES: Rules<'deposit' | 'withdraw'> = {
  deposit: {
    flaw: (_, body) => depositFlaw(body),
    apply: (draft, _, { sender }, body) => applyDeposit(draft, sender, body),
  },
  withdraw: { apply: (draft, _, { sender }, body) => applyWithdraw(draft, sender, body) },
};
