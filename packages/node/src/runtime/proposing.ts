/**
 * When this node, asked for a proposal, makes one, and of what: load makes blocks larger, not more; idle chains get
 * a heartbeat; a change somebody needs a proof of is followed by the blocks that carry it. No rule of the protocol.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Want } from '@itc/core/pbft/effects.js';
import { idText } from '@itc/core/state/record-map.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import { coSignersDue } from '@itc/core/state/co-signing.js';
import { electable } from '@itc/core/state/end-of-block.js';
import type { Mempool } from '../mempool/mempool.ts';
import type { Clock, Timer } from '../ports.ts';
import type { Candidates } from './candidates.ts';
import type { Chain } from './chain.ts';
import type { Overdue } from './overdue.ts';
import type { PreparedBlock } from './prepared-block.ts';

export interface ProposingOptions {
  readonly chain: Chain;
  readonly mempool: Mempool;
  readonly overdue: Overdue;
  readonly candidates: Candidates;
  readonly clock: Clock;
  /** A block at least this often, empty if need be: light clients see time pass. */
  readonly heartbeatMs: number;
  /** Whether enough weight is connected for anything to become final. */
  readonly hasQuorum: () => boolean;
  /** Takes the answer to the want. */
  readonly propose: (block: Candidate) => void;
}

type WantedProposal = Extract<Want, { kind: 'proposal' }>;

/**
 * With transactions in flight, a proposal waits for this much or this long, doubled for each block ahead of it, so
 * that load makes blocks larger, not more.
 */
const BATCH_BYTES = 64 * 1024;
const BATCH_MS = 25;
/** Pause after the last change before empty blocks carry its proof: who waited for the change may act on it now. */
const QUIET_MS = 25;
/** Left free for header and counts. */
const BLOCK_TRANSACTIONS_BYTES = LIMITS.blockBytesMax - 65_536;

export class Proposing {
  readonly #o: ProposingOptions;
  #wanted: WantedProposal | undefined;
  #wantedAt = 0;
  /** Highest height that changed state others need a proof of; up to `pipelineDepth` above it blocks come without waiting. */
  #proofHeight = 0;
  #changedAt = 0;
  #batchTimer: Timer | undefined;
  #include: readonly string[] = [];
  /** At which height it was last found out whether an epoch is to change, and what was found. */
  #change = { height: -1, isDue: false };

  constructor(options: ProposingOptions) {
    this.#o = options;
  }

  get isWanted(): boolean {
    return this.#wanted !== undefined;
  }

  want(want: WantedProposal): void {
    if (this.#wanted?.height !== want.height || this.#wanted.view !== want.view)
      this.#wantedAt = this.#o.clock.monotonicMs();
    this.#wanted = want;
    // Not inside the step that asked: the answer is a step of its own.
    queueMicrotask(() => this.consider());
  }

  /** Nobody asks any more: the replica that did has ended. */
  withdraw(): void {
    this.#wanted = undefined;
    this.#include = [];
    this.#batchTimer?.cancel();
    this.#batchTimer = undefined;
  }

  /** Overdue at enough validators: these go first from now on, whatever they pay. Replaces what was said before. */
  include(ids: readonly Hash[]): void {
    this.#include = ids.map(idText);
  }

  committed({ header, transactions }: PreparedBlock): void {
    if (transactions.every(({ tx }) => tx.body.kind === 'checkpoint')) return;
    this.#proofHeight = header.height;
    this.#changedAt = this.#o.clock.monotonicMs();
  }

  /**
   * Requests, and blocks owed: so that a certified header covers the last change somebody needs a proof of, and
   * because a heartbeat is overdue. Without the latter a primary that left its view alone would never be missed.
   */
  waiting(): number {
    const { chain, mempool, clock, heartbeatMs, hasQuorum } = this.#o;
    const isProofOwed = chain.height > 0 && chain.height < this.#proofHeight + LIMITS.pipelineDepth;
    const isLate = clock.now() - chain.time > 2 * heartbeatMs && hasQuorum();
    const isChangeOwed = this.#isChangeDue() && hasQuorum();
    return mempool.size + (isProofOwed || isChangeOwed ? 1 : 0) + (isLate ? 1 : 0);
  }

  /**
   * An epoch that is to end waits for a checkpoint height: on an idle chain empty blocks lead up to it. They end with
   * the change, because what no election would carry out is not due.
   */
  #isChangeDue(): boolean {
    const { state, height } = this.#o.chain;
    if (this.#change.height !== height) {
      const { epoch, parameters } = state;
      const isDue =
        epoch.next !== undefined ||
        electable(epoch, state.validators(), parameters.bondPerWeight) !== undefined ||
        coSignersDue(state, state.validators());
      this.#change = { height, isDue };
    }
    return this.#change.isDue;
  }

  /** Answers the want, now or when the batch is due. */
  consider(): void {
    const want = this.#wanted;
    if (want === undefined) return;
    const { chain, mempool, overdue, clock, candidates, heartbeatMs, hasQuorum } = this.#o;
    const inFlight = want.height - chain.height - 1;
    const ahead = candidates.inFlight(want.parentHash);
    if (ahead.count > 0 && mempool.size > ahead.count && mempool.bytes - ahead.bytes < BATCH_BYTES) {
      const left = BATCH_MS * 2 ** (inFlight - 1) - (clock.monotonicMs() - this.#wantedAt);
      if (left > 0) return this.#considerAfter(left);
    }
    const excluded = ahead.names();
    const transactions = mempool.take(chain.state, {
      bytesMax: BLOCK_TRANSACTIONS_BYTES,
      countMax: LIMITS.blockTransactionsMax,
      exclude: excluded,
      height: want.height,
      // What this node has reported itself, too: it would blame others for leaving it out.
      first: [...this.#include, ...overdue.ids().map(idText)],
    });
    if (transactions.length === 0) {
      const due = clock.now() - chain.time >= heartbeatMs && inFlight === 0;
      // Under load the next transactions carry the proof forward; empty blocks would only delay them.
      const proofsWait =
        (want.height <= this.#proofHeight + LIMITS.pipelineDepth || this.#isChangeDue()) &&
        excluded.size === 0;
      // An empty block that nobody can hear would only start the timer of its proposer.
      if ((!due && !proofsWait) || !hasQuorum()) return;
      const quiet = clock.monotonicMs() - this.#changedAt;
      if (!due && quiet < QUIET_MS) return this.#considerAfter(QUIET_MS - quiet);
    }
    const block = chain.propose(want.height, want.parentHash, clock.now(), transactions);
    if (block === undefined) return;
    this.#wanted = undefined;
    candidates.keep(block);
    this.#o.propose(block.candidate);
  }

  #considerAfter(ms: number): void {
    this.#batchTimer ??= this.#o.clock.after(ms, () => {
      this.#batchTimer = undefined;
      this.consider();
    });
  }
}
