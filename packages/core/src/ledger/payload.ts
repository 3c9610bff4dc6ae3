/**
 * Device payloads: COSE_Sign1 (RFC 9052 §4.2) with Ed25519, so that any chip with a stock COSE library can
 * take part. Readings, commands and acknowledgements are such payloads. Spec WIRE-5.
 */
import { decodeCbor, encodeCbor, type Cbor, type CborMap } from '../bytes/cbor.ts';
import { concatBytes, equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { HASH_BYTES, hashTagged, TAGS, type Hash } from '../crypto/hash.ts';
import { ED25519, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type PublicKey } from '../crypto/signature.ts';
import { addressOf, asAddress, type Address } from './address.ts';
import { LIMITS } from './limits.ts';

export type ContentType = 'senml+json' | 'senml+cbor' | 'command' | 'ack' | 'value';

export interface Payload {
  /** The whole COSE_Sign1, as it came. */
  readonly bytes: Uint8Array;
  /** Over signer and Sig_structure: free of the signature and the unprotected header, so nobody else can change it. */
  readonly id: Hash;
  readonly signer: PublicKey;
  /** The device it is from, or for a command the device it is to. */
  readonly device: Address;
  /** The signer's counter for this device, from 1; a lane is (signer, device). */
  readonly sequence: number;
  readonly contentType: ContentType;
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
  /** The Sig_structure: what the signature covers. */
  readonly signedBytes: Uint8Array;
}

export interface UnsignedPayload {
  readonly signer: PublicKey;
  readonly device: Address;
  readonly sequence: number;
  readonly contentType: ContentType;
  readonly content: Uint8Array;
}

/** COSE_Sign1, RFC 9052 §4.2. */
const TAG_SIGN1 = 18;
const ALG_EDDSA = -8;
/** Labels of the protected header; the last two are from the private range (RFC 9052 §11.1). */
const LABELS = { alg: 1, contentType: 3, kid: 4, sequence: -70001, device: -70002 } as const;

/** CoAP content formats (RFC 8428 §12.3.3) for SenML, media types for our own. */
const CONTENT_TYPES: Readonly<Record<ContentType, number | string>> = {
  'senml+json': 110,
  'senml+cbor': 112,
  command: 'application/vnd.itc.command',
  ack: 'application/vnd.itc.ack',
  value: 'application/vnd.itc.value',
};

/**
 * Form only: the signature is NOT checked here. The result holds copies. Refused are an unknown label in
 * the protected header, a device label that names the signer itself, a command without a device label (it
 * would be to its own sender), and an acknowledgement or an order about value with one (only the device, or the holder,
 * speaks for itself).
 */
export function parsePayload(
  chain: Hash,
  bytes: Uint8Array,
): Result<Payload, 'payload.malformed' | 'payload.too-large'> {
  if (bytes.length > LIMITS.payloadBytesMax) {
    return refused(
      'payload.too-large',
      `expected at most ${LIMITS.payloadBytesMax} bytes, got ${bytes.length}`,
    );
  }
  const copy = new Uint8Array(bytes);
  const outer = decodeCbor(copy);
  if (!outer.ok) return refused('payload.malformed', outer.message);
  const sign1 = untag(outer.value);
  if (!Array.isArray(sign1) || sign1.length !== 4) return malformed('expected a COSE_Sign1 array of four');
  const [protectedHeader, unprotectedHeader, content, signature] = sign1 as Cbor[];
  if (!(protectedHeader instanceof Uint8Array))
    return malformed('expected the protected header as a byte string');
  if (!isMap(unprotectedHeader) || unprotectedHeader.entries.length > 0) {
    return malformed('expected an empty unprotected header');
  }
  if (!(content instanceof Uint8Array)) return malformed('expected the content to be embedded');
  if (!(signature instanceof Uint8Array) || signature.length !== SIGNATURE_BYTES) {
    return malformed(`expected a signature of ${SIGNATURE_BYTES} bytes`);
  }
  const header = parseHeader(protectedHeader);
  if (!header.ok) return header;
  const signedBytes = sigStructure(protectedHeader, externalAad(chain), content);
  const id = payloadId(header.value.signer, signedBytes);
  return ok({ bytes: copy, id, ...header.value, content, signature, signedBytes });
}

type Header = Omit<UnsignedPayload, 'content'>;

function parseHeader(bytes: Uint8Array): Result<Header, 'payload.malformed'> {
  const decoded = decodeCbor(bytes);
  if (!decoded.ok) return malformed(`protected header: ${decoded.message}`);
  if (!isMap(decoded.value)) return malformed('expected the protected header to be a map');
  const labels = new Map<Cbor, Cbor>(decoded.value.entries);
  const known = (label: Cbor): boolean => Object.values<Cbor>(LABELS).includes(label);
  if (![...labels.keys()].every(known)) return malformed('an unknown label is in the protected header');

  if (labels.get(LABELS.alg) !== ALG_EDDSA) return malformed('expected algorithm −8 (EdDSA)');
  const kid = labels.get(LABELS.kid);
  if (!(kid instanceof Uint8Array) || kid.length !== PUBLIC_KEY_BYTES)
    return malformed('expected a kid of 32 bytes');
  const sequence = labels.get(LABELS.sequence);
  if (typeof sequence !== 'number' || sequence < 1) return malformed('expected a sequence number from 1');
  const contentType = contentTypeOf(labels.get(LABELS.contentType));
  if (contentType === undefined) return malformed('expected a known content type');

  const signer: PublicKey = { algorithm: ED25519, bytes: kid };
  const own = addressOf(signer);
  const named = labels.get(LABELS.device);
  if (named === undefined) {
    if (contentType === 'command') return malformed('a command names its device');
    return ok({ signer, device: own, sequence, contentType });
  }
  if (!(named instanceof Uint8Array) || named.length !== HASH_BYTES)
    return malformed('expected a device of 32 bytes');
  if (equalBytes(named, own)) return malformed('a device that signs for itself is not named');
  if (contentType === 'ack') return malformed('an acknowledgement is signed by the device itself');
  if (contentType === 'value') return malformed('an order about value is of its signer alone');
  return ok({ signer, device: asAddress(named), sequence, contentType });
}

function malformed(message: string): Result<never, 'payload.malformed'> {
  return refused('payload.malformed', message);
}

function untag(value: Cbor): Cbor {
  return typeof value === 'object' && 'kind' in value && value.kind === 'tag' && value.tag === TAG_SIGN1
    ? value.value
    : value;
}

function isMap(value: Cbor | undefined): value is CborMap {
  return typeof value === 'object' && 'kind' in value && value.kind === 'map';
}

function contentTypeOf(label: Cbor | undefined): ContentType | undefined {
  for (const [name, value] of Object.entries(CONTENT_TYPES)) if (value === label) return name as ContentType;
  return undefined;
}

/** SenML signed by someone else than the device: a gateway vouching for a device that cannot sign. */
export function isAttested(payload: Pick<Payload, 'signer' | 'device' | 'contentType'>): boolean {
  switch (payload.contentType) {
    case 'senml+json':
    case 'senml+cbor':
      return !equalBytes(addressOf(payload.signer), payload.device);
    case 'command':
    case 'ack':
    case 'value':
      return false;
  }
}

function protectedHeaderOf(payload: UnsignedPayload): Uint8Array {
  const entries: [Cbor, Cbor][] = [
    [LABELS.alg, ALG_EDDSA],
    [LABELS.contentType, CONTENT_TYPES[payload.contentType]],
    [LABELS.kid, payload.signer.bytes],
    [LABELS.sequence, payload.sequence],
  ];
  if (!equalBytes(payload.device, addressOf(payload.signer))) entries.push([LABELS.device, payload.device]);
  return encodeCbor({ kind: 'map', entries });
}

/** RFC 9052 §4.4: ["Signature1", body_protected, external_aad, payload]. */
export function sigStructure(protectedHeader: Uint8Array, aad: Uint8Array, content: Uint8Array): Uint8Array {
  return encodeCbor(['Signature1', protectedHeader, aad, content]);
}

/** Ties a payload to its chain without a byte on the wire. */
function externalAad(chain: Hash): Uint8Array {
  return concatBytes(utf8Encode(TAGS.payload), Uint8Array.of(0), chain);
}

/** What the signer signs. */
export function payloadSigningBytes(chain: Hash, payload: UnsignedPayload): Uint8Array {
  return sigStructure(protectedHeaderOf(payload), externalAad(chain), payload.content);
}

export function payloadId(signer: PublicKey, signedBytes: Uint8Array): Hash {
  return hashTagged('payload', signer.bytes, signedBytes);
}

/** Tagged, with an empty unprotected header. */
export function encodePayload(payload: UnsignedPayload, signature: Uint8Array): Uint8Array {
  const unprotected: CborMap = { kind: 'map', entries: [] };
  const sign1: Cbor = [protectedHeaderOf(payload), unprotected, payload.content, signature];
  return encodeCbor({ kind: 'tag', tag: TAG_SIGN1, value: sign1 });
}

/** Names the lane of a payload: one counter per signer and device. */
export function laneKey(payload: Pick<Payload, 'signer' | 'device'>): Hash {
  return hashTagged('lane', addressOf(payload.signer), payload.device);
}
