/**
 * Drives a subnet member: packs payloads into envelopes, does their proof of work, carries out the member's
 * effects and answers its wants. It holds no rule of the DAG.
 */
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type {
  Delivery,
  Draft,
  Effects,
  Input,
  MemberStatus,
  Outgoing,
  Timing,
  VertexView,
  Want,
} from '@itc/core/dag/effects.js';
import { encodeEnvelopeWithPayloads, envelopeHash, envelopeSigningBytes } from '@itc/core/dag/envelope.js';
import { costOf, Ingress, INGRESS, type IngressItem, type RawEnvelope } from '@itc/core/dag/ingress.js';
import { Member } from '@itc/core/dag/member.js';
import { decodeMessage, encodeMessage, verifyMessage, type SubnetMessage } from '@itc/core/dag/messages.js';
import { powSearch } from '@itc/core/dag/proof-of-work.js';
import { decodeLogRecord, encodeLogRecord } from '@itc/core/dag/records.js';
import {
  admitEnvelope,
  envelopeSignatures,
  screenEnvelope,
  trustEnvelope,
  type ScreenedEnvelope,
  type VerifiedEnvelope,
  type VerifyContext,
} from '@itc/core/dag/verify.js';
import type { CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { decodeTransaction } from '@itc/core/ledger/transaction.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { verifyNative } from '../crypto/native.ts';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import type { Clock, Peer, PeerId, Random, Timer, Transport } from '../ports.ts';
import type { WriteAheadLog } from '../storage/write-ahead-log.ts';
import { CHANNELS } from './channels.ts';
import { Drain } from './drain.ts';
import type { Chain } from './chain.ts';
import type { Logger } from './logger.ts';
import type { SubnetStore } from './subnet-store.ts';

export interface SubnetOptions {
  readonly chain: Chain;
  readonly subnet: Hash;
  readonly members: ValidatorSet;
  readonly powBits: number;
  readonly keys: KeyPair;
  readonly transport: Transport;
  readonly pool: VerifyPool;
  readonly log: WriteAheadLog;
  readonly records: readonly Uint8Array[];
  readonly store: SubnetStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timing?: Partial<Timing>;
  /** Brings a full certificate to the validators. */
  readonly submit: (certificate: CheckpointCertificate) => void;
}

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

const TICK_MS = 50;
/** Payloads wait this long for others to share their envelope; a command does not wait. */
const GATHER_MS = 40;
const QUEUE_MAX = 50_000;
const ENVELOPE_PAYLOAD_BYTES = LIMITS.envelopeBytesMax - 4_096;
const POW_SLICE = 4_096;
const COMMITTED_BATCH = 64;
/** Signatures being checked at a time: what is beyond waits in the fair queue, where shares are kept. */
const CHECKING_COST_MAX = 2_048 * INGRESS.signatureCost;
const BATCH_COST = 256 * INGRESS.signatureCost;
const LOG_BYTES_MAX = 32 * 1024 * 1024;
/** A crash loses a listener at most what was told in its last moments. */
const RECENT_CHECKPOINTS = 32;
const SERVED_BYTES_MAX = LIMITS.envelopeBytesMax;

export class Subnet {
  readonly #o: SubnetOptions;
  readonly #member: Member;
  readonly #context: VerifyContext;
  readonly #peerOf: readonly PeerId[];
  readonly #indexOf = new Map<PeerId, number>();
  readonly #ingress: Ingress;
  readonly #listeners = new Set<SubnetListener>();
  /** Payloads of envelopes that are not final, to tell of them when the envelope gets on. */
  readonly #pendingPayloads = new Map<string, readonly Hash[]>();
  #waiting: Payload[] = [];
  #waitingSince = 0;
  #issuing = false;
  #wantsEnvelope = false;
  #checking = 0;
  #queue: Effects[] = [];
  readonly #pump = new Drain({
    work: () => this.#carryOut(),
    hasWork: () => this.#queue.length > 0,
    failed: (error) => this.#fail(error),
  });
  #timer: Timer | undefined;
  #gather: Timer | undefined;
  #stopped = false;
  #fatal: unknown;

  constructor(options: SubnetOptions) {
    this.#o = options;
    const { chain, subnet, members, powBits, keys, transport } = options;
    this.#peerOf = members.map((member) => toHex(member.key.bytes));
    for (const [index, id] of this.#peerOf.entries()) this.#indexOf.set(id, index);
    this.#member = new Member({
      chain: chain.id,
      subnet,
      members,
      powBits,
      self: this.#indexOf.get(toHex(keys.publicKey.bytes)) ?? -1,
      random: () => options.random.uniform(),
      sign: keys.sign,
      ...(options.timing === undefined ? {} : { timing: options.timing }),
      restore: options.records.map((bytes) => {
        const record = decodeLogRecord(bytes);
        if (!record.ok)
          throw new LedgerError(
            'storage.corrupt',
            `the member's log holds a record that does not decode: ${record.message}`,
          );
        return record.value;
      }),
    });
    this.#ingress = new Ingress(members);
    this.#context = { chain: chain.id, subnet, members, powBits, anchors: this.#member.anchors };
    for (const channel of [CHANNELS.envelope, CHANNELS.member]) {
      transport.open({ ...channel, receive: (peer, bytes) => this.#receive(peer, bytes) });
    }
    chain.onCommitted(({ events, block }) => {
      for (const event of events) {
        if (event.kind !== 'checkpoint-committed' || toHex(event.subnet) !== toHex(subnet)) continue;
        const body = block.transactions[event.index]?.tx.body;
        if (body?.kind !== 'checkpoint') continue;
        this.#step({
          kind: 'committed',
          committed: { certificate: body.certificate, height: block.header.height, txIndex: event.index },
          now: this.#now(),
        });
      }
    });
  }

  get id(): Hash {
    return this.#o.subnet;
  }

  get members(): ValidatorSet {
    return this.#o.members;
  }

  get failure(): unknown {
    return this.#fatal;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  status(): MemberStatus {
    return this.#member.status();
  }

  graph(limit: number): VertexView[] {
    return this.#member.graph(limit);
  }

  /** Where a payload became final; undefined while it is not, or was pruned. */
  final(
    payload: Hash,
  ): { readonly checkpoint: number; readonly height: number; readonly time: number } | undefined {
    const { store, chain, subnet } = this.#o;
    const place = store.place(payload);
    const at = place === undefined ? undefined : chain.checkpointPlace(subnet, place.checkpoint);
    if (place === undefined || at === undefined) return undefined;
    return { checkpoint: place.checkpoint, height: at.height, time: chain.time };
  }

  /** Payloads of the newest checkpoints, oldest first. */
  *recentPayloads(): Generator<Payload> {
    const { checkpoint } = this.#member.status();
    for (let sequence = Math.max(1, checkpoint - RECENT_CHECKPOINTS); sequence <= checkpoint; sequence += 1) {
      yield* this.#o.store.payloadsOf(sequence);
    }
  }

  listen(listener: SubnetListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    // What the chain executed from its log at start was told to nobody.
    this.#feedCommitted(this.#member.status().checkpoint + 1);
    const tick = (): void => {
      if (this.#stopped) return;
      this.#step({ kind: 'tick', now: this.#now() });
      this.#check();
      this.#issue();
      this.#timer = this.#o.clock.after(TICK_MS, tick);
    };
    tick();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#gather?.cancel();
    await this.#pump.idle();
  }

  /**
   * Queues a payload, already verified, for the next envelope. It is durable here only when `in-dag` is
   * reported: until then the caller's own store answers for it.
   */
  offer(payload: Payload): Result<void, ErrorCode> {
    if (this.#stopped) return refused('not-ready', 'the gateway is stopping');
    if (this.#waiting.length >= QUEUE_MAX)
      return refused('pool.full', `${QUEUE_MAX} payloads wait for an envelope; try again later`);
    if (this.#waiting.length === 0) this.#waitingSince = this.#o.clock.monotonicMs();
    this.#waiting.push(payload);
    const urgent = payload.contentType === 'command' || payload.contentType === 'ack';
    if (urgent || this.#waiting.length >= LIMITS.envelopePayloadsMax) this.#issue(true);
    else {
      this.#gather ??= this.#o.clock.after(GATHER_MS, () => {
        this.#gather = undefined;
        this.#issue();
      });
    }
    return ok(undefined);
  }

  #now(): Millis {
    return this.#o.clock.now();
  }

  /** Starts an envelope when there is something to say and none is being worked on. */
  #issue(urgent = false): void {
    if (this.#issuing || this.#stopped || this.#fatal !== undefined) return;
    const waited = this.#o.clock.monotonicMs() - this.#waitingSince;
    const ripe =
      this.#waiting.length > 0 &&
      (urgent || waited >= GATHER_MS || this.#waiting.length >= LIMITS.envelopePayloadsMax);
    if (!ripe && !this.#wantsEnvelope) return;
    const payloads = this.#takeWaiting();
    const draft = this.#member.draft(payloads, this.#now());
    if (draft === undefined) {
      // Not now (catching up, or too much is pending): the payloads keep their place.
      this.#waiting = [...payloads, ...this.#waiting];
      return;
    }
    this.#wantsEnvelope = false;
    this.#issuing = true;
    this.#work(draft)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#issuing = false;
        if (this.#waiting.length > 0) this.#issue();
      });
  }

  #takeWaiting(): Payload[] {
    let bytes = 0;
    let count = 0;
    for (const payload of this.#waiting) {
      bytes += payload.bytes.length + 4;
      if (count >= LIMITS.envelopePayloadsMax || bytes > ENVELOPE_PAYLOAD_BYTES) break;
      count += 1;
    }
    const taken = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    this.#waitingSince = this.#o.clock.monotonicMs();
    return taken;
  }

  async #work(draft: Draft): Promise<void> {
    const { body, bodyHash, bits, payloads } = draft;
    let nonce: number | undefined;
    for (let start = 0; nonce === undefined; start += POW_SLICE) {
      nonce = powSearch({ bodyHash, bits, start, tries: POW_SLICE });
      if (nonce === undefined) await yieldToOthers();
      if (this.#stopped) return;
    }
    const signature = this.#o.keys.sign(
      envelopeSigningBytes(this.#o.chain.id, envelopeHash(bodyHash, nonce)),
    );
    const encoded = encodeEnvelopeWithPayloads({
      envelope: { ...body, nonce, signature },
      payloads: payloads.map((payload) => payload.bytes),
    });
    const envelope = trustEnvelope(this.#context, encoded);
    this.#step({ kind: 'own', envelope, now: this.#now() });
  }

  #step(input: Input): void {
    if (this.#stopped || this.#fatal !== undefined) return;
    const effects = this.#member.step(input);
    for (const { culprit, reason } of effects.evidence.map(({ issuer }) => ({
      culprit: issuer,
      reason: 'two envelopes in one slot',
    }))) {
      this.#o.logger.warn({ culprit, subnet: toHex(this.#o.subnet) }, `a member equivocated: ${reason}`);
    }
    for (const { code, reason, issuer } of effects.refused)
      this.#o.logger.debug({ code, issuer }, `envelope refused: ${reason}`);
    for (const certificate of effects.submit) this.#o.submit(certificate);
    for (const want of effects.want) this.#want(want);
    const { joined } = effects;
    if (
      effects.persist.length +
        effects.send.length +
        effects.deliver.length +
        effects.accepted.length +
        joined.length >
      0
    ) {
      this.#queue.push(effects);
      this.#pump.kick();
    }
  }

  /**
   * Deliveries are stored before the record that says so: they may be written twice, never be missing. Then the
   * records of all queued steps share one fsync, and only then messages leave.
   */
  async #carryOut(): Promise<void> {
    const batch = this.#queue;
    this.#queue = [];
    for (const effects of batch)
      for (const delivery of effects.deliver) await this.#o.store.deliver(delivery);
    const records = batch.flatMap((effects) => effects.persist);
    if (records.length > 0) await this.#o.log.append(records.map(encodeLogRecord));
    for (const effects of batch) {
      for (const outgoing of effects.send) this.#send(outgoing);
      this.#tell(effects);
    }
    // Only between steps: a snapshot stands for exactly what was carried out so far.
    if (this.#o.log.size > LOG_BYTES_MAX && this.#queue.length === 0)
      await this.#o.log.compact(this.#member.snapshot().map(encodeLogRecord));
  }

  #tell(effects: Effects): void {
    const time = this.#now();
    for (const envelope of effects.joined) {
      const payloads = envelope.payloads.map(({ id }) => id);
      if (payloads.length > 0) this.#pendingPayloads.set(toHex(envelope.hash), payloads);
      for (const listener of this.#listeners) {
        listener.envelope?.(envelope);
        if (payloads.length > 0)
          listener.progress?.({ payloads, stage: 'in-dag', envelope: envelope.hash, time });
      }
    }
    for (const hash of effects.accepted) {
      const payloads = this.#pendingPayloads.get(toHex(hash));
      if (payloads === undefined) continue;
      for (const listener of this.#listeners)
        listener.progress?.({ payloads, stage: 'accepted', envelope: hash, time });
    }
    if (effects.accepted.length > 0) {
      for (const listener of this.#listeners) listener.accepted?.(effects.accepted);
    }
    for (const delivery of effects.deliver) {
      for (const { hash } of delivery.envelopes) this.#pendingPayloads.delete(toHex(hash));
      const { certificate, height } = delivery.committed;
      for (const listener of this.#listeners) {
        listener.delivered?.(delivery);
        if (delivery.applied.length > 0) {
          listener.progress?.({
            payloads: delivery.applied.map(({ payload }) => payload.id),
            stage: 'final',
            checkpoint: certificate.checkpoint.sequence,
            height,
            time: millis(this.#o.chain.time),
          });
        }
      }
    }
  }

  #send({ to, message }: Outgoing): void {
    const bytes = encodeMessage(message);
    const bulk = message.kind === 'envelope' || message.kind === 'envelopes';
    const channel = (bulk ? CHANNELS.envelope : CHANNELS.member).number;
    for (const [index, peer] of this.#peerOf.entries()) {
      if (to === 'all' ? peer !== this.#o.transport.self : index === to)
        this.#o.transport.send(peer, channel, bytes);
    }
  }

  #receive(peer: Peer, bytes: Uint8Array): void {
    const from = this.#indexOf.get(peer.id);
    if (from === undefined || this.#stopped) return;
    const decoded = decodeMessage(bytes.slice());
    if (!decoded.ok) return this.#blame(peer.id, decoded.message);
    const message: SubnetMessage = decoded.value;
    if (message.kind === 'envelope') {
      this.#hear(from, [message.encoded], false);
    } else if (message.kind === 'envelopes') {
      this.#hear(from, message.encoded, true);
    } else {
      const { chain, subnet, members } = this.#o;
      const verified = verifyMessage(
        { chain: chain.id, subnet, members, verify: verifyNative },
        from,
        message,
      );
      if (!verified.ok) return this.#blame(peer.id, verified.message);
      this.#step({ kind: 'message', from, message: verified.value, now: this.#now() });
    }
  }

  #hear(from: number, encoded: readonly Uint8Array[], reply: boolean): void {
    const wanted = reply && this.#member.expectsFrom(from);
    const now = this.#o.clock.monotonicMs();
    for (const bytes of encoded) this.#ingress.receive({ from, encoded: bytes, reply, wanted }, now);
    this.#check();
  }

  /** Keeps the pool busy from the fair queues; a batch that comes back makes room for the next. */
  #check(): void {
    while (this.#checking < CHECKING_COST_MAX && !this.#stopped) {
      const items = this.#ingress.take(BATCH_COST, this.#o.clock.monotonicMs(), (raw) => this.#screen(raw));
      if (items.length === 0) return;
      void this.#verify(items);
    }
  }

  #screen({ from, encoded, wanted }: RawEnvelope): ScreenedEnvelope | undefined {
    const envelope = screenEnvelope(this.#context, encoded, wanted);
    if (envelope.ok) return this.#member.holds(envelope.value.hash) ? undefined : envelope.value;
    this.#o.logger.debug({ from, code: envelope.code }, `envelope refused: ${envelope.message}`);
    return undefined;
  }

  /** Signatures of all items go to the pool together; the member hears of them in order. */
  async #verify(items: readonly IngressItem[]): Promise<void> {
    const cost = items.reduce((sum, { screened }) => sum + costOf(screened), 0);
    this.#checking += cost;
    try {
      const checks = items.map(({ screened }) => envelopeSignatures(screened));
      const verdicts = await this.#o.pool.verifyBatch(
        checks.flat().map(({ key, message, signature }) => ({ key: key.bytes, message, signature })),
      );
      let at = 0;
      for (const [i, { raw, screened }] of items.entries()) {
        const count = (checks[i] as unknown[]).length;
        const admitted = admitEnvelope(screened, verdicts.slice(at, at + count));
        at += count;
        const { from, reply } = raw;
        if (admitted.ok)
          this.#step({ kind: 'envelope', from, envelope: admitted.value, reply, now: this.#now() });
        else this.#blame(this.#peerOf[from] as PeerId, admitted.message);
      }
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.#o.logger.debug({ code: error.code }, error.message);
    } finally {
      this.#checking -= cost;
    }
    this.#check();
  }

  #blame(peer: PeerId, message: string): void {
    this.#o.logger.warn({ peer }, `a peer is disconnected: ${message}`);
    this.#o.transport.disconnect(peer);
  }

  #want(want: Want): void {
    switch (want.kind) {
      case 'envelope':
        this.#wantsEnvelope = true;
        // Not inside the step that asked.
        queueMicrotask(() => this.#issue());
        return;
      case 'committed':
        queueMicrotask(() => this.#feedCommitted(want.from));
        return;
      case 'lookup':
        for (const hash of want.hashes) {
          const found = this.#o.store.finalised(hash);
          if (found !== undefined) {
            queueMicrotask(() =>
              this.#step({
                kind: 'located',
                hash,
                checkpoint: found.checkpoint,
                time: millis(found.time),
                now: this.#now(),
              }),
            );
          }
        }
        return;
      case 'serve-envelopes': {
        const encoded: Uint8Array[] = [];
        let bytes = 0;
        for (const hash of want.hashes) {
          const body = this.#o.store.envelope(hash);
          if (body === undefined) continue;
          bytes += body.length;
          if (encoded.length > 0 && bytes > SERVED_BYTES_MAX) break;
          encoded.push(body);
        }
        if (encoded.length > 0) this.#send({ to: want.to, message: { kind: 'envelopes', encoded } });
        return;
      }
      case 'serve-checkpoint': {
        const ids = this.#o.store.envelopeOrder(want.sequence);
        if (ids !== undefined)
          this.#send({ to: want.to, message: { kind: 'checkpoint-ids', sequence: want.sequence, ids } });
        return;
      }
    }
  }

  #feedCommitted(from: number): void {
    const { chain, subnet } = this.#o;
    for (let sequence = from; sequence < from + COMMITTED_BATCH; sequence += 1) {
      const place = chain.checkpointPlace(subnet, sequence);
      const included = place === undefined ? undefined : chain.included(place);
      if (place === undefined || included === undefined) return;
      const tx = decodeTransaction(included.transaction);
      if (!tx.ok || tx.value.body.kind !== 'checkpoint') {
        throw new LedgerError(
          'storage.corrupt',
          `checkpoint ${sequence} is not where the index says: block ${place.height}, ${place.index}`,
        );
      }
      this.#step({
        kind: 'committed',
        committed: { certificate: tx.value.body.certificate, height: place.height, txIndex: place.index },
        now: this.#now(),
      });
    }
  }

  #fail(error: unknown): void {
    this.#fatal = error;
    this.#o.logger.error({ err: error }, 'the subnet member stops: an effect could not be carried out');
  }
}
