/** The PBFT replica: a deterministic step from inputs to effects (spec PBFT). See README.md for the state diagram. */
import type { Hash } from '../crypto/hash.ts';
import type { Certificate } from '../ledger/block.ts';
import type { Epoch, Height, Millis, View } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { validatorSetFlaw, type ValidatorSet } from '../ledger/validators.ts';
import { onFetch, onStatus } from './catch-up.ts';
import { onCheckpoint, onExecuted, signBase } from './checkpoint.ts';
import { onInclude } from './inclusion.ts';
import { noEffects, type Effects, type Input } from './effects.ts';
import type { LogRecord } from './log.ts';
import type { Body, Candidate, Message, PrePrepare, VerifiedMessage } from './messages.ts';
import { advance, onBody, onCertified, onPrePrepare, onProposal, onVote } from './normal-case.ts';
import { ReplicaState } from './replica-state.ts';
import { resend, resendStatus, wantProposal } from './resend.ts';
import { restore } from './restore.ts';
import { RULES, type Rules } from './rules.ts';
import { statusReport } from './status.ts';
import { watchPace } from './suspicion.ts';
import type { Timing } from './timing.ts';
import { isAwaited, isUseful } from './useful.ts';
import { armTimer, leaveDoubted, meetOthers, onNewView, onTimeout, onViewChange } from './view-change.ts';

export interface Application {
  /**
   * Whether a block may be voted for. 'later' = cannot be judged yet, because an older block is not executed here or
   * because the block's time does not fit this clock; asked again after the next delivery, execution or tick. 'invalid'
   * is what every correct replica finds the same, whatever its clock: the proposer of such a block is replaced at
   * once (PBFT-11.2). `fresh` is false when the block was prepared in an earlier view: then rules about time do
   * not apply (PBFT-4.6).
   */
  check(block: Candidate, fresh: boolean, now: Millis): 'valid' | 'invalid' | 'later';
}

/** Where an epoch begins: its first block is the one above. */
export interface EpochBase {
  readonly height: Height;
  readonly hash: Hash;
  /** After executing that block. */
  readonly stateRoot: Hash;
}

export interface ReplicaOptions {
  /** The genesis hash: identity of the chain and parent of the block at height 1. */
  readonly chain: Hash;
  readonly epoch: Epoch;
  readonly validators: ValidatorSet;
  /** Index in `validators`; −1 for one who only listens. */
  readonly self: number;
  /** Never vote: the disk was lost, or the state is not to be trusted. */
  readonly observer?: boolean;
  readonly application: Application;
  /** Deterministic, as Ed25519 is: what is sent again must be the same bytes. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  /** Seeded; spreads the resend times of replicas. */
  readonly random: () => number;
  readonly timing?: Partial<Timing>;
  /** The write-ahead log, oldest first; empty for a new replica. Records of other epochs are passed over. */
  readonly restore: readonly LogRecord[];
  /** The last block of the previous epoch, executed and durable; absent = genesis. This epoch begins above it. */
  readonly base?: EpochBase;
  /**
   * Commit certificate of the last block of this epoch that is durable in the block log *and* executed; absent = the
   * base. Delivery goes on above it. The certificate is needed, not the height alone: a VIEW-CHANGE has to prove it.
   */
  readonly tip?: Certificate;
}

export type Phase = 'normal' | 'view-changing' | 'observer' | 'halted';

/** For operators: plain values only. Hashes are lower-case hex. */
export interface ReplicaStatus {
  readonly epoch: number;
  readonly view: number;
  readonly phase: Phase;
  readonly self: number;
  /** Who opens the view with a NEW-VIEW … */
  readonly primary: number;
  /** … and whose turn it is to propose the next block. */
  readonly proposer: number;
  /** Validators without a turn at present. */
  readonly skipped: readonly number[];
  /** Validators this replica blames or doubts. */
  readonly suspects: readonly number[];
  /** Last delivered block. */
  readonly committedHeight: number;
  /** Highest block known to be final; above `committedHeight` while synchronising. */
  readonly certifiedHeight: number;
  readonly executedHeight: number;
  readonly stableHeight: number;
  readonly pending: number;
  /** Blocks above the last final one. */
  readonly inFlight: readonly {
    readonly height: number;
    readonly hash: string | undefined;
    readonly accepted: boolean;
    readonly prepareWeight: number;
    readonly prepared: boolean;
    readonly commitWeight: number;
  }[];
  readonly quorumWeight: number;
  readonly totalWeight: number;
  /** Weight that asks for `view` or a later one; only while view-changing. */
  readonly viewChangeWeight: number;
  /** Milliseconds after which this replica asks for the next view. */
  readonly timeoutMs: number;
  readonly deadline: number | undefined;
  /** Why there is no progress; undefined when all is well. */
  readonly reason: string | undefined;
}

