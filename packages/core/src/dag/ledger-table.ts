/**
 * Value inside a subnet (spec DAG-12): balances, voucher lanes, what leaves. Changed in canonical order only, so all members
 * hold the same. What does not fit is ignored with a reason and leaves no trace; nothing is ever orphaned for it.
 *
 * At all times: deposits credited = balances + voucher lanes + all withdrawals let out.
 */
import type { Reader } from '../bytes/reader.ts';
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import type { StateChange } from '../crypto/state-tree.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import {
  VALUE_MIN,
  withdrawalLeaf,
  type CheckpointValue,
  type Deposit,
  type Withdrawal,
} from '../ledger/escrow.ts';
import { amount } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Payload } from '../ledger/payload.ts';
import { valueOrderOf, type ValueOrder } from '../ledger/value-order.ts';
import {
  balanceKey,
  encodeBalance,
  encodeTotals,
  encodeVoucherLane,
  LEDGER_KIND,
  NO_TOTALS,
  readBalance,
  readTotals,
  readVoucherLane,
  TOTALS_KEY,
  voucherLaneKey,
  type Balance,
  type Totals,
  type VoucherLane,
} from './ledger-records.ts';
import { judgeNumber, takeNumber, WINDOW_BYTES } from './sequence-window.ts';
import { keyOf } from './slab.ts';

/** Why an order was ignored. */
export type ValueRefusal =
  | 'value-malformed'
  | 'other-subnet'
  /** Its own time, or that of its voucher lane, has passed. */
  | 'expired'
  /** More than the balance, or than what is left of the lane. */
  | 'uncovered'
  /** It is, or would leave, less than `subnetValueMin`. */
  | 'dust'
  | 'holders-full'
  | 'withdrawals-full'
  | 'lanes-full'
  | 'lane-missing'
  /** The lane is open still, or for somebody else. */
  | 'lane-open'
  | 'other-payee'
  /** Another voucher with this number was cashed, or the number is far behind. */
  | 'cashed';

const laneName = (holder: Address, lane: number): string => keyOf(holder) + String.fromCharCode(lane);

/** As of the last checkpoint applied. Changed through a `LedgerDraft` only. */
export class LedgerTable {
  readonly balances: Map<string, Balance> = new Map();
  readonly lanes: Map<string, VoucherLane> = new Map();
  totals: Totals = NO_TOTALS;

  balanceOf(address: Address): bigint {
    return this.balances.get(keyOf(address))?.balance ?? 0n;
  }

  voucherLane(holder: Address, lane: number): VoucherLane | undefined {
    return this.lanes.get(laneName(holder, lane));
  }

  adopt(draft: LedgerDraft): void {
    for (const [name, balance] of draft.balances)
      if (balance.balance === 0n) this.balances.delete(name);
      else this.balances.set(name, balance);
    for (const [name, { record }] of draft.lanes)
      if (record === undefined) this.lanes.delete(name);
      else this.lanes.set(name, record);
    this.totals = draft.totals;
  }

  /** An entry of a snapshot behind its kind byte; false for kinds that are not of the ledger. */
  read(kind: number, reader: Reader): boolean {
    if (kind === LEDGER_KIND.balance) {
      const balance = readBalance(reader);
      this.balances.set(keyOf(balance.address), balance);
    } else if (kind === LEDGER_KIND.voucherLane) {
      const lane = readVoucherLane(reader);
      this.lanes.set(laneName(lane.holder, lane.lane), lane);
    } else if (kind === LEDGER_KIND.totals) this.totals = readTotals(reader);
    else return false;
    return true;
  }
}

/** One checkpoint on top of a table. */
export class LedgerDraft {
  readonly #base: LedgerTable;
  readonly #subnet: Hash;
  /** Changed ones; a balance of 0 goes. */
  readonly balances: Map<string, Balance> = new Map();
  readonly lanes: Map<
    string,
    { readonly holder: Address; readonly lane: number; readonly record: VoucherLane | undefined }
  > = new Map();
  /** In order; under the withdrawal root of the checkpoint. */
  readonly withdrawals: Withdrawal[] = [];
  totals: Totals;
  #holders: number;
  #laneCount: number;

