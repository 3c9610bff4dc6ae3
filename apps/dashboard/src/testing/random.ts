/** Seeded generator (mulberry32) for the fake devnet: same seed, same names, ids and curves. */
import { toHex } from '@itc/core/bytes/hex.js';
import { asAddress, formatAddress } from '@itc/core/ledger/address.js';

export interface Random {
  /** From 0 (included) to 1 (excluded). */
  readonly next: () => number;
  readonly hash: () => string;
  readonly address: () => string;
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const bytes = (): Uint8Array => Uint8Array.from({ length: 32 }, () => Math.floor(next() * 256));
  return { next, hash: () => toHex(bytes()), address: () => formatAddress(asAddress(bytes())) };
}
