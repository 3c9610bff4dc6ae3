/** ITC that records hold, by kind: what of the supply is where (spec STATE-2.9, STATE-18). */
import type { RecordKind } from './keys.ts';
import { stakeIn } from './membership-record.ts';
import type { RecordDeposit } from './record-deposit.ts';
import { rentalHeld } from './rental-record.ts';
import type { RecordTypes } from './records.ts';
import { stakeOf } from './validator-record.ts';

const nothing = (): bigint => 0n;
const deposit = (record: { readonly deposit: RecordDeposit }): bigint => record.deposit.amount;

type HeldBy = { readonly [K in RecordKind]: (record: RecordTypes[K]) => bigint };

/** Kinds without a deposit of their own; why, the table says. */
export type FreeKind =
  | 'parameters'
  | 'epoch'
  | 'account'
  | 'validator'
  | 'escrow'
  | 'withdrawals'
  | 'membership'
  | 'turn'
  | 'co-signers'
  | 'checkpoint-range'
  | 'checkpoint-peaks'
  | 'subnet-base'
  | 'stake'
  | 'parameter-votes'
  | 'expiry';

/** All other records have a field for it: a kind that has none does not compile. */
type Deposited = { readonly [K in Exclude<RecordKind, FreeKind>]: { readonly deposit: RecordDeposit } };
type Checked<T extends Deposited> = T;
export type DepositedRecords = Checked<Pick<RecordTypes, Exclude<RecordKind, FreeKind>>>;

/** A kind that holds no deposit says why it needs none. */
const HELD: HeldBy = {
  // There is one of each.
  parameters: nothing,
  epoch: ({ fees, reserve, burned }) => fees + reserve + burned,
  // Paid for once, see `openAccounts`.
  account: ({ balance }) => balance,
  maker: deposit,
  batch: (batch) => deposit(batch) + BigInt(batch.count - batch.claimed) * batch.depositPerDevice,
  device: deposit,
  grant: deposit,
  'rental-offer': deposit,
  rental: (rental) => deposit(rental) + rentalHeld(rental),
  settlement: (settlement) => deposit(settlement) + settlement.held,
  channel: deposit,
  release: deposit,
  installs: deposit,
  subnet: deposit,
  // At most `candidatesMax`, each with a bond.
  validator: stakeOf,
  // Paid for by their subnet.
  escrow: ({ held }) => held,
  // Its value is part of the escrow.
  deposit: deposit,
  // Hold the value they wait to pay, at least `subnetValueMin` each.
  withdrawals: nothing,
  model: deposit,
  // The price is paid when it is accepted.
  sale: deposit,
  'device-recovery': deposit,
  group: deposit,
  delegation: deposit,
  // Paid for by their subnet.
  membership: nothing,
  turn: nothing,
  'checkpoint-range': nothing,
  'checkpoint-peaks': nothing,
  'subnet-base': nothing,
  // At most `subnetStakesMax` per subnet, each with a stake.
  stake: stakeIn,
  keys: deposit,
  guardians: deposit,
  sponsorship: (sponsorship) => deposit(sponsorship) + sponsorship.balance,
  sponsored: deposit,
  stream: (stream) => deposit(stream) + (stream.funded - stream.paid),
  'co-signing-key': deposit,
  // There is one.
  'co-signers': nothing,
  // One for each parameter.
  'parameter-votes': nothing,
  // Paid for by the record they name.
  expiry: nothing,
};

export function heldBy<K extends RecordKind>(kind: K, record: RecordTypes[K]): bigint {
  // The table has the reader of each kind under that kind, which the type of one lookup cannot say.
  return (HELD[kind] as (record: RecordTypes[K]) => bigint)(record);
}
