/** What happens to sponsorships, streams and parameters (spec STATE-19 to STATE-21). */
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import type { ParameterName } from '../ledger/bodies/parameters.ts';
import type { Amount, Millis } from '../ledger/ids.ts';

export type TokenEventBody = SponsorEventBody | StreamEventBody | ParameterEventBody;

type SponsorEventBody =
  | {
      readonly kind: 'sponsorship-opened';
      readonly sponsorship: Hash;
      readonly sponsor: Address;
      readonly name: string;
      /** From the sponsor's balance into the budget. */
      readonly amount: Amount;
    }
  | {
      readonly kind: 'sponsorship-funded';
      readonly sponsorship: Hash;
      readonly sponsor: Address;
      readonly from: Address;
      readonly amount: Amount;
      /** All of the budget now. */
      readonly balance: Amount;
    }
  | { readonly kind: 'sponsorship-changed'; readonly sponsorship: Hash; readonly sponsor: Address }
  | {
      /** Closed, or by its time. */
      readonly kind: 'sponsorship-ended';
      readonly sponsorship: Hash;
      readonly sponsor: Address;
      /** Back to the sponsor's balance. */
      readonly amount: Amount;
    }
  /** What a device used in one day is forgotten. */
  | { readonly kind: 'sponsored-day-ended'; readonly sponsorship: Hash; readonly sponsor: Address };

interface StreamParties {
  readonly stream: Hash;
  /** Payer and payee. */
  readonly from: Address;
  readonly to: Address;
  readonly device: Address | undefined;
}

type StreamEventBody =
  | (StreamParties & {
      readonly kind: 'stream-opened';
      /** From the payer's balance into the stream. */
      readonly amount: Amount;
      readonly rate: Amount;
      readonly period: number;
      readonly start: Millis;
      readonly end: Millis;
    })
  | (StreamParties & {
      /** `from` is whoever paid it in. */
      readonly kind: 'stream-funded';
      readonly amount: Amount;
      readonly end: Millis;
    })
  /** Out of the stream to the payee. */
  | (StreamParties & { readonly kind: 'stream-settled'; readonly amount: Amount })
  | (StreamParties & { readonly kind: 'stream-closing'; readonly end: Millis })
  | (StreamParties & {
      readonly kind: 'stream-ended';
      /** The last payment. */
      readonly amount: Amount;
      /** Back to the payer. */
      readonly rest: Amount;
    });

type ParameterEventBody =
  | {
      /** `parameter-agreed`: with this vote the quorum was reached. */
      readonly kind: 'parameter-voted' | 'parameter-agreed';
      readonly parameter: ParameterName;
      readonly value: bigint;
      readonly voter: Address;
      /** Weight that wants this, and weight of the epoch. */
      readonly support: number;
      readonly total: number;
    }
  | { readonly kind: 'parameter-changed'; readonly parameter: ParameterName; readonly value: bigint };
