/**
 * What a holder inside a subnet signs (spec DAG-12): the content of a payload with content type `value`. The payload gives
 * the holder (its signer) and the number (its sequence).
 */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { addressOf, asAddress, type Address } from './address.ts';
import { amount, millis, type Amount, type Millis } from './ids.ts';
import { LIMITS } from './limits.ts';
import type { Payload } from './payload.ts';

export type ValueOrder =
  /** To another holder. */
  | {
      readonly kind: 'transfer';
      readonly to: Address;
      readonly amount: Amount;
      /** Last checkpoint time at which it may be applied: what was ignored then stays ignored. */
      readonly expiresAt: Millis;
    }
  /** To an account of the main chain. */
  | {
      readonly kind: 'withdraw';
      readonly to: Address;
      readonly amount: Amount;
      readonly expiresAt: Millis;
    }
  /** Moves balance into a voucher lane, which stays closed to its owner until `until`. */
  | {
      readonly kind: 'set-aside';
      readonly lane: number;
      readonly amount: Amount;
      readonly until: Millis;
      /** The only one whose vouchers of this lane are paid; anyone when absent. */
      readonly payee: Address | undefined;
    }
  /** Takes back what is left of a lane, after its time. */
  | { readonly kind: 'release'; readonly lane: number }
  /** Handed over offline, cashed by whoever brings it to a member. The payload's sequence is its number in the lane. */
  | {
      readonly kind: 'voucher';
      readonly lane: number;
      readonly to: Address;
      readonly amount: Amount;
      readonly expiresAt: Millis;
    };

/** In the order of their codes on the wire, from 1. */
const KINDS = ['transfer', 'withdraw', 'set-aside', 'release', 'voucher'] as const;

/** The subnet is signed with it: balances of one holder in two subnets are two. */
export function encodeValueOrder(subnet: Hash, order: ValueOrder): Uint8Array {
  const writer = new Writer(128);
  writer.u8(KINDS.indexOf(order.kind) + 1).fixed(subnet, HASH_BYTES);
  switch (order.kind) {
    case 'transfer':
    case 'withdraw':
      writer.fixed(order.to, HASH_BYTES).u64(order.amount).u53(order.expiresAt);
      break;
    case 'set-aside':
      writer
        .u8(order.lane)
        .u64(order.amount)
        .u53(order.until)
        .bool(order.payee !== undefined);
      if (order.payee !== undefined) writer.fixed(order.payee, HASH_BYTES);
      break;
    case 'release':
      writer.u8(order.lane);
      break;
    case 'voucher':
      writer.u8(order.lane).fixed(order.to, HASH_BYTES).u64(order.amount).u53(order.expiresAt);
      break;
  }
  return writer.finish();
}

const readAddress = (reader: Reader): Address => asAddress(reader.fixed(HASH_BYTES).slice());

function readAmount(reader: Reader): Amount {
  const value = amount(reader.u64());
  if (value === 0n) reader.refuse('decode.out-of-range', 'expected an amount above 0');
  return value;
}

function readLane(reader: Reader): number {
  const lane = reader.u8();
  if (lane >= LIMITS.voucherLanesMax)
    reader.refuse('decode.out-of-range', `expected a lane below ${LIMITS.voucherLanesMax}, got ${lane}`);
  return lane;
}

function readOrder(reader: Reader): { readonly subnet: Hash; readonly order: ValueOrder } {
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined) return reader.refuse('decode.unknown-kind', 'expected an order about value');
  const subnet = asHash(reader.fixed(HASH_BYTES).slice());
  return { subnet, order: readFields(reader, kind) };
}

function readFields(reader: Reader, kind: (typeof KINDS)[number]): ValueOrder {
  switch (kind) {
    case 'transfer':
    case 'withdraw':
      return {
        kind,
        to: readAddress(reader),
        amount: readAmount(reader),
        expiresAt: millis(reader.u53()),
      };
    case 'set-aside':
      return {
        kind,
        lane: readLane(reader),
        amount: readAmount(reader),
        until: millis(reader.u53()),
        payee: reader.bool() ? readAddress(reader) : undefined,
      };
    case 'release':
      return { kind, lane: readLane(reader) };
    case 'voucher':
      return {
        kind,
        lane: readLane(reader),
        to: readAddress(reader),
        amount: readAmount(reader),
        expiresAt: millis(reader.u53()),
      };
  }
}

/** Strict: what it accepts encodes to the same bytes. */
export function decodeValueOrder(
  content: Uint8Array,
): Result<{ readonly subnet: Hash; readonly order: ValueOrder }, DecodeCode> {
  return decode(readOrder, content);
}

/** The order in a payload, if it is one for this subnet. A voucher to its own signer is none: it would open the lane early. */
export function valueOrderOf(
  subnet: Hash,
  payload: Pick<Payload, 'contentType' | 'content' | 'signer'>,
): Result<ValueOrder, 'value-malformed' | 'other-subnet'> {
  if (payload.contentType !== 'value') return refused('value-malformed', 'the payload is not about value');
  const decoded = decodeValueOrder(payload.content);
  if (!decoded.ok) return refused('value-malformed', decoded.message);
  const { order } = decoded.value;
  if (!equalBytes(decoded.value.subnet, subnet)) return refused('other-subnet', 'signed for another subnet');
  if (order.kind === 'voucher' && equalBytes(order.to, addressOf(payload.signer)))
    return refused('value-malformed', 'a voucher is to somebody else');
  return ok(order);
}

/** By the first byte alone: whatever else is wrong with it, its sequence is no number of the holder's own lane. */
export function isVoucher(payload: Pick<Payload, 'contentType' | 'content'>): boolean {
  return payload.contentType === 'value' && payload.content[0] === KINDS.indexOf('voucher') + 1;
}

/** The lane a voucher draws on; 0 when it is too short to name one. */
export function voucherLaneOf({ content }: Pick<Payload, 'content'>): number {
  return content[1 + HASH_BYTES] ?? 0;
}
