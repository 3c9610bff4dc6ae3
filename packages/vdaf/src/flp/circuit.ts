import { FIELD128, FIELD64 } from '../field.ts';
import type { Field } from '../field.ts';
import {
  GADGET_CALLS_MAX,
  GADGET_DEGREE_MAX,
  HIGH_DEGREE_CALLS_MAX,
  MEASUREMENT_LENGTH_MAX,
} from '../limits.ts';

/**
 * The non-linear part of a circuit. `parallel-sum` is Σ x[2i]·x[2i+1] over `count` pairs, that is
 * ParallelSum(Mul) of the draft, and Mul itself when the count is one. `poly-eval` is a polynomial of
 * one wire, coefficients from the constant up.
 */
export type Gadget =
  | { readonly kind: 'parallel-sum'; readonly count: number }
  | { readonly kind: 'poly-eval'; readonly coefficients: readonly bigint[] };

/**
 * One value that must be zero for a valid measurement: the sum of all gadget outputs, if `gadgets`,
 * plus a linear form of the encoded measurement, plus `constant` (shared as constant/shares).
 */
export interface Evaluation {
  readonly gadgets: boolean;
  readonly linear?: readonly bigint[];
  readonly constant?: bigint;
}

/**
 * A validity circuit (draft §7.3.2) with its encoding, as data. Every circuit of the draft has one
 * gadget whose inputs are affine in the measurement, which is what this form can say:
 * `copy` feeds element k to every wire of call k; `range` checks in chunks that each element is a bit,
 * weighed by powers of joint randomness.
 */
export interface Circuit<Measurement, Result> {
  readonly field: Field;
  readonly gadget: Gadget;
  readonly calls: number;
  readonly wiring: 'copy' | 'range';
  /** Elements of an encoded measurement. */
  readonly measurementLength: number;
  /** `each-gadget`: every gadget output must be zero. */
  readonly evaluations: 'each-gadget' | readonly Evaluation[];
  /** Output i is the weighted sum of elements i·weights.length and following. */
  readonly weights: readonly bigint[];
  readonly outputLength: number;
  /** The encoded measurement as small integers. Throws RangeError when it is not a valid one. */
  encode(measurement: Measurement): Uint8Array;
  decode(aggregate: readonly bigint[]): Result;
}

export const arity = (gadget: Gadget): number => (gadget.kind === 'parallel-sum' ? 2 * gadget.count : 1);
export const degree = (gadget: Gadget): number =>
  gadget.kind === 'parallel-sum' ? 2 : gadget.coefficients.length - 1;
export const evaluationLength = (circuit: Circuit<never, unknown>): number =>
  circuit.evaluations === 'each-gadget' ? circuit.calls : circuit.evaluations.length;
export const jointRandomnessLength = (circuit: Circuit<never, unknown>): number =>
  circuit.wiring === 'range' ? circuit.calls : 0;

/** A number or a bigint: both are read as integers. */
export type Integer = number | bigint;

function fail(what: string): never {
  throw new RangeError(`vdaf: ${what}`);
}

function checkLength(length: number, what: string, max: number = MEASUREMENT_LENGTH_MAX): void {
  if (!Number.isSafeInteger(length) || length < 1 || length > max)
    fail(`${what} must be an integer from 1 to ${String(max)}, not ${String(length)}`);
}

/** Refuses circuits that the proof system cannot carry, or that contradict themselves. */
export function checkCircuit<M, R>(circuit: Circuit<M, R>): Circuit<M, R> {
  const { gadget, calls, measurementLength: length, wiring, evaluations, weights, outputLength } = circuit;
  checkLength(length, 'the length of the encoded measurement');
  checkLength(degree(gadget), 'the degree of the gadget', GADGET_DEGREE_MAX);
  const callsMax = degree(gadget) > 2 ? HIGH_DEGREE_CALLS_MAX : GADGET_CALLS_MAX;
  checkLength(calls, 'the number of gadget calls', callsMax);
  checkLength(outputLength * weights.length, 'the number of weighted elements', length);
  if (wiring === 'copy') checkLength(calls, 'the number of gadget calls', length);
  else if (gadget.kind !== 'parallel-sum' || calls !== Math.ceil(length / gadget.count))
    fail('range wiring needs a sum of products, called once per chunk');
  if (evaluations !== 'each-gadget' && evaluations.some((e) => (e.linear?.length ?? length) !== length))
    fail('a linear form needs one coefficient per element');
  return circuit;
}

