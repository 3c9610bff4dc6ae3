/**
 * A configured validator's part in deciding, through the epochs (spec NODE-9): in an epoch that holds it, and whose
 * votes it can remember, it drives a replica; in any other it follows certified blocks like every observer. The
 * change of epoch is here, and needs no restart.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { LedgerError } from '@itc/core/ledger/errors.js';
import { height, type Epoch } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { StableCertificate } from '@itc/core/ledger/stable-certificate.js';
import { bitmapOf, quorumOf } from '@itc/core/ledger/validators.js';
import type { CommittedBlock as Delivered } from '@itc/core/pbft/effects.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { LogRecord } from '@itc/core/pbft/log.js';
import type { Message, PrePrepare, Status } from '@itc/core/pbft/messages.js';
import type { ReplicaStatus } from '@itc/core/pbft/replica.js';
import { timingOf, type Timing } from '@itc/core/pbft/timing.js';
import { verifyMessage, type VerifyContext } from '@itc/core/pbft/verify.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { verifyNative } from '../crypto/native.ts';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import type { Mempool } from '../mempool/mempool.ts';
import type { Clock, Peer, PeerId, Random, Timer, Transport } from '../ports.ts';
import { Accuser } from './accuser.ts';
import { BlockSync, type CertifiedBlock } from './block-sync.ts';
import { Candidates, parseCandidate } from './candidates.ts';
import type { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';
import { CompactBlocks } from './compact-block.ts';
import { Drain } from './drain.ts';
import { DiskPause, isFull } from './full-disk.ts';
import type { Logger } from './logger.ts';
import { Overdue } from './overdue.ts';
import { PeerBudget } from './peer-budget.ts';
import { Proposing } from './proposing.ts';
import { ReplicaDriver } from './replica-driver.ts';
import type { ReplicaLog, ReplicaLogPlace } from './replica-log.ts';
import { RestartRequest } from './restart-request.ts';
import { seatOf, type Seat } from './seat.ts';
import { TransactionRequest } from './transaction-request.ts';

export interface ConsensusOptions {
  readonly chain: Chain;
  readonly keys: KeyPair;
  readonly transport: Transport;
  readonly log: ReplicaLog;
  readonly place: ReplicaLogPlace;
  readonly mempool: Mempool;
  readonly pool: VerifyPool;
  /** Of transactions that are being checked on their way into the pool, see `Intake`. */
  readonly checking: (names: readonly string[]) => Promise<unknown> | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** A block at least this often, empty if need be: light clients see time pass. */
  readonly heartbeatMs: number;
  readonly timing?: Partial<Timing>;
  /** Takes a transaction for the network; throws the code of a refusal. */
  readonly submit: (encoded: Uint8Array) => Promise<Hash>;
  /** Quorum weight has executed and stored a block. */
  readonly stable?: (certificate: StableCertificate) => void;
}

const TICK_MS_MAX = 100;
/** Ticks in a view timeout that is shorter than usual: intervals are no finer than ticks. */
const TICKS = 10;
/** Blocks behind what peers claim at which a node has caught up: others are always a moment ahead of an observer. */
const CAUGHT_UP = 8;
/** A peer that still speaks of an older epoch is answered this often. */
const HELP_MS = 1_000;

