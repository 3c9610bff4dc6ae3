/**
 * A passkey as a key of the ledger (spec CRYPTO-10): ECDSA over P-256 whose signature is a WebAuthn assertion (W3C Web
 * Authentication Level 3). An authenticator signs neither our bytes nor their hash, but its own data and the hash of a JSON
 * text that a browser wrote, in which our challenge stands. So the challenge is SHA-256 of what is to be signed, and the
 * text is checked byte by byte, as far as a browser may not choose otherwise (the limited verification of §5.8.1.2).
 */
import { concatBytes, equalBytes } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { HASH_BYTES, sha256 } from './hash.ts';
import {
  checkP256Key,
  isP256SignatureForm,
  P256_KEY_BYTES,
  P256_SIGNATURE_BYTES,
  verifyP256,
} from './p256.ts';

/**
 * SHA-256 of the relying party's id ‖ compressed point. An authenticator uses a passkey for its own relying party only; with
 * the id in the key, the address says which, and a key taken elsewhere (a backup gone astray) is another account.
 */
export const WEBAUTHN_KEY_BYTES: number = HASH_BYTES + P256_KEY_BYTES;

/** rpIdHash 32 ‖ flags u8 ‖ counter u32: an assertion we ask for has no extensions. */
export const AUTHENTICATOR_DATA_BYTES = 37;
/** Browsers write some 130 bytes and the origin. */
export const CLIENT_DATA_BYTES_MAX = 1024;
/** authenticatorData 37 ‖ r ‖ s 64 ‖ clientDataJSON. */
export const WEBAUTHN_SIGNATURE_BYTES_MAX: number =
  AUTHENTICATOR_DATA_BYTES + P256_SIGNATURE_BYTES + CLIENT_DATA_BYTES_MAX;

/** What an authenticator and a browser hand out for one challenge. */
export interface Assertion {
  readonly authenticatorData: Uint8Array;
  readonly clientDataJson: Uint8Array;
  /** r ‖ s as spec CRYPTO-8 has it; see `canonicalP256Signature`. */
  readonly signature: Uint8Array;
}

const USER_PRESENT = 0x01;
/** Attested credential data and extension data: there is no room for either. */
const FORBIDDEN_FLAGS = 0x40 | 0x80;
/** Backed up without being eligible for it is a state WebAuthn §6.1.3 rules out. */
const BACKUP_ELIGIBLE = 0x08;
const BACKED_UP = 0x10;

/** 32 bytes: what the browser is to be given as challenge for a signature over `message`. */
export function webauthnChallenge(message: Uint8Array): Uint8Array {
  return sha256(message);
}

/** The signature bytes of spec CRYPTO-10 for an assertion whose parts have the right lengths. */
export function packAssertion(assertion: Assertion): Uint8Array {
  return concatBytes(assertion.authenticatorData, assertion.signature, assertion.clientDataJson);
}

/** Undefined when the length cannot be right. The parts are views. */
export function unpackAssertion(signature: Uint8Array): Assertion | undefined {
  const fixed = AUTHENTICATOR_DATA_BYTES + P256_SIGNATURE_BYTES;
  if (signature.length <= fixed || signature.length > WEBAUTHN_SIGNATURE_BYTES_MAX) return undefined;
  return {
    authenticatorData: signature.subarray(0, AUTHENTICATOR_DATA_BYTES),
    signature: signature.subarray(AUTHENTICATOR_DATA_BYTES, fixed),
    clientDataJson: signature.subarray(fixed),
  };
}

