/**
 * Drives the replica of one epoch: carries out its effects in the order they demand (durable, then sent, then
 * delivered), feeds it what peers say, and passes its wants on. It holds no rule of the protocol.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { LedgerError } from '@itc/core/ledger/errors.js';
import { height } from '@itc/core/ledger/ids.js';
import type { StableCertificate } from '@itc/core/ledger/stable-certificate.js';
import type { CommittedBlock as Delivered, Effects, Evidence, Input, Want } from '@itc/core/pbft/effects.js';
import type { LogRecord } from '@itc/core/pbft/log.js';
import { CertificateCache } from '@itc/core/pbft/certificate-cache.js';
import { encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { Body, Message, PrePrepare } from '@itc/core/pbft/messages.js';
import { Replica, type ReplicaStatus } from '@itc/core/pbft/replica.js';
import type { Timing } from '@itc/core/pbft/timing.js';
import { verifyMessage, type VerifyContext } from '@itc/core/pbft/verify.js';
import type { KeyPair } from '../crypto/keypair.ts';
import type { Clock, PeerId, Random, Transport } from '../ports.ts';
import type { Candidates } from './candidates.ts';
import type { Chain } from './chain.ts';
import { CHANNELS, channelOf } from './channels.ts';
import { Drain } from './drain.ts';
import { DiskPause, isFull } from './full-disk.ts';

/** Where records become durable before messages leave. */
export interface RecordLog {
  append(records: readonly LogRecord[]): Promise<void>;
  /** These stand for everything appended before. */
  compact(records: readonly LogRecord[]): Promise<void>;
}

export interface ReplicaDriverOptions {
  readonly chain: Chain;
  readonly context: VerifyContext;
  readonly keys: KeyPair;
  readonly transport: Transport;
  readonly log: RecordLog;
  /** What the log held when it was opened. */
  readonly restore: readonly LogRecord[];
  readonly candidates: Candidates;
  readonly clock: Clock;
  readonly random: Random;
  readonly timing: Partial<Timing>;
  /** A shorter form of a message to all, for the channel `compact`; undefined when there is none. */
  readonly compact: (message: Message) => Uint8Array | undefined;
  /** Stores and executes; resolves when both are durable. */
  readonly commit: (blocks: readonly Delivered[]) => Promise<void>;
  /** The replica knows of it. */
  readonly executed: () => void;
  readonly wantProposal: (want: Extract<Want, { kind: 'proposal' }>) => void;
  readonly wantInclude: (ids: readonly Hash[]) => void;
  /** Blocks up to `target` exist; `from` has them. */
  readonly wantSync: (target: number, from: PeerId) => void;
  readonly evidence: (evidence: Evidence) => void;
  /** Quorum weight has executed and stored a block; told when that is durable here. */
  readonly stable?: (certificate: StableCertificate) => void;
  /** A peer broke the protocol. */
  readonly blame: (peer: PeerId, message: string) => void;
  /** The disk is full, or no longer: meanwhile nothing is taken in, and nothing given up. */
  readonly paused: (error: LedgerError | undefined) => void;
  /** An effect could not be carried out: going on would break the order of effects. */
  readonly failed: (error: unknown) => void;
}

/** Blocks that share one fsync of the block log. */
const DELIVERED_AT_ONCE = 16;

