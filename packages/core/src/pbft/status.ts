/** What an operator is told, and why nothing moves when nothing moves. */
import { toHex } from '../bytes/hex.ts';
import { votesFor } from './quorum.ts';
import type { Phase, ReplicaStatus } from './replica.ts';
import type { ReplicaState } from './replica-state.ts';
import { skippedAt } from './schedule.ts';
import type { Slot } from './slot.ts';
import { presentDoubt, suspectsOf } from './suspicion.ts';
import { viewTimeout } from './timing.ts';
import { changingWeight, hasWork } from './view-change.ts';

export function statusReport(state: ReplicaState): ReplicaStatus {
  return {
    epoch: state.options.epoch,
    view: state.view,
    phase: phaseOf(state),
    self: state.self,
    primary: state.primary,
    proposer: state.proposer(state.certified.height + 1),
    skipped: skippedAt(state.schedule, state.certified.height + 1),
    suspects: suspectsAndDoubted(state),
    committedHeight: state.delivered.height,
    certifiedHeight: state.certified.height,
    executedHeight: state.executed,
    stableHeight: state.stableHeight,
    pending: state.pending,
    inFlight: inFlight(state).map((slot) => ({
      height: slot.height,
      hash: slot.accepted === undefined ? undefined : toHex(slot.accepted.block.hash),
      accepted: slot.accepted?.view === state.view,
      prepareWeight: prepareWeight(state, slot),
      prepared: slot.prepared?.view === state.view,
      commitWeight: commitWeight(state, slot),
    })),
    quorumWeight: state.weights.quorum.strong,
    totalWeight: state.weights.quorum.total,
    viewChangeWeight: state.changing ? changingWeight(state) : 0,
    timeoutMs: viewTimeout(state.timing, state.attempts),
    deadline: state.deadline,
    reason: reasonOf(state),
  };
}

function phaseOf(state: ReplicaState): Phase {
  if (state.halted !== undefined) return 'halted';
  if (!state.canVote) return 'observer';
  return state.changing ? 'view-changing' : 'normal';
}

function reasonOf(state: ReplicaState): string | undefined {
  const { quorum } = state.weights;
  if (state.halted !== undefined) return state.halted;
  if (state.syncing)
    return `blocks ${state.delivered.height + 1} to ${state.certified.height} are final and still to be fetched`;
  if (state.changing) {
    const weight = changingWeight(state);
    if (weight < quorum.strong)
      return `view ${state.view} is asked for by weight ${weight} of ${quorum.strong}; the others see no need or cannot be reached`;
    return `waiting for validator ${state.primary} to open view ${state.view}`;
  }
  if (state.closed)
    return `block ${state.delivered.height} was the last of epoch ${state.options.epoch}; the next one begins above it`;
  if (!state.isOpen) {
    const weight = baseWeight(state);
    return `epoch ${state.options.epoch} begins when block ${state.base.height} is stable: weight ${weight} of ${quorum.strong} has signed it`;
  }
  if (!hasWork(state)) return undefined;
  const slot = inFlight(state)[0];
  if (slot?.refusedView === state.view)
    return `the proposal of validator ${state.proposer(slot.height)} at height ${slot.height} is not valid`;
  if (slot?.accepted?.view !== state.view)
    return `waiting for a proposal of validator ${state.proposer(state.certified.height + 1)} at height ${state.certified.height + 1}`;
  const prepared = slot.prepared?.view === state.view;
  const weight = prepared ? commitWeight(state, slot) : prepareWeight(state, slot);
  return `height ${slot.height} has ${prepared ? 'commit' : 'prepare'} weight ${weight} of ${quorum.strong}; no vote of ${silent(state, slot, prepared)}`;
}

function suspectsAndDoubted(state: ReplicaState): number[] {
  const doubted = presentDoubt(state);
  const found = new Set(suspectsOf(state));
  if (doubted !== undefined) found.add(doubted.proposer);
  return [...found].sort((a, b) => a - b);
}

/** Weight that has signed the checkpoint of the block below the epoch. */
function baseWeight(state: ReplicaState): number {
  const votes = state.checkpoints.get(state.base.height);
  return state.weights.sum((index) => votes?.[index] !== undefined);
}

/** Validators whose vote is missing; named, so that an operator knows where to look. */
function silent(state: ReplicaState, slot: Slot, prepared: boolean): string {
  const ballots = prepared ? slot.commits : slot.prepares;
  const missing = [...ballots.keys()].filter((index) => ballots[index]?.view !== state.view);
  return missing.length === 0 ? 'nobody' : `validators ${missing.join(', ')}`;
}

function inFlight(state: ReplicaState): Slot[] {
  return [...state.slots.values()]
    .filter((slot) => slot.height > state.certified.height)
    .sort((a, b) => a.height - b.height);
}

function prepareWeight(state: ReplicaState, slot: Slot): number {
  const hash = slot.accepted?.block.hash;
  return hash === undefined
    ? 0
    : state.weights.sum((index) => votesFor(slot.prepares[index], state.view, hash));
}

function commitWeight(state: ReplicaState, slot: Slot): number {
  const hash = slot.accepted?.block.hash;
  return hash === undefined
    ? 0
    : state.weights.sum((index) => votesFor(slot.commits[index], state.view, hash));
}
