/** Checkpoints: what quorum weight has executed and stored (spec PBFT-5). */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { height, view, type Height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { LogRecord } from './log.ts';
import type { Checkpoint, StableCertificate } from './messages.ts';
import { collectSignatures } from './quorum.ts';
import type { ReplicaState } from './replica-state.ts';
import { checkpointBytes } from './signing.ts';
import { sameBlock } from './verify.ts';

/** The shell has executed a delivered block and stored block and result. */
export function onExecuted(state: ReplicaState, at: Height, hash: Hash, stateRoot: Hash): void {
  if (at > state.delivered.height)
    throw new RangeError(`height ${at} is executed but only ${state.delivered.height} was delivered`);
  if (at <= state.executed) return;
  state.executed = at;
  state.checkRound += 1;
  // The block log has it from here on; who lacks it synchronises from there.
  for (const slotHeight of state.slots.keys()) if (slotHeight <= at) state.slots.delete(slotHeight);
  if (at % LIMITS.checkpointInterval !== 0 || at < state.stableHeight) return;
  signCheckpoint(state, at, hash, stateRoot);
}

/** The first word of a new epoch: its members have executed and stored the block it begins above (PBFT-14.2). */
export function signBase(state: ReplicaState): void {
  const { base } = state.options;
  if (base === undefined || state.isOpen || state.ownCheckpoints.has(base.height)) return;
  signCheckpoint(state, base.height, base.hash, base.stateRoot);
}

function signCheckpoint(state: ReplicaState, at: Height, hash: Hash, stateRoot: Hash): void {
  if (state.self < 0) return;
  const { chain, epoch, self, sign } = state.options;
  const unsigned = { kind: 'checkpoint', sender: self, epoch, height: at, hash, stateRoot } as const;
  const message: Checkpoint = { ...unsigned, signature: sign(checkpointBytes(chain, unsigned)) };
  noteOwnCheckpoint(state, message);
  if (!state.canVote) return;
  state.out.persist.push({ kind: 'checkpoint', message });
  state.send('all', message);
  state.checkpointAt = state.now ?? state.checkpointAt;
  onCheckpoint(state, message);
}

/** Remembers the own result, and stops when quorum weight found another one: this state is not to be voted with. */
export function noteOwnCheckpoint(state: ReplicaState, message: Checkpoint): void {
  state.ownCheckpoints.set(message.height, message);
  if (state.stable !== undefined) checkDivergence(state, state.stable);
}

export function onCheckpoint(state: ReplicaState, message: Checkpoint): void {
  const ahead = PBFT_LIMITS.checkpointsAhead * LIMITS.checkpointInterval;
  if (message.height <= state.stableHeight || message.height > state.stableHeight + ahead) return;
  let votes = state.checkpoints.get(message.height);
  if (votes === undefined) {
    votes = Array.from<Checkpoint | undefined>({ length: state.weights.count });
    state.checkpoints.set(message.height, votes);
  }
  const held = votes[message.sender];
  if (held !== undefined) {
    if (!sameResult(held, message)) {
      state.accuse(
        { kind: 'checkpoint', culprit: message.sender, first: held, second: message },
        message.height,
      );
    }
    return;
  }
  votes[message.sender] = message;
  const counts = (index: number): boolean => {
    const vote = votes[index];
    return vote !== undefined && sameResult(vote, message);
  };
  if (state.weights.sum(counts) < state.rules.quorum(state.weights)) return;
  const { epoch, hash, stateRoot } = message;
  learnStable(
    state,
    { epoch, height: height(message.height), hash, stateRoot, ...collectSignatures(votes, counts) },
    message.sender,
  );
}

/** A verified stable certificate, own or shown by a peer: final block, low watermark, and what lies below may go. */
export function learnStable(state: ReplicaState, certificate: StableCertificate, from: number): void {
  if (certificate.height <= state.stableHeight) return;
  state.stablePrevious = state.stable;
  state.stable = certificate;
  for (const at of state.checkpoints.keys()) if (at <= certificate.height) state.checkpoints.delete(at);
  if (certificate.height > state.certified.height) state.learnFinal(certificate, undefined, from);
  checkDivergence(state, certificate);
  for (const at of state.ownCheckpoints.keys()) if (at < certificate.height) state.ownCheckpoints.delete(at);
  state.out.persist.push({ kind: 'stable', certificate }, ...liveRecords(state));
  if (certificate.height === state.certified.height) state.certifiedDurable = certificate.height;
}

function checkDivergence(state: ReplicaState, certificate: StableCertificate): void {
  const own = state.ownCheckpoints.get(certificate.height);
  if (own !== undefined && !sameResult(own, certificate)) {
    state.halt(
      `the state computed at height ${certificate.height} differs from the one quorum weight has signed`,
    );
  }
}

function sameResult(
  a: { readonly height: number; readonly hash: Hash; readonly stateRoot: Hash },
  b: { readonly height: number; readonly hash: Hash; readonly stateRoot: Hash },
): boolean {
  return sameBlock(a, b) && equalBytes(a.stateRoot, b.stateRoot);
}

/**
 * Everything still needed, behind the mark that lets the shell drop what came before. Blocks not yet reported as
 * executed stay: the block log may not have them.
 */
export function liveRecords(state: ReplicaState): LogRecord[] {
  const records: LogRecord[] = [{ kind: 'truncate' }];
  if (state.stablePrevious !== undefined) records.push({ kind: 'stable', certificate: state.stablePrevious });
  if (state.stable !== undefined) records.push({ kind: 'stable', certificate: state.stable });
  if (state.newView !== undefined) records.push({ kind: 'new-view', message: state.newView });
  if (state.ownViewChange !== undefined && state.changing)
    records.push({ kind: 'view-change', message: state.ownViewChange });
  for (const message of state.ownCheckpoints.values()) records.push({ kind: 'checkpoint', message });
  if (state.certified.certificate !== undefined)
    records.push({ kind: 'committed', certificate: state.certified.certificate });
  for (const slot of [...state.slots.values()].sort((a, b) => a.height - b.height)) {
    if (slot.accepted !== undefined)
      records.push({
        kind: 'accepted',
        epoch: state.options.epoch,
        view: view(slot.accepted.view),
        block: slot.accepted.block,
      });
    if (slot.prepared !== undefined) records.push({ kind: 'prepared', certificate: slot.prepared });
    if (slot.committed !== undefined) records.push({ kind: 'committed', certificate: slot.committed });
  }
  return records;
}
