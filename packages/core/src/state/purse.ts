/** Money other than the sender's that pays for what a transaction adds to the state (spec STATE-19). */
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import type { Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';

export interface Purse {
  /** Whose records it pays for: the sender of the transaction at hand. */
  readonly sender: Address;
  /** Who has deposits back. */
  readonly payer: Address;
  /** Out of which it comes. */
  readonly sponsorship: Hash;
  /** Takes it, or says why not and changes nothing. */
  readonly take: (draft: Draft, value: bigint) => Flaw;
}
