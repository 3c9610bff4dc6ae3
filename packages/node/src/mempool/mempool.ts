/**
 * Transactions on their way into a block (spec NODE-3). Lanes keep the order of their nonces, fees decide between
 * lanes, checkpoints go first. Everything is bounded, and what does not fit is refused with a code. Whoever wants to
 * fill it, or the blocks made of it, has to be able to pay for all that waits.
 */
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { idText } from '@itc/core/state/record-map.js';
import { signersFlaw } from '@itc/core/state/apply-keys.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { spendOf, type AccountLanes, type Entry, type Lane } from './entry.ts';
import { Eviction } from './eviction.ts';
import { Heap } from './heap.ts';
import { Selection, type TakeOptions } from './selection.ts';
import { chargeOf, SponsoredPlaces, SPONSORED_LIMITS, type SponsoredLimits } from './sponsored-places.ts';

export type { TakeOptions };

export interface MempoolLimits extends SponsoredLimits {
  readonly countMax: number;
  readonly bytesMax: number;
  readonly perAccountMax: number;
  readonly checkpointsMax: number;
  readonly checkpointsPerSubnetMax: number;
}

export const MEMPOOL_LIMITS: MempoolLimits = {
  countMax: 50_000,
  bytesMax: 32 * 1024 * 1024,
  perAccountMax: 10_000,
  checkpointsMax: 256,
  checkpointsPerSubnetMax: 32,
  ...SPONSORED_LIMITS,
};

/** A replacement pays a tenth more per byte, so that nobody has a nonce checked and passed on over and over for next to nothing. */
const REPLACEMENT_PERCENT = 110n;
/** Heights between two sweeps for what has expired. */
const SWEEP_BLOCKS = 64;
/** Heaps hold entries that have left; at twice what is here and this many they are made anew. */
const HEAP_SLACK = 1_024;

const dearestFirst = (a: Entry, b: Entry): boolean =>
  a.price > b.price || (a.price === b.price && a.number < b.number);

export class Mempool {
  readonly #limits: MempoolLimits;
  /** By the name of the transaction, see `idText`; in the order of their numbers. */
  readonly #entries = new Map<string, Entry>();
  readonly #accounts = new Map<string, AccountLanes>();
  /** By subnet. */
  readonly #checkpoints = new Map<string, Set<Entry>>();
  #checkpointCount = 0;
  readonly #sponsored: SponsoredPlaces;
  #laneCount = 0;
  /** The next entry of each lane that can go on, with some that have left. */
  #heads = new Heap<Entry>(dearestFirst);
  /** Made when the pool is full for the first time: most pools never are. */
  #eviction: Eviction | undefined;
  #bytes = 0;
  #numbered = 0;
  /** In force when it was last looked at what is below it. */
  #feePerByte: bigint | undefined;

