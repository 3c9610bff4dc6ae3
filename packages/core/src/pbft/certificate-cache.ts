/** Remembers what has verified, so that a certificate nested in many messages costs its signatures once (spec PBFT-6.8). */
import { toHex } from '../bytes/hex.ts';
import { sha256 } from '../crypto/hash.ts';
import { PBFT_LIMITS } from './limits.ts';

/**
 * Hashes of statements together with the signatures that proved them, oldest first. It belongs to one chain and one
 * validator set, like the context it is part of. What did not verify is not remembered: an attacker could fill it.
 */
export class CertificateCache {
  readonly #proven: Set<string> = new Set();

  /** Whether `bytes` verify, by memory or by `verify`. The bytes must hold all that `verify` looks at. */
  check(bytes: Uint8Array, verify: () => boolean): boolean {
    const key = toHex(sha256(bytes));
    if (this.#proven.has(key)) return true;
    if (!verify()) return false;
    if (this.#proven.size >= PBFT_LIMITS.provenMax) {
      const oldest = this.#proven.values().next().value;
      if (oldest !== undefined) this.#proven.delete(oldest);
    }
    this.#proven.add(key);
    return true;
  }
}
