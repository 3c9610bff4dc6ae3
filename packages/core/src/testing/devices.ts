/** Records of devices and grants for tests that need no ledger round them. */
import { ZERO_HASH } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { ACTIONS } from '../ledger/terms.ts';
import type { DelegationRecord, GrantRecord } from '../state/access-record.ts';
import { firstOwned, type Device } from '../state/device-record.ts';
import { NO_DEPOSIT } from '../state/record-deposit.ts';

/** Just claimed, of a batch and a model of zeros. */
export function ownedDevice(
  o: { readonly key: PublicKey; readonly owner: Address; readonly at: Millis } & Partial<Device>,
): Device {
  const { key, owner, at, ...changes } = o;
  const claimed = firstOwned({
    key,
    owner,
    batch: ZERO_HASH,
    model: ZERO_HASH,
    claimedAt: at,
    recoveryDelay: 0,
    deposit: NO_DEPOSIT,
  });
  return { ...claimed, ...changes };
}

/** On, off and levels up to 100, for ten seconds round a moment. */
export function grantBy(granter: Address, now: Millis, changes: Partial<GrantRecord> = {}): GrantRecord {
  return {
    granter,
    actions: ACTIONS.onOff | ACTIONS.level,
    levelMax: 100,
    notBefore: millis(now - 5000),
    expiresAt: millis(now + 5000),
    basis: 0,
    serial: 1,
    rental: undefined,
    deposit: NO_DEPOSIT,
    ...changes,
  };
}

/** The same below a grant or a delegation of this serial. */
export function delegationBelow(
  basis: number,
  now: Millis,
  changes: Partial<DelegationRecord> = {},
): DelegationRecord {
  return {
    via: undefined,
    actions: ACTIONS.onOff | ACTIONS.level,
    levelMax: 100,
    notBefore: millis(now - 5000),
    expiresAt: millis(now + 5000),
    basis,
    serial: basis + 1,
    deposit: NO_DEPOSIT,
    ...changes,
  };
}
