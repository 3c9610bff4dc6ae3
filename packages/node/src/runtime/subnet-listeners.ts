/** Who hears what becomes of payloads and envelopes, in the order in which it is durable. */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Delivery, Effects } from '@itc/core/dag/effects.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import type { Millis } from '@itc/core/ledger/ids.js';
import type { SubnetTraces } from './subnet-traces.ts';

export type PayloadStage = 'in-dag' | 'accepted' | 'final';

export interface PayloadProgress {
  readonly payloads: readonly Hash[];
  readonly stage: PayloadStage;
  readonly envelope?: Hash;
  /** With stage `final`: where it became so. */
  readonly checkpoint?: number;
  readonly height?: number;
  readonly time: Millis;
}

export interface SubnetListener {
  progress?(progress: PayloadProgress): void;
  /** An envelope of any member joined the DAG here. */
  envelope?(envelope: VerifiedEnvelope): void;
  accepted?(envelopes: readonly Hash[]): void;
  delivered?(delivery: Delivery): void;
}

export class SubnetListeners {
  readonly #listeners = new Set<SubnetListener>();
  readonly #traces: SubnetTraces;

  constructor(traces: SubnetTraces) {
    this.#traces = traces;
  }

  add(listener: SubnetListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  progress(progress: PayloadProgress): void {
    for (const listener of this.#listeners) listener.progress?.(progress);
  }

  /** Whether anybody wants to hear of single payloads; a member that is no gateway has nobody. */
  get #isFollowed(): boolean {
    for (const listener of this.#listeners) if (listener.progress !== undefined) return true;
    return false;
  }

  /** `chainTime`: of the newest block. */
  tell(effects: Effects, time: Millis, chainTime: Millis): void {
    for (const envelope of effects.joined) {
      for (const listener of this.#listeners) listener.envelope?.(envelope);
      if (envelope.payloads.length === 0 || !this.#isFollowed) continue;
      const payloads = envelope.payloads.map(({ id }) => id);
      this.progress({ payloads, stage: 'in-dag', envelope: envelope.hash, time });
    }
    for (const hash of this.#isFollowed ? effects.accepted : []) {
      const payloads = this.#traces.payloadsOf(hash);
      if (payloads !== undefined) this.progress({ payloads, stage: 'accepted', envelope: hash, time });
    }
    if (effects.accepted.length > 0) {
      for (const listener of this.#listeners) listener.accepted?.(effects.accepted);
    }
    for (const delivery of effects.deliver) {
      this.#traces.delivered(delivery, time);
      const { certificate, height } = delivery.committed;
      for (const listener of this.#listeners) listener.delivered?.(delivery);
      if (delivery.applied.length === 0 || !this.#isFollowed) continue;
      this.progress({
        payloads: delivery.applied.map(({ payload }) => payload.id),
        stage: 'final',
        checkpoint: certificate.checkpoint.sequence,
        height,
        time: chainTime,
      });
    }
  }
}
