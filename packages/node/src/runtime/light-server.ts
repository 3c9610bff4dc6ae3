/** Answers to light clients: one stream from what they trust to the newest header, and what they ask for under it (spec LIGHT-10). */
import { refused, ok, type Result } from '@itc/core/bytes/result.js';
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { headerHash } from '@itc/core/ledger/block.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { millis, type Epoch, type Height, type Millis } from '@itc/core/ledger/ids.js';
import type { EpochHop } from '@itc/core/light/epoch-hop.js';
import type { Thirds } from '@itc/core/light/hop-index.js';
import { VALUE_BYTES_MAX } from '@itc/core/light/engine/layout.js';
import { STREAM_HOPS_MAX } from '@itc/core/light/engine/machine.js';
import { leanStream } from '@itc/core/light/lean-stream.js';
import { encodeLightStream, freshnessSigningBytes, type LightItem } from '@itc/core/light/stream.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import { checkpointRangeKey, type StateKey } from '@itc/core/state/keys.js';
import type { AppliedRange } from './applied-range.ts';
import type { Chain } from './chain.ts';
import type { Hops } from './hops.ts';
import type { SubnetStore } from './subnet-store.ts';

/** Items of one answer. */
export const LIGHT_WANTS_MAX = 16;
/** Ways through the epochs that are remembered: clients come from few epochs and ask often. */
const WAYS_MAX = 256;

export type LightWant =
  | { readonly kind: 'state'; readonly key: StateKey }
  | { readonly kind: 'header'; readonly height: Height }
  | { readonly kind: 'transaction'; readonly id: Hash }
  /** A payload of the subnet this node is a member of. */
  | { readonly kind: 'payload'; readonly id: Hash };

export interface LightRequest {
  /** Epoch the client trusts, and the height it believes. */
  readonly epoch: Epoch;
  readonly height: Height;
  readonly thirds: Thirds;
  /** 32 bytes, for a statement of freshness. */
  readonly nonce?: Uint8Array;
  readonly wants: readonly LightWant[];
}

export interface LightServerOptions {
  readonly chain: Chain;
  readonly hops: Hops;
  /** The node's own key. */
  readonly keys: { readonly publicKey: PublicKey; readonly sign: (message: Uint8Array) => Uint8Array };
  readonly now: () => Millis;
  readonly subnet?: { readonly id: Hash; readonly store: SubnetStore; readonly range: AppliedRange };
}

type Items = Result<readonly LightItem[], ErrorCode>;

export class LightServer {
  readonly #o: LightServerOptions;
  /** From an epoch to the newest one, until that changes. */
  #ways = new Map<string, readonly EpochHop[]>();
  #waysTo = -1;

  constructor(options: LightServerOptions) {
    this.#o = options;
  }

  /** The encoded stream. Refused: `not-found`, `not-ready`, `proof.too-long`; the message says what would help. */
  answer(request: LightRequest): Result<Uint8Array, ErrorCode> {
    const { chain } = this.#o;
    const trusted = chain.epochStart(request.epoch)?.validators;
    if (trusted === undefined)
      return refused(
        'not-found',
        `epoch ${request.epoch} is not known here: this node is in epoch ${chain.epoch.epoch}`,
      );
    const newest = this.#newest();
    if (newest === undefined) return refused('not-ready', 'no certified header is here yet');
    if (newest.header.height < request.height)
      return refused(
        'not-ready',
        `height ${request.height} is believed already, this node is at ${newest.header.height}; ask another gateway`,
      );
    const hops = this.#way(request.epoch, request.thirds, newest);
    if (hops.length > STREAM_HOPS_MAX)
      return refused('proof.too-long', `${hops.length} hops lead here, one answer has ${STREAM_HOPS_MAX}`);
    const items = this.#items(request, newest);
    if (!items.ok) return items;
    return ok(
      encodeLightStream(leanStream({ trusted, hops, ...newest, items: items.value }, request.thirds)),
    );
  }

