/**
 * HELLO: how a peer shows its ledger key. The signature covers a value only the two ends of this very TLS session
 * can derive (RFC 8446 §7.5, RFC 9266), so it cannot be relayed: someone in the middle has two sessions.
 */
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, sha256, ZERO_HASH, type Hash } from '@itc/core/crypto/hash.js';
import { X_WING_CIPHERTEXT_BYTES, X_WING_KEY_BYTES } from '@itc/core/crypto/x-wing.js';
import {
  readPublicKey,
  SIGNATURE_BYTES,
  SIGNATURE_DOMAINS,
  writePublicKey,
  type PublicKey,
} from '@itc/core/crypto/signature.js';
import { readHash } from '@itc/core/ledger/fields.js';
import type { PeerRole } from '../ports.ts';
import { NETWORK_LIMITS } from './limits.ts';

export const PEER_PROTOCOL_VERSION = 2;
export const EXPORTER_LABEL = 'EXPORTER-itc-peer';
export const EXPORTER_BYTES = 32;

/** Who opened the connection. Signed, so that no end can be sent its own HELLO back. */
export type Side = 'dialler' | 'listener';

export interface Hello {
  readonly version: number;
  readonly chain: Hash;
  readonly key: PublicKey;
  readonly role: PeerRole;
  readonly listen: string;
  readonly hybrid: HybridShare;
  readonly signature: Uint8Array;
}

/** An X-Wing key of the dialler, and a ciphertext for it of the listener (spec QUANTUM-5). */
export type HybridShare =
  | { readonly kind: 'none' }
  | { readonly kind: 'offer'; readonly key: Uint8Array }
  | { readonly kind: 'answer'; readonly ciphertext: Uint8Array };

const ROLES: readonly PeerRole[] = ['validator', 'gateway', 'member', 'observer'];

export function encodeHello(hello: Hello): Uint8Array {
  const writer = new Writer(256).u16(hello.version).fixed(hello.chain, HASH_BYTES);
  writePublicKey(writer, hello.key);
  writer.u8(ROLES.indexOf(hello.role)).text(hello.listen);
  writeHybrid(writer, hello.hybrid);
  return writer.fixed(hello.signature, SIGNATURE_BYTES).finish();
}

function writeHybrid(writer: Writer, share: HybridShare): void {
  switch (share.kind) {
    case 'none':
      writer.u8(0);
      return;
    case 'offer':
      writer.u8(1).fixed(share.key, X_WING_KEY_BYTES);
      return;
    case 'answer':
      writer.u8(2).fixed(share.ciphertext, X_WING_CIPHERTEXT_BYTES);
      return;
  }
}

function readHybrid(reader: Reader): HybridShare {
  const kind = reader.u8();
  if (kind === 0) return { kind: 'none' };
  if (kind === 1) return { kind: 'offer', key: reader.fixed(X_WING_KEY_BYTES).slice() };
  if (kind === 2) return { kind: 'answer', ciphertext: reader.fixed(X_WING_CIPHERTEXT_BYTES).slice() };
  return reader.refuse('decode.unknown-kind', 'no such share');
}

export function decodeHello(bytes: Uint8Array): Result<Hello, DecodeCode> {
  return decode(readHello, bytes);
}

function readHello(reader: Reader): Hello {
  const version = reader.u16();
  if (version !== PEER_PROTOCOL_VERSION)
    reader.refuse('decode.unknown-kind', `expected peer protocol ${PEER_PROTOCOL_VERSION}, got ${version}`);
  const chain = readHash(reader);
  const key = readPublicKey(reader);
  const role = ROLES[reader.u8()] ?? reader.refuse('decode.unknown-kind', 'no such role');
  return {
    version,
    chain,
    key,
    role,
    listen: reader.text(NETWORK_LIMITS.listenBytesMax),
    hybrid: readHybrid(reader),
    signature: reader.fixed(SIGNATURE_BYTES).slice(),
  };
}

/** domain ‖ 0x00 ‖ chain ‖ exporter ‖ side ‖ role ‖ listen ‖ share ‖ hash of the HELLO that is answered, zeros for the first. */
export function helloSigningBytes(
  hello: Pick<Hello, 'chain' | 'role' | 'listen' | 'hybrid'>,
  session: { readonly exporter: Uint8Array; readonly side: Side; readonly answered?: Uint8Array },
): Uint8Array {
  const writer = new Writer(2048)
    .raw(utf8Encode(SIGNATURE_DOMAINS.peer))
    .u8(0)
    .fixed(hello.chain, HASH_BYTES)
    .fixed(session.exporter, EXPORTER_BYTES)
    .u8(session.side === 'dialler' ? 0 : 1)
    .u8(ROLES.indexOf(hello.role))
    .text(hello.listen);
  writeHybrid(writer, hello.hybrid);
  const { answered } = session;
  return writer.fixed(answered === undefined ? ZERO_HASH : sha256(answered), HASH_BYTES).finish();
}
