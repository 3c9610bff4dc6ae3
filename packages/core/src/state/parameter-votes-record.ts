/** Votes about one parameter (spec STATE-21). The parameter is in the key. */
import { compareBytes } from '../bytes/hex.ts';
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { readAddress } from '../ledger/fields.ts';
import { height, type Height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';

export interface ParameterVotes {
  /** At most one per validator, ascending by voter. */
  readonly votes: readonly ParameterVote[];
  /** Agreed on; in force after the next checkpoint height. */
  readonly next: bigint | undefined;
}

export interface ParameterVote {
  readonly voter: Address;
  readonly value: bigint;
  readonly castAt: Height;
}

export function writeParameterVotes(writer: Writer, { votes, next }: ParameterVotes): void {
  writer.list(votes, (w, { voter, value, castAt }) => w.fixed(voter, HASH_BYTES).u64(value).u53(castAt));
  writer.bool(next !== undefined);
  if (next !== undefined) writer.u64(next);
}

export function readParameterVotes(reader: Reader): ParameterVotes {
  const votes = reader.list(LIMITS.candidatesMax, (r) => ({
    voter: readAddress(r),
    value: r.u64(),
    castAt: height(r.u53()),
  }));
  for (const [i, { voter }] of votes.entries()) {
    const before = votes[i - 1];
    if (before !== undefined && compareBytes(before.voter, voter) >= 0)
      reader.refuse('decode.not-canonical', 'expected votes in ascending order of voters');
  }
  const next = reader.bool() ? reader.u64() : undefined;
  if (votes.length === 0 && next === undefined)
    reader.refuse('decode.not-canonical', 'no votes leave no record');
  return { votes, next };
}
