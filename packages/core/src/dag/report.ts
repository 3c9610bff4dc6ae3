/** What operators and people see of a member: state with reasons, vertices for drawing, the fate of one envelope. */
import type { Hash } from '../crypto/hash.ts';
import { millis } from '../ledger/ids.ts';
import { depositRecord } from './deposits.ts';
import type { Election } from './checkpoint.ts';
import type { Accusations } from './accusations.ts';
import type { Explanation, MemberOptions, MemberStatus, VertexView } from './effects.ts';
import type { Follow } from './follow.ts';
import type { Graph } from './graph.ts';
import type { Intake } from './intake.ts';
import { snapshotRecord, type LogRecord } from './records.ts';
import { ACCEPTED, NONE, PENDING, type Slab } from './slab.ts';
import type { Solidifier } from './solidify.ts';
import { adjustmentOf } from './standing.ts';
import { isLazy } from './tips.ts';

/** What a member is made of; all but the last is made anew when its members change. */
export interface MemberParts {
  options: MemberOptions;
  graph: Graph;
  solidifier: Solidifier;
  accusations: Accusations;
  intake: Intake;
  readonly follow: Follow;
}

/** An own envelope without approval for this long calls for a fresh one that leads others to it. */
const OWN_PATIENCE_MS = 3_000;

/** One walk per tick: is there something to checkpoint, what waits for our approval, and how long we wait for others'. */
export function survey(
  graph: Graph,
  self: number,
  now: number,
): {
  readonly payloadsAccepted: boolean;
  /** Whether anything is accepted, empty envelopes included. */
  readonly anyAccepted: boolean;
  readonly unapproved: Hash | undefined;
  readonly ownWaitMs: number;
} {
  const { slab } = graph;
  const bit = self < 0 ? 0 : 1 << self;
  let payloadsAccepted = false;
  let anyAccepted = false;
  let unapproved: Hash | undefined;
  let ownSince = now;
  for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
    anyAccepted ||= slab.state[place] === ACCEPTED;
    if (slab.payloads[place] === 0) continue;
    const own = slab.issuer[place] === self;
    if (slab.state[place] === ACCEPTED) payloadsAccepted = true;
    else {
      if (own) ownSince = Math.min(ownSince, slab.time[place] as number);
      if (unapproved !== undefined) continue;
      const waits = own
        ? now - (slab.time[place] as number) > OWN_PATIENCE_MS
        : ((slab.bits[place] as number) & bit) === 0;
      const lane = slab.lane[place] as number;
      if (waits && !graph.isMuted(slab.issuer[place] as number, lane)) unapproved = slab.hash(place);
    }
  }
  return { payloadsAccepted, anyAccepted, unapproved, ownWaitMs: now - ownSince };
}

export function statusOf(
  parts: MemberParts,
  election: Election,
  own: {
    readonly obstacle: string | undefined;
    readonly perSecond: number;
    readonly barred: readonly number[];
  },
): MemberStatus {
  const { graph, solidifier, intake, follow } = parts;
  const { slab } = graph;
  let accepted = 0;
  for (let place = slab.first; place !== NONE; place = slab.next[place] as number)
    if (slab.state[place] === ACCEPTED) accepted += 1;
  const last = graph.anchors.last;
  const votes = election.leadingStake();
  const submitted = election.certificate !== undefined;
  const state =
    follow.divergence !== undefined ? 'diverged' : follow.queued > 0 ? 'catching-up' : 'following';
  return {
    state,
    reason: follow.divergence ?? follow.blockedOn ?? own.obstacle ?? waitingReason(election, accepted, votes),
    checkpoint: last.sequence,
    checkpointHash: last.hash,
    checkpointTime: follow.checkpoint?.time ?? millis(0),
    stateRoot: graph.lanes.root,
    powBits: last.powBits,
    pending: slab.count,
    pendingBytes: slab.bytes,
    accepted,
    tips: graph.tips.size,
    unsolid: solidifier.waitingCount,
    missing: solidifier.missingCount,
    payloadsApplied: follow.payloadsApplied,
    envelopesFinal: follow.envelopesFinal,
    round: election.round,
    votes,
    quorum: election.quorum,
    submitted,
    committedQueue: follow.queued,
    equivocators: [...intake.equivocators].sort((a, b) => a - b),
    barred: own.barred,
    pendingByMember: [...graph.pendingByMember],
    workWeights: graph.lanes.standings.map((standing) => standing.workWeight),
    issuePerSecond: own.perSecond,
    powAdjustments: graph.lanes.standings.map(adjustmentOf),
  };
}

