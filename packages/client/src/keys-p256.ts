/** Signers with P-256 keys: in WebCrypto, which all browsers know and can keep unreadable, or in plain JavaScript. */
import { p256 } from '@noble/curves/nist.js';
import { canonicalP256Signature } from '@itc/core/crypto/p256.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { P256, type PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf } from '@itc/core/ledger/address.js';
import type { KeyPair, SeedSigner, Signer } from './keys.ts';

const CURVE = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** The part of WebCrypto's `SubtleCrypto` that is used here; `globalThis.crypto.subtle` fits. */
export interface P256Subtle {
  generateKey(algorithm: typeof CURVE, extractable: boolean, usages: ('sign' | 'verify')[]): Promise<unknown>;
  exportKey(format: 'raw', key: unknown): Promise<unknown>;
  sign(algorithm: typeof SIGNING, key: unknown, bytes: Uint8Array<ArrayBuffer>): Promise<unknown>;
}

/** A secret is 32 bytes: a number from 1 to below the order of the curve, big-endian. Throws when it is none. */
export function p256Signer(secret: Uint8Array): SeedSigner {
  const kept = secret.slice();
  const publicKey: PublicKey = { algorithm: P256, bytes: p256.getPublicKey(kept, true) };
  return {
    publicKey,
    address: addressOf(publicKey),
    sign: (bytes) => p256.sign(bytes, kept, { lowS: true, prehash: true, format: 'compact' }),
  };
}

/** A new key pair whose secret cannot be read; it can be stored in IndexedDB as it is. */
export async function generateP256KeyPair(subtle: P256Subtle): Promise<KeyPair> {
  return (await subtle.generateKey(CURVE, false, ['sign', 'verify'])) as KeyPair;
}

export async function p256KeyPairSigner(subtle: P256Subtle, pair: KeyPair): Promise<Signer> {
  const raw = new Uint8Array((await subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer);
  const publicKey: PublicKey = { algorithm: P256, bytes: compressedPoint(raw) };
  return {
    publicKey,
    address: addressOf(publicKey),
    async sign(bytes): Promise<Uint8Array> {
      const made = await subtle.sign(SIGNING, pair.privateKey, new Uint8Array(bytes));
      const signature = canonicalP256Signature(new Uint8Array(made as ArrayBuffer));
      if (signature === undefined) throw new RangeError('expected r ‖ s of P-256');
      return signature;
    },
  };
}

/** From 0x04 ‖ x ‖ y, as platforms export it. */
export function compressedPoint(raw: Uint8Array): Uint8Array {
  if (raw.length !== 65 || raw[0] !== 4) throw new RangeError('expected an uncompressed point of P-256');
  const point = raw.slice(0, 33);
  point[0] = 2 + ((raw[64] as number) & 1);
  return point;
}

/** The compressed keys under which a signature holds: two, as a rule (SEC 1 §4.1.6). */
export function p256KeysOf(message: Uint8Array, signature: Uint8Array): readonly Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (const recovery of [0, 1, 2, 3]) {
    try {
      const parsed = p256.Signature.fromBytes(signature, 'compact').addRecoveryBit(recovery);
      keys.push(parsed.recoverPublicKey(sha256(message)).toBytes(true));
    } catch {
      // No point has this x coordinate.
    }
  }
  return keys;
}
