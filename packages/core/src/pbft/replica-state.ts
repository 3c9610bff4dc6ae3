/** The state every phase works on, with the few operations all of them share. */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import type { Certificate } from '../ledger/block.ts';
import { height, view, type Height, type View } from '../ledger/ids.ts';
import { noEffects, type Effects, type Evidence } from './effects.ts';
import { PBFT_LIMITS } from './limits.ts';
import { Expectation } from './expectation.ts';
import type { Overdue } from './inclusion.ts';
import type {
  BlockId,
  Checkpoint,
  Message,
  NewView,
  SoundViewChange,
  StableCertificate,
  ViewChange,
} from './messages.ts';
import { Weights } from './quorum.ts';
import type { ReplicaOptions } from './replica.ts';
import type { Rules } from './rules.ts';
import { proposerOf, scheduleOf, type Schedule } from './schedule.ts';
import { Slot } from './slot.ts';
import type { Doubt } from './suspicion.ts';
import { timingOf, type Timing } from './timing.ts';
import { primaryOf } from './verify.ts';

/** Evidence is kept for whoever punishes; a culprit that goes on and on needs no further proof. */
const ACCUSATIONS_MAX = 256;

interface Peer {
  heardAt: number;
  helpedAt: number;
  servedAt: number;
  served: number;
  /** Whom its last status doubted, in which view, and when it came. */
  doubted: readonly number[];
  doubtedView: number;
  doubtedAt: number;
}

export class ReplicaState {
  readonly options: ReplicaOptions;
  readonly rules: Rules;
  readonly weights: Weights;
  readonly timing: Timing;

  /** The view this replica is in, or asks for while it is view-changing. */
  view: View = view(0);
  changing = false;
  /** Why this replica stopped for good; only a broken assumption can do that. */
  halted: string | undefined;

  /** The block below this epoch: genesis, or the last block of the previous epoch. */
  readonly base: BlockId;
  /** Last block handed to the shell. */
  delivered: BlockId;
  /** The block that ends this epoch was handed to the shell: nothing is left to decide. */
  closed = false;
  /** Last block the shell has executed and stored. */
  executed: Height;
  /** Highest block proved final, with the proof when it is a commit certificate. */
  certified: BlockId & { readonly certificate: Certificate | undefined };
  /** Up to here the proof of finality is in the write-ahead log, the block log or a stable checkpoint. */
  certifiedDurable: Height;
  /** Who showed that proof, and so can serve the blocks below it. */
  certifiedFrom: number | undefined;
  stable: StableCertificate | undefined;
  /** Kept until the next one is stable. */
  stablePrevious: StableCertificate | undefined;

  /** Heights above `executed`; bounded by the vote window. */
  readonly slots: Map<number, Slot> = new Map();
  /** Heights the NEW-VIEW of this view decides; fresh proposals begin above `reproposedTop`. */
  reproposals: readonly BlockId[] = [];
  reproposedTop = 0;
  /** Who proposes when in this view. */
  schedule: Schedule;
  /** How this view was entered; undefined in view 0. */
  newView: NewView | undefined;
  /** One per author: the latest view asked for. */
  readonly viewChanges: (SoundViewChange | undefined)[];
  ownViewChange: ViewChange | undefined;

  readonly checkpoints: Map<number, (Checkpoint | undefined)[]> = new Map();
  /** What this replica itself computed at checkpoint heights that are not below the stable one. */
  readonly ownCheckpoints: Map<number, Checkpoint> = new Map();

  now: number | undefined;
  pending = 0;
  /** What this shell reports as overdue, and what is watched because enough others do too. */
  overdue: readonly Hash[] = [];
  watched: readonly Overdue[] = [];
  /** The latest report of each validator. */
  readonly reports: ({ readonly ids: readonly Hash[]; readonly at: number } | undefined)[];
  reportedAt: number = Number.NEGATIVE_INFINITY;
  inclusionWantedAt: number = Number.NEGATIVE_INFINITY;
  /** Height up to which a validator is held responsible for a lack of progress. */
  readonly blamedUntil: number[];
  /** Those blamed since the last view was entered: they are not waited for to open the next one. */
  readonly blamedNow: Set<number> = new Set();
  doubt: Doubt | undefined;
  readonly expectation: Expectation;
  deadline: number | undefined;
  /** Since when weight Q has left for this view or later ones without agreeing on this one. */
  apart: { readonly view: number; readonly since: number } | undefined;
  /** View changes since the last delivered block. */
  attempts = 0;
  /** The proposal the shell was asked for. */
  wanted: { readonly height: number; readonly view: number; readonly at: number } | undefined;
  /** Since when final blocks are missing here. */
  syncingSince: number | undefined;
  syncWantedAt: number = Number.NEGATIVE_INFINITY;
  /** When the last block was proposed here or delivered. */
  proposedAt: number = Number.NEGATIVE_INFINITY;
  statusAt: number | undefined;
  checkpointAt: number = Number.NEGATIVE_INFINITY;
  viewChangeAt: number = Number.NEGATIVE_INFINITY;
  /** Grows whenever a 'later' of the application may have become a verdict. */
  checkRound = 0;
  readonly peers: Peer[];
  readonly #accused: Set<string> = new Set();

  out: Effects = noEffects();

