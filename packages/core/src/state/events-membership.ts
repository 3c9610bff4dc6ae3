/** What happens to members by stake (spec STATE-24); `member` is the address of the member's key. */
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import type { Amount, Height } from '../ledger/ids.ts';

export type MembershipEventBody =
  | {
      readonly kind: 'member-staked';
      readonly subnet: Hash;
      readonly member: Address;
      readonly owner: Address;
      readonly key: PublicKey;
      readonly amount: Amount;
      /** All of it now. */
      readonly stake: Amount;
    }
  | {
      readonly kind: 'member-leaving';
      readonly subnet: Hash;
      readonly member: Address;
      readonly owner: Address;
      readonly amount: Amount;
      /** What stays. */
      readonly stake: Amount;
      readonly releaseAt: Height;
    }
  | {
      /** `member-admitted`: with this vote the quorum was reached. */
      readonly kind: 'admission-voted' | 'member-admitted';
      readonly subnet: Hash;
      readonly member: Address;
      readonly owner: Address;
      /** The member that votes, and its owner. */
      readonly voter: Address;
      readonly from: Address;
      readonly support: number;
      readonly total: number;
    }
  | {
      readonly kind: 'stake-returned';
      readonly subnet: Hash;
      readonly member: Address;
      readonly owner: Address;
      readonly amount: Amount;
    }
  | {
      /** Shown to have broken the rules: half of its stake is gone, and it gets no weight any more. */
      readonly kind: 'member-punished';
      readonly subnet: Hash;
      readonly member: Address;
      readonly owner: Address;
      readonly key: PublicKey;
      readonly fault: 'equivocation' | 'forgery';
      readonly burned: Amount;
    };
