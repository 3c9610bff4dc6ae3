/** Which record a payload holds at a place: of its own content, or of a batch, whose readings it holds the root of. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { refused, ok, type Result } from '@itc/core/bytes/result.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { ReadingVerdict } from '@itc/core/light/reading-proof.js';
import { detectFormat } from '@itc/edge/2-conversion/detect.js';
import { parseSenml, type SenmlRecord } from '@itc/edge/2-conversion/senml.js';
import { batchRoot, verifyBatchReading } from '@itc/edge/device-sdk/reading-batch.js';

export interface BatchPart {
  /** As DEVICE-3.3 has it. */
  readonly proof: Uint8Array;
  /** Of the records of that reading. */
  readonly record: number;
}

export interface ProvenRecord {
  /** In the payload, or of the reading in its batch. */
  readonly index: number;
  readonly record: SenmlRecord;
}

export const isBatch = ({ payload }: Extract<ReadingVerdict, { valid: true }>): boolean =>
  batchRoot(payload) !== undefined;

/** `index`: of a payload that is no batch. A batch takes the proof of one reading. */
export function provenRecord(
  verdict: Extract<ReadingVerdict, { valid: true }>,
  o: { readonly chain: Hash; readonly index: number; readonly batch: BatchPart | undefined },
): Result<ProvenRecord, 'reading'> {
  const { payload, checkpoint } = verdict;
  const { contentType } = payload;
  if (contentType !== 'senml+json' && contentType !== 'senml+cbor')
    return refused('reading', `the payload is a ${contentType}, not readings`);
  if (isBatch(verdict)) return ofBatch(verdict, o);
  if (o.batch !== undefined) return refused('reading', 'the payload is no batch');
  return recordAt(contentType, payload.content, { ...o, record: o.index, now: checkpoint.time });
}

function ofBatch(
  { payload, checkpoint }: Extract<ReadingVerdict, { valid: true }>,
  { chain, batch }: { readonly chain: Hash; readonly batch: BatchPart | undefined },
): Result<ProvenRecord, 'reading'> {
  if (batch === undefined)
    return refused('reading', 'the payload is a batch, and no proof of one of its readings is here');
  const proven = verifyBatchReading({ chain, proof: batch.proof, verify: verifySignature });
  if (!proven.ok) return refused('reading', `batch: ${proven.message}`);
  if (!equalBytes(proven.value.payload.id, payload.id))
    return refused('reading', 'the reading is of another batch');
  const { reading, index } = proven.value;
  const format = detectFormat(reading);
  if (format !== 'senml+json' && format !== 'senml+cbor')
    return refused('reading', 'the reading is no SenML');
  return recordAt(format, reading, { index, record: batch.record, now: checkpoint.time });
}

function recordAt(
  format: 'senml+json' | 'senml+cbor',
  content: Uint8Array,
  o: { readonly index: number; readonly record: number; readonly now: number },
): Result<ProvenRecord, 'reading'> {
  const records = parseSenml(format, content, o.now);
  const record = records.ok ? records.value[o.record] : undefined;
  return record === undefined
    ? refused('reading', `the payload holds no reading ${o.record}`)
    : ok({ index: o.index, record });
}
