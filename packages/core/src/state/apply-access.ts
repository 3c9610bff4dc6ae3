/** Groups of devices, and access passed on by those who were given it (spec STATE-17). Checks come before the first write. */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { asHash } from '../crypto/hash.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import { groupId, scopeId, type AccessBody, type GroupForm, type Scope } from '../ledger/bodies/access.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { termsFlaw, termsOf, widened } from '../ledger/terms.ts';
import { chainOf, rootOf, type RecordReader } from './access-chain.ts';
import { serialOf, type GroupDevice } from './access-record.ts';
import { ownDevice } from './apply-device-life.ts';
import { revokeGroupGrant } from './apply-grant.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Expiry } from './collect-expired.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { STATE_LIMITS } from './limits.ts';
import { exchangeDeposit, NO_DEPOSIT, releaseDeposit } from './record-deposit.ts';
import { idBytes, idText } from './record-map.ts';
import { recordBytes, type DelegationRecord, type GroupRecord } from './records.ts';
import type { Rules } from './rules.ts';
import type { VerifiedTransaction } from './verified-transaction.ts';

type Outcome = Result<LedgerEventBody, ErrorCode>;

const inDraft = (draft: Draft): RecordReader => ({ record: (kind, id) => draft.get(kind, id) });

export function groupFlaw({ name }: BodyOf<'set-group'>): Flaw {
  return name === '' ? refused('group.malformed', 'expected a name') : undefined;
}

/** The whole list at once: what a room holds is small, and nobody has to know what it held before. */
function applySetGroup(
  draft: Draft,
  { sender, id }: VerifiedTransaction,
  body: BodyOf<'set-group'>,
): Outcome {
  const { name } = body;
  const group = groupId(sender, name);
  const place = idText(sender) + idText(group);
  const before = draft.get('group', place);
  if (body.group === undefined) {
    if (before === undefined) return refused('group.unknown', 'the sender has no such group');
    releaseDeposit(draft, before.deposit);
    draft.set('group', place, undefined);
    return ok({ kind: 'group-removed', group, owner: sender, name });
  }
  const devices = groupDevices(draft, sender, body.group);
  if (!devices.ok) return devices;
  if (before === undefined && countGroups(draft, sender) >= STATE_LIMITS.groupsMax)
    return refused('group.full', `an owner has at most ${STATE_LIMITS.groupsMax} groups`);
  const record: GroupRecord = {
    name,
    place: body.group.place,
    devices: devices.value,
    serial: before?.serial ?? serialOf(id),
    deposit: NO_DEPOSIT,
  };
  const deposit = exchangeDeposit(draft, before?.deposit, sender, recordBytes('group', record));
  if (!deposit.ok) return deposit;
  draft.set('group', place, { ...record, deposit: deposit.value });
  return ok({ kind: 'group-set', group, owner: sender, name, ...body.group });
}

/** Each as it is owned now: under its next owner it is in no longer. */
function groupDevices(
  draft: Draft,
  sender: Address,
  form: GroupForm,
): Result<readonly GroupDevice[], ErrorCode> {
  const devices: GroupDevice[] = [];
  for (const device of form.devices) {
    const own = ownDevice(draft, sender, device, true);
    if (!own.ok) return own;
    devices.push({ device, transfers: own.value.transfers });
  }
  return ok(devices);
}

function countGroups(draft: Draft, owner: Address): number {
  let count = 0;
  for (const _ of draft.walk('group', idText(owner))) count += 1;
  return count;
}

export function delegationFlaw(sender: Address, { subject, terms }: BodyOf<'delegate'>): Flaw {
  if (equalBytes(subject, sender)) return refused('grant.malformed', 'nobody delegates to themselves');
  const flaw = termsFlaw(terms);
  return flaw === undefined ? undefined : refused('grant.malformed', flaw);
}

