/**
 * Hybrid channels (spec QUANTUM-5): inside TLS, both ends agree on keys by X-Wing, and everything behind their HELLOs is sealed once more.
 * Who records a session today and breaks X25519 one day still needs ML-KEM-768.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { concatBytes } from '@itc/core/bytes/hex.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import type { Side } from './hello.ts';

/** `require`: a peer without it is no peer. */
export type HybridMode = 'off' | 'on' | 'require';

export interface ChannelKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 4;
/** Plaintext of one record: memory is taken for no more. */
export const RECORD_BYTES_MAX: number = 128 << 10;
/** Far below what one AES-GCM key may seal; a connection that got so far begins anew. */
const RECORDS_MAX = 2 ** 40;

/**
 * From the secret both have, this TLS session's exporter, and both HELLOs as they were sent: another session, another word in either, or
 * another secret gives other keys.
 */
export function channelKeys(o: {
  readonly secret: Uint8Array;
  readonly exporter: Uint8Array;
  readonly hellos: { readonly dialler: Uint8Array; readonly listener: Uint8Array };
  readonly side: Side;
}): ChannelKeys {
  const transcript: Hash = sha256(concatBytes(sha256(o.hellos.dialler), sha256(o.hellos.listener)));
  const info = concatBytes(utf8Encode('ITC1:peer-hybrid'), Uint8Array.of(0), transcript);
  const both = new Uint8Array(hkdfSync('sha256', o.secret, o.exporter, info, 2 * KEY_BYTES));
  const [dialler, listener] = [both.slice(0, KEY_BYTES), both.slice(KEY_BYTES)];
  return o.side === 'dialler' ? { send: dialler, receive: listener } : { send: listener, receive: dialler };
}

/** u32 length of the rest ‖ ciphertext ‖ tag 16; AES-256-GCM, the nonce is the record's number, the head is authenticated. */
export class SealedRecords {
  readonly #keys: ChannelKeys;
  #sent = 0;
  #received = 0;
  /** The beginning of a record whose rest has not arrived; no more than one record and a piece of the stream. */
  #pieces: Uint8Array[] = [];
  #have = 0;
  #need = HEAD_BYTES;

  constructor(keys: ChannelKeys) {
    this.#keys = keys;
  }

  seal(plain: Uint8Array): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < plain.length; at += RECORD_BYTES_MAX)
      parts.push(...this.#sealOne(plain.subarray(at, at + RECORD_BYTES_MAX)));
    return Buffer.concat(parts);
  }

  #sealOne(plain: Uint8Array): Uint8Array[] {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32BE(plain.length + TAG_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#keys.send, nonceOf(this.#sent), {
      authTagLength: TAG_BYTES,
    });
    this.#sent += 1;
    const sealed = cipher.setAAD(head).update(plain);
    cipher.final();
    return [head, sealed, cipher.getAuthTag()];
  }

  /** Hands out what is whole and true. False when something is not: the connection ends. */
  open(chunk: Uint8Array, onPlain: (plain: Uint8Array) => void): boolean {
    this.#pieces.push(chunk);
    this.#have += chunk.length;
    // Pieces are joined when a record is whole: joining them one by one would copy its beginning over and over.
    if (this.#have < this.#need) return true;
    const bytes = this.#pieces.length === 1 ? chunk : concatBytes(...this.#pieces);
    let at = 0;
    for (;;) {
      const length = bytes.length - at < HEAD_BYTES ? undefined : lengthAt(bytes, at);
      this.#need = HEAD_BYTES + (length ?? 0);
      if (length !== undefined && (length <= TAG_BYTES || length > RECORD_BYTES_MAX + TAG_BYTES))
        return false;
      if (length === undefined || bytes.length - at < this.#need) break;
      const body = at + HEAD_BYTES;
      const plain = this.#openOne(bytes.subarray(at, body), bytes.subarray(body, body + length));
      if (plain === undefined) return false;
      onPlain(plain);
      at = body + length;
    }
    this.#pieces = at === bytes.length ? [] : [bytes.subarray(at)];
    this.#have = bytes.length - at;
    return true;
  }

  #openOne(head: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const decipher = createDecipheriv('aes-256-gcm', this.#keys.receive, nonceOf(this.#received), {
      authTagLength: TAG_BYTES,
    });
    this.#received += 1;
    const tagAt = sealed.length - TAG_BYTES;
    decipher.setAAD(head).setAuthTag(sealed.subarray(tagAt));
    const plain = decipher.update(sealed.subarray(0, tagAt));
    try {
      decipher.final();
      // No Buffer: its `slice` does not copy.
      return new Uint8Array(plain.buffer, plain.byteOffset, plain.length);
    } catch {
      return undefined;
    }
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at, HEAD_BYTES).getUint32(0);
}

function nonceOf(record: number): Uint8Array {
  if (record >= RECORDS_MAX) throw new RangeError('a channel has sealed all that one key may');
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(record, NONCE_BYTES - 6, 6);
  return nonce;
}
