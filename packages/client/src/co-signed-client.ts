/**
 * A client that believes what validators have co-signed with ML-DSA-44, and nothing that Ed25519 alone says (spec QUANTUM-4): from a
 * genesis document that names co-signers, or 149 bytes that somebody trusted wrote down. It sees the ledger as of the newest checkpoint,
 * some blocks behind the tip.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Ok, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { headerHash } from '@itc/core/ledger/block.js';
import type { Genesis } from '@itc/core/ledger/genesis.js';
import { height, type Height } from '@itc/core/ledger/ids.js';
import { encodeCoSignedTrust, trustCoSigned } from '@itc/core/light/co-signed.js';
import { CoSignedReader, type CoSignedEvent } from '@itc/core/light/co-signed-reader.js';
import { CO_SIGNED_HOPS_MAX } from '@itc/core/light/co-signed-stream.js';
import { TRUST_BYTES } from '@itc/core/light/engine/layout.js';
import type { StateKey } from '@itc/core/state/keys.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { open, problem } from './http.ts';
import { readingShown, type ProvedReading } from './light-reading.ts';
import {
  declined,
  fault,
  lastOf,
  nextPiece,
  recordsShown,
  type LightFault,
  type LightWant,
} from './light-request.ts';
import { Asking, chainOf, PARTS_MAX, trustOf, type AskingOptions, type LightStart } from './light-start.ts';
import type { LightStore, ProofLine } from './light-store.ts';

export interface CoSignedOptions extends AskingOptions {
  /** URLs in the order in which they are asked; none is trusted. */
  readonly gateways: readonly string[];
  /** Of its own: what it keeps is no trust of a light client that believes Ed25519. */
  readonly store: LightStore;
  /** Plain JavaScript when left out: two milliseconds for each signature. */
  readonly verify?: SignatureVerifier;
}

/** Under which co-signed checkpoint, or under which earlier block in its history. */
export interface CoSigned<T> extends ProofLine {
  readonly value: T;
  readonly gateway: string;
}

type Want = Exclude<LightWant, { kind: 'payload' }>;
type Believed = Extract<CoSignedEvent, { kind: 'believed' }>;

interface Answer {
  readonly gateway: string;
  readonly believed: Believed;
  readonly events: readonly CoSignedEvent[];
}

/** Of one answer: `CO_SIGNED_HOPS_MAX` hops of some eighty signers each. */
const STREAM_BYTES_MAX = 64 << 20;

export class CoSignedClient {
  readonly #o: CoSignedOptions;
  readonly #asking: Asking;
  #trust: Uint8Array;

  private constructor(options: CoSignedOptions, trust: Uint8Array) {
    this.#o = options;
    this.#asking = new Asking(options, verifySignature);
    this.#trust = trust;
  }

  /** Goes on from what the store holds where that is of the same chain and not older than the start. Asks no gateway. */
  static async open(start: LightStart, options: CoSignedOptions): Promise<Ok<CoSignedClient> | LightFault> {
    const begun = trustOf(start, begin);
    if (!begun.ok) return fault('other-chain', undefined, begun.message);
    const kept = await options.store.read();
    const isKept =
      kept?.length === TRUST_BYTES &&
      equalBytes(chainOf(kept), chainOf(begun.value)) &&
      lastOf(kept).height >= lastOf(begun.value).height;
    return ok(new CoSignedClient(options, isKept ? kept.slice() : begun.value));
  }

