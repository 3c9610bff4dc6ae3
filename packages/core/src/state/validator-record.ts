/** A bonded account: who may decide, with how much weight, and what it has to lose (spec STATE-10). */
import { compareBytes } from '../bytes/hex.ts';
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import { readPublicKey, writePublicKey, type PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import { amount, height, type Amount, type Height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readAddress } from '../ledger/fields.ts';
import { STATE_LIMITS } from './limits.ts';

/** The account is in the key. The record stays until nothing is bonded, on its way back, granted or deciding. */
export interface ValidatorRecord {
  /** Signs votes. One record per key, and one key for the life of the record: evidence must find who is behind it. */
  readonly key: PublicKey;
  /** Height of the block that made the record; what the key signed for lower heights is not held against it. */
  readonly since: Height;
  readonly bond: Amount;
  /** Ascending by height, none of them empty. Punishable like the bond. */
  readonly unbonding: readonly Unbonding[];
  /** Granted by votes: an upper bound. What counts is the lesser of it and of what the bond carries. */
  readonly weight: number;
  /** Votes for another weight, ascending by voter, one per voter. */
  readonly votes: readonly WeightVote[];
  /** Punished: it has no weight granted and gets none. */
  readonly jailed: boolean;
  /** Of the block with the last restart; 0 when there was none. */
  readonly restartAt: Height;
}

export interface Unbonding {
  readonly amount: Amount;
  /** From this height on it may return to the account. */
  readonly releaseAt: Height;
}

export interface WeightVote {
  readonly voter: Address;
  readonly weight: number;
  readonly castAt: Height;
}

export function newValidator(
  o: Pick<ValidatorRecord, 'key' | 'since' | 'bond'> & { readonly weight?: number },
): ValidatorRecord {
  const { key, since, bond, weight = 0 } = o;
  return { key, since, bond, unbonding: [], weight, votes: [], jailed: false, restartAt: height(0) };
}

/** Bond and what of it is on its way back: all that a punishment can reach. */
export function stakeOf(record: Pick<ValidatorRecord, 'bond' | 'unbonding'>): bigint {
  return record.unbonding.reduce((sum, part) => sum + part.amount, record.bond as bigint);
}

/** The weight the next election aims at. A chain may ask for no bonds at all; then the grant alone decides. */
export function targetWeight(
  record: Pick<ValidatorRecord, 'bond' | 'weight' | 'jailed'>,
  bondPerWeight: Amount,
): number {
  if (record.jailed) return 0;
  return Math.min(record.weight, carriedWeight(record.bond, bondPerWeight));
}

export function carriedWeight(bond: Amount, bondPerWeight: Amount): number {
  if (bondPerWeight === 0n) return LIMITS.weightMax;
  const carried = bond / bondPerWeight;
  return carried > BigInt(LIMITS.weightMax) ? LIMITS.weightMax : Number(carried);
}

export function writeValidatorRecord(writer: Writer, record: ValidatorRecord): void {
  writePublicKey(writer, record.key);
  writer
    .u53(record.since)
    .u64(record.bond)
    .list(record.unbonding, (w, part) => w.u64(part.amount).u53(part.releaseAt))
    .u32(record.weight)
    .list(record.votes, (w, vote) => w.fixed(vote.voter, HASH_BYTES).u32(vote.weight).u53(vote.castAt))
    .bool(record.jailed)
    .u53(record.restartAt);
}

export function readValidatorRecord(reader: Reader): ValidatorRecord {
  const record: ValidatorRecord = {
    key: readPublicKey(reader),
    since: height(reader.u53()),
    bond: amount(reader.u64()),
    unbonding: reader.list(STATE_LIMITS.unbondingsMax, (r) => ({
      amount: amount(r.u64()),
      releaseAt: height(r.u53()),
    })),
    weight: reader.u32(),
    votes: reader.list(LIMITS.validatorsMax, (r) => ({
      voter: readAddress(r),
      weight: r.u32(),
      castAt: height(r.u53()),
    })),
    jailed: reader.bool(),
    restartAt: height(reader.u53()),
  };
  for (const [i, part] of record.unbonding.entries()) {
    if (part.amount === 0n) reader.refuse('decode.not-canonical', 'nothing is on its way back');
    if (part.releaseAt <= (record.unbonding[i - 1]?.releaseAt ?? -1))
      reader.refuse('decode.not-canonical', 'expected what is on its way back in ascending order of heights');
  }
  for (const [i, vote] of record.votes.entries()) {
    const previous = record.votes[i - 1];
    if (previous !== undefined && compareBytes(previous.voter, vote.voter) >= 0)
      reader.refuse('decode.not-canonical', 'expected votes in ascending order of voters, each once');
  }
  if (record.jailed && (record.weight !== 0 || record.votes.length > 0))
    reader.refuse('decode.not-canonical', 'who was punished has neither weight nor votes');
  return record;
}