  constructor(options: ReplicaOptions, rules: Rules) {
    this.options = options;
    this.rules = rules;
    this.weights = new Weights(options.validators);
    this.timing = timingOf(options.timing);
    const { tip, base } = options;
    this.base =
      base === undefined
        ? { height: height(0), hash: options.chain }
        : { height: base.height, hash: base.hash };
    this.delivered = tip === undefined ? this.base : { height: tip.height, hash: tip.hash };
    this.executed = this.delivered.height;
    this.certified = { ...this.delivered, certificate: tip };
    this.certifiedDurable = this.delivered.height;
    this.viewChanges = Array.from<SoundViewChange | undefined>({ length: this.weights.count });
    this.peers = Array.from({ length: this.weights.count }, (): Peer => ({
      heardAt: Number.NEGATIVE_INFINITY,
      helpedAt: Number.NEGATIVE_INFINITY,
      servedAt: Number.NEGATIVE_INFINITY,
      served: 0,
      doubted: [],
      doubtedView: 0,
      doubtedAt: Number.NEGATIVE_INFINITY,
    }));
    const { count } = this.weights;
    this.schedule = scheduleOf(count, this.base.height);
    this.reports = Array.from({ length: count }, () => undefined);
    this.blamedUntil = Array.from({ length: count }, () => 0);
    this.expectation = new Expectation(count, this.timing.viewTimeoutMs);
  }

  get self(): number {
    return this.options.self;
  }

  /** The validator that opens this view with a NEW-VIEW. */
  get primary(): number {
    return primaryOf(this.view, this.weights.count);
  }

  /** Whose turn it is at a height of this view. */
  proposer(at: number): number {
    return proposerOf(this.schedule, this.view, at);
  }

  get canVote(): boolean {
    return this.self >= 0 && this.options.observer !== true && this.halted === undefined;
  }

  get syncing(): boolean {
    return this.certified.height > this.delivered.height;
  }

  /** Genesis is stable from the start; the base of a later epoch when quorum weight of this epoch has signed it. */
  get stableHeight(): number {
    return this.stable?.height ?? Math.max(0, this.base.height - 1);
  }

  /** Before that nothing above the base is proposed or accepted: too few may have executed it. */
  get isOpen(): boolean {
    return this.rules.isOpen(this);
  }

  /**
   * Weight heard from lately, status messages included; this replica hears itself. Lately is half a view timeout, and
   * never less than two status messages take.
   */
  heardWeight(now: number): number {
    const since = now - Math.max(this.timing.viewTimeoutMs / 2, 2 * this.timing.resendMs);
    return this.weights.sum((index) => index === this.self || (this.peers[index]?.heardAt ?? 0) >= since);
  }

  /** The slot of a height, made on demand inside the vote window; undefined outside of it. */
  slotAt(at: number): Slot | undefined {
    const known = this.slots.get(at);
    if (known !== undefined) return known;
    if (at <= this.delivered.height || at > this.delivered.height + PBFT_LIMITS.voteWindow) return undefined;
    const slot = new Slot(at, this.weights.count);
    this.slots.set(at, slot);
    return slot;
  }

  /**
   * The slot of a height the log speaks of, however far it is above the last delivered block: blocks may have been lost or
   * set back behind the log, and what was promised above them counts all the same. The log bounds their number.
   */
  slotOfRecord(at: number): Slot | undefined {
    const known = this.slotAt(at);
    if (known !== undefined || at <= this.delivered.height) return known;
    const slot = new Slot(at, this.weights.count);
    this.slots.set(at, slot);
    return slot;
  }

  /** The block that was accepted in this view, or is final, at a height. */
  settledHash(at: number): Hash | undefined {
    if (at === this.certified.height) return this.certified.hash;
    const accepted = this.slots.get(at)?.accepted;
    return accepted?.view === this.view ? accepted.block.hash : undefined;
  }

  /**
   * Whether the block at a height ends the epoch; undefined while it is known by certificate alone. `at` is the height
   * of the last delivered block or above.
   */
  closesAt(at: number): boolean | undefined {
    if (at === this.delivered.height) return this.closed;
    const slot = this.slots.get(at);
    const hash = this.settledHash(at);
    const body = hash === undefined ? undefined : slot?.body(hash);
    return body === undefined ? undefined : this.rules.closes(body);
  }

  send(to: number | 'all', message: Message): void {
    this.out.send.push({ to, message });
  }

  accuse(evidence: Evidence, at: number): void {
    const key = `${evidence.kind}/${evidence.culprit}/${at}`;
    if (this.#accused.has(key) || this.#accused.size >= ACCUSATIONS_MAX) return;
    this.#accused.add(key);
    this.out.evidence.push(evidence);
  }

  /** A broken assumption (more than F faulty weight, or a corrupt state): stop voting, say why, change nothing more. */
  halt(reason: string): void {
    this.halted ??= reason;
    this.deadline = undefined;
  }

  /**
   * Takes note that a block is final. The certificate was verified. Conflicting certificates mean that more than
   * F of the weight is faulty; going on would only hide it.
   */
  learnFinal(id: BlockId, certificate: Certificate | undefined, from: number | undefined): void {
    if (id.height <= this.delivered.height) return;
    const slot = this.slotAt(id.height);
    if (slot !== undefined && certificate !== undefined && slot.committed === undefined) {
      slot.committed = certificate;
      this.out.persist.push({ kind: 'committed', certificate });
      if (id.height > this.certifiedDurable && id.height >= this.certified.height)
        this.certifiedDurable = id.height;
    }
    if (id.height > this.certified.height) {
      this.certified = { height: id.height, hash: id.hash, certificate };
      if (from !== undefined && from !== this.self) this.certifiedFrom = from;
    } else if (id.height === this.certified.height) {
      if (!equalBytes(id.hash, this.certified.hash))
        this.halt(`two different blocks are certified at height ${id.height}`);
      else if (this.certified.certificate === undefined) this.certified = { ...this.certified, certificate };
    }
  }
}
