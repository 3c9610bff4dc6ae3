/** What the ledger remembers of the keys of an account, and of its guardians (spec STATE-15). */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { readKeySet, writeKeySet, type KeySet } from '../ledger/account-keys.ts';
import type { Address } from '../ledger/address.ts';
import { readGuardianship, writeGuardianship, type Guardianship } from '../ledger/bodies/keys.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** Absent while the first key acts alone. */
export interface KeysRecord extends KeySet {
  readonly deposit: RecordDeposit;
}

export function writeKeysRecord(writer: Writer, record: KeysRecord): void {
  writeKeySet(writer, record);
  writeDepositOf(writer, record.deposit);
}

export function readKeysRecord(reader: Reader): KeysRecord {
  return { ...readKeySet(reader), deposit: readDepositOf(reader) };
}

export interface GuardiansRecord extends Guardianship {
  /** At most one per guardian, ascending by guardian. */
  readonly votes: readonly RecoveryVote[];
  /** Since enough of them agree. */
  readonly pending: PendingRecovery | undefined;
  /** For the longest form of the record, so that votes cost nobody a deposit. */
  readonly deposit: RecordDeposit;
}

export interface RecoveryVote {
  readonly guardian: Address;
  /** `keySetHash` of the keys wanted; zeros: against any. */
  readonly choice: Hash;
}

export interface PendingRecovery {
  readonly keys: Hash;
  /** Time of the first block that may finish it. */
  readonly readyAt: Millis;
}

/** guardianship ‖ [ guardian 32 ‖ choice 32 ] ‖ bool (keys 32 ‖ readyAt u53) ‖ deposit. */
export function writeGuardiansRecord(writer: Writer, record: GuardiansRecord): void {
  writeGuardianship(writer, record);
  writer.list(record.votes, (w, { guardian, choice }) =>
    w.fixed(guardian, HASH_BYTES).fixed(choice, HASH_BYTES),
  );
  writer.bool(record.pending !== undefined);
  if (record.pending !== undefined) writer.fixed(record.pending.keys, HASH_BYTES).u53(record.pending.readyAt);
  writeDepositOf(writer, record.deposit);
}

export function readGuardiansRecord(reader: Reader): GuardiansRecord {
  const guardianship = readGuardianship(reader);
  const { guardians, threshold } = guardianship;
  if (threshold < 1 || threshold > guardians.length)
    reader.refuse('decode.out-of-range', `expected a threshold from 1 to ${guardians.length}`);
  ascending(reader, guardians);
  const votes = reader.list(LIMITS.guardiansMax, (r) => ({
    guardian: readAddress(r),
    choice: readHash(r),
  }));
  ascending(
    reader,
    votes.map(({ guardian }) => guardian),
  );
  if (votes.some((vote) => !guardians.some((guardian) => equalBytes(guardian, vote.guardian))))
    reader.refuse('decode.out-of-range', 'expected votes of guardians only');
  const pending = reader.bool() ? { keys: readHash(reader), readyAt: millis(reader.u53()) } : undefined;
  return { ...guardianship, votes, pending, deposit: readDepositOf(reader) };
}

function ascending(reader: Reader, addresses: readonly Address[]): void {
  for (const [i, address] of addresses.entries()) {
    const before = addresses[i - 1];
    if (before !== undefined && compareBytes(before, address) >= 0)
      reader.refuse('decode.not-canonical', 'expected guardians ascending');
  }
}