export class Replica {
  readonly #state: ReplicaState;

  /** Throws for a validator set or index that cannot be: a wrong configuration must not run. */
  constructor(options: ReplicaOptions, rules: Rules = RULES) {
    const flaw = validatorSetFlaw(options.validators);
    if (flaw !== undefined) throw new RangeError(flaw);
    if (options.self >= options.validators.length || options.self < -1)
      throw new RangeError(`there is no validator ${options.self}`);
    const { base, tip } = options;
    if (base !== undefined && (base.height < 1 || base.height % LIMITS.checkpointInterval !== 0))
      throw new RangeError(
        `an epoch cannot begin above height ${base.height}, which is no checkpoint height`,
      );
    if (tip !== undefined && (tip.epoch !== options.epoch || tip.height <= (base?.height ?? 0)))
      throw new RangeError(`the tip at height ${tip.height} is not of epoch ${options.epoch}`);
    this.#state = new ReplicaState(options, rules);
    restore(this.#state, options.restore);
  }

  /** Same state and same input give the same effects. Never throws for what a peer sent. */
  step(input: Input): Effects {
    const state = this.#state;
    state.out = noEffects();
    switch (input.kind) {
      case 'tick':
        this.#tick(input.now);
        break;
      case 'message':
        if (state.halted === undefined) receive(state, input.from, input.message);
        break;
      case 'proposal':
        onProposal(state, input.block);
        break;
      case 'pending':
        state.pending = input.count;
        state.overdue = input.overdue.slice(0, LIMITS.inclusionMax);
        break;
      case 'certified':
        onCertified(state, input.block, input.certificate);
        break;
      case 'executed':
        onExecuted(state, input.height, input.hash, input.stateRoot);
        break;
    }
    signBase(state);
    advance(state);
    if (leaveDoubted(state)) advance(state);
    if (state.doubt !== undefined) resendStatus(state);
    wantProposal(state);
    armTimer(state);
    return state.out;
  }

  get view(): View {
    return this.#state.view;
  }

  /** Height of the last delivered block. */
  get committedHeight(): Height {
    return this.#state.delivered.height;
  }

  /** Index of the validator that opens the present view. */
  get primary(): number {
    return this.#state.primary;
  }

  /** Index of the validator whose turn it is to propose the next block. */
  get proposer(): number {
    return this.#state.proposer(this.#state.certified.height + 1);
  }

  /**
   * Whether a message can still change anything here, were its signatures good: a shell asks before it spends time
   * on them. A message that is not useful is dropped without loss.
   */
  isUseful(message: Message): boolean {
    return this.#state.halted === undefined && isUseful(this.#state, message);
  }

  /** Whether the block in a useful message will be asked about soon: a shell checks such a one before it passes it on. */
  isAwaited(message: PrePrepare | Body): boolean {
    return isAwaited(this.#state, message);
  }

  status(): ReplicaStatus {
    return statusReport(this.#state);
  }

  #tick(now: Millis): void {
    const state = this.#state;
    // A clock that jumps back stands still here until it has caught up.
    const before = state.now ?? now;
    state.now = Math.max(now, before);
    state.checkRound += 1;
    watchPace(state, state.now - before);
    onTimeout(state);
    meetOthers(state);
    resend(state);
  }
}

function receive(state: ReplicaState, from: number, verified: VerifiedMessage): void {
  const peer = state.peers[from];
  if (peer !== undefined && state.now !== undefined) peer.heardAt = state.now;
  // A message of its own that comes back, or that another holder of the same key sent, teaches a replica nothing.
  if (verified.message.sender === state.self && verified.kind !== 'new-view') return;
  switch (verified.kind) {
    case 'view-change':
      return onViewChange(state, verified.sound);
    case 'new-view':
      return onNewView(state, verified.message, verified.sound);
    case 'plain':
      break;
  }
  const { message } = verified;
  switch (message.kind) {
    case 'pre-prepare':
      return onPrePrepare(state, message);
    case 'prepare':
    case 'commit':
      return onVote(state, message);
    case 'checkpoint':
      return onCheckpoint(state, message);
    case 'status':
      return onStatus(state, from, message);
    case 'include':
      return onInclude(state, message);
    case 'fetch':
      return onFetch(state, from, message);
    case 'body':
      return onBody(state, message.block);
  }
}
