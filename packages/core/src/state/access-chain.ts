/**
 * From what a subject holds up to the owner's grant (spec STATE-17): every link must be there and be the one the link below was
 * made under. The ledger walks it to delegate, provers walk it to show it, devices walk it to believe it.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Address } from '../ledger/address.ts';
import type { Scope } from '../ledger/bodies/access.ts';
import { scopeId } from '../ledger/bodies/access.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Terms } from '../ledger/terms.ts';
import { isInGroup, type DelegationHead, type GrantHead, type GroupHead } from './access-record.ts';
import type { DeviceHead } from './device-record.ts';
import { idText } from './record-map.ts';
import type { RecordKind } from './keys.ts';
import type { RecordTypes } from './records.ts';

/** A state, or a block in the making. */
export interface RecordReader {
  record<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined;
}

/** What the owner of a scope is, and what its grants hang on now. */
export interface ScopeRoot {
  readonly owner: Address;
  readonly basis: number;
}

/** From the owner's grant down. */
export interface AccessChain {
  readonly grant: GrantHead;
  readonly delegations: readonly DelegationLink[];
}

export interface DelegationLink {
  readonly granter: Address;
  readonly record: DelegationHead;
}

/**
 * Whether links belong together: an owner's grant that counts now, then delegations that each hang on the record above them, by
 * the one it was given to, with ever fewer to follow.
 */
export function isChain(root: ScopeRoot, { grant, delegations }: AccessChain): boolean {
  if (!equalBytes(grant.granter, root.owner) || grant.basis !== root.basis) return false;
  if (delegations.length > 0 && grant.rental !== undefined) return false;
  let above: GrantHead | DelegationHead = grant;
  let granter: Address | undefined;
  for (const link of delegations) {
    const { record } = link;
    if (record.basis !== above.serial || (above.delegable ?? 0) <= (record.delegable ?? 0)) return false;
    const { via } = record;
    if ((via === undefined) !== (granter === undefined)) return false;
    if (via !== undefined && granter !== undefined && !equalBytes(via, granter)) return false;
    above = record;
    ({ granter } = link);
  }
  return true;
}

/** Terms of all links: what the subject may do is what every one of them allows. */
export function* termsIn({
  grant,
  delegations,
}: AccessChain): Generator<Terms & { readonly serial: number }> {
  yield grant;
  for (const { record } of delegations) yield record;
}

/** A device that is in the group under its present owner, who is the group's. */
export function rootOfGroup(
  group: GroupHead,
  device: Pick<DeviceHead, 'owner' | 'transfers'>,
  address: Address,
): ScopeRoot | undefined {
  return isInGroup(group, address, device) ? { owner: device.owner, basis: group.serial } : undefined;
}

/** Undefined when there is no such device or group; frozen ones have a root, too. */
export function rootOf(records: RecordReader, scope: Scope): ScopeRoot | undefined {
  switch (scope.kind) {
    case 'device': {
      const device = records.record('device', idText(scope.device));
      return device && { owner: device.owner, basis: device.transfers };
    }
    case 'group': {
      const group = records.record('group', idText(scope.owner) + idText(scope.group));
      return group && { owner: scope.owner, basis: group.serial };
    }
  }
}

/** The links above what a holder has from the owner, or from `via`; undefined when one is missing or they do not belong together. */
export function chainOf(
  records: RecordReader,
  scope: Scope,
  held: { readonly by: Address; readonly via: Address | undefined },
): AccessChain | undefined {
  const root = rootOf(records, scope);
  if (root === undefined) return undefined;
  const place = idText(scopeId(scope));
  const delegations: DelegationLink[] = [];
  let { by, via } = held;
  while (via !== undefined) {
    const record = records.record('delegation', place + idText(by) + idText(via));
    if (record === undefined || delegations.length >= LIMITS.delegationsMax) return undefined;
    delegations.unshift({ granter: via, record });
    by = via;
    ({ via } = record);
  }
  const grant = records.record('grant', place + idText(by));
  if (grant === undefined) return undefined;
  const chain = { grant, delegations };
  return isChain(root, chain) ? chain : undefined;
}
