/** Value between accounts, and the makers among them (spec STATE-3, STATE-4). Checks come before the first write. */
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { Body } from '../ledger/transaction.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { idText } from './record-map.ts';

type BodyOf<K extends Body['kind']> = Extract<Body, { kind: K }>;

/** The fee is off the balance already. */
export function applyTransfer(
  draft: Draft,
  sender: Address,
  body: BodyOf<'transfer'>,
): Result<LedgerEventBody, ErrorCode> {
  const { to, amount } = body;
  const { balance } = draft.account(sender);
  if (balance < amount)
    return refused(
      'transaction.balance',
      `expected at least ${amount} after the fee, the balance is ${balance}`,
    );
  draft.debit(sender, amount);
  draft.credit(to, amount);
  return ok({ kind: 'transferred', from: sender, to, amount });
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
  draft.set('maker', id, { name: body.name, registeredAt: context.height });
  return ok({ kind: 'maker-registered', maker: sender, name: body.name });
}
