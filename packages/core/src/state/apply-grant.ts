/** Who may do what with a device: its owner says so, and takes it back (spec STATE-6). */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { ACTIONS_ALL, type Grant } from '../ledger/bodies/access.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Expiry } from './collect-expired.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { exchangeDeposit, NO_DEPOSIT } from './record-deposit.ts';
import { idBytes, idText } from './record-map.ts';
import { recordBytes } from './records.ts';
import type { Rules } from './rules.ts';

const LEVEL_MAX = 254;

export function grantFlaw(sender: Address, grant: Grant): Flaw {
  const { actions, levelMax, notBefore, expiresAt } = grant;
  if (equalBytes(grant.subject, sender)) return refused('grant.malformed', 'the owner needs no grant');
  if (actions === 0 || (actions & ~ACTIONS_ALL) !== 0) {
    return refused(
      'grant.malformed',
      `expected at least one of the known actions and no other, got ${actions}`,
    );
  }
  if (levelMax > LEVEL_MAX)
    return refused('grant.malformed', `expected a level up to ${LEVEL_MAX}, got ${levelMax}`);
  if (notBefore >= expiresAt)
    return refused('grant.malformed', 'expected the grant to begin before it expires');
  return undefined;
}

/** Replaces what the subject had: a narrower grant narrows. */
export function applyGrant(
  draft: Draft,
  context: Pick<BlockContext, 'time'>,
  sender: Address,
  grant: Grant,
): Result<LedgerEventBody, ErrorCode> {
  const refusal = ownerFlaw(draft, sender, grant.device);
  if (refusal !== undefined) return refusal;
  const { device, subject, actions, levelMax, notBefore, expiresAt } = grant;
  if (expiresAt <= context.time) return refused('grant.malformed', 'expected a grant that expires later');
  const id = grantId(device, subject);
  const terms = { granter: sender, actions, levelMax, notBefore, expiresAt };
  const bytes = recordBytes('grant', { ...terms, deposit: NO_DEPOSIT });
  const deposit = exchangeDeposit(draft, draft.get('grant', id)?.deposit, sender, bytes);
  if (!deposit.ok) return deposit;
  setExpiring(draft, 'grant', id, { ...terms, deposit: deposit.value });
  return ok({ kind: 'granted', device, owner: sender, subject, actions, levelMax, notBefore, expiresAt });
}

/** The record goes, so that its absence can be proved. */
export function applyRevoke(
  draft: Draft,
  sender: Address,
  device: Address,
  subject: Address,
): Result<LedgerEventBody, ErrorCode> {
  const refusal = ownerFlaw(draft, sender, device);
  if (refusal !== undefined) return refusal;
  const id = grantId(device, subject);
  const held = draft.get('grant', id);
  if (held === undefined) return refused('grant.unknown', 'the subject holds no grant for this device');
  dropExpiring(draft, 'grant', id, held);
  return ok({ kind: 'revoked', device, owner: sender, subject });
}

function ownerFlaw(draft: Draft, sender: Address, address: Address): Flaw {
  const device = draft.get('device', idText(address));
  if (device === undefined) return refused('device.unknown', 'nobody has claimed this device');
  if (!equalBytes(device.owner, sender))
    return refused('device.not-owner', 'only the owner grants and revokes');
  return undefined;
}

function grantId(device: Address, subject: Address): string {
  return idText(device) + idText(subject);
}

export const GRANT_EXPIRY: Expiry<'grant'> = {
  grant: (draft, _, id, record) => {
    dropExpiring(draft, 'grant', id, record);
    const bytes = idBytes(id);
    return {
      kind: 'grant-expired',
      device: asAddress(bytes.slice(0, 32)),
      owner: record.granter,
      subject: asAddress(bytes.slice(32)),
    };
  },
};

export const GRANT_RULES: Rules<'grant' | 'revoke'> = {
  grant: {
    flaw: (sender, { grant }) => grantFlaw(sender, grant),
    apply: (draft, context, { sender }, { grant }) => applyGrant(draft, context, sender, grant),
  },
  revoke: {
    apply: (draft, _, { sender }, { device, subject }) => applyRevoke(draft, sender, device, subject),
  },
};
