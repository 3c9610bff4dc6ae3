/**
 * What came to an account and left it, from receipts and events alone (spec STATE-18.8): added up, it is the change of the balance.
 * Statements of owners are made of these.
 */
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import type { Height } from '../ledger/ids.ts';
import type { Receipt } from '../ledger/receipt.ts';
import type { LedgerEvent, Move } from './events.ts';

export interface Movement {
  readonly account: Address;
  /** In base units; below 0 what was paid. */
  readonly change: bigint;
  readonly reason: MovementReason;
  /** Kind of the transaction or event that brought it. */
  readonly kind: string;
  readonly height: Height;
  /** Position in the block. */
  readonly index: number;
  /** Absent for what no transaction brought about. */
  readonly transaction?: Hash;
  /** Who paid it, or was paid, where that is one account. */
  readonly other?: Address;
  /** Paid by this sponsorship, `paid` base units: the balance did not change. */
  readonly sponsorship?: Hash;
  readonly paid?: bigint;
}

export type MovementReason =
  | 'fee'
  | 'sponsored'
  | 'transfer'
  | 'reward'
  | 'bond-returned'
  | 'paid'
  | 'received'
  | 'deposit-held'
  | 'deposit-returned'
  | 'account-opened';

/** The fee, whatever became of the body. */
export function receiptMovements(receipt: Receipt): readonly Movement[] {
  const { account, fee, sponsor, kind, height, index, transaction } = receipt;
  if (fee === 0n) return [];
  const place = { account, kind, height, index, transaction };
  return sponsor === undefined
    ? [{ ...place, change: 0n - fee, reason: 'fee' }]
    : [{ ...place, change: 0n, reason: 'sponsored', sponsorship: sponsor, paid: fee }];
}

type Known = Pick<Movement, 'account' | 'change' | 'reason' | 'other' | 'sponsorship' | 'paid'>;

export function eventMovements(event: LedgerEvent): readonly Movement[] {
  const { kind, height, index, transaction, moves = [] } = event;
  const place = { kind, height, index, ...(transaction && { transaction }) };
  return [...told(event), ...moves.map(moved)].map((known) => ({ ...known, ...place }));
}

/** What an event says in fields of its own. */
function told(event: LedgerEvent): readonly Known[] {
  if (event.kind === 'transferred') {
    const { from, to, amount } = event;
    return between(from, to, amount);
  }
  if (event.kind === 'distributed')
    return event.outputs.flatMap(({ to, amount }) => between(event.from, to, amount));
  if (event.kind === 'rewards-paid')
    return event.shares.map(({ validator, amount }) => ({
      account: validator,
      change: amount,
      reason: 'reward',
    }));
  if (event.kind === 'bond-released')
    return [{ account: event.validator, change: event.amount, reason: 'bond-returned' }];
  return [];
}

function between(from: Address, to: Address, amount: bigint): readonly Known[] {
  return [
    { account: from, change: -amount, reason: 'transfer', other: to },
    { account: to, change: amount, reason: 'transfer', other: from },
  ];
}

function moved({ kind, account, amount, sponsorship }: Move): Known {
  const comes = kind === 'received' || kind === 'deposit-returned';
  if (sponsorship !== undefined) return { account, change: 0n, reason: kind, sponsorship, paid: amount };
  return { account, change: comes ? amount : 0n - amount, reason: kind };
}
