/** Signers with ML-DSA-44 keys: for those who want to be safe from quantum computers (spec CRYPTO-9). */
import { mlDsaKeysOf, signMlDsa } from '@itc/core/crypto/ml-dsa.js';
import { ML_DSA_44, type PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf } from '@itc/core/ledger/address.js';
import type { SeedSigner } from './keys.ts';

/**
 * From a seed of 32 bytes. `random` gives fresh bytes for each signature (hedged, FIPS 204 §3.4), which a fault while signing
 * tells less; without it the same bytes have the same signature. Takes some milliseconds for each.
 */
export function mlDsaSigner(seed: Uint8Array, random?: (length: number) => Uint8Array): SeedSigner {
  const { publicKey: bytes, secretKey } = mlDsaKeysOf(seed);
  const publicKey: PublicKey = { algorithm: ML_DSA_44, bytes };
  return {
    publicKey,
    address: addressOf(publicKey),
    sign: (message) => signMlDsa(secretKey, message, random === undefined ? {} : { random: random(32) }),
  };
}
