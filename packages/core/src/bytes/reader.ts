import { ok, refused, type Result } from './result.ts';

export type DecodeCode =
  | 'decode.truncated'
  | 'decode.trailing'
  | 'decode.too-long'
  | 'decode.out-of-range'
  | 'decode.not-canonical'
  | 'decode.unknown-kind';

/** Thrown inside decoders only; `decode` turns it into a value at the boundary. */
export class DecodeError extends Error {
  readonly code: DecodeCode;
  readonly offset: number;

  constructor(code: DecodeCode, offset: number, message: string) {
    super(`${message} (at byte ${offset})`);
    this.name = 'DecodeError';
    this.code = code;
    this.offset = offset;
  }
}

/**
 * Strict cursor over canonical bytes (spec WIRE-1). Lengths are checked against what is left before anything
 * is allocated; byte fields are views into the input, copied by whoever keeps them.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #isOwned: boolean;
  #offset = 0;

  /** `isOwned`: nobody writes to the bytes again, and they may live as long as what is read from them, see `kept`. */
  constructor(bytes: Uint8Array, isOwned = false) {
    this.#isOwned = isOwned;
    // A plain view, because `slice` of a Node Buffer does not copy, and callers copy by `slice`.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** A counter in eight bytes; beyond 2^53 − 1 it is refused. */
  u53(): number {
    const at = this.#advance(8);
    const high = this.#view.getUint32(at);
    if (high > 0x1f_ffff) throw new DecodeError('decode.out-of-range', at, 'expected an integer below 2^53');
    return high * 0x1_0000_0000 + this.#view.getUint32(at + 4);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1)
      throw new DecodeError('decode.not-canonical', this.#offset - 1, `expected 0 or 1, got ${value}`);
    return value === 1;
  }

  fixed(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** The same to be kept: a copy, or a view into bytes that are kept anyway. */
  kept(length: number): Uint8Array {
    const bytes = this.fixed(length);
    return this.#isOwned ? bytes : bytes.slice();
  }

  bytes(lengthMax: number): Uint8Array {
    const length = this.u32();
    if (length > lengthMax) {
      throw new DecodeError(
        'decode.too-long',
        this.#offset - 4,
        `expected at most ${lengthMax} bytes, got ${length}`,
      );
    }
    return this.fixed(length);
  }

  text(bytesMax: number): string {
    const at = this.#offset;
    const text = utf8Decode(this.bytes(bytesMax));
    if (text === undefined)
      throw new DecodeError('decode.not-canonical', at, 'expected UTF-8 in its shortest form');
    return text;
  }

  list<T>(countMax: number, read: (reader: Reader) => T): T[] {
    const count = this.u16();
    if (count > countMax) {
      throw new DecodeError(
        'decode.too-long',
        this.#offset - 2,
        `expected at most ${countMax} items, got ${count}`,
      );
    }
    const items: T[] = [];
    for (let i = 0; i < count; i += 1) items.push(read(this));
    return items;
  }

  /** Everything from a remembered offset up to here. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#offset);
  }

  refuse(code: DecodeCode, message: string): never {
    throw new DecodeError(code, this.#offset, message);
  }

  #advance(width: number): number {
    const at = this.#offset;
    if (width > this.#bytes.length - at) {
      throw new DecodeError(
        'decode.truncated',
        at,
        `expected ${width} more bytes, ${this.#bytes.length - at} are left`,
      );
    }
    this.#offset = at + width;
    return at;
  }
}

/** Runs a decoder over the whole input; trailing bytes are refused. Other exceptions are our bugs and pass through. */
export function decode<T>(
  read: (reader: Reader) => T,
  bytes: Uint8Array,
  isOwned = false,
): Result<T, DecodeCode> {
  const reader = new Reader(bytes, isOwned);
  try {
    const value = read(reader);
    if (reader.remaining > 0) {
      return refused(
        'decode.trailing',
        `${reader.remaining} bytes follow the end (at byte ${reader.offset})`,
      );
    }
    return ok(value);
  } catch (error) {
    if (error instanceof DecodeError) return refused(error.code, error.message);
    throw error;
  }
}

/** Strict UTF-8 (RFC 3629): overlong forms, surrogates and stray bytes give `undefined`. */
export function utf8Decode(bytes: Uint8Array): string | undefined {
  let text = '';
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i] ?? 0;
    const extra =
      first < 0x80
        ? 0
        : first >= 0xc2 && first < 0xe0
          ? 1
          : first >= 0xe0 && first < 0xf0
            ? 2
            : first >= 0xf0 && first < 0xf5
              ? 3
              : -1;
    if (extra < 0 || i + extra >= bytes.length) return undefined;
    let code = extra === 0 ? first : first & (0x3f >> extra);
    for (let j = 1; j <= extra; j += 1) {
      const next = bytes[i + j] ?? 0;
      if ((next & 0xc0) !== 0x80) return undefined;
      code = (code << 6) | (next & 0x3f);
    }
    if (
      (extra === 2 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) ||
      (extra === 3 && (code < 0x10000 || code > 0x10ffff))
    )
      return undefined;
    text += String.fromCodePoint(code);
    i += extra + 1;
  }
  return text;
}
