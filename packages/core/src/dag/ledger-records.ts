/** Leaves of a subnet's state tree that are about value (spec DAG-12.10): balances, voucher lanes, totals. */
import type { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import { amount, AMOUNT_MAX, millis } from '../ledger/ids.ts';
import { WINDOW_BYTES, type SequenceWindow } from './sequence-window.ts';

/** Leading byte of keys and values; 1 to 3 are those of `lanes.ts`. */
export const LEDGER_KIND = { balance: 4, voucherLane: 5, totals: 6 } as const;

/** A holder with a balance; who has none has no record. */
export interface Balance {
  readonly address: Address;
  readonly balance: bigint;
}

/** Balance set aside for vouchers; closed to its holder until its time has passed. */
export interface VoucherLane extends Readonly<SequenceWindow> {
  readonly holder: Address;
  readonly lane: number;
  readonly left: bigint;
  /** Checkpoint time up to which vouchers are cashed; after it the holder may take back what is left. */
  readonly until: number;
  readonly payee: Address | undefined;
}

export interface Totals {
  /** Number of the last deposit credited. */
  readonly deposits: number;
  /** Number of the last withdrawal let out. */
  readonly withdrawals: number;
  /** All balances and voucher lanes together. */
  readonly inside: bigint;
}

export const NO_TOTALS: Totals = { deposits: 0, withdrawals: 0, inside: 0n };

/** Where a balance lives in the state tree of its subnet: what a proof is about. */
export const balanceKey = (address: Address): Hash => key(LEDGER_KIND.balance, address);
export const voucherLaneKey = (holder: Address, lane: number): Hash =>
  key(LEDGER_KIND.voucherLane, holder, Uint8Array.of(lane));
export const TOTALS_KEY: Hash = key(LEDGER_KIND.totals);

function key(kind: number, ...parts: readonly Uint8Array[]): Hash {
  return hashTagged('stateKey', Uint8Array.of(kind), ...parts);
}

/** The value a membership proof of a balance is about. */
export function encodeBalance({ address, balance }: Balance): Uint8Array {
  return new Writer(48).u8(LEDGER_KIND.balance).fixed(address, HASH_BYTES).u64(amount(balance)).finish();
}

export function readBalance(reader: Reader): Balance {
  return { address: asAddress(reader.fixed(HASH_BYTES).slice()), balance: reader.u64() };
}

export function encodeVoucherLane(lane: VoucherLane): Uint8Array {
  const writer = new Writer(256)
    .u8(LEDGER_KIND.voucherLane)
    .fixed(lane.holder, HASH_BYTES)
    .u8(lane.lane)
    .u64(amount(lane.left))
    .u53(millis(lane.until))
    .bool(lane.payee !== undefined);
  if (lane.payee !== undefined) writer.fixed(lane.payee, HASH_BYTES);
  return writer.u53(lane.high).raw(lane.window).finish();
}

export function readVoucherLane(reader: Reader): VoucherLane {
  return {
    holder: asAddress(reader.fixed(HASH_BYTES).slice()),
    lane: reader.u8(),
    left: reader.u64(),
    until: reader.u53(),
    payee: reader.bool() ? asAddress(reader.fixed(HASH_BYTES).slice()) : undefined,
    high: reader.u53(),
    window: reader.fixed(WINDOW_BYTES).slice(),
  };
}

export function encodeTotals({ deposits, withdrawals, inside }: Totals): Uint8Array {
  if (inside > AMOUNT_MAX) throw new RangeError('more is inside a subnet than there can be');
  return new Writer(32).u8(LEDGER_KIND.totals).u53(deposits).u53(withdrawals).u64(amount(inside)).finish();
}

export function readTotals(reader: Reader): Totals {
  return { deposits: reader.u53(), withdrawals: reader.u53(), inside: reader.u64() };
}
