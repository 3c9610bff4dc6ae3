/**
 * Portable Ed25519 verification by the one rule of spec CRYPTO-3. RFC 8032 leaves edge cases open and libraries
 * fill them differently, which on a ledger is a fork; so the rule is spelt out here from curve points, and a
 * native verifier may take its place only if it decides the same on every edge case of the tests.
 */
import { mulAddUnsafe } from '@noble/curves/abstract/curve.js';
import type { EdwardsPoint } from '@noble/curves/abstract/edwards.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, equalBytes } from '../bytes/hex.ts';
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type PublicKey, type SignatureVerifier } from './signature.ts';

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;

/**
 * True when all of these hold: the key is acceptable by `checkPublicKey`; S < L; with h = SHA-512(R ‖ A ‖ M) mod L
 * the encoding of [S]B − [h]A is R byte for byte (cofactorless, hence R is canonical); R is not of small order.
 */
export const verifySignature: SignatureVerifier = (key, message, signature) => {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const a = decodeKey(key);
  if (a === undefined) return false;
  const encodedR = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  if (s >= ORDER) return false;
  const h = littleEndian(sha512(concatBytes(encodedR, key.bytes, message))) % ORDER;
  const r = mulAddUnsafe(Point, [Point.BASE, a.negate()], [s, h]);
  return !r.isSmallOrder() && equalBytes(r.toBytes(), encodedR);
};

/** Whether a key may be registered at all: a canonical encoding of a point that is not of small order. */
export function checkPublicKey(key: PublicKey): boolean {
  return decodeKey(key) !== undefined;
}

function decodeKey(key: PublicKey): EdwardsPoint | undefined {
  if (key.bytes.length !== PUBLIC_KEY_BYTES) return undefined;
  let point: EdwardsPoint;
  try {
    // Strict decoding: y below the field's order, and no sign bit where x is 0.
    point = Point.fromBytes(key.bytes, false);
  } catch {
    return undefined;
  }
  return point.isSmallOrder() ? undefined : point;
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(bytes[i] as number);
  return value;
}
