/** Helping peers that are behind, and getting help (spec PBFT-8). */
import type { Hash } from '../crypto/hash.ts';
import { height } from '../ledger/ids.ts';
import { learnStable } from './checkpoint.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { Fetch, Status } from './messages.ts';
import type { ReplicaState } from './replica-state.ts';
import type { Slot } from './slot.ts';
import { doubtsBitmap, noteDoubts } from './suspicion.ts';

export function statusOf(state: ReplicaState, withProofs: boolean): Status {
  return {
    kind: 'status',
    sender: state.self,
    epoch: state.options.epoch,
    view: state.view,
    changing: state.changing,
    committed: state.delivered.height,
    stable: height(state.stableHeight),
    committedCertificate: withProofs ? state.certified.certificate : undefined,
    stableCertificate: withProofs ? state.stable : undefined,
    suspects: doubtsBitmap(state),
  };
}

export function onStatus(state: ReplicaState, from: number, status: Status): void {
  const { committedCertificate, stableCertificate } = status;
  noteDoubts(state, from, status);
  if (stableCertificate !== undefined) learnStable(state, stableCertificate, from);
  if (committedCertificate !== undefined) state.learnFinal(committedCertificate, committedCertificate, from);
  const lacksView =
    !state.changing && (status.view < state.view || (status.view === state.view && status.changing));
  if (status.committed < state.delivered.height || status.stable < state.stableHeight || lacksView) {
    helpPeer(state, from, lacksView);
  }
}

/** Shows a peer that is behind the proofs it lacks. At most one answer per peer in half a resend interval. */
export function helpPeer(state: ReplicaState, peer: number, lacksView: boolean): void {
  const record = state.peers[peer];
  if (state.now === undefined || state.self < 0 || record === undefined || peer === state.self) return;
  if (state.now - record.helpedAt < state.timing.resendMs / 2) return;
  record.helpedAt = state.now;
  state.send(peer, statusOf(state, true));
  if (lacksView && state.newView !== undefined && !state.changing) state.send(peer, state.newView);
}

/** Asks two peers, chosen anew each time, for a body that is to be prepared again. Quorum weight once stored it. */
export function fetchBody(state: ReplicaState, slot: Slot, hash: Hash): void {
  if (state.now === undefined || state.self < 0 || state.now - slot.fetchedAt < state.timing.resendMs / 2)
    return;
  slot.fetchedAt = state.now;
  const message: Fetch = {
    kind: 'fetch',
    sender: state.self,
    epoch: state.options.epoch,
    height: height(slot.height),
    hash,
  };
  const count = state.weights.count;
  const first = Math.floor(state.options.random() * count);
  for (const peer of new Set([first, (first + 1) % count, (first + 2) % count]))
    if (peer !== state.self) state.send(peer, message);
}

export function onFetch(state: ReplicaState, from: number, message: Fetch): void {
  const record = state.peers[from];
  if (state.now === undefined || state.self < 0 || record === undefined) return;
  if (state.now - record.servedAt >= state.timing.resendMs / 2) {
    record.servedAt = state.now;
    record.served = 0;
  }
  // Bodies are large: a peer gets no more of them than it can have use for.
  if (record.served >= PBFT_LIMITS.bodiesServedMax) return;
  const block = state.slots.get(message.height)?.body(message.hash);
  if (block !== undefined) {
    record.served += 1;
    state.send(from, { kind: 'body', sender: state.self, epoch: state.options.epoch, block });
  } else if (message.height <= state.delivered.height) {
    helpPeer(state, from, false);
  }
}

/** Final blocks that are missing here: the shell gets them from its peers' block logs. */
export function wantSync(state: ReplicaState, now: number): void {
  if (!state.syncing || state.halted !== undefined) {
    state.syncingSince = undefined;
    return;
  }
  const first = state.syncingSince === undefined;
  state.syncingSince ??= now;
  // What lacks to the last few blocks may be on its way; a real gap, or one that stays, is worth a request.
  const patience =
    state.certified.height - state.delivered.height > PBFT_LIMITS.proposalWindow
      ? 0
      : state.timing.resendMs / 2;
  if (now - state.syncingSince < patience || now - state.syncWantedAt < state.timing.resendMs) return;
  state.syncWantedAt = now;
  // Who showed the proof may be gone by now, or a liar who has no blocks: later requests go to anyone.
  const from = first && state.certifiedFrom !== undefined ? state.certifiedFrom : otherPeer(state);
  if (from !== undefined) state.out.want.push({ kind: 'sync', target: state.certified.height, from });
}

function otherPeer(state: ReplicaState): number | undefined {
  const count = state.weights.count;
  const others = state.self < 0 ? count : count - 1;
  if (others === 0) return undefined;
  const chosen = Math.floor(state.options.random() * others);
  return state.self >= 0 && chosen >= state.self ? chosen + 1 : chosen;
}
