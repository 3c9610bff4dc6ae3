/**
 * Receipts as stored, all of a block together. Not hashed anywhere: the form is ours to change. What the block itself
 * tells (ids, kinds) is not told again.
 */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { amount } from '@itc/core/ledger/ids.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';

const TEXT_MAX = 1024;

export type StoredReceipt = Pick<Receipt, 'fee' | 'outcome'>;

export function encodeReceipts(receipts: readonly StoredReceipt[]): Uint8Array {
  const writer = new Writer(16 + 12 * receipts.length);
  for (const { fee, outcome } of receipts) {
    writer.u64(fee).bool(outcome.ok);
    if (!outcome.ok) writer.text(outcome.code).text(outcome.message.slice(0, TEXT_MAX / 4));
  }
  return writer.finish();
}

/** In the order of the block. */
export function decodeReceipts(bytes: Uint8Array): StoredReceipt[] {
  const reader = new Reader(bytes);
  const receipts: StoredReceipt[] = [];
  while (reader.remaining > 0) {
    const fee = amount(reader.u64());
    const outcome: Receipt['outcome'] = reader.bool()
      ? { ok: true }
      : { ok: false, code: reader.text(TEXT_MAX) as ErrorCode, message: reader.text(TEXT_MAX) };
    receipts.push({ fee, outcome });
  }
  return receipts;
}
