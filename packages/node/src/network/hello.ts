/**
 * HELLO: how a peer shows its ledger key. The signature covers a value only the two ends of this very TLS session
 * can derive (RFC 8446 §7.5, RFC 9266), so it cannot be relayed: someone in the middle has two sessions.
 */
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
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

export const PEER_PROTOCOL_VERSION = 1;
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
  readonly signature: Uint8Array;
}

const ROLES: readonly PeerRole[] = ['validator', 'gateway', 'member', 'observer'];

export function encodeHello(hello: Hello): Uint8Array {
  const writer = new Writer(256).u16(hello.version).fixed(hello.chain, HASH_BYTES);
  writePublicKey(writer, hello.key);
  return writer
    .u8(ROLES.indexOf(hello.role))
    .text(hello.listen)
    .fixed(hello.signature, SIGNATURE_BYTES)
    .finish();
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
    signature: reader.fixed(SIGNATURE_BYTES).slice(),
  };
}

/** domain ‖ 0x00 ‖ chain ‖ exporter ‖ side ‖ role ‖ listen. */
export function helloSigningBytes(
  hello: Pick<Hello, 'chain' | 'role' | 'listen'>,
  session: { readonly exporter: Uint8Array; readonly side: Side },
): Uint8Array {
  return new Writer(256)
    .raw(utf8Encode(SIGNATURE_DOMAINS.peer))
    .u8(0)
    .fixed(hello.chain, HASH_BYTES)
    .fixed(session.exporter, EXPORTER_BYTES)
    .u8(session.side === 'dialler' ? 0 : 1)
    .u8(ROLES.indexOf(hello.role))
    .text(hello.listen)
    .finish();
}
