/** What members say to each other about snapshots and about what they have forgotten: requests with a number, and answers. */
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { readWithdrawal, writeWithdrawal, type Withdrawal } from '@itc/core/ledger/escrow.js';
import { LIMITS } from '@itc/core/ledger/limits.js';

export type SubnetRequest =
  /** Which snapshots are there, and from which checkpoint on everything is kept? */
  | { readonly kind: 'offers' }
  | { readonly kind: 'chunk'; readonly sequence: number; readonly index: number }
  /** Ids of the payloads a checkpoint applied, in order. */
  | { readonly kind: 'applied'; readonly sequence: number }
  /** What a checkpoint let out. */
  | { readonly kind: 'withdrawals'; readonly sequence: number };

export interface Offer {
  readonly sequence: number;
  readonly digest: Hash;
  readonly bytes: number;
}

export type SubnetAnswer =
  | { readonly kind: 'offers'; readonly oldest: number; readonly offers: readonly Offer[] }
  | { readonly kind: 'chunk'; readonly body: Uint8Array }
  | { readonly kind: 'applied'; readonly ids: readonly Hash[] }
  | { readonly kind: 'withdrawals'; readonly withdrawals: readonly Withdrawal[] }
  /** Not here, or not any more. */
  | { readonly kind: 'unknown' };

export const SUBNET_SYNC = {
  chunkBytes: 256 * 1024,
  offersMax: 4,
  /** A peer that asks for more waits: what serves a newcomer must not slow down those who are up to date. */
  bytesPerSecond: 8 << 20,
} as const;

const REQUESTS = ['offers', 'chunk', 'applied', 'withdrawals'] as const;
const ANSWERS = ['offers', 'chunk', 'applied', 'unknown', 'withdrawals'] as const;

export function encodeSubnetRequest(number: number, request: SubnetRequest): Uint8Array {
  const writer = new Writer(32).u32(number).u8(REQUESTS.indexOf(request.kind));
  switch (request.kind) {
    case 'offers':
      break;
    case 'chunk':
      writer.u53(request.sequence).u32(request.index);
      break;
    case 'applied':
    case 'withdrawals':
      writer.u53(request.sequence);
      break;
  }
  return writer.finish();
}

export function decodeSubnetRequest(
  bytes: Uint8Array,
): Result<{ readonly number: number; readonly request: SubnetRequest }, DecodeCode> {
  return decode((reader) => ({ number: reader.u32(), request: readRequest(reader) }), bytes);
}

function readRequest(reader: Reader): SubnetRequest {
  const kind = REQUESTS[reader.u8()] ?? reader.refuse('decode.unknown-kind', 'expected a kind of request');
  switch (kind) {
    case 'offers':
      return { kind };
    case 'chunk':
      return { kind, sequence: reader.u53(), index: reader.u32() };
    case 'applied':
    case 'withdrawals':
      return { kind, sequence: reader.u53() };
  }
}

export function encodeSubnetAnswer(number: number, answer: SubnetAnswer): Uint8Array {
  const writer = new Writer(answer.kind === 'chunk' ? answer.body.length + 16 : 1024)
    .u32(number)
    .u8(ANSWERS.indexOf(answer.kind));
  switch (answer.kind) {
    case 'offers':
      writer.u53(answer.oldest).list(answer.offers, (w, offer) => {
        w.u53(offer.sequence).fixed(offer.digest, HASH_BYTES).u32(offer.bytes);
      });
      break;
    case 'chunk':
      writer.raw(answer.body);
      break;
    case 'applied':
      writer.u32(answer.ids.length);
      for (const id of answer.ids) writer.fixed(id, HASH_BYTES);
      break;
    case 'withdrawals':
      writer.list(answer.withdrawals, writeWithdrawal);
      break;
    case 'unknown':
      break;
  }
  return writer.finish();
}

export function decodeSubnetAnswer(
  bytes: Uint8Array,
): Result<{ readonly number: number; readonly answer: SubnetAnswer }, DecodeCode> {
  return decode((reader) => ({ number: reader.u32(), answer: readAnswer(reader) }), bytes);
}

function readAnswer(reader: Reader): SubnetAnswer {
  const kind = ANSWERS[reader.u8()] ?? reader.refuse('decode.unknown-kind', 'expected a kind of answer');
  const hash = (): Hash => asHash(reader.fixed(HASH_BYTES).slice());
  switch (kind) {
    case 'offers':
      return {
        kind,
        oldest: reader.u53(),
        offers: reader.list(SUBNET_SYNC.offersMax, () => ({
          sequence: reader.u53(),
          digest: hash(),
          bytes: reader.u32(),
        })),
      };
    case 'chunk':
      return { kind, body: reader.fixed(reader.remaining).slice() };
    case 'applied': {
      const count = reader.u32();
      // A million bytes carry no more, whatever a cone may hold.
      if (count * HASH_BYTES > LIMITS.subnetMessageBytesMax || count * HASH_BYTES !== reader.remaining)
        return reader.refuse('decode.too-long', `expected ${count} ids`);
      return { kind, ids: Array.from({ length: count }, hash) };
    }
    case 'withdrawals':
      return { kind, withdrawals: reader.list(LIMITS.withdrawalsMax, readWithdrawal) };
    case 'unknown':
      return { kind };
  }
}
