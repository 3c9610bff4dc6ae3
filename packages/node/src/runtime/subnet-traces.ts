/**
 * What became of the payloads and envelopes that passed here lately, so that an operator's question has an answer
 * (spec SUBNET-5). In memory, bounded, and no part of the ledger.
 *
 * Thousands of payloads pass in a second and few are ever asked for, so nothing is done for each: who asks has the pending ones
 * looked through.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import type { Address } from '@itc/core/ledger/address.js';

const ENVELOPES_MAX = 65_536;
const FINALITY_SAMPLES = 64;

export class SubnetTraces {
  /** Envelopes with payloads that joined the DAG here and are not final, oldest first. */
  readonly #pending = new Map<string, VerifiedEnvelope>();
  readonly #finality: number[] = [];

  joined(envelope: VerifiedEnvelope): void {
    if (envelope.payloads.length === 0) return;
    this.#pending.set(idText(envelope.hash), envelope);
    if (this.#pending.size <= ENVELOPES_MAX) return;
    for (const oldest of this.#pending.keys()) {
      this.#pending.delete(oldest);
      break;
    }
  }

  delivered(delivery: Delivery, now: number): void {
    for (const { hash, payloads, envelope } of delivery.envelopes) {
      if (payloads.length === 0) continue;
      this.#pending.delete(idText(hash));
      this.#finality.push(Math.max(0, now - envelope.time));
      if (this.#finality.length > FINALITY_SAMPLES) this.#finality.shift();
    }
  }

  /** Of an envelope that joined here and is not final. */
  payloadsOf(envelope: Hash): readonly Hash[] | undefined {
    return this.#pending.get(idText(envelope))?.payloads.map(({ id }) => id);
  }

  /** Whose payload one is that came in an envelope that is not final. */
  deviceOf(payload: Hash): Address | undefined {
    for (const { payloads } of this.#pending.values())
      for (const { id, device } of payloads) if (equalBytes(id, payload)) return device;
    return undefined;
  }

  /** The newest envelope not final in which a payload came. */
  envelopeOf(payload: Hash): Hash | undefined {
    let newest: Hash | undefined;
    for (const { hash, payloads } of this.#pending.values())
      if (payloads.some(({ id }) => equalBytes(id, payload))) newest = hash;
    return newest;
  }

  /** From an envelope's time to its finality, lately, in the middle; undefined while none was seen. */
  get finalityMs(): number | undefined {
    const sorted = [...this.#finality].sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }
}
