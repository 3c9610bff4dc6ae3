/**
 * The checkpoint after the last one: what is proposed for it, whom this member votes for, and what it proposes itself
 * (spec DAG-8). Rounds and certificates are the election's; here proposals are judged.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { checkpointHash, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { LIMITS } from '../ledger/limits.ts';
import { acceptedAnchors, chooseAnchors, Election } from './checkpoint.ts';
import type { Effects, MemberOptions, Timing } from './effects.ts';
import type { Follow } from './follow.ts';
import type { Graph } from './graph.ts';
import { voteSigningBytes, type ProposalMessage, type VoteMessage } from './messages.ts';
import type { Evaluation } from './order.ts';
import { voteRecord, type LogRecord } from './records.ts';
import type { MemberParts } from './report.ts';
import { keyOf } from './slab.ts';

/** Evaluations kept for one sequence: proposals are few, and each can be worked out again. */
const EVALUATIONS_MAX = 8;
/** Messages of one member for the next sequence. */
const EARLY_MAX = 4;

export class Voting {
  readonly #parts: MemberParts;
  readonly #timing: Timing;
  #election: Election;
  /** Of the checkpoint that comes next, by its hash. */
  readonly evaluations: Map<string, Evaluation> = new Map();
  /** Proposals found wrong: looked at once. */
  readonly #rejected = new Set<string>();
  /** Messages for the next sequence, from members that applied the last checkpoint a moment before us. */
  readonly #early: { readonly from: number; readonly message: ProposalMessage | VoteMessage }[] = [];

  constructor(parts: MemberParts, timing: Timing) {
    this.#parts = parts;
    this.#timing = timing;
    this.#election = this.#newElection();
  }

  get election(): Election {
    return this.#election;
  }

