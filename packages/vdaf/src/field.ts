/** The two fields of Prio3, for set-up and for tests; hot arithmetic is in `kernel/`. */
export interface Field {
  readonly name: 'Field64' | 'Field128';
  readonly modulus: bigint;
  /** Bytes of an encoded element, little-endian. */
  readonly bytes: 8 | 16;
  /** log2 of the order of `generator`. */
  readonly generatorOrderLog2: number;
  /** Generator of the largest subgroup whose order is a power of two. */
  readonly generator: bigint;
}

export function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  let square = base % modulus;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/** Inverse by Fermat: the moduli are prime. */
export const inverse = (value: bigint, field: Field): bigint =>
  power(value, field.modulus - 2n, field.modulus);

const field = (name: Field['name'], bytes: 8 | 16, orderLog2: number, cofactor: bigint): Field => {
  const modulus = (cofactor << BigInt(orderLog2)) + 1n;
  return { name, modulus, bytes, generatorOrderLog2: orderLog2, generator: power(7n, cofactor, modulus) };
};

/** GF(2^32 · 4294967295 + 1). */
export const FIELD64: Field = field('Field64', 8, 32, 4_294_967_295n);
/** GF(2^66 · 4611686018427387897 + 1). */
export const FIELD128: Field = field('Field128', 16, 66, 4_611_686_018_427_387_897n);

/** Primitive root of unity of order `size`, a power of two. */
export function rootOfUnity(of: Field, size: number): bigint {
  return power(of.generator, (1n << BigInt(of.generatorOrderLog2)) / BigInt(size), of.modulus);
}

/** Little-endian encoding of canonical elements. Values are taken modulo p, so negative ones are allowed. */
export function encodeElements(of: Field, values: readonly bigint[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(of.bytes * values.length);
  const view = new DataView(out.buffer);
  values.forEach((value, index) => {
    const canonical = ((value % of.modulus) + of.modulus) % of.modulus;
    for (let word = 0; word < of.bytes / 8; word += 1) {
      const shifted = canonical >> BigInt(64 * word);
      view.setBigUint64(of.bytes * index + 8 * word, BigInt.asUintN(64, shifted), true);
    }
  });
  return out;
}

/** Inverse of `encodeElements`, without a check of canonical form. */
export function decodeElements(of: Field, bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / of.bytes }, (_, index) => {
    const low = view.getBigUint64(of.bytes * index, true);
    return of.bytes === 8 ? low : low | (view.getBigUint64(of.bytes * index + 8, true) << 64n);
  });
}