/**
 * Encoding of [0, max] in bits whose weights add up to max (draft §7.4.2): powers of two, and a last
 * weight that makes up the rest, so that no larger number has an encoding.
 */
class RangeCode {
  readonly max: bigint;
  readonly bits: number;
  readonly weights: readonly bigint[];

  constructor(max: Integer, field: Field, what: string) {
    this.max = integer(max, what);
    if (this.max < 1n) fail(`${what} must be at least 1`);
    this.bits = this.max.toString(2).length;
    if (1n << BigInt(this.bits) >= field.modulus) fail(`${what} does not fit ${field.name}`);
    const powers = Array.from({ length: this.bits - 1 }, (_, bit) => 1n << BigInt(bit));
    this.weights = [...powers, this.max - ((1n << BigInt(this.bits - 1)) - 1n)];
  }

  /** Writes the bits of `value` at `at`. The same steps are taken for every value. */
  write(out: Uint8Array, at: number, value: Integer): void {
    const exact = typeof value === 'number' && this.bits <= 31 ? value : integer(value, 'the measurement');
    if (exact < 0 || exact > this.max || (typeof exact === 'number' && !Number.isInteger(exact)))
      fail(`a measurement must be an integer from 0 to ${String(this.max)}`);
    const top = this.bits - 1;
    if (typeof exact === 'number') {
      const last = Number(this.weights[top]);
      const isHigh = Number(exact > (1 << top) - 1);
      const low = exact - isHigh * last;
      for (let bit = 0; bit < top; bit += 1) out[at + bit] = (low >> bit) & 1;
      out[at + top] = isHigh;
    } else {
      const last = this.weights[top] ?? 0n;
      const isHigh = BigInt(exact >> BigInt(top) > 0n);
      const low = exact - isHigh * last;
      for (let bit = 0; bit < top; bit += 1) out[at + bit] = Number((low >> BigInt(bit)) & 1n);
      out[at + top] = Number(isHigh);
    }
  }
}

function integer(value: Integer, what: string): bigint {
  if (typeof value === 'bigint') return value;
  if (!Number.isSafeInteger(value)) fail(`${what} must be a safe integer or a bigint`);
  return BigInt(value);
}

/** Chunk length with the shortest proof, about the square root of the length. */
export function chunkLengthFor(length: number): number {
  let best = { chunk: length, cost: Infinity };
  for (let points = 2; points <= 2 * length + 2; points *= 2) {
    const chunk = Math.ceil(length / (points - 1));
    const cost = 2 * chunk + 2 * (points - 1);
    if (cost < best.cost) best = { chunk, cost };
  }
  return best.chunk;
}

export interface VectorOptions {
  /** Field elements checked per gadget call; by default the one with the shortest proof. */
  readonly chunkLength?: number | undefined;
  readonly field?: Field;
}

type RangeShape<M, R> = Pick<
  Circuit<M, R>,
  'measurementLength' | 'weights' | 'outputLength' | 'encode' | 'decode'
> & { readonly checks: readonly Evaluation[] };

/** A circuit whose elements are all bits, with further linear checks. */
function rangeCircuit<M, R>(options: VectorOptions, shape: RangeShape<M, R>): Circuit<M, R> {
  const count = options.chunkLength ?? chunkLengthFor(shape.measurementLength);
  checkLength(count, 'chunkLength');
  return {
    ...shape,
    field: options.field ?? FIELD128,
    gadget: { kind: 'parallel-sum', count },
    calls: Math.ceil(shape.measurementLength / count),
    wiring: 'range',
    evaluations: [{ gadgets: true }, ...shape.checks],
  };
}

const first = (values: readonly bigint[]): bigint => values[0] ?? 0n;
const all = (values: readonly bigint[]): readonly bigint[] => values;
const ones = (length: number): bigint[] => Array.from({ length }, () => 1n);

/** One bit: x² - x = 0. */
export function count(): Circuit<boolean | Integer, bigint> {
  return {
    field: FIELD64,
    gadget: { kind: 'parallel-sum', count: 1 },
    calls: 1,
    wiring: 'copy',
    measurementLength: 1,
    evaluations: [{ gadgets: true, linear: [-1n] }],
    weights: [1n],
    outputLength: 1,
    encode: (measurement) => {
      const value = Number(measurement);
      if (value !== 0 && value !== 1) fail('a count takes true, false, 0 or 1');
      return Uint8Array.of(value);
    },
    decode: first,
  };
}

