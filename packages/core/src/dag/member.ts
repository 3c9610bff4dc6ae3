/**
 * A member of a DAG subnet (spec DAG): pure and synchronous. `step` takes one input and gives the effects; the shell
 * acts on them in the order of their type. See README.md for the picture.
 */
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Payload } from '../ledger/payload.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import { makeDraft } from './draft.ts';
import {
  noEffects,
  TIMING,
  type Delivery,
  type Draft,
  type Effects,
  type Explanation,
  type Input,
  type MemberOptions,
  type MemberStatus,
  type Timing,
  type VertexView,
} from './effects.ts';
import type { Follow } from './follow.ts';
import type { Graph } from './graph.ts';
import { IssueRate } from './issue-rate.ts';
import type { PayloadPlace } from './lanes.ts';
import { type EnvelopeRequest, type HeadsMessage, type VerifiedMessage } from './messages.ts';
import { balanceKey } from './ledger-records.ts';
import type { BalanceProof } from './balance-proof.ts';
import type { LedgerTable } from './ledger-table.ts';
import type { LogRecord } from './records.ts';
import { LostPasts, OwnPast } from './own-past.ts';
import { assemble, isOfTurn, renew } from './parts.ts';
import { explain, snapshotOf, statusOf, survey, vertices, type MemberParts } from './report.ts';
import { restoreRecords } from './restore.ts';
import { AnswerBudget, answerRequest, ANSWERS, laneHeads } from './serve.ts';
import { keyOf } from './slab.ts';
import { isOfSet, type MemberTurn } from './turn.ts';
import type { AnchorView, VerifiedEnvelope } from './verify.ts';
import { Voting } from './voting.ts';

/** Doublings of the pause between empty envelopes that bring no progress. */
const APPROVE_DOUBLINGS_MAX = 7;

export class Member {
  readonly #timing: Timing;
  readonly #parts: MemberParts;
  readonly #voting: Voting;
  /** Delivered again after a restart, for a shell that had not come to it. */
  #redeliver: readonly Delivery[] = [];
  #headsAt = -1;
  readonly #answeredAt = new Map<number, number>();
  readonly #past: OwnPast;
  readonly #lostPasts = new LostPasts();
  readonly #rate = new IssueRate();
  #answers: AnswerBudget;
  /** Void since a turn, and not told to the shell yet. */
  #givenUp: VerifiedEnvelope[] = [];
  #approval = { target: '', at: 0, doublings: 0 };

