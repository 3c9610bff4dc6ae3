import { turboshake128 } from '@noble/hashes/sha3-addons.js';
import type { Field } from './field.ts';
import { RATE } from './kernel/kernel.ts';
import type { Arena, FieldKernel } from './kernel/kernel.ts';

/** Bytes of a seed of XofTurboShake128. */
export const SEED_BYTES = 32;

/** A stretch of kernel memory. */
export interface Span {
  readonly pointer: number;
  readonly bytes: number;
}

/** le16(length of dst) ‖ dst ‖ le8(length of seed) ‖ seed; the binder follows. */
function prefix(seed: Uint8Array, dst: Uint8Array): Uint8Array {
  const out = new Uint8Array(3 + dst.length + seed.length);
  out[0] = dst.length & 0xff;
  out[1] = dst.length >> 8;
  out.set(dst, 2);
  out[2 + dst.length] = seed.length;
  out.set(seed, 3 + dst.length);
  return out;
}

/**
 * XofTurboShake128 of draft-irtf-cfrg-vdaf-20 §6.2.1 as a stream, on @noble/hashes: for samplers and
 * for checking the kernel. Prio3 itself expands seeds inside the kernel.
 */
export class XofTurboShake128 {
  readonly #sponge: ReturnType<typeof turboshake128.create>;

  constructor(seed: Uint8Array, dst: Uint8Array, binder: Uint8Array) {
    if (seed.length > 0xff || dst.length > 0xffff)
      throw new RangeError('vdaf: the seed or the tag is too long');
    this.#sponge = turboshake128.create({ D: 0x01 }).update(prefix(seed, dst)).update(binder);
  }

  /** The next `length` bytes. */
  next(length: number): Uint8Array {
    return this.#sponge.xof(length);
  }
}

/** Runs the XOF inside the kernel and leaves whole blocks at the returned pointer. */
function squeeze(
  arena: Arena,
  seed: Uint8Array,
  dst: Uint8Array,
  binder: readonly (Uint8Array | Span)[],
  bytes: number,
): number {
  let length = 3 + dst.length + seed.length;
  for (const part of binder) length += part instanceof Uint8Array ? part.length : part.bytes;
  const message = arena.allocate(length + RATE);
  arena.putByte(message, dst.length & 0xff);
  arena.putByte(message + 1, dst.length >> 8);
  arena.write(message + 2, dst);
  arena.putByte(message + 2 + dst.length, seed.length);
  let end = message + 3 + dst.length;
  arena.write(end, seed);
  end += seed.length;
  for (const part of binder) {
    if (part instanceof Uint8Array) {
      arena.write(end, part);
      end += part.length;
    } else {
      arena.move(end, part.pointer, part.bytes);
      end += part.bytes;
    }
  }
  const out = arena.allocate(bytes + RATE);
  arena.kernel.turboShake(message, length, out, bytes);
  return out;
}

export function deriveSeed(
  arena: Arena,
  seed: Uint8Array,
  dst: Uint8Array,
  binder: readonly (Uint8Array | Span)[],
): Uint8Array {
  const mark = arena.mark();
  const out = arena.read(squeeze(arena, seed, dst, binder, SEED_BYTES), SEED_BYTES);
  arena.release(mark);
  return out;
}

/**
 * Expands a seed into `length` uniform field elements at `out`, rejecting encodings at or above the
 * modulus (draft §6.2). A rejection is so rare (2^-32 per element of Field64) that the stream is
 * first taken as it is, and only drawn again, longer, when one is found.
 */
export function expandIntoVector(
  arena: Arena,
  kernel: FieldKernel,
  seed: Uint8Array,
  dst: Uint8Array,
  binder: readonly (Uint8Array | Span)[],
  out: number,
  length: number,
): void {
  const size = kernel.bytes;
  for (let spare = 0; ; spare = 2 * spare + 1) {
    const mark = arena.mark();
    const stream = squeeze(arena, seed, dst, binder, (length + spare) * size);
    let taken = 0;
    let from = 0;
    while (taken < length && from < length + spare) {
      const run = Math.min(kernel.firstOverflow(stream + from * size, length + spare - from), length - taken);
      arena.move(out + taken * size, stream + from * size, run * size);
      taken += run;
      from += run + 1;
    }
    arena.release(mark);
    if (taken === length) return;
  }
}

/** Version byte of drafts 18 to 20, which are equal on the wire. */
const VERSION = 18;

/**
 * `format_dst` of the draft: version, class 0 (VDAF), algorithm and usage, most significant byte
 * first; then the application's context.
 */
export function domainSeparationTag(algorithm: number, usage: number, context: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + context.length);
  out[0] = VERSION;
  for (let i = 0; i < 4; i += 1) out[2 + i] = algorithm >>> (24 - 8 * i);
  out[7] = usage;
  out.set(context, 8);
  return out;
}

/** Expands a seed with the streaming XOF, one element at a time, exactly as the draft writes it. */
export function expandReference(
  field: Field,
  seed: Uint8Array,
  dst: Uint8Array,
  binder: Uint8Array,
  length: number,
): bigint[] {
  const xof = new XofTurboShake128(seed, dst, binder);
  const out: bigint[] = [];
  while (out.length < length) {
    const value = xof.next(field.bytes).reduceRight((total, byte) => (total << 8n) | BigInt(byte), 0n);
    if (value < field.modulus) out.push(value);
  }
  return out;
}
