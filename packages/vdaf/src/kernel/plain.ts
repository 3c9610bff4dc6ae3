import { turboshake128 } from '@noble/hashes/sha3-addons.js';
import { FIELD128, FIELD64 } from '../field.ts';
import type { Field } from '../field.ts';
import { ARENA_START, RATE } from './kernel.ts';
import type { FieldKernel, Kernel } from './kernel.ts';

/** Little-endian elements in a growing buffer, as BigInt. */
class Elements {
  readonly #field: Field;
  readonly #view: () => DataView;

  constructor(field: Field, view: () => DataView) {
    this.#field = field;
    this.#view = view;
  }

  get(pointer: number): bigint {
    const view = this.#view();
    const low = view.getBigUint64(pointer, true);
    return this.#field.bytes === 8 ? low : low | (view.getBigUint64(pointer + 8, true) << 64n);
  }

  /** An element followed by one more word, as sums are kept. */
  getWide(pointer: number): bigint {
    const { bytes } = this.#field;
    return this.get(pointer) | (this.#view().getBigUint64(pointer + bytes, true) << BigInt(8 * bytes));
  }

  setWord(pointer: number, value: bigint): void {
    this.#view().setBigUint64(pointer, value, true);
  }

  set(pointer: number, value: bigint): void {
    const view = this.#view();
    view.setBigUint64(pointer, BigInt.asUintN(64, value), true);
    if (this.#field.bytes === 16) view.setBigUint64(pointer + 8, value >> 64n, true);
  }
}

function fieldKernel(field: Field, view: () => DataView): FieldKernel {
  const { bytes, modulus: p } = field;
  const e = new Elements(field, view);
  const pointwise =
    (combine: (a: bigint, b: bigint) => bigint) =>
    (out: number, a: number, b: number, length: number): void => {
      for (let i = 0; i < length * bytes; i += bytes) e.set(out + i, combine(e.get(a + i), e.get(b + i)));
    };
  return {
    bytes,
    add: pointwise((a, b) => (a + b) % p),
    subtract: pointwise((a, b) => (a + p - b) % p),
    multiply: pointwise((a, b) => (a * b) % p),
    scale: (out, a, factor, length) => {
      const f = e.get(factor);
      for (let i = 0; i < length * bytes; i += bytes) e.set(out + i, (e.get(a + i) * f) % p);
    },
    dot: (out, a, strideA, b, strideB, length) => {
      let sum = 0n;
      for (let i = 0; i < length; i += 1) sum += e.get(a + i * strideA) * e.get(b + i * strideB);
      e.set(out, sum % p);
    },
    rangeWires: (out, stride, bits, length, r, share) => {
      const [factor, half] = [e.get(r), e.get(share)];
      let power = factor;
      for (let j = 0; j < length; j += 1) {
        const bit = e.get(bits + j * bytes);
        e.set(out + 2 * j * stride, (power * bit) % p);
        e.set(out + (2 * j + 1) * stride, (bit + p - half) % p);
        power = (power * factor) % p;
      }
    },
    transformOut: (vector, length, roots) => {
      for (let span = length / 2, step = 1; span >= 1; span /= 2, step *= 2) {
        butterflies(e, bytes, { vector, length, span, step, roots }, (x, y, w) => [
          (x + y) % p,
          ((x + p - y) * w) % p,
        ]);
      }
    },
    transformIn: (vector, length, roots) => {
      for (let span = 1, step = length / 2; step >= 1; span *= 2, step /= 2) {
        butterflies(e, bytes, { vector, length, span, step, roots }, (x, y, w) => {
          const turned = (y * w) % p;
          return [(x + turned) % p, (x + p - turned) % p];
        });
      }
    },
    lagrange: (out, nodes, length, t, inverse, scratch) => {
      const point = e.get(t);
      const away = (i: number): bigint => point + p - e.get(nodes + i * bytes);
      let product = 1n;
      for (let i = 0; i < length; i += 1) {
        e.set(scratch + i * bytes, product);
        product = (product * away(i)) % p;
      }
      product = e.get(inverse);
      for (let i = length - 1; i >= 0; i -= 1) {
        const others = (e.get(scratch + i * bytes) * product) % p;
        e.set(out + i * bytes, (others * e.get(nodes + i * bytes)) % p);
        product = (product * away(i)) % p;
      }
    },
    firstOverflow: (vector, length) => {
      for (let i = 0; i < length; i += 1) if (e.get(vector + i * bytes) >= p) return i;
      return length;
    },
    accumulate: (sums, vector, length) => {
      let overflow = 0;
      for (let i = 0; i < length; i += 1) {
        const [sum, element] = [sums + i * (bytes + 8), e.get(vector + i * bytes)];
        if (element >= p) overflow = 1;
        const total = e.getWide(sum) + element;
        e.set(sum, BigInt.asUintN(8 * bytes, total));
        e.setWord(sum + bytes, total >> BigInt(8 * bytes));
      }
      return overflow;
    },
    reduce: (out, sums, length) => {
      for (let i = 0; i < length; i += 1) e.set(out + i * bytes, e.getWide(sums + i * (bytes + 8)) % p);
    },
  };
}

/** One layer of a transform; spans and steps are in elements. */
function butterflies(
  e: Elements,
  bytes: number,
  layer: { vector: number; length: number; span: number; step: number; roots: number },
  combine: (x: bigint, y: bigint, w: bigint) => readonly [bigint, bigint],
): void {
  for (let block = 0; block < layer.length; block += 2 * layer.span) {
    for (let i = 0; i < layer.span; i += 1) {
      const low = layer.vector + (block + i) * bytes;
      const high = low + layer.span * bytes;
      const [x, y] = combine(e.get(low), e.get(high), e.get(layer.roots + i * layer.step * bytes));
      e.set(low, x);
      e.set(high, y);
    }
  }
}

/** The kernel in plain TypeScript: slower by an order of magnitude, equal in every result. */
export function plainKernel(): Kernel {
  let bytes = new Uint8Array(65536);
  let view = new DataView(bytes.buffer);
  return {
    kind: 'plain',
    field64: fieldKernel(FIELD64, () => view),
    field128: fieldKernel(FIELD128, () => view),
    memory: () => bytes,
    reserve: (least) => {
      if (least <= bytes.length) return;
      const larger = new Uint8Array(Math.max(least, bytes.length * 2, ARENA_START));
      larger.set(bytes);
      bytes = larger;
      view = new DataView(bytes.buffer);
    },
    turboShake: (message, messageBytes, out, outBytes) => {
      const input = bytes.subarray(message, message + messageBytes);
      const dkLen = Math.ceil(outBytes / RATE) * RATE;
      bytes.set(turboshake128(input, { D: 0x01, dkLen }), out);
    },
  };
}
