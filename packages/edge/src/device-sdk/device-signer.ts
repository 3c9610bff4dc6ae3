/** The device's key. It stays where it is: in a secure element nobody reads it. */
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';

export interface DeviceSigner {
  readonly publicKey: PublicKey;
  readonly address: Address;
  sign(bytes: Uint8Array): Uint8Array;
}
