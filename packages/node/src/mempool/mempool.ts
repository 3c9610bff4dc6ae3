/**
 * Transactions on their way into a block (spec NODE-4). Lanes keep the order of their nonces, fees decide between
 * lanes, checkpoints go first. Everything is bounded, and what does not fit is refused with a code.
 */
import { toHex } from '@itc/core/bytes/hex.js';
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
  /** Ids in blocks that are proposed but not committed: passed over, yet their nonces count as used. */
  readonly exclude: ReadonlySet<string>;
  /** Ids that go first, each behind what it needs in its lane. Those that do not wait here are passed over. */
  readonly first?: readonly string[];
}

interface Entry {
  readonly transaction: VerifiedTransaction;
  readonly id: string;
  readonly sender: string;
  readonly lane: string;
  /** Base units per byte, as a float: an order, not an amount. */
  readonly price: number;
  /** Entries are numbered as they come. */
  readonly number: number;
}

/** Bytes a transaction takes in a block besides its own: its length prefix. */
const FRAMING_BYTES = 4;

export class Mempool {
  readonly #limits: MempoolLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #lanes = new Map<string, Map<number, Entry>>();
  readonly #perAccount = new Map<string, number>();
  readonly #checkpoints = new Map<string, Entry>();
  /** Cheapest first, with some that have left. */
  readonly #byPrice = new Heap<Entry>((a, b) => a.price < b.price);
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

  get(id: string): VerifiedTransaction | undefined {
    return this.#entries.get(id)?.transaction;
  }