  /** Genesis hash. */
  get chain(): Hash {
    return chainOf(this.#trust);
  }

  /** 149 bytes: a checkpoint to pin elsewhere. */
  get trust(): Uint8Array {
    return this.#trust.slice();
  }

  /** Of the newest checkpoint that is believed. */
  get height(): Height {
    return height(lastOf(this.#trust).height);
  }

  /** To the newest checkpoint that any gateway shows; the value is the number of epochs it was led across. */
  sync(): Promise<Ok<CoSigned<number>> | LightFault> {
    return this.#asking.inTurn(async () => {
      const asked = await this.#first([]);
      return asked.ok ? ok({ ...line(asked.value), value: asked.value.believed.hops }) : asked;
    });
  }

  /** In the order asked for, in the state after the newest checkpoint; undefined where the key provably holds nothing. */
  records(
    keys: readonly StateKey[],
  ): Promise<Ok<CoSigned<readonly (Uint8Array | undefined)[]>> | LightFault> {
    return this.#asking.inTurn(async () => {
      const asked = await this.#first(keys.map((key) => ({ kind: 'state', key })));
      if (!asked.ok) return asked;
      const shown = recordsShown(asked.value, keys);
      return shown.ok ? ok({ ...line(asked.value), value: shown.value }) : shown;
    });
  }

  /** That a transaction is in a block of the co-signed history; the height and time are that block's. */
  transaction(id: Hash): Promise<Ok<CoSigned<Hash>> | LightFault> {
    return this.#asking.inTurn(async () => {
      const asked = await this.#first([{ kind: 'transaction', id }]);
      if (!asked.ok) return asked;
      const { gateway, events } = asked.value;
      const shown = events.findIndex((event) => event.kind === 'transaction' && equalBytes(event.id, id));
      const under = events[shown - 1];
      if (under?.kind !== 'history')
        return fault('missing', gateway, `the answer does not show ${toHex(id)}`);
      return ok({ ...line(asked.value), height: under.height, time: under.time, value: id });
    });
  }

  /**
   * A payload with its readings. Its document is signed with Ed25519 throughout; that it was so when the block was made, and not
   * forged since, is what the co-signed history says, which holds that block.
   */
  payload(id: Hash): Promise<Ok<CoSigned<ProvedReading>> | LightFault> {
    return this.#asking.inTurn(async () => {
      let last: LightFault = fault('unreachable', undefined, 'no gateway was asked');
      for (const gateway of this.#o.gateways) {
        const found = await this.#payloadAt(gateway, id);
        if (found.ok) return found;
        last = found;
      }
      return last;
    });
  }

  async #payloadAt(gateway: string, id: Hash): Promise<Ok<CoSigned<ProvedReading>> | LightFault> {
    const shown = await readingShown({
      gateway,
      chain: this.chain,
      id,
      verify: this.#asking.verify,
      fetch: this.#asking.fetch,
      signal: this.#asking.deadline(),
    });
    if (!shown.ok) return shown;
    const { value, under, header } = shown.value;
    const hash = headerHash(header);
    const asked = await this.#ask(gateway, [{ kind: 'header', height: header.height }]);
    if (!asked.ok) return asked;
    const isHeld = asked.value.events.some(
      (event) => event.kind === 'history' && equalBytes(headerHash(event.header), hash),
    );
    if (!isHeld)
      return fault('untrue', gateway, 'the block of the proof is not in the co-signed history', 'history');
    return ok({ ...line(asked.value), height: under.height, time: under.time, value });
  }

  /** The first gateway whose answer holds. */
  async #first(wants: readonly Want[]): Promise<Ok<Answer> | LightFault> {
    let last: LightFault = fault('unreachable', undefined, 'no gateway was asked');
    for (const gateway of this.#o.gateways) {
      const answer = await this.#ask(gateway, wants);
      if (answer.ok) return answer;
      last = answer;
    }
    return last;
  }

  /** Until the newest checkpoint: an answer may lead a part of the way only. */
  async #ask(gateway: string, wants: readonly Want[]): Promise<Ok<Answer> | LightFault> {
    for (let parts = 0; parts < PARTS_MAX; parts += 1) {
      const answer = await this.#askOnce(gateway, wants);
      if (!answer.ok) return answer;
      this.#trust = answer.value.believed.trust;
      await this.#o.store.write(this.#trust);
      if (answer.value.believed.hops < CO_SIGNED_HOPS_MAX) return answer;
    }
    return fault('behind', gateway, 'the way to the newest checkpoint has no end');
  }

  async #askOnce(gateway: string, wants: readonly Want[]): Promise<Ok<Answer> | LightFault> {
    const signal = this.#asking.deadline();
    const url = `${gateway.replace(/\/$/, '')}/api/v1/light/co-signed?${queryOf(this.#trust, wants)}`;
    try {
      const headers = { accept: 'application/octet-stream' };
      const response = await open(this.#asking.fetch, url, { method: 'GET', headers, signal });
      if (!response.ok) return declined(gateway, problem(response.status, await response.text(), url));
      const body = response.body?.getReader();
      if (body === undefined) return fault('unreachable', gateway, 'the answer has no body');
      const reader = new CoSignedReader({ trust: this.#trust, verify: this.#asking.verify });
      const events: CoSignedEvent[] = [];
      for (let length = 0; !reader.isDone;) {
        const { done, value } = await nextPiece(body, gateway);
        if (done || value === undefined) break;
        length += value.length;
        events.push(...reader.push(value));
        const last = events.at(-1);
        if (last?.kind !== 'refused' && length <= STREAM_BYTES_MAX) continue;
        await body.cancel();
        return last?.kind === 'refused'
          ? fault(last.check === 'conflict' ? 'conflict' : 'untrue', gateway, last.reason, last.check)
          : fault('untrue', gateway, `the answer exceeds ${STREAM_BYTES_MAX} bytes`, 'format');
      }
      const [believed] = events;
      if (!reader.isDone || believed?.kind !== 'believed')
        return fault('untrue', gateway, 'the answer ends too early', 'format');
      return ok({ gateway, believed, events });
    } catch (error) {
      if (error instanceof LedgerError || signal.aborted)
        return fault('unreachable', gateway, error instanceof Error ? error.message : 'no answer');
      throw error;
    }
  }
}

function line({ gateway, believed }: Answer): Omit<CoSigned<unknown>, 'value'> {
  const { signers, weight, total, time } = believed;
  return { gateway, height: believed.height, time, signers, weight, total };
}

function begin(genesis: Genesis): Result<Uint8Array, 'start'> {
  const trust = trustCoSigned(genesis);
  return trust === undefined
    ? refused('start', 'genesis names no co-signers: there is nothing to demand co-signatures from')
    : ok(encodeCoSignedTrust(trust));
}

function queryOf(trust: Uint8Array, wants: readonly Want[]): string {
  const { epoch, height: at } = lastOf(trust);
  return [
    `epoch=${epoch}`,
    `height=${at}`,
    ...wants.map((want) => {
      switch (want.kind) {
        case 'state':
          return `state=${toHex(want.key)}`;
        case 'transaction':
          return `transaction=${toHex(want.id)}`;
        case 'header':
          return `header=${want.height}`;
      }
    }),
  ].join('&');
}
