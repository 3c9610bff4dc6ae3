/** One batch of signatures as one buffer: handing over a buffer costs a fraction of cloning objects. */
import { lay } from '@itc/core/bytes/lay.js';
import { ED25519, type Algorithm } from '@itc/core/crypto/signature.js';
import { verifyNative } from './native.ts';

export interface SignedItem {
  /** Of the scheme; Ed25519 when left out. */
  readonly algorithm?: Algorithm;
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  /** Comes before the message in what was signed; the same array for many items spares joining them. */
  readonly prefix?: Uint8Array;
  readonly signature: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** Algorithm u8, lengths of key and signature u16 each, length of what was signed u32. */
const HEAD_BYTES = 9;
const FIELD_BYTES_MAX = 0xffff;

/** Per item: head ‖ key ‖ signature ‖ prefix ‖ message. Keys and signatures beyond any scheme's length go as empty ones. */
export function packBatch(items: readonly SignedItem[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const { key, message, prefix = NOTHING, signature } of items) {
    length += HEAD_BYTES + bounded(key).length + bounded(signature).length + prefix.length + message.length;
  }
  const packed = new Uint8Array(length);
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const { algorithm = ED25519, key, message, prefix = NOTHING, signature } of items) {
    packed[at] = algorithm;
    view.setUint16(at + 1, bounded(key).length);
    view.setUint16(at + 3, bounded(signature).length);
    view.setUint32(at + 5, prefix.length + message.length);
    at += HEAD_BYTES;
    at = lay(packed, at, bounded(key));
    at = lay(packed, at, bounded(signature));
    at = lay(packed, at, prefix);
    at = lay(packed, at, message);
  }
  return packed;
}

function bounded(bytes: Uint8Array): Uint8Array {
  return bytes.length > FIELD_BYTES_MAX ? NOTHING : bytes;
}

/** One byte per item: 1 when the signature holds. */
export function verifyPacked(packed: Uint8Array, count: number): Uint8Array<ArrayBuffer> {
  const verdicts = new Uint8Array(count);
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    const algorithm = packed[at] as Algorithm;
    const signatureAt = at + HEAD_BYTES + view.getUint16(at + 1);
    const messageAt = signatureAt + view.getUint16(at + 3);
    const end = messageAt + view.getUint32(at + 5);
    const key = { algorithm, bytes: packed.subarray(at + HEAD_BYTES, signatureAt) };
    const signature = packed.subarray(signatureAt, messageAt);
    verdicts[i] = verifyNative(key, packed.subarray(messageAt, end), signature) ? 1 : 0;
    at = end;
  }
  return verdicts;
}