  /** Takes what the caller has prechecked against its state. A waiting transaction with the same lane and nonce gives way to a higher fee only. */
  add(transaction: VerifiedTransaction): Result<void, ErrorCode> {
    const id = toHex(transaction.id);
    if (this.#entries.has(id)) return refused('transaction.duplicate', 'the transaction waits here already');
    const sender = toHex(transaction.sender);
    const { tx, encoded } = transaction;
    const entry: Entry = {
      transaction,
      id,
      sender,
      lane: `${sender}/${tx.lane}`,
      price: Number(tx.fee) / encoded.length,
      number: this.#numbered,
    };
    this.#numbered += 1;
    if (tx.body.kind === 'checkpoint') {
      if (this.#checkpoints.size >= this.#limits.checkpointsMax)
        return refused('pool.full', `${this.#limits.checkpointsMax} checkpoints wait already`);
      this.#checkpoints.set(id, entry);
      this.#insert(entry);
      return ok(undefined);
    }
    const rival = this.#lanes.get(entry.lane)?.get(tx.nonce);
    if (rival !== undefined && rival.price >= entry.price) {
      return refused(
        'transaction.nonce',
        `another transaction with nonce ${tx.nonce} waits in lane ${tx.lane}; a higher fee replaces it`,
      );
    }
    if (rival === undefined && (this.#perAccount.get(sender) ?? 0) >= this.#limits.perAccountMax) {
      return refused('pool.full', `${this.#limits.perAccountMax} transactions of this account wait already`);
    }
    if (rival !== undefined) this.#remove(rival);
    while (
      this.#entries.size >= this.#limits.countMax ||
      this.#bytes + encoded.length > this.#limits.bytesMax
    ) {
      const cheapest = this.#cheapest();
      if (cheapest === undefined || cheapest.price >= entry.price) {
        // What paid less than this one is gone all the same: it was the next to go.
        if (rival !== undefined) this.#insert(rival);
        return refused('pool.full', 'the pool is full; a higher fee would be taken');
      }
      this.#remove(cheapest.tail);
    }
    this.#insert(entry);
    return ok(undefined);
  }

  /** For a proposal: checkpoints first, then lanes by the fee of their next transaction. Nothing is removed. */
  take(state: LedgerState, options: TakeOptions): VerifiedTransaction[] {
    const taken: VerifiedTransaction[] = [];
    let bytes = 0;
    const fits = (entry: Entry): boolean =>
      taken.length < options.countMax &&
      bytes + entry.transaction.encoded.length + FRAMING_BYTES <= options.bytesMax;
    const push = (entry: Entry): void => {
      taken.push(entry.transaction);
      bytes += entry.transaction.encoded.length + FRAMING_BYTES;
    };
    for (const entry of this.#checkpoints.values())
      if (!options.exclude.has(entry.id) && fits(entry)) push(entry);
    /** Nonce to go on with in lanes that were begun. */
    const begun = new Map<string, number>();
    for (const id of options.first ?? []) {
      const wanted = this.#entries.get(id);
      const lane = wanted && this.#lanes.get(wanted.lane);
      if (wanted === undefined || lane === undefined) continue;
      let from = begun.get(wanted.lane) ?? firstNonce(lane, state);
      for (
        let entry = this.#next(lane, from, options.exclude);
        entry !== undefined && entry.transaction.tx.nonce <= wanted.transaction.tx.nonce && fits(entry);
        entry = this.#next(lane, from, options.exclude)
      ) {
        push(entry);
        from = entry.transaction.tx.nonce + 1;
        begun.set(wanted.lane, from);
      }
    }
    const heads = new Heap<Entry>((a, b) => a.price > b.price);
    for (const [name, lane] of this.#lanes) {
      const head = this.#next(lane, begun.get(name) ?? firstNonce(lane, state), options.exclude);
      if (head !== undefined) heads.push(head);
    }
    for (let best = heads.pop(); best !== undefined && fits(best); best = heads.pop()) {
      push(best);
      const lane = this.#lanes.get(best.lane);
      const next = lane && this.#next(lane, best.transaction.tx.nonce + 1, options.exclude);
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
    for (const lane of this.#lanes.values()) {
      const head = lane.get(firstNonce(lane, state));
      if (head !== undefined && head.number < o.before) heads.push(head);
    }
    for (const entry of this.#checkpoints.values())
      if (entry.number < o.before && o.admits(entry.transaction)) heads.push(entry);
    return heads
      .sort((a, b) => a.number - b.number)
      .slice(0, o.countMax)
      .map(({ transaction }) => transaction);
  }

  /** A block was executed: what it held, what it made stale and what it let expire leaves. */
  committed(transactions: readonly VerifiedTransaction[], state: LedgerState, height: number): void {
    const touched = new Set<string>();
    for (const transaction of transactions) {
      const entry = this.#entries.get(toHex(transaction.id));
      if (entry !== undefined) this.#remove(entry);
      touched.add(`${toHex(transaction.sender)}/${transaction.tx.lane}`);
    }
    for (const key of touched) {
      const lane = this.#lanes.get(key);
      if (lane === undefined) continue;
      const first = firstNonce(lane, state);
      for (const [nonce, entry] of lane) if (nonce < first) this.#remove(entry);
    }
    // A checkpoint of the same sequence by another proposer may have won; the losers are refused at once by `precheck`.
    for (const entry of this.#checkpoints.values()) {
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

  #next(lane: ReadonlyMap<number, Entry>, from: number, exclude: ReadonlySet<string>): Entry | undefined {
    let nonce = from;
    let entry = lane.get(nonce);
    while (entry !== undefined && exclude.has(entry.id)) {
      nonce += 1;
      entry = lane.get(nonce);
    }
    return entry;
  }

  #insert(entry: Entry): void {
    this.#entries.set(entry.id, entry);
    this.#bytes += entry.transaction.encoded.length;
    if (this.#checkpoints.has(entry.id)) return;
    let lane = this.#lanes.get(entry.lane);
    if (lane === undefined) this.#lanes.set(entry.lane, (lane = new Map()));
    lane.set(entry.transaction.tx.nonce, entry);
    this.#perAccount.set(entry.sender, (this.#perAccount.get(entry.sender) ?? 0) + 1);
    this.#byPrice.push(entry);
    this.#trimHeap();
  }

  #remove(entry: Entry): void {
    if (!this.#entries.delete(entry.id)) return;
    this.#bytes -= entry.transaction.encoded.length;
    if (this.#checkpoints.delete(entry.id)) return;
    const lane = this.#lanes.get(entry.lane);
    lane?.delete(entry.transaction.tx.nonce);
    if (lane?.size === 0) this.#lanes.delete(entry.lane);
    const left = (this.#perAccount.get(entry.sender) ?? 1) - 1;
    if (left === 0) this.#perAccount.delete(entry.sender);
    else this.#perAccount.set(entry.sender, left);
  }

  /**
   * Whom to send away for something better: the last transaction of the lane that holds the cheapest one. It cannot
   * be executed before that one, so it is worth no more; evicting an earlier one would strand those behind it.
   */
  #cheapest(): { readonly price: number; readonly tail: Entry } | undefined {
    for (let entry = this.#byPrice.peek(); entry !== undefined; entry = this.#byPrice.peek()) {
      const lane = this.#lanes.get(entry.lane);
      if (lane === undefined || this.#entries.get(entry.id) !== entry) {
        this.#byPrice.pop();
        continue;
      }
      const tail = lane.get(Math.max(...lane.keys())) as Entry;
      return { price: entry.price, tail };
    }
    return undefined;
  }

  /** Entries that left stay in the heap until they come up; now and then it is made anew, so that it is bounded. */
  #trimHeap(): void {
    if (this.#byPrice.size < 2 * this.#entries.size + 1024) return;
    this.#byPrice.clear();
    for (const entry of this.#entries.values())
      if (!this.#checkpoints.has(entry.id)) this.#byPrice.push(entry);
  }
}

function firstNonce(lane: ReadonlyMap<number, Entry>, state: LedgerState): number {
  const any = lane.values().next().value;
  if (any === undefined) return 0;
  return state.account(any.transaction.sender)?.nonces[any.transaction.tx.lane] ?? 0;
}
