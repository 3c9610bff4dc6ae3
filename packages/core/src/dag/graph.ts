/**
 * The part of the DAG that is not final: insertion with its objective rules, weight, tips, finalising, eviction
 * (spec DAG-2, 4, 5, 6). Parents are here or final before a vertex is inserted, so there is nothing to repair.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { LIMITS } from '../ledger/limits.ts';
import { quorumOf, type ValidatorSet } from '../ledger/validators.ts';
import { Anchors, FinalEnvelopes } from './history.ts';
import { HashTable } from './hash-table.ts';
import { LaneTable, type LaneDraft } from './lanes.ts';
import { rateLevel, rateSurcharge } from './proof-of-work.ts';
import { checkpointOfRef, finalRef, NO_SELF, NONE, PARENT_STRIDE, Slab } from './slab.ts';
import { laneIndex, Slots } from './slots.ts';
import { adjustmentOf, bitsNeeded } from './standing.ts';
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
  /** For the secrets of its tables: strangers choose hashes, not where they lie. */
  readonly random?: () => number;
  /** Where a set of members goes on from; absent for the first one. */
  readonly past?: GraphPast;
}

/** What one set of members leaves to the next. */
export interface GraphPast {
  readonly lanes: LaneTable;
  readonly anchors: Anchors;
  readonly finals: FinalEnvelopes;
  /** Last checkpoint of the set before: what is anchored below it is void. */
  readonly since: number;
}

export class Graph {
  readonly slab: Slab = new Slab();
  readonly weights: Weights;
  readonly tips: TipPool = new TipPool();
  /** Tips that approve another member's newest envelope. */
  readonly fresh: TipPool = new TipPool();
  readonly finals: FinalEnvelopes;
  readonly anchors: Anchors;
  /** Last checkpoint of the members before these; 0 for the first ones. */
  readonly since: number;
  #lanes: LaneTable;
  /** Places accepted since it was last emptied by the owner. */
  readonly accepted: number[] = [];
  /** Base bits of the subnet: the least anybody ever pays. */
  readonly powBits: number;
  readonly #subnet: Hash;
  readonly #self: number;
  /** Pending envelopes by hash. */
  readonly #index: HashTable;
  readonly #slots: Slots;
  readonly pendingByMember: number[];
  readonly #bytesByMember: Float64Array;
  readonly #share: readonly number[];
  readonly #shareBytes: readonly number[];
  readonly #resolved = new Int32Array(LIMITS.parentsMax);

