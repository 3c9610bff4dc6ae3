/** What `spec/vectors/toll.json` holds (DEVICE-5.4): for who does the toll's work in another language. */
import { toHex } from '../bytes/hex.ts';
import { Writer } from '../bytes/writer.ts';
import { sha256 } from '../crypto/hash.ts';
import { asAddress } from '../ledger/address.ts';
import { stampBits, StampSearch, tollHash, writeStamp } from '../dag/toll.ts';

export interface TollVector {
  readonly anchor: string;
  readonly height: number;
  readonly device: string;
  readonly payload: string;
  readonly bits: number;
  /** H("ITC1:toll", anchor ‖ device ‖ payload). */
  readonly body: string;
  /** The least from 0. */
  readonly nonce: number;
  /** Bits it really shows. */
  readonly shows: number;
  /** Height ‖ nonce. */
  readonly stamp: string;
}

export function tollVectors(): TollVector[] {
  return [1, 4, 8, 12, 13, 16].map((bits, i) => {
    const word = (n: number): ReturnType<typeof sha256> => sha256(Uint8Array.of(i, n));
    const tolled = { anchor: word(0), device: asAddress(word(1)), payload: word(2) };
    const height = 1_000_000 * i + 7;
    const search = new StampSearch({ tolled, height, bits });
    for (;;) {
      const stamp = search.step(1_024);
      if (stamp === undefined) continue;
      return {
        anchor: toHex(tolled.anchor),
        height,
        device: toHex(tolled.device),
        payload: toHex(tolled.payload),
        bits,
        body: toHex(tollHash(tolled)),
        nonce: stamp.nonce,
        shows: stampBits(tolled, stamp.nonce),
        stamp: toHex(writeStamp(new Writer(16), stamp).finish()),
      };
    }
  });
}
