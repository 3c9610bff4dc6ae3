/** What the ledger remembers of grants, delegations and groups (spec STATE-6, STATE-17). The heads are what devices read. */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import { LIMITS } from '../ledger/limits.ts';
import { ACTIONS_ALL, readTerms, writeTerms, type Terms } from '../ledger/terms.ts';
import { readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** What stands in for the transaction that first made a record: a record made anew is another one, a replaced one is not. */
export type Serial = number;

const SERIAL_BYTES = 6;

/** The first bytes of its id, as an integer. */
export function serialOf(transaction: Hash): Serial {
  let serial = 0;
  for (let i = 0; i < SERIAL_BYTES; i += 1) serial = serial * 256 + (transaction[i] as number);
  return serial;
}

/** Device or group, and subject, are in the key. No record: no grant, provably. */
export interface GrantHead extends Terms {
  /** The owner who granted. A grant counts only while this is the owner. */
  readonly granter: Address;
  /** `transfers` of the device, or the serial of the group, at that time: it counts only while that is the same. */
  readonly basis: number;
  readonly serial: Serial;
  /** The rental whose grant it is: the owner cannot take it back, the renter not pass it on (STATE-22). */
  readonly rental: Hash | undefined;
}

export interface GrantRecord extends GrantHead {
  readonly deposit: RecordDeposit;
}

/** Device or group, subject, and who delegated are in the key. */
export interface DelegationHead extends Terms {
  /** Who delegated to the one who delegated here; absent when that one holds a grant of the owner. */
  readonly via: Address | undefined;
  /** Serial of the record it hangs below: it counts only while that is there. */
  readonly basis: Serial;
  readonly serial: Serial;
}

export interface DelegationRecord extends DelegationHead {
  readonly deposit: RecordDeposit;
}

/** The owner, and the hash of owner and name, are in the key. */
export interface GroupHead {
  readonly name: string;
  /** A room or another place. */
  readonly place: boolean;
  /** Ascending by device. */
  readonly devices: readonly GroupDevice[];
  readonly serial: Serial;
}

export interface GroupDevice {
  readonly device: Address;
  /** Of the device when it was put in: under its next owner it is in no longer. */
  readonly transfers: number;
}

export interface GroupRecord extends GroupHead {
  readonly deposit: RecordDeposit;
}

/** Whether a device is in the group as it is now. */
export function isInGroup(
  group: GroupHead,
  device: Address,
  { transfers }: { readonly transfers: number },
): boolean {
  return group.devices.some((entry) => entry.transfers === transfers && equalBytes(entry.device, device));
}

export function writeGrantRecord(writer: Writer, grant: GrantRecord): void {
  writeTerms(writer.fixed(grant.granter, HASH_BYTES), grant);
  writer
    .u53(grant.basis)
    .u53(grant.serial)
    .bool(grant.rental !== undefined);
  if (grant.rental !== undefined) writer.fixed(grant.rental, HASH_BYTES);
  writeDepositOf(writer, grant.deposit);
}

export function readGrantHead(reader: Reader): GrantHead {
  const granter = readAddress(reader);
  const terms = readKnownTerms(reader);
  const basis = reader.u53();
  const serial = reader.u53();
  return { granter, ...terms, basis, serial, rental: reader.bool() ? readHash(reader) : undefined };
}

export function readGrantRecord(reader: Reader): GrantRecord {
  return { ...readGrantHead(reader), deposit: readDepositOf(reader) };
}

function readKnownTerms(reader: Reader): Terms {
  const terms = readTerms(reader);
  if (terms.actions === 0 || (terms.actions & ~ACTIONS_ALL) !== 0)
    reader.refuse('decode.out-of-range', `expected known actions, got ${terms.actions}`);
  return terms;
}

export function writeDelegationRecord(writer: Writer, delegation: DelegationRecord): void {
  const { via, basis, serial } = delegation;
  writer.bool(via !== undefined);
  if (via !== undefined) writer.fixed(via, HASH_BYTES);
  writeTerms(writer, delegation);
  writer.u53(basis).u53(serial);
  writeDepositOf(writer, delegation.deposit);
}

export function readDelegationHead(reader: Reader): DelegationHead {
  const via = reader.bool() ? readAddress(reader) : undefined;
  return { via, ...readKnownTerms(reader), basis: reader.u53(), serial: reader.u53() };
}

export function readDelegationRecord(reader: Reader): DelegationRecord {
  return { ...readDelegationHead(reader), deposit: readDepositOf(reader) };
}

export function writeGroupRecord(writer: Writer, group: GroupRecord): void {
  writer
    .text(group.name)
    .bool(group.place)
    .list(group.devices, (w, { device, transfers }) => w.fixed(device, HASH_BYTES).u32(transfers))
    .u53(group.serial);
  writeDepositOf(writer, group.deposit);
}

export function readGroupHead(reader: Reader): GroupHead {
  const name = reader.text(LIMITS.textBytesMax);
  const place = reader.bool();
  const devices = reader.list(LIMITS.groupDevicesMax, (r) => ({
    device: readAddress(r),
    transfers: r.u32(),
  }));
  for (let i = 1; i < devices.length; i += 1) {
    if (compareBytes((devices[i - 1] as GroupDevice).device, (devices[i] as GroupDevice).device) >= 0)
      reader.refuse('decode.not-canonical', 'expected devices in ascending order, each once');
  }
  return { name, place, devices, serial: reader.u53() };
}

export function readGroupRecord(reader: Reader): GroupRecord {
  return { ...readGroupHead(reader), deposit: readDepositOf(reader) };
}
