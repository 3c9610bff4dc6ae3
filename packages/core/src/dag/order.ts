/**
 * What a checkpoint makes of its cone (spec DAG-6): the canonical order, who wins each contested slot, which
 * payloads apply, the roots. A pure function of anchors, cone and the state after the previous checkpoint, so
 * every member computes the same, in whatever order the envelopes came.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { hashTagged, type Hash } from '../crypto/hash.ts';
import { merkleRoot, merkleRootOfRow } from '../crypto/merkle.ts';
import { checkpointHash, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { millis } from '../ledger/ids.ts';
import type { Deposit } from '../ledger/escrow.ts';
import { LIMITS } from '../ledger/limits.ts';
import { payloadIds, type Payload } from '../ledger/payload.ts';
import { isVoucher } from '../ledger/value-order.ts';
import type { AppliedPayload, IgnoredPayload } from './effects.ts';
import type { Graph } from './graph.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import type { MemberTurn } from './turn.ts';
import { LaneDraft, type PayloadOutcome } from './lanes.ts';
import type { ValueRefusal } from './ledger-table.ts';
import { PARENT_STRIDE, type Slab } from './slab.ts';
import { creditedWork, freshConduct, type Conduct } from './standing.ts';
import type { Weights } from './weight.ts';

/** A checkpoint worked out: what would be signed, and what would be applied. */
export interface Evaluation {
  readonly checkpoint: SubnetCheckpoint;
  readonly hash: Hash;
  /** Places in canonical order; good until the graph next finalises. */
  readonly order: readonly number[];
  readonly lanes: LaneDraft;
  readonly applied: readonly AppliedPayload[];
  readonly ignored: readonly IgnoredPayload[];
  /** Behind this checkpoint others decide. */
  readonly turn: MemberTurn | undefined;
}

/**
 * Post-order of the pending past of the anchors: parents before children, anchors and parents in byte order. An
 * explicit stack, because chains are long. Undefined when the cone exceeds the limit.
 */
export function canonicalOrder(
  slab: Slab,
  anchors: readonly number[],
  countMax: number = LIMITS.coneEnvelopesMax,
): number[] | undefined {
  const stamp = slab.stamp();
  const order: number[] = [];
  const stack: number[] = [];
  const edge: number[] = [];
  for (const anchor of anchors) {
    if (slab.mark[anchor] === stamp) continue;
    slab.mark[anchor] = stamp;
    stack.push(anchor);
    edge.push(0);
    while (stack.length > 0) {
      const top = stack.length - 1;
      const place = stack[top] as number;
      const at = edge[top] as number;
      if (at === (slab.parentCount[place] as number)) {
        order.push(place);
        stack.pop();
        edge.pop();
        if (order.length + stack.length > countMax) return undefined;
        continue;
      }
      edge[top] = at + 1;
      const parent = slab.parents[place * PARENT_STRIDE + at] as number;
      if (parent < 0 || slab.mark[parent] === stamp) continue;
      slab.mark[parent] = stamp;
      stack.push(parent);
      edge.push(0);
    }
  }
  return order.length > countMax ? undefined : order;
}

/** For each place of the order, the members whose newest envelopes inside the cone approve it. */
function approvalsInCone(slab: Slab, order: readonly number[]): Map<number, number> {
  const newest = new Map<number, number>();
  for (const place of order) {
    const lane = (slab.issuer[place] as number) * LIMITS.envelopeLanesMax + (slab.lane[place] as number);
    newest.set(lane, Math.max(newest.get(lane) ?? 0, slab.sequence[place] as number));
  }
  const bits = new Map<number, number>();
  // Children come after parents, so one pass backwards carries every approval down to all ancestors.
  for (let i = order.length - 1; i >= 0; i -= 1) {
    const place = order[i] as number;
    const issuer = slab.issuer[place] as number;
    const lane = issuer * LIMITS.envelopeLanesMax + (slab.lane[place] as number);
    const seed = newest.get(lane) === slab.sequence[place] ? 1 << issuer : 0;
    const own = (bits.get(place) ?? 0) | seed;
    bits.set(place, own);
    const start = place * PARENT_STRIDE;
    for (let j = start; j < start + (slab.parentCount[place] as number); j += 1) {
      const parent = slab.parents[j] as number;
      if (parent >= 0) bits.set(parent, (bits.get(parent) ?? 0) | own);
    }
  }
  return bits;
}

