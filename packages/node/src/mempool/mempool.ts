/**
 * Transactions on their way into a block (spec NODE-3). Lanes keep the order of their nonces, fees decide between
 * lanes, checkpoints go first. Everything is bounded, and what does not fit is refused with a code.
 */
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { Heap } from './heap.ts';

export interface MempoolLimits {
  readonly countMax: number;
  readonly bytesMax: number;
  readonly perAccountMax: number;
  readonly checkpointsMax: number;
}

export const MEMPOOL_LIMITS: MempoolLimits = {
  countMax: 50_000,
  bytesMax: 32 * 1024 * 1024,
  perAccountMax: 10_000,
  checkpointsMax: 256,
};

export interface TakeOptions {
  readonly bytesMax: number;
  readonly countMax: number;
  /** Names in blocks that are proposed but not committed: passed over, yet their nonces count as used. */
  readonly exclude: ReadonlySet<string>;
  /** Names that go first, each behind what it needs in its lane. Those that do not wait here are passed over. */
  readonly first?: readonly string[];
}

interface Entry {
  readonly transaction: VerifiedTransaction;
  /** Undefined for a checkpoint, which has no nonce. */
  readonly lane: Lane | undefined;
  /** Base units per byte, as a float: an order, not an amount. */
  readonly price: number;
  /** Entries are numbered as they come. */
  readonly number: number;
}

/** What waits in one nonce lane of one account. */
interface Lane {
  readonly account: AccountLanes;
  readonly number: number;
  readonly entries: Map<number, Entry>;
  /** No entry has a lower nonce. */
  lowest: number;
}

interface AccountLanes {
  readonly name: string;
  readonly lanes: Map<number, Lane>;
  count: number;
}

/** Bytes a transaction takes in a block besides its own: its length prefix. */
const FRAMING_BYTES = 4;

export class Mempool {
  readonly #limits: MempoolLimits;
  /** By the name of the transaction, see `idText`. */
  readonly #entries = new Map<string, Entry>();
  readonly #accounts = new Map<string, AccountLanes>();
  readonly #checkpoints = new Set<Entry>();
  /** Cheapest first, with some that have left. Made when the pool is full for the first time: most pools never are. */
  #byPrice: Heap<Entry> | undefined;
  #bytes = 0;
  #numbered = 0;

