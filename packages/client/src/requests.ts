/**
 * Signed HTTP requests (spec CLIENT-2): the caller's ledger key is its login, and there is no session to steal.
 *
 *     authorization: ITC-Ed25519 key=<64 hex>, time=<ms since 1970>, signature=<128 hex>
 *     authorization: ITC-P256 key=<base64url>, time=<ms since 1970>, signature=<base64url>
 *
 * and so for ITC-ML-DSA-44 and ITC-WebAuthn. `account=<itc1…>` stands behind the key where other keys act for the account than the one
 * whose hash its address is. The signature covers  domain ‖ 0x00 ‖ chain ‖ method ‖ path ‖ time ‖ SHA-256(body)  where the domain is
 * `ITC1:sign-request`, the method is upper case, the path is what stands in the request line (with its query),
 * both as u32 length and UTF-8, the time is eight bytes big-endian, and the body of a request without one is empty.
 */
import { equalBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, sha256, type Hash } from '@itc/core/crypto/hash.js';
import {
  ED25519,
  FIXED_SIGNATURE_BYTES,
  KEY_BYTES,
  ML_DSA_44,
  P256,
  SIGNATURE_BYTES_MAX,
  SIGNATURE_DOMAINS,
  WEBAUTHN,
  type Algorithm,
  type PublicKey,
  type SignatureVerifier,
} from '@itc/core/crypto/signature.js';
import { addressOf, formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { fromBase64Url, toBase64Url } from './base64url.ts';
import type { Signer } from './keys.ts';
import { namedAccount } from './transactions.ts';

export const REQUEST_SCHEMES: Readonly<Record<Algorithm, string>> = {
  [ED25519]: 'ITC-Ed25519',
  [P256]: 'ITC-P256',
  [ML_DSA_44]: 'ITC-ML-DSA-44',
  [WEBAUTHN]: 'ITC-WebAuthn',
};

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
  const { publicKey } = o.signer;
  const signature = await o.signer.sign(requestSigningBytes(o.chain, o));
  // Hex of Ed25519, as it was first; the keys of other schemes are long, and headers have their limits.
  const text = publicKey.algorithm === ED25519 ? toHex : toBase64Url;
  const { account } = namedAccount(o.signer);
  const named = account === undefined ? '' : `, account=${formatAddress(account)}`;
  return `${REQUEST_SCHEMES[publicKey.algorithm]} key=${text(publicKey.bytes)}${named}, time=${o.time}, signature=${text(signature)}`;
}

export interface Caller {
  readonly key: PublicKey;
  /** The account: that the key acts for it is for the server to look up (`actsAlone`). */
  readonly address: Address;
  readonly time: Millis;
  /** As in the header: a server that must not act twice remembers these for twice the allowed skew. */
  readonly signature: string;
}

const HEADER =
  /^(ITC-[A-Za-z0-9-]{1,16}) key=([0-9A-Za-z_-]{1,2624})(?:, account=(itc1[0-9a-z]{1,80}))?, time=(0|[1-9][0-9]{0,15}), signature=([0-9A-Za-z_-]{1,4840})$/;

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
  const schemes = Object.values(REQUEST_SCHEMES).join(', ');
  if (o.authorization === undefined)
    return refused(
      'request.unauthorised',
      `expected an authorization header of one of the schemes ${schemes}`,
    );
  const [, scheme, keyText, accountText, timeText, signatureText] = HEADER.exec(o.authorization) ?? [];
  const key = keyOf(scheme, keyText);
  const signature = key && bytesOf(key.algorithm, signatureText);
  if (key === undefined || signature === undefined || timeText === undefined || signatureText === undefined)
    return refused('request.unauthorised', `expected one of ${schemes} with key, time and signature`);
  const account = accountText === undefined ? undefined : parseAddress(accountText);
  const own = addressOf(key);
  // One header for one caller: an account that is the address of the key is not named.
  if (account !== undefined && (!account.ok || equalBytes(account.value, own)))
    return refused('request.unauthorised', 'expected the address of an account with other keys, or none');
  const time = Number(timeText);
  if (!Number.isSafeInteger(time) || Math.abs(time - o.now) > REQUEST_SKEW_MS_MAX) {
    return refused(
      'request.unauthorised',
      `expected a time within ${REQUEST_SKEW_MS_MAX} ms of ${o.now}, got ${timeText}`,
    );
  }
  const message = requestSigningBytes(o.chain, { ...o, time: millis(time) });
  if (!o.verify(key, message, signature)) {
    return refused('request.unauthorised', 'the signature does not cover this request on this chain');
  }
  const address = account?.ok === true ? account.value : own;
  return ok({ key, address, time: millis(time), signature: signatureText });
}

function keyOf(scheme: string | undefined, text: string | undefined): PublicKey | undefined {
  const algorithm = ([ED25519, P256, ML_DSA_44, WEBAUTHN] as const).find(
    (one) => REQUEST_SCHEMES[one] === scheme,
  );
  const bytes = algorithm === undefined ? undefined : decoded(algorithm, text);
  if (algorithm === undefined || bytes?.length !== KEY_BYTES[algorithm]) return undefined;
  return { algorithm, bytes };
}

function bytesOf(algorithm: Algorithm, text: string | undefined): Uint8Array | undefined {
  const bytes = decoded(algorithm, text);
  const length = FIXED_SIGNATURE_BYTES[algorithm];
  if (bytes === undefined) return undefined;
  return length === undefined ? within(bytes) : bytes.length === length ? bytes : undefined;
}

const within = (bytes: Uint8Array): Uint8Array | undefined =>
  bytes.length <= SIGNATURE_BYTES_MAX ? bytes : undefined;

function decoded(algorithm: Algorithm, text: string | undefined): Uint8Array | undefined {
  if (text === undefined || (algorithm === ED25519 && text !== text.toLowerCase())) return undefined;
  const bytes = algorithm === ED25519 ? fromHex(text) : fromBase64Url(text);
  return bytes.ok ? bytes.value : undefined;
}
