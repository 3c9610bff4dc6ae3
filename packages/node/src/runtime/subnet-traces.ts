/**
 * What became of the payloads and envelopes that passed here lately, so that an operator's question has an answer
 * (spec SUBNET-5). In memory, bounded, and no part of the ledger.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';

const ENVELOPES_MAX = 65_536;
const FINALITY_SAMPLES = 64;

export class SubnetTraces {
  /** Payloads of envelopes that joined the DAG here and are not final. */
  readonly #payloads = new Map<string, readonly Hash[]>();
  readonly #envelopeOf = new Map<string, Hash>();
  readonly #finality: number[] = [];

  joined(envelope: VerifiedEnvelope): void {
    const payloads = envelope.payloads.map(({ id }) => id);
    if (payloads.length === 0) return;
    this.#payloads.set(toHex(envelope.hash), payloads);
    for (const id of payloads) this.#envelopeOf.set(toHex(id), envelope.hash);
    if (this.#payloads.size <= ENVELOPES_MAX) return;
    for (const oldest of this.#payloads.keys()) {
      this.#forget(oldest);
      break;
    }
  }

  delivered(delivery: Delivery, now: number): void {
    for (const { hash, payloads, envelope } of delivery.envelopes) {
      this.#forget(toHex(hash));
      if (payloads.length === 0) continue;
      this.#finality.push(Math.max(0, now - envelope.time));
      if (this.#finality.length > FINALITY_SAMPLES) this.#finality.shift();
    }
  }

  /** Of an envelope that joined here and is not final. */
  payloadsOf(envelope: Hash): readonly Hash[] | undefined {
    return this.#payloads.get(toHex(envelope));
  }

  /** The newest envelope not final in which a payload came. */
  envelopeOf(payload: Hash): Hash | undefined {
    return this.#envelopeOf.get(toHex(payload));
  }

  /** From an envelope's time to its finality, lately, in the middle; undefined while none was seen. */
  get finalityMs(): number | undefined {
    const sorted = [...this.#finality].sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }

  #forget(envelope: string): void {
    for (const id of this.#payloads.get(envelope) ?? []) {
      const at = this.#envelopeOf.get(toHex(id));
      if (at !== undefined && toHex(at) === envelope) this.#envelopeOf.delete(toHex(id));
    }
    this.#payloads.delete(envelope);
  }
}
