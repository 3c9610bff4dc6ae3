/** What clients that believe only proofs begin with, and how they ask: one request at a time, each of bounded length. */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { decodeGenesis, genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { TRUST_BYTES } from '@itc/core/light/engine/layout.js';
import type { Fetch } from './http.ts';

/** Answers in a row that each lead a part of the way (CLIENT-14.10). */
export const PARTS_MAX = 64;

/** What is trusted to begin with: the hash with its document, or 149 bytes that somebody trusted wrote down. */
export type LightStart =
  | { readonly kind: 'genesis'; readonly hash: Hash; readonly document: Uint8Array }
  | { readonly kind: 'checkpoint'; readonly trust: Uint8Array };

/** The bytes of trust; `begin` gives those of genesis, or says why there are none. */
export function trustOf(
  start: LightStart,
  begin: (genesis: Genesis) => Result<Uint8Array, 'start'>,
): Result<Uint8Array, 'start'> {
  if (start.kind === 'checkpoint')
    return start.trust.length === TRUST_BYTES
      ? ok(start.trust.slice())
      : refused('start', `a checkpoint has ${TRUST_BYTES} bytes, got ${start.trust.length}`);
  const genesis = decodeGenesis(start.document);
  if (!genesis.ok) return refused('start', `the genesis document: ${genesis.message}`);
  const hash = genesisHash(genesis.value);
  return equalBytes(hash, start.hash)
    ? begin(genesis.value)
    : refused('start', `the genesis document has the hash ${toHex(hash)}, not ${toHex(start.hash)}`);
}

/** Genesis hash of the chain that is trusted. */
export function chainOf(trust: Uint8Array): Hash {
  return asHash(trust.slice(0, HASH_BYTES));
}

export interface AskingOptions {
  readonly verify?: SignatureVerifier;
  readonly fetch?: Fetch;
  /** Of one request; 20 s when left out. */
  readonly requestMs?: number;
}

const REQUEST_MS = 20_000;

export class Asking {
  readonly verify: SignatureVerifier;
  readonly fetch: Fetch;
  readonly #requestMs: number;
  #turn: Promise<unknown> = Promise.resolve();

  /** `verify`: where the options name no other. */
  constructor(options: AskingOptions, verify: SignatureVerifier) {
    this.verify = options.verify ?? verify;
    this.fetch = options.fetch ?? ((url, init) => fetch(url, init) as ReturnType<Fetch>);
    this.#requestMs = options.requestMs ?? REQUEST_MS;
  }

  /** Ends a request that takes too long. */
  deadline(): AbortSignal {
    return AbortSignal.timeout(this.#requestMs);
  }

  /** One request at a time: each starts from the trust the one before has left. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
