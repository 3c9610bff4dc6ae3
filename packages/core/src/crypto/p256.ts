/**
 * Portable ECDSA over P-256 with SHA-256 by the one rule of spec CRYPTO-8. FIPS 186-5 leaves to the caller how keys and
 * signatures are written and which of the two signatures (r, s) and (r, n − s) is meant; on a ledger there must be
 * one answer to each, so the rule is spelt out here from curve points.
 */
import { mulAddUnsafe } from '@noble/curves/abstract/curve.js';
import type { WeierstrassPoint } from '@noble/curves/abstract/weierstrass.js';
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from './hash.ts';

/** SEC 1 §2.3.3, compressed: 0x02 or 0x03 by the parity of y, then x, big-endian. */
export const P256_KEY_BYTES = 33;
/** r ‖ s, 32 bytes each, big-endian. */
export const P256_SIGNATURE_BYTES = 64;

const { Point } = p256;
const ORDER: bigint = Point.Fn.ORDER;
/** s is at most this: of the two values that verify, the lesser. */
const HALF_ORDER: bigint = ORDER >> 1n;

/**
 * True when the key is acceptable by `checkP256Key`; 1 ≤ r < n; 1 ≤ s ≤ (n − 1)/2; and with e = SHA-256(message), the
 * point R = [e/s]G + [r/s]Q is not the point at infinity and has an x coordinate that is r modulo n. Never throws.
 */
export function verifyP256(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return verifyP256Digest(key, sha256(message), signature);
}

/** The same for a message of which the SHA-256 is known. */
export function verifyP256Digest(key: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean {
  if (!isP256SignatureForm(signature)) return false;
  const q = decodeKey(key);
  if (q === undefined) return false;
  const r = bigEndian(signature.subarray(0, 32));
  const s = bigEndian(signature.subarray(32));
  // n has 256 bits, so the whole digest counts.
  const e = bigEndian(digest) % ORDER;
  const inverse = Point.Fn.inv(s);
  const point = mulAddUnsafe(Point, [Point.BASE, q], [Point.Fn.mul(e, inverse), Point.Fn.mul(r, inverse)]);
  return !point.is0() && point.toAffine().x % ORDER === r;
}

/** Whether a key may be registered: the compressed form of a point of the curve. The cofactor is 1, so any will do. */
export function checkP256Key(key: Uint8Array): boolean {
  return decodeKey(key) !== undefined;
}

/** 64 bytes with r and s in range, and s in the lower half: what can be said without a key. */
export function isP256SignatureForm(signature: Uint8Array): boolean {
  if (signature.length !== P256_SIGNATURE_BYTES) return false;
  const r = bigEndian(signature.subarray(0, 32));
  const s = bigEndian(signature.subarray(32));
  return r > 0n && r < ORDER && s > 0n && s <= HALF_ORDER;
}

/**
 * The form of spec CRYPTO-8 for r ‖ s with s in either half, as WebCrypto and many secure elements give it. Undefined when it
 * is no signature. For wallets: a verifier takes nothing but the one form.
 */
export function canonicalP256Signature(made: Uint8Array): Uint8Array | undefined {
  if (made.length !== P256_SIGNATURE_BYTES) return undefined;
  return canonical(bigEndian(made.subarray(0, 32)), bigEndian(made.subarray(32)));
}

/** The same for DER (SEC 1 §C.5), as WebAuthn has it. */
export function p256SignatureFromDer(der: Uint8Array): Uint8Array | undefined {
  // Lengths below 128 have one byte, and a signature is never longer.
  if (der.length > DER_BYTES_MAX || der[0] !== SEQUENCE || der[1] !== der.length - 2) return undefined;
  const r = readDerInteger(der, 2);
  if (r === undefined) return undefined;
  const s = readDerInteger(der, r.end);
  return s === undefined || s.end !== der.length ? undefined : canonical(r.value, s.value);
}

function canonical(r: bigint, s: bigint): Uint8Array | undefined {
  if (r <= 0n || r >= ORDER || s <= 0n || s >= ORDER) return undefined;
  const signature = new Uint8Array(P256_SIGNATURE_BYTES);
  putBigEndian(signature.subarray(0, 32), r);
  putBigEndian(signature.subarray(32), s > HALF_ORDER ? ORDER - s : s);
  return signature;
}

const SEQUENCE = 0x30;
const INTEGER = 0x02;
/** SEQUENCE of two integers of up to 33 bytes each. */
const DER_BYTES_MAX = 72;

/** A positive integer in as few bytes as it takes. */
function readDerInteger(
  bytes: Uint8Array,
  at: number,
): { readonly value: bigint; readonly end: number } | undefined {
  const length = bytes[at + 1];
  if (bytes[at] !== INTEGER || length === undefined || length === 0) return undefined;
  const end = at + 2 + length;
  if (end > bytes.length) return undefined;
  const digits = bytes.subarray(at + 2, end);
  const first = digits[0] as number;
  if (first >= 0x80) return undefined;
  if (first === 0 && digits.length > 1 && (digits[1] as number) < 0x80) return undefined;
  return { value: bigEndian(digits), end };
}

function decodeKey(key: Uint8Array): WeierstrassPoint<bigint> | undefined {
  // The library also reads uncompressed points: the length rules them out.
  if (key.length !== P256_KEY_BYTES) return undefined;
  try {
    const point = Point.fromBytes(key);
    return point.is0() ? undefined : point;
  } catch {
    return undefined;
  }
}

function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function putBigEndian(target: Uint8Array, value: bigint): void {
  let rest = value;
  for (let i = target.length - 1; i >= 0; i -= 1) {
    target[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}
