/**
 * Drives a subnet member: carries out its effects in their order, answers its wants, tells listeners. It holds no rule
 * of the DAG. While the disk is full nothing is taken in and nothing is given up: what waits is written as soon as
 * there is room (spec SUBNET-3).
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { refused, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { Auditor } from '@itc/core/dag/audit.js';
import type { BalanceProof } from '@itc/core/dag/balance-proof.js';
import type {
  Effects,
  Explanation,
  Input,
  MemberStatus,
  Outgoing,
  VertexView,
  Want,
} from '@itc/core/dag/effects.js';
import type { Member } from '@itc/core/dag/member.js';
import { decodeMessage, encodeMessage, verifyMessage, type SubnetMessage } from '@itc/core/dag/messages.js';
import { logRecordPieces, snapshotRecord, type Snapshot } from '@itc/core/dag/records.js';
import { lanesOf, trustEnvelope, type VerifiedEnvelope, type VerifyContext } from '@itc/core/dag/verify.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import { verifyNative } from '../crypto/native.ts';
import type { Peer, PeerId, Timer } from '../ports.ts';
import { CHANNELS } from './channels.ts';
import { Drain } from './drain.ts';
import { DiskPause, isFull } from './full-disk.ts';
import { committedCheckpoint } from './subnet-chain.ts';
import { depositsAbove } from './subnet-deposits.ts';
import { SubnetInbox } from './subnet-inbox.ts';
import { SubnetIssuer } from './subnet-issuer.ts';
import { SubnetListeners, type SubnetListener } from './subnet-listeners.ts';
import type { SubnetOptions } from './subnet-options.ts';
import type { SubnetRetention } from './subnet-retention.ts';
import { isSnapshotDue, snapshotDocument, type SnapshotDocument } from './subnet-snapshot.ts';
import { MemberFaults } from './member-faults.ts';
import { newMember, SubnetPeers } from './subnet-peers.ts';
import { readLogRecord, SubnetPast } from './subnet-past.ts';
import type { SubnetStore } from './subnet-store.ts';
import { SubnetSync } from './subnet-sync.ts';
import { SubnetTraces } from './subnet-traces.ts';

const TICK_MS = 50;
const COMMITTED_BATCH = 64;
const LOG_BYTES_MAX = 32 * 1024 * 1024;
const SERVED_BYTES_MAX = LIMITS.envelopeBytesMax;
/** Replaying that many checkpoints takes about as long as a snapshot of a large subnet. */
const BEHIND_MAX = 512;

