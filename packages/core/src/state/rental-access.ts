/**
 * A renter's access is a grant like any other, so that the device checks one kind of proof. It names its rental: as long as it does,
 * the owner neither takes it back nor narrows it, and the renter passes it on to nobody (spec STATE-22).
 */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { rentalLength } from '../ledger/rental.ts';
import { serialOf, type GrantRecord } from './access-record.ts';
import type { Draft } from './draft.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { NO_DEPOSIT } from './record-deposit.ts';
import { idText } from './record-map.ts';
import type { Rental } from './rental-record.ts';

/** The grant of a rental that has not started: the device itself decides when it does. */
export function rentalGrant(
  rental: Rental,
  o: {
    /** Of the device now. */
    readonly transfers: number;
    /** That rents it. */
    readonly transaction: Hash;
  },
): GrantRecord {
  const { id, owner, terms, maximum, rentedAt } = rental;
  const latest = rentedAt + terms.startWithin + rentalLength(terms, maximum);
  return {
    granter: owner,
    actions: terms.actions,
    levelMax: terms.levelMax,
    notBefore: rentedAt,
    expiresAt: millis(latest),
    basis: o.transfers,
    serial: serialOf(o.transaction),
    rental: id,
    deposit: NO_DEPOSIT,
  };
}

/** Whoever may command the device anyway keeps that, and has no need to rent it. */
export function accessFlaw(draft: Draft, device: Address, renter: Address): Result<void, ErrorCode> {
  if (draft.get('grant', grantId(device, renter)) === undefined) return ok(undefined);
  return refused('rental.granted', 'the renter holds a grant for this device');
}

export function giveAccess(draft: Draft, device: Address, renter: Address, grant: GrantRecord): void {
  setExpiring(draft, 'grant', grantId(device, renter), grant);
}

/** To when the rental ends at the latest, now that it has started. */
export function narrowAccess(draft: Draft, device: Address, rental: Rental, end: Millis): void {
  const id = grantId(device, rental.renter);
  const grant = ownGrant(draft, id, rental);
  if (grant !== undefined) setExpiring(draft, 'grant', id, { ...grant, expiresAt: end });
}

/** Nothing where its time has run out already. */
export function takeAccess(draft: Draft, device: Address, rental: Rental): void {
  const id = grantId(device, rental.renter);
  const grant = ownGrant(draft, id, rental);
  if (grant !== undefined) dropExpiring(draft, 'grant', id, grant);
}

/** Another one may have come after it. */
function ownGrant(draft: Draft, id: string, rental: Rental): GrantRecord | undefined {
  const grant = draft.get('grant', id);
  return grant?.rental !== undefined && equalBytes(grant.rental, rental.id) ? grant : undefined;
}

function grantId(device: Address, subject: Address): string {
  return idText(device) + idText(subject);
}