/** One integer in [0, max]. */
export function sum(options: { readonly max: Integer }): Circuit<Integer, bigint> {
  const code = new RangeCode(options.max, FIELD64, 'max');
  return {
    field: FIELD64,
    gadget: { kind: 'poly-eval', coefficients: [0n, -1n, 1n] },
    calls: code.bits,
    wiring: 'copy',
    measurementLength: code.bits,
    evaluations: 'each-gadget',
    weights: code.weights,
    outputLength: 1,
    encode: (measurement) => {
      const out = new Uint8Array(code.bits);
      code.write(out, 0, measurement);
      return out;
    },
    decode: first,
  };
}

/** `length` integers, each in [0, max]. */
export function sumVec(
  options: VectorOptions & { readonly length: number; readonly max: Integer },
): Circuit<readonly Integer[], readonly bigint[]> {
  const { length } = options;
  checkLength(length, 'length');
  const code = new RangeCode(options.max, options.field ?? FIELD128, 'max');
  return rangeCircuit(options, {
    measurementLength: length * code.bits,
    checks: [],
    weights: code.weights,
    outputLength: length,
    encode: (measurement) => {
      if (measurement.length !== length) fail(`a measurement has ${String(length)} entries`);
      const out = new Uint8Array(length * code.bits);
      measurement.forEach((value, index) => code.write(out, index * code.bits, value));
      return out;
    },
    decode: all,
  });
}

/** One bucket of `length`: exactly one element is one. */
export function histogram(
  options: VectorOptions & { readonly length: number },
): Circuit<number, readonly bigint[]> {
  const { length } = options;
  checkLength(length, 'length');
  return rangeCircuit(options, {
    measurementLength: length,
    checks: [{ gadgets: false, linear: ones(length), constant: -1n }],
    weights: [1n],
    outputLength: length,
    encode: (measurement) => {
      if (!Number.isInteger(measurement) || measurement < 0 || measurement >= length)
        fail(`a bucket is an integer from 0 to ${String(length - 1)}`);
      // Every element is written, so that the access pattern does not tell the bucket.
      return Uint8Array.from({ length }, (_, index) => Number(index === measurement));
    },
    decode: all,
  });
}

/** A bit vector of which at most `maxWeight` are set; the weight is claimed and checked. */
export function multihotCountVec(
  options: VectorOptions & { readonly length: number; readonly maxWeight: number },
): Circuit<readonly (boolean | Integer)[], readonly bigint[]> {
  const { length, maxWeight } = options;
  checkLength(length, 'length');
  checkLength(maxWeight, 'maxWeight', length);
  const code = new RangeCode(maxWeight, options.field ?? FIELD128, 'maxWeight');
  return rangeCircuit(options, {
    measurementLength: length + code.bits,
    checks: [{ gadgets: false, linear: [...ones(length), ...code.weights.map((w) => -w)] }],
    weights: [1n],
    outputLength: length,
    encode: (measurement) => {
      if (measurement.length !== length) fail(`a measurement has ${String(length)} entries`);
      const out = new Uint8Array(length + code.bits);
      let weight = 0;
      measurement.forEach((entry, index) => {
        const value = Number(entry);
        if (value !== 0 && value !== 1) fail('a multihot vector holds true, false, 0 or 1');
        weight += value;
        out[index] = value;
      });
      code.write(out, length, weight);
      return out;
    },
    decode: all,
  });
}

/** `length` non-negative integers whose sum is at most `max` (draft-ietf-ppm-l1-bound-sum). */
export function l1BoundSum(
  options: VectorOptions & { readonly length: number; readonly max: Integer },
): Circuit<readonly Integer[], readonly bigint[]> {
  const { length } = options;
  checkLength(length, 'length');
  const code = new RangeCode(options.max, options.field ?? FIELD128, 'max');
  // A sum of entries that wrapped around the modulus could claim a small norm.
  if (BigInt(length) * code.max >= (options.field ?? FIELD128).modulus)
    fail('length times max must stay below the modulus of the field');
  const entries = Array.from({ length }, () => code.weights).flat();
  return rangeCircuit(options, {
    measurementLength: (length + 1) * code.bits,
    checks: [{ gadgets: false, linear: [...entries, ...code.weights.map((w) => -w)] }],
    weights: code.weights,
    outputLength: length,
    encode: (measurement) => {
      if (measurement.length !== length) fail(`a measurement has ${String(length)} entries`);
      const out = new Uint8Array((length + 1) * code.bits);
      let norm = 0n;
      measurement.forEach((value, index) => {
        code.write(out, index * code.bits, value);
        norm += BigInt(value);
      });
      code.write(out, length * code.bits, norm);
      return out;
    },
    decode: all,
  });
}
