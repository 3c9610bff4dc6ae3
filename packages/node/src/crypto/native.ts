/**
 * Native primitives behind the core's seams: libsodium for Ed25519, OpenSSL for SHA-256 and P-256. The only file
 * that imports sodium-native.
 */
import { hash } from 'node:crypto';
import sodium from 'sodium-native';
import { installBatchHasher } from '@itc/core/crypto/batch-hasher.js';
import { HASH_BYTES, installSha256 } from '@itc/core/crypto/hash.js';
import { verifyMlDsa } from '@itc/core/crypto/ml-dsa.js';
import {
  ED25519,
  ML_DSA_44,
  P256,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  WEBAUTHN,
  type SignatureVerifier,
} from '@itc/core/crypto/signature.js';
import { openAssertion } from '@itc/core/crypto/webauthn.js';
import { laneHasher } from './sha256-lanes.ts';
import { verifyP256Native } from './p256-native.ts';

/** Ed25519 (RFC 8032 §5.1.5): 32 secret bytes from which the key pair follows. */
export const SEED_BYTES = 32;
const SECRET_KEY_BYTES = 64;

/** Makes the core hash natively. Call once at the start of every process and worker. */
export function installNativeCrypto(): void {
  installSha256(sha256Native, (bytes) => hash('sha256', bytes, 'binary'));
  installBatchHasher(laneHasher);
}

/**
 * One-shot OpenSSL, which uses the processor's SHA instructions; libsodium's code does not and is level
 * with it only below 64 bytes. The digest travels as a Latin-1 ("binary") string because a small string is cheaper to
 * bring across the native border than a Buffer (1.4 M/s against 0.9 M/s for 80 bytes), and a fresh 32-byte
 * `Uint8Array` is not a slice of a pool that it would keep alive.
 */
export function sha256Native(bytes: Uint8Array): Uint8Array {
  const digest = hash('sha256', bytes, 'binary');
  const out = new Uint8Array(HASH_BYTES);
  for (let i = 0; i < HASH_BYTES; i += 1) out[i] = digest.charCodeAt(i);
  return out;
}

/**
 * Every scheme by its one rule (spec CRYPTO-3, CRYPTO-8 to CRYPTO-10): natively where a native verifier decides just so,
 * which leaves ML-DSA to the portable code at some two milliseconds each, for the worker pool.
 */
export const verifyNative: SignatureVerifier = (key, message, signature) => {
  switch (key.algorithm) {
    case ED25519:
      return verifyEd25519Native(key.bytes, message, signature);
    case P256:
      return verifyP256Native(key.bytes, message, signature);
    case ML_DSA_44:
      return verifyMlDsa(key.bytes, message, signature);
    case WEBAUTHN: {
      const asserted = openAssertion(key.bytes, message, signature);
      return asserted !== undefined && verifyP256Native(asserted.key, asserted.message, asserted.signature);
    }
  }
  return false;
};

/**
 * libsodium refuses S ≥ L, small-order R and A and a non-canonical A, and compares the bytes of R, so that a non-canonical
 * R never matches. Lengths are checked here because the bindings assert them.
 */
function verifyEd25519Native(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return (
    key.length === PUBLIC_KEY_BYTES &&
    signature.length === SIGNATURE_BYTES &&
    sodium.crypto_sign_verify_detached(signature, message, key)
  );
}

/** The public key and libsodium's 64-byte secret key (seed ‖ public key). */
export function expandSeed(seed: Uint8Array): {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
} {
  if (seed.length !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes, got ${seed.length}`);
  const publicKey = new Uint8Array(PUBLIC_KEY_BYTES);
  const secretKey = new Uint8Array(SECRET_KEY_BYTES);
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed);
  return { publicKey, secretKey };
}

export function signNative(secretKey: Uint8Array, message: Uint8Array): Uint8Array {
  const signature = new Uint8Array(SIGNATURE_BYTES);
  sodium.crypto_sign_detached(signature, message, secretKey);
  return signature;
}

/** Overwrites a secret that is no longer needed; the optimiser cannot remove it. */
export function wipe(secret: Uint8Array): void {
  sodium.sodium_memzero(secret);
}
