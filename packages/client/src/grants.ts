/** Access for others: grants for a device or a group, delegations, and the groups themselves (spec STATE-17). */
import { compareBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { groupId, type Scope } from '@itc/core/ledger/bodies/access.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { Terms } from '@itc/core/ledger/terms.js';
import type { Client } from './client.ts';

export { groupId } from '@itc/core/ledger/bodies/access.js';

export function deviceScope(device: Address): Scope {
  return { kind: 'device', device };
}

/** A group is its owner's name for it. */
export function groupScope(owner: Address, name: string): Scope {
  return { kind: 'group', owner, group: groupId(owner, name) };
}

/** The whole list at once, in any order; an empty one keeps the group, `removeGroup` takes it away. */
export function setGroup(o: {
  readonly name: string;
  /** A room or another place. */
  readonly place?: boolean;
  readonly devices: readonly Address[];
}): Body {
  const devices = o.devices.toSorted(compareBytes);
  return { kind: 'set-group', name: o.name, group: { place: o.place ?? false, devices } };
}

export function removeGroup(name: string): Body {
  return { kind: 'set-group', name };
}

/** For every device that is in the sender's group, now and later, as long as it is. */
export function grantGroup(o: {
  readonly owner: Address;
  readonly name: string;
  readonly subject: Address;
  readonly terms: Terms;
}): Body {
  return { kind: 'grant-group', group: groupId(o.owner, o.name), subject: o.subject, ...o.terms };
}

/** A part of what the sender holds to somebody else; `via` is who delegated it to the sender, if the owner did not grant it. */
export function delegate(o: {
  readonly scope: Scope;
  readonly via?: Address;
  readonly subject: Address;
  readonly terms: Terms;
}): Body {
  return { kind: 'delegate', ...o };
}

/** What was granted for a group; with `granter`, what that one delegated. */
export function revokeAccess(o: {
  readonly scope: Scope;
  readonly subject: Address;
  readonly granter?: Address;
}): Body {
  return { kind: 'revoke-access', ...o };
}

/** What a node says of a grant or a delegation. */
export interface AccessAnswer {
  /** Absent: for the device alone. */
  readonly group?: { readonly id: string; readonly name: string };
  readonly subject: string;
  /** The owner, or who delegated. */
  readonly granter: string;
  /** Below whom a delegation hangs; absent for the owner's grants, and below those. */
  readonly via?: string;
  readonly delegated: boolean;
  /** Whether it counts now: by the present owner, nothing above it revoked, and within its time. */
  readonly counts: boolean;
  readonly actions: readonly string[];
  readonly levelMax: number;
  readonly notBefore: number;
  readonly expiresAt: number;
  readonly colour?: { readonly min: number; readonly max: number };
  readonly schedule?: {
    readonly utcOffset: number;
    readonly windows: readonly { readonly days: number; readonly from: number; readonly to: number }[];
  };
  readonly uses?: number;
  readonly delegable?: number;
}

export interface GroupAnswer {
  readonly id: string;
  readonly name: string;
  readonly place: boolean;
  readonly devices: readonly {
    readonly device: string;
    /** False once it was sold: it is in no longer. */
    readonly counts: boolean;
  }[];
}

/** All that is granted for a device, by itself or in a group, and what was delegated from it. */
export async function accessTo(client: Client, device: Address): Promise<readonly AccessAnswer[]> {
  const path = `/ledger/devices/${formatAddress(device)}/access`;
  return (await client.get<{ access: readonly AccessAnswer[] }>(path)).access;
}

export async function groupsOf(client: Client, owner: Address): Promise<readonly GroupAnswer[]> {
  const path = `/ledger/groups/${formatAddress(owner)}`;
  return (await client.get<{ groups: readonly GroupAnswer[] }>(path)).groups;
}

/** The id of a group as the API writes it. */
export function groupName(owner: Address, name: string): string {
  return toHex(groupId(owner, name) satisfies Hash);
}
