/**
 * Following the main chain (spec DAG-8.6): committed checkpoints are applied in order, also those this member did
 * not sign and those whose envelopes it has yet to fetch.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import { checkpointHash, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import type { Deposit } from '../ledger/escrow.ts';
import { LIMITS } from '../ledger/limits.ts';
import { endsMemberTurn } from '../ledger/member-turns.ts';
import { indicesOf, type ValidatorSet } from '../ledger/validators.ts';
import { depositRecord, Deposits } from './deposits.ts';
import type { Committed, Delivery, Effects, MemberOptions } from './effects.ts';
import type { Graph } from './graph.ts';
import type { CheckpointIds } from './messages.ts';
import { evaluate, type Evaluation } from './order.ts';
import { appliedRecord } from './records.ts';
import { keyOf } from './slab.ts';
import type { Solidifier } from './solidify.ts';
import { turnRecord, type MemberTurn } from './turn.ts';

/** Bodies of a known list that are fetched at a time. */
const FETCH_WINDOW = 256;
/** Before the list of a checkpoint is asked for, gossip gets its chance; of those below the newest nobody speaks any more. */
const GRACE_MS = 300;
const LIST_RETRY_MS = 500;
const ASK_AGAIN_MS = 1_000;

export class Follow {
  #options: MemberOptions;
  #graph: Graph;
  #solidifier: Solidifier;
  readonly #turned: (turn: MemberTurn, effects: Effects) => void;
  /** Of our own log, by the checkpoint behind which they begin. */
  readonly loggedTurns: Map<number, ValidatorSet> = new Map();
  /** While the log is read, only the log says who decides. */
  restoring = false;
  readonly #queue: Committed[] = [];
  /** The list of envelopes of the first in the queue, once a peer has told it. */
  #ids: readonly Hash[] | undefined;
  #cursor = 0;
  #blockedSince: number | undefined;
  #askListAt = 0;
  #listTurn = 0;
  /** Committed checkpoints were refused for want of room. */
  #turnedAway = false;
  #wantedFrom = 0;
  #wantedAt = 0;
  checkpoint: SubnetCheckpoint | undefined;
  envelopesFinal = 0;
  payloadsApplied = 0;
  appliedAt = -1;
  readonly deposits: Deposits = new Deposits();
  #depositsAt = -ASK_AGAIN_MS;
  /** Set when the committed checkpoint is not what its own envelopes give: beyond the fault assumption. */
  divergence: string | undefined;

  /** `turned`: other members decide from here on; it comes back with `rebind`. */
  constructor(
    options: MemberOptions,
    graph: Graph,
    solidifier: Solidifier,
    turned: (turn: MemberTurn, effects: Effects) => void = () => undefined,
  ) {
    this.#options = options;
    this.#graph = graph;
    this.#solidifier = solidifier;
    this.#turned = turned;
  }

  rebind(options: MemberOptions, graph: Graph, solidifier: Solidifier): void {
    this.#options = options;
    this.#graph = graph;
    this.#solidifier = solidifier;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get #next(): number {
    return this.#graph.anchors.head + this.#queue.length + 1;
  }

