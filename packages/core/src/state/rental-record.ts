/** What the ledger remembers of renting (spec STATE-22): an owner's offer, who has the device now, and deposits after the end. */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import { amount, millis, type Amount, type Millis } from '../ledger/ids.ts';
import { readRentalTerms, rentalEscrow, writeRentalTerms, type RentalTerms } from '../ledger/rental.ts';
import { readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** The device is in the key: one offer each. Void when somebody else owns the device. */
export interface RentalOffer {
  readonly owner: Address;
  readonly terms: RentalTerms;
  readonly expiresAt: Millis;
  readonly deposit: RecordDeposit;
}

/** The device is in the key: one rental at a time. */
export interface Rental {
  /** Its name in the words of the device. */
  readonly id: Hash;
  readonly owner: Address;
  readonly renter: Address;
  /** As they were offered: what the owner offers later changes nothing. */
  readonly terms: RentalTerms;
  /** Minutes or uses that were rented. */
  readonly maximum: number;
  readonly rentedAt: Millis;
  /** Absent until the device has started. */
  readonly running: Running | undefined;
  readonly deposit: RecordDeposit;
}

export interface Running {
  /** By the device. */
  readonly startedAt: Millis;
  /** The last moment it can last; earlier where the renter gave the device back. */
  readonly end: Millis;
  /** By the device's last word. */
  readonly uses: number;
  /** Sequence of that word: the next one has a greater one. */
  readonly counter: number;
}

/** The id of the rental is in the key: its deposit, until nobody can claim any of it. */
export interface Settlement {
  readonly device: Address;
  readonly owner: Address;
  readonly renter: Address;
  readonly arbiter: Address | undefined;
  /** Time for the answer to a claim. */
  readonly window: Millis;
  /** Of the deposit that was put up. */
  readonly held: Amount;
  /** By the owner, and what of it the renter concedes. */
  readonly claim: { readonly amount: Amount; readonly conceded: Amount } | undefined;
  /** Then the deposit goes where it belongs by what is known. */
  readonly until: Millis;
  readonly deposit: RecordDeposit;
}

/** What the renter put up and nobody has got yet: the start pays the first carriage. */
export function rentalHeld({ terms, maximum, running }: Rental): bigint {
  return rentalEscrow(terms, maximum) - (running === undefined ? 0n : terms.carriage);
}

/** When nothing more can be said about it: the device may still bring a word for the length of the window. */
export function rentalDue(rental: Rental): Millis {
  return millis(dueOf(rental));
}

function dueOf({ rentedAt, running, terms }: Rental): number {
  return (running?.end ?? rentedAt + terms.startWithin) + terms.window;
}

export function writeRentalOffer(writer: Writer, offer: RentalOffer): void {
  writer.fixed(offer.owner, HASH_BYTES);
  writeRentalTerms(writer, offer.terms);
  writer.u53(offer.expiresAt);
  writeDepositOf(writer, offer.deposit);
}

export function readRentalOffer(reader: Reader): RentalOffer {
  return {
    owner: readAddress(reader),
    terms: readRentalTerms(reader),
    expiresAt: millis(reader.u53()),
    deposit: readDepositOf(reader),
  };
}

export function writeRental(writer: Writer, rental: Rental): void {
  const { running } = rental;
  writer.fixed(rental.id, HASH_BYTES).fixed(rental.owner, HASH_BYTES).fixed(rental.renter, HASH_BYTES);
  writeRentalTerms(writer, rental.terms);
  writer
    .u32(rental.maximum)
    .u53(rental.rentedAt)
    .bool(running !== undefined);
  if (running !== undefined)
    writer.u53(running.startedAt).u53(running.end).u32(running.uses).u53(running.counter);
  writeDepositOf(writer, rental.deposit);
}

export function readRental(reader: Reader): Rental {
  const rental: Rental = {
    id: readHash(reader),
    owner: readAddress(reader),
    renter: readAddress(reader),
    terms: readRentalTerms(reader),
    maximum: reader.u32(),
    rentedAt: millis(reader.u53()),
    running: reader.bool()
      ? {
          startedAt: millis(reader.u53()),
          end: millis(reader.u53()),
          uses: reader.u32(),
          counter: reader.u53(),
        }
      : undefined,
    deposit: readDepositOf(reader),
  };
  const { running } = rental;
  if (running !== undefined && running.end < running.startedAt)
    reader.refuse('decode.out-of-range', 'expected the end not before the start');
  if (!Number.isSafeInteger(dueOf(rental)))
    reader.refuse('decode.out-of-range', 'expected a rental that ends within all time');
  return rental;
}

export function writeSettlement(writer: Writer, settlement: Settlement): void {
  const { arbiter, claim } = settlement;
  writer
    .fixed(settlement.device, HASH_BYTES)
    .fixed(settlement.owner, HASH_BYTES)
    .fixed(settlement.renter, HASH_BYTES)
    .bool(arbiter !== undefined);
  if (arbiter !== undefined) writer.fixed(arbiter, HASH_BYTES);
  writer
    .u53(settlement.window)
    .u64(settlement.held)
    .bool(claim !== undefined);
  if (claim !== undefined) writer.u64(claim.amount).u64(claim.conceded);
  writer.u53(settlement.until);
  writeDepositOf(writer, settlement.deposit);
}

export function readSettlement(reader: Reader): Settlement {
  const settlement: Settlement = {
    device: readAddress(reader),
    owner: readAddress(reader),
    renter: readAddress(reader),
    arbiter: reader.bool() ? readAddress(reader) : undefined,
    window: millis(reader.u53()),
    held: amount(reader.u64()),
    claim: reader.bool() ? { amount: amount(reader.u64()), conceded: amount(reader.u64()) } : undefined,
    until: millis(reader.u53()),
    deposit: readDepositOf(reader),
  };
  const { claim, held } = settlement;
  if (held === 0n) reader.refuse('decode.not-canonical', 'a deposit that is gone has no record');
  if (claim !== undefined && (claim.amount > held || claim.conceded >= claim.amount))
    reader.refuse('decode.out-of-range', 'expected a claim within the deposit, and not conceded');
  return settlement;
}
