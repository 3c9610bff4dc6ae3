/**
 * Payloads on their way into own envelopes: gathered for a moment so that many share one, worked on, signed, handed
 * to the member. What cannot be issued now keeps its place.
 */
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { accusationPayload } from '@itc/core/ledger/accusation.js';
import type { Draft } from '@itc/core/dag/effects.js';
import { sealDraft } from '@itc/core/dag/draft.js';
import { powSearch } from '@itc/core/dag/proof-of-work.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { KeyPair } from '../crypto/keypair.ts';
import type { Clock, Timer } from '../ports.ts';
import { SubnetQueue } from './subnet-queue.ts';

/** Payloads wait this long for others to share their envelope; a command does not wait. */
const GATHER_MS = 40;
export const QUEUE_MAX = 50_000;
const ENVELOPE_PAYLOAD_BYTES = LIMITS.envelopeBytesMax - 4_096;
const POW_SLICE = 4_096;

export interface IssuerOptions {
  readonly chain: Hash;
  readonly keys: KeyPair;
  /** Own index among the members. */
  readonly self: () => number;
  readonly clock: Clock;
  readonly draft: (payloads: readonly Payload[]) => Draft | undefined;
  /** Whether the member took the envelope; otherwise its payloads go into another one. */
  readonly issue: (envelope: VerifiedEnvelope) => boolean;
  readonly failed: (error: unknown) => void;
}

export class SubnetIssuer {
  readonly #o: IssuerOptions;
  readonly #waiting = new SubnetQueue();
  /** Since the last turn of the clock the member has taken no payloads: until the next it is not asked again. */
  #isHeld = false;
  #waitingSince = 0;
  /** Accusations: each takes an envelope of its own, before all else. */
  readonly #accusations: Payload[] = [];
  #issuing = false;
  /** In the envelope that is being worked on. */
  #inWork: readonly Payload[] = [];
  #wantsEnvelope = false;
  #gather: Timer | undefined;
  #stopped = false;

  constructor(options: IssuerOptions) {
    this.#o = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  isWaiting(payload: Hash): boolean {
    const isIt = ({ id }: Payload): boolean => equalBytes(id, payload);
    if (this.#inWork.some(isIt)) return true;
    for (const waiting of this.#waiting.values()) if (isIt(waiting)) return true;
    return false;
  }

  stop(): void {
    this.#stopped = true;
    this.#gather?.cancel();
  }

  offer(payload: Payload): Result<void, ErrorCode> {
    // Beside others it makes an envelope invalid, and one that does not hold makes any.
    if (payload.contentType === 'accusation')
      return refused('payload.malformed', 'an accusation is made by a member, not handed to one');
    if (this.#waiting.length >= QUEUE_MAX)
      return refused('pool.full', `${QUEUE_MAX} payloads wait for an envelope; try again later`);
    if (this.#waiting.length === 0) this.#waitingSince = this.#o.clock.monotonicMs();
    this.#waiting.push(payload);
    const urgent = payload.contentType === 'command' || payload.contentType === 'ack';
    if (urgent || this.#waiting.length >= LIMITS.envelopePayloadsMax) this.run(true);
    else {
      this.#gather ??= this.#o.clock.after(GATHER_MS, () => {
        this.#gather = undefined;
        this.run();
      });
    }
    return ok(undefined);
  }

  /** Before all others: they were offered earlier. An accusation is asked for again while it is needed. */
  putBack(payloads: readonly Payload[]): void {
    this.#waiting.putBack(payloads.filter(({ contentType }) => contentType !== 'accusation'));
  }

  /** Not inside the step that asked for it. */
  accuse(accused: number, content: Uint8Array): void {
    const { chain, keys } = this.#o;
    const { publicKey: signer, sign } = keys;
    this.#accusations.push(accusationPayload({ chain, signer, sign, number: accused + 1, content }));
    queueMicrotask(() => this.run());
  }

  /** Other members: an accusation that still holds among them is asked for again. */
  forgetAccusations(): void {
    this.#accusations.length = 0;
  }

  /** Others wait for an envelope of ours, also an empty one. */
  want(): void {
    this.#wantsEnvelope = true;
    // Not inside the step that asked.
    queueMicrotask(() => this.run());
  }

  /** Starts an envelope when there is something to say and none is being worked on. */
  run(urgent = false): void {
    if (this.#issuing || this.#stopped) return;
    if (!urgent) this.#isHeld = false;
    else if (this.#isHeld) return;
    const accusation = this.#accusations[0];
    if (accusation !== undefined) {
      const draft = this.#o.draft([accusation]);
      if (draft === undefined) return;
      this.#accusations.shift();
      this.#issuing = true;
      this.#inWork = draft.payloads;
      void this.#carry(draft);
      return;
    }
    const waited = this.#o.clock.monotonicMs() - this.#waitingSince;
    const ripe =
      this.#waiting.length > 0 &&
      (urgent || waited >= GATHER_MS || this.#waiting.length >= LIMITS.envelopePayloadsMax);
    if (!ripe && !this.#wantsEnvelope) return;
    const payloads = this.#takeWaiting();
    let draft = this.#o.draft(payloads);
    if (draft === undefined) {
      // Not now (catching up, too fast, or too much is pending): the payloads keep their place. Approval does not wait for them.
      this.putBack(payloads);
      this.#isHeld = payloads.length > 0;
      if (this.#wantsEnvelope) draft = this.#o.draft([]);
      if (draft === undefined) return;
    }
    this.#wantsEnvelope = false;
    this.#issuing = true;
    void this.#carry(draft);
  }

  #takeWaiting(): Payload[] {
    this.#waitingSince = this.#o.clock.monotonicMs();
    return this.#waiting.take(LIMITS.envelopePayloadsMax, ENVELOPE_PAYLOAD_BYTES);
  }

  async #carry(draft: Draft): Promise<void> {
    let taken = false;
    try {
      taken = await this.#work(draft);
    } catch (error) {
      this.#o.failed(error);
    }
    this.#issuing = false;
    this.#inWork = [];
    // What was not taken is tried again with the next tick of the clock, not at once.
    if (taken && this.#waiting.length > 0) this.run();
  }

  async #work(draft: Draft): Promise<boolean> {
    const { bodyHash, bits, payloads } = draft;
    let nonce: number | undefined;
    for (let start = 0; nonce === undefined; start += POW_SLICE) {
      nonce = powSearch({ bodyHash, bits, start, tries: POW_SLICE });
      if (nonce === undefined) await yieldToOthers();
      if (this.#stopped) return false;
    }
    const { chain, keys } = this.#o;
    const taken = this.#o.issue(sealDraft(draft, { chain, self: this.#o.self(), nonce, sign: keys.sign }));
    if (!taken) this.putBack(payloads);
    return taken;
  }
}