/** Below what the sender holds, and never wider. Replacing one leaves what hangs below it. */
function applyDelegate(
  draft: Draft,
  { time }: Pick<BlockContext, 'time'>,
  { sender, id: transaction }: VerifiedTransaction,
  body: BodyOf<'delegate'>,
): Outcome {
  const { scope, via, subject } = body;
  const terms = termsOf(body.terms);
  const root = rootOf(inDraft(draft), scope);
  if (root === undefined) return unknownScope(scope);
  if (equalBytes(root.owner, subject)) return refused('grant.malformed', 'the owner needs no grant');
  const chain = chainOf(inDraft(draft), scope, { by: sender, via });
  if (chain === undefined) return refused('grant.unknown', 'the sender holds no grant to delegate from');
  if (chain.grant.rental !== undefined)
    return refused('grant.rented', 'what is rented is passed on to nobody');
  if (terms.expiresAt <= time) return refused('grant.malformed', 'expected a grant that expires later');
  const above = chain.delegations.at(-1)?.record ?? chain.grant;
  const wider = widened(terms, above);
  if (wider !== undefined) return refused('grant.wider', `the sender may not give away as much: ${wider}`);
  const place = idText(scopeId(scope)) + idText(subject);
  const id = place + idText(sender);
  const before = draft.get('delegation', id);
  if (before === undefined && countDelegations(draft, place) >= STATE_LIMITS.delegationsToMax)
    return refused('grant.full', `at most ${STATE_LIMITS.delegationsToMax} delegate this to one subject`);
  const isSame = before?.basis === above.serial;
  const record: DelegationRecord = {
    via,
    ...terms,
    basis: above.serial,
    serial: isSame ? before.serial : serialOf(transaction),
    deposit: NO_DEPOSIT,
  };
  const deposit = exchangeDeposit(draft, before?.deposit, sender, recordBytes('delegation', record));
  if (!deposit.ok) return deposit;
  setExpiring(draft, 'delegation', id, { ...record, deposit: deposit.value });
  return ok({ kind: 'delegated', ...whereIs(scope), from: sender, subject, terms });
}

function unknownScope(scope: Scope): Outcome {
  return scope.kind === 'device'
    ? refused('device.unknown', 'nobody has claimed this device')
    : refused('group.unknown', 'this owner has no such group');
}

function whereIs(scope: Scope): { readonly device: Address } | { readonly group: ReturnType<typeof asHash> } {
  return scope.kind === 'device' ? { device: scope.device } : { group: scope.group };
}

function countDelegations(draft: Draft, place: string): number {
  let count = 0;
  for (const _ of draft.walk('delegation', place)) count += 1;
  return count;
}

/** By who gave it, or by the owner of what it is for. What hangs below it counts no more. */
function applyRevokeAccess(draft: Draft, sender: Address, body: BodyOf<'revoke-access'>): Outcome {
  const { scope, subject, granter } = body;
  // Asked of the records: a body may say of any id that it is a group of the sender.
  const owner = rootOf(inDraft(draft), scope)?.owner;
  const isOwner = owner !== undefined && equalBytes(owner, sender);
  if (granter === undefined) {
    if (scope.kind === 'device')
      return refused('grant.malformed', 'what an owner granted for a device is taken back by revoke');
    return isGroupOwner(draft, scope, sender, subject)
      ? revokeGroupGrant(draft, sender, scope.group, subject)
      : refused('device.not-owner', 'only the owner of the group takes this back');
  }
  if (!isOwner && !equalBytes(granter, sender))
    return refused('device.not-owner', 'expected the owner, or the one who delegated');
  const id = idText(scopeId(scope)) + idText(subject) + idText(granter);
  const held = draft.get('delegation', id);
  if (held === undefined) return refused('grant.unknown', 'the subject holds no such delegation');
  dropExpiring(draft, 'delegation', id, held);
  return ok({ kind: 'delegation-revoked', ...whereIs(scope), from: granter, subject });
}

/** The group itself may be gone; who granted is in the record. */
function isGroupOwner(
  draft: Draft,
  scope: Extract<Scope, { kind: 'group' }>,
  sender: Address,
  subject: Address,
): boolean {
  if (!equalBytes(scope.owner, sender) || draft.get('device', idText(scope.group)) !== undefined)
    return false;
  const grant = draft.get('grant', idText(scope.group) + idText(subject));
  return grant === undefined || equalBytes(grant.granter, sender);
}

export const ACCESS_EXPIRY: Expiry<'delegation'> = {
  delegation: (draft, _, id, record) => {
    dropExpiring(draft, 'delegation', id, record);
    const bytes = idBytes(id);
    const scope = bytes.slice(0, 32);
    const isDevice = draft.get('device', idText(scope)) !== undefined;
    return {
      kind: 'delegation-expired',
      ...(isDevice ? { device: asAddress(scope) } : { group: asHash(scope) }),
      from: asAddress(bytes.slice(64)),
      subject: asAddress(bytes.slice(32, 64)),
    };
  },
};

type AccessKind = Exclude<AccessBody['kind'], 'grant' | 'revoke' | 'grant-group'>;

export const ACCESS_RULES: Rules<AccessKind> = {
  'set-group': {
    flaw: (_, body) => groupFlaw(body),
    apply: (draft, _, transaction, body) => applySetGroup(draft, transaction, body),
  },
  delegate: {
    flaw: delegationFlaw,
    apply: (draft, context, transaction, body) => applyDelegate(draft, context, transaction, body),
  },
  'revoke-access': {
    apply: (draft, _, { sender }, body) => applyRevokeAccess(draft, sender, body),
  },
};
