interface Room {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/**
 * Most encodings are short and live for a moment: writers take turns with a few buffers, because allocating and clearing
 * one for each costs more than writing it.
 */
const ROOM_BYTES = 4096;
const SPARE_MAX = 8;
const spare: Room[] = [];

function newRoom(): Room {
  const bytes = new Uint8Array(ROOM_BYTES);
  return { bytes, view: new DataView(bytes.buffer) };
}

/**
 * Canonical writer: big-endian, fixed widths, explicit lengths (spec WIRE-1). The encoder asserts: a value
 * out of range here is our bug, because everything from outside has passed the reader first.
 */
export class Writer {
  #buffer: Uint8Array;
  #view: DataView;
  #length = 0;
  /** Where it writes, while that is one of the shared buffers. */
  #room: Room | undefined;

  constructor(capacity = 256) {
    if (capacity > ROOM_BYTES) {
      this.#buffer = new Uint8Array(capacity);
      this.#view = new DataView(this.#buffer.buffer);
      return;
    }
    this.#room = spare.pop() ?? newRoom();
    this.#buffer = this.#room.bytes;
    this.#view = this.#room.view;
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#claim(1, value, 0xff);
    this.#view.setUint8(this.#length - 1, value);
    return this;
  }

  u16(value: number): this {
    this.#claim(2, value, 0xffff);
    this.#view.setUint16(this.#length - 2, value);
    return this;
  }

  u32(value: number): this {
    this.#claim(4, value, 0xffff_ffff);
    this.#view.setUint32(this.#length - 4, value);
    return this;
  }

  /** A counter: eight bytes on the wire, a safe integer in memory. */
  u53(value: number): this {
    this.#claim(8, value, Number.MAX_SAFE_INTEGER);
    this.#view.setUint32(this.#length - 8, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(this.#length - 4, value % 0x1_0000_0000);
    return this;
  }

  /** An amount: eight bytes, the full unsigned range. */
  u64(value: bigint): this {
    if (value < 0n || value > 0xffff_ffff_ffff_ffffn) throw new RangeError(`u64 out of range: ${value}`);
    this.#claim(8, 0, 0);
    this.#view.setBigUint64(this.#length - 8, value);
    return this;
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  /** Bytes whose length both sides know. */
  fixed(bytes: Uint8Array, length: number): this {
    if (bytes.length !== length) throw new RangeError(`expected ${length} bytes, got ${bytes.length}`);
    return this.raw(bytes);
  }

  /** Bytes behind a u32 length. */
  bytes(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  /** UTF-8 text behind a u32 length in bytes. */
  text(text: string): this {
    return this.bytes(utf8Encode(text));
  }

  /** A u16 count and the items. */
  list<T>(items: readonly T[], write: (writer: Writer, item: T) => void): this {
    this.u16(items.length);
    for (const item of items) write(this, item);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#claim(bytes.length, 0, 0);
    this.#buffer.set(bytes, this.#length - bytes.length);
    return this;
  }

  /** The bytes written so far, in an array of exactly that length that changes no more. */
  finish(): Uint8Array {
    // Its own and full as it is: whoever writes on has it copied first.
    if (this.#room === undefined && this.#length === this.#buffer.length) return this.#buffer;
    const bytes = this.#buffer.slice(0, this.#length);
    if (this.#room !== undefined) {
      if (spare.length < SPARE_MAX) spare.push(this.#room);
      this.#room = undefined;
      // Full as it is: whoever writes on has it copied first.
      this.#buffer = bytes;
    }
    return bytes;
  }

  #claim(width: number, value: number, max: number): void {
    if (!Number.isSafeInteger(value) || value < 0 || value > max)
      throw new RangeError(`integer out of range: ${value}`);
    const needed = this.#length + width;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
      grown.set(this.#buffer.subarray(0, this.#length));
      if (this.#room !== undefined && spare.length < SPARE_MAX) spare.push(this.#room);
      this.#room = undefined;
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = needed;
  }
}

/** UTF-8 without TextEncoder, which is not part of the language and absent on chips. Lone surrogates throw. */
export function utf8Encode(text: string): Uint8Array {
  const out: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x80) out.push(code);
    else if (code < 0x800) out.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) {
      if (code >= 0xd800 && code <= 0xdfff) throw new RangeError('text holds a lone surrogate');
      out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    } else
      out.push(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 63),
        0x80 | ((code >> 6) & 63),
        0x80 | (code & 63),
      );
  }
  return Uint8Array.from(out);
}