  constructor(options: GraphOptions) {
    const stake = options.members.map((member) => member.weight);
    const quorum = quorumOf(stake);
    this.#subnet = options.subnet;
    this.#self = options.self;
    this.powBits = options.powBits;
    this.weights = new Weights(stake, quorum.strong);
    const { past } = options;
    this.since = past?.since ?? 0;
    this.anchors = past?.anchors ?? new Anchors(options.subnet, options.powBits, options.random);
    this.finals = past?.finals ?? new FinalEnvelopes(options.random);
    this.#index = new HashTable(options.random);
    this.#slots = new Slots(this.slab, stake.length);
    this.#lanes = past?.lanes ?? new LaneTable(stake);
    if (past !== undefined) this.weights.setWork(past.lanes.standings.map(({ workWeight }) => workWeight));
    this.pendingByMember = stake.map(() => 0);
    this.#bytesByMember = new Float64Array(stake.length);
    this.#share = stake.map((weight) =>
      Math.max(1, Math.floor((LIMITS.pendingEnvelopesMax * weight) / quorum.total)),
    );
    // Whoever has little stake may still have two of the largest pending.
    this.#shareBytes = stake.map((weight) =>
      Math.max(4 * LIMITS.envelopeBytesMax, Math.floor((LIMITS.pendingBytesMax * weight) / quorum.total)),
    );
  }

  get lanes(): LaneTable {
    return this.#lanes;
  }

  /** The state of a snapshot, with the weights it gives. */
  restoreLanes(lanes: LaneTable): void {
    this.#lanes = lanes;
    this.weights.setWork(lanes.standings.map((standing) => standing.workWeight));
  }

  /** Takes over what a checkpoint made of the lanes; it is the newest anchor from now on, and `finalise` comes next. */
  advance(
    lanes: LaneDraft,
    anchor: { readonly hash: Hash; readonly sequence: number; readonly powBits: number },
  ): void {
    this.#lanes.adopt(lanes);
    const { standings } = this.#lanes;
    this.weights.setWork(standings.map((standing) => standing.workWeight));
    this.anchors.add({ ...anchor, adjustments: this.#adjustments() });
  }

  /** Shared with the anchor before while nobody's standing has changed by a bit. */
  #adjustments(): readonly number[] | undefined {
    const now = this.#lanes.standings.map(adjustmentOf);
    const before = this.anchors.last.adjustments;
    if (now.every((bits, i) => bits === (before?.[i] ?? 0))) return before;
    return now;
  }

  /** The place of a pending vertex, a negative reference to a final one, or undefined. */
  locate(hash: Hash): number | undefined {
    const found = this.#locate(hash);
    return found === MISSING ? undefined : found;
  }

  #locate(hash: Hash): number {
    const place = this.#index.find(hash);
    if (place >= 0) return place;
    const final = this.finals.position(hash);
    if (final >= 0) return finalRef(this.finals.checkpointAt(final));
    return equalBytes(hash, this.#subnet) ? finalRef(0) : MISSING;
  }

  place(hash: Hash): number | undefined {
    const place = this.#index.find(hash);
    return place < 0 ? undefined : place;
  }

  /** Place of the newest pending envelope of a lane, or `NONE`. */
  newestOf(issuer: number, lane: number): number {
    return this.#slots.newest[laneIndex(issuer, lane)] as number;
  }

  /** Highest sequence held with all its past in a lane, pending or final; 0 when there is none. */
  sequenceOf(issuer: number, lane: number): number {
    const place = this.newestOf(issuer, lane);
    const final = this.lanes.issuerLane(issuer, lane)?.sequence ?? 0;
    return place === NONE ? final : Math.max(final, this.slab.sequence[place] as number);
  }

  isMuted(issuer: number, lane: number): boolean {
    return this.#slots.isMuted(laneIndex(issuer, lane));
  }

  insert(verified: VerifiedEnvelope, origin: Origin): Insertion {
    const { envelope, issuer } = verified;
    if (this.#index.find(verified.hash) >= 0 || this.finals.position(verified.hash) >= 0)
      return { kind: 'known' };
    const anchor = this.anchors.find(envelope.anchor);
    if (anchor === undefined) return { kind: 'anchor-unknown' };
    if (anchor.sequence < this.since)
      return refuse('envelope.too-old', 'it was made under members that decide no longer');
    if (origin === 'gossip' && this.anchors.head - anchor.sequence > LIMITS.anchorAgeMax)
      return refuse(
        'envelope.too-old',
        `the anchor is checkpoint ${anchor.sequence} of ${this.anchors.head}`,
      );

    const { parents } = envelope;
    let complete = true;
    for (let i = 0; i < parents.length; i += 1) {
      const found = this.#locate(parents[i] as Hash);
      this.#resolved[i] = found;
      if (found === MISSING) complete = false;
    }
    if (!complete) return { kind: 'missing', parents: this.#missingOf(parents) };
    const selfAt = envelope.sequence === 1 ? NO_SELF : positionOf(parents, envelope.previous);
    const level = this.#levelAfter(verified, selfAt);
    if (origin !== 'certified') {
      const bits = bitsNeeded(anchor, issuer, rateSurcharge(level), this.powBits);
      if (verified.workBits < bits)
        return refuse('envelope.proof-of-work', `expected ${bits} bits of work, got ${verified.workBits}`);
      const refusal =
        this.#selfParentFlaw(verified, selfAt, origin) ??
        this.#parentFlaw(verified, selfAt, anchor.sequence) ??
        this.#capacityFlaw(verified, origin);
      if (refusal !== undefined) return { kind: 'refused', ...refusal };
    }
    const lane = laneIndex(issuer, envelope.lane);
    const rival = this.#slots.first(lane, envelope.sequence);
    if (rival !== NONE && origin === 'gossip' && this.#slots.isMuted(lane))
      return refuse('envelope.equivocation', 'two envelopes of this slot are known already');
    const conflict = rival === NONE ? undefined : this.slab.envelope(rival);
    return { kind: 'inserted', place: this.#place(verified, selfAt, level), conflict };
  }

  /** Of parents just looked up, those that are neither here nor final. */
  #missingOf(parents: readonly Hash[]): Hash[] {
    return parents.filter((_, i) => this.#resolved[i] === MISSING);
  }

  #levelAfter(verified: VerifiedEnvelope, selfAt: number): number {
    if (selfAt === NO_SELF) return rateLevel(0, 0);
    const { envelope, issuer } = verified;
    const self = this.#resolved[selfAt] as number;
    return self >= 0
      ? this.#levelAfterPlace(self, envelope.time)
      : this.#levelAfterFinal(issuer, envelope.lane, envelope.previous, envelope.time);
  }

  #levelAfterPlace(self: number, time: number): number {
    return rateLevel(this.slab.level[self] as number, Math.max(0, time - (this.slab.time[self] as number)));
  }

  #levelAfterFinal(issuer: number, lane: number, previous: Hash, time: number): number {
    const last = this.lanes.issuerLane(issuer, lane);
    // Behind a final loser of its slot the lane is dead anyway.
    if (last === undefined || !equalBytes(last.hash, previous)) return rateLevel(0, 0);
    return rateLevel(last.level, Math.max(0, time - last.time));
  }

  /** Level of the issuer's rate bucket after an envelope that follows `previous` at place or reference `self`. */
  levelAfter(next: {
    readonly issuer: number;
    readonly lane: number;
    readonly previous: Hash;
    readonly self: number;
    readonly time: number;
  }): number {
    return next.self >= 0
      ? this.#levelAfterPlace(next.self, next.time)
      : this.#levelAfterFinal(next.issuer, next.lane, next.previous, next.time);
  }

  /** The issuer's lane is a chain: same lane, next sequence, time not before (spec DAG-2.5). */
  #selfParentFlaw(verified: VerifiedEnvelope, selfAt: number, origin: Origin): Refusal | undefined {
    const { envelope, issuer } = verified;
    const { slab } = this;
    const ref = selfAt === NO_SELF ? MISSING : (this.#resolved[selfAt] as number);
    // The rule, for nearly every envelope: it follows the newest of its lane.
    if (
      ref >= 0 &&
      this.#slots.newest[laneIndex(issuer, envelope.lane)] === ref &&
      (slab.sequence[ref] as number) + 1 === envelope.sequence
    )
      return undefined;
    const last = this.lanes.issuerLane(issuer, envelope.lane);
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
        const final = this.finals.position(envelope.parents[i] as Hash);
        time = final < 0 ? 0 : this.finals.timeAt(final);
      }
      if (envelope.time < time) return flaw('envelope.malformed', 'the time lies before that of a parent');
    }
    return undefined;
  }

  #capacityFlaw(verified: VerifiedEnvelope, origin: Origin): Refusal | undefined {
    if (origin === 'own') return undefined;
    const { slab } = this;
    const { issuer } = verified;
    // Half of the room is kept for what accepted pasts and checkpoints ask for.
    const part = origin === 'gossip' ? 0.5 : 1;
    const bytes = (this.#bytesByMember[issuer] as number) + verified.encoded.length;
    const crowded =
      (this.pendingByMember[issuer] as number) >= (this.#share[issuer] as number) * part ||
      bytes > (this.#shareBytes[issuer] as number) * part ||
      slab.bytes + verified.encoded.length > LIMITS.pendingBytesMax * part ||
      slab.count >= LIMITS.pendingEnvelopesMax * part;
    return crowded
      ? flaw('envelope.pool-full', 'too many envelopes of this issuer are not final yet')
      : undefined;
  }

  /** Own load above which drafting pauses: a quarter of the share, so peers never have to refuse us. */
  isCrowded(): boolean {
    const own = this.#self;
    return (
      (this.pendingByMember[own] as number) >= (this.#share[own] ?? 0) / 4 ||
      (this.#bytesByMember[own] as number) > (this.#shareBytes[own] ?? 0) / 4 ||
      this.slab.bytes > LIMITS.pendingBytesMax / 4
    );
  }

  #place(verified: VerifiedEnvelope, selfAt: number, level: number): number {
    const { slab } = this;
    const { envelope } = verified;
    const place = slab.allocate(verified);
    this.#index.add(verified.hash, place);
    this.#count(verified);
    const count = envelope.parents.length;
    for (let i = 0; i < count; i += 1) slab.parents[place * PARENT_STRIDE + i] = this.#resolved[i] as number;
    slab.parentCount[place] = count;
    slab.selfAt[place] = selfAt;
    slab.level[place] = level;
    slab.cameAt[place] = this.anchors.head;
    this.#measureDepth(place);
    const approvesNews = this.#approvesNews(place);
    this.#slots.take(place);
    this.#updateTips(place, approvesNews);
    this.weights.approve(slab, place, this.accepted);
    return place;
  }

  #count({ issuer, encoded }: VerifiedEnvelope): void {
    this.pendingByMember[issuer] = (this.pendingByMember[issuer] as number) + 1;
    this.#bytesByMember[issuer] = (this.#bytesByMember[issuer] as number) + encoded.length;
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
      if (this.#slots.newest[laneIndex(slab.issuer[ref] as number, slab.lane[ref] as number)] === ref)
        return true;
    }
    return false;
  }

  #updateTips(place: number, approvesNews: boolean): void {
    const { slab } = this;
    if (this.#slots.mutedCount > 0) {
      const lane = laneIndex(slab.issuer[place] as number, slab.lane[place] as number);
      if (this.#slots.isMuted(lane)) {
        this.#dropTipsOf(lane);
        return;
      }
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
      this.#index.delete(place);
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
      this.#index.delete(place);
      this.#dropTip(place);
      slab.free(place);
    }
  }

  /** After places have left: depth, slots, heads, children and tips anew, in one pass in order of the DAG. */
  #rebuild(): void {
    const { slab } = this;
    const approving = new Set(this.fresh.places());
    this.#slots.clear();
    this.pendingByMember.fill(0);
    this.#bytesByMember.fill(0);
    for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
      this.#count(slab.envelope(place));
      slab.children[place] = 0;
      this.#measureDepth(place);
      this.#slots.take(place);
    }
    for (const tip of this.tips.places().slice()) this.#dropTip(tip);
    for (let place = slab.first; place !== NONE; place = slab.next[place] as number) {
      this.#updateTips(place, approving.has(place));
    }
  }
}

function positionOf(parents: readonly Hash[], hash: Hash): number {
  for (let i = 0; i < parents.length; i += 1) if (equalBytes(parents[i] as Hash, hash)) return i;
  return NO_SELF;
}

function flaw(code: ErrorCode, reason: string): Refusal {
  return { code, reason };
}

function refuse(code: ErrorCode, reason: string): Insertion {
  return { kind: 'refused', code, reason };
}
