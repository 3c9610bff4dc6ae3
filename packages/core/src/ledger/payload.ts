/**
 * Device payloads: COSE_Sign1 (RFC 9052 §4.2) with Ed25519, so that any chip with a stock COSE library can
 * take part. Readings, commands and acknowledgements are such payloads. Commands are of people, whose accounts may be held by keys of
 * any scheme. Spec WIRE-5.
 */
import { decodeCbor, encodeCbor, type Cbor, type CborMap } from '../bytes/cbor.ts';
import { concatBytes, equalBytes } from '../bytes/hex.ts';
import { lay } from '../bytes/lay.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { idText } from '../bytes/id-text.ts';
import { batchHasher } from '../crypto/batch-hasher.ts';
import { asHash, HASH_BYTES, hashTagged, sha256, TAGS, type Hash } from '../crypto/hash.ts';
import {
  ED25519,
  FIXED_SIGNATURE_BYTES,
  KEY_BYTES,
  ML_DSA_44,
  P256,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  SIGNATURE_BYTES_MAX,
  WEBAUTHN,
  type Algorithm,
  type PublicKey,
} from '../crypto/signature.ts';
import { addressOf, asAddress, type Address } from './address.ts';
import { LIMITS } from './limits.ts';
import { payloadScan, type PayloadParts } from './payload-scan.ts';

export type ContentType =
  | 'senml+json'
  | 'senml+cbor'
  | 'command'
  | 'ack'
  | 'value'
  | 'accusation'
  | 'rental'
  | 'attestation';

export interface Payload {
  /** The whole COSE_Sign1, as it came. */
  readonly bytes: Uint8Array;
  /** Over signer and Sig_structure: free of the signature and the unprotected header, so nobody else can change it. */
  readonly id: Hash;
  readonly signer: PublicKey;
  /** Of a command: the account that commands, where other keys act for it than the one whose hash its address is. */
  readonly account?: Address;
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
  /** As in `Payload`. */
  readonly account?: Address;
  readonly device: Address;
  readonly sequence: number;
  readonly contentType: ContentType;
  readonly content: Uint8Array;
}

/** COSE_Sign1, RFC 9052 §4.2. */
const TAG_SIGN1 = 18;
/**
 * COSE algorithms: EdDSA and ES256 (RFC 9053 §2), ML-DSA-44 (draft-ietf-cose-dilithium), and from the private range an assertion of
 * WebAuthn whose challenge is the hash of what is signed (CRYPTO-10).
 */
const ALGORITHMS: Readonly<Record<Algorithm, number>> = {
  [ED25519]: -8,
  [P256]: -7,
  [ML_DSA_44]: -48,
  [WEBAUTHN]: -70004,
};
/** Labels of the protected header; the last three are from the private range (RFC 9052 §11.1). */
const LABELS = { alg: 1, contentType: 3, kid: 4, sequence: -70001, device: -70002, account: -70003 } as const;

/** CoAP content formats (RFC 8428 §12.3.3) for SenML, media types for our own. */
const CONTENT_TYPES: Readonly<Record<ContentType, number | string>> = {
  'senml+json': 110,
  'senml+cbor': 112,
  command: 'application/vnd.itc.command',
  ack: 'application/vnd.itc.ack',
  value: 'application/vnd.itc.value',
  accusation: 'application/vnd.itc.accusation',
  rental: 'application/vnd.itc.rental',
  attestation: 'application/vnd.itc.attestation',
};

/** Content that only its own signer can say; a device label would let it speak for somebody else. Why, in words. */
const OWN_WORD: Readonly<Partial<Record<ContentType, string>>> = {
  ack: 'an acknowledgement is signed by the device itself',
  value: 'an order about value is of its signer alone',
  accusation: 'an accusation is of its signer alone',
  rental: 'what became of a rental is signed by the device itself',
  attestation: 'an attestation is signed by the device itself',
};

/** Who a lane of payloads belongs to: one object for all payloads of it, so that its hashes are worked out once. */
interface Source {
  readonly signer: PublicKey;
  readonly device: Address;
  lane: Hash | undefined;
}

/** A payload over the bytes it came in: what few look at is cut out when they do. */
class SignedPayload implements Payload {
  readonly bytes: Uint8Array;
  readonly signer: PublicKey;
  readonly device: Address;
  readonly sequence: number;
  readonly contentType: ContentType;
  readonly source: Source;
  #id: Hash | undefined;
  /** Where it stands when it was worked out with others. */
  #ids: Uint8Array | undefined;
  #idAt = 0;
  readonly #aad: Uint8Array;
  readonly #protectedAt: number;
  readonly #protectedEnd: number;
  readonly #contentHeadAt: number;
  readonly #contentAt: number;
  readonly #contentEnd: number;

