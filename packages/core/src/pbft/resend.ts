/** Everything that goes out on a tick: what may have been lost, and what the shell is asked for (spec PBFT-8). */
import { view } from '../ledger/ids.ts';
import { statusOf, wantSync } from './catch-up.ts';
import { watchInclusion } from './inclusion.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { PrePrepare } from './messages.ts';
import { nextProposal, ownVote } from './normal-case.ts';
import type { ReplicaState } from './replica-state.ts';
import { prePrepareSigningBytes } from './signing.ts';
import type { Slot } from './slot.ts';

/** Lowest undecided proposals that are sent again with their bodies; the ones above rest on them anyway. */
const PROPOSALS_RESENT_MAX = 2;

/** Everything a tick sends again. Votes that were lost stay lost otherwise: nothing below this layer repeats them. */
export function resend(state: ReplicaState): void {
  const { now } = state;
  if (now === undefined) return;
  const due = (last: number): boolean => now - last >= state.timing.resendMs;
  resendStatus(state);
  watchInclusion(state);
  if (state.canVote && state.changing && state.ownViewChange !== undefined && due(state.viewChangeAt)) {
    state.viewChangeAt = now;
    state.send('all', state.ownViewChange);
  }
  if (state.canVote && !state.changing) resendVotes(state, due);
  if (state.canVote && due(state.checkpointAt)) {
    state.checkpointAt = now;
    // Not only the latest: F late replicas must reach the checkpoint even when nothing new is decided.
    for (const [at, message] of state.ownCheckpoints) if (at > state.stableHeight) state.send('all', message);
  }
  wantSync(state, now);
}

/** At its interval, and at once after a new doubt. */
export function resendStatus(state: ReplicaState): void {
  const { now } = state;
  if (now === undefined || state.self < 0) return;
  // The first one after a random part of the interval, so that replicas started together do not speak together.
  if (state.statusAt === undefined) state.statusAt = now - state.options.random() * state.timing.resendMs;
  if (now - state.statusAt < state.timing.resendMs) return;
  state.statusAt = now;
  state.send('all', statusOf(state, false));
}

function resendVotes(state: ReplicaState, due: (last: number) => boolean): void {
  let proposals = 0;
  for (let at = state.certified.height + 1; at <= state.delivered.height + PBFT_LIMITS.voteWindow; at += 1) {
    const slot = state.slots.get(at);
    if (slot?.accepted?.view !== state.view) return;
    if (!due(slot.sentAt)) continue;
    const { block } = slot.accepted;
    slot.sentAt = state.now ?? slot.sentAt;
    if (state.proposer(at) === state.self && at > state.reproposedTop && proposals < PROPOSALS_RESENT_MAX) {
      proposals += 1;
      state.send('all', ownProposal(state, slot, slot.accepted.block));
    }
    if (slot.prepareView === state.view) state.send('all', ownVote(state, slot, 'prepare', block));
    if (slot.commitView === state.view) state.send('all', ownVote(state, slot, 'commit', block));
  }
}

function ownProposal(state: ReplicaState, slot: Slot, block: PrePrepare['block']): PrePrepare {
  const held = slot.proposalOf(state.view, state.self);
  if (held !== undefined) return held;
  const { chain, epoch, self, sign } = state.options;
  const unsigned = { kind: 'pre-prepare', sender: self, epoch, view: state.view, block } as const;
  const message = { ...unsigned, signature: sign(prePrepareSigningBytes(chain, unsigned)) };
  slot.noteProposal(message, state.view);
  return message;
}

/** P5 and the idle rule: asks the shell for the next block when requests wait or the heartbeat is due. */
export function wantProposal(state: ReplicaState): void {
  const { now } = state;
  const next = nextProposal(state);
  if (next === undefined || now === undefined) {
    state.wanted = undefined;
    return;
  }
  if (state.pending === 0 && now - state.proposedAt < state.timing.heartbeatMs) return;
  const { wanted } = state;
  const asked = wanted !== undefined && wanted.height === next.height && wanted.view === state.view;
  if (asked && now - wanted.at < state.timing.resendMs) return;
  state.wanted = { height: next.height, view: state.view, at: now };
  state.out.want.push({
    kind: 'proposal',
    height: next.height,
    parentHash: next.hash,
    view: view(state.view),
  });
}
