/** Value between accounts (spec STATE-3). Checks come before the first write. */
import { ok, type Result } from '../bytes/result.ts';
import type { Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { openAccounts } from './record-deposit.ts';
import { idText } from './record-map.ts';
import type { Rules } from './rules.ts';
import type { VerifiedTransaction } from './verified-transaction.ts';

/** Adds the accounts that a transaction will be about in any case, by id text. */
export function addAccountsOf({ account, tx: { body } }: VerifiedTransaction, accounts: string[]): void {
  accounts.push(account);
  if (body.kind === 'transfer') accounts.push(idText(body.to));
  else if (body.kind === 'transfers') for (const { to } of body.outputs) accounts.push(idText(to));
}

/** The fee is off the balance already. */
function applyTransfer(
  draft: Draft,
  { sender, account }: VerifiedTransaction,
  body: BodyOf<'transfer'>,
): Result<LedgerEventBody, ErrorCode> {
  const { to, amount } = body;
  const receiver = idText(to);
  const opens = amount > 0n && draft.get('account', receiver) === undefined;
  const opened = openAccounts(draft, sender, opens ? [to] : [], amount);
  if (!opened.ok) return opened;
  draft.adjustAt(account, 0n - amount);
  draft.adjustAt(receiver, amount);
  return ok({ kind: 'transferred', from: sender, to, amount });
}

/** All or none: the sum is asked for before the first of them is paid. */
export function applyTransfers(
  draft: Draft,
  sender: Address,
  body: BodyOf<'transfers'>,
): Result<LedgerEventBody, ErrorCode> {
  const { outputs } = body;
  // Each fits 64 bits and they are few, but their sum may be more: it stays a plain integer until it is covered.
  const total = outputs.reduce((sum, { amount }) => sum + amount, 0n);
  const receivers = outputs.flatMap(({ to, amount }) => (amount === 0n ? [] : [to]));
  const opened = openAccounts(draft, sender, receivers, total);
  if (!opened.ok) return opened;
  draft.adjust(sender, 0n - total);
  for (const { to, amount } of outputs) draft.adjust(to, amount);
  return ok({ kind: 'distributed', from: sender, outputs });
}

export const ACCOUNT_RULES: Rules<'transfer' | 'transfers'> = {
  transfer: { apply: (draft, _, transaction, body) => applyTransfer(draft, transaction, body) },
  transfers: { apply: (draft, _, { sender }, body) => applyTransfers(draft, sender, body) },
};