/** The tie-break nobody can grind towards: it depends on the previous checkpoint. */
function saltedHash(salt: Hash, hash: Hash): Hash {
  return hashTagged('envelope', salt, hash);
}

/**
 * Follows every issuer's lane from its last final envelope: the next must name the winner before it. Of several in one
 * slot the heavier in the cone, by stake and work, wins, then the smaller salted hash. What loses, or stands on a loser, is
 * final but not counted (spec DAG-6.3). Returns the winners and moves the lanes of `draft`.
 */
function settleSlots(
  graph: { readonly slab: Slab; readonly weights: Weights },
  order: readonly number[],
  draft: LaneDraft,
  salt: Hash,
): Set<number> {
  const { slab, weights } = graph;
  const byLane = new Map<number, number[]>();
  for (const place of order) {
    const lane = (slab.issuer[place] as number) * LIMITS.envelopeLanesMax + (slab.lane[place] as number);
    const places = byLane.get(lane);
    if (places === undefined) byLane.set(lane, [place]);
    else places.push(place);
  }
  const winners = new Set<number>();
  let approvals: Map<number, number> | undefined;
  for (const [lane, places] of byLane) {
    // Stable: places of one slot stay in canonical order.
    places.sort((a, b) => (slab.sequence[a] as number) - (slab.sequence[b] as number));
    let head = draft.issuerLane(lane);
    for (let i = 0; i < places.length;) {
      const sequence = slab.sequence[places[i] as number] as number;
      const rivals: number[] = [];
      for (; i < places.length && slab.sequence[places[i] as number] === sequence; i += 1) {
        const place = places[i] as number;
        const { envelope } = slab.envelope(place);
        const follows =
          sequence === (head?.sequence ?? 0) + 1 &&
          (head === undefined || equalBytes(envelope.previous, head.hash));
        if (follows) rivals.push(place);
      }
      let winner = rivals[0];
      if (winner === undefined) continue;
      if (rivals.length > 1) {
        approvals ??= approvalsInCone(slab, order);
        winner = heaviest(slab, weights, rivals, approvals, salt);
      }
      winners.add(winner);
      const { envelope, hash } = slab.envelope(winner);
      head = {
        issuer: slab.issuer[winner] as number,
        lane: envelope.lane,
        sequence,
        hash,
        time: envelope.time,
        level: slab.level[winner] as number,
      };
    }
    if (head !== undefined && head !== draft.issuerLane(lane)) draft.setIssuerLane(head);
  }
  return winners;
}

function heaviest(
  slab: Slab,
  weights: Weights,
  rivals: readonly number[],
  approvals: ReadonlyMap<number, number>,
  salt: Hash,
): number {
  let best = rivals[0] as number;
  let bestWeight = -1;
  for (const rival of rivals) {
    const weight = weights.weightOf(approvals.get(rival) ?? 0);
    const wins =
      weight > bestWeight ||
      (weight === bestWeight &&
        compareBytes(saltedHash(salt, slab.hash(rival)), saltedHash(salt, slab.hash(best))) < 0);
    if (!wins) continue;
    best = rival;
    bestWeight = weight;
  }
  return best;
}

/** One bit up or down with the load that became final, within [base, powBitsMax] (spec DAG-3.5). */
export function nextPowBits(load: {
  readonly powBits: number;
  readonly base: number;
  readonly envelopes: number;
  readonly elapsedMs: number;
}): number {
  const elapsed = Math.max(1000, load.elapsedMs);
  if (load.envelopes * 1000 > LIMITS.loadHigh * elapsed) return Math.min(LIMITS.powBitsMax, load.powBits + 1);
  if (load.envelopes * 1000 < LIMITS.loadLow * elapsed) return Math.max(load.base, load.powBits - 1);
  return load.powBits;
}

/**
 * Lazy by what its issuer knew: the checkpoint it names as anchor is far newer than anything it approves. The newest
 * final root of a pending vertex depends on what is final alone, so all members judge alike.
 */
function wasLazy(graph: Graph, place: number): boolean {
  const { slab } = graph;
  const anchor = graph.anchors.find(slab.envelope(place).envelope.anchor);
  return anchor !== undefined && anchor.sequence - (slab.newest[place] as number) > LIMITS.lazyNewestMax;
}

