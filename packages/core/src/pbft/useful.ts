/** What a message could still change, asked before its signatures are verified (spec PBFT-3.4). */
import { equalBytes } from '../bytes/hex.ts';
import { LIMITS } from '../ledger/limits.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { Body, Message, PrePrepare, Vote } from './messages.ts';
import { isInTurn, isWanted } from './normal-case.ts';
import type { ReplicaState } from './replica-state.ts';

/**
 * False when this replica would do nothing at all with the message, now or later, were it valid. A third of all votes come
 * after the decision they were for; their signatures need not be checked. A vote that contradicts one held from the
 * same author is useful: it is evidence.
 */
export function isUseful(state: ReplicaState, message: Message): boolean {
  if (message.epoch !== state.options.epoch || message.sender >= state.weights.count) return false;
  switch (message.kind) {
    case 'pre-prepare':
      return isUsefulProposal(state, message);
    case 'prepare':
    case 'commit':
      return isUsefulVote(state, message);
    case 'checkpoint': {
      const ahead = PBFT_LIMITS.checkpointsAhead * LIMITS.checkpointInterval;
      if (!inWindow(message.height, state.stableHeight, ahead)) return false;
      const held = state.checkpoints.get(message.height)?.[message.sender];
      return (
        held === undefined ||
        !equalBytes(held.hash, message.hash) ||
        !equalBytes(held.stateRoot, message.stateRoot)
      );
    }
    case 'view-change': {
      const held = state.viewChanges[message.sender]?.message.view ?? 0;
      // Who asks for a view that is open here has missed its NEW-VIEW and is shown it.
      return message.view > held || (!state.changing && message.view <= state.view);
    }
    case 'new-view':
      return message.view > state.view || (message.view === state.view && state.changing);
    case 'body':
      return isWanted(state, message.block);
    case 'status':
    case 'include':
    case 'fetch':
      return true;
  }
}

/**
 * Whether the replica will ask its application about the block of a message soon, so that checking it ahead pays. Other
 * blocks are kept at most: one author may send as many as it likes, and checking thousands of signatures in each would be
 * work that nobody asked for.
 */
export function isAwaited(state: ReplicaState, message: PrePrepare | Body): boolean {
  if (message.kind === 'body') return isWanted(state, message.block);
  const { block, view, sender } = message;
  return (
    view === state.view &&
    block.height > state.reproposedTop &&
    state.slots.get(block.height)?.proposalOf(view, sender) === undefined
  );
}

function isUsefulProposal(state: ReplicaState, { block, view, sender }: PrePrepare): boolean {
  if (!inWindow(block.height, state.delivered.height, PBFT_LIMITS.proposalWindow)) return false;
  if (!isInTurn(state, { height: block.height, view, sender })) return false;
  const accepted = state.slots.get(block.height)?.accepted;
  return accepted?.view !== view || !equalBytes(accepted.block.hash, block.hash);
}

function isUsefulVote(state: ReplicaState, vote: Vote): boolean {
  if (!inWindow(vote.height, state.delivered.height, PBFT_LIMITS.voteWindow)) return false;
  if (vote.kind === 'prepare' && vote.view < state.view) return false;
  const slot = state.slots.get(vote.height);
  if (slot === undefined) return true;
  const held = (vote.kind === 'prepare' ? slot.prepares : slot.commits)[vote.sender];
  if (held !== undefined && held.view >= vote.view)
    return held.view === vote.view && !equalBytes(held.hash, vote.hash);
  if (slot.committed !== undefined) return false;
  return vote.kind === 'commit' || slot.prepared?.view !== vote.view;
}

function inWindow(height: number, low: number, window: number): boolean {
  return height > low && height <= low + window;
}
