/** Value between accounts, and the makers among them (spec STATE-3, STATE-4). Checks come before the first write. */
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { holdDeposit, NO_DEPOSIT, openAccounts } from './record-deposit.ts';
import { idText } from './record-map.ts';
import { recordBytes, type Maker } from './records.ts';
import type { Rules } from './rules.ts';

/** The fee is off the balance already. */
export function applyTransfer(
  draft: Draft,
  sender: Address,
  body: BodyOf<'transfer'>,
): Result<LedgerEventBody, ErrorCode> {
  const { to, amount } = body;
  const opened = openAccounts(draft, sender, amount === 0n ? [] : [to], amount);
  if (!opened.ok) return opened;
  draft.debit(sender, amount);
  draft.credit(to, amount);
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
  draft.debit(sender, total);
  for (const { to, amount } of outputs) draft.credit(to, amount);
  return ok({ kind: 'distributed', from: sender, outputs });
}

export function makerFlaw(body: BodyOf<'register-maker'>): Flaw {
  if (body.name === '') return refused('maker.malformed', 'expected a name');
  return undefined;
}

export function applyRegisterMaker(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'register-maker'>,
): Result<LedgerEventBody, ErrorCode> {
  const id = idText(sender);
  if (draft.get('maker', id) !== undefined)
    return refused('maker.exists', 'the sender is registered already');
  const maker: Maker = { name: body.name, registeredAt: context.height, deposit: NO_DEPOSIT };
  const deposit = holdDeposit(draft, sender, recordBytes('maker', maker));
  if (!deposit.ok) return deposit;
  draft.set('maker', id, { ...maker, deposit: deposit.value });
  return ok({ kind: 'maker-registered', maker: sender, name: body.name });
}

export const ACCOUNT_RULES: Rules<'transfer' | 'transfers' | 'register-maker'> = {
  transfer: { apply: (draft, _, { sender }, body) => applyTransfer(draft, sender, body) },
  transfers: { apply: (draft, _, { sender }, body) => applyTransfers(draft, sender, body) },
  'register-maker': {
    flaw: (_, body) => makerFlaw(body),
    apply: (draft, context, { sender }, body) => applyRegisterMaker(draft, context, sender, body),
  },
};