  constructor(bytes: Uint8Array, parts: PayloadParts, source: Source, aad: Uint8Array) {
    this.bytes = bytes;
    this.signer = source.signer;
    this.device = source.device;
    this.sequence = parts.sequence;
    this.contentType = parts.contentType;
    this.source = source;
    this.#aad = aad;
    this.#protectedAt = parts.protectedAt;
    this.#protectedEnd = parts.protectedEnd;
    this.#contentHeadAt = parts.contentHeadAt;
    this.#contentAt = parts.contentAt;
    this.#contentEnd = parts.contentEnd;
  }

  get id(): Hash {
    // Most payloads wait for a checkpoint before anybody asks: until then their ids share one array.
    this.#id ??=
      this.#ids === undefined
        ? sha256(this.#laidOut(this.signer.bytes))
        : asHash(this.#ids.slice(this.#idAt, this.#idAt + HASH_BYTES));
    return this.#id;
  }

  get content(): Uint8Array {
    return this.bytes.subarray(this.#contentAt, this.#contentEnd);
  }

  get signature(): Uint8Array {
    return this.bytes.subarray(this.bytes.length - SIGNATURE_BYTES);
  }

  get signedBytes(): Uint8Array {
    const most = this.bytes.length + ROOM_BESIDE;
    if (piece.length - pieceUsed < most) {
      piece = new Uint8Array(Math.max(PIECE_BYTES, most));
      pieceUsed = 0;
    }
    const start = pieceUsed;
    pieceUsed = this.#layOut(undefined, piece, start);
    return piece.subarray(start, pieceUsed);
  }

  /** Its id is copied to `at`: no array is made for it. */
  layId(into: Uint8Array, at: number): void {
    const ids = this.#ids ?? this.id;
    lay(into, at, ids, this.#idAt, this.#idAt + HASH_BYTES);
  }

  /** In the common room. */
  #laidOut(signer: Uint8Array): Uint8Array {
    const most = this.bytes.length + ROOM_BESIDE;
    // Grown when asked for: a chip that reads commands has no room for the longest payload there may be.
    if (room.length < most) room = new Uint8Array(2 * most);
    return room.subarray(0, this.#layOut(signer, room, 0));
  }

  /**
   * The Sig_structure, behind tag and signer if that is given: then it is what the id is the hash of. Both headers stand in the
   * payload as they stand in the structure. Returns where it ends.
   */
  #layOut(signer: Uint8Array | undefined, into: Uint8Array, start: number): number {
    let at = start;
    if (signer !== undefined) {
      at = lay(into, at, ID_TAG);
      at = lay(into, at, signer, 0, PUBLIC_KEY_BYTES);
    }
    at = lay(into, at, STRUCTURE_START);
    at = lay(into, at, this.bytes, this.#protectedAt, this.#protectedEnd);
    at = lay(into, at, this.#aad);
    return lay(into, at, this.bytes, this.#contentHeadAt, this.#contentEnd);
  }

  get #idBytes(): number {
    const parts = this.#protectedEnd - this.#protectedAt + this.#contentEnd - this.#contentHeadAt;
    return ID_TAG.length + PUBLIC_KEY_BYTES + STRUCTURE_START.length + this.#aad.length + parts;
  }

  static identify(payloads: readonly SignedPayload[]): void {
    const source = {
      lengthOf: (i: number): number => (payloads[i] as SignedPayload).#idBytes,
      write: (i: number, into: Uint8Array, at: number): void => {
        const payload = payloads[i] as SignedPayload;
        payload.#layOut(payload.signer.bytes, into, at);
      },
    };
    const ids = new Uint8Array(HASH_BYTES * payloads.length);
    batchHasher().messages(payloads.length, source, ids);
    for (const [i, payload] of payloads.entries()) {
      payload.#ids = ids;
      payload.#idAt = HASH_BYTES * i;
    }
  }
}

/** Works out the ids of many at once: for whoever will ask for all of them, that costs a third. */
export function identifyPayloads(payloads: readonly Payload[]): void {
  SignedPayload.identify(payloads.filter((payload) => payload instanceof SignedPayload));
}

/** Their ids side by side, without an array for each. */
export function payloadIds(payloads: readonly Payload[]): Uint8Array {
  const ids = new Uint8Array(HASH_BYTES * payloads.length);
  let at = 0;
  for (const payload of payloads) {
    if (payload instanceof SignedPayload) payload.layId(ids, at);
    else ids.set(payload.id, at);
    at += HASH_BYTES;
  }
  return ids;
}

/** ["Signature1", …: an array of four and the first of them. */
const STRUCTURE_START = Uint8Array.of(0x84, ...encodeCbor('Signature1'));
const ID_TAG = concatBytes(utf8Encode(TAGS.payload), Uint8Array.of(0));
/** More than tag, signer, head and external data take together. */
const ROOM_BESIDE = 256;
let room = new Uint8Array(512);

/**
 * What was signed is cut out of larger pieces, as it is asked for in thousands: an array of its own for each, outside the heap,
 * costs the collector more than laying it out does.
 */
const PIECE_BYTES = 4_096;
let piece = new Uint8Array(0);
let pieceUsed = 0;

const scan = payloadScan(CONTENT_TYPES);

/** Signers and devices seen lately, in two generations: when one is full, the one before it goes. */
const SOURCES_MAX = 32_768;
let sources = new Map<string, Source>();
let olderSources = new Map<string, Source>();

function sourceOf(name: string, make: () => Source): Source {
  let source = sources.get(name);
  if (source !== undefined) return source;
  source = olderSources.get(name) ?? make();
  if (sources.size >= SOURCES_MAX) {
    olderSources = sources;
    sources = new Map();
  }
  sources.set(name, source);
  return source;
}

/** Of devices that speak for themselves, by the first bits of their keys: found without a text for each payload. */
const nearSources = new Map<number, Source>();

function ownSource(bytes: Uint8Array, keyAt: number): Source {
  const near = readBits(bytes, keyAt);
  const found = nearSources.get(near);
  if (found !== undefined && isAt(bytes, keyAt, found.signer.bytes)) return found;
  const key = bytes.subarray(keyAt, keyAt + PUBLIC_KEY_BYTES);
  const source = sourceOf(idText(key), () => {
    const signer: PublicKey = { algorithm: ED25519, bytes: key.slice() };
    return { signer, device: addressOf(signer), lane: undefined };
  });
  if (nearSources.size >= SOURCES_MAX) nearSources.clear();
  nearSources.set(near, source);
  return source;
}

/** Thirty of them: a number that needs no memory of its own. */
function readBits(bytes: Uint8Array, at: number): number {
  let bits = (bytes[at] as number) & 63;
  for (let i = 1; i < 4; i += 1) bits = (bits << 8) | (bytes[at + i] as number);
  return bits;
}

function isAt(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i += 1) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

/** Undefined when the bytes do not have the one known shape. `bytes` are kept. */
function parseQuickly(chain: Hash, bytes: Uint8Array): Payload | undefined {
  const parts = scan(bytes);
  if (parts === undefined) return undefined;
  const { contentType, keyAt, deviceAt } = parts;
  // Who may be named, and who has to be: the rules of `parseHeader`, which words them for those who break them.
  if (deviceAt < 0 ? contentType === 'command' : OWN_WORD[contentType] !== undefined) return undefined;
  if (deviceAt < 0) return new SignedPayload(bytes, parts, ownSource(bytes, keyAt), structureAad(chain));
  const key = bytes.subarray(keyAt, keyAt + PUBLIC_KEY_BYTES);
  const named = bytes.subarray(deviceAt, deviceAt + HASH_BYTES);
  const source = sourceOf(idText(key) + idText(named), () => {
    const signer: PublicKey = { algorithm: ED25519, bytes: key.slice() };
    return { signer, device: asAddress(named.slice()), lane: undefined };
  });
  if (equalBytes(named, addressOf(source.signer))) return undefined;
  return new SignedPayload(bytes, parts, source, structureAad(chain));
}

/** As the Sig_structure holds it, head included. */
function structureAad(chain: Hash): Uint8Array {
  if (lastAad === undefined || !equalBytes(lastAad.chain, chain))
    lastAad = { chain, encoded: encodeCbor(externalAad(chain)) };
  return lastAad.encoded;
}

/** A process works on one chain. */
let lastAad: { readonly chain: Hash; readonly encoded: Uint8Array } | undefined;

/**
 * Form only: the signature is NOT checked here. The result holds copies, or views when the bytes are `kept` as they are by
 * the caller. Refused are an unknown label in
 * the protected header, a device label that names the signer itself, a command without a device label (it
 * would be to its own sender), and an acknowledgement or an order about value with one (only the device, or the holder,
 * speaks for itself).
 */
export function parsePayload(
  chain: Hash,
  bytes: Uint8Array,
  isKept = false,
): Result<Payload, 'payload.malformed' | 'payload.too-large'> {
  if (bytes.length > LIMITS.payloadBytesMax) {
    return refused(
      'payload.too-large',
      `expected at most ${LIMITS.payloadBytesMax} bytes, got ${bytes.length}`,
    );
  }
  const copy = isKept ? bytes : new Uint8Array(bytes);
  const quick = parseQuickly(chain, copy);
  if (quick !== undefined) return ok(quick);
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
  const header = parseHeader(protectedHeader);
  if (!header.ok) return header;
  const length = FIXED_SIGNATURE_BYTES[header.value.signer.algorithm];
  if (!(signature instanceof Uint8Array) || signature.length !== (length ?? signature.length))
    return malformed(`expected a signature of ${length ?? 'some'} bytes`);
  if (signature.length > (length ?? SIGNATURE_BYTES_MAX))
    return malformed(`expected a signature of at most ${SIGNATURE_BYTES_MAX} bytes`);
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

  const algorithm = algorithmOf(labels.get(LABELS.alg));
  if (algorithm === undefined) return malformed('expected algorithm −8 (EdDSA), or −7, −48 or −70004');
  const kid = labels.get(LABELS.kid);
  if (!(kid instanceof Uint8Array) || kid.length !== KEY_BYTES[algorithm])
    return malformed(`expected a kid of ${KEY_BYTES[algorithm]} bytes`);
  const sequence = labels.get(LABELS.sequence);
  if (typeof sequence !== 'number' || sequence < 1) return malformed('expected a sequence number from 1');
  const contentType = contentTypeOf(labels.get(LABELS.contentType));
  if (contentType === undefined) return malformed('expected a known content type');

  const signer: PublicKey = { algorithm, bytes: kid };
  const own = addressOf(signer);
  const account = labels.get(LABELS.account);
  // Devices, gateways and holders of vouchers have one Ed25519 key each; only people change theirs.
  if (contentType !== 'command' && (algorithm !== ED25519 || account !== undefined))
    return malformed('only a command is signed with another scheme, or for an account of other keys');
  if (account !== undefined && (!(account instanceof Uint8Array) || account.length !== HASH_BYTES))
    return malformed('expected an account of 32 bytes');
  if (account !== undefined && equalBytes(account, own))
    return malformed('an account that is the address of the key is not named');
  const named = labels.get(LABELS.device);
  if (named === undefined) {
    if (contentType === 'command') return malformed('a command names its device');
    return ok({ signer, device: own, sequence, contentType });
  }
  if (!(named instanceof Uint8Array) || named.length !== HASH_BYTES)
    return malformed('expected a device of 32 bytes');
  if (equalBytes(named, own)) return malformed('a device that signs for itself is not named');
  const ownWord = OWN_WORD[contentType];
  if (ownWord !== undefined) return malformed(ownWord);
  const header = { signer, device: asAddress(named), sequence, contentType };
  return ok(account === undefined ? header : { ...header, account: asAddress(account) });
}

function algorithmOf(label: Cbor | undefined): Algorithm | undefined {
  for (const algorithm of [ED25519, P256, ML_DSA_44, WEBAUTHN] as const)
    if (ALGORITHMS[algorithm] === label) return algorithm;
  return undefined;
}

/** The account that speaks. Whether its keys are those that signed, the state says. */
export function payloadAccount({ account, signer }: Pick<Payload, 'account' | 'signer'>): Address {
  return account ?? addressOf(signer);
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
    case 'accusation':
    case 'rental':
    case 'attestation':
      return false;
  }
}

function protectedHeaderOf(payload: UnsignedPayload): Uint8Array {
  const entries: [Cbor, Cbor][] = [
    [LABELS.alg, ALGORITHMS[payload.signer.algorithm]],
    [LABELS.contentType, CONTENT_TYPES[payload.contentType]],
    [LABELS.kid, payload.signer.bytes],
    [LABELS.sequence, payload.sequence],
  ];
  const own = addressOf(payload.signer);
  if (!equalBytes(payload.device, own)) entries.push([LABELS.device, payload.device]);
  const { account } = payload;
  if (account !== undefined && !equalBytes(account, own)) entries.push([LABELS.account, account]);
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
  if (!(payload instanceof SignedPayload)) return laneHash(payload);
  const { source } = payload;
  source.lane ??= laneHash(source);
  return source.lane;
}

function laneHash({ signer, device }: Pick<Payload, 'signer' | 'device'>): Hash {
  return hashTagged('lane', addressOf(signer), device);
}
