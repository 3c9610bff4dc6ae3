/** Bodies about streams: payments that go on by themselves, without a transaction per second (spec STATE-20). */
import { Writer } from '../../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../../crypto/hash.ts';
import type { Address } from '../address.ts';
import { readAddress, readHash } from '../fields.ts';
import { amount, millis, type Amount, type Millis } from '../ids.ts';
import type { BodyCodecs } from './codec.ts';

export type StreamBody =
  | ({ readonly kind: 'open-stream' } & StreamTerms)
  /** By anybody: more to pay out. */
  | { readonly kind: 'fund-stream'; readonly stream: Hash; readonly amount: Amount }
  /** By either side: what is due is paid. */
  | { readonly kind: 'settle-stream'; readonly stream: Hash }
  /** By the payee at once; by the payer when its notice is over. */
  | { readonly kind: 'close-stream'; readonly stream: Hash };

export interface StreamTerms {
  /** Chosen by the payer: two open streams of one payer have two numbers. */
  readonly number: number;
  readonly payee: Address;
  /** Base units for each period. */
  readonly rate: Amount;
  /** Seconds: 1, or 60 for a price per minute. */
  readonly period: number;
  /** Paid in with it; when it is used up the stream ends. */
  readonly amount: Amount;
  /** From when on it pays; the block that opens it if that is later. */
  readonly start: Millis;
  readonly end: Millis;
  /** Milliseconds from the payer's wish to end it until it ends. */
  readonly notice: number;
  /** What is paid for, where that is a device. */
  readonly device: Address | undefined;
}

export function streamId(payer: Address, number: number): Hash {
  return hashTagged('stream', payer, new Writer(8).u53(number).finish());
}

export const STREAM_CODECS: BodyCodecs<StreamBody> = {
  'open-stream': {
    write: (writer, body) => {
      writer
        .u53(body.number)
        .fixed(body.payee, HASH_BYTES)
        .u64(body.rate)
        .u32(body.period)
        .u64(body.amount)
        .u53(body.start)
        .u53(body.end)
        .u53(body.notice)
        .bool(body.device !== undefined);
      if (body.device !== undefined) writer.fixed(body.device, HASH_BYTES);
    },
    read: (reader) => ({
      kind: 'open-stream',
      number: reader.u53(),
      payee: readAddress(reader),
      rate: amount(reader.u64()),
      period: reader.u32(),
      amount: amount(reader.u64()),
      start: millis(reader.u53()),
      end: millis(reader.u53()),
      notice: reader.u53(),
      device: reader.bool() ? readAddress(reader) : undefined,
    }),
  },
  'fund-stream': {
    write: (writer, body) => writer.fixed(body.stream, HASH_BYTES).u64(body.amount),
    read: (reader) => ({ kind: 'fund-stream', stream: readHash(reader), amount: amount(reader.u64()) }),
  },
  'settle-stream': {
    write: (writer, body) => writer.fixed(body.stream, HASH_BYTES),
    read: (reader) => ({ kind: 'settle-stream', stream: readHash(reader) }),
  },
  'close-stream': {
    write: (writer, body) => writer.fixed(body.stream, HASH_BYTES),
    read: (reader) => ({ kind: 'close-stream', stream: readHash(reader) }),
  },
};
