/** The ML-DSA-44 key a validator co-signs checkpoints with (spec QUANTUM-1): made from a seed, and never printed. */
import { ML_DSA_SEED_BYTES, mlDsaKeysOf, signMlDsa } from '@itc/core/crypto/ml-dsa.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { coSignerOf, mlDsaKey } from '@itc/core/ledger/co-signers.js';
import type { Random } from '../ports.ts';
import type { VerifyPool } from './verify-pool.ts';

/** The secret sits in private fields and is left out of JSON and `console.log`. */
export class CoSigningKey {
  readonly publicKey: PublicKey;
  /** Names the key in genesis and in the state. */
  readonly address: Address;
  readonly #seed: Uint8Array;
  readonly #secretKey: Uint8Array;

  private constructor(seed: Uint8Array) {
    const { publicKey, secretKey } = mlDsaKeysOf(seed);
    this.publicKey = mlDsaKey(publicKey);
    this.address = coSignerOf(publicKey);
    this.#seed = seed;
    this.#secretKey = secretKey;
  }

  /** Copies the seed; asserts its 32 bytes. */
  static fromSeed(seed: Uint8Array): CoSigningKey {
    return new CoSigningKey(new Uint8Array(seed));
  }

  static generate(random: Random): CoSigningKey {
    return new CoSigningKey(random.bytes(ML_DSA_SEED_BYTES));
  }

  /** Some milliseconds. With 32 fresh bytes, faults while signing tell less (FIPS 204 §3.4). A bound function. */
  readonly sign = (message: Uint8Array, random?: Uint8Array): Uint8Array =>
    signMlDsa(this.#secretKey, message, random && { random });

  /** The same on another thread. */
  signIn(pool: Pick<VerifyPool, 'signMlDsa'>, message: Uint8Array, random: Uint8Array): Promise<Uint8Array> {
    return pool.signMlDsa({ secretKey: this.#secretKey, message, random });
  }

  /** A copy, for a key file. Wipe it after use. */
  exportSeed(): Uint8Array {
    return this.#seed.slice();
  }

  toJSON(): { address: string } {
    return { address: formatAddress(this.address) };
  }
}
