/** Receipts as stored. Not hashed anywhere: the form is ours to change. */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash } from '@itc/core/crypto/hash.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import type { BodyKind } from '@itc/core/ledger/transaction.js';

const TEXT_MAX = 1024;

export function encodeReceipt(receipt: Receipt): Uint8Array {
  const { outcome } = receipt;
  const writer = new Writer(96)
    .fixed(receipt.transaction, 32)
    .u53(receipt.height)
    .u32(receipt.index)
    .text(receipt.kind)
    .u64(receipt.fee)
    .bool(outcome.ok);
  if (!outcome.ok) writer.text(outcome.code).text(outcome.message.slice(0, TEXT_MAX / 4));
  return writer.finish();
}

export function decodeReceipt(bytes: Uint8Array): Receipt {
  const reader = new Reader(bytes);
  const head = {
    transaction: asHash(reader.fixed(32).slice()),
    height: height(reader.u53()),
    index: reader.u32(),
    kind: reader.text(TEXT_MAX) as BodyKind,
    fee: amount(reader.u64()),
  };
  if (reader.bool()) return { ...head, outcome: { ok: true } };
  return {
    ...head,
    outcome: { ok: false, code: reader.text(TEXT_MAX) as ErrorCode, message: reader.text(TEXT_MAX) },
  };
}
