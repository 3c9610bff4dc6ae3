/** Normal case: pre-prepare, prepare, commit, deliver (spec PBFT-4). */
import { equalBytes } from '../bytes/hex.ts';
import { height, millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Certificate } from '../ledger/block.ts';
import { fetchBody } from './catch-up.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { BlockId, Candidate, PreparedCertificate, PrePrepare, Vote } from './messages.ts';
import { collectSignatures, votesFor, type Ballot } from './quorum.ts';
import type { ReplicaState } from './replica-state.ts';
import { prePrepareSigningBytes, voteBytes } from './signing.ts';
import { turnOf } from './schedule.ts';
import { recordBallot, type Slot } from './slot.ts';
import { doubt } from './suspicion.ts';

export function onPrePrepare(state: ReplicaState, message: PrePrepare): void {
  const { block } = message;
  if (block.height > state.delivered.height + PBFT_LIMITS.proposalWindow) return;
  if (!isInTurn(state, { height: block.height, view: message.view, sender: message.sender })) return;
  const slot = state.slotAt(block.height);
  if (slot === undefined) return;
  // The body is worth keeping whatever the view: a replica that left the view still delivers what the others decide in it.
  slot.keep(block);
  if (message.view < state.view) return;
  const held = slot.noteProposal(message, state.view);
  if (held === undefined) return;
  state.accuse({ kind: 'pre-prepare', culprit: message.sender, first: held, second: message }, block.height);
}

/** Whether somebody may propose: false only where the turns are known, in the present view once it is open (PBFT-10.2). */
export function isInTurn(
  state: ReplicaState,
  of: { readonly height: number; readonly view: number; readonly sender: number },
): boolean {
  return state.changing || of.view !== state.view || of.sender === state.proposer(of.height);
}

export function onVote(state: ReplicaState, vote: Vote): void {
  if (vote.kind === 'prepare' && vote.view < state.view) return;
  const slot = state.slotAt(vote.height);
  if (slot === undefined) return;
  const ballots = vote.kind === 'prepare' ? slot.prepares : slot.commits;
  const held = ballots[vote.sender];
  const outcome = recordBallot(ballots, vote.sender, vote);
  if (outcome === 'conflict' && held !== undefined) {
    const first: Vote = { ...vote, hash: held.hash, signature: held.signature };
    state.accuse({ kind: 'vote', culprit: vote.sender, first, second: vote }, vote.height);
  }
  if (outcome === 'recorded' && vote.kind === 'commit') certify(state, slot, vote);
}

/** A body that was asked for; anything else is not kept. */
export function onBody(state: ReplicaState, block: Candidate): void {
  if (isWanted(state, block)) state.slots.get(block.height)?.keep(block);
}

/** Known by its hash to be final or proposed again, while its bytes are missing. */
export function isWanted(state: ReplicaState, block: Candidate): boolean {
  const slot = state.slots.get(block.height);
  if (slot === undefined || slot.body(block.hash) !== undefined) return false;
  const wanted = slot.committed?.hash ?? reproposedHash(state, block.height);
  return wanted !== undefined && equalBytes(wanted, block.hash);
}

/** The shell's block for the standing want. The replica trusts its own shell: it does not check the block again. */
export function onProposal(state: ReplicaState, block: Candidate): void {
  const next = nextProposal(state);
  if (next === undefined || next.height !== block.height || !equalBytes(next.hash, block.parentHash)) return;
  const slot = state.slotAt(block.height);
  if (slot === undefined) return;
  const unsigned = {
    kind: 'pre-prepare',
    sender: state.self,
    epoch: state.options.epoch,
    view: state.view,
    block,
  } as const;
  const message: PrePrepare = {
    ...unsigned,
    signature: state.options.sign(prePrepareSigningBytes(state.options.chain, unsigned)),
  };
  slot.noteProposal(message, state.view);
  slot.keep(block);
  stand(state, slot, block);
  state.send('all', message);
  slot.sentAt = state.now ?? slot.sentAt;
  state.proposedAt = state.now ?? state.proposedAt;
  state.wanted = undefined;
}

/**
 * The height and parent this replica may propose for, when it is its turn: at most `pipelineDepth` above the last delivered block (P5),
 * not above the high watermark, and only when everything the NEW-VIEW decided is under way.
 */
export function nextProposal(state: ReplicaState): BlockId | undefined {
  if (!state.canVote || state.changing || state.syncing || !state.isOpen) return undefined;
  let at = state.certified.height + 1;
  while (state.slots.get(at)?.accepted?.view === state.view) at += 1;
  if (at <= state.reproposedTop || state.proposer(at) !== state.self) return undefined;
  if (at > state.delivered.height + LIMITS.pipelineDepth || at > state.rules.highWatermark(state))
    return undefined;
  const parent = state.settledHash(at - 1);
  return parent === undefined || state.closesAt(at - 1) !== false
    ? undefined
    : { height: height(at), hash: parent };
}

