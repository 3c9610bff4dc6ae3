/**
 * What a subnet member keeps of the finished past: envelope bodies in segments by checkpoint, and tables that
 * lead from a payload to its checkpoint. Everything a proof of a reading needs beyond the main chain.
 */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import { decodeEnvelopeWithPayloads } from '@itc/core/dag/envelope.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { parsePayload, type Payload } from '@itc/core/ledger/payload.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Change, Tables } from '../ports.ts';
import type { SegmentStore } from '../storage/segment-store.ts';

export interface PayloadPlace {
  readonly checkpoint: number;
  /** Among the applied payloads of the checkpoint, in canonical order. */
  readonly index: number;
  readonly envelope: Hash;
}

const PAYLOADS = 'subnet-payloads';
const APPLIED = 'subnet-applied';
const ORDER = 'subnet-order';
const FINAL = 'subnet-final';

export class SubnetStore {
  readonly #chain: Hash;
  readonly #tables: Tables;
  readonly #segments: SegmentStore;

  constructor(options: { readonly chain: Hash; readonly tables: Tables; readonly segments: SegmentStore }) {
    this.#chain = options.chain;
    this.#tables = options.tables;
    this.#segments = options.segments;
  }

  /** Writing the same delivery again changes nothing, so it may come once more after a crash. */
  async deliver(delivery: Delivery): Promise<void> {
    const { checkpoint } = delivery.committed.certificate;
    const sequence = new Writer(8).u53(checkpoint.sequence).finish();
    const changes: Change[] = [];
    for (const envelope of delivery.envelopes) {
      this.#segments.put(envelope.hash, envelope.encoded);
      changes.push({
        table: FINAL,
        key: envelope.hash,
        value: new Writer(16).raw(sequence).u53(envelope.envelope.time).finish(),
      });
    }
    for (const [index, { payload, envelope }] of delivery.applied.entries()) {
      changes.push({
        table: PAYLOADS,
        key: payload.id,
        value: new Writer(44).raw(sequence).u32(index).fixed(envelope, HASH_BYTES).finish(),
      });
    }
    changes.push(
      { table: APPLIED, key: sequence, value: joined(delivery.applied.map(({ payload }) => payload.id)) },
      { table: ORDER, key: sequence, value: joined(delivery.envelopes.map(({ hash }) => hash)) },
    );
    await this.#segments.seal(checkpoint.sequence);
    await this.#tables.commit(changes);
    await this.#tables.flush();
  }

  /** Whether this checkpoint was delivered here. */
  has(sequence: number): boolean {
    return this.#tables.table(ORDER).has(new Writer(8).u53(sequence).finish());
  }

  place(payload: Hash): PayloadPlace | undefined {
    const stored = this.#tables.table(PAYLOADS).get(payload);
    if (stored === undefined) return undefined;
    const reader = new Reader(stored);
    return {
      checkpoint: reader.u53(),
      index: reader.u32(),
      envelope: asHash(reader.fixed(HASH_BYTES).slice()),
    };
  }

  /** Ids of a checkpoint's applied payloads, in canonical order. */
  appliedIds(sequence: number): Hash[] | undefined {
    return split(this.#tables.table(APPLIED).get(new Writer(8).u53(sequence).finish()));
  }

  /** Hashes of a checkpoint's envelopes, in canonical order. */
  envelopeOrder(sequence: number): Hash[] | undefined {
    return split(this.#tables.table(ORDER).get(new Writer(8).u53(sequence).finish()));
  }

  finalised(envelope: Hash): { readonly checkpoint: number; readonly time: number } | undefined {
    const stored = this.#tables.table(FINAL).get(envelope);
    if (stored === undefined) return undefined;
    const reader = new Reader(stored);
    return { checkpoint: reader.u53(), time: reader.u53() };
  }

  envelope(hash: Hash): Uint8Array | undefined {
    return this.#segments.get(hash);
  }

  /** Payloads in the envelopes of a checkpoint, in canonical order; none when it is not stored. */
  *payloadsOf(sequence: number): Generator<Payload> {
    for (const hash of this.envelopeOrder(sequence) ?? []) {
      const encoded = this.#segments.get(hash);
      const whole = encoded === undefined ? undefined : decodeEnvelopeWithPayloads(encoded);
      if (whole?.ok !== true) continue;
      for (const bytes of whole.value.payloads) {
        const payload = parsePayload(this.#chain, bytes);
        if (payload.ok) yield payload.value;
      }
    }
  }

  /** The COSE_Sign1 of an applied payload; undefined when its body was pruned. */
  payloadBytes(id: Hash, place: PayloadPlace): Uint8Array | undefined {
    const encoded = this.#segments.get(place.envelope);
    if (encoded === undefined) return undefined;
    const whole = decodeEnvelopeWithPayloads(encoded);
    if (!whole.ok)
      throw new LedgerError('storage.corrupt', `a stored envelope does not decode: ${whole.message}`);
    return whole.value.payloads.find((bytes) => {
      const payload = parsePayload(this.#chain, bytes);
      return payload.ok && equalBytes(payload.value.id, id);
    });
  }
}

function joined(hashes: readonly Hash[]): Uint8Array {
  const writer = new Writer(Math.max(1, hashes.length * HASH_BYTES));
  for (const hash of hashes) writer.fixed(hash, HASH_BYTES);
  return writer.finish();
}

function split(stored: Uint8Array | undefined): Hash[] | undefined {
  if (stored === undefined) return undefined;
  const hashes: Hash[] = [];
  for (let at = 0; at < stored.length; at += HASH_BYTES)
    hashes.push(asHash(stored.slice(at, at + HASH_BYTES)));
  return hashes;
}
