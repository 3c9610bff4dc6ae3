/** What the main chain remembers of value inside subnets (spec STATE-14): one escrow each, deposits, open withdrawals. */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { Deposit } from '../ledger/escrow.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import { readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** One per subnet that ever had a deposit. */
export interface Escrow {
  /** All ITC of the subnet: inside, on the way in, and on the way out. */
  readonly held: Amount;
  /** Of it, what checkpoints have let out and nobody has fetched. */
  readonly claimable: Amount;
  /** Deposits made, and how many of them the last checkpoint has credited. */
  readonly deposits: number;
  readonly credited: number;
  /** Withdrawals of all checkpoints: the next one has the number above. */
  readonly withdrawals: number;
}

export const NO_ESCROW: Escrow = {
  held: amount(0n),
  claimable: amount(0n),
  deposits: 0,
  credited: 0,
  withdrawals: 0,
};

/** Subnet and number are in the key. */
export type DepositRecord = Omit<Deposit, 'number'> & { readonly deposit: RecordDeposit };

/** Subnet and checkpoint are in the key. The record goes with its last withdrawal. */
export interface OpenWithdrawals {
  /** Merkle root over `withdrawalLeaf`. */
  readonly root: Hash;
  /** Number of the first. */
  readonly first: number;
  readonly count: number;
  /** What the checkpoint declared, less what was paid: no more is ever paid, whatever its leaves say. */
  readonly unpaid: Amount;
  /** Bit i, lowest first: number `first` + i was paid. */
  readonly paid: Uint8Array;
}

export function writeEscrow(writer: Writer, escrow: Escrow): void {
  writer
    .u64(escrow.held)
    .u64(escrow.claimable)
    .u53(escrow.deposits)
    .u53(escrow.credited)
    .u53(escrow.withdrawals);
}

export function readEscrow(reader: Reader): Escrow {
  const escrow: Escrow = {
    held: amount(reader.u64()),
    claimable: amount(reader.u64()),
    deposits: reader.u53(),
    credited: reader.u53(),
    withdrawals: reader.u53(),
  };
  if (escrow.claimable > escrow.held)
    reader.refuse('decode.out-of-range', 'expected no more to be claimed than is held');
  if (escrow.credited > escrow.deposits)
    reader.refuse('decode.out-of-range', 'expected no more deposits credited than made');
  return escrow;
}

export function writeDepositRecord(writer: Writer, deposit: DepositRecord): void {
  writer.fixed(deposit.to, HASH_BYTES).u64(deposit.amount);
  writeDepositOf(writer, deposit.deposit);
}

export function readDepositRecord(reader: Reader): DepositRecord {
  return { to: readAddress(reader), amount: amount(reader.u64()), deposit: readDepositOf(reader) };
}

export function writeOpenWithdrawals(writer: Writer, open: OpenWithdrawals): void {
  writer
    .fixed(open.root, HASH_BYTES)
    .u53(open.first)
    .u32(open.count)
    .u64(open.unpaid)
    .fixed(open.paid, open.paid.length);
}

export function readOpenWithdrawals(reader: Reader): OpenWithdrawals {
  const root = readHash(reader);
  const first = reader.u53();
  const count = reader.u32();
  if (count === 0 || count > LIMITS.withdrawalsMax)
    reader.refuse('decode.out-of-range', `expected 1 to ${LIMITS.withdrawalsMax} withdrawals, got ${count}`);
  const unpaid = amount(reader.u64());
  const open: OpenWithdrawals = {
    root,
    first,
    count,
    unpaid,
    paid: reader.fixed(Math.ceil(count / 8)).slice(),
  };
  for (let i = count; i < 8 * open.paid.length; i += 1)
    if (isPaid(open, i)) reader.refuse('decode.not-canonical', 'expected no bit beyond the count');
  if (allPaid(open)) reader.refuse('decode.not-canonical', 'withdrawals that are all paid have no record');
  return open;
}

export function isPaid(open: Pick<OpenWithdrawals, 'paid'>, index: number): boolean {
  return (((open.paid[index >> 3] as number) >> (index & 7)) & 1) === 1;
}

export function allPaid(open: Pick<OpenWithdrawals, 'paid' | 'count'>): boolean {
  for (let i = 0; i < open.count; i += 1) if (!isPaid(open, i)) return false;
  return true;
}

/** A copy with one more bit. */
export function withPaid(open: OpenWithdrawals, index: number, value: bigint): OpenWithdrawals {
  const paid = open.paid.slice();
  paid[index >> 3] = (paid[index >> 3] as number) | (1 << (index & 7));
  return { ...open, paid, unpaid: amount(open.unpaid - value) };
}
