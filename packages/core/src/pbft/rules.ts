/**
 * The few decisions the safety argument rests on, apart from the machinery around them. The simulator replaces
 * one at a time by a wrong one, to prove that its checkers would notice; nothing else ever passes other rules.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { height, type Height } from '../ledger/ids.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { BlockId, PreparedCertificate, SoundViewChange } from './messages.ts';
import type { Weights } from './quorum.ts';
import type { ReplicaState } from './replica-state.ts';

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
};

/** Higher view first. Two digests in one view need more than F faulty weight; even then everyone must choose alike. */
function isBetter(a: PreparedCertificate, b: PreparedCertificate): boolean {
  return a.view !== b.view ? a.view > b.view : compareBytes(a.digest, b.digest) < 0;
}
