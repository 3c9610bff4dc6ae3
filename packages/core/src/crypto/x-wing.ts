/**
 * X-Wing (draft-connolly-cfrg-xwing-kem): X25519 and ML-KEM-768 (FIPS 203) as one key encapsulation, spec QUANTUM-5. The secret is hashed
 * from both, so it stays one as long as either does.
 */
import { ml_kem768_x25519 as xWing } from '@noble/post-quantum/hybrid.js';

export const X_WING_KEY_BYTES = 1216;
export const X_WING_CIPHERTEXT_BYTES = 1120;
export const X_WING_SEED_BYTES = 32;
/** Of one encapsulation. */
export const X_WING_RANDOM_BYTES = 64;

export interface XWingKeys {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** From 32 fresh bytes. Some milliseconds, like what follows. */
export function xWingKeysOf(seed: Uint8Array): XWingKeys {
  if (seed.length !== X_WING_SEED_BYTES)
    throw new RangeError(`a seed has ${X_WING_SEED_BYTES} bytes, got ${seed.length}`);
  return xWing.keygen(seed);
}

/**
 * A secret of 32 bytes for who holds the secret key, from 64 fresh bytes. Undefined for a public key that is none: of another length, not
 * reduced, or an X25519 point of small order.
 */
export function xWingEncapsulate(
  publicKey: Uint8Array,
  random: Uint8Array,
): { readonly ciphertext: Uint8Array; readonly secret: Uint8Array } | undefined {
  if (publicKey.length !== X_WING_KEY_BYTES || random.length !== X_WING_RANDOM_BYTES) return undefined;
  try {
    const { cipherText, sharedSecret } = xWing.encapsulate(publicKey, random);
    return { ciphertext: cipherText, secret: sharedSecret };
  } catch {
    return undefined;
  }
}

/** For a changed ciphertext it is another secret, not an error (FIPS 203 §6.3); undefined where X25519 refuses its part. */
export function xWingDecapsulate(secretKey: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
  if (ciphertext.length !== X_WING_CIPHERTEXT_BYTES) return undefined;
  try {
    return xWing.decapsulate(ciphertext, secretKey);
  } catch {
    return undefined;
  }
}
