/**
 * The part of the DAG that is not final: insertion with its objective rules, weight, tips, finalising, eviction
 * (spec DAG-2, 4, 5, 6). Parents are here or final before a vertex is inserted, so there is nothing to repair.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { LIMITS } from '../ledger/limits.ts';
import { quorumOf, type ValidatorSet } from '../ledger/validators.ts';
import { Anchors, FinalEnvelopes } from './history.ts';
import { LaneTable } from './lanes.ts';
import { rateLevel, rateSurcharge } from './proof-of-work.ts';
import { checkpointOfRef, finalRef, keyOf, NO_SELF, NONE, PARENT_STRIDE, Slab } from './slab.ts';
import { isLazy, TipPool } from './tips.ts';
import type { VerifiedEnvelope } from './verify.ts';
import { Weights } from './weight.ts';

/**
 * How an envelope came. Limits that depend on this node's view hold for gossip only: what somebody's accepted past
 * or a committed checkpoint needs is taken, or nodes would disagree for ever. A certified one is past judging.
 */
export type Origin = 'gossip' | 'requested' | 'certified' | 'own';

export interface Refusal {
  readonly code: ErrorCode;
  readonly reason: string;
}

export type Insertion =
  | { readonly kind: 'inserted'; readonly place: number; readonly conflict: VerifiedEnvelope | undefined }
  | { readonly kind: 'known' }
  | { readonly kind: 'missing'; readonly parents: readonly Hash[] }
  | { readonly kind: 'anchor-unknown' }
  | ({ readonly kind: 'refused' } & Refusal);

/** Not a place and not a final reference. */
const MISSING = -0x8000_0000;

export interface GraphOptions {
  readonly subnet: Hash;
  readonly members: ValidatorSet;
  readonly self: number;
  readonly powBits: number;
}

const laneIndex = (issuer: number, lane: number): number => issuer * LIMITS.envelopeLanesMax + lane;

export class Graph {
  readonly slab: Slab = new Slab();
  readonly weights: Weights;
  readonly tips: TipPool = new TipPool();
  /** Tips that approve another member's newest envelope. */
  readonly fresh: TipPool = new TipPool();
  readonly finals: FinalEnvelopes = new FinalEnvelopes();
  readonly anchors: Anchors;
  lanes: LaneTable;
  /** Places accepted since it was last emptied by the owner. */
  readonly accepted: number[] = [];
  readonly #subnet: Hash;
  readonly #self: number;
  readonly #index = new Map<string, number>();
  /** For each lane the first place seen in each slot. */
  readonly #slots = new Map<number, Map<number, number>>();
  /** For each lane the place of its newest pending envelope. */
  readonly #newest: Int32Array;
  /** Lanes with two envelopes in one pending slot: no tips until a checkpoint decides. */
  readonly #muted = new Set<number>();
  readonly pendingByMember: number[];
  readonly #share: readonly number[];
  readonly #resolved = new Int32Array(LIMITS.parentsMax);

