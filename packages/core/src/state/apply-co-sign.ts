/** Registering a co-signing key (spec QUANTUM-1). Checks come before the first write. */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Address } from '../ledger/address.ts';
import type { BodyOf } from '../ledger/body.ts';
import { coSignerOf, coSignKeySigningBytes, mlDsaKey } from '../ledger/co-signers.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { STATE_LIMITS } from './limits.ts';
import { exchangeDeposit, NO_DEPOSIT } from './record-deposit.ts';
import { idText } from './record-map.ts';
import { recordBytes } from './records.ts';
import type { Rules } from './rules.ts';

type CoSign = BodyOf<'co-sign'>;

/**
 * The key in force agrees to its successor: whoever can forge the account's signatures must not become its co-signer. An account
 * that lost the key bonds anew.
 */
function registrationFlaw(
  draft: Draft,
  context: Pick<BlockContext, 'chain' | 'height' | 'verify'>,
  account: Address,
  body: CoSign,
): Flaw {
  const id = idText(account);
  const validator = draft.get('validator', id);
  if (validator === undefined) return refused('validator.unknown', 'the sender has bonded nothing');
  if (validator.jailed) return refused('validator.jailed', 'expected the account not to have been punished');
  const before = draft.get('co-signing-key', id);
  const { former } = body;
  if ((before === undefined) !== (former === undefined))
    return refused(
      'co-sign.consent',
      before === undefined ? 'the account has no co-signing key yet' : 'expected the word of the key before',
    );
  if (before !== undefined && former !== undefined && !equalBytes(coSignerOf(former.key), before.key))
    return refused('co-sign.consent', 'the key that agrees is not the one that is registered');
  // Each change closes an epoch, and costs the chain a pause.
  const free = (before?.since ?? 0) + STATE_LIMITS.restartBlocks;
  if (before !== undefined && before.since > 0 && context.height < free)
    return refused(
      'co-sign.early',
      `it was registered at height ${before.since}, expected none below ${free}`,
    );
  const { chain, verify } = context;
  const key = coSignerOf(body.key);
  const signed = coSignKeySigningBytes({ chain, account, key, since: before?.since ?? 0 });
  if (!verify(mlDsaKey(body.key), signed, body.possession))
    return refused('co-sign.possession', 'expected the new key’s signature for this account');
  if (former !== undefined && !verify(mlDsaKey(former.key), signed, former.consent))
    return refused('co-sign.consent', 'expected the former key’s signature for the new one');
  return undefined;
}

function applyCoSign(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: CoSign,
): Result<LedgerEventBody, ErrorCode> {
  const flaw = registrationFlaw(draft, context, sender, body);
  if (flaw !== undefined) return flaw;
  const id = idText(sender);
  const record = { key: coSignerOf(body.key), since: context.height, deposit: NO_DEPOSIT };
  const held = draft.get('co-signing-key', id)?.deposit;
  const deposit = exchangeDeposit(draft, held, sender, recordBytes('co-signing-key', record));
  if (!deposit.ok) return deposit;
  draft.set('co-signing-key', id, { ...record, deposit: deposit.value });
  return ok({ kind: 'co-signing-key-registered', validator: sender, key: record.key });
}

export const CO_SIGN_RULES: Rules<'co-sign'> = {
  'co-sign': {
    signs: true,
    proved: (state, context, { sender }, body) => registrationFlaw(new Draft(state), context, sender, body),
    apply: (draft, context, { sender }, body) => applyCoSign(draft, context, sender, body),
  },
};