export class Consensus {
  readonly #o: ConsensusOptions;
  readonly #candidates: Candidates;
  readonly #compact: CompactBlocks;
  readonly #proposing: Proposing;
  readonly #sync: BlockSync;
  readonly #overdue: Overdue;
  readonly #requests: TransactionRequest;
  readonly #accuser: Accuser;
  readonly #restart: RestartRequest;
  /** Validators of the present epoch by transport name. */
  #voters: ReadonlyMap<PeerId, number> = new Map();
  #context: VerifyContext;
  /** Undefined in an epoch in which this node has no vote. */
  #driver: ReplicaDriver | undefined;
  readonly #room: DiskPause;
  readonly #turn = new Drain({
    work: () => this.#enter(),
    hasWork: () =>
      this.#room.mayWrite &&
      (this.#interlude !== undefined ||
        this.#context.epoch !== this.#present().epoch ||
        (this.#driver === undefined && this.#mayDrive())),
    failed: (error) => this.#fail(error),
  });
  /** What is to be done while no replica runs. */
  #interlude: (() => Promise<void>) | undefined;
  /** One message per peer of the epoch after this one. */
  readonly #early = new Map<PeerId, Message>();
  /** When a peer was last told how its epoch ended. */
  readonly #helpedAt = new Map<PeerId, number>();
  readonly #budget: PeerBudget;
  #timer: Timer | undefined;
  #poked = false;
  #stopped = false;
  #fatal: unknown;

