/**
 * A stand-in for SHA-256 in runs that look for faults of the protocol and not of the hash: a few nanoseconds a word, bits
 * that look random, worthless against anybody who wants a collision. Nobody in the simulator does.
 */
import { installSha256 } from '@itc/core/crypto/hash.js';

const BYTES = 32;

/** MurmurHash3's finaliser (Appleby). */
function mixed(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2_ae35);
  return x ^ (x >>> 16);
}

export function quickHash(bytes: Uint8Array): Uint8Array {
  let a = 0x243f_6a88 ^ bytes.length;
  let b = 0x85a3_08d3;
  let c = 0x1319_8a2e;
  let d = 0x0370_7344;
  const whole = bytes.length & ~3;
  for (let i = 0; i < bytes.length; i += 4) {
    let word = bytes[i] as number;
    if (i < whole) {
      word |=
        ((bytes[i + 1] as number) << 8) | ((bytes[i + 2] as number) << 16) | ((bytes[i + 3] as number) << 24);
    } else {
      for (let j = 1; i + j < bytes.length; j += 1) word |= (bytes[i + j] as number) << (8 * j);
    }
    a = Math.imul(a ^ word, 0x9e37_79b1);
    b = Math.imul((b + word) ^ (a >>> 15), 0x85eb_ca77);
    c = Math.imul(c ^ (b + (word << 16)), 0xc2b2_ae3d) ^ (d >>> 13);
    d = (Math.imul(d ^ (word >>> 7), 0x27d4_eb2f) + (c >>> 11)) ^ a;
  }
  const out = new Uint8Array(BYTES);
  let carry = 0;
  for (let i = 0; i < BYTES; i += 4) {
    const lane = i & 15;
    carry = mixed((lane === 0 ? a : lane === 4 ? b : lane === 8 ? c : d) + carry + i);
    // Big end first: proof of work counts bits from the left.
    out[i] = carry >>> 24;
    out[i + 1] = carry >>> 16;
    out[i + 2] = carry >>> 8;
    out[i + 3] = carry;
  }
  return out;
}

/** For the whole process, and for good: a run that mixed two functions would compare what cannot agree. */
export function installQuickHash(): void {
  installSha256(quickHash);
}
