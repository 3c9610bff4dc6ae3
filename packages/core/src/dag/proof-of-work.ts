/**
 * Proof of work (spec DAG-3): a door toll that makes refusing spam cheap, and by the epoch a capped part of weight.
 * hash = SHA-256(tag ‖ body hash ‖ nonce) is one block of SHA-256; the body holds the anchor, so work done
 * before a checkpoint was known is worthless after it has aged.
 */
import { utf8Encode } from '../bytes/writer.ts';
import { HASH_BYTES, sha256, TAGS, type Hash } from '../crypto/hash.ts';

const PREFIX = utf8Encode(`${TAGS.proofOfWork}\0`);
const preimage = new Uint8Array(PREFIX.length + HASH_BYTES + 8);
preimage.set(PREFIX);
const nonceView = new DataView(preimage.buffer, PREFIX.length + HASH_BYTES);

function setNonce(nonce: number): void {
  nonceView.setUint32(0, Math.floor(nonce / 0x1_0000_0000));
  nonceView.setUint32(4, nonce % 0x1_0000_0000);
}

/** 0 to 256. */
export function leadingZeroBits(hash: Uint8Array): number {
  for (let i = 0; i < hash.length; i += 1) {
    const byte = hash[i] as number;
    if (byte !== 0) return 8 * i + Math.clz32(byte) - 24;
  }
  return 8 * hash.length;
}

/** How much work a nonce shows for a body: one hash. */
export function workBits(bodyHash: Hash, nonce: number): number {
  preimage.set(bodyHash, PREFIX.length);
  setNonce(nonce);
  return leadingZeroBits(sha256(preimage));
}

/**
 * Tries `tries` nonces from `start`; the first that shows at least `bits`, or undefined. The shell calls it
 * in slices, so that searching never holds up anything else.
 */
export function powSearch(search: {
  readonly bodyHash: Hash;
  readonly bits: number;
  readonly start: number;
  readonly tries: number;
}): number | undefined {
  preimage.set(search.bodyHash, PREFIX.length);
  for (let nonce = search.start; nonce < search.start + search.tries; nonce += 1) {
    setNonce(nonce);
    if (leadingZeroBits(sha256(preimage)) >= search.bits) return nonce;
  }
  return undefined;
}

/**
 * Extra bits for an issuer in a hurry (spec DAG-3.4). The bucket fills by one per envelope and drains with
 * time, both read from the issuer's own lane, so every node computes the same and back-dating buys nothing.
 */
export const RATE = {
  /** Thousandths of an envelope that drain per millisecond: 50 per second and lane for ever free. */
  drainPerMs: 50,
  /** Envelopes in a burst without surcharge, then one more bit for each further `step`. */
  free: 256,
  step: 64,
  surchargeMax: 8,
} as const;

/** Level of the bucket after one more envelope, in thousandths. */
export function rateLevel(previousLevel: number, elapsedMs: number): number {
  return Math.max(0, previousLevel - elapsedMs * RATE.drainPerMs) + 1000;
}

export function rateSurcharge(level: number): number {
  const above = level - RATE.free * 1000;
  return above <= 0 ? 0 : Math.min(RATE.surchargeMax, 1 + Math.floor(above / (RATE.step * 1000)));
}
