/** Events of renting (spec STATE-22). The renter is the `subject`, as with grants. */
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import type { Amount, Millis } from '../ledger/ids.ts';
import type { RentalTerms } from '../ledger/rental.ts';

interface Parties {
  readonly device: Address;
  readonly owner: Address;
  readonly subject: Address;
  readonly rental: Hash;
}

export type RentalEventBody =
  | {
      readonly kind: 'rental-offered';
      readonly device: Address;
      readonly owner: Address;
      readonly terms: RentalTerms;
      readonly expiresAt: Millis;
    }
  | {
      /** `offer-expired`: by itself. */
      readonly kind: 'offer-withdrawn' | 'offer-expired';
      readonly device: Address;
      readonly owner: Address;
    }
  | ({
      readonly kind: 'rented';
      readonly maximum: number;
      /** What the renter put up. */
      readonly held: Amount;
      /** The last moment to start. */
      readonly startBy: Millis;
    } & Parties)
  | ({ readonly kind: 'rental-started'; readonly startedAt: Millis; readonly end: Millis } & Parties)
  | ({ readonly kind: 'rental-used'; readonly at: Millis; readonly uses: number } & Parties)
  /** By the renter's word; the device's own may still come. */
  | ({ readonly kind: 'rental-given-back'; readonly end: Millis } & Parties)
  /** Never started: everything returned. */
  | ({ readonly kind: 'rental-lapsed'; readonly returned: Amount } & Parties)
  | ({
      readonly kind: 'rental-settled';
      readonly startedAt: Millis;
      readonly end: Millis;
      readonly uses: number;
      /** To the owner. */
      readonly charge: Amount;
      /** To the renter. */
      readonly returned: Amount;
      /** Of the deposit, until the owner can claim it no more. */
      readonly heldBack: Amount;
    } & Parties)
  | ({ readonly kind: 'damage-claimed'; readonly amount: Amount; readonly until: Millis } & Parties)
  /** By the renter, of a claim that stands. */
  | ({ readonly kind: 'damage-conceded'; readonly amount: Amount } & Parties)
  | ({
      readonly kind: 'rental-deposit-settled';
      readonly by: 'renter' | 'arbiter' | 'time';
      readonly toOwner: Amount;
      readonly toRenter: Amount;
    } & Parties);
