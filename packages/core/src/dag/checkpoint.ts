/**
 * Agreement on the next checkpoint (spec DAG-8): rounds with a proposer each, one signature per member, sequence and
 * round, certificates from two thirds of the stake. Several certificates for one sequence may exist: the first
 * the main chain executes wins, so no agreement about rounds is needed.
 */
import { compareBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import type { CheckpointCertificate, SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { LIMITS } from '../ledger/limits.ts';
import { bitmapOf, quorumOf, type Quorum, type ValidatorSet } from '../ledger/validators.ts';
import type { Timing } from './effects.ts';
import type { Graph } from './graph.ts';
import type { ProposalMessage, VoteMessage } from './messages.ts';
import { ACCEPTED, NONE, PARENT_STRIDE } from './slab.ts';

interface Ballot {
  proposal: { readonly message: ProposalMessage; readonly hash: Hash } | undefined;
  /** By member. The first vote of a round counts, later ones are not looked at. */
  readonly votes: Map<number, { readonly hash: Hash; readonly signature: Uint8Array }>;
  /** What we signed in this round. */
  signed: Hash | undefined;
  /** When our own proposal was last sent. */
  sentAt: number;
}

/** Everything about one sequence; replaced when the next begins. */
export class Election {
  readonly sequence: number;
  readonly #members: ValidatorSet;
  readonly #quorum: Quorum;
  readonly #timing: Timing;
  readonly #ballots = new Map<number, Ballot>();
  /** Highest round each member has shown. */
  readonly #roundOf: number[];
  round = 0;
  /** Undefined while there is nothing to checkpoint. */
  #roundSince: number | undefined;
  certificate: CheckpointCertificate | undefined;
  #submitAt = 0;
  #submits = 0;

  constructor(options: {
    readonly sequence: number;
    readonly members: ValidatorSet;
    readonly timing: Timing;
  }) {
    this.sequence = options.sequence;
    this.#members = options.members;
    this.#quorum = quorumOf(options.members.map((member) => member.weight));
    this.#timing = options.timing;
    this.#roundOf = options.members.map(() => -1);
  }

  get quorum(): number {
    return this.#quorum.strong;
  }

  proposerOf(round: number): number {
    return (this.sequence + round) % this.#members.length;
  }

  /** Rounds that are still looked at: bounded on both sides, whatever peers claim. */
  isInWindow(round: number): boolean {
    return round > this.round - LIMITS.roundsMax && round < this.round + LIMITS.roundsMax;
  }

  #ballot(round: number): Ballot {
    let ballot = this.#ballots.get(round);
    if (ballot === undefined) {
      ballot = { proposal: undefined, votes: new Map(), signed: undefined, sentAt: 0 };
      this.#ballots.set(round, ballot);
    }
    return ballot;
  }

  signedIn(round: number): Hash | undefined {
    return this.#ballots.get(round)?.signed;
  }

  setSigned(round: number, hash: Hash): void {
    this.#ballot(round).signed = hash;
  }

  /** What we signed in this sequence and may not sign otherwise. */
  votesOfOurs(): { readonly round: number; readonly hash: Hash }[] {
    const votes: { round: number; hash: Hash }[] = [];
    for (const [round, { signed }] of this.#ballots)
      if (signed !== undefined) votes.push({ round, hash: signed });
    return votes;
  }

  proposalIn(round: number): ProposalMessage | undefined {
    return this.#ballots.get(round)?.proposal?.message;
  }

  /** Proposals that wait for our vote, for example because parts of their cone are not here yet. */
  open(): ProposalMessage[] {
    const open: ProposalMessage[] = [];
    for (const ballot of this.#ballots.values())
      if (ballot.proposal !== undefined && ballot.signed === undefined) open.push(ballot.proposal.message);
    return open;
  }

  /** Keeps the first proposal of the round's proposer. False when it is not that. */
  addProposal(from: number, message: ProposalMessage, hash: Hash): boolean {
    this.#see(from, message.round);
    if (!this.isInWindow(message.round) || from !== this.proposerOf(message.round)) return false;
    const ballot = this.#ballot(message.round);
    if (ballot.proposal !== undefined) return compareBytes(ballot.proposal.hash, hash) === 0;
    ballot.proposal = { message, hash };
    return true;
  }

  addVote(from: number, vote: Pick<VoteMessage, 'round' | 'hash' | 'signature'>): void {
    this.#see(from, vote.round);
    if (!this.isInWindow(vote.round)) return;
    const { votes } = this.#ballot(vote.round);
    if (!votes.has(from)) votes.set(from, { hash: vote.hash, signature: vote.signature });
  }

  #see(member: number, round: number): void {
    if (round > (this.#roundOf[member] as number)) this.#roundOf[member] = round;
  }

  /** Signatures for a checkpoint; equal proposals of several rounds add up, since a vote names the checkpoint only. */
  #votesFor(hash: Hash): Map<number, Uint8Array> {
    const signatures = new Map<number, Uint8Array>();
    for (const ballot of this.#ballots.values()) {
      for (const [member, vote] of ballot.votes)
        if (compareBytes(vote.hash, hash) === 0) signatures.set(member, vote.signature);
    }
    return signatures;
  }

  #stakeOf(members: Iterable<number>): number {
    let stake = 0;
    for (const member of members) stake += this.#members[member]?.weight ?? 0;
    return stake;
  }

  /** Stake behind the best proposal, for operators. */
  leadingStake(): number {
    let best = 0;
    for (const ballot of this.#ballots.values())
      if (ballot.proposal !== undefined)
        best = Math.max(best, this.#stakeOf(this.#votesFor(ballot.proposal.hash).keys()));
    return best;
  }

  /** Makes the certificate when two thirds of the stake have signed a proposal known here. */
  certify(now: number, self: number): void {
    if (this.certificate !== undefined) return;
    for (const [round, ballot] of this.#ballots) {
      if (ballot.proposal === undefined) continue;
      const votes = this.#votesFor(ballot.proposal.hash);
      if (this.#stakeOf(votes.keys()) < this.#quorum.strong) continue;
      const signers = [...votes.keys()].sort((a, b) => a - b);
      this.certificate = {
        checkpoint: ballot.proposal.message.checkpoint,
        signers: bitmapOf(signers, this.#members.length),
        signatures: signers.map((member) => votes.get(member) as Uint8Array),
      };
      // The proposer submits at once; the others only if it does not get through.
      const turn = (self - this.proposerOf(round) + this.#members.length) % this.#members.length;
      this.#submitAt = now + turn * this.#timing.cadenceMs;
      return;
    }
  }

  /** The certificate, when it is time to submit it to the main chain (again). */
  submission(now: number): CheckpointCertificate | undefined {
    if (this.certificate === undefined || now < this.#submitAt) return undefined;
    this.#submitAt = now + this.#timing.resubmitMs * 2 ** Math.min(this.#submits, 3);
    this.#submits += 1;
    return this.certificate;
  }

  /** Moves on by timer, and joins the rounds that more than a third of the stake has reached. */
  advance(now: number, busy: boolean): void {
    if (!busy) {
      this.#roundSince = undefined;
      return;
    }
    this.#roundSince ??= now;
    const length = Math.min(this.#timing.roundMs * 1.5 ** Math.min(this.round, 10), this.#timing.roundMaxMs);
    const reached = this.#roundOfWeakQuorum();
    // Whoever says so, nobody is led to where numbers end: so many rounds at a time.
    if (reached > this.round) this.#enter(Math.min(reached, this.round + LIMITS.roundsMax), now);
    else if (now - this.#roundSince >= length) this.#enter(this.round + 1, now);
  }

  /** After a restart: never below a round signed before. */
  enterAtLeast(round: number): void {
    if (round > this.round) this.round = round;
  }

  #enter(round: number, now: number): void {
    this.round = round;
    this.#roundSince = now;
    for (const old of this.#ballots.keys()) if (!this.isInWindow(old)) this.#ballots.delete(old);
  }

  #roundOfWeakQuorum(): number {
    const rounds = this.#roundOf.map((round, member) => ({
      round,
      weight: this.#members[member]?.weight ?? 0,
    }));
    rounds.sort((a, b) => b.round - a.round);
    let stake = 0;
    for (const { round, weight } of rounds) {
      stake += weight;
      if (stake >= this.#quorum.weak) return round;
    }
    return -1;
  }

  /** Whether our own proposal of this round should be sent (again): nobody is left waiting for a lost message. */
  resendDue(round: number, now: number): boolean {
    const ballot = this.#ballot(round);
    if (now - ballot.sentAt < this.#timing.roundMs / 4) return false;
    ballot.sentAt = now;
    return true;
  }
}

/**
 * Anchors for a proposal: the accepted vertices nothing accepted stands on. When there is too much for one checkpoint
 * it takes what came first; the rest is for the next. Undefined when no payload would become final and no deposit waits.
 */
export function chooseAnchors(
  graph: Graph,
  countMax: number = LIMITS.coneEnvelopesMax,
  isAwaited = false,
): number[] | undefined {
  const { slab } = graph;
  const covered = slab.stamp();
  const taken: number[] = [];
  let payloads = 0;
  for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
    if (taken.length >= countMax) break;
    if (slab.state[place] !== ACCEPTED) continue;
    // Ancestors of an accepted vertex are accepted and came before it, so any prefix is closed.
    taken.push(place);
    payloads += slab.payloads[place] as number;
    const start = place * PARENT_STRIDE;
    for (let i = start; i < start + (slab.parentCount[place] as number); i += 1) {
      const parent = slab.parents[i] as number;
      if (parent >= 0) slab.mark[parent] = covered;
    }
  }
  if (taken.length === 0 || (payloads === 0 && !isAwaited)) return undefined;
  const anchors = taken.filter((place) => slab.mark[place] !== covered).slice(0, LIMITS.anchorsMax);
  return anchors.sort((a, b) => compareBytes(slab.hash(a), slab.hash(b)));
}

/** The places of a proposal's anchors if all of them are accepted here, else the hashes that are not. */
export function acceptedAnchors(
  graph: Graph,
  checkpoint: SubnetCheckpoint,
): { readonly places: number[] } | { readonly unknown: Hash[] } | 'unaccepted' {
  const places: number[] = [];
  const unknown: Hash[] = [];
  let accepted = true;
  for (const anchor of checkpoint.anchors) {
    const place = graph.place(anchor);
    if (place === undefined) unknown.push(anchor);
    else {
      places.push(place);
      accepted &&= graph.slab.state[place] === ACCEPTED;
    }
  }
  if (unknown.length > 0) return { unknown };
  return accepted ? { places } : 'unaccepted';
}
