/**
 * Drives a PBFT replica: carries out its effects in the order they demand (durable, then sent, then delivered),
 * feeds it what peers say, and answers its wants. It holds no rule of the protocol.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { closesEpoch, decodeBlock, headerHash } from '@itc/core/ledger/block.js';
import type { Height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import type { CommittedBlock as Delivered, Effects, Input, Want } from '@itc/core/pbft/effects.js';
import { decodeLogRecord, encodeLogRecord, type LogRecord } from '@itc/core/pbft/log.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { Candidate, Message } from '@itc/core/pbft/messages.js';
import { Replica, type ReplicaStatus } from '@itc/core/pbft/replica.js';
import type { Timing } from '@itc/core/pbft/timing.js';
import { verifyMessage, type VerifyContext } from '@itc/core/pbft/verify.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { KeyPair } from '../crypto/keypair.ts';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import type { Mempool } from '../mempool/mempool.ts';
import type { Clock, Peer, PeerId, Random, Timer, Transport } from '../ports.ts';
import type { WriteAheadLog } from '../storage/write-ahead-log.ts';
import type { Logger } from './logger.ts';
import { BlockSync, type CertifiedBlock } from './block-sync.ts';
import type { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';
import { Drain } from './drain.ts';
import { prepareBlock, type PreparedBlock } from './prepared-block.ts';

export interface ConsensusOptions {
  readonly chain: Chain;
  readonly context: VerifyContext;
  readonly keys: KeyPair;
  readonly transport: Transport;
  readonly log: WriteAheadLog;
  /** What the log held when it was opened. */
  readonly records: readonly Uint8Array[];
  readonly mempool: Mempool;
  readonly pool: VerifyPool;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** A block at least this often, empty if need be: light clients see time pass. */
  readonly heartbeatMs: number;
  readonly timing?: Partial<Timing>;
}

const TICK_MS = 100;
/** Proposals, bodies and restored candidates whose signatures were checked; more than the window is not needed. */
const PREPARED_MAX = 4 * LIMITS.watermarkWindow;
/**
 * With transactions in flight, a proposal waits for this much or this long, doubled for each block ahead of it, so
 * that load makes blocks larger, not more.
 */
const BATCH_BYTES = 64 * 1024;
const BATCH_MS = 25;
/** Pause after the last change before empty blocks carry its proof: who waited for the change may act on it now. */
const QUIET_MS = 25;
/** Blocks that share one fsync of the block log. */
const DELIVERED_AT_ONCE = 16;
/** Left free for header and counts. */
const BLOCK_TRANSACTIONS_BYTES = LIMITS.blockBytesMax - 65_536;

