/** What the ledger remembers of sponsorships (spec STATE-19): the budget, and what of it was used today. */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { readTerms, writeTerms, type SponsorshipTerms } from '../ledger/bodies/sponsor.ts';
import { readAddress } from '../ledger/fields.ts';
import { amount, millis, type Amount, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** The hash of sponsor and name is in the key. */
export interface Sponsorship {
  readonly sponsor: Address;
  readonly name: string;
  readonly terms: SponsorshipTerms;
  /** Paid in and not used. */
  readonly balance: Amount;
  readonly deposit: RecordDeposit;
}

/**
 * What one device, or everybody together, used of a sponsorship in one day. Sponsorship and device are in the key (zeros: everybody);
 * the record goes when the day is over.
 */
export interface SponsoredDay {
  /** Days since 1970 in UTC, by the time of blocks. */
  readonly day: number;
  readonly spent: Amount;
  readonly deposit: RecordDeposit;
}

const DAY_MS = 86_400_000;

export function dayOf(time: Millis): number {
  return Math.floor(time / DAY_MS);
}

export function endOfDay({ day }: Pick<SponsoredDay, 'day'>): Millis {
  return millis((day + 1) * DAY_MS);
}

export function writeSponsorship(writer: Writer, record: Sponsorship): void {
  writer.fixed(record.sponsor, HASH_BYTES).text(record.name);
  writeTerms(writer, record.terms);
  writer.u64(record.balance);
  writeDepositOf(writer, record.deposit);
}

export function readSponsorship(reader: Reader): Sponsorship {
  return {
    sponsor: readAddress(reader),
    name: reader.text(LIMITS.textBytesMax),
    terms: readTerms(reader),
    balance: amount(reader.u64()),
    deposit: readDepositOf(reader),
  };
}

export function writeSponsoredDay(writer: Writer, record: SponsoredDay): void {
  writer.u32(record.day).u64(record.spent);
  writeDepositOf(writer, record.deposit);
}

export function readSponsoredDay(reader: Reader): SponsoredDay {
  return { day: reader.u32(), spent: amount(reader.u64()), deposit: readDepositOf(reader) };
}
