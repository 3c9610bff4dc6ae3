/** From a stored payload back to its readings. */
import type { Payload } from '@itc/core/ledger/payload.js';
import { parseSenml, type SenmlRecord } from '../2-conversion/senml.ts';
import { batchRoot } from '../device-sdk/reading-batch.ts';
import { recordsOf } from './batches.ts';
import type { LatestValue } from './views.ts';

/**
 * Empty for commands and acknowledgements, for what is no SenML, and for a batch whose readings are not here.
 * @param receivedAt relative times count from it @param batch the readings of a batch
 */
export function readingsIn(
  payload: Payload,
  receivedAt: number,
  batch?: readonly Uint8Array[],
): SenmlRecord[] {
  if (batch !== undefined) return recordsOf(batch, receivedAt);
  switch (payload.contentType) {
    case 'senml+json':
    case 'senml+cbor': {
      if (batchRoot(payload) !== undefined) return [];
      const parsed = parseSenml(payload.contentType, payload.content, receivedAt);
      return parsed.ok ? parsed.value : [];
    }
    case 'command':
    case 'ack':
    case 'value':
    case 'accusation':
    case 'rental':
    case 'attestation':
      return [];
  }
}

/** A record that holds only a sum shows the sum. */
export function shown(record: SenmlRecord): LatestValue {
  const value = record.value ?? record.sum ?? 0;
  return {
    name: record.name,
    ...(record.unit === undefined ? {} : { unit: record.unit }),
    value: value instanceof Uint8Array ? Buffer.from(value).toString('base64url') : value,
    time: record.time,
  };
}
