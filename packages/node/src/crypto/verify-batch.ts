/** One batch of signatures as one buffer: handing over a buffer costs a fraction of cloning objects. */
import { ED25519, type Algorithm } from '@itc/core/crypto/signature.js';
import { LANES } from './curve-code.ts';
import { KeyTables } from './key-tables.ts';
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
    for (const part of [bounded(key), bounded(signature), prefix, message]) {
      packed.set(part, at);
      at += part.length;
    }
  }
  return packed;
}

function bounded(bytes: Uint8Array): Uint8Array {
  return bytes.length > FIELD_BYTES_MAX ? NOTHING : bytes;
}

/** Signatures seen before a thread makes the tables that all keys share: most threads of small nodes never do. */
const SEEN_MIN = 1_024;

/** Verifies packed batches on one thread, and remembers the keys that sign often. */
export class BatchVerifier {
  readonly #createTables: () => KeyTables | undefined;
  #tables: KeyTables | undefined;
  #seen = 0;

  constructor(createTables: () => KeyTables | undefined = () => KeyTables.create()) {
    this.#createTables = createTables;
  }

  /** One byte per item: 1 when the signature holds. */
  verify(packed: Uint8Array, count: number): Uint8Array<ArrayBuffer> {
    if (this.#seen < SEEN_MIN && this.#seen + count >= SEEN_MIN) this.#tables = this.#createTables();
    this.#seen += count;
    const verdicts = new Uint8Array(count);
    const items = unpackBatch(packed, count);
    const known: number[] = [];
    for (const [i, item] of items.entries()) {
      if (item.algorithm === ED25519 && this.#tables?.has(item.key) === true) known.push(i);
      else verdicts[i] = this.#verifyOne(item);
    }
    // Fours cost the same when they are not full: a few are better left to libsodium.
    const quick = known.slice(0, known.length - (known.length % LANES));
    const yes = this.#tables?.verify(quick.map((i) => items[i] as UnpackedItem)) ?? [];
    for (const [n, i] of known.entries())
      verdicts[i] = yes[n] === true ? 1 : this.#verifyOne(items[i] as UnpackedItem);
    return verdicts;
  }

  #verifyOne({ algorithm, key, message, signature }: UnpackedItem): 0 | 1 {
    if (!verifyNative({ algorithm, bytes: key }, message, signature)) return 0;
    if (algorithm === ED25519) this.#tables?.count(key);
    return 1;
  }
}

interface UnpackedItem {
  readonly algorithm: Algorithm;
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

function unpackBatch(packed: Uint8Array, count: number): UnpackedItem[] {
  const items: UnpackedItem[] = [];
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    const keyAt = at + HEAD_BYTES;
    const signatureAt = keyAt + view.getUint16(at + 1);
    const messageAt = signatureAt + view.getUint16(at + 3);
    const end = messageAt + view.getUint32(at + 5);
    items.push({
      algorithm: packed[at] as Algorithm,
      key: packed.subarray(keyAt, signatureAt),
      signature: packed.subarray(signatureAt, messageAt),
      message: packed.subarray(messageAt, end),
    });
    at = end;
  }
  return items;
}

const ofThisThread = new BatchVerifier();

/** One byte per item: 1 when the signature holds. */
export function verifyPacked(packed: Uint8Array, count: number): Uint8Array<ArrayBuffer> {
  return ofThisThread.verify(packed, count);
}
