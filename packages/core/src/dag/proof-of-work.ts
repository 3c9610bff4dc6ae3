/**
 * Proof of work (spec DAG-3): a door toll that makes refusing spam cheap, and by the epoch a capped part of weight.
 * hash = SHA-256(tag ‖ body hash ‖ nonce) is one block of SHA-256; the body holds the anchor, so work done
 * before a checkpoint was known is worthless after it has aged.
 */
import { utf8Encode } from '../bytes/writer.ts';
import { HASH_BYTES, sha256, TAGS, type Hash } from '../crypto/hash.ts';
import { OneBlock } from '../crypto/sha256-block.ts';

const PREFIX = utf8Encode(`${TAGS.proofOfWork}\0`);
const preimage = new Uint8Array(PREFIX.length + HASH_BYTES + 8);
preimage.set(PREFIX);
/** Where the nonce begins: a word, and bits into it. */
const NONCE_WORD = (PREFIX.length + HASH_BYTES) >> 2;
const NONCE_SHIFT = 8 * ((PREFIX.length + HASH_BYTES) & 3);
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
  setNonce(search.start);
  const block = new OneBlock(preimage, NONCE_WORD);
  const { words, digest } = block;
  // The nonce lies across three words, shifted by the bytes of the prefix that are beyond a whole word.
  const before = (words[NONCE_WORD] as number) & ~(-1 >>> NONCE_SHIFT);
  const after = (words[NONCE_WORD + 2] as number) & (-1 >>> NONCE_SHIFT);
  for (let nonce = search.start; nonce < search.start + search.tries; nonce += 1) {
    const high = Math.floor(nonce / 0x1_0000_0000);
    const low = nonce | 0;
    words[NONCE_WORD] = before | (high >>> NONCE_SHIFT);
    words[NONCE_WORD + 1] = (high << (32 - NONCE_SHIFT)) | (low >>> NONCE_SHIFT);
    words[NONCE_WORD + 2] = (low << (32 - NONCE_SHIFT)) | after;
    block.compress();
    if (Math.clz32(digest[0] as number) >= Math.min(search.bits, 32) && zeroBits(digest) >= search.bits)
      return nonce;
  }
  return undefined;
}

function zeroBits(digest: Int32Array): number {
  for (let i = 0; i < digest.length; i += 1)
    if (digest[i] !== 0) return 32 * i + Math.clz32(digest[i] as number);
  return 32 * digest.length;
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
