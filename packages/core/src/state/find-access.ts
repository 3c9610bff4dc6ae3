/** Looks for a way by which a subject may command a device: what a prover does before it proves (spec STATE-17, LIGHT-12). */
import { equalBytes } from '../bytes/hex.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import type { Scope } from '../ledger/bodies/access.ts';
import { scopeId } from '../ledger/bodies/access.ts';
import type { Millis } from '../ledger/ids.ts';
import type { Terms } from '../ledger/terms.ts';
import { chainOf, termsIn, type AccessChain, type RecordReader } from './access-chain.ts';
import { isInGroup } from './access-record.ts';
import { STATE_LIMITS } from './limits.ts';
import { idBytes, idText } from './record-map.ts';
import type { RecordKind } from './keys.ts';
import type { RecordTypes } from './records.ts';

export interface WalkedRecords extends RecordReader {
  walk<K extends RecordKind>(
    kind: K,
    prefix: string,
  ): Iterable<readonly [id: string, record: RecordTypes[K]]>;
}

export interface FoundAccess extends AccessChain {
  /** Absent: it is for this device. */
  readonly group?: Hash;
}

/** All that count now for the device, whatever their terms: a bounded number, the owner's own grants first. */
export function* accessOf(records: WalkedRecords, device: Address, subject: Address): Generator<FoundAccess> {
  const record = records.record('device', idText(device));
  if (record === undefined) return;
  yield* chainsIn(records, { kind: 'device', device }, subject);
  const { owner } = record;
  let looked = 0;
  for (const [id, group] of records.walk('group', idText(owner))) {
    looked += 1;
    if (looked > STATE_LIMITS.groupsMax) return;
    if (!isInGroup(group, device, record)) continue;
    const name = asHash(idBytes(id).slice(32));
    for (const chain of chainsIn(records, { kind: 'group', owner, group: name }, subject))
      yield { ...chain, group: name };
  }
}

/** The first one whose links all satisfy the question; else the first one at all, so that a refusal can say why. */
export function findAccess(
  records: WalkedRecords,
  o: {
    readonly device: Address;
    readonly subject: Address;
    /** Whether terms allow what is wanted. */
    readonly allows: (terms: Terms) => boolean;
  },
): FoundAccess | undefined {
  let first: FoundAccess | undefined;
  for (const found of accessOf(records, o.device, o.subject)) {
    if ([...termsIn(found)].every(o.allows)) return found;
    first ??= found;
  }
  return first;
}

/** In force at a moment, whatever for. */
export function inForce(terms: Terms, at: Millis): boolean {
  return at >= terms.notBefore && at < terms.expiresAt;
}

/** As a prover names it. */
export function pathOf({ group, delegations }: FoundAccess): {
  readonly group?: Hash;
  readonly granters: readonly Address[];
} {
  return { ...(group && { group }), granters: delegations.map(({ granter }) => granter) };
}

function* chainsIn(records: WalkedRecords, scope: Scope, subject: Address): Generator<AccessChain> {
  const direct = chainOf(records, scope, { by: subject, via: undefined });
  if (direct !== undefined) yield direct;
  let looked = 0;
  for (const [id] of records.walk('delegation', idText(scopeId(scope)) + idText(subject))) {
    looked += 1;
    if (looked > STATE_LIMITS.delegationsToMax) return;
    const via = asAddress(idBytes(id).slice(64));
    if (equalBytes(via, subject)) continue;
    const chain = chainOf(records, scope, { by: subject, via });
    if (chain !== undefined) yield chain;
  }
}
