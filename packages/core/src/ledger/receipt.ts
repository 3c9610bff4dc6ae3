/** What became of a transaction in a block. A refused one is a receipt with a code, never an exception. */
import type { Hash } from '../crypto/hash.ts';
import type { ErrorCode } from './errors.ts';
import type { Amount, Height } from './ids.ts';
import type { Address } from './address.ts';
import type { BodyKind } from './body.ts';

export interface Receipt {
  readonly transaction: Hash;
  /** The sender. */
  readonly account: Address;
  /** The sponsorship that paid the fee; the sender when left out. */
  readonly sponsor?: Hash;
  readonly height: Height;
  /** Position in the block. */
  readonly index: number;
  readonly kind: BodyKind;
  /** What was taken for it. */
  readonly fee: Amount;
  readonly outcome:
    | { readonly ok: true }
    | { readonly ok: false; readonly code: ErrorCode; readonly message: string };
}
