/** Signed requests at the server (spec CLIENT-2): who signed, and each signature once. */
import type { FastifyRequest } from 'fastify';
import { checkRequest, REQUEST_SKEW_MS_MAX, type Caller } from '@itc/client/requests.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { refused, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey, SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import { millis } from '@itc/core/ledger/ids.js';

const REMEMBERED_MAX = 10_000;

export class RequestGuard {
  readonly #chain: Hash;
  readonly #verify: SignatureVerifier;
  readonly #now: () => number;
  readonly #acts: (key: PublicKey, account: Address) => boolean;
  /** Signatures used within the allowed skew, with when they may be forgotten. */
  readonly #used = new Map<string, number>();

  constructor(options: {
    readonly chain: Hash;
    readonly verify: SignatureVerifier;
    readonly now: () => number;
    /** Whether a key acts for an account by itself now, see `actsAlone`. */
    readonly acts: (key: PublicKey, account: Address) => boolean;
  }) {
    this.#chain = options.chain;
    this.#verify = options.verify;
    this.#now = options.now;
    this.#acts = options.acts;
  }

  /** The body is signed as it was sent: compact JSON, as `JSON.stringify` of the parsed body gives it back. */
  check(request: FastifyRequest): Result<Caller, 'request.unauthorised'> {
    const now = this.#now();
    const caller = checkRequest({
      chain: this.#chain,
      method: request.method,
      path: request.url,
      body: request.body === undefined ? new Uint8Array() : utf8Encode(JSON.stringify(request.body)),
      authorization: request.headers.authorization,
      now: millis(now),
      verify: this.#verify,
    });
    if (!caller.ok) return caller;
    const { key, address, signature } = caller.value;
    if (!this.#acts(key, address))
      return refused('request.unauthorised', 'other keys act for this account now');
    for (const [old, until] of this.#used) {
      if (until > now && this.#used.size < REMEMBERED_MAX) break;
      this.#used.delete(old);
    }
    if (this.#used.has(signature))
      return refused('request.unauthorised', 'this signed request was made before; sign a new one');
    this.#used.set(signature, now + 2 * REQUEST_SKEW_MS_MAX);
    return caller;
  }
}
