/**
 * Where a process says it listens, signed by its ledger key, so that others may pass it on: unlike a HELLO, which proves
 * something about one session only, and to its other end only.
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
  type SignatureVerifier,
} from '@itc/core/crypto/signature.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { NETWORK_LIMITS } from './limits.ts';

export interface AddressStatement {
  readonly key: PublicKey;
  /** `host:port`. */
  readonly listen: string;
  /** Of two by one key the later one counts. */
  readonly at: Millis;
  readonly signature: Uint8Array;
}

export function signAddress(
  chain: Hash,
  keys: { readonly publicKey: PublicKey; sign(bytes: Uint8Array): Uint8Array },
  said: Pick<AddressStatement, 'listen' | 'at'>,
): AddressStatement {
  const unsigned = { key: keys.publicKey, listen: said.listen, at: said.at };
  return { ...unsigned, signature: keys.sign(addressSigningBytes(chain, unsigned)) };
}

export function verifyAddress(chain: Hash, statement: AddressStatement, verify: SignatureVerifier): boolean {
  return verify(statement.key, addressSigningBytes(chain, statement), statement.signature);
}

/** domain ‖ 0x00 ‖ chain ‖ key ‖ listen ‖ at. */
function addressSigningBytes(chain: Hash, said: Omit<AddressStatement, 'signature'>): Uint8Array {
  const writer = new Writer(256).raw(utf8Encode(SIGNATURE_DOMAINS.address)).u8(0).fixed(chain, HASH_BYTES);
  writePublicKey(writer, said.key);
  return writer.text(said.listen).u53(said.at).finish();
}

export function encodeAddresses(statements: readonly AddressStatement[]): Uint8Array {
  const writer = new Writer(64 + statements.length * 160);
  writer.list(statements, (w, { key, listen, at, signature }) => {
    writePublicKey(w, key);
    w.text(listen).u53(at).fixed(signature, SIGNATURE_BYTES);
  });
  return writer.finish();
}

export function decodeAddresses(bytes: Uint8Array): Result<AddressStatement[], DecodeCode> {
  return decode((reader) => reader.list(NETWORK_LIMITS.addressesMax, readStatement), bytes);
}

function readStatement(reader: Reader): AddressStatement {
  return {
    key: readPublicKey(reader),
    listen: reader.text(NETWORK_LIMITS.listenBytesMax),
    at: millis(reader.u53()),
    signature: reader.fixed(SIGNATURE_BYTES).slice(),
  };
}

/** Host and port of `host:port` or `[host]:port`; undefined for anything else, and for an address that is none (0.0.0.0). */
export function endpointFrom(listen: string): { readonly host: string; readonly port: number } | undefined {
  const found = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.-]+)):([0-9]{1,5})$/u.exec(listen);
  const host = found?.[1] ?? found?.[2];
  const port = Number(found?.[3]);
  return host === undefined || host === '0.0.0.0' || host === '::' || !(port >= 1 && port <= 65_535)
    ? undefined
    : { host, port };
}