export class Subnet {
  readonly traces: SubnetTraces = new SubnetTraces();
  readonly faults: MemberFaults;
  readonly #o: SubnetOptions;
  #member: Member;
  #context: VerifyContext;
  readonly #peers: SubnetPeers;
  #inbox: SubnetInbox;
  readonly #issuer: SubnetIssuer;
  readonly #listeners: SubnetListeners;
  #queue: Effects[] = [];
  /** Bytes of the last snapshot: a log that is not twice as long is not worth another. */
  #compacted = 0;
  readonly #pump = new Drain({
    work: () => this.#carryOut(),
    hasWork: () => this.#queue.length > 0 && this.#disk.mayWrite,
    failed: (error) => this.#fail(error),
  });
  readonly #sync: SubnetSync;
  readonly #past: SubnetPast;
  #installing = false;
  /** The last one written down. */
  #document: SnapshotDocument | undefined;
  #timer: Timer | undefined;
  readonly #disk: DiskPause;
  #stopped = false;
  #fatal: unknown;

  constructor(options: SubnetOptions) {
    this.#o = options;
    const { chain, subnet, members, transport, clock, keys, accuser } = options;
    this.#disk = new DiskPause({ clock, retry: () => this.#pump.kick() });
    const records = options.records.map(readLogRecord);
    this.#past = new SubnetPast(options.store, records, members.length === 1);
    this.#member = newMember(options, records, this.#past.uncertain);
    this.#peers = new SubnetPeers(this.#member.members);
    this.#context = this.#newContext();
    // Of what was under way before a restart, too, it can be asked what became of it.
    for (const envelope of this.#pending()) this.traces.joined(envelope);
    this.#listeners = new SubnetListeners(this.traces);
    this.faults = new MemberFaults({
      chain,
      subnet,
      turn: () => Math.max(0, this.#member.self),
      bring: (charge, turn) => accuser?.bring(charge, turn),
    });
    this.#inbox = this.#newInbox();
    this.#issuer = new SubnetIssuer({
      chain: chain.id,
      keys,
      self: () => this.#member.self,
      clock,
      draft: (payloads) =>
        this.#isOpen ? this.#member.draft(payloads, this.#now(), this.#past.lane(this.#lanes)) : undefined,
      issue: (envelope) => this.#own(envelope),
      failed: (error) => this.#fail(error),
    });
    this.#sync = new SubnetSync({
      ...options,
      members: () => chain.state.subnet(subnet)?.members ?? members,
      firstMembers: members,
      behindMax: () => (this.#isLost ? 0 : (options.behindMax ?? BEHIND_MAX)),
      applied: () => this.#member.status().checkpoint,
      oldest: () => options.store.oldest()?.sequence ?? this.#member.status().checkpoint + 1,
      document: () => this.document(),
      appliedIds: (sequence) => options.store.appliedIds(sequence),
      withdrawals: options.store.withdrawals,
      feed: () => this.#feedCommitted(this.#member.status().checkpoint + 1),
      install: (snapshot) => this.#install(snapshot),
      failed: (error) => this.#fail(error),
    });
    for (const channel of [CHANNELS.envelope, CHANNELS.member]) {
      transport.open({ ...channel, receive: (peer, bytes) => this.#receive(peer, bytes) });
    }
    chain.onCommitted(({ events, block }) => {
      for (const event of events) {
        if (event.kind !== 'checkpoint-committed' || !equalBytes(event.subnet, subnet)) continue;
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

  /** Those who decide the next checkpoint. */
  get members(): ValidatorSet {
    return this.#peers.members;
  }

  get retention(): SubnetRetention {
    return this.#o.retention;
  }

  get failure(): unknown {
    return this.#fatal;
  }

  /** Why it does not do its work now, in a sentence; undefined when it does. */
  get obstacle(): string | undefined {
    if (this.#disk.error !== undefined)
      return `${this.#disk.error.message}: nothing new is taken, what is here is kept; it goes on when there is room`;
    return this.#sync.progress ?? this.#o.retention.reason;
  }

  /** While a snapshot of others comes in, how far it is. */
  get snapshotProgress(): string | undefined {
    return this.#sync.progress;
  }

  /** No room on the disk: it does not take anything in. */
  get isFull(): boolean {
    return this.#disk.error !== undefined;
  }

  /** Whether payloads of this member count no more. */
  bars(member: number): boolean {
    return this.#member.bars(member);
  }

  get waiting(): number {
    return this.#issuer.waiting;
  }

  isWaiting(payload: Hash): boolean {
    return this.#issuer.isWaiting(payload);
  }

  status(): MemberStatus {
    return this.#member.status();
  }

  graph(limit: number): VertexView[] {
    return this.#member.graph(limit);
  }

  explain(envelope: Hash): Explanation {
    return this.#member.explain(envelope);
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

  /** Against the state root of the last checkpoint applied here; undefined before the first. */
  proveBalance(address: Address): BalanceProof | undefined {
    return this.#member.proveBalance(address);
  }

  /** Payloads of the newest checkpoints, oldest first. */
  recentPayloads(): Generator<Payload> {
    return this.#o.store.recentPayloads(this.#member.status().checkpoint);
  }

  listen(listener: SubnetListener): () => void {
    return this.#listeners.add(listener);
  }

  start(): void {
    // What the chain executed from its log at start was told to nobody.
    this.#feedCommitted(this.#member.status().checkpoint + 1);
    const tick = (): void => {
      if (this.#stopped) return;
      this.#feedDeposits();
      this.#step({ kind: 'tick', now: this.#now() });
      this.#inbox.check();
      this.#issuer.run();
      this.#timer = this.#o.clock.after(TICK_MS, tick);
    };
    tick();
    this.#sync.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#disk.stop();
    this.#issuer.stop();
    this.#inbox.stop();
    this.#sync.stop();
    await this.#pump.idle();
  }

  /**
   * Queues a payload, already verified, for the next envelope. It is durable here only when `in-dag` is
   * reported: until then the caller's own store answers for it.
   */
  offer(payload: Payload): Result<void, ErrorCode> {
    if (this.#stopped) return refused('not-ready', 'the gateway is stopping');
    if (this.#disk.error !== undefined) return refused('storage.full', this.#disk.error.message);
    if (this.#member.isBarred)
      return refused('envelope.barred', 'this member was shown to forge payloads: its own are ignored');
    return this.#issuer.offer(payload);
  }

  #newContext(): VerifyContext {
    const { chain, subnet, powBits } = this.#o;
    return { chain: chain.id, subnet, members: this.members, powBits, anchors: this.#member.anchors };
  }

  #newInbox(): SubnetInbox {
    const { pool, clock, logger, random, auditShare } = this.#o;
    return new SubnetInbox({
      members: this.members,
      pool,
      clock,
      logger,
      context: () => this.#context,
      expectsFrom: (peer) => this.#member.expectsFrom(peer),
      holds: (hash) => this.#member.holds(hash),
      auditor: new Auditor({
        random: () => random.uniform(),
        laneHigh: (payload) => this.#member.laneHigh(payload),
        ...(auditShare === undefined ? {} : { share: auditShare }),
      }),
      forged: (envelope, index) => this.#step({ kind: 'forged', envelope, index, now: this.#now() }),
      admit: (envelope, from, reply) =>
        this.#step({ kind: 'envelope', from, envelope, reply, now: this.#now() }),
      blame: (from, message) => this.#blame(this.#peers.ids[from] as PeerId, message),
    });
  }

  /** Following from where it is would be by members who have left: it waits for its own turn, and takes a snapshot then. */
  get #isLost(): boolean {
    const turns = this.#o.chain.state.membership(this.#o.subnet)?.turns.length ?? 0;
    return this.#member.self < 0 && turns > 1;
  }

  /** After whatever may have brought a turn. What was on its way in is dropped: it goes by other indices, and comes again. */
  #followTurn(): boolean {
    if (!this.#peers.take(this.#member.members)) return false;
    this.#context = this.#newContext();
    this.#inbox.stop();
    this.#inbox = this.#newInbox();
    this.#issuer.forgetAccusations();
    this.#o.logger.info({ members: this.members.length }, 'other members decide from here on');
    return true;
  }

  #now(): Millis {
    return this.#o.clock.now();
  }

  /** Takes in what comes: not while stopping, failed or without room on the disk. */
  get #isOpen(): boolean {
    return !this.#stopped && this.#fatal === undefined && !this.isFull && !this.#installing;
  }

  /** False when the member did not take it: then nobody has heard of it, and its payloads go into another. */
  #own(envelope: VerifiedEnvelope): boolean {
    if (!this.#isOpen) return false;
    this.#step({ kind: 'own', envelope, now: this.#now() });
    return this.#member.holds(envelope.hash);
  }

  #step(input: Input): void {
    if (!this.#isOpen) return;
    const effects = this.#member.step(input);
    this.#writeDown(effects, this.#followTurn());
    for (const { payloads } of effects.givenUp) this.#offerAgain(payloads);
    for (const evidence of effects.evidence) this.faults.equivocated(evidence);
    for (const { code, reason, issuer } of effects.refused)
      this.#o.logger.debug({ code, issuer }, `envelope refused: ${reason}`);
    for (const certificate of effects.submit) this.#o.submit(certificate);
    for (const want of effects.want) this.#want(want);
    for (const envelope of effects.joined) {
      this.traces.joined(envelope);
      this.faults.joined(envelope);
    }
    if (
      effects.persist.length +
        effects.send.length +
        effects.deliver.length +
        effects.accepted.length +
        effects.joined.length >
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
    try {
      await this.#write(batch);
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#queue = [...batch, ...this.#queue];
      if (this.#disk.begin(error)) this.#o.logger.error({}, `the member pauses: ${error.message}`);
      return;
    }
    if (this.#disk.end()) this.#resume();
    for (const effects of batch) {
      for (const outgoing of effects.send) this.#send(outgoing);
      this.#listeners.tell(effects, this.#now(), millis(this.#o.chain.time));
    }
    await this.#housekeep(batch.some((effects) => effects.deliver.length > 0));
  }

  async #write(batch: readonly Effects[]): Promise<void> {
    const { store, retention, log } = this.#o;
    await this.#past.note(this.#member);
    for (const effects of batch) {
      for (const delivery of effects.deliver) {
        await store.deliver(delivery);
        await retention.pins.keep(delivery);
      }
    }
    const records = batch.flatMap((effects) => effects.persist);
    // Most of what comes in calls for no answer: then the disk is waited for when something leaves next (spec DAG-10.1).
    const leaves = batch.some(({ send }) => send.length > 0);
    if (leaves && (records.length > 0 || !log.isDurable)) await log.append(records.map(logRecordPieces));
    else if (records.length > 0) await log.write(records.map(logRecordPieces));
  }

  /** What can wait for room: it is tried again after the next step. */
  async #housekeep(delivered: boolean): Promise<void> {
    const { log, retention, logBytesMax = LOG_BYTES_MAX } = this.#o;
    try {
      if (delivered) await retention.pass(this.#member.status().checkpoint, () => this.#member.finalHeads());
      // Only between steps: a snapshot stands for exactly what was carried out so far.
      if (log.size > Math.max(logBytesMax, 2 * this.#compacted) && this.#queue.length === 0) {
        await log.compact(this.#member.snapshot().map(logRecordPieces));
        this.#compacted = log.size;
      }
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#o.logger.warn({}, `housekeeping waits: ${error.message}`);
    }
  }

  /** What was committed meanwhile was not taken in; the chain has it. */
  #resume(): void {
    this.#o.logger.info({}, 'there is room again: the member goes on');
    queueMicrotask(() => this.#feedCommitted(this.#member.status().checkpoint + 1));
  }

  #send({ to, message: meant }: Outgoing): void {
    const message = meant.kind === 'envelope-request' ? this.#inbox.stillMissing(meant) : meant;
    if (message === undefined) return;
    const bytes = encodeMessage(message);
    const bulk = message.kind === 'envelope' || message.kind === 'envelopes';
    const channel = (bulk ? CHANNELS.envelope : CHANNELS.member).number;
    for (const [index, peer] of this.#peers.ids.entries()) {
      if (to === 'all' ? peer !== this.#o.transport.self : index === to)
        this.#o.transport.send(peer, channel, bytes);
    }
  }

  #receive(peer: Peer, bytes: Uint8Array): void {
    const from = this.#peers.indexOf(peer.id);
    if (from === undefined || !this.#isOpen) return;
    const decoded = decodeMessage(bytes);
    if (!decoded.ok) return this.#blame(peer.id, decoded.message);
    const message: SubnetMessage = decoded.value;
    if (message.kind === 'envelope') {
      this.#inbox.hear(from, [message.encoded], false);
    } else if (message.kind === 'envelopes') {
      this.#inbox.hear(from, message.encoded, true);
    } else {
      const verified = verifyMessage({ ...this.#context, verify: verifyNative }, from, message);
      if (!verified.ok) return this.#blame(peer.id, verified.message);
      this.#step({ kind: 'message', from, message: verified.value, now: this.#now() });
    }
  }

  #blame(peer: PeerId, message: string): void {
    this.#o.logger.warn({ peer }, `a peer is disconnected: ${message}`);
    this.#o.transport.disconnect(peer);
  }

  #want(want: Want): void {
    switch (want.kind) {
      case 'envelope':
        this.#issuer.want();
        return;
      case 'accuse':
        this.#issuer.accuse(want.accused, want.content);
        return;
      case 'committed':
        queueMicrotask(() => this.#feedCommitted(want.from));
        return;
      case 'deposits': // Each tick tells what is new.
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

  get #lanes(): number {
    return lanesOf(this.members, Math.max(0, this.#member.self));
  }

  /** For others who were away too long. In the same turn as the step: later the state is another. */
  #writeDown(effects: Effects, isTurn: boolean): void {
    const last = effects.deliver.at(-1)?.committed.certificate.checkpoint.sequence;
    if (last === undefined || !(isTurn || isSnapshotDue(last, this.#document?.entries ?? 0))) return;
    const document = this.document();
    if (document !== undefined) this.#sync.keep(document);
  }

  /** The state at the last checkpoint applied, as others can take it over; undefined before the first. */
  document(): SnapshotDocument | undefined {
    if (this.#document?.sequence === this.#member.status().checkpoint) return this.#document;
    const [record] = this.#member.snapshot();
    const finalOf = (hash: Hash): ReturnType<SubnetStore['finalised']> => this.#o.store.finalised(hash);
    this.#document = record && snapshotDocument(record, this.#member.finalHeads(), finalOf);
    return this.#document;
  }

  /**
   * Starts again from the state of others. Own envelopes that are not final are given up: their anchors are too old by now
   * for anybody to approve them. Their payloads go into new ones, and their lanes are not used again, lest a slot be
   * filled twice.
   */
  async #install(snapshot: Snapshot): Promise<void> {
    if (!this.#isOpen) return;
    this.#installing = true;
    try {
      await this.#pump.idle();
      if (this.#queue.length > 0 || this.#fatal !== undefined) return;
      const { log } = this.#o;
      const before = this.#member.status().checkpoint;
      const own = this.#ownPending();
      await this.#past.begin(snapshot, own, !this.#member.isCertainOfPast);
      const record = snapshotRecord(snapshot);
      await log.compact([logRecordPieces(record)]);
      this.#compacted = log.size;
      this.#member = newMember(this.#o, [record], this.#past.uncertain);
      if (!this.#followTurn()) this.#context = this.#newContext();
      this.#past.adopt(snapshot);
      await this.#past.note(this.#member);
      this.#offerAgain(own.flatMap((envelope) => envelope.payloads));
      // Beside the work: it may be long, and only listeners wait for it.
      this.#tellMissed(before, this.#member.status().checkpoint).catch((error: unknown) => this.#fail(error));
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#o.logger.warn({}, `no snapshot is taken over: ${error.message}`);
    } finally {
      this.#installing = false;
      this.#feedCommitted(this.#member.status().checkpoint + 1);
    }
  }

  async #tellMissed(after: number, upTo: number): Promise<void> {
    for await (const { checkpoint, height, payloads } of this.#sync.missed(after, upTo))
      this.#listeners.progress({
        payloads,
        stage: 'final',
        checkpoint,
        height,
        time: millis(this.#o.chain.time),
      });
  }

  #offerAgain(payloads: readonly Payload[]): void {
    this.#issuer.putBack(payloads.filter((payload) => this.#member.payloadOutcome(payload) === 'new'));
  }

  #ownPending(): VerifiedEnvelope[] {
    return this.#pending().filter(({ issuer }) => issuer === this.#member.self);
  }

  #pending(): VerifiedEnvelope[] {
    return this.#member
      .snapshot()
      .filter(({ kind }) => kind === 'envelope')
      .map(({ bytes }) => trustEnvelope(this.#context, bytes));
  }

  #feedDeposits(): void {
    const deposits = depositsAbove(this.#o.chain.state, this.#o.subnet, this.#member.depositsKnown);
    if (deposits.length > 0) this.#step({ kind: 'deposits', deposits, now: this.#now() });
  }

  #feedCommitted(from: number): void {
    const { chain, subnet } = this.#o;
    for (let sequence = from; sequence < from + COMMITTED_BATCH; sequence += 1) {
      const committed = committedCheckpoint(chain, subnet, sequence);
      if (committed === undefined) return;
      this.#step({ kind: 'committed', committed, now: this.#now() });
    }
  }

  #fail(error: unknown): void {
    this.#fatal = error;
    this.#o.logger.error({ err: error }, 'the subnet member stops: an effect could not be carried out');
  }
}
