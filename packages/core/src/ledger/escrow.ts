/**
 * Value that crosses between the main chain and a subnet (spec STATE-14): deposits go in by number, withdrawals come out
 * by proof against what a checkpoint commits. Known to dag, state and clients.
 */
import type { Reader } from '../bytes/reader.ts';
import { equalBytes } from '../bytes/hex.ts';
import { Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import { EMPTY_MERKLE_ROOT } from '../crypto/merkle.ts';
import { asAddress, type Address } from './address.ts';
import { amount, type Amount } from './ids.ts';
import { LIMITS } from './limits.ts';

/** Least deposit, withdrawal and balance inside, in base units: what is smaller would be dust that somebody has to keep. */
export const VALUE_MIN: Amount = amount(BigInt(LIMITS.subnetValueMin));

/** ITC that the main chain holds for an address inside a subnet. */
export interface Deposit {
  /** From 1, without gaps, of each subnet. */
  readonly number: number;
  /** Holder inside the subnet: the address of an account or of a device. */
  readonly to: Address;
  readonly amount: Amount;
}

/** ITC that has left a subnet and waits on the main chain to be fetched. */
export interface Withdrawal {
  /** From 1, without gaps, over all checkpoints of the subnet. */
  readonly number: number;
  /** Account on the main chain. */
  readonly to: Address;
  readonly amount: Amount;
}

/** What a checkpoint says about value. A subnet that never had a deposit says nothing. */
export interface CheckpointValue {
  /** Number of the last deposit that is credited inside. */
  readonly deposits: number;
  /** Merkle root over `withdrawalLeaf`, by number. */
  readonly withdrawalRoot: Hash;
  readonly withdrawalCount: number;
  /** Sum of the withdrawals of this checkpoint. */
  readonly withdrawn: Amount;
}

export function writeWithdrawal(writer: Writer, withdrawal: Withdrawal): void {
  writer.u53(withdrawal.number).fixed(withdrawal.to, HASH_BYTES).u64(withdrawal.amount);
}

export function readWithdrawal(reader: Reader): Withdrawal {
  return {
    number: reader.u53(),
    to: asAddress(reader.fixed(HASH_BYTES).slice()),
    amount: amount(reader.u64()),
  };
}

/** The subnet is part of it: a path of one subnet is none of another. */
export function withdrawalLeaf(subnet: Hash, withdrawal: Withdrawal): Hash {
  const writer = new Writer(48);
  writeWithdrawal(writer, withdrawal);
  return hashTagged('withdrawal', subnet, writer.finish());
}

export function writeCheckpointValue(writer: Writer, value: CheckpointValue): void {
  writer
    .u53(value.deposits)
    .fixed(value.withdrawalRoot, HASH_BYTES)
    .u32(value.withdrawalCount)
    .u64(value.withdrawn);
}

/** Strict: without withdrawals there is the empty root and no sum, and nothing is said before the first deposit. */
export function readCheckpointValue(reader: Reader): CheckpointValue {
  const value: CheckpointValue = {
    deposits: reader.u53(),
    withdrawalRoot: asHash(reader.fixed(HASH_BYTES).slice()),
    withdrawalCount: reader.u32(),
    withdrawn: amount(reader.u64()),
  };
  if (value.deposits === 0) reader.refuse('decode.not-canonical', 'before the first deposit nothing is said');
  if (value.withdrawalCount > LIMITS.withdrawalsMax)
    reader.refuse('decode.too-long', `expected at most ${LIMITS.withdrawalsMax} withdrawals`);
  const none = value.withdrawalCount === 0;
  if (none !== (value.withdrawn === 0n) || none !== equalBytes(value.withdrawalRoot, EMPTY_MERKLE_ROOT))
    reader.refuse('decode.not-canonical', 'expected root, count and sum of withdrawals to agree');
  // Each set of withdrawals leaves a record on the main chain until it is fetched: it must be worth keeping.
  if (value.withdrawn < BigInt(value.withdrawalCount) * VALUE_MIN)
    reader.refuse('decode.out-of-range', `expected withdrawals of at least ${VALUE_MIN} each`);
  return value;
}
