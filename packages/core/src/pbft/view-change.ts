/** View change: leaving a view that makes no progress without losing what may have been decided in it (spec PBFT-6). */
import { equalBytes } from '../bytes/hex.ts';
import { view, type View } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { bitmapOf, indicesOf } from '../ledger/validators.ts';
import { helpPeer } from './catch-up.ts';
import { learnStable } from './checkpoint.ts';
import type { NewView, SoundViewChange, ViewChange } from './messages.ts';
import type { ReplicaState } from './replica-state.ts';
import { scheduleOf, skippedAt } from './schedule.ts';
import { newViewBytes, viewChangeBytes } from './signing.ts';
import { blame, blameAfresh, blameWithOthers, sharedDoubt, suspectsOf } from './suspicion.ts';
import { viewTimeout } from './timing.ts';
import { primaryOf } from './verify.ts';

/** Leaves the present view for good and asks for `target`. */
export function startViewChange(state: ReplicaState, target: View): void {
  if (!state.canVote || target < state.view || (target === state.view && state.changing)) return;
  blameWithOthers(state, target);
  const { chain, epoch, self, sign } = state.options;
  const unsigned: Omit<ViewChange, 'signature'> = {
    kind: 'view-change',
    sender: self,
    epoch,
    view: target,
    stable: state.stable,
    committed: state.certified.certificate,
    prepared: state.rules.preparedHeld(state),
    suspects: bitmapOf(suspectsOf(state), state.weights.count),
  };
  const message: ViewChange = { ...unsigned, signature: sign(viewChangeBytes(chain, unsigned)) };
  state.view = target;
  state.changing = true;
  state.attempts += 1;
  state.deadline = undefined;
  state.wanted = undefined;
  state.ownViewChange = message;
  state.viewChangeAt = state.now ?? state.viewChangeAt;
  state.viewChanges[self] = {
    message,
    stable: message.stable,
    committed: message.committed,
    prepared: message.prepared,
  };
  state.out.persist.push({ kind: 'view-change', message });
  state.send('all', message);
  openView(state);
}

export function onViewChange(state: ReplicaState, sound: SoundViewChange): void {
  const { sender } = sound.message;
  learnProofs(state, sound, sender);
  const held = state.viewChanges[sender];
  if (held === undefined || sound.message.view > held.message.view) state.viewChanges[sender] = sound;
  joinOthers(state);
  openView(state);
  // Whoever asks for a view that is open already has missed the NEW-VIEW.
  if (!state.changing && sound.message.view <= state.view) helpPeer(state, sender, true);
}

function joinOthers(state: ReplicaState): void {
  const target = state.rules.viewToJoin(state);
  if (target !== undefined) startViewChange(state, target);
}

/** As primary of the view asked for: opens it once quorum weight asks for exactly this view. */
function openView(state: ReplicaState): void {
  if (!state.canVote || !state.changing || state.primary !== state.self) return;
  const set = state.viewChanges.filter((held): held is SoundViewChange => held?.message.view === state.view);
  if (weightOf(state, set) < state.rules.quorum(state.weights)) return;
  const { chain, epoch, self, sign } = state.options;
  const unsigned: Omit<NewView, 'signature'> = {
    kind: 'new-view',
    sender: self,
    epoch,
    view: state.view,
    viewChanges: set.map((held) => held.message),
    ...state.rules.decideNewView(state.base, set),
    skipped: bitmapOf(state.rules.decideSkipped(state.weights, set), state.weights.count),
  };
  const message: NewView = { ...unsigned, signature: sign(newViewBytes(chain, unsigned)) };
  state.send('all', message);
  enterView(state, message, set);
}

/** A backup believes no new primary: it computes the decision again from the proofs inside. */
export function onNewView(state: ReplicaState, message: NewView, sound: readonly SoundViewChange[]): void {
  if (message.view < state.view || (message.view === state.view && !state.changing)) return;
  if (weightOf(state, sound) < state.rules.quorum(state.weights)) return;
  if (!state.rules.believes(message, state.rules.decideNewView(state.base, sound))) return;
  const skipped = bitmapOf(state.rules.decideSkipped(state.weights, sound), state.weights.count);
  if (!equalBytes(skipped, message.skipped)) return;
  enterView(state, message, sound);
}

function enterView(state: ReplicaState, message: NewView, sound: readonly SoundViewChange[]): void {
  // Adopted before it is recorded: a truncation caused by the proofs must find the new view in the state.
  adoptView(state, message);
  state.deadline = undefined;
  state.out.persist.push({ kind: 'new-view', message });
  for (const proofs of sound) learnProofs(state, proofs, proofs.message.sender);
}

/** The effect of a NEW-VIEW on the state alone; also when it is read back from the log. */
export function adoptView(state: ReplicaState, message: NewView): void {
  state.view = message.view;
  state.changing = false;
  state.newView = message;
  state.reproposals = message.reproposals;
  state.reproposedTop = message.base.height + message.reproposals.length;
  const skipped = indicesOf(message.skipped, state.weights.count) ?? [];
  state.schedule = scheduleOf(state.weights.count, message.base.height, skipped);
  state.blamedNow.clear();
  for (const index of skipped) blameAfresh(state, index, state.schedule.until);
  state.wanted = undefined;
  state.checkRound += 1;
}