/** Does everything that has become possible, until nothing more is. */
export function advance(state: ReplicaState): void {
  do {
    if (state.canVote && state.rules.mayVote(state)) advanceVotes(state);
  } while (deliverReady(state));
}

/** Upwards from the last final block, because each height rests on the one below. */
function advanceVotes(state: ReplicaState): void {
  for (let at = state.certified.height + 1; ; at += 1) {
    const slot = state.slots.get(at) ?? (at <= state.reproposedTop ? state.slotAt(at) : undefined);
    if (slot === undefined) return;
    const block = acceptedBlock(state, slot);
    if (block === undefined) return;
    sendPrepare(state, slot, block);
    takePrepared(state, slot, block);
    sendCommit(state, slot, block);
  }
}

/** P1: the block this replica stands by at this height in this view, when there is one or can be one now. */
function acceptedBlock(state: ReplicaState, slot: Slot): Candidate | undefined {
  if (slot.accepted?.view === state.view) return slot.accepted.block;
  if (slot.refusedView === state.view || slot.laterRound === state.checkRound) return undefined;
  if (!state.isOpen || slot.height > state.delivered.height + PBFT_LIMITS.proposalWindow) return undefined;
  if (slot.height > state.rules.highWatermark(state)) return undefined;
  const parent = state.settledHash(slot.height - 1);
  // A parent known by its certificate alone may be the last block of the epoch: its body comes first.
  if (parent === undefined || state.closesAt(slot.height - 1) !== false) return undefined;
  const fixed = reproposedHash(state, slot.height);
  const block = fixed === undefined ? freshBlock(state, slot) : slot.body(fixed);
  if (block === undefined) {
    if (fixed !== undefined) fetchBody(state, slot, fixed);
    return undefined;
  }
  // The proposer may stand by another block below, which may become final yet: nobody's fault, and no last word.
  if (!equalBytes(block.parentHash, parent)) return undefined;
  switch (state.options.application.check(block, fixed === undefined, millis(state.now ?? 0))) {
    case 'later':
      slot.laterRound = state.checkRound;
      return undefined;
    case 'invalid':
      slot.refusedView = state.view;
      // Every correct replica finds the same, so there is no use in waiting for the timer (PBFT-11.2).
      if (fixed === undefined) doubt(state, slot.height, 'invalid-proposal');
      return undefined;
    case 'valid':
      stand(state, slot, block);
      return block;
  }
}

function freshBlock(state: ReplicaState, slot: Slot): Candidate | undefined {
  if (slot.height <= state.reproposedTop) return undefined;
  return slot.proposalOf(state.view, state.proposer(slot.height))?.block;
}

export function reproposedHash(state: ReplicaState, at: number): BlockId['hash'] | undefined {
  return state.reproposals.find((id) => id.height === at)?.hash;
}

function stand(state: ReplicaState, slot: Slot, block: Candidate): void {
  slot.accepted = { view: state.view, block };
  state.out.persist.push({ kind: 'accepted', epoch: state.options.epoch, view: state.view, block });
}

/** P2: only with the parent final or prepared in this view, and the proof of it durable. */
function sendPrepare(state: ReplicaState, slot: Slot, block: Candidate): void {
  if (slot.prepareView === state.view || !state.rules.parentHeld(state, slot.height, block.parentHash))
    return;
  keepParentProof(state, slot.height);
  slot.prepareView = state.view;
  state.send('all', ownVote(state, slot, 'prepare', block));
}

/** A parent that is final by block synchronisation alone has its proof in memory only; it goes into the same fsync. */
function keepParentProof(state: ReplicaState, at: number): void {
  const { certified } = state;
  if (certified.height !== at - 1 || state.certifiedDurable >= certified.height) return;
  if (certified.certificate !== undefined)
    state.out.persist.push({ kind: 'committed', certificate: certified.certificate });
  state.certifiedDurable = certified.height;
}

/** Quorum weight of PREPARE in one view, taken from below upwards, so that the certificates held have no gap (PBFT-4.5). */
function takePrepared(state: ReplicaState, slot: Slot, block: Candidate): void {
  if (slot.prepared?.view === state.view || !state.rules.parentHeld(state, slot.height, block.parentHash))
    return;
  const counts = (index: number): boolean => votesFor(slot.prepares[index], state.view, block.hash);
  if (state.weights.sum(counts) < state.rules.quorum(state.weights)) return;
  const certificate: PreparedCertificate = {
    epoch: state.options.epoch,
    view: state.view,
    height: block.height,
    digest: block.hash,
    ...collectSignatures(slot.prepares, counts),
  };
  slot.prepared = certificate;
  state.out.persist.push({ kind: 'prepared', certificate });
}

