/**
 * Envelopes of others between the wire and the member: screened cheaply, served fairly, their signatures checked in
 * batches by the pool: the issuer's always, those of devices as the audit chooses (spec DAG-13). What is beyond the pool's
 * share waits in the fair queues (spec DAG-11).
 */
import { costOf, Ingress, INGRESS, type IngressItem, type RawEnvelope } from '@itc/core/dag/ingress.js';
import {
  envelopeSignatures,
  judgeEnvelope,
  screenEnvelope,
  type Judgement,
  type ScreenedEnvelope,
  type VerifiedEnvelope,
  type VerifyContext,
} from '@itc/core/dag/verify.js';
import { idText } from '@itc/core/bytes/id-text.js';
import type { Auditor } from '@itc/core/dag/audit.js';
import { peekEnvelopeHash } from '@itc/core/ledger/envelope.js';
import type { EnvelopeRequest } from '@itc/core/dag/messages.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import type { Clock } from '../ports.ts';
import type { Logger } from './logger.ts';

/** Signatures being checked at a time. */
const CHECKING_COST_MAX = 2_048 * INGRESS.signatureCost;
const BATCH_COST = 256 * INGRESS.signatureCost;

export interface InboxOptions {
  readonly members: ConstructorParameters<typeof Ingress>[0];
  readonly pool: VerifyPool;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the member as it is now: it may be replaced by one that starts from a snapshot. */
  readonly context: () => VerifyContext;
  readonly expectsFrom: (peer: number) => boolean;
  readonly holds: (hash: Hash) => boolean;
  readonly auditor: Auditor;
  /** The envelope's issuer signed a payload that its device did not. */
  readonly forged: (envelope: VerifiedEnvelope, index: number) => void;
  readonly admit: (envelope: VerifiedEnvelope, from: number, reply: boolean) => void;
  readonly blame: (from: number, message: string) => void;
}

export class SubnetInbox {
  readonly #o: InboxOptions;
  readonly #ingress: Ingress;
  #checking = 0;
  /** Hashes of those whose signatures are being checked. */
  readonly #arriving = new Set<string>();
  #stopped = false;

  constructor(options: InboxOptions) {
    this.#o = options;
    this.#ingress = new Ingress(options.members);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** The bytes are kept, and must not change. */
  hear(from: number, encoded: readonly Uint8Array[], reply: boolean): void {
    const wanted = reply && this.#o.expectsFrom(from);
    const now = this.#o.clock.monotonicMs();
    for (const bytes of encoded) this.#ingress.receive({ from, encoded: bytes, reply, wanted }, now);
    this.check();
  }

  /** Keeps the pool busy from the fair queues; a batch that comes back makes room for the next. */
  check(): void {
    while (this.#checking < CHECKING_COST_MAX && !this.#stopped) {
      const items = this.#ingress.take(BATCH_COST, this.#o.clock.monotonicMs(), (raw) => this.#screen(raw));
      if (items.length === 0) return;
      void this.#verify(items);
    }
  }

  /** Of a request, what is not here already with its signatures being checked; undefined when that is all. */
  stillMissing(request: EnvelopeRequest): EnvelopeRequest | undefined {
    const hashes = request.hashes.filter((hash) => !this.#isArriving(hash));
    return hashes.length === 0 ? undefined : { ...request, hashes };
  }

  #isArriving(hash: Hash): boolean {
    return this.#arriving.has(idText(hash));
  }

  #screen({ from, encoded, wanted }: RawEnvelope): ScreenedEnvelope | undefined {
    // Who answers a request sends what may have come meanwhile: most of what is heard twice is stopped by its header.
    const hash = peekEnvelopeHash(encoded);
    if (hash !== undefined && (this.#isArriving(hash) || this.#o.holds(hash))) return undefined;
    const envelope = screenEnvelope(this.#o.context(), encoded, wanted, true);
    if (envelope.ok) return envelope.value;
    this.#o.logger.debug({ from, code: envelope.code }, `envelope refused: ${envelope.message}`);
    return undefined;
  }

  #take(judged: Judgement, { from, reply, wanted }: RawEnvelope): void {
    if (this.#stopped) return;
    switch (judged.kind) {
      case 'admitted':
        return this.#o.admit(judged.envelope, from, reply);
      case 'refused':
        return this.#o.blame(from, judged.message);
      case 'forged':
        this.#o.forged(judged.envelope, judged.index);
        // Whoever passed it on may not have looked at that payload, unless everybody has to.
        if (judged.isInvalid) this.#o.blame(from, `it passed on a forged payload of its own or another's`);
        else if (wanted) this.#o.admit(judged.envelope, from, reply);
    }
  }

  /** Signatures of all items go to the pool together; the member hears of them in order. */
  async #verify(items: readonly IngressItem[]): Promise<void> {
    const cost = items.reduce((sum, { screened }) => sum + costOf(screened), 0);
    this.#checking += cost;
    for (const { screened } of items) this.#arriving.add(idText(screened.hash));
    try {
      const now = this.#o.clock.monotonicMs();
      const chosen = items.map(({ screened }) => this.#o.auditor.choose(screened.payloads, now));
      const checks = items.map(({ screened }, i) => envelopeSignatures(screened, chosen[i]));
      const verdicts = await this.#o.pool.verifyBatch(
        checks.flat().map(({ key, message, signature }) => ({
          algorithm: key.algorithm,
          key: key.bytes,
          message,
          signature,
        })),
      );
      let at = 0;
      for (const [i, { raw, screened }] of items.entries()) {
        const count = (checks[i] as unknown[]).length;
        const judged = judgeEnvelope(screened, verdicts.slice(at, at + count), chosen[i]);
        at += count;
        this.#arriving.delete(idText(screened.hash));
        this.#take(judged, raw);
      }
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.#o.logger.debug({ code: error.code }, error.message);
    } finally {
      for (const { screened } of items) this.#arriving.delete(idText(screened.hash));
      this.#checking -= cost;
    }
    this.check();
  }
}
