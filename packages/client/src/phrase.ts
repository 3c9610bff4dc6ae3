/**
 * Recovery phrases (BIP-39) and the keys that follow from one (SLIP-0010): for those who want to write their account on paper.
 * One phrase has accounts of every scheme: m / 44' / COIN' / algorithm' / account', all hardened.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { entropyToMnemonic, mnemonicToEntropy, mnemonicToSeedSync } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { concatBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { ED25519, ML_DSA_44, P256 } from '@itc/core/crypto/signature.js';
import type { SecretAlgorithm } from './keys-secret.ts';

/** Bytes of entropy by number of words (BIP-39). */
export const PHRASE_ENTROPY: Readonly<Record<number, number>> = { 12: 16, 15: 20, 18: 24, 21: 28, 24: 32 };

/** "ITC" in ASCII; not registered with SLIP-0044. */
export const COIN_TYPE = 0x495443;

/** Words that carry the entropy, lower case, one space between. Throws for a length BIP-39 does not know. */
export function phraseOf(entropy: Uint8Array): string {
  return entropyToMnemonic(entropy, wordlist);
}

/** Of what somebody typed: case and spaces do not count, each word and the checksum do. */
export function entropyOf(phrase: string): Result<Uint8Array, 'key.malformed'> {
  const words = phrase.normalize('NFKD').trim().toLowerCase().split(/\s+/);
  if (PHRASE_ENTROPY[words.length] === undefined)
    return refused('key.malformed', `expected 12, 15, 18, 21 or 24 words, got ${words.length}`);
  const unknown = words.find((word) => !wordlist.includes(word));
  if (unknown !== undefined)
    return refused('key.malformed', `${JSON.stringify(unknown)} is not a word of the list`);
  try {
    return ok(mnemonicToEntropy(words.join(' '), wordlist));
  } catch {
    return refused('key.malformed', 'the last word does not fit the others: one of them is wrong');
  }
}

/** BIP-39: 64 bytes by PBKDF2. `password` is the "25th word", empty as a rule. */
export function seedOfPhrase(entropy: Uint8Array, password = ''): Uint8Array {
  return mnemonicToSeedSync(phraseOf(entropy), password);
}

/** A node of SLIP-0010: 32 secret bytes and the chain code below which others follow. */
export interface ExtendedKey {
  readonly secret: Uint8Array;
  readonly chainCode: Uint8Array;
}

type Slip10Curve = 'ed25519' | 'nist256p1';

const CURVE_SEED: Readonly<Record<Slip10Curve, Uint8Array>> = {
  ed25519: utf8Encode('ed25519 seed'),
  nist256p1: utf8Encode('Nist256p1 seed'),
};
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const HARDENED = 0x8000_0000;

/** SLIP-0010, hardened steps only: `path` has the numbers without the mark. */
export function deriveKey(curve: Slip10Curve, seed: Uint8Array, path: readonly number[]): ExtendedKey {
  let key = masterKey(curve, seed);
  for (const step of path) {
    if (!Number.isInteger(step) || step < 0 || step >= HARDENED)
      throw new RangeError(`expected a step from 0 to 2^31 − 1, got ${step}`);
    key = childKey(curve, key, step + HARDENED);
  }
  return key;
}

function masterKey(curve: Slip10Curve, seed: Uint8Array): ExtendedKey {
  let digest = hmac(sha512, CURVE_SEED[curve], seed);
  // Of P-256 one digest in 2^32 is no key; SLIP-0010 says to hash on.
  while (curve === 'nist256p1' && !isScalar(digest.subarray(0, 32)))
    digest = hmac(sha512, CURVE_SEED[curve], digest);
  return { secret: digest.slice(0, 32), chainCode: digest.slice(32) };
}

function childKey(curve: Slip10Curve, { secret, chainCode }: ExtendedKey, index: number): ExtendedKey {
  const number = Uint8Array.of(index >>> 24, index >>> 16, index >>> 8, index);
  let digest = hmac(sha512, chainCode, concatBytes(Uint8Array.of(0), secret, number));
  if (curve === 'ed25519') return { secret: digest.slice(0, 32), chainCode: digest.slice(32) };
  for (;;) {
    const left = bigEndian(digest.subarray(0, 32));
    const sum = (left + bigEndian(secret)) % P256_ORDER;
    if (left < P256_ORDER && sum !== 0n) return { secret: bytes32(sum), chainCode: digest.slice(32) };
    digest = hmac(sha512, chainCode, concatBytes(Uint8Array.of(1), digest.subarray(32), number));
  }
}

function isScalar(bytes: Uint8Array): boolean {
  const value = bigEndian(bytes);
  return value > 0n && value < P256_ORDER;
}

/** Where each scheme takes its 32 bytes: ML-DSA-44 uses them as its seed. */
const CURVE_OF: Readonly<Record<SecretAlgorithm, Slip10Curve>> = {
  [ED25519]: 'ed25519',
  [P256]: 'nist256p1',
  [ML_DSA_44]: 'ed25519',
};

/** The 32 secret bytes of an account of a phrase, for `secretSigner`. */
export function secretOfPhrase(o: {
  readonly entropy: Uint8Array;
  readonly algorithm: SecretAlgorithm;
  /** 0 is the first. */
  readonly account?: number;
  readonly password?: string;
}): Uint8Array {
  const path = [44, COIN_TYPE, o.algorithm, o.account ?? 0];
  return deriveKey(CURVE_OF[o.algorithm], seedOfPhrase(o.entropy, o.password), path).secret;
}

function bigEndian(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function bytes32(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * (31 - i))) & 255n));
}