/** An order about value takes its number only when it is carried out: what is ignored changes nothing. */
function applyPayload(
  lanes: LaneDraft,
  payload: Payload,
  issuer: number,
  time: number,
): PayloadOutcome | ValueRefusal {
  if (lanes.isBarred(issuer)) return 'issuer-barred';
  if (payload.contentType !== 'value') return lanes.apply(payload, issuer);
  // Vouchers come late and in any order: their numbers belong to the lane they draw on.
  if (isVoucher(payload)) return lanes.ledger.apply(payload, time) ?? 'applied';
  const outcome = lanes.outcome(payload, issuer);
  if (outcome !== 'applied') return outcome;
  return lanes.ledger.apply(payload, time) ?? lanes.apply(payload, issuer);
}

/**
 * What the next checkpoint with these anchors and deposits is. `anchors` are pending, sorted by hash, distinct, 1 to 32;
 * `deposits` are the next ones of the main chain, at most `depositsPerCheckpointMax`.
 */
export function evaluate(
  graph: Graph,
  subnet: {
    readonly id: Hash;
    readonly powBits: number;
    readonly lastTime: number;
    /** When others decide behind this checkpoint: who decides up to it, and who then. */
    readonly members?: ValidatorSet;
    readonly next?: ValidatorSet | undefined;
  },
  anchors: readonly number[],
  deposits: readonly Deposit[] = [],
): Evaluation | undefined {
  const { slab } = graph;
  const order = canonicalOrder(slab, anchors);
  if (order === undefined) return undefined;
  const previous = graph.anchors.last;
  const lanes = new LaneDraft(graph.lanes, subnet.id);
  const winners = settleSlots(graph, order, lanes, previous.hash);

  const conducts = graph.lanes.stake.map(freshConduct);
  const applied: AppliedPayload[] = [];
  const ignored: IgnoredPayload[] = [];
  let time = subnet.lastTime;
  for (const place of order) time = Math.max(time, slab.time[place] as number);
  for (const deposit of deposits) lanes.ledger.credit(deposit);
  const accusations = new Map<Hash, PayloadOutcome>();
  for (const place of order) {
    const { hash, accusation } = slab.envelope(place);
    // Before any payload: in one checkpoint it does not matter whether the forgery or its proof comes first.
    if (accusation !== undefined && winners.has(place)) accusations.set(hash, lanes.bar(accusation.accused));
  }
  for (const place of order) {
    const { hash, payloads, issuer, workBits } = slab.envelope(place);
    const won = winners.has(place);
    const conduct = conducts[issuer] as Conduct;
    if (won) {
      conduct.counted += 1;
      conduct.work += creditedWork(workBits);
    } else conduct.lost += 1;
    if (wasLazy(graph, place)) conduct.lazy += 1;
    for (const payload of payloads) {
      const outcome = won
        ? (accusations.get(hash) ?? applyPayload(lanes, payload, issuer, time))
        : 'slot-lost';
      if (outcome === 'applied') applied.push({ payload, envelope: hash });
      else ignored.push({ payload, envelope: hash, reason: outcome });
    }
  }
  const sequence = previous.sequence + 1;
  lanes.judge(conducts, sequence, subnet.powBits);
  const { members, next } = subnet;
  const turn = members && next && { members: next, first: sequence + 1 };
  if (turn !== undefined) lanes.turn(members as ValidatorSet, turn);
  const elapsedMs = subnet.lastTime === 0 ? 0 : time - subnet.lastTime;
  const { powBits } = previous;
  const value = lanes.ledger.value();
  const checkpoint: SubnetCheckpoint = {
    subnet: subnet.id,
    sequence,
    previous: previous.hash,
    time: millis(time),
    anchors: anchors.map((anchor) => slab.hash(anchor)),
    inclusionRoot: merkleRoot(order.map((place) => slab.hash(place))),
    appliedRoot: merkleRootOfRow(payloadIds(applied.map(({ payload }) => payload))),
    stateRoot: lanes.finish().root,
    envelopeCount: order.length,
    payloadCount: applied.length,
    powBits: nextPowBits({ powBits, base: subnet.powBits, envelopes: order.length, elapsedMs }),
    ...(value === undefined ? {} : { value }),
  };
  return { checkpoint, hash: checkpointHash(checkpoint), order, lanes, applied, ignored, turn };
}
