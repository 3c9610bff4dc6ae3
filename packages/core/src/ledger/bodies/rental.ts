/** Bodies of renting (spec STATE-22). */
import type { Reader } from '../../bytes/reader.ts';
import type { Writer } from '../../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../../crypto/hash.ts';
import type { Address } from '../address.ts';
import { readAddress, readHash } from '../fields.ts';
import { amount, millis, type Amount, type Millis } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { readRentalTerms, writeRentalTerms, type RentalTerms } from '../rental.ts';
import type { BodyCodecs } from './codec.ts';

export type RentalBody =
  /** By the owner: one offer per device; a new one takes the place of the old. */
  | {
      readonly kind: 'offer-rental';
      readonly device: Address;
      readonly terms: RentalTerms;
      readonly expiresAt: Millis;
    }
  /** By the owner. A rental that is there goes on. */
  | { readonly kind: 'withdraw-offer'; readonly device: Address }
  | {
      readonly kind: 'rent';
      readonly device: Address;
      /** `termsHash` of the offer the renter has seen. */
      readonly terms: Hash;
      /** Minutes or uses, within the offer. */
      readonly maximum: number;
    }
  /** By anyone: the device's word, a COSE_Sign1 of content type `rental`. */
  | { readonly kind: 'rental-start'; readonly word: Uint8Array }
  | { readonly kind: 'rental-use'; readonly word: Uint8Array }
  | { readonly kind: 'rental-stop'; readonly word: Uint8Array }
  /** By the renter: gives the device back now; the device's own word, should it come, counts more. */
  | { readonly kind: 'end-rental'; readonly device: Address }
  /** By the owner, of the deposit. */
  | { readonly kind: 'claim-damage'; readonly rental: Hash; readonly amount: Amount }
  /** By the renter: what he concedes. By the arbiter: what the owner gets. */
  | { readonly kind: 'answer-claim'; readonly rental: Hash; readonly amount: Amount };

const writeWord = (writer: Writer, { word }: { readonly word: Uint8Array }): void => {
  writer.bytes(word);
};
const readWord = (reader: Reader): Uint8Array => reader.bytes(LIMITS.deviceWordBytesMax).slice();

const writeClaim = (writer: Writer, body: { readonly rental: Hash; readonly amount: Amount }): void => {
  writer.fixed(body.rental, HASH_BYTES).u64(body.amount);
};

export const RENTAL_CODECS: BodyCodecs<RentalBody> = {
  'offer-rental': {
    write: (writer, body) => {
      writer.fixed(body.device, HASH_BYTES);
      writeRentalTerms(writer, body.terms);
      writer.u53(body.expiresAt);
    },
    read: (reader) => ({
      kind: 'offer-rental',
      device: readAddress(reader),
      terms: readRentalTerms(reader),
      expiresAt: millis(reader.u53()),
    }),
  },
  'withdraw-offer': {
    write: (writer, body) => writer.fixed(body.device, HASH_BYTES),
    read: (reader) => ({ kind: 'withdraw-offer', device: readAddress(reader) }),
  },
  rent: {
    write: (writer, body) =>
      writer.fixed(body.device, HASH_BYTES).fixed(body.terms, HASH_BYTES).u32(body.maximum),
    read: (reader) => ({
      kind: 'rent',
      device: readAddress(reader),
      terms: readHash(reader),
      maximum: reader.u32(),
    }),
  },
  'rental-start': { write: writeWord, read: (reader) => ({ kind: 'rental-start', word: readWord(reader) }) },
  'rental-use': { write: writeWord, read: (reader) => ({ kind: 'rental-use', word: readWord(reader) }) },
  'rental-stop': { write: writeWord, read: (reader) => ({ kind: 'rental-stop', word: readWord(reader) }) },
  'end-rental': {
    write: (writer, body) => writer.fixed(body.device, HASH_BYTES),
    read: (reader) => ({ kind: 'end-rental', device: readAddress(reader) }),
  },
  'claim-damage': {
    write: writeClaim,
    read: (reader) => ({ kind: 'claim-damage', rental: readHash(reader), amount: amount(reader.u64()) }),
  },
  'answer-claim': {
    write: writeClaim,
    read: (reader) => ({ kind: 'answer-claim', rental: readHash(reader), amount: amount(reader.u64()) }),
  },
};
