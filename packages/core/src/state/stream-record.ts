/** What the ledger remembers of a stream, and what of it is due (spec STATE-20). */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { readAddress } from '../ledger/fields.ts';
import { amount, millis, type Amount, type Millis } from '../ledger/ids.ts';
import { readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** The hash of payer and number is in the key. */
export interface Stream {
  readonly payer: Address;
  readonly payee: Address;
  /** Base units for each `period` of seconds. */
  readonly rate: Amount;
  readonly period: number;
  /** Paid in, and of it paid out. */
  readonly funded: Amount;
  readonly paid: Amount;
  readonly start: Millis;
  /** As agreed, or earlier since the payer gave notice. */
  readonly end: Millis;
  readonly notice: number;
  readonly device: Address | undefined;
  readonly deposit: RecordDeposit;
}

type Flow = Pick<Stream, 'rate' | 'period' | 'funded' | 'start' | 'end'>;

/**
 * All that is due up to a moment since the start, paid or not: whole base units of the time gone by, so that what is settled in
 * many steps comes to what is settled in one.
 */
export function accrued(stream: Flow, at: Millis): bigint {
  const until = Math.min(at, stream.end);
  if (until <= stream.start) return 0n;
  const total = (stream.rate * BigInt(until - stream.start)) / (BigInt(stream.period) * 1000n);
  return total < stream.funded ? total : stream.funded;
}

/** When time or money ends, whichever is first. */
export function endsAt(stream: Flow): Millis {
  const periodMs = BigInt(stream.period) * 1000n;
  // Rounded up: the last unit is due then.
  const lasts = (stream.funded * periodMs + stream.rate - 1n) / stream.rate;
  const left = BigInt(stream.end - stream.start);
  return lasts < left ? millis(stream.start + Number(lasts)) : stream.end;
}

export function writeStream(writer: Writer, stream: Stream): void {
  writer
    .fixed(stream.payer, HASH_BYTES)
    .fixed(stream.payee, HASH_BYTES)
    .u64(stream.rate)
    .u32(stream.period)
    .u64(stream.funded)
    .u64(stream.paid)
    .u53(stream.start)
    .u53(stream.end)
    .u53(stream.notice)
    .bool(stream.device !== undefined);
  if (stream.device !== undefined) writer.fixed(stream.device, HASH_BYTES);
  writeDepositOf(writer, stream.deposit);
}

export function readStream(reader: Reader): Stream {
  const stream: Stream = {
    payer: readAddress(reader),
    payee: readAddress(reader),
    rate: amount(reader.u64()),
    period: reader.u32(),
    funded: amount(reader.u64()),
    paid: amount(reader.u64()),
    start: millis(reader.u53()),
    end: millis(reader.u53()),
    notice: reader.u53(),
    device: reader.bool() ? readAddress(reader) : undefined,
    deposit: readDepositOf(reader),
  };
  if (stream.rate === 0n || stream.period === 0 || stream.start > stream.end)
    reader.refuse('decode.out-of-range', 'expected a stream that flows forward');
  if (stream.paid > stream.funded)
    reader.refuse('decode.out-of-range', 'expected no more paid out than was paid in');
  return stream;
}