export class Consensus {
  readonly #o: ConsensusOptions;
  readonly #replica: Replica;
  readonly #sync: BlockSync;
  readonly #peerOf: readonly PeerId[];
  readonly #indexOf = new Map<PeerId, number>();
  readonly #prepared = new Map<string, PreparedBlock | 'invalid' | 'working'>();
  #queue: Effects[] = [];
  #delivered: Delivered[] = [];
  readonly #pump = new Drain({
    work: () => this.#carryOut(),
    hasWork: () => this.#queue.length > 0,
    failed: (error) => this.#fail(error),
  });
  readonly #delivery = new Drain({
    work: () => this.#deliver(),
    hasWork: () => this.#delivered.length > 0,
    failed: (error) => this.#fail(error),
  });
  #wanted: Extract<Want, { kind: 'proposal' }> | undefined;
  #wantedAt = 0;
  /** Highest height that changed state others need a proof of; up to `pipelineDepth` above it blocks come without waiting. */
  #proofHeight = 0;
  #changedAt = 0;
  #timer: Timer | undefined;
  #batchTimer: Timer | undefined;
  #poked = false;
  #stopped = false;
  #fatal: unknown;

  constructor(options: ConsensusOptions) {
    this.#o = options;
    const { chain, context, keys, transport } = options;
    this.#peerOf = context.validators.map((validator) => toHex(validator.key.bytes));
    for (const [index, id] of this.#peerOf.entries()) this.#indexOf.set(id, index);
    const tip = chain.blockAt(chain.height)?.certificate;
    this.#replica = new Replica({
      chain: chain.id,
      epoch: context.epoch,
      validators: context.validators,
      self: this.#indexOf.get(toHex(keys.publicKey.bytes)) ?? -1,
      application: { check: (block, fresh, now) => this.#check(block, fresh, now) },
      sign: keys.sign,
      random: () => options.random.uniform(),
      timing: { heartbeatMs: options.heartbeatMs, ...options.timing },
      restore: this.#restored(),
      ...(tip === undefined ? {} : { tip }),
    });
    this.#sync = new BlockSync({
      chain,
      transport,
      clock: options.clock,
      context,
      accept: (blocks) => this.#acceptCertified(blocks),
      warn: (message, peer) => options.logger.warn({ peer }, message),
    });
    for (const channel of [CHANNELS.vote, CHANNELS.proposal]) {
      transport.open({ ...channel, receive: (peer, bytes) => this.#receive(peer, bytes) });
    }
  }

  status(): ReplicaStatus {
    return this.#replica.status();
  }

  get syncTarget(): number {
    return this.#sync.target;
  }

  get failure(): unknown {
    return this.#fatal;
  }

  start(): void {
    const tick = (): void => {
      if (this.#stopped) return;
      this.#step({ kind: 'pending', count: this.#waiting() });
      this.#step({ kind: 'tick', now: this.#o.clock.now() });
      this.#maybePropose();
      this.#sync.pursue();
      this.#timer = this.#o.clock.after(TICK_MS, tick);
    };
    tick();
  }

  /** Lets what is under way become durable, then stands still. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#batchTimer?.cancel();
    await this.#pump.idle();
    await this.#delivery.idle();
  }

  /** New transactions are in the pool. */
  poke(): void {
    if (this.#stopped || this.#poked) return;
    // Many arrive in one turn of the event loop; one look at the pool serves them all.
    this.#poked = true;
    this.#o.clock.after(0, () => {
      this.#poked = false;
      if (this.#wanted === undefined) this.#step({ kind: 'pending', count: this.#waiting() });
      this.#maybePropose();
    });
  }

  /**
   * Requests, and blocks owed: so that a certified header covers the last change somebody needs a proof of, and
   * because a heartbeat is overdue. Without the latter a primary that left its view alone would never be missed.
   */
  #waiting(): number {
    const { chain, mempool, clock, heartbeatMs } = this.#o;
    const isProofOwed = chain.height > 0 && chain.height < this.#proofHeight + LIMITS.pipelineDepth;
    const isLate = clock.now() - chain.time > 2 * heartbeatMs && this.#hasQuorum();
    return mempool.size + (isProofOwed ? 1 : 0) + (isLate ? 1 : 0);
  }

  /** Whether enough weight is connected for anything to become final. */
  #hasQuorum(): boolean {
    const { transport, context } = this.#o;
    const connected = new Set([transport.self, ...transport.peers().map(({ id }) => id)]);
    const { strong } = quorumOf(context.validators.map(({ weight }) => weight));
    let weight = 0;
    for (const [index, id] of this.#peerOf.entries()) {
      if (connected.has(id)) weight += context.validators[index]?.weight ?? 0;
    }
    return weight >= strong;
  }

  #restored(): LogRecord[] {
    return this.#o.records.map((bytes) => {
      const record = decodeLogRecord(bytes, parseCandidate);
      if (!record.ok)
        throw new LedgerError(
          'storage.corrupt',
          `the write-ahead log holds a record that does not decode: ${record.message}`,
        );
      return record.value;
    });
  }

  #step(input: Input): void {
    if (this.#stopped) return;
    const effects = this.#replica.step(input);
    for (const evidence of effects.evidence) {
      this.#o.logger.warn(
        { culprit: evidence.culprit, kind: evidence.kind },
        'a validator signed two conflicting messages',
      );
    }
    for (const want of effects.want) this.#want(want);
    if (effects.persist.length > 0 || effects.send.length > 0 || effects.deliver.length > 0) {
      this.#queue.push(effects);
      this.#pump.kick();
    }
  }

  /** Group commit: all steps taken while one fsync ran share the next one. */
  async #carryOut(): Promise<void> {
    const batch = this.#queue;
    this.#queue = [];
    const records = batch.flatMap((effects) => effects.persist);
    if (records.length > 0) {
      const cut = records.findLastIndex((record) => record.kind === 'truncate');
      if (cut >= 0) await this.#o.log.compact(records.slice(cut + 1).map(encodeLogRecord));
      else await this.#o.log.append(records.map(encodeLogRecord));
    }
    for (const effects of batch) for (const { to, message } of effects.send) this.#send(to, message);
    for (const effects of batch) this.#delivered.push(...effects.deliver);
    if (this.#delivered.length > 0) this.#delivery.kick();
  }

  #send(to: number | 'all', message: Message): void {
    const { transport } = this.#o;
    const bytes = encodeMessage(message);
    const large =
      message.kind === 'pre-prepare' ||
      message.kind === 'body' ||
      message.kind === 'new-view' ||
      message.kind === 'view-change';
    const channel = (large ? CHANNELS.proposal : CHANNELS.vote).number;
    for (const [index, peer] of this.#peerOf.entries()) {
      if (to === 'all' ? peer !== transport.self : index === to) transport.send(peer, channel, bytes);
    }
  }

  async #deliver(): Promise<void> {
    const { chain, mempool } = this.#o;
    const batch = this.#delivered.splice(0, DELIVERED_AT_ONCE);
    const blocks: { block: PreparedBlock; certificate: Delivered['certificate'] }[] = [];
    for (const { block, certificate } of batch)
      blocks.push({ block: await this.#certified(block), certificate });
    await chain.commit(blocks);
    for (const { block } of blocks) {
      const { header, candidate, transactions } = block;
      mempool.committed(transactions, chain.state, header.height);
      if (transactions.some(({ tx }) => tx.body.kind !== 'checkpoint')) {
        this.#proofHeight = header.height;
        this.#changedAt = this.#o.clock.monotonicMs();
      }
      this.#step({
        kind: 'executed',
        height: header.height,
        hash: candidate.hash,
        stateRoot: chain.stateAt(header.height).root,
      });
    }
    for (const [hash, prepared] of this.#prepared) {
      if (typeof prepared !== 'string' && prepared.header.height <= chain.height) this.#prepared.delete(hash);
    }
    this.#sync.announce();
    this.#maybePropose();
  }

  /** A block with a certificate: its signatures were checked by a quorum, so only the form is needed here. */
  async #certified(candidate: Candidate): Promise<PreparedBlock> {
    const known = this.#prepared.get(toHex(candidate.hash));
    if (known !== undefined && typeof known !== 'string') return known;
    const prepared = await prepareBlock(this.#o.chain.id, candidate.bytes, 'certified', (id) =>
      this.#o.mempool.get(id),
    );
    if (!prepared.ok)
      throw new LedgerError(
        'internal',
        `certified block ${candidate.height} is not acceptable: ${prepared.message}`,
      );
    return prepared.value;
  }

  #check(
    block: Candidate,
    fresh: boolean,
    now: Parameters<Chain['check']>[2],
  ): 'valid' | 'invalid' | 'later' {
    const prepared = this.#prepared.get(toHex(block.hash));
    if (prepared === 'invalid') return 'invalid';
    if (prepared === undefined) void this.#prepare(block);
    if (prepared === undefined || prepared === 'working') return 'later';
    return this.#o.chain.check(prepared, fresh, now);
  }

  async #prepare(block: Candidate): Promise<void> {
    const id = toHex(block.hash);
    if (this.#prepared.has(id)) return;
    if (this.#prepared.size >= PREPARED_MAX) {
      const oldest = this.#prepared.keys().next().value;
      if (oldest !== undefined) this.#prepared.delete(oldest);
    }
    this.#prepared.set(id, 'working');
    try {
      const prepared = await prepareBlock(this.#o.chain.id, block.bytes, this.#o.pool, (txId) =>
        this.#o.mempool.get(txId),
      );
      this.#prepared.set(id, prepared.ok ? prepared.value : 'invalid');
      if (prepared.ok) return;
      this.#o.logger.warn(
        { height: block.height, code: prepared.code },
        `a proposed block is refused: ${prepared.message}`,
      );
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      // The pool has too much to do: the replica asks again on a later tick.
      this.#prepared.delete(id);
    }
  }

  #receive(peer: Peer, bytes: Uint8Array): void {
    const from = this.#indexOf.get(peer.id);
    if (from === undefined || this.#stopped) return;
    const decoded = decodeMessage(bytes.slice(), parseCandidate);
    if (!decoded.ok) return this.#blame(peer.id, decoded.message);
    const verified = verifyMessage(this.#o.context, decoded.value);
    if (!verified.ok) return this.#blame(peer.id, verified.message);
    const message = decoded.value;
    if (message.kind === 'pre-prepare' || message.kind === 'body') {
      // The replica hears of a block when its signatures are checked; votes for it may come before.
      void this.#prepare(message.block).then(() =>
        this.#step({ kind: 'message', from, message: verified.value }),
      );
    } else this.#step({ kind: 'message', from, message: verified.value });
  }

  #blame(peer: PeerId, message: string): void {
    this.#o.logger.warn({ peer }, `a peer is disconnected: ${message}`);
    this.#o.transport.disconnect(peer);
  }

  #want(want: Want): void {
    switch (want.kind) {
      case 'proposal':
        if (
          this.#wanted === undefined ||
          this.#wanted.height !== want.height ||
          this.#wanted.view !== want.view
        )
          this.#wantedAt = this.#o.clock.monotonicMs();
        this.#wanted = want;
        // Not inside the step that asked: the answer is a step of its own.
        queueMicrotask(() => this.#maybePropose());
        return;
      case 'sync': {
        const peer = this.#peerOf[want.from];
        if (peer !== undefined) this.#sync.want(want.target, peer);
        return;
      }
    }
  }

  #maybePropose(): void {
    const want = this.#wanted;
    if (want === undefined || this.#stopped) return;
    const { chain, mempool, clock } = this.#o;
    const inFlight = want.height - chain.height - 1;
    const excluded = this.#inFlightIds(want.parentHash);
    const transactions = mempool.take(chain.state, {
      bytesMax: BLOCK_TRANSACTIONS_BYTES,
      countMax: LIMITS.blockTransactionsMax,
      exclude: excluded,
    });
    if (transactions.length === 0) {
      const due = clock.now() - chain.time >= this.#o.heartbeatMs && inFlight === 0;
      // Under load the next transactions carry the proof forward; empty blocks would only delay them.
      const proofsWait = want.height <= this.#proofHeight + LIMITS.pipelineDepth && excluded.size === 0;
      // An empty block that nobody can hear would only start the timer of its proposer.
      if ((!due && !proofsWait) || !this.#hasQuorum()) return;
      const quiet = clock.monotonicMs() - this.#changedAt;
      if (!due && quiet < QUIET_MS) return this.#proposeAfter(QUIET_MS - quiet);
    } else if (excluded.size > 0) {
      const bytes = transactions.reduce((sum, { encoded }) => sum + encoded.length, 0);
      const left = BATCH_MS * 2 ** (inFlight - 1) - (clock.monotonicMs() - this.#wantedAt);
      if (bytes < BATCH_BYTES && left > 0) return this.#proposeAfter(left);
    }
    const block = chain.propose(want.height, want.parentHash, clock.now(), transactions);
    if (block === undefined) return;
    this.#wanted = undefined;
    this.#prepared.set(toHex(block.candidate.hash), block);
    this.#step({ kind: 'proposal', block: block.candidate });
  }

  #proposeAfter(ms: number): void {
    this.#batchTimer ??= this.#o.clock.after(ms, () => {
      this.#batchTimer = undefined;
      this.#maybePropose();
    });
  }

  /** Ids of transactions in blocks between the committed one and `parentHash`. */
  #inFlightIds(parentHash: Hash): ReadonlySet<string> {
    const ids = new Set<string>();
    let hash = parentHash;
    for (let i = 0; i < LIMITS.watermarkWindow; i += 1) {
      const block = this.#prepared.get(toHex(hash));
      if (block === undefined || typeof block === 'string' || block.header.height <= this.#o.chain.height)
        break;
      for (const { id } of block.transactions) ids.add(toHex(id));
      hash = block.header.parentHash;
    }
    return ids;
  }

  async #acceptCertified(blocks: readonly CertifiedBlock[]): Promise<void> {
    for (const { candidate, certificate } of blocks)
      this.#step({ kind: 'certified', block: candidate, certificate });
    await this.#pump.idle();
    await this.#delivery.idle();
  }

  /** An effect could not be carried out (full disk): going on would break the order of effects, so the process ends. */
  #fail(error: unknown): void {
    this.#fatal = error;
    this.#stopped = true;
    this.#o.logger.error({ err: error }, 'consensus stops: an effect could not be carried out');
  }
}

/** Decodes a block far enough to name it. Its transactions are looked at in `prepareBlock`. */
function parseCandidate(bytes: Uint8Array): Candidate | undefined {
  const decoded = decodeBlock(bytes);
  if (!decoded.ok) return undefined;
  const { header, transactions } = decoded.value;
  return {
    height: header.height as Height,
    parentHash: header.parentHash,
    hash: headerHash(header),
    bytes,
    closes: closesEpoch(header),
    count: transactions.length,
  };
}
