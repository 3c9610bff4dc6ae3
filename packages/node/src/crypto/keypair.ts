/** Ledger keys of a node: made from a 32-byte seed, able to sign, and never printed. */
import { ED25519, type PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import type { Random } from '../ports.ts';
import { expandSeed, SEED_BYTES, signNative } from './native.ts';

/** The secret sits in private fields and is left out of JSON and `console.log`. */
export class KeyPair {
  readonly publicKey: PublicKey;
  readonly address: Address;
  readonly #seed: Uint8Array;
  readonly #secretKey: Uint8Array;

  private constructor(seed: Uint8Array) {
    const { publicKey, secretKey } = expandSeed(seed);
    this.publicKey = { algorithm: ED25519, bytes: publicKey };
    this.address = addressOf(this.publicKey);
    this.#seed = seed;
    this.#secretKey = secretKey;
  }

  /** Copies the seed; asserts its 32 bytes. */
  static fromSeed(seed: Uint8Array): KeyPair {
    return new KeyPair(new Uint8Array(seed));
  }

  static generate(random: Random): KeyPair {
    return new KeyPair(random.bytes(SEED_BYTES));
  }

  /** Ed25519, deterministic (RFC 8032 §5.1.6); 64 bytes. A bound function, to be handed to the core. */
  readonly sign = (message: Uint8Array): Uint8Array => signNative(this.#secretKey, message);

  /** A copy, for writing a key file. Wipe it after use. */
  exportSeed(): Uint8Array {
    return this.#seed.slice();
  }

  toJSON(): { address: string } {
    return { address: formatAddress(this.address) };
  }
}
