/**
 * The part of CBOR that COSE headers and structures need, in its one deterministic form (RFC 8949 §4.2.1, spec
 * WIRE-7): shortest heads, definite lengths, map keys in bytewise order of their encodings, each once.
 * Floats, simple values and integers beyond 2^53 − 1 are refused. Nothing is allocated by a stated count: items are
 * read one by one, and each takes a byte or more.
 */
import { decode, type DecodeCode, type Reader, utf8Decode } from './reader.ts';
import { compareBytes } from './hex.ts';
import type { Result } from './result.ts';
import { utf8Encode, Writer } from './writer.ts';

/** Integers are safe integers; bytes are `Uint8Array`, text is `string`. */
export type Cbor = number | string | Uint8Array | readonly Cbor[] | CborMap | CborTag;

export interface CborMap {
  readonly kind: 'map';
  readonly entries: readonly (readonly [key: Cbor, value: Cbor])[];
}

export interface CborTag {
  readonly kind: 'tag';
  readonly tag: number;
  readonly value: Cbor;
}

export const CBOR_DEPTH_MAX = 8;

const MAJOR = { uint: 0, nint: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6 } as const;

/** The bytes of a decoded value are views into the input. */
export function decodeCbor(bytes: Uint8Array): Result<Cbor, DecodeCode> {
  return decode((reader) => readCbor(reader, 1), bytes);
}

export function readCbor(reader: Reader, depth = 1): Cbor {
  if (depth > CBOR_DEPTH_MAX)
    reader.refuse('decode.too-long', `expected at most ${CBOR_DEPTH_MAX} levels of nesting`);
  const initial = reader.u8();
  const major = initial >> 5;
  if (major === 7) return reader.refuse('decode.unknown-kind', 'floats and simple values have no place here');
  const argument = readArgument(reader, initial & 31);
  switch (major) {
    case MAJOR.uint:
      return argument;
    case MAJOR.nint:
      if (argument === Number.MAX_SAFE_INTEGER)
        reader.refuse('decode.out-of-range', 'expected an integer above −2^53');
      return -1 - argument;
    case MAJOR.bytes:
      return reader.fixed(argument);
    case MAJOR.text: {
      const text = utf8Decode(reader.fixed(argument));
      return text ?? reader.refuse('decode.not-canonical', 'expected UTF-8 in its shortest form');
    }
    case MAJOR.array: {
      const items: Cbor[] = [];
      for (let i = 0; i < argument; i += 1) items.push(readCbor(reader, depth + 1));
      return items;
    }
    case MAJOR.map:
      return readMap(reader, argument, depth);
    default:
      return { kind: 'tag', tag: argument, value: readCbor(reader, depth + 1) };
  }
}

function readMap(reader: Reader, count: number, depth: number): CborMap {
  const entries: [Cbor, Cbor][] = [];
  let previous: Uint8Array | undefined;
  for (let i = 0; i < count; i += 1) {
    const start = reader.offset;
    const key = readCbor(reader, depth + 1);
    const encodedKey = reader.since(start);
    if (previous !== undefined && compareBytes(previous, encodedKey) >= 0) {
      reader.refuse('decode.not-canonical', 'expected map keys in ascending order, each once');
    }
    previous = encodedKey;
    entries.push([key, readCbor(reader, depth + 1)]);
  }
  return { kind: 'map', entries };
}

function readArgument(reader: Reader, additional: number): number {
  if (additional < 24) return additional;
  switch (additional) {
    case 24:
      return atLeast(reader, reader.u8(), 24);
    case 25:
      return atLeast(reader, reader.u16(), 0x100);
    case 26:
      return atLeast(reader, reader.u32(), 0x1_0000);
    case 27:
      return atLeast(reader, reader.u53(), 0x1_0000_0000);
    default:
      return reader.refuse('decode.not-canonical', 'indefinite lengths and reserved heads are refused');
  }
}

function atLeast(reader: Reader, value: number, min: number): number {
  return value >= min
    ? value
    : reader.refuse('decode.not-canonical', `expected the shortest head for ${value}`);
}

export function encodeCbor(value: Cbor): Uint8Array {
  const writer = new Writer(128);
  writeCbor(writer, value);
  return writer.finish();
}

export function writeCbor(writer: Writer, value: Cbor): void {
  if (typeof value === 'number') {
    if (value >= 0) writeHead(writer, MAJOR.uint, value);
    else writeHead(writer, MAJOR.nint, -1 - value);
  } else if (typeof value === 'string') {
    const bytes = utf8Encode(value);
    writeHead(writer, MAJOR.text, bytes.length);
    writer.raw(bytes);
  } else if (value instanceof Uint8Array) {
    writeHead(writer, MAJOR.bytes, value.length);
    writer.raw(value);
  } else if (!('kind' in value)) {
    writeHead(writer, MAJOR.array, value.length);
    for (const item of value) writeCbor(writer, item);
  } else if (value.kind === 'tag') {
    writeHead(writer, MAJOR.tag, value.tag);
    writeCbor(writer, value.value);
  } else writeMap(writer, value);
}

function writeMap(writer: Writer, map: CborMap): void {
  const encoded = map.entries.map(([key, value]) => [encodeCbor(key), value] as const);
  encoded.sort((a, b) => compareBytes(a[0], b[0]));
  writeHead(writer, MAJOR.map, encoded.length);
  for (const [i, [key, value]] of encoded.entries()) {
    const previous = encoded[i - 1];
    if (previous !== undefined && compareBytes(previous[0], key) === 0)
      throw new RangeError('a map key is there twice');
    writer.raw(key);
    writeCbor(writer, value);
  }
}

function writeHead(writer: Writer, major: number, argument: number): void {
  const head = major << 5;
  if (argument < 24) writer.u8(head | argument);
  else if (argument < 0x100) writer.u8(head | 24).u8(argument);
  else if (argument < 0x1_0000) writer.u8(head | 25).u16(argument);
  else if (argument < 0x1_0000_0000) writer.u8(head | 26).u32(argument);
  else writer.u8(head | 27).u53(argument);
}
