/**
 * The few decisions the safety argument rests on, apart from the machinery around them. The simulator replaces
 * one at a time by a wrong one, to prove that its checkers would notice; nothing else ever passes other rules.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { height, view, type Height, type View } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { BlockId, Candidate, NewView, PreparedCertificate, SoundViewChange } from './messages.ts';
import type { Weights } from './quorum.ts';
import type { ReplicaState } from './replica-state.ts';
import { decideSkipped } from './schedule.ts';

export interface Rules {
  /** Weight that prepares, commits and opens a view. */
  readonly quorum: (weights: Weights) => number;
  /** P2: this parent of the block at this height is final, or prepared here in this very view. */
  readonly parentHeld: (state: ReplicaState, at: number, parentHash: Hash) => boolean;
  /** P3: the commit certificate of the parent is held. */
  readonly parentCertified: (state: ReplicaState, at: number) => boolean;
  /** What a VIEW-CHANGE reports: the highest-view prepared certificate of each height above the last final one. */
  readonly preparedHeld: (state: ReplicaState) => PreparedCertificate[];
  /** What a set of VIEW-CHANGE messages decides for the new view. */
  readonly decideNewView: (base: BlockId, set: readonly SoundViewChange[]) => NewViewDecision;
  /** Whom such a set puts aside. */
  readonly decideSkipped: (weights: Weights, set: readonly SoundViewChange[]) => number[];
  /** Whether a NEW-VIEW says what this replica has computed from the same set. */
  readonly believes: (message: NewView, computed: NewViewDecision) => boolean;
  /** Between two views nobody votes: whoever asked for a view waits for its NEW-VIEW. */
  readonly mayVote: (state: ReplicaState) => boolean;
  /** The later view to follow others to, when enough of them ask for one. */
  readonly viewToJoin: (state: ReplicaState) => View | undefined;
  /** The high watermark: nothing is proposed or accepted above it. */
  readonly highWatermark: (state: ReplicaState) => number;
  /** Whether quorum weight of this epoch has executed the block below it. */
  readonly isOpen: (state: ReplicaState) => boolean;
  /** Whether nothing of this epoch comes above the block. */
  readonly closes: (block: Candidate) => boolean;
}

export interface NewViewDecision {
  readonly base: BlockId;
  readonly reproposals: readonly BlockId[];
}

export const RULES: Rules = {
  quorum: (weights) => weights.quorum.strong,

  parentHeld: (state, at, parentHash) => {
    if (at - 1 === state.certified.height) return equalBytes(state.certified.hash, parentHash);
    const prepared = state.slots.get(at - 1)?.prepared;
    return prepared !== undefined && prepared.view === state.view && equalBytes(prepared.digest, parentHash);
  },

  parentCertified: (state, at) =>
    at - 1 === state.delivered.height || state.slots.get(at - 1)?.committed !== undefined,

  preparedHeld: (state) => {
    const held: PreparedCertificate[] = [];
    for (let at = state.certified.height + 1; held.length < PBFT_LIMITS.preparedMax; at += 1) {
      const prepared = state.slots.get(at)?.prepared;
      if (prepared === undefined) break;
      held.push(prepared);
    }
    return held;
  },

  /*
   * Base: the highest block with a commit or stable certificate anywhere in the set. Above it, per height, the
   * digest of the highest-view prepared certificate anywhere in the set, up to the first height without one.
   * Conditions are evaluated on the whole set, never on the subset that happens to match.
   */
  decideNewView: (epochBase, set) => {
    let base: BlockId = epochBase;
    const best = new Map<number, PreparedCertificate>();
    for (const { stable, committed, prepared } of set) {
      if (stable !== undefined && stable.height > base.height)
        base = { height: stable.height, hash: stable.hash };
      if (committed !== undefined && committed.height > base.height)
        base = { height: committed.height, hash: committed.hash };
      for (const certificate of prepared) {
        const known = best.get(certificate.height);
        if (known === undefined || isBetter(certificate, known)) best.set(certificate.height, certificate);
      }
    }
    const reproposals: BlockId[] = [];
    for (
      let at: Height = height(base.height + 1);
      reproposals.length < PBFT_LIMITS.preparedMax;
      at = height(at + 1)
    ) {
      const certificate = best.get(at);
      if (certificate === undefined) break;
      reproposals.push({ height: at, hash: certificate.digest });
    }
    return { base, reproposals };
  },

  decideSkipped,

  believes: (message, { base, reproposals }) =>
    sameId(base, message.base) &&
    reproposals.length === message.reproposals.length &&
    reproposals.every((id, i) => sameId(id, message.reproposals[i])),

  mayVote: (state) => !state.changing,

  /*
   * Weight F + 1 asking for later views holds a correct voice: follow to the smallest of them. One replica alone,
   * whatever number it names, moves nobody.
   */
  viewToJoin: (state) => {
    const later = (index: number): boolean =>
      index !== state.self && (state.viewChanges[index]?.message.view ?? 0) > state.view;
    if (state.weights.sum(later) < state.weights.quorum.weak) return undefined;
    let smallest = Number.MAX_SAFE_INTEGER;
    for (const [index, held] of state.viewChanges.entries()) {
      if (held !== undefined && later(index)) smallest = Math.min(smallest, held.message.view);
    }
    return view(smallest);
  },

  highWatermark: (state) => state.stableHeight + LIMITS.watermarkWindow,

  isOpen: (state) => state.stable !== undefined || state.base.height === 0,

  closes: (block) => block.closes,
};

function sameId(a: BlockId, b: BlockId | undefined): boolean {
  return b !== undefined && a.height === b.height && equalBytes(a.hash, b.hash);
}

/** Higher view first. Two digests in one view need more than F faulty weight; even then everyone must choose alike. */
function isBetter(a: PreparedCertificate, b: PreparedCertificate): boolean {
  return a.view !== b.view ? a.view > b.view : compareBytes(a.digest, b.digest) < 0;
}
