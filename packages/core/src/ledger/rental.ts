/**
 * Renting a device (spec STATE-22): the terms an owner offers, what a renter owes by them, and the words a device signs about it.
 * Whole numbers only: what is owed is exact, and everybody comes to the same.
 */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import type { Address } from './address.ts';
import { readAddress, readHash } from './fields.ts';
import { amount, millis, type Amount, type Millis } from './ids.ts';

/** What is paid for. */
export const RENTAL_UNITS = ['minute', 'use'] as const;
export type RentalUnit = (typeof RENTAL_UNITS)[number];

export const MINUTE_MS = 60_000;

export interface RentalTerms {
  readonly unit: RentalUnit;
  /** Base units for one minute, or for one use. */
  readonly price: Amount;
  /** Minutes or uses that are paid in any case once the rental has started. */
  readonly minimum: number;
  /** The most a renter may rent. */
  readonly maximum: number;
  /** How long a rental by use runs at most; 0 for one by the minute, whose length its maximum says. */
  readonly duration: Millis;
  /** Held back until it is clear that the device has come to no harm. */
  readonly deposit: Amount;
  /** Paid by the renter to whoever brings the device's word of the start and of the stop to the chain, each time. */
  readonly carriage: Amount;
  /** From the block with the rental: the device starts within it, or everything returns. */
  readonly startWithin: Millis;
  /** How long words about a rental may come late, the owner may claim damage, and a claim may be answered. */
  readonly window: Millis;
  /** Decides what owner and renter do not agree on; nobody does when left out. */
  readonly arbiter: Address | undefined;
  /** What a renter may do with the device: OR of `ACTIONS`, and greatest level. */
  readonly actions: number;
  readonly levelMax: number;
}

export function writeRentalTerms(writer: Writer, terms: RentalTerms): void {
  writer
    .u8(RENTAL_UNITS.indexOf(terms.unit))
    .u64(terms.price)
    .u32(terms.minimum)
    .u32(terms.maximum)
    .u53(terms.duration)
    .u64(terms.deposit)
    .u64(terms.carriage)
    .u53(terms.startWithin)
    .u53(terms.window)
    .bool(terms.arbiter !== undefined);
  if (terms.arbiter !== undefined) writer.fixed(terms.arbiter, HASH_BYTES);
  writer.u16(terms.actions).u8(terms.levelMax);
}

/** Form only; what makes no sense is refused by the state machine. */
export function readRentalTerms(reader: Reader): RentalTerms {
  return {
    unit: readUnit(reader),
    price: amount(reader.u64()),
    minimum: reader.u32(),
    maximum: reader.u32(),
    duration: millis(reader.u53()),
    deposit: amount(reader.u64()),
    carriage: amount(reader.u64()),
    startWithin: millis(reader.u53()),
    window: millis(reader.u53()),
    arbiter: reader.bool() ? readAddress(reader) : undefined,
    actions: reader.u16(),
    levelMax: reader.u8(),
  };
}

function readUnit(reader: Reader): RentalUnit {
  const code = reader.u8();
  return (
    RENTAL_UNITS[code] ??
    reader.refuse('decode.unknown-kind', `expected a unit below ${RENTAL_UNITS.length}, got ${code}`)
  );
}

/** What a renter agrees to by name, so that nobody changes the price between reading and renting. */
export function termsHash(terms: RentalTerms): Hash {
  const writer = new Writer(160);
  writeRentalTerms(writer, terms);
  return hashTagged('rentalTerms', writer.finish());
}

/** A rental is named by the transaction that made it, without its signature: known before it is sent, and never again. */
export function rentalId(o: {
  readonly renter: Address;
  readonly lane: number;
  readonly nonce: number;
}): Hash {
  return hashTagged('rental', o.renter, new Writer(9).u8(o.lane).u53(o.nonce).finish());
}

/** How long a rental of `maximum` units runs at most, in milliseconds. */
export function rentalLength(terms: Pick<RentalTerms, 'unit' | 'duration'>, maximum: number): number {
  return terms.unit === 'minute' ? maximum * MINUTE_MS : terms.duration;
}

/** What the renter puts up: the price of all units, the deposit, and two carriages. May be beyond any balance. */
export function rentalEscrow(terms: RentalTerms, maximum: number): bigint {
  return terms.price * BigInt(maximum) + terms.deposit + 2n * terms.carriage;
}

/**
 * What is owed for a rental that has started: a minute that has begun counts in full, never less than the minimum, never more
 * than what was rented.
 */
export function rentalCharge(
  terms: Pick<RentalTerms, 'unit' | 'price' | 'minimum'>,
  rented: { readonly maximum: number; readonly elapsedMs: number; readonly uses: number },
): Amount {
  const used = terms.unit === 'minute' ? Math.ceil(rented.elapsedMs / MINUTE_MS) : rented.uses;
  const units = Math.min(rented.maximum, Math.max(terms.minimum, used));
  return amount(terms.price * BigInt(units));
}

/** What a device says about a rental: by its key, in a payload of content type `rental`, whose sequence is its counter. */
export interface RentalWord {
  readonly rental: Hash;
  readonly event: RentalEvent;
  /** When it happened, by the device's idea of chain time. */
  readonly at: Millis;
  /** Uses so far; 0 at the start. */
  readonly uses: number;
}

export const RENTAL_EVENTS = ['started', 'used', 'stopped'] as const;
export type RentalEvent = (typeof RENTAL_EVENTS)[number];

const VERSION = 1;

export function encodeRentalWord(word: RentalWord): Uint8Array {
  return new Writer(64)
    .u8(VERSION)
    .fixed(word.rental, HASH_BYTES)
    .u8(RENTAL_EVENTS.indexOf(word.event))
    .u53(word.at)
    .u32(word.uses)
    .finish();
}

export function decodeRentalWord(bytes: Uint8Array): Result<RentalWord, DecodeCode> {
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected version ${VERSION}, got ${version}`);
    const rental = readHash(reader);
    const code = reader.u8();
    const event =
      RENTAL_EVENTS[code] ??
      reader.refuse('decode.unknown-kind', `expected an event below ${RENTAL_EVENTS.length}, got ${code}`);
    const word = { rental, event, at: millis(reader.u53()), uses: reader.u32() };
    if (event === 'started' && word.uses !== 0)
      reader.refuse('decode.not-canonical', 'a rental that starts was not used yet');
    return word;
  }, bytes);
}