  get #options(): MemberOptions {
    return this.#parts.options;
  }

  get #graph(): Graph {
    return this.#parts.graph;
  }

  get #follow(): Follow {
    return this.#parts.follow;
  }

  takeProposal(from: number, message: ProposalMessage, now: number, effects: Effects): void {
    const { sequence } = message.checkpoint;
    if (this.#keepEarly(from, sequence, message)) return;
    if (sequence !== this.#election.sequence) return;
    const hash = checkpointHash(message.checkpoint);
    if (!this.#election.addProposal(from, message, hash)) return;
    this.#election.addVote(from, { round: message.round, hash, signature: message.signature });
    const signed = this.#election.signedIn(message.round);
    if (signed !== undefined && equalBytes(signed, hash)) {
      // It asks again because our vote was lost.
      effects.send.push({ to: from, message: this.#vote(message.round, hash) });
    }
    this.#election.certify(now, this.#options.self);
  }

  takeVote(from: number, message: VoteMessage, now: number): void {
    if (this.#keepEarly(from, message.sequence, message)) return;
    if (message.sequence !== this.#election.sequence) return;
    this.#election.addVote(from, message);
    this.#election.certify(now, this.#options.self);
  }

  #keepEarly(from: number, sequence: number, message: ProposalMessage | VoteMessage): boolean {
    if (sequence !== this.#election.sequence + 1) return false;
    if (this.#early.filter((early) => early.from === from).length < EARLY_MAX)
      this.#early.push({ from, message });
    return true;
  }

  #newElection(): Election {
    const { members } = this.#options;
    return new Election({ sequence: this.#graph.anchors.head + 1, members, timing: this.#timing });
  }

  #vote(round: number, hash: Hash): VoteMessage {
    const signature = this.#options.sign(voteSigningBytes(this.#options.chain, hash));
    return { kind: 'vote', sequence: this.#election.sequence, round, hash, signature };
  }

  /** Signs once per sequence and round; the record is durable before the vote leaves. */
  #castVote(round: number, hash: Hash, now: number, effects: Effects): VoteMessage {
    const vote = this.#vote(round, hash);
    effects.persist.push(voteRecord({ sequence: vote.sequence, round, hash }));
    this.#election.setSigned(round, hash);
    this.#election.addVote(this.#options.self, vote);
    this.#election.certify(now, this.#options.self);
    return vote;
  }

  /** Judges the proposals that wait for our vote: after every input, because it may have been what they waited for. */
  judgeOpen(now: number, effects: Effects): void {
    if (this.#options.self < 0 || this.#follow.divergence !== undefined) return;
    for (const { round, checkpoint } of this.#election.open()) {
      const hash = checkpointHash(checkpoint);
      if (this.#rejected.has(keyOf(hash)) || !this.#election.isInWindow(round)) continue;
      const proposer = this.#election.proposerOf(round);
      if (!this.#approves(checkpoint, hash, proposer, now, effects)) continue;
      effects.send.push({ to: 'all', message: this.#castVote(round, hash, now, effects) });
    }
  }

  /** Works the proposal out from its anchors: every field has to come out the same. */
  #approves(
    checkpoint: SubnetCheckpoint,
    hash: Hash,
    proposer: number,
    now: number,
    effects: Effects,
  ): boolean {
    const anchors = acceptedAnchors(this.#graph, checkpoint);
    if (anchors === 'unaccepted') return false;
    if ('unknown' in anchors) {
      for (const anchor of anchors.unknown) {
        if (this.#graph.finals.find(anchor) === undefined)
          this.#parts.solidifier.want(anchor, { announcer: proposer, certified: false, now });
      }
      return false;
    }
    if (this.#follow.lacksDeposits(checkpoint, now, effects)) return false;
    const evaluation = this.evaluations.get(keyOf(hash)) ?? this.#follow.evaluate(anchors.places, checkpoint);
    if (evaluation === undefined || !equalBytes(evaluation.hash, hash)) {
      this.#rejected.add(keyOf(hash));
      return false;
    }
    this.#remember(evaluation);
    return true;
  }

  #remember(evaluation: Evaluation): void {
    this.evaluations.set(keyOf(evaluation.hash), evaluation);
    if (this.evaluations.size <= EVALUATIONS_MAX) return;
    for (const oldest of this.evaluations.keys()) {
      this.evaluations.delete(oldest);
      break;
    }
  }

  /** Makes or repeats our own proposal when the round is ours. `isAwaited`: a checkpoint without payloads is one, too. */
  propose(now: number, isAwaited: boolean, effects: Effects): void {
    const election = this.#election;
    const { self } = this.#options;
    const { round } = election;
    if (election.proposerOf(round) !== self || this.#follow.queued > 0) return;
    const own = election.proposalIn(round);
    if (own !== undefined) {
      if (election.certificate === undefined && election.resendDue(round, now))
        effects.send.push({ to: 'all', message: own });
      return;
    }
    // Signed before a crash and forgotten what: the round passes.
    if (election.signedIn(round) !== undefined || election.certificate !== undefined) return;
    const anchors = chooseAnchors(this.#graph, LIMITS.coneEnvelopesMax, isAwaited);
    const evaluation = anchors && this.#follow.evaluate(anchors);
    if (evaluation === undefined) return;
    this.#remember(evaluation);
    const { checkpoint, hash } = evaluation;
    const { signature } = this.#castVote(round, hash, now, effects);
    const message: ProposalMessage = { kind: 'proposal', round, checkpoint, signature };
    election.addProposal(self, message, hash);
    election.certify(now, self);
    election.resendDue(round, now);
    effects.send.push({ to: 'all', message });
  }

  /** The last checkpoint is applied. */
  next(): void {
    this.evaluations.clear();
    this.#rejected.clear();
    this.#election = this.#newElection();
  }

  /** What was said of the checkpoint behind the last one before we had that. */
  hearEarly(now: number, effects: Effects): void {
    for (const { from, message } of this.#early.splice(0)) {
      if (message.kind === 'proposal') this.takeProposal(from, message, now, effects);
      else this.takeVote(from, message, now);
    }
  }

  /** Others decide: what members said before names others by their indices. */
  forgetEarly(): void {
    this.#early.length = 0;
  }

  /** Our votes out of the log, lest we vote for another checkpoint in a round. */
  restore(
    votes: readonly { readonly sequence: number; readonly round: number; readonly hash: Hash }[],
  ): void {
    this.#election = this.#newElection();
    for (const vote of votes) {
      if (vote.sequence !== this.#election.sequence) continue;
      this.#election.enterAtLeast(vote.round);
      this.#election.setSigned(vote.round, vote.hash);
    }
  }

  records(): LogRecord[] {
    return this.#election
      .votesOfOurs()
      .map(({ round, hash }) => voteRecord({ sequence: this.#election.sequence, round, hash }));
  }
}
