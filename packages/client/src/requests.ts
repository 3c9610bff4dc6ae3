/**
 * Signed HTTP requests (spec CLIENT-2): the caller's ledger key is its login, and there is no session to steal.
 *
 *     authorization: ITC-Ed25519 key=<64 hex>, time=<ms since 1970>, signature=<128 hex>
 *
 * The signature covers  domain ‖ 0x00 ‖ chain ‖ method ‖ path ‖ time ‖ SHA-256(body)  where the domain is
 * `ITC1:sign-request`, the method is upper case, the path is what stands in the request line (with its query),
 * both as u32 length and UTF-8, the time is eight bytes big-endian, and the body of a request without one is empty.
 */
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { SIGNATURE_DOMAINS, type PublicKey, type SignatureVerifier } from '@itc/core/crypto/signature.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { publicKeyOf, type Signer } from './keys.ts';

export const REQUEST_SCHEME = 'ITC-Ed25519';

/** How far the caller's clock may be from the server's, in milliseconds. */
export const REQUEST_SKEW_MS_MAX = 60_000;

export interface Request {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly body: Uint8Array;
}

export function requestSigningBytes(chain: Hash, request: Request & { readonly time: Millis }): Uint8Array {
  return new Writer(256)
    .raw(utf8Encode(SIGNATURE_DOMAINS.request))
    .u8(0)
    .fixed(chain, HASH_BYTES)
    .text(request.method.toUpperCase())
    .text(request.path)
    .u53(request.time)
    .raw(sha256(request.body))
    .finish();
}

/** The value of the `authorization` header. */
export async function signRequest(
  o: Request & { readonly chain: Hash; readonly signer: Signer; readonly time: Millis },
): Promise<string> {
  const signature = await o.signer.sign(requestSigningBytes(o.chain, o));
  return `${REQUEST_SCHEME} key=${toHex(o.signer.publicKey.bytes)}, time=${o.time}, signature=${toHex(signature)}`;
}

export interface Caller {
  readonly key: PublicKey;
  readonly address: Address;
  readonly time: Millis;
  /** In hex: a server that must not act twice remembers these for twice the allowed skew. */
  readonly signature: string;
}

const HEADER = /^ITC-Ed25519 key=([0-9a-f]{64}), time=(0|[1-9][0-9]{0,15}), signature=([0-9a-f]{128})$/;

/** The server's side: who made the request. Whether that one may is for the caller of this to say. */
export function checkRequest(
  o: Request & {
    readonly chain: Hash;
    /** Of the `authorization` header. */
    readonly authorization: string | undefined;
    readonly now: Millis;
    readonly verify: SignatureVerifier;
  },
): Result<Caller, 'request.unauthorised'> {
  if (o.authorization === undefined)
    return refused('request.unauthorised', `expected an authorization header of scheme ${REQUEST_SCHEME}`);
  const [, keyHex, timeText, signatureHex] = HEADER.exec(o.authorization) ?? [];
  if (keyHex === undefined || timeText === undefined || signatureHex === undefined) {
    return refused('request.unauthorised', `expected ${REQUEST_SCHEME} with key, time and signature`);
  }
  const time = Number(timeText);
  if (!Number.isSafeInteger(time) || Math.abs(time - o.now) > REQUEST_SKEW_MS_MAX) {
    return refused(
      'request.unauthorised',
      `expected a time within ${REQUEST_SKEW_MS_MAX} ms of ${o.now}, got ${timeText}`,
    );
  }
  const key = publicKeyOf(hexBytes(keyHex));
  const message = requestSigningBytes(o.chain, { ...o, time: millis(time) });
  if (!o.verify(key, message, hexBytes(signatureHex))) {
    return refused('request.unauthorised', 'the signature does not cover this request on this chain');
  }
  return ok({ key, address: addressOf(key), time: millis(time), signature: signatureHex });
}

/** The pattern has let only hex through. */
function hexBytes(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new RangeError(bytes.message);
  return bytes.value;
}
