/**
 * Login challenges, single use (spec EDGE-5.4). A challenge carries its own time and a MAC of this gateway, so
 * asking for millions of them costs no memory; only used ones are remembered, until they expire.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Writer } from '@itc/core/bytes/writer.js';
import { EDGE_LIMITS } from '../limits.ts';

const HEAD_BYTES = 16;
const MAC_BYTES = 16;

export class Challenges {
  readonly #secret = randomBytes(32);
  readonly #now: () => number;
  /** Hex of used ones → when they expire; in order of use. */
  readonly #used: Map<string, number> = new Map();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** 32 bytes. */
  issue(): { readonly challenge: Uint8Array; readonly expiresAt: number } {
    const expiresAt = this.#now() + EDGE_LIMITS.challengeMs;
    const head = new Writer(HEAD_BYTES).u53(expiresAt).raw(randomBytes(8)).finish();
    return { challenge: Buffer.concat([head, this.#mac(head)]), expiresAt };
  }

  /** Issued here, not expired, not used. Does not use it up: that is for a login whose signature holds. */
  isOpen(challenge: Uint8Array): boolean {
    if (challenge.length !== HEAD_BYTES + MAC_BYTES) return false;
    const head = challenge.subarray(0, HEAD_BYTES);
    if (!timingSafeEqual(this.#mac(head), challenge.subarray(HEAD_BYTES))) return false;
    const view = new DataView(head.buffer, head.byteOffset, 8);
    const expiresAt = view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
    return expiresAt > this.#now() && !this.#used.has(Buffer.from(challenge).toString('hex'));
  }

  /** False when too many logins happen at a time. */
  use(challenge: Uint8Array): boolean {
    const now = this.#now();
    for (const [text, expiresAt] of this.#used) {
      if (expiresAt > now) break;
      this.#used.delete(text);
    }
    if (this.#used.size >= EDGE_LIMITS.challengesMax) return false;
    this.#used.set(Buffer.from(challenge).toString('hex'), now + EDGE_LIMITS.challengeMs);
    return true;
  }

  #mac(head: Uint8Array): Buffer {
    return createHmac('sha256', this.#secret).update(head).digest().subarray(0, MAC_BYTES);
  }
}