  constructor(base: LedgerTable, subnet: Hash) {
    this.#base = base;
    this.#subnet = subnet;
    this.totals = base.totals;
    this.#holders = base.balances.size;
    this.#laneCount = base.lanes.size;
  }

  balanceOf(address: Address): bigint {
    return this.balances.get(keyOf(address))?.balance ?? this.#base.balanceOf(address);
  }

  /**
   * The next deposit of the main chain. It is in the escrow, so it cannot be refused: when there is no room for another
   * holder it leaves again, to the same address on the main chain.
   */
  credit(deposit: Deposit): void {
    const { number, to, amount: value } = deposit;
    if (number !== this.totals.deposits + 1) throw new RangeError('deposits are credited in order');
    this.totals = { ...this.totals, deposits: number, inside: this.totals.inside + value };
    if (this.#receiveFlaw(to, value) === undefined) this.#add(to, value);
    else this.#letOut(to, value);
  }

  /** Applies one order at checkpoint time `time`, or says why it is ignored; then nothing has changed. */
  apply(payload: Payload, time: number): ValueRefusal | undefined {
    const read = valueOrderOf(this.#subnet, payload);
    if (!read.ok) return read.code;
    const order = read.value;
    const holder = addressOf(payload.signer);
    switch (order.kind) {
      case 'transfer':
        return this.#transfer(holder, order, time);
      case 'withdraw':
        return this.#withdraw(holder, order, time);
      case 'set-aside':
        return this.#setAside(holder, order, time);
      case 'release':
        return this.#release(holder, order.lane, time);
      case 'voucher':
        return this.#cash(holder, payload.sequence, order, time);
    }
  }

  #transfer(
    from: Address,
    order: Extract<ValueOrder, { kind: 'transfer' }>,
    time: number,
  ): ValueRefusal | undefined {
    const { to, amount: value, expiresAt } = order;
    const isSelf = equalBytes(from, to);
    const refusal =
      (time > expiresAt ? 'expired' : undefined) ??
      this.#spendFlaw(from, value, isSelf) ??
      (isSelf ? undefined : this.#receiveFlaw(to, value));
    if (refusal !== undefined || isSelf) return refusal;
    this.#take(from, value);
    this.#add(to, value);
    return undefined;
  }

  #withdraw(
    from: Address,
    order: Extract<ValueOrder, { kind: 'withdraw' }>,
    time: number,
  ): ValueRefusal | undefined {
    const { to, amount: value, expiresAt } = order;
    if (time > expiresAt) return 'expired';
    if (value < VALUE_MIN) return 'dust';
    const refusal = this.#spendFlaw(from, value);
    if (refusal !== undefined) return refusal;
    if (this.withdrawals.length >= LIMITS.withdrawalsMax) return 'withdrawals-full';
    this.#take(from, value);
    this.#letOut(to, value);
    return undefined;
  }

  #setAside(
    holder: Address,
    order: Extract<ValueOrder, { kind: 'set-aside' }>,
    time: number,
  ): ValueRefusal | undefined {
    const { lane, amount: value, until, payee } = order;
    if (time > until) return 'expired';
    const held = this.#lane(holder, lane);
    if (held === undefined && this.#laneCount >= LIMITS.subnetVoucherLanesMax) return 'lanes-full';
    if (held === undefined && value < VALUE_MIN) return 'dust';
    // A lane only grows, in sum and in time, and stays with its payee: who holds its vouchers relies on that.
    if (held !== undefined && (until < held.until || !isSamePayee(held.payee, payee))) return 'lane-open';
    const refusal = this.#spendFlaw(holder, value);
    if (refusal !== undefined) return refusal;
    this.#take(holder, value);
    const fresh = { holder, lane, left: 0n, payee, high: 0, window: new Uint8Array(WINDOW_BYTES) };
    const base = held ?? fresh;
    this.#setLane(holder, lane, { ...base, left: base.left + value, until });
    return undefined;
  }

  /**
   * Only after the lane's time. Every voucher it ever paid has expired by then, so that the numbers can be forgotten: no
   * voucher is cashed again in a lane opened anew.
   */
  #release(holder: Address, lane: number, time: number): ValueRefusal | undefined {
    const held = this.#lane(holder, lane);
    if (held === undefined) return 'lane-missing';
    if (time <= held.until) return 'lane-open';
    const refusal = held.left === 0n ? undefined : this.#receiveFlaw(holder, held.left);
    if (refusal !== undefined) return refusal;
    this.#setLane(holder, lane, undefined);
    this.#add(holder, held.left);
    return undefined;
  }