function waitingReason(election: Election, accepted: number, votes: number): string | undefined {
  if (election.certificate !== undefined)
    return `the certificate of checkpoint ${election.sequence} waits for the main chain`;
  if (accepted > 0 && election.round > 1)
    return `checkpoint ${election.sequence} has ${votes} of ${election.quorum} stake in round ${election.round}`;
  return undefined;
}

function stateName(slab: Slab, place: number): 'pending' | 'accepted' {
  return slab.state[place] === PENDING ? 'pending' : 'accepted';
}

export function vertices(graph: Graph, limit: number): VertexView[] {
  const { slab } = graph;
  const views: VertexView[] = [];
  let skip = Math.max(0, slab.count - limit);
  for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
    if (skip > 0) {
      skip -= 1;
      continue;
    }
    const { hash, envelope, payloads, issuer } = slab.envelope(place);
    views.push({
      hash,
      issuer,
      lane: envelope.lane,
      sequence: envelope.sequence,
      parents: envelope.parents,
      time: envelope.time,
      weight: slab.weight[place] as number,
      state: stateName(slab, place),
      payloads: payloads.length,
      tip: graph.tips.has(place),
    });
  }
  return views;
}

export function explain(parts: MemberParts, hash: Hash): Explanation {
  const { graph, solidifier, intake } = parts;
  const { slab } = graph;
  const place = graph.place(hash);
  if (place !== undefined) {
    const approvedBy: number[] = [];
    for (let i = 0; i < 32; i += 1) if ((((slab.bits[place] as number) >>> i) & 1) === 1) approvedBy.push(i);
    const weight = slab.weight[place] as number;
    return {
      state: stateName(slab, place),
      weight,
      work: graph.weights.weightOf(slab.bits[place] as number) - weight,
      level: graph.weights.levelOf(slab, place),
      approvedBy,
      lazy: isLazy(slab, place, graph.anchors.head),
      tip: graph.tips.has(place),
      equivocation: graph.isMuted(slab.issuer[place] as number, slab.lane[place] as number),
    };
  }
  const final = graph.finals.find(hash);
  if (final !== undefined) return { state: 'final', checkpoint: final.checkpoint };
  if (solidifier.isWaiting(hash)) return { state: 'unsolid', missing: solidifier.missingOf(hash) };
  const refusal = intake.refusalOf(hash);
  return refusal === undefined ? { state: 'unknown' } : { state: 'refused', ...refusal };
}

/** The state after the last checkpoint, then everything that is not final, parents first. */
export function snapshotOf(parts: MemberParts): LogRecord[] {
  const { graph, follow } = parts;
  const { slab } = graph;
  const records: LogRecord[] = [
    snapshotRecord({
      checkpoint: follow.checkpoint,
      envelopesFinal: follow.envelopesFinal,
      payloadsApplied: follow.payloadsApplied,
      entries: [...graph.lanes.entries()],
      anchors: [...graph.anchors.values()],
      finalised: [...graph.finals.values()],
    }),
  ];
  for (const deposit of follow.deposits.waiting) records.push(depositRecord(deposit));
  for (let place = slab.first; place !== NONE; place = slab.next[place] as number)
    records.push({ kind: 'envelope', bytes: slab.envelope(place).encoded });
  return records;
}
