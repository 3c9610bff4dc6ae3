/** Batches of readings at a gateway (spec EDGE-15.5): the payload holds the root, the readings come with it and are kept beside it. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { detectFormat } from '../2-conversion/detect.ts';
import { parseSenml, type SenmlRecord } from '../2-conversion/senml.ts';
import { batchRoot, proveBatchReading } from '../device-sdk/reading-batch.ts';

/** Whether these are the readings of the batch, and what they say. Its signature is not looked at. */
export function checkBatch(
  payload: Payload,
  readings: readonly Uint8Array[],
  receivedAt: number,
): Result<SenmlRecord[], 'payload.malformed' | 'payload.not-senml'> {
  const signed = batchRoot(payload);
  if (signed === undefined)
    return refused('payload.malformed', 'readings come with a payload that is no batch');
  if (signed.count !== readings.length)
    return refused(
      'payload.malformed',
      `the batch is of ${signed.count} readings, ${readings.length} came with it`,
    );
  if (!equalBytes(new MerkleTree(readings.map(sha256)).root, signed.root))
    return refused('payload.malformed', 'the readings are not those of the batch');
  const records: SenmlRecord[] = [];
  for (const [i, reading] of readings.entries()) {
    const parsed = recordsIn(reading, receivedAt);
    if (!parsed.ok) return refused('payload.not-senml', `reading ${i}: ${parsed.message}`);
    for (const record of parsed.value) records.push(record);
  }
  return ok(records);
}

/** Of readings that were checked when they came. */
export function recordsOf(readings: readonly Uint8Array[], receivedAt: number): SenmlRecord[] {
  return readings.flatMap((reading) => {
    const parsed = recordsIn(reading, receivedAt);
    return parsed.ok ? parsed.value : [];
  });
}

export interface ProvenRecord {
  /** Which of the readings of the batch. */
  readonly index: number;
  /** As DEVICE-3.3 has it: shows the reading as the device signed it. */
  readonly proof: Uint8Array;
  /** Which of the records of that reading. */
  readonly record: number;
}

/** The proof of one record, counted over all readings of the batch. Undefined beyond the last. */
export function proveRecord(
  payload: Uint8Array,
  readings: readonly Uint8Array[],
  index: number,
): ProvenRecord | undefined {
  let record = index;
  for (const [i, reading] of readings.entries()) {
    const count = recordsOf([reading], 0).length;
    if (record < count) return { index: i, proof: proveBatchReading({ payload, readings }, i), record };
    record -= count;
  }
  return undefined;
}

function recordsIn(reading: Uint8Array, receivedAt: number): Result<SenmlRecord[], 'payload.not-senml'> {
  const format = detectFormat(reading);
  if (format !== 'senml+json' && format !== 'senml+cbor')
    return refused('payload.not-senml', 'expected SenML in JSON or CBOR');
  return parseSenml(format, reading, receivedAt);
}
