/** Answers to light clients: one stream from what they trust to the newest header, and what they ask for under it (spec LIGHT-10). */
import { concatBytes } from '@itc/core/bytes/hex.js';
import { refused, ok, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { SIGNATURE_BYTES, type PublicKey } from '@itc/core/crypto/signature.js';
import { headerHash } from '@itc/core/ledger/block.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { type Epoch, type Height, type Millis } from '@itc/core/ledger/ids.js';
import { leadsTo, type EpochHop } from '@itc/core/light/epoch-hop.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Thirds } from '@itc/core/light/hop-index.js';
import { MEMBER_BYTES, VALUE_BYTES_MAX } from '@itc/core/light/engine/layout.js';
import { STREAM_HOPS_MAX } from '@itc/core/light/engine/machine.js';
import { leanStream } from '@itc/core/light/lean-stream.js';
import {
  encodeLightItems,
  encodeLightWay,
  freshnessSigningBytes,
  type LightItem,
} from '@itc/core/light/stream.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import { checkpointRangeKey, type StateKey } from '@itc/core/state/keys.js';
import type { Chain } from './chain.ts';
import type { Hops } from './hops.ts';
import type { LightPeers } from './light-peers.ts';

/** Items of one answer. */
export const LIGHT_WANTS_MAX = 16;
/** Ways through the epochs that are remembered, and their bytes: clients come from few epochs and ask often. */
const WAYS_MAX = 256;
const WAYS_BYTES_MAX = 33_554_432;
/** Form, header and view of a hop at most; a member with its weight. */
const HOP_BYTES = 256;
/** Of one answer, besides its items: clients take twice as much. */
const WAY_BYTES_MAX = 8_388_608;

export type LightWant =
  | { readonly kind: 'state'; readonly key: StateKey }
  | { readonly kind: 'header'; readonly height: Height }
  | { readonly kind: 'transaction'; readonly id: Hash }
  /** A payload of any subnet whose members this node, or a peer of it, hears. */
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
  /** Of the way in one answer; `WAY_BYTES_MAX` when left out. */
  readonly wayBytesMax?: number;
  /** Where transactions and payloads lie, as far as is known here or to peers. */
  readonly peers: Pick<LightPeers, 'known' | 'find'>;
}

type Items = Result<readonly LightItem[], ErrorCode>;

/** The first part of an answer, encoded, and the header it ends with. */
interface Way {
  readonly bytes: Uint8Array;
  readonly to: CertifiedHeader;
}

