/** What the vault knows of a payload beside its bytes. */
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { ContentType } from '@itc/core/ledger/payload.js';
import { readAddress, readHash } from '@itc/core/ledger/fields.js';

/** In this order, never back. */
export const STAGES = ['received', 'in-dag', 'accepted', 'final'] as const;
export type Stage = (typeof STAGES)[number];

/** Stored by position: append, never reorder. */
const CONTENT_TYPES: readonly ContentType[] = [
  'senml+json',
  'senml+cbor',
  'command',
  'ack',
  'value',
  'accusation',
  'rental',
  'attestation',
];

export interface PayloadStatus {
  readonly device: Address;
  readonly contentType: ContentType;
  /** Readings inside; 0 for commands and acknowledgements. */
  readonly readings: number;
  /** Counts up over the whole vault: the order of arrival. */
  readonly arrival: number;
  /** Milliseconds of the gateway's clock; relative SenML times count from here. */
  readonly receivedAt: number;
  /** Earliest and latest time of its readings; both `receivedAt` where there are none. */
  readonly timeMin: number;
  readonly timeMax: number;
  readonly bytes: number;
  readonly stage: Stage;
  readonly envelope?: Hash;
  readonly checkpoint?: number;
  readonly height?: number;
  /** Chain time at which it became final. */
  readonly finalAt?: number;
}

export function stageReached(stage: Stage, at: Stage): boolean {
  return STAGES.indexOf(stage) >= STAGES.indexOf(at);
}

export function encodeStatus(status: PayloadStatus): Uint8Array {
  const writer = new Writer(160)
    .fixed(status.device, HASH_BYTES)
    .u8(CONTENT_TYPES.indexOf(status.contentType))
    .u16(status.readings)
    .u53(status.arrival)
    .u53(status.receivedAt)
    .u53(status.timeMin)
    .u53(status.timeMax)
    .u32(status.bytes)
    .u8(STAGES.indexOf(status.stage))
    .bool(status.envelope !== undefined);
  if (status.envelope !== undefined) writer.fixed(status.envelope, HASH_BYTES);
  for (const part of [status.checkpoint, status.height, status.finalAt]) {
    writer.bool(part !== undefined);
    if (part !== undefined) writer.u53(part);
  }
  return writer.finish();
}

export function decodeStatus(bytes: Uint8Array): Result<PayloadStatus, DecodeCode> {
  return decode(readStatus, bytes);
}

function readStatus(reader: Reader): PayloadStatus {
  const status = {
    device: readAddress(reader),
    contentType: CONTENT_TYPES[reader.u8()] ?? reader.refuse('decode.unknown-kind', 'content type'),
    readings: reader.u16(),
    arrival: reader.u53(),
    receivedAt: reader.u53(),
    timeMin: reader.u53(),
    timeMax: reader.u53(),
    bytes: reader.u32(),
    stage: STAGES[reader.u8()] ?? reader.refuse('decode.unknown-kind', 'stage'),
  };
  const envelope = reader.bool() ? readHash(reader) : undefined;
  const optional = (): number | undefined => (reader.bool() ? reader.u53() : undefined);
  const checkpoint = optional();
  const height = optional();
  const finalAt = optional();
  return {
    ...status,
    ...(envelope === undefined ? {} : { envelope }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(height === undefined ? {} : { height }),
    ...(finalAt === undefined ? {} : { finalAt }),
  };
}
