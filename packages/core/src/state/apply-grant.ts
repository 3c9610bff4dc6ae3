/** Who may do what with a device or a group: its owner says so, and takes it back (spec STATE-6, STATE-17). */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { Grant } from '../ledger/bodies/access.ts';
import type { BodyOf } from '../ledger/body.ts';
import { termsFlaw, termsOf, type Terms } from '../ledger/terms.ts';
import { serialOf } from './access-record.ts';
import { modelFlaw, ownDevice } from './apply-device-life.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Expiry } from './collect-expired.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { exchangeDeposit, NO_DEPOSIT } from './record-deposit.ts';
import { idBytes, idText } from './record-map.ts';
import { recordBytes, type GrantRecord } from './records.ts';
import type { Rules } from './rules.ts';

type Outcome = Result<LedgerEventBody, ErrorCode>;

/** What no owner could grant. */
export function grantFlaw(sender: Address, grant: Terms & { readonly subject: Address }): Flaw {
  if (equalBytes(grant.subject, sender)) return refused('grant.malformed', 'the owner needs no grant');
  const flaw = termsFlaw(grant);
  return flaw === undefined ? undefined : refused('grant.malformed', flaw);
}

interface Granting {
  readonly granter: Address;
  readonly scope: Uint8Array;
  readonly subject: Address;
  readonly terms: Terms;
  /** What it hangs on, see `GrantRecord`. */
  readonly basis: number;
  /** Of the transaction. */
  readonly id: Hash;
}

/** Replaces what the subject had from this owner: a narrower grant narrows, and what was delegated from it goes on hanging below it. */
function putGrant(draft: Draft, { time }: Pick<BlockContext, 'time'>, o: Granting): Result<Terms, ErrorCode> {
  const { granter, scope, subject, basis } = o;
  const terms = termsOf(o.terms);
  if (terms.expiresAt <= time) return refused('grant.malformed', 'expected a grant that expires later');
  const id = idText(scope) + idText(subject);
  const before = draft.get('grant', id);
  if (before?.rental !== undefined) return rented();
  const isSame = before !== undefined && equalBytes(before.granter, granter) && before.basis === basis;
  const record: GrantRecord = {
    granter,
    ...terms,
    basis,
    serial: isSame ? before.serial : serialOf(o.id),
    rental: undefined,
    deposit: NO_DEPOSIT,
  };
  const deposit = exchangeDeposit(draft, before?.deposit, granter, recordBytes('grant', record));
  if (!deposit.ok) return deposit;
  setExpiring(draft, 'grant', id, { ...record, deposit: deposit.value });
  return ok(terms);
}

/** The record goes, so that its absence can be proved. */
function dropGrant(draft: Draft, scope: Uint8Array, subject: Address): Result<GrantRecord, ErrorCode> {
  const id = idText(scope) + idText(subject);
  const held = draft.get('grant', id);
  if (held === undefined) return refused('grant.unknown', 'the subject holds no such grant');
  if (held.rental !== undefined) return rented();
  dropExpiring(draft, 'grant', id, held);
  return ok(held);
}

/** Paid for: not the owner's to take back, narrow or widen. */
function rented(): Result<never, ErrorCode> {
  return refused('grant.rented', 'the subject rents the device; the grant ends with the rental');
}

function applyGrant(
  draft: Draft,
  context: Pick<BlockContext, 'time'>,
  { sender, id }: { readonly sender: Address; readonly id: Hash },
  grant: Grant,
): Outcome {
  const { device, subject } = grant;
  // While a device is stolen grants may be made ready; no device obeys them.
  const own = ownDevice(draft, sender, device, true);
  if (!own.ok) return own;
  const beyond = modelFlaw(draft, own.value, grant);
  if (beyond !== undefined) return beyond;
  const basis = own.value.transfers;
  const put = putGrant(draft, context, { granter: sender, scope: device, subject, terms: grant, basis, id });
  if (!put.ok) return put;
  return ok({ kind: 'granted', device, owner: sender, subject, ...put.value });
}

function applyRevoke(draft: Draft, sender: Address, device: Address, subject: Address): Outcome {
  const record = draft.get('device', idText(device));
  if (record === undefined) return refused('device.unknown', 'nobody has claimed this device');
  const held = draft.get('grant', idText(device) + idText(subject));
  // An earlier owner may still tidy up, and has the deposit back.
  const isGranter = held !== undefined && equalBytes(held.granter, sender);
  if (!equalBytes(record.owner, sender) && !isGranter)
    return refused('device.not-owner', 'only the owner grants and revokes');
  const dropped = dropGrant(draft, device, subject);
  return dropped.ok ? ok({ kind: 'revoked', device, owner: sender, subject }) : dropped;
}

function applyGrantGroup(
  draft: Draft,
  context: Pick<BlockContext, 'time'>,
  { sender, id }: { readonly sender: Address; readonly id: Hash },
  body: BodyOf<'grant-group'>,
): Outcome {
  const { group, subject } = body;
  const own = draft.get('group', idText(sender) + idText(group));
  if (own === undefined) return refused('group.unknown', 'the sender has no such group');
  const basis = own.serial;
  const put = putGrant(draft, context, { granter: sender, scope: group, subject, terms: body, basis, id });
  if (!put.ok) return put;
  return ok({ kind: 'group-granted', group, owner: sender, subject, ...put.value });
}

/** Of a group of the sender, whether or not the group is still there. */
export function revokeGroupGrant(draft: Draft, sender: Address, group: Hash, subject: Address): Outcome {
  const dropped = dropGrant(draft, group, subject);
  return dropped.ok ? ok({ kind: 'group-revoked', group, owner: sender, subject }) : dropped;
}

export const GRANT_EXPIRY: Expiry<'grant'> = {
  grant: (draft, _, id, record) => {
    dropExpiring(draft, 'grant', id, record);
    const bytes = idBytes(id);
    const who = { owner: record.granter, subject: asAddress(bytes.slice(32)) };
    const scope = bytes.slice(0, 32);
    return draft.get('device', idText(scope)) === undefined
      ? { kind: 'group-grant-expired', group: asHash(scope), ...who }
      : { kind: 'grant-expired', device: asAddress(scope), ...who };
  },
};

export const GRANT_RULES: Rules<'grant' | 'revoke' | 'grant-group'> = {
  grant: {
    flaw: (sender, { grant }) => grantFlaw(sender, grant),
    apply: (draft, context, transaction, { grant }) => applyGrant(draft, context, transaction, grant),
  },
  revoke: {
    apply: (draft, _, { sender }, { device, subject }) => applyRevoke(draft, sender, device, subject),
  },
  'grant-group': {
    flaw: grantFlaw,
    apply: (draft, context, transaction, body) => applyGrantGroup(draft, context, transaction, body),
  },
};
