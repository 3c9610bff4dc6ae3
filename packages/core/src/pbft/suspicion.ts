/**
 * Whom this replica holds responsible for a lack of progress (spec PBFT-11). Blame is what a VIEW-CHANGE carries. A doubt comes
 * before it: one replica may mismeasure, or be shown another block than the rest, and whoever leaves a view alone
 * only takes its vote out of it. So doubts are told to the others first, and become blame at weight F + 1.
 */
import { LIMITS } from '../ledger/limits.ts';
import { bitmapOf, indicesOf } from '../ledger/validators.ts';
import type { Status } from './messages.ts';
import type { ReplicaState } from './replica-state.ts';
import { turnOf } from './schedule.ts';

/** Why a proposer is doubted before its timer has run out. */
export type DoubtReason = 'invalid-proposal' | 'slow' | 'leaves-out';

export interface Doubt {
  readonly proposer: number;
  readonly view: number;
  /** The turn it is about; over with it. */
  readonly turn: number;
  readonly reason: DoubtReason;
}

/** Status messages with a doubt count this many resend intervals, so that a lost one does no harm. */
const DOUBT_INTERVALS = 3;

/** Holds a validator responsible for the next `skipBlocks` heights. */
export function blame(state: ReplicaState, index: number): void {
  if (index === state.self) return;
  state.blamedUntil[index] = state.certified.height + LIMITS.skipBlocks;
  state.blamedNow.add(index);
}

/** Agrees with a NEW-VIEW that skips a validator; an older blame keeps its end, or skips would renew each other for ever. */
export function blameAfresh(state: ReplicaState, index: number, until: number): void {
  if (index !== state.self && (state.blamedUntil[index] ?? 0) <= state.certified.height)
    state.blamedUntil[index] = until;
}

export function suspectsOf(state: ReplicaState): number[] {
  return [...state.blamedUntil.keys()].filter(
    (index) => (state.blamedUntil[index] ?? 0) > state.certified.height,
  );
}

/** Blames whom others of weight F + 1 blame in their VIEW-CHANGE for `target` or a later view: one of them is correct. */
export function blameWithOthers(state: ReplicaState, target: number): void {
  const { count, quorum } = state.weights;
  const voices = state.viewChanges.map((held) =>
    held === undefined || held.message.view < target ? [] : (indicesOf(held.message.suspects, count) ?? []),
  );
  for (let accused = 0; accused < count; accused += 1) {
    const weight = state.weights.sum((index) => voices[index]?.includes(accused) === true);
    if (weight >= quorum.weak) blame(state, accused);
  }
}

/** Doubts the proposer of a height, and lets the others know with the next effects. */
export function doubt(state: ReplicaState, height: number, reason: DoubtReason): void {
  const proposer = state.proposer(height);
  if (!state.canVote || proposer === state.self || presentDoubt(state) !== undefined) return;
  state.doubt = { proposer, view: state.view, turn: turnOf(height), reason };
  state.statusAt = Number.NEGATIVE_INFINITY;
}

/** The doubt this replica has now: of this view, about a turn that is not over. */
export function presentDoubt(state: ReplicaState): Doubt | undefined {
  const held = state.doubt;
  if (held === undefined || state.changing || held.view !== state.view) return undefined;
  return turnOf(state.delivered.height + 1) > held.turn ? undefined : held;
}

/** Bitmap for a status message. */
export function doubtsBitmap(state: ReplicaState): Uint8Array {
  const held = presentDoubt(state);
  return bitmapOf(held === undefined ? [] : [held.proposer], state.weights.count);
}

/** A peer's status said whom it doubts in the view it is in. */
export function noteDoubts(state: ReplicaState, from: number, status: Status): void {
  const peer = state.peers[from];
  if (peer === undefined || state.now === undefined) return;
  peer.doubted = indicesOf(status.suspects, state.weights.count) ?? [];
  peer.doubtedView = status.view;
  peer.doubtedAt = state.now;
}

/**
 * Time has passed: measures the proposer's pace, and doubts it when the others were clearly faster. Nothing is measured
 * while this replica is not following: cut off, between views, or fetching blocks.
 */
export function watchPace(state: ReplicaState, elapsedMs: number): void {
  const { expectation, now } = state;
  if (now === undefined || state.changing || state.closed || !state.isOpen) return;
  const next = state.delivered.height + 1;
  expectation.turn(state.view, turnOf(next), state.proposer(next));
  if (state.syncing || state.heardWeight(now) < state.weights.quorum.strong) return expectation.restart();
  expectation.pass(elapsedMs, state.pending);
  if (expectation.isSlow()) doubt(state, next, 'slow');
}

/** The own doubt, once weight F + 1, this replica included, shares it. */
export function sharedDoubt(state: ReplicaState): Doubt | undefined {
  const held = presentDoubt(state);
  const { now } = state;
  if (held === undefined || now === undefined) return undefined;
  const weight = state.weights.sum((index) => {
    if (index === state.self) return true;
    const peer = state.peers[index];
    return (
      peer !== undefined &&
      peer.doubtedView === state.view &&
      now - peer.doubtedAt <= DOUBT_INTERVALS * state.timing.resendMs &&
      peer.doubted.includes(held.proposer)
    );
  });
  return weight >= state.weights.quorum.weak ? held : undefined;
}
