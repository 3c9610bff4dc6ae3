/**
 * Which waiting transactions a proposal takes (spec NODE-3.1, NODE-3.3): by price, at the same price one of each account
 * in turns, in each lane by nonce, and none that could not pay.
 */
import { LIMITS } from '@itc/core/ledger/limits.js';
import { idText } from '@itc/core/state/record-map.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { verificationCostOf, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { AccountLanes, Entry, Lane } from './entry.ts';
import { Heap } from './heap.ts';

export interface TakeOptions {
  readonly bytesMax: number;
  readonly countMax: number;
  /** Names in blocks that are proposed but not committed: passed over, yet their nonces count as used. */
  readonly exclude: ReadonlySet<string>;
  /** Names that go first, each behind what it needs in its lane. Those that do not wait here are passed over. */
  readonly first?: readonly string[];
  /** Of the block: what is valid only below it stays out. */
  readonly height?: number;
}

/** Bytes a transaction takes in a block besides its own: its length prefix. */
const FRAMING_BYTES = 4;

interface Turn {
  readonly entry: Entry;
  /** How many of its account are in the proposal already. */
  readonly round: number;
}

interface Purse {
  /** Undefined: enough for everything of this account that waits. */
  left: bigint | undefined;
  taken: number;
}

export class Selection {
  readonly taken: VerifiedTransaction[] = [];
  readonly #state: LedgerState;
  readonly #o: TakeOptions;
  readonly #purses = new Map<AccountLanes, Purse>();
  /** Nonce to go on with in lanes that were begun. */
  readonly #begun = new Map<Lane, number>();
  readonly #offered = new Set<Lane>();
  /**
   * Accounts whose keys change in this block, or in one on its way: what else of theirs waits is signed by keys that may not
   * count any more, and would be refused without paying.
   */
  readonly #closed = new Set<string>();
  #bytes = 0;
  #cost = 0;

  constructor(state: LedgerState, options: TakeOptions) {
    this.#state = state;
    this.#o = options;
  }

  checkpoints(entries: Iterable<Entry>): void {
    for (const entry of entries)
      if (!this.#o.exclude.has(entry.transaction.name) && this.#fits(entry)) this.#push(entry);
  }

  /** An entry whatever it pays, behind what it needs in its lane. */
  upTo(wanted: Entry): void {
    const { lane } = wanted;
    if (lane === undefined) return;
    for (
      let entry = this.#next(lane);
      entry !== undefined && entry.transaction.tx.nonce <= wanted.transaction.tx.nonce && this.#fits(entry);
      entry = this.#next(lane)
    )
      this.#takeFrom(lane, entry);
  }

  /** `heads` are the first due entries of lanes, best price first; the heap is used up. */
  byPrice(heads: Heap<Entry>): void {
    const turns = new Heap<Turn>(
      (a, b) =>
        a.entry.price > b.entry.price ||
        (a.entry.price === b.entry.price &&
          (a.round < b.round || (a.round === b.round && a.entry.number < b.entry.number))),
    );
    for (;;) {
      this.#admit(heads, turns);
      const best = turns.pop();
      if (best === undefined) return;
      const { entry, round } = best;
      const { account } = entry.lane as Lane;
      const { taken } = this.#purse(account);
      if (this.#closed.has(account.name)) continue;
      if (round < taken) {
        // Another lane of the account had its turn meanwhile.
        turns.push({ entry, round: taken });
        continue;
      }
      if (!this.#fits(entry)) return;
      const lane = entry.lane as Lane;
      this.#takeFrom(lane, entry);
      this.#offer(lane, turns);
    }
  }

  /** Heads that may be next. They are in order, so that only as many lanes are looked at as are needed. */
  #admit(heads: Heap<Entry>, turns: Heap<Turn>): void {
    for (let head = heads.peek(); head !== undefined; head = heads.peek()) {
      const best = turns.peek();
      const isNext =
        best === undefined ||
        head.price > best.entry.price ||
        (head.price === best.entry.price && best.round > 0);
      if (!isNext) return;
      heads.pop();
      const lane = head.lane as Lane;
      if (!head.isHere || head.transaction.tx.nonce !== lane.next || this.#offered.has(lane)) continue;
      this.#offered.add(lane);
      this.#offer(lane, turns);
    }
  }

  #offer(lane: Lane, turns: Heap<Turn>): void {
    const entry = this.#next(lane);
    if (entry !== undefined) turns.push({ entry, round: this.#purse(lane.account).taken });
  }

  /** The next entry of a lane that may stand in the block. */
  #next(lane: Lane): Entry | undefined {
    const { exclude, height = 0 } = this.#o;
    const purse = this.#purse(lane.account);
    if (this.#closed.has(lane.account.name)) return undefined;
    let nonce = this.#begun.get(lane) ?? lane.next;
    for (; nonce < lane.gap; nonce += 1) {
      const entry = lane.entries.get(nonce) as Entry;
      if (exclude.has(entry.transaction.name)) {
        if (purse.left !== undefined) purse.left -= entry.spend;
        continue;
      }
      this.#begun.set(lane, nonce);
      const { fee, sponsor, validUntil } = entry.transaction.tx;
      const canPay = sponsor !== undefined || purse.left === undefined || purse.left >= fee;
      return canPay && validUntil >= height ? entry : undefined;
    }
    this.#begun.set(lane, nonce);
    return undefined;
  }

  #takeFrom(lane: Lane, entry: Entry): void {
    this.#push(entry);
    this.#begun.set(lane, entry.transaction.tx.nonce + 1);
    const purse = this.#purse(lane.account);
    purse.taken += 1;
    if (purse.left !== undefined) purse.left -= entry.spend;
    const { body } = entry.transaction.tx;
    if (body.kind === 'rotate-keys') this.#closed.add(lane.account.name);
    if (body.kind === 'finish-recovery') this.#closed.add(idText(body.account));
  }

  #purse(account: AccountLanes): Purse {
    let purse = this.#purses.get(account);
    if (purse === undefined) {
      const balance = this.#state.record('account', account.name)?.balance ?? 0n;
      purse = { left: account.spend <= balance ? undefined : balance, taken: 0 };
      this.#purses.set(account, purse);
      if (account.rotations > 0 && this.#isRotating(account)) this.#closed.add(account.name);
    }
    return purse;
  }

  /** Whether a block on its way changes the keys of the account. */
  #isRotating({ lanes }: AccountLanes): boolean {
    for (const { entries } of lanes.values())
      for (const { transaction } of entries.values())
        if (transaction.tx.body.kind === 'rotate-keys' && this.#o.exclude.has(transaction.name)) return true;
    return false;
  }

  #fits({ transaction }: Entry): boolean {
    const { bytesMax, countMax } = this.#o;
    return (
      this.taken.length < countMax &&
      this.#bytes + transaction.encoded.length + FRAMING_BYTES <= bytesMax &&
      this.#cost + verificationCostOf(transaction) <= LIMITS.blockVerificationMax
    );
  }

  #push({ transaction }: Entry): void {
    this.taken.push(transaction);
    this.#bytes += transaction.encoded.length + FRAMING_BYTES;
    this.#cost += verificationCostOf(transaction);
  }
}
