/**
 * Who signs. A `Signer` hides where the secret is: in WebCrypto (which can keep it unreadable, also for us), in
 * memory, in an authenticator (`passkey.ts`), or behind a wallet. Here are those of Ed25519, whose signatures are deterministic, so all
 * of them give the same bytes; other schemes are in files of their own.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { ED25519, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';

export const SEED_BYTES = 32;

export interface Signer {
  readonly publicKey: PublicKey;
  /** The account it acts for: that of the key, unless keys were rotated, see `actingFor`. */
  readonly address: Address;
  /** Bytes to reckon with in a fee, where the scheme does not fix them. */
  readonly signatureBytes?: number;
  /** Over exactly these bytes; as many as the scheme has, 64 of Ed25519. */
  sign(bytes: Uint8Array): Promise<Uint8Array> | Uint8Array;
}

/** The same key for an account whose keys were changed to it (spec STATE-15.2). */
export function actingFor(account: Address, signer: SeedSigner): SeedSigner;
export function actingFor(account: Address, signer: Signer): Signer;
export function actingFor(account: Address, signer: Signer): Signer {
  return { ...signer, address: account, sign: (bytes) => signer.sign(bytes) };
}

/** Signs at once. */
export interface SeedSigner extends Signer {
  sign(bytes: Uint8Array): Uint8Array;
}

/** The part of WebCrypto's `SubtleCrypto` that is used here; `globalThis.crypto.subtle` fits. */
export interface Subtle {
  generateKey(algorithm: 'Ed25519', extractable: boolean, usages: ('sign' | 'verify')[]): Promise<unknown>;
  importKey(
    format: 'pkcs8',
    bytes: Uint8Array<ArrayBuffer>,
    algorithm: 'Ed25519',
    extractable: boolean,
    usages: 'sign'[],
  ): Promise<unknown>;
  exportKey(format: 'raw', key: unknown): Promise<unknown>;
  sign(algorithm: 'Ed25519', key: unknown, bytes: Uint8Array<ArrayBuffer>): Promise<unknown>;
}

/** A WebCrypto key pair; can be stored in IndexedDB as it is, without the secret ever being readable. */
export interface KeyPair {
  readonly privateKey: unknown;
  readonly publicKey: unknown;
}

export function publicKeyOf(bytes: Uint8Array): PublicKey {
  if (bytes.length !== PUBLIC_KEY_BYTES)
    throw new RangeError(`an Ed25519 key has ${PUBLIC_KEY_BYTES} bytes, got ${bytes.length}`);
  return { algorithm: ED25519, bytes: bytes.slice() };
}

/** From the 32-byte seed of RFC 8032, in plain JavaScript: works everywhere, keeps the seed in memory. */
export function seedSigner(seed: Uint8Array): SeedSigner {
  if (seed.length !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes, got ${seed.length}`);
  const secret = seed.slice();
  const publicKey = publicKeyOf(ed25519.getPublicKey(secret));
  return { publicKey, address: addressOf(publicKey), sign: (bytes) => ed25519.sign(bytes, secret) };
}

/** A new key pair whose secret cannot be read. Throws where the platform does not know Ed25519. */
export async function generateKeyPair(subtle: Subtle): Promise<KeyPair> {
  return (await subtle.generateKey('Ed25519', false, ['sign', 'verify'])) as KeyPair;
}

export async function keyPairSigner(subtle: Subtle, pair: KeyPair): Promise<Signer> {
  const raw = new Uint8Array((await subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer);
  return subtleSigner(subtle, pair.privateKey, publicKeyOf(raw));
}

/** What precedes the seed in PKCS #8 (RFC 8410 §7). */
const PKCS8_PREFIX = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

/** WebCrypto where it knows Ed25519, plain JavaScript elsewhere. */
export async function openSigner(o: {
  readonly seed: Uint8Array;
  readonly subtle?: Subtle;
}): Promise<Signer> {
  const portable = seedSigner(o.seed);
  if (o.subtle === undefined) return portable;
  const pkcs8 = new Uint8Array(PKCS8_PREFIX.length + SEED_BYTES);
  pkcs8.set(PKCS8_PREFIX);
  pkcs8.set(o.seed, PKCS8_PREFIX.length);
  let key: unknown;
  try {
    key = await o.subtle.importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign']);
  } catch {
    // Browsers before 2025 throw NotSupportedError or SyntaxError here, with no way to ask beforehand.
    return portable;
  }
  return subtleSigner(o.subtle, key, portable.publicKey);
}

function subtleSigner(subtle: Subtle, key: unknown, publicKey: PublicKey): Signer {
  return {
    publicKey,
    address: addressOf(publicKey),
    async sign(bytes): Promise<Uint8Array> {
      const signature = new Uint8Array(
        (await subtle.sign('Ed25519', key, new Uint8Array(bytes))) as ArrayBuffer,
      );
      if (signature.length !== SIGNATURE_BYTES)
        throw new RangeError(`expected a signature of ${SIGNATURE_BYTES} bytes`);
      return signature;
    },
  };
}
