/**
 * What goes over a submission stream (spec NODE-14): frames as between peers, u32 length ‖ u8 kind ‖ body. Transactions
 * are numbered by the order in which they were sent, from 0, and answered by number: nothing is named twice.
 */
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { height, type Height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { FRAME_HEAD_BYTES } from '../network/frame-decoder.ts';

/** Path and name of the protocol in the upgrade request (RFC 9110 §7.8). */
export const SUBMISSION_PATH = '/api/v1/transactions/stream';
export const SUBMISSION_PROTOCOL = 'itc-transactions';

export const SUBMISSION_KINDS = { transaction: 1, final: 2, refused: 3 } as const;

/** Greatest body of an answer: all transactions of one block. */
export const ANSWER_BYTES_MAX: number = 16 + 9 * LIMITS.blockTransactionsMax;

const TEXT_MAX = 1_024;

/** Transactions of this stream that one block made final. The block is durable at the node that says so. */
export interface FinalAnswer {
  readonly kind: 'final';
  readonly height: Height;
  readonly items: readonly FinalItem[];
}

export interface FinalItem {
  /** Of the transaction in this stream. */
  readonly number: number;
  /** In the block. */
  readonly index: number;
  /** False: the fee is taken, the rest was refused; the receipt tells why. */
  readonly accepted: boolean;
}

/** The node did not take it, or does not hold it any more: it may be sent again. */
export interface RefusedAnswer {
  readonly kind: 'refused';
  readonly number: number;
  readonly code: ErrorCode;
  readonly message: string;
}

export type SubmissionAnswer = FinalAnswer | RefusedAnswer;

/** A frame with its head. */
export function frameOf(kind: number, body: Uint8Array): Uint8Array {
  return new Writer(FRAME_HEAD_BYTES + body.length).u32(body.length).u8(kind).raw(body).finish();
}

export function encodeAnswer(answer: SubmissionAnswer): Uint8Array {
  switch (answer.kind) {
    case 'final': {
      const writer = new Writer(10 + 9 * answer.items.length).u53(answer.height);
      writer.list(answer.items, (w, item) => w.u32(item.number).u32(item.index).bool(item.accepted));
      return frameOf(SUBMISSION_KINDS.final, writer.finish());
    }
    case 'refused': {
      const writer = new Writer(256).u32(answer.number).text(answer.code);
      return frameOf(SUBMISSION_KINDS.refused, writer.text(answer.message.slice(0, TEXT_MAX / 4)).finish());
    }
  }
}

/** From kind and body of a frame. */
export function decodeAnswer(kind: number, body: Uint8Array): Result<SubmissionAnswer, DecodeCode> {
  return decode((reader) => readAnswer(kind, reader), body);
}

function readAnswer(kind: number, reader: Reader): SubmissionAnswer {
  switch (kind) {
    case SUBMISSION_KINDS.final:
      return {
        kind: 'final',
        height: height(reader.u53()),
        items: reader.list(LIMITS.blockTransactionsMax, (r) => ({
          number: r.u32(),
          index: r.u32(),
          accepted: r.bool(),
        })),
      };
    case SUBMISSION_KINDS.refused:
      return {
        kind: 'refused',
        number: reader.u32(),
        code: reader.text(TEXT_MAX) as ErrorCode,
        message: reader.text(TEXT_MAX),
      };
    default:
      return reader.refuse('decode.unknown-kind', `expected a kind of answer, got ${kind}`);
  }
}
