/**
 * ML-DSA-44 (FIPS 204), the signature that a quantum computer is not known to forge (spec CRYPTO-9). Pure mode, with a
 * context of ours, so that a signature made with the same key for anything else is none here.
 */
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { utf8Encode } from '../bytes/writer.ts';

export const ML_DSA_KEY_BYTES = 1312;
export const ML_DSA_SIGNATURE_BYTES = 2420;
/** ξ of FIPS 204 §5.1: the key pair follows from it. */
export const ML_DSA_SEED_BYTES = 32;

/** FIPS 204 §5.2, `ctx`. What is signed names its domain and its chain itself. */
export const ML_DSA_CONTEXT: Uint8Array = utf8Encode('ITC1');

/**
 * True when FIPS 204, algorithm 3, says so; `context` is another than ours in tests only. Signatures have one encoding: hints out of order, too many
 * of them, or set bits after the last are refused there. Never throws.
 */
export function verifyMlDsa(
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  context: Uint8Array = ML_DSA_CONTEXT,
): boolean {
  if (!checkMlDsaKey(key) || signature.length !== ML_DSA_SIGNATURE_BYTES) return false;
  return ml_dsa44.verify(signature, message, key, { context });
}

/** Whether a key may be registered: each string of this length is one. */
export function checkMlDsaKey(key: Uint8Array): boolean {
  return key.length === ML_DSA_KEY_BYTES;
}

/**
 * The secret key that belongs to a seed, as the library keeps it, and its public key. For wallets; the core itself signs
 * nothing.
 */
export function mlDsaKeysOf(seed: Uint8Array): {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
} {
  if (seed.length !== ML_DSA_SEED_BYTES)
    throw new RangeError(`a seed has ${ML_DSA_SEED_BYTES} bytes, got ${seed.length}`);
  return ml_dsa44.keygen(seed);
}

/**
 * Without `random`, 32 fresh bytes, the signature is deterministic (FIPS 204 §3.4); with it, faults while signing tell less
 * about the key.
 */
export function signMlDsa(
  secretKey: Uint8Array,
  message: Uint8Array,
  o: { readonly random?: Uint8Array; readonly context?: Uint8Array } = {},
): Uint8Array {
  const { random = false, context = ML_DSA_CONTEXT } = o;
  return ml_dsa44.sign(message, secretKey, { context, extraEntropy: random });
}
