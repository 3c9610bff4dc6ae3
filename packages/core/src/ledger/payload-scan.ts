/**
 * Finding the parts of a device payload where they lie, without making an object of each: a gateway of ten thousand
 * readings a second parses every one of them four times over. It knows the one order deterministic CBOR gives the known
 * labels (WIRE-5); whatever looks otherwise is left to the general decoder, which also says what is wrong.
 */
import { utf8Encode } from '../bytes/writer.ts';
import type { ContentType } from './payload.ts';

/** Offsets into the bytes of the payload. One object serves all calls: read it before the next. */
export interface PayloadParts {
  /** Heads included, because the Sig_structure holds both as they are. */
  protectedAt: number;
  protectedEnd: number;
  contentHeadAt: number;
  contentAt: number;
  contentEnd: number;
  keyAt: number;
  /** −1: the signer speaks for itself. */
  deviceAt: number;
  sequence: number;
  contentType: ContentType;
}

const parts: PayloadParts = {
  protectedAt: 0,
  protectedEnd: 0,
  contentHeadAt: 0,
  contentAt: 0,
  contentEnd: 0,
  keyAt: 0,
  deviceAt: -1,
  sequence: 0,
  contentType: 'ack',
};

const TAG_SIGN1 = 0xd2;
const ARRAY_OF_4 = 0x84;
const EMPTY_MAP = 0xa0;
const BYTES_32 = [0x58, 32] as const;
const BYTES_64 = [0x58, 64] as const;
/** {1: −8, 3: …: what every header begins with behind the head of the map. */
const HEADER_START = [0x01, 0x27, 0x03] as const;
/** 4: a byte string of 32. */
const KID = [0x04, ...BYTES_32] as const;
const SEQUENCE = [0x3a, 0x00, 0x01, 0x11, 0x70] as const;
const DEVICE = [0x3a, 0x00, 0x01, 0x11, 0x71, ...BYTES_32] as const;

interface KnownType {
  readonly type: ContentType;
  readonly encoded: Uint8Array;
}

/** Content types as CBOR writes them: an unsigned number below 256, or a text below 256 bytes. */
function encodeType([type, value]: readonly [ContentType, number | string]): KnownType {
  if (typeof value === 'number') return { type, encoded: Uint8Array.of(0x18, value) };
  const text = utf8Encode(value);
  const head = text.length < 24 ? [0x60 | text.length] : [0x78, text.length];
  return { type, encoded: Uint8Array.of(...head, ...text) };
}

export type PayloadScan = (bytes: Uint8Array) => PayloadParts | undefined;

/** `types`: content types and what stands for them in the header. */
export function payloadScan(types: Readonly<Record<ContentType, number | string>>): PayloadScan {
  const known = (Object.entries(types) as [ContentType, number | string][]).map(encodeType);
  return (bytes) => {
    let at = bytes[0] === TAG_SIGN1 ? 1 : 0;
    if (bytes[at] !== ARRAY_OF_4) return undefined;
    parts.protectedAt = at + 1;
    const headerAt = bytesAt(bytes, at + 1);
    if (headerAt < 0) return undefined;
    const headerEnd = stringEnd;
    parts.protectedEnd = headerEnd;
    if (!readHeader(bytes, headerAt, headerEnd, known)) return undefined;
    at = headerEnd;
    if (bytes[at] !== EMPTY_MAP) return undefined;
    parts.contentHeadAt = at + 1;
    parts.contentAt = bytesAt(bytes, at + 1);
    if (parts.contentAt < 0) return undefined;
    parts.contentEnd = stringEnd;
    return follows(bytes, stringEnd, BYTES_64) && stringEnd + 66 === bytes.length ? parts : undefined;
  };
}

/** Where the byte string read last ends. */
let stringEnd = 0;

/** Start of the byte string whose head is at `at`, −1 if there is none in its shortest form within the bytes. */
function bytesAt(bytes: Uint8Array, at: number): number {
  const head = bytes[at] as number;
  let length = head & 31;
  let start = at + 1;
  if (head >> 5 !== 2) return -1;
  if (length === 24) {
    length = bytes[at + 1] as number;
    start = at + 2;
    if (!(length >= 24)) return -1;
  } else if (length === 25) {
    length = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    start = at + 3;
    if (length < 256) return -1;
  } else if (length > 25) return -1;
  stringEnd = start + length;
  return stringEnd <= bytes.length ? start : -1;
}

function follows(bytes: Uint8Array, at: number, wanted: ArrayLike<number>): boolean {
  for (let i = 0; i < wanted.length; i += 1) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

/** The map of the protected header, keys in their one order; fills in what it holds. */
function readHeader(bytes: Uint8Array, start: number, end: number, known: readonly KnownType[]): boolean {
  const isNamed = bytes[start] === 0xa5;
  if ((!isNamed && bytes[start] !== 0xa4) || !follows(bytes, start + 1, HEADER_START)) return false;
  let at = start + 1 + HEADER_START.length;
  const type = known.find(({ encoded }) => follows(bytes, at, encoded));
  if (type === undefined) return false;
  parts.contentType = type.type;
  at += type.encoded.length;
  if (!follows(bytes, at, KID)) return false;
  parts.keyAt = at + KID.length;
  at = parts.keyAt + 32;
  if (!follows(bytes, at, SEQUENCE)) return false;
  at = numberAt(bytes, at + SEQUENCE.length);
  if (at < 0) return false;
  parts.deviceAt = -1;
  if (isNamed) {
    if (!follows(bytes, at, DEVICE)) return false;
    parts.deviceAt = at + DEVICE.length;
    at = parts.deviceAt + 32;
  }
  return at === end;
}

/** Reads a sequence in its shortest form; where it ends, −1 if it is not one. */
function numberAt(bytes: Uint8Array, at: number): number {
  const head = bytes[at] as number;
  if (head < 24) parts.sequence = head;
  else {
    const width = head === 24 ? 1 : head === 25 ? 2 : head === 26 ? 4 : head === 27 ? 8 : 0;
    if (width === 0 || at + width >= bytes.length) return -1;
    let value = 0;
    for (let i = 1; i <= width; i += 1) value = value * 256 + (bytes[at + i] as number);
    const least = width === 1 ? 24 : 2 ** (4 * width);
    if (value < least || value > Number.MAX_SAFE_INTEGER) return -1;
    parts.sequence = value;
    return parts.sequence < 1 ? -1 : at + 1 + width;
  }
  return parts.sequence < 1 ? -1 : at + 1;
}
