/**
 * What a device sends along with a payload (spec EDGE-15.1): a stamp where work was asked of it, and the readings of a batch, of
 * which the payload holds the root only. Bytes, so that MQTT 3.1.1 and anything else can carry them.
 */
import { decode, type DecodeCode } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { readStamp, writeStamp, type Stamp } from '@itc/core/dag/toll.js';
import { BATCH_READINGS_MAX } from './device-sdk/reading-batch.ts';
import { EDGE_LIMITS } from './limits.ts';

/** No CBOR array and no text begins with it. */
export const UPLOAD_VERSION = 1;
export const UPLOAD_CONTENT_TYPE = 'application/vnd.itc.upload';

export interface UploadFrame {
  readonly stamp?: Stamp;
  /** COSE_Sign1, or SenML of a device that does not sign. */
  readonly payload: Uint8Array;
  /** Of a batch, in the order of its tree; none otherwise. */
  readonly readings: readonly Uint8Array[];
}

/** Version u8 = 1 ‖ 0, or 1 ‖ stamp 16 ‖ payload, length u32 ‖ [ reading, length u32 ] (u16 count). */
export function encodeUploadFrame({ stamp, payload, readings }: UploadFrame): Uint8Array {
  const writer = new Writer(64 + payload.length).u8(UPLOAD_VERSION).bool(stamp !== undefined);
  if (stamp !== undefined) writeStamp(writer, stamp);
  return writer
    .bytes(payload)
    .list(readings, (w, reading) => w.bytes(reading))
    .finish();
}

/** Views of `bytes`. */
export function decodeUploadFrame(bytes: Uint8Array): Result<UploadFrame, DecodeCode> {
  return decode((reader) => {
    if (reader.u8() !== UPLOAD_VERSION) reader.refuse('decode.unknown-kind', 'not an upload of this version');
    const stamp = reader.bool() ? readStamp(reader) : undefined;
    return {
      ...(stamp && { stamp }),
      payload: reader.bytes(EDGE_LIMITS.packetBytesMax),
      readings: reader.list(BATCH_READINGS_MAX, (r) => r.bytes(EDGE_LIMITS.packetBytesMax)),
    };
  }, bytes);
}
