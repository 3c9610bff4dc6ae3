/** Deterministic Ed25519 key pairs for tests: the same seed number gives the same keys on every machine. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hash as nodeHash,
  sign as nodeSign,
  verify as nodeVerify,
} from 'node:crypto';
import { toHex } from '../bytes/hex.ts';
import { installSha256 } from '../crypto/hash.ts';
import { ED25519, PUBLIC_KEY_BYTES, type PublicKey, type SignatureVerifier } from '../crypto/signature.ts';
import { addressOf, type Address } from '../ledger/address.ts';

export interface KeyPair {
  readonly key: PublicKey;
  readonly address: Address;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
}

/** DER frames of RFC 8410 round the 32 bytes. */
const PRIVATE_FRAME = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_FRAME = Buffer.from('302a300506032b6570032100', 'hex');

export function keyPair(seed: number): KeyPair {
  let pair = made.get(seed);
  if (pair === undefined) {
    pair = keyPairFromSecret(createHash('sha256').update(`itc test key ${seed}`).digest());
    made.set(seed, pair);
  }
  return pair;
}

/** Making one costs as much as several signatures, and worlds ask for the same ones over and over. */
const made = new Map<number, KeyPair>();

/** From the 32-byte secret of RFC 8032. */
export function keyPairFromSecret(secret: Uint8Array): KeyPair {
  const der = Buffer.concat([PRIVATE_FRAME, secret]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const bytes = Uint8Array.from(spki.subarray(PUBLIC_FRAME.length));
  const key: PublicKey = { algorithm: ED25519, bytes };
  return {
    key,
    address: addressOf(key),
    sign: (message) => Uint8Array.from(nodeSign(null, message, privateKey)),
  };
}

/**
 * Thirty times faster than the portable verifier. It agrees with it on honest signatures and on corrupted ones,
 * not on crafted edge cases: tests of those use the portable one.
 */
export const verifyQuickly: SignatureVerifier = (key, message, signature) => {
  if (key.bytes.length !== PUBLIC_KEY_BYTES) return false;
  const der = Buffer.concat([PUBLIC_FRAME, key.bytes]);
  return nodeVerify(null, message, { key: der, format: 'der', type: 'spki' }, signature);
};

/** Counts how often a verifier is asked. */
export const countingVerifier = (
  verify: SignatureVerifier,
): { verify: SignatureVerifier; calls: () => number } => {
  let calls = 0;
  return {
    verify: (key, message, signature) => {
      calls += 1;
      return verify(key, message, signature);
    },
    calls: () => calls,
  };
};

/** Answers a repeated question from memory: for tests that change one byte of a proof at a time. */
export function rememberingVerifier(verify: SignatureVerifier): SignatureVerifier {
  const answers = new Map<string, boolean>();
  return (key, message, signature) => {
    const question = [key.bytes, message, signature].map(toHex).join(' ');
    const known = answers.get(question);
    if (known !== undefined) return known;
    const answer = verify(key, message, signature);
    answers.set(question, answer);
    return answer;
  };
}

/** A plain array, as `installSha256` asks for. */
export function nativeSha256(bytes: Uint8Array): Uint8Array {
  const hash = nodeHash('sha256', bytes, 'buffer');
  return new Uint8Array(hash.buffer, hash.byteOffset, hash.length);
}

/** Lets a test file hash natively. */
export function installNativeSha256(): void {
  installSha256(nativeSha256);
}