  constructor(options: GraphOptions) {
    const stake = options.members.map((member) => member.weight);
    const quorum = quorumOf(stake);
    this.#subnet = options.subnet;
    this.#self = options.self;
    this.weights = new Weights(stake, quorum.strong);
    this.anchors = new Anchors(options.subnet, options.powBits);
    this.lanes = new LaneTable(stake);
    this.#newest = new Int32Array(stake.length * LIMITS.envelopeLanesMax).fill(NONE);
    this.pendingByMember = stake.map(() => 0);
    this.#share = stake.map((weight) =>
      Math.max(1, Math.floor((LIMITS.pendingEnvelopesMax * weight) / quorum.total)),
    );
  }

  /** The place of a pending vertex, a negative reference to a final one, or undefined. */
  locate(hash: Hash): number | undefined {
    const key = keyOf(hash);
    const place = this.#index.get(key);
    if (place !== undefined) return place;
    const final = this.finals.at(key);
    if (final !== undefined) return finalRef(final.checkpoint);
    return equalBytes(hash, this.#subnet) ? finalRef(0) : undefined;
  }

  place(hash: Hash): number | undefined {
    return this.#index.get(keyOf(hash));
  }

  /** Place of the newest pending envelope of a lane, or `NONE`. */
  newestOf(issuer: number, lane: number): number {
    return this.#newest[laneIndex(issuer, lane)] as number;
  }

  /** Highest sequence held with all its past in a lane, pending or final; 0 when there is none. */
  sequenceOf(issuer: number, lane: number): number {
    const place = this.newestOf(issuer, lane);
    const final = this.lanes.issuerLane(issuer, lane)?.sequence ?? 0;
    return place === NONE ? final : Math.max(final, this.slab.sequence[place] as number);
  }

  isMuted(issuer: number, lane: number): boolean {
    return this.#muted.has(laneIndex(issuer, lane));
  }

  insert(verified: VerifiedEnvelope, origin: Origin): Insertion {
    const { envelope, issuer } = verified;
    const key = keyOf(verified.hash);
    if (this.#index.has(key) || this.finals.at(key) !== undefined) return { kind: 'known' };
    const anchor = this.anchors.find(envelope.anchor);
    if (anchor === undefined) return { kind: 'anchor-unknown' };
    if (origin === 'gossip' && this.anchors.head - anchor.sequence > LIMITS.anchorAgeMax)
      return refuse(
        'envelope.too-old',
        `the anchor is checkpoint ${anchor.sequence} of ${this.anchors.head}`,
      );

    const missing = this.#resolve(envelope.parents);
    if (missing !== undefined) return { kind: 'missing', parents: missing };
    const selfAt = envelope.sequence === 1 ? NO_SELF : positionOf(envelope.parents, envelope.previous);
    const level = this.#levelAfter(verified, selfAt);
    if (origin !== 'certified') {
      const bits = anchor.powBits + rateSurcharge(level);
      if (verified.workBits < bits)
        return refuse('envelope.proof-of-work', `expected ${bits} bits of work, got ${verified.workBits}`);
      const refusal =
        this.#selfParentFlaw(verified, selfAt, origin) ??
        this.#parentFlaw(verified, selfAt, anchor.sequence) ??
        this.#capacityFlaw(verified, origin);
      if (refusal !== undefined) return { kind: 'refused', ...refusal };
    }
    const lane = laneIndex(issuer, envelope.lane);
    const rival = this.#slots.get(lane)?.get(envelope.sequence);
    if (rival !== undefined && origin === 'gossip' && this.#muted.has(lane))
      return refuse('envelope.equivocation', 'two envelopes of this slot are known already');
    const place = this.#place(verified, key, selfAt, level);
    return {
      kind: 'inserted',
      place,
      conflict: rival === undefined ? undefined : this.slab.envelope(rival),
    };
  }

  /** Fills `#resolved`; the parents that are neither here nor final, or undefined when all are. */
  #resolve(parents: readonly Hash[]): Hash[] | undefined {
    let missing: Hash[] | undefined;
    for (let i = 0; i < parents.length; i += 1) {
      const parent = parents[i] as Hash;
      const found = this.locate(parent);
      this.#resolved[i] = found ?? MISSING;
      if (found === undefined) (missing ??= []).push(parent);
    }
    return missing;
  }

  #levelAfter(verified: VerifiedEnvelope, selfAt: number): number {
    const { envelope, issuer } = verified;
    return selfAt === NO_SELF
      ? rateLevel(0, 0)
      : this.levelAfter({
          issuer,
          lane: envelope.lane,
          previous: envelope.previous,
          time: envelope.time,
          self: this.#resolved[selfAt] as number,
        });
  }

  /** Level of the issuer's rate bucket after an envelope that follows `previous` at place or reference `self`. */
  levelAfter(next: {
    readonly issuer: number;
    readonly lane: number;
    readonly previous: Hash;
    readonly self: number;
    readonly time: number;
  }): number {
    if (next.self >= 0) {
      const elapsed = next.time - (this.slab.time[next.self] as number);
      return rateLevel(this.slab.level[next.self] as number, Math.max(0, elapsed));
    }
    const last = this.lanes.issuerLane(next.issuer, next.lane);
    // Behind a final loser of its slot the lane is dead anyway.
    if (last === undefined || !equalBytes(last.hash, next.previous)) return rateLevel(0, 0);
    return rateLevel(last.level, Math.max(0, next.time - last.time));
  }

  /** The issuer's lane is a chain: same lane, next sequence, time not before (spec DAG-2.5). */
  #selfParentFlaw(verified: VerifiedEnvelope, selfAt: number, origin: Origin): Refusal | undefined {
    const { envelope, issuer } = verified;
    const { slab } = this;
    const last = this.lanes.issuerLane(issuer, envelope.lane);
    const ref = selfAt === NO_SELF ? MISSING : (this.#resolved[selfAt] as number);
    if (ref >= 0) {
      if (slab.issuer[ref] !== issuer || slab.lane[ref] !== envelope.lane)
        return flaw('envelope.sequence', 'the predecessor belongs to another lane');
      if ((slab.sequence[ref] as number) + 1 !== envelope.sequence)
        return flaw('envelope.sequence', `expected sequence ${(slab.sequence[ref] as number) + 1}`);
    } else if (last !== undefined && equalBytes(last.hash, envelope.previous)) {
      if (last.sequence + 1 !== envelope.sequence)
        return flaw('envelope.sequence', `expected sequence ${last.sequence + 1}`);
    } else if (origin === 'gossip' && (last !== undefined || selfAt !== NO_SELF)) {
      return flaw('envelope.equivocation', 'another envelope of this slot is final');
    }
    if (
      origin === 'gossip' &&
      envelope.sequence > this.sequenceOf(issuer, envelope.lane) + LIMITS.sequenceAheadMax
    )
      return flaw('envelope.sequence', 'the sequence is too far ahead');
    return undefined;
  }

  /** Times never go back along edges, and nobody attaches to what was final long before its anchor (spec DAG-2.6, 2.7). */
  #parentFlaw(verified: VerifiedEnvelope, selfAt: number, anchored: number): Refusal | undefined {
    const { envelope } = verified;
    for (let i = 0; i < envelope.parents.length; i += 1) {
      const ref = this.#resolved[i] as number;
      let time: number;
      if (ref >= 0) time = this.slab.time[ref] as number;
      else {
        if (i !== selfAt && anchored - checkpointOfRef(ref) > LIMITS.parentDepthMax)
          return flaw(
            'envelope.too-old',
            `a parent was final ${anchored - checkpointOfRef(ref)} checkpoints before`,
          );
        time = this.finals.find(envelope.parents[i] as Hash)?.time ?? 0;
      }
      if (envelope.time < time) return flaw('envelope.malformed', 'the time lies before that of a parent');
    }
    return undefined;
  }

  #capacityFlaw(verified: VerifiedEnvelope, origin: Origin): Refusal | undefined {
    if (origin === 'own') return undefined;
    const { slab } = this;
    const share = this.#share[verified.issuer] as number;
    // Half of the room is kept for what accepted pasts and checkpoints ask for.
    const part = origin === 'gossip' ? 0.5 : 1;
    const crowded =
      (this.pendingByMember[verified.issuer] as number) >= share * part ||
      slab.bytes + verified.encoded.length > LIMITS.pendingBytesMax * part ||
      slab.count >= LIMITS.pendingEnvelopesMax * part;
    return crowded
      ? flaw('envelope.pool-full', 'too many envelopes of this issuer are not final yet')
      : undefined;
  }

  /** Own load above which drafting pauses: a quarter of the share, so peers never have to refuse us. */
  isCrowded(): boolean {
    const share = this.#share[this.#self] ?? 0;
    return (
      (this.pendingByMember[this.#self] as number) >= share / 4 ||
      this.slab.bytes > LIMITS.pendingBytesMax / 4
    );
  }

  #place(verified: VerifiedEnvelope, key: string, selfAt: number, level: number): number {
    const { slab } = this;
    const { envelope, issuer } = verified;
    const place = slab.allocate(verified);
    this.#index.set(key, place);
    this.pendingByMember[issuer] = (this.pendingByMember[issuer] as number) + 1;
    const count = envelope.parents.length;
    for (let i = 0; i < count; i += 1) slab.parents[place * PARENT_STRIDE + i] = this.#resolved[i] as number;
    slab.parentCount[place] = count;
    slab.selfAt[place] = selfAt;
    slab.level[place] = level;
    slab.cameAt[place] = this.anchors.head;
    this.#measureDepth(place);
    const approvesNews = this.#approvesNews(place);
    this.#takeSlot(place);
    this.#updateTips(place, approvesNews);
    this.weights.approve(slab, place, this.accepted);
    return place;
  }

  /** The self-parent counts for the newest root only: a member that was away still has its old chain behind it. */
  #measureDepth(place: number): void {
    const { slab } = this;
    const start = place * PARENT_STRIDE;
    const count = slab.parentCount[place] as number;
    let newest = 0;
    let oldest = 0x7fff_ffff;
    for (let i = 0; i < count; i += 1) {
      const ref = slab.parents[start + i] as number;
      const high = ref < 0 ? checkpointOfRef(ref) : (slab.newest[ref] as number);
      const low = ref < 0 ? high : (slab.oldest[ref] as number);
      if (high > newest) newest = high;
      if ((i !== slab.selfAt[place] || count === 1) && low < oldest) oldest = low;
    }
    slab.newest[place] = newest;
    slab.oldest[place] = oldest;
  }

  #approvesNews(place: number): boolean {
    const { slab } = this;
    const start = place * PARENT_STRIDE;
    for (let i = 0; i < (slab.parentCount[place] as number); i += 1) {
      const ref = slab.parents[start + i] as number;
      if (ref < 0 || slab.issuer[ref] === slab.issuer[place]) continue;
      if (this.#newest[laneIndex(slab.issuer[ref] as number, slab.lane[ref] as number)] === ref) return true;
    }
    return false;
  }

  #takeSlot(place: number): void {
    const { slab } = this;
    const lane = laneIndex(slab.issuer[place] as number, slab.lane[place] as number);
    const sequence = slab.sequence[place] as number;
    let slots = this.#slots.get(lane);
    if (slots === undefined) {
      slots = new Map();
      this.#slots.set(lane, slots);
    }
    if (slots.has(sequence)) this.#muted.add(lane);
    else slots.set(sequence, place);
    const newest = this.#newest[lane] as number;
    if (newest === NONE || (slab.sequence[newest] as number) < sequence) this.#newest[lane] = place;
  }

  #updateTips(place: number, approvesNews: boolean): void {
    const { slab } = this;
    const lane = laneIndex(slab.issuer[place] as number, slab.lane[place] as number);
    if (this.#muted.has(lane)) {
      this.#dropTipsOf(lane);
      return;
    }
    if (isLazy(slab, place, this.anchors.head)) return;
    const start = place * PARENT_STRIDE;
    for (let i = 0; i < (slab.parentCount[place] as number); i += 1) {
      const parent = slab.parents[start + i] as number;
      if (parent < 0) continue;
      slab.children[parent] = (slab.children[parent] as number) + 1;
      this.#dropTip(parent);
    }
    this.tips.add(place);
    if (approvesNews) this.fresh.add(place);
  }

  #dropTip(place: number): void {
    this.tips.remove(place);
    this.fresh.remove(place);
  }

  #dropTipsOf(lane: number): void {
    const { slab } = this;
    for (const tip of this.tips.places().slice()) {
      if (laneIndex(slab.issuer[tip] as number, slab.lane[tip] as number) === lane) this.#dropTip(tip);
    }
  }

  /** Makes the places final under a checkpoint that is already the last anchor: they leave memory (spec DAG-6.5). */
  finalise(order: readonly number[], checkpoint: number): void {
    const { slab } = this;
    const stamp = slab.stamp();
    for (const place of order) {
      slab.mark[place] = stamp;
      const { hash, envelope } = slab.envelope(place);
      this.finals.add({ hash, checkpoint, time: envelope.time });
      this.#index.delete(keyOf(hash));
      this.#dropTip(place);
    }
    const ref = finalRef(checkpoint);
    for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
      if (slab.mark[place] === stamp) continue;
      const start = place * PARENT_STRIDE;
      for (let i = start; i < start + (slab.parentCount[place] as number); i += 1) {
        const parent = slab.parents[i] as number;
        if (parent >= 0 && slab.mark[parent] === stamp) slab.parents[i] = ref;
      }
    }
    for (const place of order) slab.free(place);
    this.#evict();
    this.#rebuild();
  }

  /**
   * Drops what no other member has approved for long, with all that stands on it: as nobody else approved it, that is
   * the same issuer's. It comes back by request if its issuer goes on. Own envelopes are never dropped.
   */
  #evict(): void {
    const { slab } = this;
    const horizon = this.anchors.head - 2 * LIMITS.parentDepthMax;
    const stamp = slab.stamp();
    const evicted: number[] = [];
    for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
      const issuer = slab.issuer[place] as number;
      if (issuer === this.#self || ((slab.bits[place] as number) & ~(1 << issuer)) !== 0) continue;
      const start = place * PARENT_STRIDE;
      let drop = (slab.cameAt[place] as number) < horizon;
      for (let i = start; !drop && i < start + (slab.parentCount[place] as number); i += 1) {
        const parent = slab.parents[i] as number;
        drop = parent >= 0 && slab.mark[parent] === stamp;
      }
      if (!drop) continue;
      slab.mark[place] = stamp;
      evicted.push(place);
    }
    for (const place of evicted) {
      this.#index.delete(keyOf(slab.hash(place)));
      this.#dropTip(place);
      slab.free(place);
    }
  }

  /** After places have left: depth, slots, heads, children and tips anew, in one pass in order of the DAG. */
  #rebuild(): void {
    const { slab } = this;
    const approving = new Set(this.fresh.places());
    this.#slots.clear();
    this.#newest.fill(NONE);
    this.#muted.clear();
    this.pendingByMember.fill(0);
    for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
      const issuer = slab.issuer[place] as number;
      this.pendingByMember[issuer] = (this.pendingByMember[issuer] as number) + 1;
      slab.children[place] = 0;
      this.#measureDepth(place);
      this.#takeSlot(place);
    }
    for (const tip of this.tips.places().slice()) this.#dropTip(tip);
    for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
      this.#updateTips(place, approving.has(place));
    }
  }
}

function positionOf(parents: readonly Hash[], hash: Hash): number {
  for (let i = 0; i < parents.length; i += 1) if (compareBytes(parents[i] as Hash, hash) === 0) return i;
  return NO_SELF;
}

function flaw(code: ErrorCode, reason: string): Refusal {
  return { code, reason };
}

function refuse(code: ErrorCode, reason: string): Insertion {
  return { kind: 'refused', code, reason };
}
