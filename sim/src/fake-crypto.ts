/**
 * Signatures and hashes that are quick and deterministic, and worthless outside of here. Nobody in the simulator
 * forges a signature it was not given the key for, and that is all that unforgeability means to the protocol.
 */
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import {
  ED25519,
  SIGNATURE_BYTES,
  type PublicKey,
  type SignatureVerifier,
} from '@itc/core/crypto/signature.js';
import { fakeVerify as verifyPerson } from '@itc/core/testing/state-world.js';

/** 32 bytes from two multiplicative 32-bit lanes, spread by a counter. */
export function fakeHash(...parts: readonly Uint8Array[]): Hash {
  const [a, b] = mix(0x811c9dc5, parts);
  return asHash(spread(a, b, 32));
}

export function fakeKey(index: number): PublicKey {
  const bytes = new Uint8Array(32);
  bytes[0] = index;
  bytes[31] = 0x5a;
  return { algorithm: ED25519, bytes };
}

export function fakeSign(key: PublicKey, message: Uint8Array): Uint8Array {
  const [a, b] = mix(0x01000193, [key.bytes, message]);
  // Two lanes hold all there is to know; the rest is filled, so that a signature has the length of a real one.
  const words = new Uint32Array(SIGNATURE_BYTES / 4).fill(a ^ b);
  words[0] = a;
  words[1] = b;
  return new Uint8Array(words.buffer);
}

export const fakeVerify: SignatureVerifier = (key, message, signature) => {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const expected = fakeSign(key, message);
  for (let i = 0; i < SIGNATURE_BYTES; i += 1) if (expected[i] !== signature[i]) return false;
  return true;
};

/** Of validators, and of the people whose transactions the core's test worlds make. */
export const verifyAny: SignatureVerifier = (key, message, signature) =>
  fakeVerify(key, message, signature) || verifyPerson(key, message, signature);

function mix(seed: number, parts: readonly Uint8Array[]): [number, number] {
  let a = seed | 0;
  let b = 0x9e3779b9 | 0;
  for (const part of parts) {
    a = Math.imul(a ^ part.length, 0x85ebca6b);
    for (const byte of part) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b ^ byte, 0x5bd1e995) ^ (a >>> 15);
    }
  }
  return [a, b];
}

function spread(a: number, b: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  let x = a;
  let y = b;
  for (let at = 0; at < length; at += 4) {
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b) ^ y;
    y = Math.imul(y ^ (y >>> 13), 0xc2b2ae35) + at;
    view.setUint32(at, (x ^ y) >>> 0);
  }
  return out;
}
