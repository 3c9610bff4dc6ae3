/** What the ledger remembers, one canonical encoding per kind (spec STATE-1). The encodings are the leaves of the state tree. */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { Mmr } from '../crypto/mmr.ts';
import { readPublicKey, writePublicKey, type PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import { amount, height, millis, type Amount, type Height, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from '../ledger/validators.ts';
import { readCoSigners, writeCoSigners, type CoSigners } from '../ledger/co-signers.ts';
import { readEpochRecord, writeEpochRecord, type EpochRecord } from '../ledger/epoch.ts';
import {
  readDelegationRecord,
  readGrantRecord,
  readGroupRecord,
  writeDelegationRecord,
  writeGrantRecord,
  writeGroupRecord,
  type DelegationRecord,
  type GrantRecord,
  type GroupRecord,
} from './access-record.ts';
import { readCoSigningKey, writeCoSigningKey, type CoSigningKey } from './co-signing-record.ts';
import {
  readDevice,
  readDeviceRecovery,
  readModelRecord,
  readSale,
  writeDevice,
  writeDeviceRecovery,
  writeModelRecord,
  writeSale,
  type Device,
  type DeviceRecovery,
  type Model,
  type Sale,
} from './device-record.ts';
import {
  readDepositRecord,
  readEscrow,
  readOpenWithdrawals,
  writeDepositRecord,
  writeEscrow,
  writeOpenWithdrawals,
  type DepositRecord,
  type Escrow,
  type OpenWithdrawals,
} from './escrow-record.ts';
import {
  readGuardiansRecord,
  readKeysRecord,
  writeGuardiansRecord,
  writeKeysRecord,
  type GuardiansRecord,
  type KeysRecord,
} from './guardians-record.ts';
import { readExpiryEntry, writeExpiryEntry, type ExpiryEntry } from './expiry.ts';
import type { RecordKind } from './keys.ts';
import {
  readMembership,
  readMemberStakeRecord,
  writeMembership,
  writeMemberStakeRecord,
  type Membership,
  type MemberStakeRecord,
} from './membership-record.ts';
import {
  readCheckpointPeaks,
  readCheckpointRange,
  writeCheckpointPeaks,
  writeCheckpointRange,
  type CheckpointRange,
} from './checkpoint-range.ts';
import { readParameterVotes, writeParameterVotes, type ParameterVotes } from './parameter-votes-record.ts';
import {
  readSponsoredDay,
  readSponsorship,
  writeSponsoredDay,
  writeSponsorship,
  type SponsoredDay,
  type Sponsorship,
} from './sponsor-record.ts';
import { readStream, writeStream, type Stream } from './stream-record.ts';
import { NO_DEPOSIT, readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';
import {
  readChannel,
  readInstalls,
  readRelease,
  writeChannel,
  writeInstalls,
  writeRelease,
  type Channel,
  type Installs,
  type Release,
} from './firmware-record.ts';
import {
  readRental,
  readRentalOffer,
  readSettlement,
  writeRental,
  writeRentalOffer,
  writeSettlement,
  type Rental,
  type RentalOffer,
  type Settlement,
} from './rental-record.ts';
import { readValidatorRecord, writeValidatorRecord, type ValidatorRecord } from './validator-record.ts';

export type { DelegationRecord, GrantRecord, GroupRecord } from './access-record.ts';
export type { Device, DeviceRecovery, Model, Sale } from './device-record.ts';

/** What genesis fixed for the state machine; all but the chain and bondPerWeight can be voted on (spec STATE-21). */
export interface Parameters {
  /** The genesis hash: a state belongs to one chain. */
  readonly chain: Hash;
  /** In base units. */
  readonly feePerByte: Amount;
  /** Bond that one unit of weight needs; also the least bond. */
  readonly bondPerWeight: Amount;
  /** From the reserve to the validators at each checkpoint height. */
  readonly rewardPerCheckpoint: Amount;
  /** What a record's payer leaves for each of its bytes. */
  readonly depositPerByte: Amount;
  /** What it costs to pay to an account that has no record. */
  readonly accountPrice: Amount;
  /** Of every 10 000 base units of fees paid out, those that burn. */
  readonly burnShare: number;
}

/** An account without balance and nonces is the same as none: it has no record. */
export interface Account {
  readonly balance: Amount;
  /** Next nonce per lane; lanes that were never used are left out at the end. */
  readonly nonces: readonly number[];
}

export interface Maker {
  readonly name: string;
  readonly registeredAt: Height;
  /** Signs the batches; none: the account's word is all there is. */
  readonly attestation: PublicKey | undefined;
  readonly deposit: RecordDeposit;
}

export interface Batch {
  readonly maker: Address;
  /** Merkle root over `batchLeaf` of its devices. */
  readonly root: Hash;
  readonly count: number;
  readonly model: Hash;
  /** Still held for each device that is not claimed. */
  readonly depositPerDevice: Amount;
  readonly claimed: number;
  readonly registeredAt: Height;
  /** The maker's attestation key that signed it. */
  readonly attestation: PublicKey | undefined;
  readonly deposit: RecordDeposit;
}

/** Of a subnet that was made with its members listed: its record has the bits in force. */
export interface SubnetBase {
  /** The least bits of work its members ever ask. */
  readonly powBits: number;
}

export interface Subnet {
  readonly name: string;
  /** Those who decide the next checkpoint. */
  readonly members: ValidatorSet;
  /** Elected, and in force from the next turn on (spec STATE-24). */
  readonly next?: ValidatorSet;
  /** Base proof-of-work bits in force: those of the last checkpoint. */
  readonly powBits: number;
  /** 0 before the first checkpoint. */
  readonly lastSequence: number;
  /** The subnet's id before the first checkpoint. */
  readonly lastHash: Hash;
  readonly lastTime: Millis;
  /** Of the block that holds the last checkpoint; 0 before the first. */
  readonly lastHeight: Height;
  /** Total over all checkpoints. */
  readonly envelopes: number;
  /** Total applied over all checkpoints. */
  readonly payloads: number;
  /** For the records of its escrow and its checkpoints too. */
  readonly deposit: RecordDeposit;
}

/** The record type of each kind. */
export interface RecordTypes {
  parameters: Parameters;
  account: Account;
  maker: Maker;
  batch: Batch;
  device: Device;
  grant: GrantRecord;
  'rental-offer': RentalOffer;
  rental: Rental;
  settlement: Settlement;
  channel: Channel;
  release: Release;
  installs: Installs;
  subnet: Subnet;
  epoch: EpochRecord;
  validator: ValidatorRecord;
  escrow: Escrow;
  deposit: DepositRecord;
  withdrawals: OpenWithdrawals;
  model: Model;
  sale: Sale;
  'device-recovery': DeviceRecovery;
  group: GroupRecord;
  delegation: DelegationRecord;
  expiry: ExpiryEntry;
  sponsorship: Sponsorship;
  sponsored: SponsoredDay;
  stream: Stream;
  'parameter-votes': ParameterVotes;
  keys: KeysRecord;
  guardians: GuardiansRecord;
  membership: Membership;
  stake: MemberStakeRecord;
  turn: MemberTurn;
  'co-signing-key': CoSigningKey;
  'co-signers': CoSigners;
  'checkpoint-range': CheckpointRange;
  'checkpoint-peaks': Mmr;
  'subnet-base': SubnetBase;
}

/** Who decides from a checkpoint on; subnet and sequence are in the key. */
export interface MemberTurn {
  readonly members: ValidatorSet;
}

export const EMPTY_ACCOUNT: Account = { balance: amount(0n), nonces: [] };

/** A subnet before its first checkpoint. */
export function newSubnet(
  o: Pick<Subnet, 'name' | 'members' | 'powBits'> & { readonly id: Hash; readonly deposit?: RecordDeposit },
): Subnet {
  const { id, name, members, powBits, deposit = NO_DEPOSIT } = o;
  return {
    name,
    members,
    powBits,
    lastSequence: 0,
    lastHash: id,
    lastTime: millis(0),
    lastHeight: height(0),
    envelopes: 0,
    payloads: 0,
    deposit,
  };
}

function writeParameters(writer: Writer, parameters: Parameters): void {
  writer
    .fixed(parameters.chain, HASH_BYTES)
    .u64(parameters.feePerByte)
    .u64(parameters.bondPerWeight)
    .u64(parameters.rewardPerCheckpoint)
    .u64(parameters.depositPerByte)
    .u64(parameters.accountPrice)
    .u16(parameters.burnShare);
}

function readParameters(reader: Reader): Parameters {
  const parameters: Parameters = {
    chain: readHash(reader),
    feePerByte: amount(reader.u64()),
    bondPerWeight: amount(reader.u64()),
    rewardPerCheckpoint: amount(reader.u64()),
    depositPerByte: amount(reader.u64()),
    accountPrice: amount(reader.u64()),
    burnShare: reader.u16(),
  };
  if (parameters.burnShare > LIMITS.burnShareMax)
    reader.refuse('decode.out-of-range', `expected a burnShare up to ${LIMITS.burnShareMax}`);
  return parameters;
}

function writeAccount(writer: Writer, account: Account): void {
  writer.u64(account.balance).list(account.nonces, (w, nonce) => w.u53(nonce));
}

function readAccount(reader: Reader): Account {
  const balance = amount(reader.u64());
  const nonces = reader.list(LIMITS.lanesMax, (r) => r.u53());
  if (nonces.at(-1) === 0) reader.refuse('decode.not-canonical', 'expected unused lanes left out at the end');
  if (balance === 0n && nonces.length === 0)
    reader.refuse('decode.not-canonical', 'an empty account has no record');
  return { balance, nonces };
}

function writeMaker(writer: Writer, maker: Maker): void {
  writer.text(maker.name).u53(maker.registeredAt);
  writeOptionalKey(writer, maker.attestation);
  writeDepositOf(writer, maker.deposit);
}

function readMaker(reader: Reader): Maker {
  return {
    name: reader.text(LIMITS.textBytesMax),
    registeredAt: height(reader.u53()),
    attestation: readOptionalKey(reader),
    deposit: readDepositOf(reader),
  };
}

function writeOptionalKey(writer: Writer, key: PublicKey | undefined): void {
  writer.bool(key !== undefined);
  if (key !== undefined) writePublicKey(writer, key);
}

function readOptionalKey(reader: Reader): PublicKey | undefined {
  return reader.bool() ? readPublicKey(reader) : undefined;
}

function writeBatch(writer: Writer, batch: Batch): void {
  writer
    .fixed(batch.maker, HASH_BYTES)
    .fixed(batch.root, HASH_BYTES)
    .u32(batch.count)
    .fixed(batch.model, HASH_BYTES)
    .u64(batch.depositPerDevice)
    .u32(batch.claimed)
    .u53(batch.registeredAt);
  writeOptionalKey(writer, batch.attestation);
  writeDepositOf(writer, batch.deposit);
}

function readBatch(reader: Reader): Batch {
  const batch: Batch = {
    maker: readAddress(reader),
    root: readHash(reader),
    count: reader.u32(),
    model: readHash(reader),
    depositPerDevice: amount(reader.u64()),
    claimed: reader.u32(),
    registeredAt: height(reader.u53()),
    attestation: readOptionalKey(reader),
    deposit: readDepositOf(reader),
  };
  if (batch.claimed > batch.count)
    reader.refuse(
      'decode.out-of-range',
      `expected at most ${batch.count} claimed devices, got ${batch.claimed}`,
    );
  return batch;
}

function writeSubnet(writer: Writer, subnet: Subnet): void {
  writer.text(subnet.name);
  writeValidatorSet(writer, subnet.members);
  writer
    .u8(subnet.powBits)
    .u53(subnet.lastSequence)
    .fixed(subnet.lastHash, HASH_BYTES)
    .u53(subnet.lastTime)
    .u53(subnet.lastHeight)
    .u53(subnet.envelopes)
    .u53(subnet.payloads);
  writeDepositOf(writer, subnet.deposit);
  writer.bool(subnet.next !== undefined);
  if (subnet.next !== undefined) writeValidatorSet(writer, subnet.next);
}

function readSubnet(reader: Reader): Subnet {
  return {
    name: reader.text(LIMITS.textBytesMax),
    members: readValidatorSet(reader),
    powBits: reader.u8(),
    lastSequence: reader.u53(),
    lastHash: readHash(reader),
    lastTime: millis(reader.u53()),
    lastHeight: height(reader.u53()),
    envelopes: reader.u53(),
    payloads: reader.u53(),
    deposit: readDepositOf(reader),
    ...(reader.bool() ? { next: readValidatorSet(reader) } : {}),
  };
}

interface Codec<T> {
  readonly write: (writer: Writer, record: T) => void;
  readonly read: (reader: Reader) => T;
}

const CODECS: { readonly [K in RecordKind]: Codec<RecordTypes[K]> } = {
  parameters: { write: writeParameters, read: readParameters },
  account: { write: writeAccount, read: readAccount },
  maker: { write: writeMaker, read: readMaker },
  batch: { write: writeBatch, read: readBatch },
  device: { write: writeDevice, read: readDevice },
  grant: { write: writeGrantRecord, read: readGrantRecord },
  subnet: { write: writeSubnet, read: readSubnet },
  'rental-offer': { write: writeRentalOffer, read: readRentalOffer },
  rental: { write: writeRental, read: readRental },
  settlement: { write: writeSettlement, read: readSettlement },
  channel: { write: writeChannel, read: readChannel },
  release: { write: writeRelease, read: readRelease },
  installs: { write: writeInstalls, read: readInstalls },
  epoch: { write: writeEpochRecord, read: readEpochRecord },
  validator: { write: writeValidatorRecord, read: readValidatorRecord },
  escrow: { write: writeEscrow, read: readEscrow },
  deposit: { write: writeDepositRecord, read: readDepositRecord },
  withdrawals: { write: writeOpenWithdrawals, read: readOpenWithdrawals },
  model: { write: writeModelRecord, read: readModelRecord },
  sale: { write: writeSale, read: readSale },
  'device-recovery': { write: writeDeviceRecovery, read: readDeviceRecovery },
  group: { write: writeGroupRecord, read: readGroupRecord },
  delegation: { write: writeDelegationRecord, read: readDelegationRecord },
  expiry: { write: writeExpiryEntry, read: readExpiryEntry },
  sponsorship: { write: writeSponsorship, read: readSponsorship },
  sponsored: { write: writeSponsoredDay, read: readSponsoredDay },
  stream: { write: writeStream, read: readStream },
  'parameter-votes': { write: writeParameterVotes, read: readParameterVotes },
  keys: { write: writeKeysRecord, read: readKeysRecord },
  guardians: { write: writeGuardiansRecord, read: readGuardiansRecord },
  membership: { write: writeMembership, read: readMembership },
  stake: { write: writeMemberStakeRecord, read: readMemberStakeRecord },
  'co-signing-key': { write: writeCoSigningKey, read: readCoSigningKey },
  'co-signers': { write: writeCoSigners, read: readCoSigners },
  turn: {
    write: (writer, turn) => writeValidatorSet(writer, turn.members),
    read: (reader) => ({ members: readValidatorSet(reader) }),
  },
  'checkpoint-range': { write: writeCheckpointRange, read: readCheckpointRange },
  'checkpoint-peaks': { write: writeCheckpointPeaks, read: readCheckpointPeaks },
  'subnet-base': {
    write: (writer, { powBits }) => writer.u8(powBits),
    read: (reader) => ({ powBits: reader.u8() }),
  },
};

export function encodeRecord<K extends RecordKind>(kind: K, record: RecordTypes[K]): Uint8Array {
  const writer = new Writer(160);
  CODECS[kind].write(writer, record);
  return writer.finish();
}

/** What a record's deposit is for. */
export function recordBytes<K extends RecordKind>(kind: K, record: RecordTypes[K]): number {
  return encodeRecord(kind, record).length;
}

/** Strict: what it accepts encodes to the same bytes again. */
export function decodeRecord<K extends RecordKind>(
  kind: K,
  bytes: Uint8Array,
): Result<RecordTypes[K], DecodeCode> {
  return decode<RecordTypes[K]>(CODECS[kind].read, bytes);
}
