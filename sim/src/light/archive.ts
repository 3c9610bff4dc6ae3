/**
 * What a node can show a light client: the chain as it has it, with the certificates it holds, and the states it keeps. Answers
 * are made by the code that servers use (`HopIndex`, `leanStream`, `encodeLightStream`).
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import { MmrLog } from '@itc/core/crypto/mmr.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { closesEpoch, type Certificate, type Header } from '@itc/core/ledger/block.js';
import { millis } from '@itc/core/ledger/ids.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import { HopIndex, type Thirds } from '@itc/core/light/hop-index.js';
import { leanStream } from '@itc/core/light/lean-stream.js';
import { freshnessSigningBytes, type LightItem, type LightStream } from '@itc/core/light/stream.js';
import type { StateKey } from '@itc/core/state/keys.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';

export interface Kept {
  readonly header: Header;
  readonly hash: Hash;
  readonly certificate: Certificate;
  /** Of its transactions. */
  readonly ids: readonly Hash[];
  /** The one it commits. */
  readonly state: LedgerState;
  /** Who decided on it. */
  readonly validators: ValidatorSet;
}

export type Want =
  | { readonly kind: 'state'; readonly key: StateKey }
  | { readonly kind: 'header'; readonly height: number }
  | { readonly kind: 'transaction'; readonly height: number; readonly index: number };

export interface Gateway {
  readonly key: PublicKey;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export interface Request {
  /** Of the client's trust. */
  readonly epoch: number;
  readonly thirds: Thirds;
  readonly wants: readonly Want[];
  readonly nonce: Uint8Array;
  readonly now: number;
}

export class Archive {
  readonly chain: Hash;
  readonly #kept: Kept[] = [];
  /** By epoch. */
  readonly #sets: ValidatorSet[];
  readonly #hops = new HopIndex();
  readonly #history = new MmrLog();

  constructor(chain: Hash, validators: ValidatorSet) {
    this.chain = chain;
    this.#sets = [validators];
  }

  get height(): number {
    return this.#kept.length;
  }

  get epoch(): number {
    return this.#sets.length - 1;
  }

  get newest(): Kept | undefined {
    return this.#kept.at(-1);
  }

  at(height: number): Kept | undefined {
    return this.#kept[height - 1];
  }

  setOf(epoch: number): ValidatorSet | undefined {
    return this.#sets[epoch];
  }

  holds(height: number, id: Hash): boolean {
    return this.at(height)?.ids.some((known) => equalBytes(known, id)) === true;
  }

  /** The next block; with the set that follows where it closes an epoch. */
  add(kept: Omit<Kept, 'validators'>, next?: ValidatorSet): void {
    const { header, certificate } = kept;
    const validators = this.#sets.at(-1) as ValidatorSet;
    this.#kept.push({ ...kept, validators });
    this.#history.append(kept.hash);
    if (!closesEpoch(header)) return;
    this.#hops.add({ validators, closing: { header, certificate } });
    this.#sets.push(next as ValidatorSet);
  }

  /** From the epoch a client trusts to the newest header, or to an earlier one. Undefined for who is further already. */
  answer(request: Request, gateway?: Gateway, of: Kept | undefined = this.newest): LightStream | undefined {
    const { thirds, wants, nonce, now } = request;
    const trusted = this.setOf(request.epoch);
    if (of === undefined || trusted === undefined) return undefined;
    const { header, certificate, validators } = of;
    const hops = this.#hops.hopsFrom(request.epoch, { header, certificate }, validators, thirds);
    if (hops === undefined) return undefined;
    const items = wants.flatMap((want) => this.#items(want, of));
    if (gateway !== undefined) {
      const time = millis(Math.max(0, Math.round(now)));
      const signed = freshnessSigningBytes({ chain: this.chain, nonce, hash: of.hash, time });
      items.unshift({ kind: 'fresh', gateway: gateway.key, time, signature: gateway.sign(signed) });
    }
    return leanStream({ trusted, hops, header, certificate, items }, thirds);
  }

  #items(want: Want, of: Kept): LightItem[] {
    switch (want.kind) {
      case 'state':
        return [stateItem(of.state, want.key)];
      case 'header':
        return this.#historyItem(want.height, of);
      case 'transaction': {
        const ids = this.at(want.height)?.ids;
        const id = ids?.[want.index];
        const history = this.#historyItem(want.height, of);
        if (ids === undefined || id === undefined || history.length === 0) return [];
        const path = new MerkleTree(ids).path(want.index);
        return [...history, { kind: 'transaction', id, index: want.index, count: ids.length, path }];
      }
    }
  }

  #historyItem(height: number, of: Kept): LightItem[] {
    const header = this.at(height)?.header;
    if (header === undefined || height >= of.header.height) return [];
    const { siblings } = this.#history.path(height - 1, of.header.height - 1);
    return [{ kind: 'history', header, siblings }];
  }
}

/** Longer records do not fit into a stream. */
const VALUE_BYTES_MAX = 2048;

export function stateItem(state: LedgerState, key: StateKey): Extract<LightItem, { kind: 'state' }> {
  const value = state.get(key);
  if (value !== undefined && value.length > VALUE_BYTES_MAX) throw new Error('a record that no stream shows');
  return { kind: 'state', key, ...(value && { value }), proof: state.prove(key) };
}
