/** What happened, for explorers, dashboards, gateways and their indexes. Derived from the block: nothing here is hashed. */
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import type { Amount, Height, Millis } from '../ledger/ids.ts';

/** One per accepted transaction. A refused one has its receipt only. */
export type LedgerEvent = LedgerEventBody & {
  readonly height: Height;
  /** Time of the block. */
  readonly at: Millis;
  readonly transaction: Hash;
  /** Position in the block. */
  readonly index: number;
};

export type LedgerEventBody =
  | { readonly kind: 'transferred'; readonly from: Address; readonly to: Address; readonly amount: Amount }
  | { readonly kind: 'maker-registered'; readonly maker: Address; readonly name: string }
  | {
      readonly kind: 'batch-registered';
      readonly batch: Hash;
      readonly maker: Address;
      readonly count: number;
      readonly model: Hash;
      readonly depositPerDevice: Amount;
    }
  | {
      readonly kind: 'device-claimed';
      readonly device: Address;
      readonly owner: Address;
      readonly batch: Hash;
      readonly model: Hash;
      /** The built-in ITC that went to the device's account. */
      readonly deposit: Amount;
    }
  | {
      readonly kind: 'granted';
      readonly device: Address;
      readonly owner: Address;
      readonly subject: Address;
      readonly actions: number;
      readonly levelMax: number;
      readonly notBefore: Millis;
      readonly expiresAt: Millis;
    }
  | { readonly kind: 'revoked'; readonly device: Address; readonly owner: Address; readonly subject: Address }
  | {
      readonly kind: 'subnet-created';
      readonly subnet: Hash;
      readonly creator: Address;
      readonly name: string;
      readonly members: number;
    }
  | {
      readonly kind: 'checkpoint-committed';
      readonly subnet: Hash;
      readonly sequence: number;
      /** Of the checkpoint: the `previous` of the next one. */
      readonly hash: Hash;
      readonly appliedRoot: Hash;
      readonly envelopeCount: number;
      readonly payloadCount: number;
      readonly powBits: number;
      /** Greatest envelope time. */
      readonly time: Millis;
      /** Stake that signed, and stake of all members. */
      readonly weight: number;
      readonly total: number;
    };

export type LedgerEventKind = LedgerEvent['kind'];