/**
 * P3: after the prepared certificate, and with the commit certificate of the parent; both durable before anything of
 * this step leaves. Without the second condition a block can become final while the votes for its parent are lost
 * for good: nobody votes below the last final height again, and the parent would never get a certificate.
 */
function sendCommit(state: ReplicaState, slot: Slot, block: Candidate): void {
  if (slot.prepared?.view !== state.view || slot.commitView === state.view) return;
  if (!state.rules.parentCertified(state, slot.height)) return;
  keepParentProof(state, slot.height);
  slot.commitView = state.view;
  const vote = ownVote(state, slot, 'commit', block);
  state.send('all', vote);
  certify(state, slot, vote);
}

/** Signs a vote and counts it. What is signed depends on durable state only, so a second time gives the same bytes. */
export function ownVote(state: ReplicaState, slot: Slot, kind: 'prepare' | 'commit', block: Candidate): Vote {
  const { chain, epoch, self, sign } = state.options;
  const unsigned = { kind, sender: self, epoch, view: state.view, height: block.height, hash: block.hash };
  const vote: Vote = { ...unsigned, signature: sign(voteBytes(chain, unsigned)) };
  recordBallot(kind === 'prepare' ? slot.prepares : slot.commits, self, vote);
  slot.sentAt = state.now ?? slot.sentAt;
  return vote;
}

/** Quorum weight of COMMIT for one block in one view makes it final, whichever view this replica is in (PBFT-4.8). */
function certify(state: ReplicaState, slot: Slot, vote: Ballot): void {
  if (slot.committed !== undefined) return;
  const counts = (index: number): boolean => votesFor(slot.commits[index], vote.view, vote.hash);
  if (state.weights.sum(counts) < state.rules.quorum(state.weights)) return;
  const certificate: Certificate = {
    epoch: state.options.epoch,
    view: vote.view,
    height: height(slot.height),
    hash: vote.hash,
    ...collectSignatures(slot.commits, counts),
  };
  const from = slot.commits.findIndex(
    (ballot, index) => ballot !== undefined && index !== state.self && counts(index),
  );
  state.learnFinal(certificate, certificate, from < 0 ? undefined : from);
}

/** P4: the one place that delivers, in height order, each height once, whether votes or synchronisation decided it. */
function deliverReady(state: ReplicaState): boolean {
  let delivered = false;
  for (;;) {
    const slot = state.slots.get(state.delivered.height + 1);
    const certificate = slot?.committed;
    const block = certificate === undefined ? undefined : slot?.body(certificate.hash);
    if (certificate === undefined || block === undefined || state.halted !== undefined) return delivered;
    if (!deliver(state, block, certificate)) return delivered;
    delivered = true;
  }
}

function deliver(state: ReplicaState, block: Candidate, certificate: Certificate): boolean {
  if (!equalBytes(block.parentHash, state.delivered.hash)) {
    state.halt(`the certified block at height ${block.height} does not follow the delivered one`);
    return false;
  }
  state.delivered = { height: block.height, hash: block.hash };
  state.closed = state.rules.closes(block);
  state.out.deliver.push({ block, certificate });
  state.checkRound += 1;
  state.deadline = undefined;
  state.proposedAt = state.now ?? state.proposedAt;
  credit(state, block, certificate);
  if (!state.changing) state.attempts = 0;
  return true;
}

/** The proposer's work is measured where it is known to be its own: fresh, decided in this view, and by votes. */
function credit(state: ReplicaState, block: Candidate, certificate: Certificate): void {
  if (!state.changing && certificate.view === state.view && block.height > state.reproposedTop)
    state.expectation.delivered(block.count);
  else state.expectation.restart();
  const next = block.height + 1;
  state.expectation.turn(state.view, turnOf(next), state.proposer(next));
}

/** A block from synchronisation, with its verified certificate. Only the next height is taken. */
export function onCertified(state: ReplicaState, block: Candidate, certificate: Certificate): void {
  if (
    state.halted !== undefined ||
    block.height !== state.delivered.height + 1 ||
    !equalBytes(block.hash, certificate.hash)
  )
    return;
  const slot = state.slotAt(block.height);
  const known = block.height === state.certified.height ? state.certified.hash : slot?.committed?.hash;
  if (slot === undefined || (known !== undefined && !equalBytes(known, block.hash))) {
    state.halt(`two different blocks are certified at height ${block.height}`);
    return;
  }
  slot.keep(block);
  slot.committed ??= certificate;
  // Blocks that come in bundles say nothing about the pace of whoever proposed them.
  state.expectation.restart();
  if (block.height >= state.certified.height)
    state.certified = { height: block.height, hash: block.hash, certificate };
}