  constructor(options: ConsensusOptions) {
    this.#o = options;
    const { chain, transport, clock, logger } = options;
    this.#room = new DiskPause({ clock, retry: () => this.#turn.kick() });
    this.#context = this.#present();
    this.#candidates = new Candidates({ ...options, verify: verifyNative });
    this.#budget = new PeerBudget(clock);
    this.#overdue = new Overdue(options);
    this.#accuser = new Accuser(options);
    this.#restart = new RestartRequest(options);
    this.#requests = new TransactionRequest({
      ...options,
      voters: () => this.#voters.keys(),
      blame: (peer, message) => this.#blame(peer, message),
    });
    this.#proposing = new Proposing({
      ...options,
      overdue: this.#overdue,
      candidates: this.#candidates,
      hasQuorum: () => this.full === undefined && this.#hasQuorum(),
      propose: (block) => this.#driver?.step({ kind: 'proposal', block }),
    });
    this.#sync = new BlockSync({
      chain,
      transport,
      clock,
      accept: (blocks) => this.#accept(blocks),
      warn: (message, peer) => logger.warn({ peer }, message),
    });
    this.#compact = new CompactBlocks({
      mempool: options.mempool,
      transport,
      block: (hash) => this.#candidates.get(hash),
      isHeard: (peer) => !this.#stopped && this.#mayBeHeard(peer),
      isDue: (proposal) => this.#isDue(proposal),
      complete: (peer, proposal) => this.#heard(peer, proposal),
      blame: (peer, message) => this.#blame(peer, message),
    });
    for (const channel of [CHANNELS.vote, CHANNELS.proposal]) {
      transport.open({ ...channel, receive: (peer, bytes) => this.#receive(peer, bytes) });
    }
    transport.listen({
      disconnected: ({ id }) => {
        this.#helpedAt.delete(id);
        this.#early.delete(id);
      },
    });
    chain.onCommitted(({ block }) => this.#proposing.committed(block));
  }

  /** Of the replica; undefined while this node only observes. */
  status(): ReplicaStatus | undefined {
    return this.#driver?.status();
  }

  get syncTarget(): number {
    return this.#sync.target;
  }

  /** Blocks are missing here that every peer in sight has pruned. */
  get isPruned(): boolean {
    return this.#sync.isPruned;
  }

  get failure(): unknown {
    return this.#fatal;
  }

  /** Why nothing can be written now: nothing new is taken, what is here is kept. */
  get full(): LedgerError | undefined {
    return this.#driver?.full ?? this.#room.error;
  }

  async start(): Promise<void> {
    await this.#begin();
    const { viewTimeoutMs } = timingOf(this.#o.timing);
    const tickMs = Math.min(TICK_MS_MAX, Math.ceil(viewTimeoutMs / TICKS));
    const tick = (): void => {
      if (this.#stopped) return;
      this.#tellPending();
      this.#driver?.step({ kind: 'tick', now: this.#o.clock.now() });
      this.#proposing.consider();
      this.#sync.pursue();
      this.#pursueRestart();
      this.#timer = this.#o.clock.after(tickMs, tick);
    };
    tick();
  }

  /** Lets what is under way become durable, then stands still. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#proposing.withdraw();
    this.#room.stop();
    this.#accuser.stop();
    await this.#turn.idle();
    await this.#driver?.stop();
  }

  /**
   * Does something to the chain while no replica runs and no block is taken (a snapshot takes the place of its state),
   * and goes on in whichever epoch the chain is then. One at a time.
   */
  async between(work: () => Promise<void>): Promise<void> {
    if (this.#interlude !== undefined) throw new RangeError('one at a time');
    this.#interlude = work;
    this.#turn.kick();
    await this.#turn.idle();
  }

  /** New transactions are in the pool. */
  poke(): void {
    if (this.#stopped || this.#poked) return;
    // Many arrive in one turn of the event loop; one look at the pool serves them all.
    this.#poked = true;
    this.#o.clock.after(0, () => {
      this.#poked = false;
      if (this.#stopped) return;
      if (!this.#proposing.isWanted) this.#tellPending();
      this.#proposing.consider();
    });
  }

  /** Whether this node has a vote in the present epoch. */
  get votes(): boolean {
    return this.#driver !== undefined;
  }

  seat(): Seat {
    const { chain, transport } = this.#o;
    return seatOf(chain.state, transport.self, { votes: this.votes, silent: this.#silence() });
  }

  /** Why a validator of the present epoch does not vote. */
  #silence(): string | undefined {
    const { log, transport } = this.#o;
    const { epoch } = this.#context;
    if (this.#driver !== undefined || !this.#voters.has(transport.self)) return undefined;
    if (log.isMissing)
      return `the write-ahead log was lost: it does not vote in epoch ${epoch}; ${this.#wayBack()}`;
    return log.isAheadOf(epoch)
      ? `the chain is behind the write-ahead log: it does not vote in epoch ${epoch}`
      : 'the chain goes on from a snapshot: it votes when it has executed a few blocks';
  }

  #wayBack(): string {
    const { validators } = this.#context;
    const self = this.#voters.get(this.#o.transport.self) ?? -1;
    const { total, strong } = quorumOf(validators.map(({ weight }) => weight));
    const others = total - (validators[self]?.weight ?? 0);
    return others < strong
      ? `the others weigh ${others} and need ${strong} to begin a new one: the log has to be brought back`
      : this.#restart.progress;
  }

  #pursueRestart(): void {
    const { chain, log, transport } = this.#o;
    if (!log.isMissing || !this.#voters.has(transport.self)) return;
    // Asked from an old state, it would be refused.
    if (chain.height > 0 && this.#sync.target <= chain.height + CAUGHT_UP && this.#hasQuorum())
      this.#restart.pursue();
  }

  #tellPending(): void {
    this.#driver?.step({ kind: 'pending', count: this.#proposing.waiting(), overdue: this.#overdue.ids() });
  }

  /** Who decides on the block above the committed one. */
  #present(): VerifyContext {
    const { chain } = this.#o;
    return chain.contextAt(height(chain.height + 1));
  }

  /** Whether enough weight is connected for anything to become final. */
  #hasQuorum(): boolean {
    const { transport } = this.#o;
    const { validators } = this.#context;
    const connected = new Set([transport.self, ...transport.peers().map(({ id }) => id)]);
    const { strong } = quorumOf(validators.map(({ weight }) => weight));
    let weight = 0;
    for (const [id, index] of this.#voters) if (connected.has(id)) weight += validators[index]?.weight ?? 0;
    return weight >= strong;
  }

  /** The chain has closed an epoch: the replica of the old one ends, with everything still under way in it. */
  async #enter(): Promise<void> {
    const { epoch } = this.#context;
    this.#proposing.withdraw();
    await this.#driver?.stop();
    this.#driver = undefined;
    const interlude = this.#interlude;
    this.#interlude = undefined;
    await interlude?.();
    try {
      await this.#begin();
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#pause(error);
      return;
    }
    if (this.#room.end()) this.#tellPause(undefined);
    if (this.#context.epoch === epoch) return;
    this.#o.logger.info(
      { epoch: this.#context.epoch, height: this.#o.chain.height, votes: this.votes },
      'an epoch begins',
    );
  }

  async #begin(): Promise<void> {
    const { chain, keys, transport, log, clock, random, heartbeatMs, timing } = this.#o;
    const context = this.#present();
    this.#context = context;
    this.#voters = new Map(context.validators.map(({ key }, index) => [toHex(key.bytes), index]));
    const self = this.#voters.get(transport.self);
    if (self === undefined || !this.#mayDrive()) return;
    const restore = [...anchorRecord(chain, context.epoch), ...(await log.begin(context.epoch))];
    await this.#restart.forget();
    this.#driver = new ReplicaDriver({
      chain,
      context,
      keys,
      transport,
      log,
      restore,
      candidates: this.#candidates,
      clock,
      random,
      timing: { heartbeatMs, ...timing },
      compact: (message) => this.#compact.encode(message),
      commit: (blocks) => this.#commit(blocks),
      executed: () => this.#executed(),
      wantProposal: (want) => this.#proposing.want(want),
      wantInclude: (ids) => {
        this.#proposing.include(ids);
        this.#requests.want(ids);
      },
      wantSync: (target, from) => this.#sync.want(target, from),
      evidence: (evidence) => {
        const culprit = context.validators[evidence.culprit];
        if (culprit !== undefined) this.#accuser.accuse(culprit.key, evidence, self);
      },
      stable: (certificate) => this.#o.stable?.(certificate),
      blame: (peer, message) => this.#blame(peer, message),
      paused: (error) => this.#tellPause(error),
      failed: (error) => this.#fail(error),
    });
    const early = [...this.#early];
    this.#early.clear();
    for (const [peer, message] of early)
      if (message.epoch === context.epoch) this.#driver.receive(peer, message);
  }

  /** Whether this node may vote in the present epoch, and knows what it takes to. */
  #mayDrive(): boolean {
    const { chain, log, transport } = this.#o;
    const { epoch } = this.#context;
    if (!this.#voters.has(transport.self) || log.isAheadOf(epoch)) return false;
    if (log.isMissing && !this.#restart.allows(epoch)) return false;
    // Above a snapshot, the states that headers commit and the proof of the last block come with the next few blocks.
    return chain.stateUnder(height(chain.height + 1)) !== undefined && chain.isTipProved;
  }

  async #commit(blocks: readonly Delivered[]): Promise<void> {
    const prepared = [];
    for (const { block, certificate } of blocks)
      prepared.push({ block: await this.#candidates.certified(block), certificate });
    await this.#o.chain.commit(prepared);
    this.#candidates.forgetCommitted();
  }

  #executed(): void {
    this.#turn.kick();
    this.#sync.announce();
    this.#proposing.consider();
  }

  /** Blocks of one epoch in height order, from block synchronisation. */
  async #accept(blocks: readonly CertifiedBlock[]): Promise<void> {
    await this.#turn.idle();
    if (this.#stopped) return;
    const { chain } = this.#o;
    // The replica may have delivered some of them meanwhile, and even have closed their epoch.
    const fresh = blocks
      .filter(({ header }) => header.height > chain.height && header.epoch === this.#context.epoch)
      .map(({ candidate, certificate }) => ({ block: candidate, certificate }));
    if (this.#driver !== undefined) await this.#driver.certified(fresh);
    else if (fresh.length > 0) {
      try {
        await this.#commit(fresh);
        if (this.#room.end()) this.#tellPause(undefined);
        this.#executed();
      } catch (error) {
        // The same blocks are asked for again, and taken when there is room.
        if (isFull(error)) this.#pause(error);
        else this.#fail(error);
      }
    }
    await this.#turn.idle();
  }

  #receive(peer: Peer, bytes: Uint8Array): void {
    if (this.#stopped || !this.#mayBeHeard(peer.id)) return;
    if (!this.#budget.spend(peer.id)) return this.#blame(peer.id, 'it says more than anybody has to say');
    const decoded = decodeMessage(bytes.slice(), parseCandidate);
    if (!decoded.ok) return this.#blame(peer.id, decoded.message);
    return this.#heard(peer.id, decoded.value);
  }

  #heard(peer: PeerId, message: Message): void {
    const { epoch } = this.#context;
    if (message.epoch === epoch) this.#driver?.receive(peer, message);
    else if (message.epoch < epoch) this.#tellEnd(peer, message.epoch);
    // A later epoch is no news a replica could use: block synchronisation carries this node there. Except for the word
    // that opens the next one, which comes from whoever closed this one a moment earlier, and is not soon said again.
    else if (message.epoch === epoch + 1 && message.kind === 'checkpoint') this.#early.set(peer, message);
  }

  /** Worth asking for: of this epoch, above what is committed, signed by its author. */
  #isDue(proposal: PrePrepare): boolean {
    const above = proposal.block.height - this.#o.chain.height;
    if (proposal.epoch !== this.#context.epoch || above < 1 || above > LIMITS.watermarkWindow) return false;
    return verifyMessage(this.#context, proposal).ok;
  }

  #mayBeHeard(peer: PeerId): boolean {
    if (this.#voters.has(peer)) return true;
    const next = this.#o.chain.state.epoch.next?.validators ?? [];
    return next.some(({ key }) => toHex(key.bytes) === peer);
  }

  /** Shows a peer that its epoch is over: the commit certificate of the closing block, which its own set has signed. */
  #tellEnd(peer: PeerId, ended: Epoch): void {
    const { chain, clock, transport } = this.#o;
    const now = clock.monotonicMs();
    if (now - (this.#helpedAt.get(peer) ?? Number.NEGATIVE_INFINITY) < HELP_MS) return;
    this.#helpedAt.set(peer, now);
    const closing = chain.closingHeight(ended);
    const certificate = closing === undefined ? undefined : chain.headerAt(closing)?.certificate;
    if (closing === undefined || certificate === undefined) return;
    const set = chain.contextAt(closing).validators;
    const sender = set.findIndex(({ key }) => toHex(key.bytes) === transport.self);
    if (sender < 0) return;
    const status: Status = {
      kind: 'status',
      sender,
      epoch: ended,
      view: certificate.view,
      changing: false,
      committed: closing,
      stable: closing,
      committedCertificate: certificate,
      stableCertificate: undefined,
      suspects: bitmapOf([], set.length),
    };
    transport.send(peer, CHANNELS.vote.number, encodeMessage(status));
  }

  #pause(error: LedgerError): void {
    if (this.#room.begin(error)) this.#tellPause(error);
  }

  #tellPause(error: LedgerError | undefined): void {
    const { logger } = this.#o;
    if (error === undefined) logger.info({}, 'there is room again: consensus goes on');
    else logger.error({}, `consensus pauses: ${error.message}`);
  }

  #blame(peer: PeerId, message: string): void {
    this.#o.logger.warn({ peer }, `a peer is disconnected: ${message}`);
    this.#o.transport.disconnect(peer);
  }

  /** An effect could not be carried out: going on would break the order of effects. */
  #fail(error: unknown): void {
    this.#fatal = error;
    this.#stopped = true;
    this.#o.logger.error({ err: error }, 'consensus stops: an effect could not be carried out');
  }
}

/** A replica that starts above a snapshot knows its anchor as stable: it has nothing to sign about what lies below (SNAPSHOT-9). */
function anchorRecord({ anchor }: Chain, epoch: Epoch): LogRecord[] {
  return anchor?.epoch === epoch ? [{ kind: 'stable', certificate: anchor }] : [];
}
