/** One batch of signatures as one buffer: handing over a buffer costs a fraction of cloning objects. */
import { ED25519, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '@itc/core/crypto/signature.js';
import { verifyNative } from './native.ts';

export interface SignedItem {
  /** Ed25519 public key. */
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  /** Comes before the message in what was signed; the same array for many items spares joining them. */
  readonly prefix?: Uint8Array;
  readonly signature: Uint8Array;
}

const NOTHING = new Uint8Array(0);

const FIXED_BYTES = PUBLIC_KEY_BYTES + SIGNATURE_BYTES + 4;

/** Per item: key ‖ signature ‖ u32 length ‖ prefix ‖ message. The caller has checked the lengths of key and signature. */
export function packBatch(items: readonly SignedItem[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const { message, prefix = NOTHING } of items) length += FIXED_BYTES + prefix.length + message.length;
  const packed = new Uint8Array(length);
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const { key, message, prefix = NOTHING, signature } of items) {
    packed.set(key, at);
    packed.set(signature, at + PUBLIC_KEY_BYTES);
    view.setUint32(at + FIXED_BYTES - 4, prefix.length + message.length);
    packed.set(prefix, at + FIXED_BYTES);
    packed.set(message, at + FIXED_BYTES + prefix.length);
    at += FIXED_BYTES + prefix.length + message.length;
  }
  return packed;
}

/** One byte per item: 1 when the signature holds. */
export function verifyPacked(packed: Uint8Array, count: number): Uint8Array<ArrayBuffer> {
  const verdicts = new Uint8Array(count);
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    const start = at + FIXED_BYTES;
    const end = start + view.getUint32(start - 4);
    const key = { algorithm: ED25519, bytes: packed.subarray(at, at + PUBLIC_KEY_BYTES) };
    const signature = packed.subarray(at + PUBLIC_KEY_BYTES, start - 4);
    verdicts[i] = verifyNative(key, packed.subarray(start, end), signature) ? 1 : 0;
    at = end;
  }
  return verdicts;
}