  /** The tip, or the block below where its certificate is not here yet. */
  #newest(): CertifiedHeader | undefined {
    const { chain } = this.#o;
    return chain.headerAt(chain.height) ?? chain.headerAt(chain.height - 1);
  }

  /** To the first header of the newest header's epoch: as long as that lasts the way is the same for every answer. */
  #way(from: Epoch, thirds: Thirds, newest: CertifiedHeader): readonly EpochHop[] {
    const { chain, hops } = this.#o;
    const { epoch } = newest.header;
    if (epoch === from) return [];
    if (this.#waysTo !== epoch || this.#ways.size >= WAYS_MAX) this.#ways = new Map();
    this.#waysTo = epoch;
    const name = `${from} ${thirds}`;
    let way = this.#ways.get(name);
    if (way === undefined) {
      const since = chain.epochStart(epoch)?.since;
      const first = since === undefined ? undefined : chain.headerAt(since);
      way = hops.from(from, first ?? newest, thirds);
      this.#ways.set(name, way);
    }
    return way;
  }

  /** Under the newest header first; then what needs an earlier one. */
  #items({ wants, nonce }: LightRequest, newest: CertifiedHeader): Items {
    const items: LightItem[] = [];
    for (const want of wants) {
      if (want.kind !== 'state') continue;
      const state = this.#stateItem(want.key, newest.header.height);
      if (!state.ok) return state;
      items.push(...state.value);
    }
    if (nonce !== undefined) items.push(this.#freshness(nonce, newest));
    for (const want of wants) {
      if (want.kind === 'state') continue;
      const more =
        want.kind === 'header'
          ? this.#historyItem(want.height, newest)
          : want.kind === 'transaction'
            ? this.#transactionItems(want.id, newest)
            : this.#payloadItems(want.id, newest);
      if (!more.ok) return more;
      items.push(...more.value);
    }
    return ok(items);
  }

  #stateItem(key: StateKey, under: Height): Items {
    const state = this.#o.chain.stateUnder(under);
    if (state === undefined) return refused('not-found', `the state under height ${under} is not kept here`);
    const value = state.get(key);
    if (value !== undefined && value.length > VALUE_BYTES_MAX)
      return refused(
        'proof.too-long',
        `the record has ${value.length} bytes, a stream shows ${VALUE_BYTES_MAX}`,
      );
    return ok([{ kind: 'state', key, ...(value && { value }), proof: state.prove(key) }]);
  }

  #freshness(nonce: Uint8Array, { header }: CertifiedHeader): LightItem {
    const { chain, keys, now } = this.#o;
    const time = now();
    const signed = freshnessSigningBytes({ chain: chain.id, nonce, hash: headerHash(header), time });
    return { kind: 'fresh', gateway: keys.publicKey, time, signature: keys.sign(signed) };
  }

  #historyItem(of: Height, newest: CertifiedHeader): Items {
    const { chain } = this.#o;
    const header = chain.headerAt(of)?.header;
    if (header === undefined || of >= newest.header.height)
      return refused('not-found', `expected a height from 1 to ${newest.header.height - 1}, got ${of}`);
    return ok([{ kind: 'history', header, siblings: chain.historyPath(of, newest.header.height).siblings }]);
  }

  #transactionItems(id: Hash, newest: CertifiedHeader): Items {
    const { chain } = this.#o;
    const receipt = chain.receipt(id);
    const included = receipt && chain.included(receipt);
    if (included === undefined || included.header.height >= newest.header.height)
      return refused(
        'not-found',
        'no block that is kept here and lies below the newest holds this transaction',
      );
    const history = this.#historyItem(included.header.height, newest);
    if (!history.ok) return history;
    const { index, count, path } = included;
    return ok([...history.value, { kind: 'transaction', id, index, count, path }]);
  }

  /** Under the newest header, however old it is. */
  #payloadItems(id: Hash, newest: CertifiedHeader): Items {
    const { chain, subnet } = this.#o;
    const place = subnet?.store.place(id);
    const kept = place && subnet?.store.kept(place.checkpoint);
    const ids = place && subnet?.store.appliedIds(place.checkpoint);
    const state = chain.stateUnder(newest.header.height);
    if (subnet === undefined || place === undefined || kept === undefined || ids === undefined)
      return refused('not-found', 'no final payload with this id is kept here');
    const count = state?.checkpointPeaks(subnet.id)?.count ?? 0;
    if (state === undefined || place.checkpoint > count || count > subnet.range.count)
      return refused('not-ready', 'the newest header does not commit its checkpoint yet; ask again');
    const range = subnet.range.path(place.checkpoint, count);
    if (range === undefined)
      return refused(
        'not-found',
        'this node began later and does not know what came before its checkpoint; ask another member',
      );
    const { index } = place;
    const checkpoint = { subnet: subnet.id, time: millis(kept.time), payloadCount: ids.length };
    const path = new MerkleTree(ids).path(index);
    const proof = state.prove(checkpointRangeKey(subnet.id));
    return ok([{ kind: 'applied', checkpoint, id, index, path, range, proof }]);
  }
}
