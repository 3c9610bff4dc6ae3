/** Answers to clients that demand co-signatures (spec QUANTUM-4): from what they trust to the newest checkpoint that enough have co-signed. */
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { height, type Epoch, type Height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  CO_SIGNED_FRAME_BYTES_MAX,
  CO_SIGNED_HOPS_MAX,
  encodeCoSignedStream,
  type CoSignedHop,
  type CoSignedItem,
} from '@itc/core/light/co-signed-stream.js';
import { coSignedWay } from '@itc/core/light/co-signed-way.js';
import { showIn } from '@itc/core/light/shown-record.js';
import type { Header } from '@itc/core/ledger/block.js';
import type { Chain } from './chain.ts';
import type { CoSigning } from './co-signing.ts';
import type { LightWant } from './light-server.ts';

export interface CoSignedRequest {
  /** Epoch of the co-signers the client trusts, and the height it believes. */
  readonly epoch: Epoch;
  readonly height: Height;
  readonly wants: readonly Exclude<LightWant, { kind: 'payload' }>[];
}

type Items = Result<readonly CoSignedItem[], ErrorCode>;

/** Until the first one. */
export const NOT_CO_SIGNED: string = `no checkpoint was co-signed by enough yet; one comes every ${LIMITS.checkpointInterval} blocks`;

export class CoSignedServer {
  readonly #chain: Chain;
  readonly #coSigning: CoSigning;

  constructor(chain: Chain, coSigning: CoSigning) {
    this.#chain = chain;
    this.#coSigning = coSigning;
  }

  /** The encoded stream. Refused: `not-found`, `not-ready`; the message says what would help. */
  answer({ epoch, height: believed, wants }: CoSignedRequest): Result<Uint8Array, ErrorCode> {
    const { store } = this.#coSigning;
    const trusted = this.#coSigning.coSignersOf(epoch);
    if (trusted === undefined)
      return refused('not-found', `nobody co-signs in epoch ${epoch}, as far as is known here`);
    const newest = this.#coSigning.newest();
    if (newest === undefined) return refused('not-ready', NOT_CO_SIGNED);
    const { header, coSigners } = newest;
    if (header.height < believed || coSigners.epoch < epoch)
      return refused(
        'not-ready',
        `height ${believed} of epoch ${epoch} is believed already, the newest checkpoint here is at ${header.height}`,
      );
    const boundaries = store.boundaries().filter((one) => one.coSigners.epoch <= coSigners.epoch);
    const way = coSignedWay(trusted, boundaries);
    if (way === undefined || (way.at(-1)?.coSigners.epoch ?? epoch) !== coSigners.epoch)
      return refused(
        'not-found',
        `too few have co-signed between epoch ${epoch} and epoch ${coSigners.epoch}`,
      );
    const hops = way
      .slice(0, CO_SIGNED_HOPS_MAX)
      .map((boundary) => store.hop(boundary.header.height) as CoSignedHop);
    const isPart = hops.length < way.length;
    // The client asks again from where a part of the way has led it.
    const last = isPart ? store.boundary(hops.at(-1)?.coSigners.epoch ?? 0)?.header : header;
    const checkpoint = last && store.checkpoint(last.height);
    if (last === undefined || checkpoint === undefined)
      return refused('not-found', `the way from epoch ${epoch} is interrupted here`);
    const items = isPart ? ok([]) : this.#items(wants, header);
    if (!items.ok) return items;
    return ok(encodeCoSignedStream({ trusted, hops, checkpoint, items: items.value }));
  }

  /** Records first, then what needs an earlier header. */
  #items(wants: CoSignedRequest['wants'], newest: Header): Items {
    const items: CoSignedItem[] = [];
    for (const want of wants) {
      const more =
        want.kind === 'state'
          ? this.#state(want.key, newest)
          : want.kind === 'header'
            ? this.#history(want.height, newest)
            : this.#transaction(want.id, newest);
      if (!more.ok) return more;
      if (want.kind === 'state') items.unshift(...more.value);
      else items.push(...more.value);
    }
    return ok(items);
  }

  #state(key: Extract<LightWant, { kind: 'state' }>['key'], { height: of }: Header): Items {
    const state = this.#chain.stateUnder(height(of + LIMITS.pipelineDepth));
    if (state === undefined) return refused('not-found', `the state after height ${of} is not kept here`);
    const shown = showIn(state.tree, key);
    if ((shown.record?.length ?? 0) > CO_SIGNED_FRAME_BYTES_MAX / 2)
      return refused('proof.too-long', `the record has ${shown.record?.length} bytes`);
    return ok([{ kind: 'state', key, shown }]);
  }

  #history(of: Height, newest: Header): Items {
    const header = this.#chain.headerAt(of)?.header;
    if (header === undefined || of >= newest.height)
      return refused('not-found', `expected a height from 1 to ${newest.height - 1}, got ${of}`);
    return ok([{ kind: 'history', header, path: this.#chain.historyPath(of, newest.height) }]);
  }

  #transaction(id: Extract<LightWant, { kind: 'transaction' }>['id'], newest: Header): Items {
    const receipt = this.#chain.receipt(id);
    const included = receipt && this.#chain.included(receipt);
    if (included === undefined || included.header.height >= newest.height)
      return refused(
        'not-found',
        'no block below the newest checkpoint that is kept here holds this transaction',
      );
    const history = this.#history(included.header.height, newest);
    if (!history.ok) return history;
    const { index, count, path } = included;
    return ok([...history.value, { kind: 'transaction', id, index, count, path }]);
  }
}