  constructor(limits: MempoolLimits = MEMPOOL_LIMITS) {
    this.#limits = limits;
    this.#sponsored = new SponsoredPlaces(limits);
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whatever comes from now on has this number or a higher one. */
  get mark(): number {
    return this.#numbered;
  }

  /** By name, see `idText`. */
  get(name: string): VerifiedTransaction | undefined {
    return this.#entries.get(name)?.transaction;
  }

  /**
   * Takes what the caller has prechecked. `state` is the one after the last block. A waiting transaction with the same
   * lane and nonce gives way to a clearly higher fee only; what an account has waiting it must be able to pay together.
   */
  add(transaction: VerifiedTransaction, state: LedgerState): Result<void, ErrorCode> {
    if (this.#entries.has(transaction.name))
      return refused('transaction.duplicate', 'the transaction waits here already');
    const { tx, encoded, account: name } = transaction;
    const price = Number(tx.fee) / encoded.length;
    if (tx.body.kind === 'checkpoint') return this.#addCheckpoint(transaction, price);

    const record = state.record('account', name);
    const next = record?.nonces[tx.lane] ?? 0;
    if (tx.nonce < next) return refused('transaction.nonce', `expected nonce ${next}, got ${tx.nonce}`);
    const known = this.#accounts.get(name)?.lanes.get(tx.lane);
    if (known !== undefined) this.#advance(known, next);
    const account = this.#accounts.get(name);
    const lane = account?.lanes.get(tx.lane);
    const rival = lane?.entries.get(tx.nonce);
    if (rival !== undefined && !isClearlyBetter(transaction, rival.transaction)) {
      return refused(
        'transaction.nonce',
        `another transaction with nonce ${tx.nonce} waits in lane ${tx.lane}; a fee higher by a tenth replaces it`,
      );
    }
    const count = account?.count ?? 0;
    if (rival === undefined && count >= this.#limits.perAccountMax)
      return refused('pool.full', `${this.#limits.perAccountMax} transactions of this account wait already`);
    const spend = spendOf(tx);
    const balance = record?.balance ?? 0n;
    const owed = (account?.spend ?? 0n) - (rival?.spend ?? 0n) + spend;
    if (owed > balance) {
      return refused(
        'transaction.balance',
        `with what waits already the account needs ${owed}, the balance is ${balance}`,
      );
    }
    const charge = chargeOf(transaction, state);
    if (tx.sponsor !== undefined) {
      if (charge === undefined) return refused('sponsor.unknown', 'no sponsorship pays for this');
      const flaw = this.#sponsored.flaw(charge, state, rival);
      if (flaw !== undefined) return flaw;
    }
    const isDue = tx.nonce <= (lane?.gap ?? next);
    const rank = rival?.rank ?? count;
    const room = { transaction, lane, price, rank, isDue };
    const victims = this.#victims(room, rival);
    if (victims === undefined) return refused('pool.full', 'the pool is full; a higher fee would be taken');
    for (const victim of victims) this.#remove(victim);

    const number = this.#numbered;
    this.#numbered += 1;
    this.#insert(
      {
        transaction,
        price,
        rank,
        number,
        spend,
        charge,
        isDue,
        isHere: true,
        lane: this.#laneOf(transaction, next),
      },
      rival,
    );
    return ok(undefined);
  }

  /** For a proposal: checkpoints first, then lanes by the fee of their next transaction. Nothing is removed. */
  take(state: LedgerState, options: TakeOptions): VerifiedTransaction[] {
    const selection = new Selection(state, options);
    for (const entries of this.#checkpoints.values()) selection.checkpoints(entries);
    for (const name of options.first ?? []) {
      const wanted = this.#entries.get(name);
      if (wanted !== undefined) selection.upTo(wanted);
    }
    selection.byPrice(this.#heads.clone());
    return selection.taken;
  }

  /**
   * What came before the mark and could go into a block now, oldest first. What waits behind a gap, and checkpoints
   * that `admits` refuses, hang on something else than the good will of proposers.
   */
  oldest(o: {
    readonly before: number;
    readonly countMax: number;
    readonly admits: (checkpoint: VerifiedTransaction) => boolean;
  }): VerifiedTransaction[] {
    const found: VerifiedTransaction[] = [];
    for (const { transaction, lane, number } of this.#entries.values()) {
      if (number >= o.before || found.length >= o.countMax) break;
      const isNext = lane === undefined ? o.admits(transaction) : transaction.tx.nonce === lane.next;
      if (isNext) found.push(transaction);
    }
    return found;
  }

  /** A block was executed: what it held, what it made stale, what it left unpayable and what it let expire leaves. */
  committed(transactions: readonly VerifiedTransaction[], state: LedgerState, height: number): void {
    for (const { name, account, tx } of transactions) {
      const lane = this.#accounts.get(account)?.lanes.get(tx.lane);
      if (lane !== undefined) this.#advance(lane, nextNonce(lane, state));
      const entry = this.#entries.get(name);
      if (entry !== undefined) this.#remove(entry);
    }
    for (const { account: name } of transactions) {
      const account = this.#accounts.get(name);
      if (account !== undefined) this.#shed(account, state.record('account', name)?.balance ?? 0n);
    }
    for (const { account, tx } of transactions) {
      if (tx.body.kind === 'rotate-keys') this.#dropUnentitled(account, state);
      if (tx.body.kind === 'finish-recovery') this.#dropUnentitled(idText(tx.body.account), state);
    }
    this.#dropUnsponsored(transactions, state);
    if (this.#checkpointCount > 0) this.#dropStaleCheckpoints(state);
    // Expiry is swept now and then: an expired transaction only costs its place.
    if (height % SWEEP_BLOCKS !== 0) return;
    this.#dropUnpayable(state);
    for (const entry of this.#entries.values())
      if (entry.transaction.tx.validUntil <= height) this.#remove(entry);
  }

  /** The state is another one, without the blocks between. */
  refresh(state: LedgerState): void {
    for (const account of this.#accounts.values()) {
      for (const lane of account.lanes.values()) this.#advance(lane, nextNonce(lane, state));
      this.#shed(account, state.record('account', account.name)?.balance ?? 0n);
      this.#dropUnentitled(account.name, state);
    }
    this.#dropStaleCheckpoints(state);
    this.#dropUnpayable(state);
  }

  /** Budgets these transactions used, or changed. */
  #dropUnsponsored(transactions: readonly VerifiedTransaction[], state: LedgerState): void {
    const touched = new Set<string>();
    for (const { tx } of transactions) {
      if (tx.sponsor !== undefined) touched.add(idText(tx.sponsor));
      const { body } = tx;
      if (body.kind === 'change-sponsorship' || body.kind === 'close-sponsorship')
        touched.add(idText(body.sponsorship));
    }
    for (const id of touched) for (const entry of this.#sponsored.overdrawn(id, state)) this.#remove(entry);
  }

  /** What no sponsor pays any more, and what is below the price since that has risen. */
  #dropUnpayable(state: LedgerState): void {
    for (const id of this.#sponsored.ids)
      for (const entry of this.#sponsored.overdrawn(id, state)) this.#remove(entry);
    const { feePerByte } = state.parameters;
    if (feePerByte === this.#feePerByte) return;
    this.#feePerByte = feePerByte;
    for (const entry of this.#entries.values()) {
      const { tx, encoded } = entry.transaction;
      const isPaid = tx.body.kind !== 'checkpoint' && tx.body.kind !== 'restart';
      if (isPaid && tx.fee < feePerByte * BigInt(encoded.length)) this.#remove(entry);
    }
  }

  /** What keys have signed that do not act for the account any more leaves. */
  #dropUnentitled(name: string, state: LedgerState): void {
    const keys = state.record('keys', name);
    for (const lane of this.#accounts.get(name)?.lanes.values() ?? [])
      for (const entry of lane.entries.values())
        if (signersFlaw(keys, entry.transaction) !== undefined) this.#remove(entry);
  }

  #addCheckpoint(transaction: VerifiedTransaction, price: number): Result<void, ErrorCode> {
    const subnet = subnetOf(transaction);
    const own = this.#checkpoints.get(subnet)?.size ?? 0;
    const { checkpointsMax, checkpointsPerSubnetMax } = this.#limits;
    if (own >= checkpointsPerSubnetMax)
      return refused('pool.full', `${checkpointsPerSubnetMax} checkpoints of this subnet wait already`);
    if (this.#checkpointCount >= checkpointsMax) {
      // The subnet with most of them gives up its last one, so that none can keep out the others.
      const most = [...this.#checkpoints.values()].reduce((a, b) => (b.size > a.size ? b : a));
      const last = [...most].reduce((a, b) => (sequenceOf(b) > sequenceOf(a) ? b : a));
      if (most.size <= own + 1) return refused('pool.full', `${checkpointsMax} checkpoints wait already`);
      this.#remove(last);
    }
    const number = this.#numbered;
    this.#numbered += 1;
    const entry: Entry = {
      transaction,
      lane: undefined,
      price,
      number,
      spend: 0n,
      charge: undefined,
      rank: 0,
      isDue: true,
      isHere: true,
    };
    const entries = this.#checkpoints.get(subnet) ?? new Set();
    this.#checkpoints.set(subnet, entries.add(entry));
    this.#checkpointCount += 1;
    this.#enter(entry);
    return ok(undefined);
  }

  /** One of the same sequence by another proposer may have won; the losers are refused at once by `precheck`. */
  #dropStaleCheckpoints(state: LedgerState): void {
    for (const entries of this.#checkpoints.values()) {
      for (const entry of entries) {
        const { body } = entry.transaction.tx;
        if (body.kind !== 'checkpoint') continue;
        const { subnet, sequence } = body.certificate.checkpoint;
        if (sequence <= (state.subnet(subnet)?.lastSequence ?? 0)) this.#remove(entry);
      }
    }
  }

  /** Who leaves for a newcomer; nobody when there is room, undefined when there is none to be had. */
  #victims(
    newcomer: Parameters<Eviction['victims']>[0],
    rival: Entry | undefined,
  ): readonly Entry[] | undefined {
    const { countMax, bytesMax } = this.#limits;
    const replaced = rival?.transaction.encoded.length ?? 0;
    const places = this.#entries.size + (rival === undefined ? 1 : 0) - countMax;
    const bytes = this.#bytes + newcomer.transaction.encoded.length - replaced - bytesMax;
    if (places <= 0 && bytes <= 0) return [];
    this.#eviction ??= new Eviction(this.#entries.values());
    return this.#eviction.victims(newcomer, { places, bytes });
  }

  /** The lane of a newcomer, which is made when it is the first. */
  #laneOf({ tx, account: name }: VerifiedTransaction, next: number): Lane {
    let account = this.#accounts.get(name);
    if (account === undefined) {
      account = { name, lanes: new Map(), count: 0, spend: 0n, rotations: 0 };
      this.#accounts.set(name, account);
    }
    let lane = account.lanes.get(tx.lane);
    if (lane === undefined) {
      lane = { account, number: tx.lane, entries: new Map(), next, gap: next };
      account.lanes.set(tx.lane, lane);
      this.#laneCount += 1;
    }
    return lane;
  }

  /** Puts an entry in its place, in which a rival may be. */
  #insert(entry: Entry, rival: Entry | undefined): void {
    const { lane } = entry;
    if (lane === undefined) return;
    if (rival !== undefined) this.#leave(rival);
    lane.entries.set(entry.transaction.tx.nonce, entry);
    lane.account.count += 1;
    lane.account.spend += entry.spend;
    this.#sponsored.enter(entry);
    if (isRotation(entry.transaction)) lane.account.rotations += 1;
    this.#enter(entry);
    this.#note(entry);
    this.#extend(lane);
  }

  #enter(entry: Entry): void {
    this.#entries.set(entry.transaction.name, entry);
    this.#bytes += entry.transaction.encoded.length;
  }

  /** What a lane can go on with after its gap was filled. */
  #extend(lane: Lane): void {
    for (
      let entry = lane.entries.get(lane.gap);
      entry !== undefined;
      lane.gap += 1, entry = lane.entries.get(lane.gap)
    ) {
      if (entry.isDue) continue;
      entry.isDue = true;
      this.#note(entry);
    }
  }

  /** An entry is new, or has become due, or is not due any more. */
  #note(entry: Entry): void {
    if (entry.transaction.tx.nonce === entry.lane?.next) this.#noteHead(entry);
    if (this.#eviction === undefined) return;
    this.#eviction.note(entry);
    if (this.#eviction.size > 2 * this.#entries.size + HEAP_SLACK) this.#eviction = undefined;
  }

  #noteHead(entry: Entry): void {
    this.#heads.push(entry);
    if (this.#heads.size <= 2 * this.#laneCount + HEAP_SLACK) return;
    this.#heads = new Heap<Entry>(dearestFirst);
    for (const { lanes } of this.#accounts.values()) {
      for (const lane of lanes.values()) {
        const head = lane.entries.get(lane.next);
        if (head !== undefined) this.#heads.push(head);
      }
    }
  }

  /** Entries below the next nonce leave, each for good; what follows goes on. */
  #advance(lane: Lane, next: number): void {
    if (next <= lane.next) return;
    // After a snapshot the way may be longer than what waits.
    if (next - lane.next > lane.entries.size) {
      for (const [nonce, entry] of lane.entries) if (nonce < next) this.#leave(entry);
    } else {
      for (let nonce = lane.next; nonce < next; nonce += 1) {
        const entry = lane.entries.get(nonce);
        if (entry !== undefined) this.#leave(entry);
      }
    }
    lane.next = next;
    if (lane.gap < next) lane.gap = next;
    this.#extend(lane);
    const head = lane.entries.get(next);
    if (head !== undefined) this.#noteHead(head);
    this.#dropEmpty(lane);
  }

  /** What an account cannot pay any more leaves, from the ends of its lanes. */
  #shed(account: AccountLanes, balance: bigint): void {
    if (account.spend <= balance) return;
    for (const lane of account.lanes.values()) {
      const nonces = [...lane.entries.keys()].sort((a, b) => b - a);
      for (const nonce of nonces) {
        if (account.spend <= balance) return;
        this.#remove(lane.entries.get(nonce) as Entry);
      }
    }
  }

  /** An entry leaves that was not executed: what is behind it waits for its nonce again. */
  #remove(entry: Entry): void {
    if (!entry.isHere) return;
    this.#leave(entry);
    const { lane, transaction } = entry;
    if (lane === undefined) return;
    const { nonce } = transaction.tx;
    if (nonce >= lane.next && nonce < lane.gap) {
      for (let behind = nonce + 1; behind < lane.gap; behind += 1) {
        const stranded = lane.entries.get(behind);
        if (stranded === undefined) continue;
        stranded.isDue = false;
        this.#note(stranded);
      }
      lane.gap = nonce;
    }
    this.#dropEmpty(lane);
  }