  #cash(
    from: Address,
    number: number,
    order: Extract<ValueOrder, { kind: 'voucher' }>,
    time: number,
  ): ValueRefusal | undefined {
    const { lane, to, amount: value, expiresAt } = order;
    const held = this.#lane(from, lane);
    if (held === undefined) return 'lane-missing';
    if (time > expiresAt || expiresAt > held.until) return 'expired';
    if (held.payee !== undefined && !equalBytes(held.payee, to)) return 'other-payee';
    if (judgeNumber(held, number) !== 'applied') return 'cashed';
    if (value > held.left) return 'uncovered';
    const refusal = this.#receiveFlaw(to, value);
    if (refusal !== undefined) return refusal;
    const taken = { high: held.high, window: held.window.slice() };
    takeNumber(taken, number);
    this.#setLane(from, lane, { ...held, ...taken, left: held.left - value });
    this.#add(to, value);
    return undefined;
  }

  /** What is left is nothing, or enough to be worth keeping. */
  #spendFlaw(holder: Address, value: bigint, comesBack = false): ValueRefusal | undefined {
    const left = this.balanceOf(holder) - value;
    if (left < 0n) return 'uncovered';
    return comesBack || left === 0n || left >= VALUE_MIN ? undefined : 'dust';
  }

  #receiveFlaw(to: Address, value: bigint): ValueRefusal | undefined {
    if (this.balanceOf(to) > 0n) return undefined;
    if (value < VALUE_MIN) return 'dust';
    return this.#holders >= LIMITS.subnetBalancesMax ? 'holders-full' : undefined;
  }

  #take(address: Address, value: bigint): void {
    this.#add(address, 0n - value);
  }

  #add(address: Address, value: bigint): void {
    const before = this.balanceOf(address);
    const balance = before + value;
    if (balance < 0n) throw new RangeError('a balance below zero');
    if (before === 0n && balance > 0n) this.#holders += 1;
    if (before > 0n && balance === 0n) this.#holders -= 1;
    this.balances.set(keyOf(address), { address, balance });
  }

  #letOut(to: Address, value: bigint): void {
    const number = this.totals.withdrawals + 1;
    this.withdrawals.push({ number, to, amount: amount(value) });
    this.totals = { ...this.totals, withdrawals: number, inside: this.totals.inside - value };
  }

  #lane(holder: Address, lane: number): VoucherLane | undefined {
    const changed = this.lanes.get(laneName(holder, lane));
    return changed === undefined ? this.#base.voucherLane(holder, lane) : changed.record;
  }

  #setLane(holder: Address, lane: number, record: VoucherLane | undefined): void {
    const before = this.#lane(holder, lane);
    this.#laneCount += (record === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
    this.lanes.set(laneName(holder, lane), { holder, lane, record });
  }

  /** For the checkpoint; undefined before the first deposit. */
  value(): CheckpointValue | undefined {
    if (this.totals.deposits === 0) return undefined;
    const { withdrawals } = this;
    return {
      deposits: this.totals.deposits,
      withdrawalRoot: merkleRoot(withdrawals.map((withdrawal) => withdrawalLeaf(this.#subnet, withdrawal))),
      withdrawalCount: withdrawals.length,
      withdrawn: amount(withdrawals.reduce((sum, { amount: value }) => sum + value, 0n)),
    };
  }

  /** Leaves of the state tree that are other than before. */
  changes(): StateChange[] {
    const changes: StateChange[] = [];
    for (const balance of this.balances.values()) {
      const value = balance.balance === 0n ? undefined : encodeBalance(balance);
      changes.push({ key: balanceKey(balance.address), value });
    }
    for (const { holder, lane, record } of this.lanes.values())
      changes.push({ key: voucherLaneKey(holder, lane), value: record && encodeVoucherLane(record) });
    if (this.totals !== this.#base.totals)
      changes.push({ key: TOTALS_KEY, value: encodeTotals(this.totals) });
    return changes;
  }
}

function isSamePayee(a: Address | undefined, b: Address | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b);
}