  enqueue(committed: Committed, now: number, effects: Effects): void {
    const { sequence } = committed.certificate.checkpoint;
    if (sequence < this.#next) return;
    if (sequence > this.#next) {
      this.#wantFrom(now, effects);
      return;
    }
    if (this.#queue.length >= LIMITS.committedQueueMax) {
      this.#turnedAway = true;
      return;
    }
    this.#queue.push(committed);
    this.#wantedFrom = 0;
  }

  /** Asked once per gap and second; the queue takes a bounded number at a time. */
  #wantFrom(now: number, effects: Effects): void {
    if (this.#wantedFrom === this.#next && now - this.#wantedAt < ASK_AGAIN_MS) return;
    this.#wantedFrom = this.#next;
    this.#wantedAt = now;
    effects.want.push({ kind: 'committed', from: this.#next });
  }

  /** Applies what can be applied now. Calls `applied` after each, with the anchor in force. */
  run(
    now: number,
    evaluations: ReadonlyMap<string, Evaluation>,
    effects: Effects,
    applied: (hash: Hash) => void,
  ): void {
    while (this.divergence === undefined) {
      const committed = this.#queue[0];
      if (committed === undefined) return;
      const { checkpoint } = committed.certificate;
      const places = this.#anchorsHere(checkpoint);
      if (places === undefined) {
        this.#fetch(committed, now, effects);
        return;
      }
      if (this.lacksDeposits(checkpoint, now, effects)) return;
      const known = evaluations.get(keyOf(checkpointHash(checkpoint)));
      const evaluation = known ?? this.evaluate(places, checkpoint);
      if (evaluation === undefined || !equalBytes(evaluation.hash, checkpointHash(checkpoint))) {
        this.divergence = `checkpoint ${checkpoint.sequence} is not what its envelopes give`;
        return;
      }
      this.#queue.shift();
      this.#apply(committed, evaluation, now, effects);
      applied(evaluation.hash);
    }
  }

  /** An own proposal, or what a given one should come to: it says which deposits it credits. */
  evaluate(places: readonly number[], given?: SubnetCheckpoint): Evaluation | undefined {
    const { subnet, powBits, members } = this.#options;
    const { deposits } = this;
    const credited = given === undefined ? deposits.due() : deposits.upTo(given.value?.deposits ?? 0);
    if (credited === undefined) return undefined;
    const lastTime = this.checkpoint?.time ?? 0;
    const next = this.#nextMembers(this.#graph.anchors.head + 1);
    return evaluate(this.#graph, { id: subnet, powBits, lastTime, members, next }, places, credited);
  }

  #nextMembers(sequence: number): ValidatorSet | undefined {
    if (!endsMemberTurn(sequence)) return undefined;
    return (
      this.loggedTurns.get(sequence) ?? (this.restoring ? undefined : this.#options.turnAfter?.(sequence))
    );
  }

  /** Credits deposits our main chain has not told yet: asked for, once a second. */
  lacksDeposits(checkpoint: SubnetCheckpoint, now: number, effects: Effects): boolean {
    if ((checkpoint.value?.deposits ?? 0) <= this.deposits.newest) return false;
    this.#wantDeposits(now, effects);
    return true;
  }

  /** What the main chain tells of deposits, in order; what comes behind a gap is asked for again. */
  learnDeposits(deposits: readonly Deposit[], now: number, effects: Effects): void {
    for (const deposit of deposits) {
      const added = this.deposits.add(deposit);
      if (added === 'added') effects.persist.push(depositRecord(deposit));
      if (added !== 'gap') continue;
      this.#wantDeposits(now, effects);
      return;
    }
  }

  #wantDeposits(now: number, effects: Effects): void {
    if (now - this.#depositsAt < ASK_AGAIN_MS) return;
    this.#depositsAt = now;
    effects.want.push({ kind: 'deposits', from: this.deposits.newest + 1 });
  }

  #anchorsHere(checkpoint: SubnetCheckpoint): number[] | undefined {
    const places: number[] = [];
    for (const anchor of checkpoint.anchors) {
      const place = this.#graph.place(anchor);
      if (place === undefined) {
        if (this.#graph.finals.find(anchor) !== undefined)
          this.divergence = `checkpoint ${checkpoint.sequence} has an anchor that is final already`;
        return undefined;
      }
      places.push(place);
    }
    return places;
  }

  #apply(committed: Committed, evaluation: Evaluation, now: number, effects: Effects): void {
    const { checkpoint, hash, order, applied, ignored } = evaluation;
    const envelopes = order.map((place) => this.#graph.slab.envelope(place));
    const { withdrawals } = evaluation.lanes.ledger;
    const delivery: Delivery = { committed, hash, envelopes, applied, ignored, withdrawals };
    if (evaluation.turn !== undefined) effects.persist.push(turnRecord(evaluation.turn));
    effects.persist.push(appliedRecord(committed));
    effects.deliver.push(delivery);
    this.#graph.advance(evaluation.lanes, {
      hash,
      sequence: checkpoint.sequence,
      powBits: checkpoint.powBits,
    });
    this.#graph.finalise(order, checkpoint.sequence);
    this.checkpoint = checkpoint;
    this.deposits.creditedUpTo(checkpoint.value?.deposits ?? 0);
    this.envelopesFinal += checkpoint.envelopeCount;
    this.payloadsApplied += checkpoint.payloadCount;
    this.appliedAt = now;
    this.#ids = undefined;
    this.#cursor = 0;
    this.#blockedSince = undefined;
    this.#askListAt = 0;
    if (evaluation.turn !== undefined) this.#turned(evaluation.turn, effects);
    // Room again for what the shell could not hand over before: half a queue at a time, and whatever was asked before.
    if (!this.#turnedAway || this.#queue.length > LIMITS.committedQueueMax / 2) return;
    this.#turnedAway = false;
    this.#wantedFrom = 0;
    this.#wantFrom(now, effects);
  }

  /** Anchors by hash at once; if that does not complete the cone, the whole ordered list and its bodies. */
  #fetch(committed: Committed, now: number, effects: Effects): void {
    const { checkpoint } = committed.certificate;
    this.#blockedSince ??= now;
    if (this.#ids === undefined) {
      if (this.#blockedSince === now) for (const anchor of checkpoint.anchors) this.#want(anchor, now);
      const graceMs = this.#queue.length > 1 ? 0 : GRACE_MS;
      if (now - this.#blockedSince >= graceMs && now >= this.#askListAt) {
        this.#askListAt = now + LIST_RETRY_MS;
        effects.send.push({
          to: this.#listPeer(committed),
          message: { kind: 'checkpoint-request', sequence: checkpoint.sequence },
        });
      }
      return;
    }
    while (this.#cursor < this.#ids.length && this.#isHere(this.#ids[this.#cursor] as Hash))
      this.#cursor += 1;
    const end = Math.min(this.#ids.length, this.#cursor + FETCH_WINDOW);
    for (let i = this.#cursor; i < end; i += 1) {
      const id = this.#ids[i] as Hash;
      if (!this.#isHere(id)) this.#want(id, now);
    }
  }

  #want(hash: Hash, now: number): void {
    this.#solidifier.want(hash, { announcer: -1, certified: true, now });
  }

  #isHere(hash: Hash): boolean {
    return this.#graph.locate(hash) !== undefined;
  }

  /** A signer holds the cone for sure; each time another. */
  #listPeer(committed: Committed): number {
    const { members, self } = this.#options;
    const signers = indicesOf(committed.certificate.signers, members.length) ?? [];
    const others = signers.filter((signer) => signer !== self);
    this.#listTurn += 1;
    return others[this.#listTurn % Math.max(1, others.length)] ?? 0;
  }

  /** Only the list the certificate commits to is believed. */
  receiveIds(message: CheckpointIds): void {
    const first = this.#queue[0]?.certificate.checkpoint;
    if (first === undefined || this.#ids !== undefined || message.sequence !== first.sequence) return;
    if (message.ids.length !== first.envelopeCount) return;
    if (!equalBytes(merkleRoot(message.ids), first.inclusionRoot)) return;
    this.#ids = message.ids;
    this.#cursor = 0;
  }

  /** Why the first of the queue is not applied yet. */
  get blockedOn(): string | undefined {
    const first = this.#queue[0]?.certificate.checkpoint;
    if (first === undefined) return undefined;
    const { deposits = 0 } = first.value ?? {};
    if (deposits > this.deposits.newest) return `deposits up to ${deposits} are not known here yet`;
    const had = this.#ids === undefined ? '' : ` (${this.#cursor} of ${this.#ids.length} are here)`;
    return `envelopes of checkpoint ${first.sequence} are being fetched${had}`;
  }
}