  #leave(entry: Entry): void {
    const { transaction, lane } = entry;
    entry.isHere = false;
    this.#entries.delete(transaction.name);
    this.#bytes -= transaction.encoded.length;
    if (lane === undefined) {
      const subnet = subnetOf(transaction);
      const entries = this.#checkpoints.get(subnet);
      entries?.delete(entry);
      if (entries?.size === 0) this.#checkpoints.delete(subnet);
      this.#checkpointCount -= 1;
      return;
    }
    lane.entries.delete(transaction.tx.nonce);
    lane.account.count -= 1;
    lane.account.spend -= entry.spend;
    this.#sponsored.leave(entry);
    if (isRotation(transaction)) lane.account.rotations -= 1;
  }

  #dropEmpty(lane: Lane): void {
    if (lane.entries.size > 0 || !lane.account.lanes.delete(lane.number)) return;
    this.#laneCount -= 1;
    if (lane.account.lanes.size === 0) this.#accounts.delete(lane.account.name);
  }
}

function isRotation({ tx }: VerifiedTransaction): boolean {
  return tx.body.kind === 'rotate-keys';
}

function isClearlyBetter(one: VerifiedTransaction, other: VerifiedTransaction): boolean {
  const own = one.tx.fee * BigInt(other.encoded.length);
  const rival = other.tx.fee * BigInt(one.encoded.length);
  return own > rival && 100n * own >= REPLACEMENT_PERCENT * rival;
}

function nextNonce(lane: Lane, state: LedgerState): number {
  return state.record('account', lane.account.name)?.nonces[lane.number] ?? 0;
}

function subnetOf({ tx }: VerifiedTransaction): string {
  return tx.body.kind === 'checkpoint' ? idText(tx.body.certificate.checkpoint.subnet) : '';
}

function sequenceOf({ transaction: { tx } }: Entry): number {
  return tx.body.kind === 'checkpoint' ? tx.body.certificate.checkpoint.sequence : 0;
}