export class LightServer {
  readonly #o: LightServerOptions;
  /** Hops from an epoch to the newest one, until that changes. */
  #hops = new Map<string, readonly EpochHop[]>();
  #hopsTo = -1;
  /** Encoded, until there is a newer header. */
  #ways = new Map<string, Way>();
  #waysBytes = 0;
  #waysTo: Height | undefined;

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
    const way = this.#way(trusted, request, newest);
    // Only a part of the way: under that header nothing is asked for. The client asks again from there.
    if (way.to !== newest) return ok(concatBytes(way.bytes, encodeLightItems([], way.to.header)));
    const items = this.#items(request, newest);
    if (!items.ok) return items;
    return ok(concatBytes(way.bytes, encodeLightItems(items.value, newest.header)));
  }

  /** The same, after peers were asked for what was forgotten here. */
  async answerFetching(request: LightRequest): Promise<Result<Uint8Array, ErrorCode>> {
    const first = this.answer(request);
    const newest = this.#newest();
    if (first.ok || first.code !== 'not-found' || newest === undefined) return first;
    const under = newest.header.height;
    const lacking = request.wants.filter(
      (want): want is Extract<LightWant, { kind: 'transaction' | 'payload' }> =>
        (want.kind === 'transaction' || want.kind === 'payload') &&
        this.#o.peers.known({ ...want, under }) === undefined,
    );
    if (lacking.length === 0) return first;
    const found = await Promise.all(lacking.map((want) => this.#o.peers.find({ ...want, under })));
    return found.every((piece) => piece === undefined) ? first : this.answer(request);
  }

  /** The tip, or the block below where its certificate is not here yet. */
  #newest(): CertifiedHeader | undefined {
    const { chain } = this.#o;
    return chain.headerAt(chain.height) ?? chain.headerAt(chain.height - 1);
  }

  /** Clients that trust the same epoch get the same bytes until the next block. */
  #way(trusted: ValidatorSet, { epoch: from, thirds }: LightRequest, newest: CertifiedHeader): Way {
    const { height: at } = newest.header;
    if (this.#waysTo !== at || this.#ways.size >= WAYS_MAX || this.#waysBytes >= WAYS_BYTES_MAX) {
      this.#ways = new Map();
      this.#waysBytes = 0;
    }
    this.#waysTo = at;
    const name = `${from} ${thirds}`;
    const known = this.#ways.get(name);
    // The certificate of a height may be here now that was not before.
    if (known !== undefined) return known.to.header.height === at ? { ...known, to: newest } : known;
    const { hops, to } = this.#within(this.#hopsFrom(from, thirds, newest), newest);
    const bytes = encodeLightWay(leanStream({ trusted, hops, ...to }, thirds));
    const way = { bytes, to };
    this.#ways.set(name, way);
    this.#waysBytes += bytes.length;
    return way;
  }

  /** As many hops as one answer has room for, and the header to end with: that of the last hop, or the first one of the epoch it leads to. */
  #within(
    hops: readonly EpochHop[],
    newest: CertifiedHeader,
  ): { readonly hops: readonly EpochHop[]; readonly to: CertifiedHeader } {
    const { chain, wayBytesMax = WAY_BYTES_MAX } = this.#o;
    let bytes = 0;
    let count = 0;
    for (const { validators, certificate } of hops) {
      bytes += HOP_BYTES + MEMBER_BYTES * validators.length + SIGNATURE_BYTES * certificate.signatures.length;
      if (count > 0 && (bytes > wayBytesMax || count >= STREAM_HOPS_MAX)) break;
      count += 1;
    }
    const last = hops[count - 1];
    if (count === hops.length || last === undefined) return { hops, to: newest };
    const { header, certificate } = last;
    const since = last.kind === 'adjacent' ? chain.epochStart(leadsTo(last))?.since : undefined;
    const first = since === undefined ? undefined : chain.headerAt(since);
    return { hops: hops.slice(0, count), to: first ?? { header, certificate } };
  }

  /** To the first header of the newest header's epoch: as long as that lasts the hops are the same for every answer. */
  #hopsFrom(from: Epoch, thirds: Thirds, newest: CertifiedHeader): readonly EpochHop[] {
    const { chain, hops } = this.#o;
    const { epoch } = newest.header;
    if (epoch === from) return [];
    if (this.#hopsTo !== epoch || this.#hops.size >= WAYS_MAX) this.#hops = new Map();
    this.#hopsTo = epoch;
    const name = `${from} ${thirds}`;
    let found = this.#hops.get(name);
    if (found === undefined) {
      const since = chain.epochStart(epoch)?.since;
      const first = since === undefined ? undefined : chain.headerAt(since);
      found = hops.from(from, first ?? newest, thirds);
      this.#hops.set(name, found);
    }
    return found;
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
    const piece = this.#o.peers.known({ kind: 'transaction', id, under: newest.header.height });
    if (typeof piece !== 'object' || piece.kind !== 'transaction' || piece.height >= newest.header.height)
      return refused('not-found', 'no block below the newest that is known here holds this transaction');
    const history = this.#historyItem(piece.height, newest);
    if (!history.ok) return history;
    const { index, count, path } = piece;
    return ok([...history.value, { kind: 'transaction', id, index, count, path }]);
  }

  /** Under the newest header, however old it is. */
  #payloadItems(id: Hash, newest: CertifiedHeader): Items {
    const under = newest.header.height;
    const piece = this.#o.peers.known({ kind: 'payload', id, under });
    const state = this.#o.chain.stateUnder(under);
    if (piece === 'later' || state === undefined)
      return refused('not-ready', 'the newest header does not commit its checkpoint yet; ask again');
    if (piece?.kind !== 'payload') return refused('not-found', 'no final payload with this id is known here');
    const { subnet, time, index, count, path, range } = piece;
    const checkpoint = { subnet, time, payloadCount: count };
    const proof = state.prove(checkpointRangeKey(subnet));
    return ok([{ kind: 'applied', checkpoint, id, index, path, range, proof }]);
  }
}