  constructor(options: MemberOptions) {
    const { members } = options;
    if (members.length > LIMITS.subnetMembersMax) throw new RangeError('a subnet has at most 32 members');
    this.#timing = { ...TIMING, ...options.timing };
    this.#parts = assemble(options, this.#timing, (turn) => this.#turn(turn));
    this.#answers = new AnswerBudget(members.length);
    this.#voting = new Voting(this.#parts, this.#timing);
    const restored = options.restore ?? [];
    this.#past = new OwnPast((restored.length > 0 && options.pastUncertain !== true) || members.length === 1);
    if (restored.length > 0) this.#restore(restored);
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

  /** Those who decide the next checkpoint; indices everywhere are by this set. Another object when they have changed. */
  get members(): ValidatorSet {
    return this.#options.members;
  }

  /** Own index among them, −1 for a follower. */
  get self(): number {
    return this.#options.self;
  }

  /** For `verifyEnvelope`: which anchors are known, and how old they are. */
  get anchors(): AnchorView {
    return this.#graph.anchors;
  }

  /** Whether an 'envelopes' message of this peer answers a request of ours: then age is not judged. */
  expectsFrom(peer: number): boolean {
    return this.#parts.solidifier.expectsFrom(peer);
  }

  /** Whether an envelope is here already, pending or lately final: gossip brings each more than once. */
  holds(hash: Hash): boolean {
    return this.#graph.locate(hash) !== undefined;
  }

  step(input: Input): Effects {
    const effects = noEffects();
    const { now } = input;
    effects.deliver.push(...this.#redeliver);
    this.#redeliver = [];
    effects.givenUp.push(...this.#givenUp.splice(0));
    switch (input.kind) {
      case 'tick':
        this.#tick(now, effects);
        break;
      case 'envelope': {
        const { envelope, from, reply } = input;
        if (!this.#isOfSet(envelope)) break;
        const origin = this.#parts.solidifier.originOf(envelope.hash, from, reply);
        if (reply) this.#parts.solidifier.spend(from, now);
        this.#parts.intake.receive({ envelope, from, origin }, now, effects);
        break;
      }
      case 'forged':
        if (this.#isOfSet(input.envelope))
          this.#parts.accusations.found(input.envelope, input.index, now, effects);
        break;
      case 'own':
        this.#issue(input.envelope, now, effects);
        break;
      case 'message':
        this.#receive(input.from, input.message, now, effects);
        break;
      case 'committed':
        this.#follow.enqueue(input.committed, now, effects);
        break;
      case 'deposits':
        this.#follow.learnDeposits(input.deposits, now, effects);
        break;
      case 'located':
        this.#parts.intake.located(input, now, effects);
        break;
    }
    this.#follow.run(now, this.#voting.evaluations, effects, (anchor) => this.#applied(anchor, now, effects));
    effects.givenUp.push(...this.#givenUp.splice(0));
    this.#voting.judgeOpen(now, effects);
    for (let i = 0; i < this.#parts.intake.ownAccepted; i += 1) this.#rate.accepted();
    this.#parts.intake.ownAccepted = 0;
    return effects;
  }

  /**
   * The next own envelope of a lane, or undefined when none can be made: as a follower, with too much of our own
   * not final yet, faster than the others take it, or while our own past is not certain. Only one of several drafts of a lane can be used.
   */
  draft(payloads: readonly Payload[], now: Millis, lane = 0): Draft | undefined {
    if (this.draftObstacle() !== undefined) return undefined;
    // Empty envelopes carry approval: holding them back would only make others wait.
    if (payloads.length > 0 && (this.isBarred || !this.#rate.mayIssue(now))) return undefined;
    const lastAnchors = this.#follow.checkpoint?.anchors ?? [];
    return makeDraft(this.#graph, { ...this.#options, lastAnchors }, { payloads, now, lane });
  }

  /** A checkpoint has found this member guilty of forgery: what it issues with payloads would be ignored. */
  get isBarred(): boolean {
    return this.#graph.lanes.standings[this.#options.self]?.barred === true;
  }

  /** Whether a member was shown to have forged payloads, by a checkpoint or by what is on its way into one. */
  bars(member: number): boolean {
    return this.#parts.accusations.isBarred(member);
  }

  /** The last final number of a payload's lane, for the choice of what to audit. */
  laneHigh(payload: Pick<Payload, 'signer' | 'device'>): number | undefined {
    return this.#graph.lanes.laneHigh(payload);
  }

  /** Why `draft` gives nothing now, in a sentence. */
  draftObstacle(): string | undefined {
    if (this.#options.self < 0) return 'a follower issues nothing';
    if (this.#follow.divergence !== undefined) return this.#follow.divergence;
    if (!this.#past.isCertain)
      return 'two thirds of the stake have to tell what they hold of us, and a new checkpoint has to come, lest we issue a sequence twice';
    if (this.#graph.isCrowded()) return 'too many of our envelopes are not final yet';
    return undefined;
  }

  #issue(envelope: VerifiedEnvelope, now: number, effects: Effects): void {
    const { lane, sequence } = envelope.envelope;
    const { self } = this.#options;
    if (envelope.issuer !== self || sequence !== this.#graph.sequenceOf(self, lane) + 1) {
      const reason = 'another envelope of ours has taken this sequence meanwhile';
      effects.refused.push({
        hash: envelope.hash,
        issuer: envelope.issuer,
        code: 'envelope.sequence',
        reason,
      });
      return;
    }
    this.#parts.intake.receive({ envelope, from: self, origin: 'own' }, now, effects);
    if (this.#graph.place(envelope.hash) === undefined) return;
    if (envelope.payloads.length > 0) this.#rate.issued(now);
    effects.send.push({ to: 'all', message: { kind: 'envelope', encoded: envelope.encoded } });
  }

  #receive(from: number, message: VerifiedMessage, now: number, effects: Effects): void {
    switch (message.kind) {
      case 'envelope-request':
        this.#answer(from, message, now, effects);
        break;
      case 'heads':
        this.#compareHeads(from, message, now, effects);
        break;
      case 'proposal':
        this.#voting.takeProposal(from, message, now, effects);
        break;
      case 'vote':
        this.#voting.takeVote(from, message, now);
        break;
      case 'checkpoint-request':
        if (message.sequence > this.#graph.anchors.head || !this.#answers.allows(from, now)) break;
        this.#answers.charge(from, ANSWERS.checkpointIdsBytes);
        effects.want.push({ kind: 'serve-checkpoint', to: from, sequence: message.sequence });
        break;
      case 'checkpoint-ids':
        this.#follow.receiveIds(message);
        break;
    }
  }

  /** Who asks for more than its share is not answered for a moment; it asks again, or somebody else. */
  #answer(to: number, request: EnvelopeRequest, now: number, effects: Effects): void {
    if (!this.#answers.allows(to, now)) return;
    const { encoded, elsewhere } = answerRequest(this.#graph, request);
    const bytes = encoded.reduce((sum, each) => sum + each.length, 0);
    this.#answers.charge(to, bytes + elsewhere.length * ANSWERS.storedEnvelopeBytes);
    if (encoded.length > 0) effects.send.push({ to, message: { kind: 'envelopes', encoded } });
    if (elsewhere.length > 0) effects.want.push({ kind: 'serve-envelopes', to, hashes: elsewhere });
  }

  #heads(): HeadsMessage {
    const heads = laneHeads(this.#graph, this.#options.members.length);
    return {
      kind: 'heads',
      checkpoint: this.#graph.anchors.head,
      uncertain: !this.#past.isCertain,
      heads,
    };
  }

  /** Asks for what the other has beyond us, and tells it what we have beyond it. Heads under other members name other people. */
  #compareHeads(from: number, message: HeadsMessage, now: number, effects: Effects): void {
    if (!isOfTurn(this.#options, this.#graph, message.checkpoint)) return;
    const { members } = this.#options;
    const theirs = new Map<number, number>();
    // Chasing single parents back through what is final elsewhere would never end: the main chain comes first.
    const isFarAhead = message.checkpoint > this.#graph.anchors.head + this.#follow.queued + 2;
    for (const head of message.heads) {
      if (head.issuer >= members.length || head.lane >= LIMITS.envelopeLanesMax) continue;
      theirs.set(head.issuer * LIMITS.envelopeLanesMax + head.lane, head.sequence);
      if (isFarAhead || head.sequence <= this.#graph.sequenceOf(head.issuer, head.lane)) continue;
      if (this.#graph.locate(head.hash) === undefined)
        this.#parts.solidifier.want(head.hash, { announcer: from, certified: false, now });
    }
    const ahead = laneHeads(this.#graph, members.length).some(
      (head) => head.sequence > (theirs.get(head.issuer * LIMITS.envelopeLanesMax + head.lane) ?? 0),
    );
    const lost = message.heads.length === 0 || !this.#answeredAt.has(from);
    const answered = this.#answeredAt.get(from) ?? -this.#timing.headsMs;
    if ((ahead || lost) && now - answered >= this.#timing.headsMs / 2) {
      this.#answeredAt.set(from, now);
      effects.send.push({ to: from, message: this.#heads() });
    }
    this.#past.hear(from, message, this.#options, this.#graph);
    this.#lostPasts.hear(from, message, this.#graph.anchors.head);
  }

  #applied(anchor: Hash, now: number, effects: Effects): void {
    this.#voting.next();
    this.#parts.intake.anchored(anchor, now, effects);
    this.#voting.hearEarly(now, effects);
  }

  #tick(now: number, effects: Effects): void {
    this.#exchangeHeads(now, effects);
    this.#past.look(now, this.#graph);
    this.#askForMissing(now, effects);
    this.#parts.accusations.ask(now, effects);
    const { payloadsAccepted, anyAccepted, unapproved, ownWaitMs } = survey(
      this.#graph,
      this.#options.self,
      now,
    );
    this.#rate.waiting(now, ownWaitMs);
    const isAwaited = this.#isAwaited;
    // A deposit into a quiet subnet, a turn, a lost disk: empty envelopes carry its checkpoint, and each checkpoint is another reason.
    const quiet = isAwaited && !anyAccepted ? `after ${this.#graph.anchors.head}` : undefined;
    this.#wantApproval(unapproved === undefined ? quiet : keyOf(unapproved), now, effects);
    if (this.#options.self < 0 || this.#follow.divergence !== undefined) return;
    const { election } = this.#voting;
    const due = this.#follow.appliedAt < 0 || now - this.#follow.appliedAt >= this.#timing.cadenceMs;
    const isWorth = payloadsAccepted || (isAwaited && anyAccepted);
    const busy = (isWorth && due) || election.open().length > 0;
    election.advance(now, busy && election.certificate === undefined);
    if (busy && due) this.#voting.propose(now, isAwaited, effects);
    const certificate = election.submission(now);
    if (certificate !== undefined) effects.submit.push(certificate);
  }

  /** Somebody waits for a checkpoint, whether there are payloads or not: the main chain, or who has lost its records. */
  get #isAwaited(): boolean {
    const { head } = this.#graph.anchors;
    return (
      this.#follow.deposits.waiting.length > 0 ||
      this.#options.isAwaited?.() === true ||
      (!this.#past.isCertain && head > 0) ||
      this.#lostPasts.areAwaiting(head)
    );
  }

  #exchangeHeads(now: number, effects: Effects): void {
    const quiet = this.#graph.slab.count === 0 && this.#past.isCertain;
    const pause = quiet ? this.#timing.headsIdleMs : this.#timing.headsMs;
    if (this.#headsAt >= 0 && now - this.#headsAt < pause) return;
    this.#headsAt = now;
    effects.send.push({ to: 'all', message: this.#heads() });
  }

  #askForMissing(now: number, effects: Effects): void {
    if (this.#parts.solidifier.missingCount === 0) return;
    if (this.#graph.finals.forgotten) {
      const hashes = this.#parts.solidifier.unasked();
      if (hashes.length > 0) effects.want.push({ kind: 'lookup', hashes });
    }
    const asks = this.#parts.solidifier.due(now);
    if (asks.length === 0) return;
    const heads = laneHeads(this.#graph, this.#options.members.length);
    for (const { to, hashes } of asks)
      effects.send.push({ to, message: { kind: 'envelope-request', hashes, heads } });
  }

  /** Payloads wait for approval: an envelope is wanted, more and more rarely if it does not help. */
  #wantApproval(target: string | undefined, now: number, effects: Effects): void {
    if (target === undefined || this.draftObstacle() !== undefined) return;
    const { approveMs } = this.#timing;
    if (this.#approval.target !== target) this.#approval = { target, at: now + approveMs, doublings: 0 };
    if (now < this.#approval.at) return;
    const doublings = Math.min(this.#approval.doublings + 1, APPROVE_DOUBLINGS_MAX);
    this.#approval = { target, at: now + approveMs * 2 ** doublings, doublings };
    effects.want.push({ kind: 'envelope' });
  }

  #isOfSet(envelope: VerifiedEnvelope): boolean {
    return this.#options.turnAfter === undefined || isOfSet(this.#options.members, envelope);
  }

  /** Others decide: everything that goes by index is made anew, and what was not final is void. */
  #turn(turn: MemberTurn): void {
    this.#givenUp.push(...renew(this.#parts, this.#timing, turn));
    this.#answers = new AnswerBudget(turn.members.length);
    this.#voting.forgetEarly();
    this.#answeredAt.clear();
    this.#past.forgetHeard();
    this.#lostPasts.forget();
    this.#approval = { target: '', at: 0, doublings: 0 };
  }

  #restore(records: readonly LogRecord[]): void {
    const { deliveries, votes } = restoreRecords(this.#parts, records, (turn) => this.#turn(turn));
    this.#redeliver = deliveries;
    this.#givenUp = this.#givenUp.filter((envelope) => !this.holds(envelope.hash));
    this.#voting.restore(votes);
  }

  /** Records that replace all earlier ones: for a fresh log, whenever the shell finds the old one long enough. */
  snapshot(): LogRecord[] {
    return [...snapshotOf(this.#parts), ...this.#voting.records()];
  }

  /** Why this member has stopped, as `status` says at greater cost; undefined while all is well. */
  get divergence(): string | undefined {
    return this.#follow.divergence;
  }

  status(): MemberStatus {
    const obstacle = this.isBarred ? 'barred for forged payloads' : this.draftObstacle();
    const own = { obstacle, perSecond: this.#rate.perSecond, barred: this.#parts.accusations.barred };
    return statusOf(this.#parts, this.#voting.election, own);
  }

  /** The newest vertices that are not final, at most `limit`, parents before children. */
  graph(limit: number): VertexView[] {
    return vertices(this.#graph, limit);
  }

  explain(hash: Hash): Explanation {
    return explain(this.#parts, hash);
  }

  /** Whether a payload would still be applied: before a gateway packs one again. */
  payloadOutcome(payload: PayloadPlace): 'new' | 'duplicate' | 'stale' {
    return this.#graph.lanes.outcome(payload);
  }

  /** False while others have yet to tell what they hold of us: our own records of it are lost. */
  get isCertainOfPast(): boolean {
    return this.#past.isCertain;
  }

  /** Number of the newest deposit this member was told of or has credited: the shell goes on behind it. */
  get depositsKnown(): number {
    return this.#follow.deposits.newest;
  }

  /** Value as of the last checkpoint applied. */
  get ledger(): LedgerTable {
    return this.#graph.lanes.ledger;
  }

  /** That a holder has this balance, or none, under the state root of the last checkpoint applied; undefined before the first. */
  proveBalance(address: Address): BalanceProof | undefined {
    const { checkpoint } = this.#follow;
    if (checkpoint === undefined) return undefined;
    const proof = this.#graph.lanes.tree.prove(balanceKey(address));
    return { checkpoint, balance: this.ledger.balanceOf(address), proof };
  }

  /** The last counted envelope of every lane: a successor names it, however long ago it became final. */
  finalHeads(): Hash[] {
    return [...this.#graph.lanes.issuerLanes.values()].map(({ hash }) => hash);
  }

  /** Time of the last checkpoint applied, 0 before the first. */
  get checkpointTime(): Millis {
    return this.#follow.checkpoint?.time ?? millis(0);
  }
}
