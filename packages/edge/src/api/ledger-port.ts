/** The ledger as a gateway sees it: the observer of the main chain in the same process. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Height, Millis } from '@itc/core/ledger/ids.js';
import { encodeAccessProof, proveAccess } from '@itc/core/light/access-proof.js';
import { encodeLinkedHeader, type LinkedHeader } from '@itc/core/light/certified.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import type { Chain } from '@itc/node/runtime/chain.js';
import { Hops } from '@itc/node/runtime/hops.js';
import type { DeviceRecord, LedgerPort } from '../ports.ts';

/** Devices hear of a new head this often at most: a proof brings its own header along anyway. */
const HEAD_MS_MIN = 1_000;

export class ChainLedger implements LedgerPort {
  readonly chain: Hash;
  readonly gateway: Address;
  readonly #chain: Chain;
  readonly #now: () => number;
  readonly #hops: Hops;
  #newest: CertifiedHeader | undefined;

  constructor(options: { readonly chain: Chain; readonly gateway: Address; readonly now: () => number }) {
    this.chain = options.chain.id;
    this.gateway = options.gateway;
    this.#chain = options.chain;
    this.#now = options.now;
    this.#hops = new Hops(options.chain);
    const { tip } = options.chain;
    const stored = tip === undefined ? undefined : options.chain.blockAt(tip.height);
    if (tip !== undefined && stored !== undefined)
      this.#newest = { header: tip, certificate: stored.certificate };
    options.chain.onCommitted(({ block, certificate }) => {
      this.#newest = { header: block.header, certificate };
    });
  }

  head(): { readonly height: Height; readonly time: Millis } {
    return { height: this.#chain.height, time: this.#chain.time };
  }

  device(address: Address): DeviceRecord | undefined {
    return this.#chain.state.device(address);
  }

  accessProof(device: Address, subject: Address): Uint8Array | undefined {
    const newest = this.#linked();
    const state = newest === undefined ? undefined : this.#chain.stateUnder(newest.header.height);
    if (newest === undefined || state === undefined) return undefined;
    const proof = proveAccess({ ...newest, tree: state.tree, device, subject });
    return proof === undefined ? undefined : encodeAccessProof(proof);
  }

  trustUpdate(): Uint8Array | undefined {
    const newest = this.#linked();
    return newest === undefined ? undefined : encodeLinkedHeader(newest);
  }

  #linked(): LinkedHeader | undefined {
    const newest = this.#newest;
    return newest === undefined ? undefined : { ...newest, hops: this.#hops.latestTo(newest) };
  }

  onHead(listener: () => void): () => void {
    let toldAt = 0;
    return this.#chain.onCommitted(({ block }) => {
      const now = this.#now();
      // A block that changes records others need proofs of is told at once.
      const urgent = block.transactions.some(
        ({ tx }) => tx.body.kind === 'revoke' || tx.body.kind === 'grant',
      );
      if (!urgent && now - toldAt < HEAD_MS_MIN) return;
      toldAt = now;
      listener();
    });
  }
}

/** Name of the maker of a batch, for people. */
export function batchOf(chain: Chain, batch: Hash): { maker?: string } {
  const record = chain.state.batch(batch);
  const maker = record === undefined ? undefined : chain.state.maker(record.maker);
  return maker === undefined ? {} : { maker: maker.name === '' ? toHex(batch).slice(0, 8) : maker.name };
}
