import { KERNEL_PAGES_MAX } from '../limits.ts';

/**
 * The arithmetic under the proofs, as a machine with one flat memory.
 *
 * A vector is a pointer (a byte offset, a multiple of 8) and a length; elements are canonical (below
 * the modulus) and little-endian, which is also their wire form, so encoding is a copy. Operations may
 * write over their own inputs where an input starts at the output pointer.
 *
 * There are two implementations with equal results: WebAssembly, and plain TypeScript over BigInt for
 * places where WebAssembly is forbidden.
 */
export interface FieldKernel {
  /** Bytes of an element: 8 or 16. */
  readonly bytes: 8 | 16;
  /** out[i] = a[i] + b[i] */
  add(out: number, a: number, b: number, length: number): void;
  /** out[i] = a[i] - b[i] */
  subtract(out: number, a: number, b: number, length: number): void;
  /** out[i] = a[i] · b[i] */
  multiply(out: number, a: number, b: number, length: number): void;
  /** out[i] = a[i] · factor[0] */
  scale(out: number, a: number, factor: number, length: number): void;
  /** out[0] = Σ a[i·strideA] · b[i·strideB], reduced once; strides are in bytes. */
  dot(out: number, a: number, strideA: number, b: number, strideB: number, length: number): void;
  /**
   * Two wires per element of `bits`: the wire 2j gets r^(j+1)·bits[j] and the wire 2j+1 gets
   * bits[j] - share. `out` is one column of a matrix whose rows are `stride` bytes apart.
   */
  rangeWires(out: number, stride: number, bits: number, length: number, r: number, share: number): void;
  /** Decimation in frequency: natural order in, bit-reversed out; `length` a power of two. */
  transformOut(vector: number, length: number, roots: number): void;
  /** Decimation in time: bit-reversed order in, natural out. */
  transformIn(vector: number, length: number, roots: number): void;
  /**
   * Lagrange basis at t over the nodes x[i] = w^i: out[i] = x[i]/length · Π_{j≠i} (t - x[j]), with no
   * inversion. `inverse` holds 1/length, `scratch` one vector.
   */
  lagrange(out: number, nodes: number, length: number, t: number, inverse: number, scratch: number): void;
  /** Index of the first element that is not below the modulus, or `length`. */
  firstOverflow(vector: number, length: number): number;
  /**
   * sums[i] += vector[i] without reduction, in words of 8 bytes more than an element; not zero when an
   * element is not below the modulus, and then the sums are of no use.
   */
  accumulate(sums: number, vector: number, length: number): number;
  /** out[i] = sums[i] modulo p, of sums made by `accumulate`. */
  reduce(out: number, sums: number, length: number): void;
}

export interface Kernel {
  readonly kind: 'webassembly' | 'plain';
  readonly field64: FieldKernel;
  readonly field128: FieldKernel;
  /** The whole memory; invalid after the next `reserve`. */
  memory(): Uint8Array<ArrayBuffer>;
  /** Makes at least `bytes` of memory available. */
  reserve(bytes: number): void;
  /**
   * TurboSHAKE128 with domain byte 1 of `message`, into `out`. The output area must have room for
   * whole blocks of RATE bytes, and the message area for one more block (it is padded in place).
   */
  turboShake(message: number, messageBytes: number, out: number, outBytes: number): void;
}

/** Rate of TurboSHAKE128 in bytes (RFC 9861). */
export const RATE = 168;

/** First free byte: below it the kernel keeps constants and the sponge. */
export const ARENA_START = 512;

/**
 * Memory of one operation. Everything allocated lives until `wipe`, which also erases it, so that
 * shares and proofs do not outlive the call that made them.
 */
export class Arena {
  readonly kernel: Kernel;
  #top: number = ARENA_START;
  #bytes: Uint8Array<ArrayBuffer>;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.#bytes = kernel.memory();
  }

  /** Zeroed memory, 16-byte aligned. */
  allocate(bytes: number): number {
    const pointer = this.#top;
    const top = pointer + ((bytes + 15) & ~15);
    if (top > KERNEL_PAGES_MAX * 65536) throw new RangeError('vdaf: the operation needs too much memory');
    if (top > this.#bytes.length) {
      this.kernel.reserve(top);
      this.#bytes = this.kernel.memory();
    }
    this.#top = top;
    return pointer;
  }

  /** Copies `bytes` in and returns where. */
  place(bytes: Uint8Array): number {
    const pointer = this.allocate(bytes.length);
    this.#bytes.set(bytes, pointer);
    return pointer;
  }

  write(pointer: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, pointer);
  }

  move(out: number, from: number, bytes: number): void {
    this.#bytes.copyWithin(out, from, from + bytes);
  }

  read(pointer: number, bytes: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(pointer, pointer + bytes);
  }

  /** Writes one byte: also a small integer as the element at `pointer`, in memory just allocated. */
  putByte(pointer: number, byte: number): void {
    this.#bytes[pointer] = byte;
  }

  /** Marks the present top, to release what is allocated after it with `release`. */
  mark(): number {
    return this.#top;
  }

  /** Erases and frees everything allocated since `mark`. */
  release(mark: number): void {
    this.#bytes.fill(0, mark, this.#top);
    this.#top = mark;
  }
}
