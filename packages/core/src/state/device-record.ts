/** What the ledger remembers of a device, of its model, and of what is under way with it (spec STATE-5, STATE-16). */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { readPublicKey, writePublicKey, type PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import {
  ownershipLink,
  type Model as ModelForm,
  type Offer,
  type OwnershipChange,
} from '../ledger/bodies/device-life.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import { amount, height, millis, type Height, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readColour, writeColour } from '../ledger/terms.ts';
import { readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** Made, nobody's: no record. Being transferred: a record of the offer beside it. */
export const DEVICE_STATES = ['owned', 'stolen', 'retired'] as const;
export type DeviceState = (typeof DEVICE_STATES)[number];

/** What a device needs of its own record to judge a command. Decoding it makes no BigInt. */
export interface DeviceHead {
  /** Its address is the device's address. */
  readonly key: PublicKey;
  readonly owner: Address;
  readonly batch: Hash;
  readonly model: Hash;
  /** Time of the block that claimed it. */
  readonly claimedAt: Millis;
  readonly state: DeviceState;
  /** How many owners came after the first one: grants of earlier ones count no more. */
  readonly transfers: number;
  /** Time of the block that made the owner the owner. */
  readonly ownedSince: Millis;
  /** Last link of the history of owners, see `ownershipLink`. */
  readonly history: Hash;
  /** Milliseconds a recovery waits for the owner's veto; 0: none is possible. */
  readonly recoveryDelay: number;
}

export interface Device extends DeviceHead {
  readonly deposit: RecordDeposit;
}

/** Maker and hash of the Thing Model are in the key. */
export interface Model extends Omit<ModelForm, 'hash'> {
  readonly registeredAt: Height;
  readonly deposit: RecordDeposit;
}

/** The device is in the key. At most one; it goes with the next owner. */
export interface Sale extends Offer {
  readonly deposit: RecordDeposit;
}

/** The device is in the key. At most one; it goes with the next owner and with the owner's veto. */
export interface DeviceRecovery {
  readonly claimant: Address;
  /** Time of the first block that may finish it. */
  readonly readyAt: Millis;
  /** Time of the first block that may not. */
  readonly expiresAt: Millis;
  readonly deposit: RecordDeposit;
}

/** The same device under another owner: free of theft, with a recovery delay that is not the choice of the one before. */
export function ownedBy<D extends DeviceHead>(
  device: D,
  o: { readonly owner: Address; readonly how: OwnershipChange; readonly at: Millis; readonly delay: number },
): D {
  const { owner, how, at, delay } = o;
  const transfers = device.transfers + 1;
  const history = ownershipLink(device.history, { transfers, how, owner, at });
  return { ...device, owner, state: 'owned', transfers, ownedSince: at, history, recoveryDelay: delay };
}

/** What a claim makes of a device that had no owner. */
export function firstOwned(
  device: Pick<Device, 'key' | 'owner' | 'batch' | 'model' | 'claimedAt' | 'deposit' | 'recoveryDelay'>,
): Device {
  const { owner, claimedAt: at } = device;
  const history = ownershipLink(ZERO_HASH, { transfers: 0, how: 'claimed', owner, at });
  return { ...device, state: 'owned', transfers: 0, ownedSince: at, history };
}

export function writeDevice(writer: Writer, device: Device): void {
  writePublicKey(writer, device.key);
  writer
    .fixed(device.owner, HASH_BYTES)
    .fixed(device.batch, HASH_BYTES)
    .fixed(device.model, HASH_BYTES)
    .u53(device.claimedAt)
    .u8(DEVICE_STATES.indexOf(device.state))
    .u32(device.transfers)
    .u53(device.ownedSince)
    .fixed(device.history, HASH_BYTES)
    .u53(device.recoveryDelay);
  writeDepositOf(writer, device.deposit);
}

export function readDeviceHead(reader: Reader): DeviceHead {
  return {
    key: readPublicKey(reader),
    owner: readAddress(reader),
    batch: readHash(reader),
    model: readHash(reader),
    claimedAt: millis(reader.u53()),
    state: readState(reader),
    transfers: reader.u32(),
    ownedSince: millis(reader.u53()),
    history: readHash(reader),
    recoveryDelay: reader.u53(),
  };
}

export function readDevice(reader: Reader): Device {
  return { ...readDeviceHead(reader), deposit: readDepositOf(reader) };
}

function readState(reader: Reader): DeviceState {
  const code = reader.u8();
  return (
    DEVICE_STATES[code] ??
    reader.refuse(
      'decode.unknown-kind',
      `expected a state from 0 to ${DEVICE_STATES.length - 1}, got ${code}`,
    )
  );
}

export function writeModelRecord(writer: Writer, model: Model): void {
  const { name, actions, levelMax, colour, registeredAt, deposit } = model;
  writer
    .text(name)
    .u16(actions)
    .u8(levelMax)
    .bool(colour !== undefined);
  if (colour !== undefined) writeColour(writer, colour);
  writer.u53(registeredAt);
  writeDepositOf(writer, deposit);
}

export function readModelRecord(reader: Reader): Model {
  const form = { name: reader.text(LIMITS.textBytesMax), actions: reader.u16(), levelMax: reader.u8() };
  const colour = reader.bool() ? { colour: readColour(reader) } : {};
  return { ...form, ...colour, registeredAt: height(reader.u53()), deposit: readDepositOf(reader) };
}

export function writeSale(writer: Writer, offer: Sale): void {
  writer.fixed(offer.to, HASH_BYTES).u64(offer.price).u53(offer.expiresAt);
  writeDepositOf(writer, offer.deposit);
}

export function readSale(reader: Reader): Sale {
  return {
    to: readAddress(reader),
    price: amount(reader.u64()),
    expiresAt: millis(reader.u53()),
    deposit: readDepositOf(reader),
  };
}

export function writeDeviceRecovery(writer: Writer, recovery: DeviceRecovery): void {
  writer.fixed(recovery.claimant, HASH_BYTES).u53(recovery.readyAt).u53(recovery.expiresAt);
  writeDepositOf(writer, recovery.deposit);
}

export function readDeviceRecovery(reader: Reader): DeviceRecovery {
  const recovery: DeviceRecovery = {
    claimant: readAddress(reader),
    readyAt: millis(reader.u53()),
    expiresAt: millis(reader.u53()),
    deposit: readDepositOf(reader),
  };
  if (recovery.readyAt >= recovery.expiresAt)
    reader.refuse('decode.out-of-range', 'expected a recovery that can be finished');
  return recovery;
}
