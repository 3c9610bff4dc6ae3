/** What the main chain remembers of members by stake (spec STATE-24): the terms of their subnet, each one's stake, past turns. */
import { compareBytes } from '../bytes/hex.ts';
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import { readPublicKey, writePublicKey, type PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import { readTerms, writeTerms, type MembershipTerms } from '../ledger/bodies/membership.ts';
import { readAddress } from '../ledger/fields.ts';
import { amount, height, type Amount } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { STATE_LIMITS } from './limits.ts';
import type { Unbonding } from './validator-record.ts';

/** One of a subnet whose members have weight by stake. The subnet is in the key. */
export interface Membership {
  readonly terms: MembershipTerms;
  /** Base bits of work: the record of the subnet has those in force. */
  readonly powBits: number;
  /** First sequences of the newest turns with another set than before, ascending: each has a record. */
  readonly turns: readonly number[];
}

/** Subnet and address of the member's key are in the record's key. */
export interface MemberStakeRecord {
  readonly key: PublicKey;
  /** Who staked, adds, asks back and votes. */
  readonly owner: Address;
  readonly stake: Amount;
  /** Ascending by height, none of them empty. Punishable like the stake. */
  readonly leaving: readonly Unbonding[];
  /** Whether the stake counts: at once in an open subnet, by the members' votes in one by invitation. */
  readonly isAdmitted: boolean;
  /** Addresses of the members who voted for it, ascending; none once it is admitted. */
  readonly votes: readonly Address[];
  /** Punished: it gets no weight any more, and its key does not come back. */
  readonly isPunished: boolean;
}

/** Stake and what of it is on its way back. */
export function stakeIn(record: Pick<MemberStakeRecord, 'stake' | 'leaving'>): bigint {
  return record.leaving.reduce((sum, part) => sum + part.amount, record.stake as bigint);
}

/** The weight the next election aims at. */
export function stakeWeight(
  record: Pick<MemberStakeRecord, 'stake' | 'isAdmitted' | 'isPunished'>,
  terms: Pick<MembershipTerms, 'stakePerWeight' | 'stakeMin'>,
): number {
  if (!record.isAdmitted || record.isPunished || record.stake < terms.stakeMin) return 0;
  const weight = record.stake / terms.stakePerWeight;
  return weight > BigInt(LIMITS.weightMax) ? LIMITS.weightMax : Number(weight);
}

export function writeMembership(writer: Writer, membership: Membership): void {
  writeTerms(writer, membership.terms);
  writer.u8(membership.powBits).list(membership.turns, (w, first) => w.u53(first));
}

export function readMembership(reader: Reader): Membership {
  const membership: Membership = {
    terms: readTerms(reader),
    powBits: reader.u8(),
    turns: reader.list(STATE_LIMITS.memberTurnsKept, (r) => r.u53()),
  };
  for (const [i, first] of membership.turns.entries())
    if (first <= (membership.turns[i - 1] ?? 0))
      reader.refuse('decode.not-canonical', 'expected turns in ascending order');
  return membership;
}

export function writeMemberStakeRecord(writer: Writer, record: MemberStakeRecord): void {
  writePublicKey(writer, record.key);
  writer
    .fixed(record.owner, HASH_BYTES)
    .u64(record.stake)
    .list(record.leaving, (w, part) => w.u64(part.amount).u53(part.releaseAt))
    .bool(record.isAdmitted)
    .list(record.votes, (w, voter) => w.fixed(voter, HASH_BYTES))
    .bool(record.isPunished);
}

export function readMemberStakeRecord(reader: Reader): MemberStakeRecord {
  const record: MemberStakeRecord = {
    key: readPublicKey(reader),
    owner: readAddress(reader),
    stake: amount(reader.u64()),
    leaving: reader.list(STATE_LIMITS.unbondingsMax, (r) => ({
      amount: amount(r.u64()),
      releaseAt: height(r.u53()),
    })),
    isAdmitted: reader.bool(),
    votes: reader.list(LIMITS.subnetMembersMax, readAddress),
    isPunished: reader.bool(),
  };
  for (const [i, part] of record.leaving.entries())
    if (part.amount === 0n || part.releaseAt <= (record.leaving[i - 1]?.releaseAt ?? 0))
      reader.refuse('decode.not-canonical', 'expected parts that are not empty, ascending by height');
  for (const [i, voter] of record.votes.entries()) {
    const previous = record.votes[i - 1];
    if (previous !== undefined && compareBytes(previous, voter) >= 0)
      reader.refuse('decode.not-canonical', 'expected votes in ascending order of voters, each once');
  }
  if (record.votes.length > 0 && (record.isAdmitted || record.isPunished))
    reader.refuse('decode.not-canonical', 'nobody votes for who is admitted or was punished');
  return record;
}
