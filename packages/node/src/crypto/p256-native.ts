/**
 * P-256 by OpenSSL behind the one rule of spec CRYPTO-8. OpenSSL takes keys in several forms and s in either half, so lengths,
 * ranges and the form of the key are checked before it is asked; what is left it decides as the portable verifier does,
 * thirty times faster. That it does is compared on edge cases by the tests.
 */
import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { idText } from '@itc/core/bytes/id-text.js';
import { isP256SignatureForm, P256_KEY_BYTES } from '@itc/core/crypto/p256.js';

/** SubjectPublicKeyInfo of RFC 5480 round a compressed point. */
const SPKI_FRAME = Uint8Array.of(
  0x30, 0x39, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
  0x07, 0x03, 0x22, 0x00,
); // prettier-ignore

/** Taking a key apart costs three times what a check does, and who signs often signs again: a few MB at most. */
const KEYS_MAX = 4096;
const keys = new Map<string, KeyObject | undefined>();

export function verifyP256Native(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isP256SignatureForm(signature)) return false;
  const opened = keyOf(key);
  return (
    opened !== undefined && verify('sha256', message, { key: opened, dsaEncoding: 'ieee-p1363' }, signature)
  );
}

/** Undefined for bytes that are not a compressed point of the curve. */
function keyOf(bytes: Uint8Array): KeyObject | undefined {
  if (bytes.length !== P256_KEY_BYTES || (bytes[0] !== 2 && bytes[0] !== 3)) return undefined;
  const name = idText(bytes);
  if (keys.has(name)) return keys.get(name);
  const der = new Uint8Array(SPKI_FRAME.length + P256_KEY_BYTES);
  der.set(SPKI_FRAME);
  der.set(bytes, SPKI_FRAME.length);
  let opened: KeyObject | undefined;
  try {
    opened = createPublicKey({ key: der as Buffer, format: 'der', type: 'spki' });
  } catch {
    opened = undefined;
  }
  if (keys.size >= KEYS_MAX) keys.clear();
  keys.set(name, opened);
  return opened;
}