export class ReplicaDriver {
  readonly context: VerifyContext;
  readonly #o: ReplicaDriverOptions;
  readonly #replica: Replica;
  /** Transport names by validator index, and back. */
  readonly #peerOf: readonly PeerId[];
  readonly #indexOf = new Map<PeerId, number>();
  /** Blocks whose signatures are being checked, by kind of message, author and height. */
  readonly #preparing = new Set<string>();
  #queue: Effects[] = [];
  #delivered: Delivered[] = [];
  /** For the log, and for blocks and tables: the smaller finds room where the larger finds none. */
  readonly #logRoom: DiskPause;
  readonly #blockRoom: DiskPause;
  readonly #pump = new Drain({
    work: () => this.#carryOut(),
    hasWork: () => this.#queue.length > 0 && this.#logRoom.mayWrite,
    failed: (error) => this.#fail(error),
  });
  readonly #delivery = new Drain({
    work: () => this.#deliver(),
    hasWork: () => this.#delivered.length > 0 && this.#blockRoom.mayWrite,
    failed: (error) => this.#fail(error),
  });
  #stopped = false;

  constructor(options: ReplicaDriverOptions) {
    this.#o = options;
    const { chain, context, keys, candidates, clock } = options;
    this.#logRoom = new DiskPause({ clock, retry: () => this.#pump.kick() });
    this.#blockRoom = new DiskPause({ clock, retry: () => this.#delivery.kick() });
    this.context = { ...context, cache: new CertificateCache() };
    this.#peerOf = context.validators.map((validator) => toHex(validator.key.bytes));
    for (const [index, id] of this.#peerOf.entries()) this.#indexOf.set(id, index);
    const { epoch, since, stateRoot } = chain.epoch;
    const base = { height: height(since - 1), hash: chain.hashAt(since - 1) as Hash, stateRoot };
    const tip = chain.height >= since ? chain.blockAt(chain.height)?.certificate : undefined;
    this.#replica = new Replica({
      chain: chain.id,
      epoch,
      validators: context.validators,
      self: this.#indexOf.get(toHex(keys.publicKey.bytes)) ?? -1,
      application: { check: (block, fresh, now) => candidates.check(block, fresh, now) },
      sign: keys.sign,
      random: () => options.random.uniform(),
      timing: options.timing,
      restore: options.restore,
      ...(epoch === 0 ? {} : { base }),
      ...(tip === undefined ? {} : { tip }),
    });
  }

  status(): ReplicaStatus {
    return this.#replica.status();
  }

  /** Why nothing can be written now; undefined while it can. */
  get full(): LedgerError | undefined {
    return this.#logRoom.error ?? this.#blockRoom.error;
  }

  /** Whether a peer is a validator of this epoch. */
  knows(peer: PeerId): boolean {
    return this.#indexOf.has(peer);
  }

  step(input: Input): void {
    if (this.#stopped) return;
    // What comes now comes again when there is room; that a block was executed here is said once.
    if (this.full !== undefined && input.kind !== 'executed') return;
    const effects = this.#replica.step(input);
    for (const evidence of effects.evidence) this.#o.evidence(evidence);
    for (const want of effects.want) this.#want(want);
    if (effects.persist.length > 0 || effects.send.length > 0 || effects.deliver.length > 0) {
      this.#queue.push(effects);
      this.#pump.kick();
    }
  }

  /** A decoded message of this epoch. */
  receive(peer: PeerId, message: Message): void {
    const from = this.#indexOf.get(peer);
    if (from === undefined || this.#stopped || this.full !== undefined) return;
    // A third of all votes come after the decision they were for: their signatures need no look.
    if (!this.#replica.isUseful(message)) return;
    const verified = verifyMessage(this.context, message);
    if (!verified.ok) return this.#o.blame(peer, verified.message);
    const step = (): void => this.step({ kind: 'message', from, message: verified.value });
    // The replica hears of a block it waits for when its signatures are checked; votes for it may come before.
    if (message.kind === 'pre-prepare' || message.kind === 'body') void this.#prepare(message).then(step);
    else step();
  }

  /** One block per author and place at a time: whoever sends more has them judged when, and if, they are asked about. */
  async #prepare(message: PrePrepare | Body): Promise<void> {
    const { block, sender } = message;
    const place = `${message.kind} ${sender} ${block.height}`;
    if (this.#preparing.has(place) || !this.#replica.isAwaited(message)) return;
    this.#preparing.add(place);
    try {
      await this.#o.candidates.prepare(block);
    } finally {
      this.#preparing.delete(place);
    }
  }

  /** Blocks of this epoch whose certificates were checked. Resolves when they are executed. */
  async certified(blocks: readonly Delivered[]): Promise<void> {
    for (const { block, certificate } of blocks) this.step({ kind: 'certified', block, certificate });
    await this.#pump.idle();
    await this.#delivery.idle();
  }

  /** Lets what is under way become durable, then stands still. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#logRoom.stop();
    this.#blockRoom.stop();
    await this.#pump.idle();
    await this.#delivery.idle();
  }

  /** Group commit: all steps taken while one fsync ran share the next one. */
  async #carryOut(): Promise<void> {
    const batch = this.#queue;
    this.#queue = [];
    const records = batch.flatMap((effects) => effects.persist);
    try {
      if (records.length > 0) await this.#persist(records);
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#queue = [...batch, ...this.#queue];
      return this.#pause(this.#logRoom, error);
    }
    this.#goOn(this.#logRoom);
    for (const record of records) if (record.kind === 'stable') this.#o.stable?.(record.certificate);
    for (const effects of batch) for (const { to, message } of effects.send) this.#send(to, message);
    for (const effects of batch) this.#delivered.push(...effects.deliver);
    if (this.#delivered.length > 0) this.#delivery.kick();
  }

  async #persist(records: readonly LogRecord[]): Promise<void> {
    const cut = records.findLastIndex((record) => record.kind === 'truncate');
    if (cut >= 0) await this.#o.log.compact(records.slice(cut + 1));
    else await this.#o.log.append(records);
  }

  #send(to: number | 'all', message: Message): void {
    const { transport } = this.#o;
    const compact = to === 'all' ? this.#o.compact(message) : undefined;
    const bytes = compact ?? encodeMessage(message);
    const channel = (compact === undefined ? channelOf(message) : CHANNELS.compact).number;
    for (const [index, peer] of this.#peerOf.entries()) {
      if (to === 'all' ? peer !== transport.self : index === to) transport.send(peer, channel, bytes);
    }
  }

  async #deliver(): Promise<void> {
    const { chain } = this.#o;
    const batch = this.#delivered.splice(0, DELIVERED_AT_ONCE);
    try {
      await this.#o.commit(batch);
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#delivered.unshift(...batch);
      return this.#pause(this.#blockRoom, error);
    }
    this.#goOn(this.#blockRoom);
    for (const { block } of batch) {
      const { height: at, hash } = block;
      this.step({ kind: 'executed', height: at, hash, stateRoot: chain.stateAt(at).root });
    }
    this.#o.executed();
  }

  #pause(room: DiskPause, error: LedgerError): void {
    const wasFull = this.full !== undefined;
    room.begin(error);
    if (!wasFull) this.#o.paused(error);
  }

  #goOn(room: DiskPause): void {
    if (room.end() && this.full === undefined) this.#o.paused(undefined);
  }

  #want(want: Want): void {
    switch (want.kind) {
      case 'proposal':
        return this.#o.wantProposal(want);
      case 'include':
        return this.#o.wantInclude(want.ids);
      case 'sync': {
        const peer = this.#peerOf[want.from];
        if (peer !== undefined) this.#o.wantSync(want.target, peer);
        return;
      }
    }
  }

  #fail(error: unknown): void {
    this.#stopped = true;
    this.#o.failed(error);
  }
}
