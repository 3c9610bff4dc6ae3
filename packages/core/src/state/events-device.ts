/** What happens to devices and to access, for explorers, gateways and their indexes (spec STATE-16, STATE-17). */
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import type { Amount, Millis } from '../ledger/ids.ts';
import type { Terms } from '../ledger/terms.ts';

export type DeviceLifeEventBody =
  | {
      readonly kind: 'model-registered';
      readonly maker: Address;
      readonly model: Hash;
      readonly name: string;
    }
  | { readonly kind: 'attestation-set'; readonly maker: Address; readonly key: PublicKey }
  | {
      readonly kind: 'device-offered';
      readonly device: Address;
      readonly owner: Address;
      readonly to: Address;
      readonly price: Amount;
      readonly expiresAt: Millis;
    }
  | {
      readonly kind: 'device-offer-withdrawn';
      readonly device: Address;
      readonly owner: Address;
      readonly to: Address;
      /** One of the two. */
      readonly by: Address;
    }
  | {
      /** By itself, at its time. */
      readonly kind: 'device-offer-expired';
      readonly device: Address;
      readonly to: Address;
    }
  | {
      readonly kind: 'device-transferred';
      readonly device: Address;
      readonly from: Address;
      /** The owner from now on. */
      readonly to: Address;
      readonly price: Amount;
      readonly transfers: number;
    }
  | { readonly kind: 'device-stolen' | 'device-found'; readonly device: Address; readonly owner: Address }
  | {
      readonly kind: 'device-retired';
      readonly device: Address;
      readonly owner: Address;
      /** What was left of the built-in ITC, paid to the owner. */
      readonly returned: Amount;
    }
  | {
      readonly kind: 'device-recovery-opened';
      readonly device: Address;
      readonly owner: Address;
      /** Who asks for it. */
      readonly subject: Address;
      readonly readyAt: Millis;
    }
  | {
      readonly kind: 'device-recovery-set';
      readonly device: Address;
      readonly owner: Address;
      /** 0: none is possible. */
      readonly delay: number;
      /** Whose recovery this ended, if one was under way. */
      readonly subject: Address | undefined;
    }
  | { readonly kind: 'device-recovery-lapsed'; readonly device: Address; readonly subject: Address }
  | {
      readonly kind: 'device-recovered';
      readonly device: Address;
      readonly from: Address;
      readonly to: Address;
      readonly transfers: number;
    };

/** One of `device` and `group` is there. */
interface Where {
  readonly device?: Address;
  readonly group?: Hash;
}

export type AccessEventBody =
  | ({
      readonly kind: 'granted';
      readonly device: Address;
      readonly owner: Address;
      readonly subject: Address;
    } & Terms)
  | {
      /** By itself, at its time. */
      readonly kind: 'grant-expired';
      readonly device: Address;
      readonly owner: Address;
      readonly subject: Address;
    }
  | { readonly kind: 'revoked'; readonly device: Address; readonly owner: Address; readonly subject: Address }
  | {
      readonly kind: 'group-set';
      readonly group: Hash;
      readonly owner: Address;
      readonly name: string;
      readonly place: boolean;
      readonly devices: readonly Address[];
    }
  | {
      readonly kind: 'group-removed';
      readonly group: Hash;
      readonly owner: Address;
      readonly name: string;
    }
  | ({
      readonly kind: 'group-granted';
      readonly group: Hash;
      readonly owner: Address;
      readonly subject: Address;
    } & Terms)
  | {
      readonly kind: 'group-grant-expired' | 'group-revoked';
      readonly group: Hash;
      readonly owner: Address;
      readonly subject: Address;
    }
  | (Where & {
      readonly kind: 'delegated';
      /** Who delegated. */
      readonly from: Address;
      readonly subject: Address;
      readonly terms: Terms;
    })
  | (Where & {
      readonly kind: 'delegation-expired' | 'delegation-revoked';
      readonly from: Address;
      readonly subject: Address;
    });