function learnProofs(state: ReplicaState, proofs: SoundViewChange, from: number): void {
  if (proofs.stable !== undefined) learnStable(state, proofs.stable, from);
  if (proofs.committed !== undefined) state.learnFinal(proofs.committed, proofs.committed, from);
}

/**
 * The timer of the view (PBFT-6.6). In a view it runs while there is work, not while blocks known to be final
 * are fetched. Between views it starts only when quorum weight has left too: a replica that is alone with its
 * suspicion must not run ahead of the others.
 */
export function armTimer(state: ReplicaState): void {
  if (state.now === undefined || !state.canVote) {
    state.deadline = undefined;
    return;
  }
  const runs = state.changing
    ? changingWeight(state) >= state.weights.quorum.strong
    : hasWork(state) && !state.syncing;
  state.deadline = runs
    ? (state.deadline ?? state.now + viewTimeout(state.timing, state.attempts))
    : undefined;
}

export function onTimeout(state: ReplicaState): void {
  if (state.now === undefined || state.deadline === undefined || state.now < state.deadline) return;
  if (!state.changing && state.heardWeight(state.now) < state.weights.quorum.strong) {
    // Cut off, or back from a long pause: leaving the view now would change nothing but take this vote out of it.
    state.deadline = state.now + viewTimeout(state.timing, state.attempts);
    return;
  }
  blameSilent(state);
  startViewChange(state, nextView(state));
}

/** The proposer whose block is missing, or the validator that was given all it needs to open the view. */
function blameSilent(state: ReplicaState): void {
  if (!state.changing) {
    const next = state.certified.height + 1;
    if (next > state.reproposedTop) blame(state, state.proposer(next));
    return;
  }
  const asks = (index: number): boolean => state.viewChanges[index]?.message.view === state.view;
  if (state.weights.sum(asks) >= state.weights.quorum.strong) blame(state, state.primary);
}

/** Leaves the view because enough others share the doubt about its proposer. Returns whether it did. */
export function leaveDoubted(state: ReplicaState): boolean {
  const shared = sharedDoubt(state);
  if (shared === undefined) return false;
  if (shared.reason === 'slow') state.expectation.suspected();
  blame(state, shared.proposer);
  startViewChange(state, nextView(state));
  return true;
}

/** The next view that is not opened by somebody just found unable; everyone who blames the same one goes to the same. */
function nextView(state: ReplicaState): View {
  const { count, quorum } = state.weights;
  // Where nobody can be skipped, the next view alone gives the turn to somebody else.
  if (quorum.faulty === 0) return view(state.view + 1);
  const unable = new Set([...state.blamedNow, ...skippedAt(state.schedule, state.certified.height + 1)]);
  for (let step = 1; step <= count; step += 1) {
    const next = view(state.view + step);
    if (!unable.has(primaryOf(next, count))) return next;
  }
  return view(state.view + 1);
}

/**
 * Whom one blames is one's own knowledge, so correct replicas may ask for different views, and none of these is opened. When
 * weight Q has left for this view or later ones and does not agree on this one for a resend interval, the hindmost go to
 * the nearest later view (PBFT-6.9): all of them meet at the foremost one after as many intervals as there are views
 * between. A liar in front gains nothing by it: as soon as weight Q asks for one view, nobody moves on but by the timer.
 */
export function meetOthers(state: ReplicaState): void {
  const { now, view: present } = state;
  if (now === undefined || !state.canVote || !state.changing || !isApart(state)) {
    state.apart = undefined;
    return;
  }
  if (state.apart?.view !== present) state.apart = { view: present, since: now };
  if (now - state.apart.since < state.timing.resendMs) return;
  // No correct replica is further ahead than one round of views: it could not leave a view before weight Q was there.
  const later = state.viewChanges
    .map((held) => held?.message.view ?? 0)
    .filter((asked) => asked > present && asked <= present + state.weights.count);
  if (later.length > 0) startViewChange(state, view(Math.min(...later)));
}

function isApart(state: ReplicaState): boolean {
  const { strong } = state.weights.quorum;
  const here = state.weights.sum((index) => state.viewChanges[index]?.message.view === state.view);
  return here < strong && changingWeight(state) >= strong;
}

/** Weight that asks for this view or a later one. */
export function changingWeight(state: ReplicaState): number {
  return state.weights.sum((index) => (state.viewChanges[index]?.message.view ?? 0) >= state.view);
}

/** Requests wait, or a block of this view is not final yet, and something can be done about it in this epoch. */
export function hasWork(state: ReplicaState): boolean {
  if (state.closed || !state.isOpen) return false;
  if (state.pending > 0 || state.reproposedTop > state.certified.height) return true;
  for (
    let at = state.certified.height + 1;
    at <= state.delivered.height + LIMITS.pipelineDepth * 2;
    at += 1
  ) {
    const slot = state.slots.get(at);
    if (slot?.accepted?.view === state.view) return true;
    if (slot?.proposalOf(state.view, state.proposer(at)) !== undefined) return true;
  }
  return false;
}

function weightOf(state: ReplicaState, set: readonly SoundViewChange[]): number {
  const authors = new Set(set.map((held) => held.message.sender));
  return state.weights.sum((index) => authors.has(index));
}