/** What is signed by the P-256 key of an assertion that is in order otherwise. */
export interface AssertedPoint {
  /** Compressed. */
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Checks all of an assertion but the signature, and returns what is left to be verified by the rule of P-256: a shell
 * may do that natively. Undefined when the assertion is not for this key and these bytes.
 */
export function openAssertion(
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): AssertedPoint | undefined {
  return openAssertionOf(key, webauthnChallenge(message), signature);
}

/** As `openAssertion`, for a challenge of 32 bytes. */
export function openAssertionOf(
  key: Uint8Array,
  challenge: Uint8Array,
  signature: Uint8Array,
): AssertedPoint | undefined {
  const assertion = unpackAssertion(signature);
  if (assertion === undefined || key.length !== WEBAUTHN_KEY_BYTES) return undefined;
  const { authenticatorData, clientDataJson } = assertion;
  if (!equalBytes(authenticatorData.subarray(0, HASH_BYTES), key.subarray(0, HASH_BYTES))) return undefined;
  const flags = authenticatorData[HASH_BYTES] as number;
  if ((flags & USER_PRESENT) === 0 || (flags & FORBIDDEN_FLAGS) !== 0) return undefined;
  if ((flags & BACKED_UP) !== 0 && (flags & BACKUP_ELIGIBLE) === 0) return undefined;
  if (!isClientData(clientDataJson, challenge)) return undefined;
  // Last of what is cheap: the range of r and s.
  if (!isP256SignatureForm(assertion.signature)) return undefined;
  return {
    key: key.subarray(HASH_BYTES),
    message: concatBytes(authenticatorData, sha256(clientDataJson)),
    signature: assertion.signature,
  };
}

/** True when the assertion is by this key over these bytes, by the rule of spec CRYPTO-10. Never throws. */
export function verifyWebauthn(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const asserted = openAssertion(key, message, signature);
  return asserted !== undefined && verifyP256(asserted.key, asserted.message, asserted.signature);
}

/** Whether a key may be registered: any relying party, and a point of the curve. */
export function checkWebauthnKey(key: Uint8Array): boolean {
  return key.length === WEBAUTHN_KEY_BYTES && checkP256Key(key.subarray(HASH_BYTES));
}

const HEAD = utf8Encode('{"type":"webauthn.get","challenge":"');
const ORIGIN = utf8Encode('","origin":"');
const SAME_ORIGIN = utf8Encode('"crossOrigin":false');
const CROSS_ORIGIN = utf8Encode('"crossOrigin"');

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const END = 0x7d;

/**
 * `{"type":"webauthn.get","challenge":"…","origin":"…"` in this order, which §5.8.1.1 fixes, then `,"crossOrigin":false` or
 * nothing (older browsers leave it out), then the end or further members, which nobody reads. A page inside
 * somebody else's page asks with `crossOrigin` true and is refused: its user cannot see whose prompt it is.
 */
function isClientData(json: Uint8Array, challenge: Uint8Array): boolean {
  if (json.length > CLIENT_DATA_BYTES_MAX || json.at(-1) !== END) return false;
  const encoded = base64Url(challenge);
  let at = 0;
  for (const expected of [HEAD, encoded, ORIGIN]) {
    if (!startsWith(json, at, expected)) return false;
    at += expected.length;
  }
  const quote = endOfText(json, at);
  if (quote === undefined || quote === at) return false;
  at = quote + 1;
  if (json[at] === END) return at === json.length - 1;
  if (json[at] !== COMMA) return false;
  at += 1;
  if (startsWith(json, at, CROSS_ORIGIN)) {
    if (!startsWith(json, at, SAME_ORIGIN)) return false;
    at += SAME_ORIGIN.length;
    if (json[at] === END) return at === json.length - 1;
    return json[at] === COMMA && at < json.length - 2;
  }
  return json[at] === QUOTE && at < json.length - 2;
}

/** Position of the quote that ends a JSON text; undefined when none does, or a control character stands before it. */
function endOfText(json: Uint8Array, from: number): number | undefined {
  for (let at = from; at < json.length; at += 1) {
    const byte = json[at] as number;
    if (byte === QUOTE) return at;
    if (byte < 0x20) return undefined;
    if (byte === BACKSLASH) at += 1;
  }
  return undefined;
}

function startsWith(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  return equalBytes(bytes.subarray(at, at + expected.length), expected);
}

const ALPHABET = utf8Encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');

/** RFC 4648 §5 without padding, as the bytes of its characters. */
function base64Url(bytes: Uint8Array): Uint8Array {
  const text = new Uint8Array(Math.ceil((bytes.length * 4) / 3));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xffff;
    bits += 8;
    for (; bits >= 6; at += 1) {
      bits -= 6;
      text[at] = ALPHABET[(held >> bits) & 63] as number;
    }
  }
  if (bits > 0) text[at] = ALPHABET[(held << (6 - bits)) & 63] as number;
  return text;
}