  constructor(limits: MempoolLimits = MEMPOOL_LIMITS) {
    this.#limits = limits;
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

  /** Takes what the caller has prechecked against its state. A waiting transaction with the same lane and nonce gives way to a higher fee only. */
  add(transaction: VerifiedTransaction): Result<void, ErrorCode> {
    if (this.#entries.has(transaction.name))
      return refused('transaction.duplicate', 'the transaction waits here already');
    const { tx, encoded } = transaction;
    const price = Number(tx.fee) / encoded.length;
    const number = this.#numbered;
    this.#numbered += 1;
    if (tx.body.kind === 'checkpoint') {
      if (this.#checkpoints.size >= this.#limits.checkpointsMax)
        return refused('pool.full', `${this.#limits.checkpointsMax} checkpoints wait already`);
      const entry: Entry = { transaction, lane: undefined, price, number };
      this.#checkpoints.add(entry);
      this.#insert(entry);
      return ok(undefined);
    }
    const account = this.#accounts.get(transaction.account);
    const rival = account?.lanes.get(tx.lane)?.entries.get(tx.nonce);
    if (rival !== undefined && rival.price >= price) {
      return refused(
        'transaction.nonce',
        `another transaction with nonce ${tx.nonce} waits in lane ${tx.lane}; a higher fee replaces it`,
      );
    }
    if (rival === undefined && (account?.count ?? 0) >= this.#limits.perAccountMax)
      return refused('pool.full', `${this.#limits.perAccountMax} transactions of this account wait already`);
    if (rival !== undefined) this.#remove(rival);
    while (
      this.#entries.size >= this.#limits.countMax ||
      this.#bytes + encoded.length > this.#limits.bytesMax
    ) {
      const cheapest = this.#cheapest();
      if (cheapest === undefined || cheapest.price >= price) {
        // What paid less than this one is gone all the same: it was the next to go.
        if (rival !== undefined) this.#insert(this.#placed(rival));
        return refused('pool.full', 'the pool is full; a higher fee would be taken');
      }
      this.#remove(cheapest.tail);
    }
    this.#insert(this.#placed({ transaction, price, number }));
    return ok(undefined);
  }

  /** For a proposal: checkpoints first, then lanes by the fee of their next transaction. Nothing is removed. */
  take(state: LedgerState, options: TakeOptions): VerifiedTransaction[] {
    const { bytesMax, countMax, exclude } = options;
    const taken: VerifiedTransaction[] = [];
    let bytes = 0;
    const fits = ({ transaction }: Entry): boolean =>
      taken.length < countMax && bytes + transaction.encoded.length + FRAMING_BYTES <= bytesMax;
    const push = ({ transaction }: Entry): void => {
      taken.push(transaction);
      bytes += transaction.encoded.length + FRAMING_BYTES;
    };
    for (const entry of this.#checkpoints)
      if (!exclude.has(entry.transaction.name) && fits(entry)) push(entry);
    /** Nonce to go on with in lanes that were begun. */
    const begun = new Map<Lane, number>();
    for (const name of options.first ?? []) {
      const wanted = this.#entries.get(name);
      if (wanted?.lane === undefined) continue;
      const { lane } = wanted;
      let from = begun.get(lane) ?? firstNonce(lane, state);
      for (
        let entry = nextIn(lane, from, exclude);
        entry !== undefined && entry.transaction.tx.nonce <= wanted.transaction.tx.nonce && fits(entry);
        entry = nextIn(lane, from, exclude)
      ) {
        push(entry);
        from = entry.transaction.tx.nonce + 1;
        begun.set(lane, from);
      }
    }
    const heads = new Heap<Entry>((a, b) => a.price > b.price);
    for (const lane of this.#lanes()) {
      const head = nextIn(lane, begun.get(lane) ?? firstNonce(lane, state), exclude);
      if (head !== undefined) heads.push(head);
    }
    for (let best = heads.pop(); best !== undefined && fits(best); best = heads.pop()) {
      push(best);
      const next = best.lane && nextIn(best.lane, best.transaction.tx.nonce + 1, exclude);
      if (next !== undefined) heads.push(next);
    }
    return taken;
  }

  /**
   * What came before the mark and could go into a block now, oldest first. What waits behind a gap, and checkpoints
   * that `admits` refuses, hang on something else than the good will of proposers.
   */
  oldest(
    state: LedgerState,
    o: {
      readonly before: number;
      readonly countMax: number;
      readonly admits: (checkpoint: VerifiedTransaction) => boolean;
    },
  ): VerifiedTransaction[] {
    const [first] = this.#entries.values();
    if (first === undefined || first.number >= o.before) return [];
    const heads: Entry[] = [];
    for (const lane of this.#lanes()) {
      const head = lane.entries.get(firstNonce(lane, state));
      if (head !== undefined && head.number < o.before) heads.push(head);
    }
    for (const entry of this.#checkpoints)
      if (entry.number < o.before && o.admits(entry.transaction)) heads.push(entry);
    return heads
      .sort((a, b) => a.number - b.number)
      .slice(0, o.countMax)
      .map(({ transaction }) => transaction);
  }

  /** A block was executed: what it held, what it made stale and what it let expire leaves. */
  committed(transactions: readonly VerifiedTransaction[], state: LedgerState, height: number): void {
    for (const { name, account, tx } of transactions) {
      const entry = this.#entries.get(name);
      if (entry !== undefined) this.#remove(entry);
      const lane = this.#accounts.get(account)?.lanes.get(tx.lane);
      if (lane !== undefined) this.#dropBelow(lane, firstNonce(lane, state));
    }
    // A checkpoint of the same sequence by another proposer may have won; the losers are refused at once by `precheck`.
    for (const entry of this.#checkpoints) {
      const { body } = entry.transaction.tx;
      if (body.kind !== 'checkpoint') continue;
      const { subnet, sequence } = body.certificate.checkpoint;
      if (sequence <= (state.subnet(subnet)?.lastSequence ?? 0)) this.#remove(entry);
    }
    // Expiry is swept now and then: an expired transaction only costs its place.
    if (height % 64 === 0)
      for (const entry of this.#entries.values())
        if (entry.transaction.tx.validUntil <= height) this.#remove(entry);
  }

  *#lanes(): Iterable<Lane> {
    for (const { lanes } of this.#accounts.values()) yield* lanes.values();
  }

  /** Entries of a lane below a nonce leave. Gaps are bounded by how far a nonce may run ahead, so each is walked once. */
  #dropBelow(lane: Lane, nonce: number): void {
    for (let at = lane.lowest; at < nonce && lane.entries.size > 0; at += 1) {
      const entry = lane.entries.get(at);
      if (entry !== undefined) this.#remove(entry);
    }
    lane.lowest = Math.max(lane.lowest, nonce);
  }

  /** An entry with its place in a lane, which is made when it is the first. */
  #placed({ transaction, price, number }: Omit<Entry, 'lane'>): Entry {
    const { tx, account: name } = transaction;
    let account = this.#accounts.get(name);
    if (account === undefined) this.#accounts.set(name, (account = { name, lanes: new Map(), count: 0 }));
    let lane = account.lanes.get(tx.lane);
    if (lane === undefined) {
      lane = { account, number: tx.lane, entries: new Map(), lowest: tx.nonce };
      account.lanes.set(tx.lane, lane);
    }
    return { transaction, lane, price, number };
  }

  #insert(entry: Entry): void {
    const { transaction, lane } = entry;
    this.#entries.set(transaction.name, entry);
    this.#bytes += transaction.encoded.length;
    if (lane === undefined) return;
    lane.entries.set(transaction.tx.nonce, entry);
    lane.lowest = Math.min(lane.lowest, transaction.tx.nonce);
    lane.account.count += 1;
    this.#byPrice?.push(entry);
    this.#trimHeap();
  }

  #remove(entry: Entry): void {
    const { transaction, lane } = entry;
    if (!this.#entries.delete(transaction.name)) return;
    this.#bytes -= transaction.encoded.length;
    if (lane === undefined) {
      this.#checkpoints.delete(entry);
      return;
    }
    lane.entries.delete(transaction.tx.nonce);
    lane.account.count -= 1;
    if (lane.entries.size > 0) return;
    lane.account.lanes.delete(lane.number);
    if (lane.account.lanes.size === 0) this.#accounts.delete(lane.account.name);
  }

  /**
   * Whom to send away for something better: the last transaction of the lane that holds the cheapest one. It cannot
   * be executed before that one, so it is worth no more; evicting an earlier one would strand those behind it.
   */
  #cheapest(): { readonly price: number; readonly tail: Entry } | undefined {
    if (this.#byPrice === undefined) this.#makeHeap();
    const heap = this.#byPrice;
    for (let entry = heap?.peek(); entry !== undefined; entry = heap?.peek()) {
      if (entry.lane === undefined || this.#entries.get(entry.transaction.name) !== entry) {
        heap?.pop();
        continue;
      }
      const tail = entry.lane.entries.get(Math.max(...entry.lane.entries.keys())) as Entry;
      return { price: entry.price, tail };
    }
    return undefined;
  }

  #makeHeap(): void {
    const heap = new Heap<Entry>((a, b) => a.price < b.price);
    for (const entry of this.#entries.values()) if (entry.lane !== undefined) heap.push(entry);
    this.#byPrice = heap;
  }

  /** Entries that left stay in the heap until they come up. When they are many it goes, and is made anew when asked for. */
  #trimHeap(): void {
    if (this.#byPrice !== undefined && this.#byPrice.size > 2 * this.#entries.size + 1024)
      this.#byPrice = undefined;
  }
}

function firstNonce(lane: Lane, state: LedgerState): number {
  return state.record('account', lane.account.name)?.nonces[lane.number] ?? 0;
}

function nextIn(lane: Lane, from: number, exclude: ReadonlySet<string>): Entry | undefined {
  for (let nonce = from; ; nonce += 1) {
    const entry = lane.entries.get(nonce);
    if (entry === undefined || !exclude.has(entry.transaction.name)) return entry;
  }
}
