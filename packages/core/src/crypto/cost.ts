/**
 * What checking a signature costs, in units of one Ed25519 check (spec CRYPTO-11): fees go by bytes, which say little about it,
 * so blocks and queues are bounded by these as well. The proportions are those of a server, the first use of a key included:
 * libsodium 50 µs, OpenSSL on P-256 400 µs, portable ML-DSA-44 1600 µs.
 */
import { ED25519, ML_DSA_44, P256, WEBAUTHN, type Algorithm } from './signature.ts';

const COSTS: Readonly<Record<number, number>> = { [ED25519]: 1, [P256]: 8, [ML_DSA_44]: 32, [WEBAUTHN]: 8 };

/** Units; an algorithm that is not known is refused as soon as it is read, and costs nothing. */
export function verificationCost(algorithm: Algorithm): number {
  return COSTS[algorithm] ?? 0;
}
