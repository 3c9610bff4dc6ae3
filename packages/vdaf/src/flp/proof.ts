import { encodeElements, inverse, power, rootOfUnity } from '../field.ts';
import type { Field } from '../field.ts';
import type { Arena, FieldKernel } from '../kernel/kernel.ts';
import { arity, degree, evaluationLength } from './circuit.ts';
import type { Circuit } from './circuit.ts';

const powerOfTwoFrom = (least: number): number => {
  let size = 1;
  while (size < least) size *= 2;
  return size;
};

function powers(base: bigint, length: number, field: Field, start = 1n): bigint[] {
  const out: bigint[] = [];
  for (let i = 0, x = start; i < length; i += 1, x = (x * base) % field.modulus) out.push(x);
  return out;
}

/** The order in which an outward transform leaves its coefficients. */
function bitReversed<T>(values: readonly T[]): T[] {
  const bits = Math.log2(values.length);
  return values.map((_, index) => {
    let mirrored = 0;
    for (let bit = 0; bit < bits; bit += 1) mirrored = (mirrored << 1) | ((index >> bit) & 1);
    return values[mirrored] as T;
  });
}

/**
 * Rows that give the last values of a polynomial of degree below `known` at the n-th roots of unity
 * from its first `known` values. With one value missing this is the condition that the leading
 * coefficient vanishes, p[n-1] = -w·Σ p[i]·w^i; otherwise it is Lagrange's formula.
 */
function extensionRows(field: Field, known: number, size: number): bigint[][] {
  const { modulus: p } = field;
  const root = rootOfUnity(field, size);
  if (known === size) return [];
  if (known === size - 1) return [powers(root, known, field, root).map((x) => p - x)];
  const nodes = powers(root, size, field);
  const inner = nodes.slice(0, known);
  const product = (x: bigint, skip: number): bigint =>
    inner.reduce((total, y, j) => (j === skip ? total : (total * (x + p - y)) % p), 1n);
  const bottoms = inner.map((x, i) => inverse(product(x, i), field));
  return nodes.slice(known).map((x) => {
    const whole = product(x, -1);
    return inner.map((y, i) => {
      const top = (whole * inverse(x + p - y, field)) % p;
      return (top * (bottoms[i] ?? 0n)) % p;
    });
  });
}

/**
 * Constants of a proof system, laid out once and copied into the arena at the start of an operation.
 */
class Constants {
  readonly #field: Field;
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(field: Field) {
    this.#field = field;
  }

  /** Offset of the encoded values from where the constants will be placed. */
  add(values: readonly bigint[]): number {
    const offset = this.#bytes;
    const part = encodeElements(this.#field, values);
    this.#parts.push(part);
    this.#bytes += part.length;
    return offset;
  }

  image(): Uint8Array {
    const out = new Uint8Array(this.#bytes);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

/** Where an operation finds things: its arena, the field's kernel and the constants. */
export interface Frame {
  readonly arena: Arena;
  readonly kernel: FieldKernel;
  readonly constants: number;
}

/**
 * The fully linear proof of draft-irtf-cfrg-vdaf-20 §7.3 (BBCGGI19, Theorem 4.3) for one circuit.
 * Gadget polynomials are kept by their values at roots of unity (Lagrange basis) all the way.
 *
 * Pointers lead to canonical elements. Measurements are padded with zeros to `paddedLength`.
 */
export class ProofSystem {
  readonly circuit: Circuit<never, unknown>;
  readonly field: Field;
  readonly image: Uint8Array;
  readonly paddedLength: number;
  readonly proveRandLength: number;
  readonly queryRandLength: number;
  readonly proofLength: number;
  readonly verifierLength: number;
  readonly #arity: number;
  /** Nodes of a wire polynomial, of a gadget polynomial, and the values of the latter in a proof. */
  readonly #wireNodes: number;
  readonly #gadgetNodes: number;
  readonly #gadgetValues: number;
  readonly #cosets: number;
  readonly #at: Readonly<Record<'one' | 'share' | 'roots' | 'inverseRoots' | 'weights', number>>;
  readonly #shifts: readonly number[];
  readonly #nodes: readonly [number, number];
  readonly #inverses: readonly [number, number];
  readonly #extension: readonly number[];
  readonly #evaluations: readonly { gadgets: boolean; linear?: number; constant?: number }[] | undefined;
  readonly #coefficients: readonly number[];

  constructor(circuit: Circuit<never, unknown>, shares: number) {
    const { field, gadget, calls } = circuit;
    const { modulus: p } = field;
    this.circuit = circuit;
    this.field = field;
    this.#arity = arity(gadget);
    this.#wireNodes = powerOfTwoFrom(1 + calls);
    this.#gadgetValues = degree(gadget) * (this.#wireNodes - 1) + 1;
    this.#gadgetNodes = powerOfTwoFrom(this.#gadgetValues);
    this.#cosets = this.#gadgetNodes / this.#wireNodes;
    const evaluations = evaluationLength(circuit);
    this.paddedLength =
      gadget.kind === 'parallel-sum' && circuit.wiring === 'range'
        ? calls * gadget.count
        : circuit.measurementLength;
    this.proveRandLength = this.#arity;
    this.queryRandLength = 1 + (evaluations > 1 ? evaluations : 0);
    this.proofLength = this.#arity + this.#gadgetValues;
    this.verifierLength = 2 + this.#arity;

    const constants = new Constants(field);
    const [wires, gadgets] = [this.#wireNodes, this.#gadgetNodes];
    const root = rootOfUnity(field, wires);
    const fineRoot = rootOfUnity(field, gadgets);
    const shareInverse = inverse(BigInt(shares), field);
    const inverseWires = inverse(BigInt(wires), field);
    this.#at = {
      one: constants.add([1n]),
      share: constants.add([shareInverse]),
      roots: constants.add(powers(root, wires / 2, field)),
      inverseRoots: constants.add(powers(inverse(root, field), wires / 2, field)),
      weights: constants.add(circuit.weights),
    };
    // Coset s holds the values at fineRoot^(s + cosets·k); the division by the length is folded in.
    this.#shifts = Array.from({ length: this.#cosets - 1 }, (_, s) =>
      constants.add(bitReversed(powers(power(fineRoot, BigInt(s + 1), p), wires, field, inverseWires))),
    );
    this.#nodes = [
      constants.add(powers(root, wires, field)),
      constants.add(powers(fineRoot, gadgets, field)),
    ];
    this.#inverses = [constants.add([inverseWires]), constants.add([inverse(BigInt(gadgets), field)])];
    this.#extension = extensionRows(field, this.#gadgetValues, gadgets).map((row) => constants.add(row));
    this.#evaluations =
      circuit.evaluations === 'each-gadget'
        ? undefined
        : circuit.evaluations.map(({ gadgets: sums, linear, constant }) => ({
            gadgets: sums,
            ...(linear === undefined ? {} : { linear: constants.add(linear) }),
            ...(constant === undefined ? {} : { constant: constants.add([constant * shareInverse]) }),
          }));
    // Repeated, so that Horner's rule can add a coefficient to a whole vector.
    this.#coefficients =
      gadget.kind === 'poly-eval'
        ? gadget.coefficients.map((c) => constants.add(Array.from({ length: wires }, () => c)))
        : [];
    this.image = constants.image();
  }

  /** Writes the proof at `out`. */
  prove(frame: Frame, measurement: number, proveRand: number, jointRand: number, out: number): void {
    const { arena, kernel } = frame;
    const size = kernel.bytes;
    const mark = arena.mark();
    const row = this.#wireNodes * size;
    const wires = this.#wires(frame, measurement, proveRand, jointRand, frame.constants + this.#at.one);
    arena.move(out, proveRand, this.#arity * size);
    const values = arena.allocate(this.#gadgetNodes * size);
    this.#gadgetColumns(frame, values, wires, 0);
    // The wire polynomials from their values, then their values on each further coset.
    for (let j = 0; j < this.#arity; j += 1)
      kernel.transformOut(wires + j * row, this.#wireNodes, frame.constants + this.#at.inverseRoots);
    const coset = arena.allocate(this.#arity * row);
    this.#shifts.forEach((shift, index) => {
      for (let j = 0; j < this.#arity; j += 1) {
        kernel.multiply(coset + j * row, wires + j * row, frame.constants + shift, this.#wireNodes);
        kernel.transformIn(coset + j * row, this.#wireNodes, frame.constants + this.#at.roots);
      }
      this.#gadgetColumns(frame, values, coset, index + 1);
    });
    arena.move(out + this.#arity * size, values, this.#gadgetValues * size);
    arena.release(mark);
  }

  /**
   * Writes this aggregator's share of the verifier at `out`; false when the test point is a root of
   * unity, where the answer would reveal a wire.
   */
  query(
    frame: Frame,
    input: { measurement: number; proof: number; queryRand: number; jointRand: number },
    out: number,
  ): boolean {
    const { arena, kernel, constants } = frame;
    const size = kernel.bytes;
    const evaluations = evaluationLength(this.circuit);
    const mark = arena.mark();
    const t = input.queryRand + (this.queryRandLength - 1) * size;
    if (this.#isRoot(frame, t)) {
      arena.release(mark);
      return false;
    }
    const share = constants + this.#at.share;
    const wires = this.#wires(frame, input.measurement, input.proof, input.jointRand, share);
    const values = arena.allocate(this.#gadgetNodes * size);
    const valueBytes = this.#gadgetValues * size;
    arena.move(values, input.proof + this.#arity * size, valueBytes);
    this.#extension.forEach((row, index) =>
      kernel.dot(values + valueBytes + index * size, constants + row, size, values, size, this.#gadgetValues),
    );
    // What must be zero, as one random combination.
    const checks = arena.allocate(evaluations * size);
    this.#evaluate(frame, input.measurement, values, checks);
    if (evaluations > 1) kernel.dot(out, checks, size, input.queryRand, size, evaluations);
    else arena.move(out, checks, size);
    // The wires and the gadget polynomial at the test point.
    const basis = arena.allocate(this.#gadgetNodes * size);
    const scratch = arena.allocate(this.#gadgetNodes * size);
    const lagrange = (which: 0 | 1, length: number): void =>
      kernel.lagrange(
        basis,
        constants + this.#nodes[which],
        length,
        t,
        constants + this.#inverses[which],
        scratch,
      );
    lagrange(0, this.#wireNodes);
    const used = 1 + this.circuit.calls;
    for (let j = 0; j < this.#arity; j += 1)
      kernel.dot(out + (1 + j) * size, basis, size, wires + j * this.#wireNodes * size, size, used);
    lagrange(1, this.#gadgetNodes);
    kernel.dot(out + (1 + this.#arity) * size, basis, size, values, size, this.#gadgetNodes);
    arena.release(mark);
    return true;
  }

  /** Whether the whole verifier, the sum of all shares, accepts. */
  decide(frame: Frame, verifier: number): boolean {
    const { arena, kernel } = frame;
    const size = kernel.bytes;
    const mark = arena.mark();
    // Both differences are computed before either is looked at.
    const differences = arena.allocate(2 * size);
    arena.move(differences, verifier, size);
    this.#gadget(frame, differences + size, verifier + size, size);
    const claimed = verifier + (1 + this.#arity) * size;
    kernel.subtract(differences + size, differences + size, claimed, 1);
    const valid = arena.read(differences, 2 * size).every((byte) => byte === 0);
    arena.release(mark);
    return valid;
  }

  /** Output share of a measurement share. */
  truncate(frame: Frame, measurement: number, out: number): void {
    const { kernel, constants } = frame;
    const { weights, outputLength } = this.circuit;
    const size = kernel.bytes;
    const step = weights.length * size;
    for (let i = 0; i < outputLength; i += 1) {
      const from = measurement + i * step;
      kernel.dot(out + i * size, constants + this.#at.weights, size, from, size, weights.length);
    }
  }

  /**
   * Matrix of wires, one row of `wireNodes` per wire: column 0 the seeds, column k the inputs of call
   * k. `share` is the share of the constant one: the whole of it for the prover.
   */
  #wires(frame: Frame, measurement: number, seeds: number, jointRand: number, share: number): number {
    const { arena, kernel } = frame;
    const size = kernel.bytes;
    const row = this.#wireNodes * size;
    const out = arena.allocate(this.#arity * row);
    for (let j = 0; j < this.#arity; j += 1) arena.move(out + j * row, seeds + j * size, size);
    const { gadget, calls, wiring } = this.circuit;
    for (let k = 0; k < calls; k += 1) {
      const column = out + (k + 1) * size;
      if (wiring === 'range' && gadget.kind === 'parallel-sum') {
        const bits = measurement + k * gadget.count * size;
        kernel.rangeWires(column, row, bits, gadget.count, jointRand + k * size, share);
      } else {
        for (let j = 0; j < this.#arity; j += 1) arena.move(column + j * row, measurement + k * size, size);
      }
    }
    return out;
  }

  /** The gadget on the wires that are `stride` bytes apart, one value. */
  #gadget(frame: Frame, out: number, wires: number, stride: number): void {
    const { kernel } = frame;
    const { gadget } = this.circuit;
    if (gadget.kind === 'parallel-sum')
      kernel.dot(out, wires, 2 * stride, wires + stride, 2 * stride, gadget.count);
    else this.#horner(frame, out, wires, 1);
  }

  /** The polynomial gadget on `length` values of its wire. */
  #horner(frame: Frame, out: number, wire: number, length: number): void {
    const { arena, kernel, constants } = frame;
    const last = this.#coefficients.length - 1;
    arena.move(out, constants + (this.#coefficients[last] ?? 0), length * kernel.bytes);
    for (let i = last - 1; i >= 0; i -= 1) {
      kernel.multiply(out, out, wire, length);
      kernel.add(out, out, constants + (this.#coefficients[i] ?? 0), length);
    }
  }

  /** Gadget values on one coset, into every `cosets`-th place of `values`. */
  #gadgetColumns(frame: Frame, values: number, wires: number, coset: number): void {
    const { arena, kernel } = frame;
    const size = kernel.bytes;
    const place = (k: number): number => values + (coset + this.#cosets * k) * size;
    if (this.circuit.gadget.kind === 'parallel-sum') {
      for (let k = 0; k < this.#wireNodes; k += 1)
        this.#gadget(frame, place(k), wires + k * size, this.#wireNodes * size);
    } else {
      const mark = arena.mark();
      const line = arena.allocate(this.#wireNodes * size);
      this.#horner(frame, line, wires, this.#wireNodes);
      for (let k = 0; k < this.#wireNodes; k += 1) arena.move(place(k), line + k * size, size);
      arena.release(mark);
    }
  }

  /** The circuit's outputs, with the gadget outputs taken from the gadget polynomial. */
  #evaluate(frame: Frame, measurement: number, values: number, out: number): void {
    const { arena, kernel, constants } = frame;
    const size = kernel.bytes;
    const { calls, measurementLength } = this.circuit;
    const step = this.#cosets * size;
    if (this.#evaluations === undefined) {
      for (let k = 0; k < calls; k += 1) arena.move(out + k * size, values + (k + 1) * step, size);
      return;
    }
    const term = arena.allocate(size);
    this.#evaluations.forEach(({ gadgets, linear, constant }, index) => {
      const value = out + index * size;
      if (gadgets) kernel.dot(value, values + step, step, constants + this.#at.one, 0, calls);
      if (linear !== undefined) {
        kernel.dot(term, constants + linear, size, measurement, size, measurementLength);
        kernel.add(value, value, term, 1);
      }
      if (constant !== undefined) kernel.add(value, value, constants + constant, 1);
    });
  }

  #isRoot(frame: Frame, t: number): boolean {
    const { arena, kernel } = frame;
    const x = arena.allocate(kernel.bytes);
    arena.move(x, t, kernel.bytes);
    for (let order = 1; order < this.#wireNodes; order *= 2) kernel.multiply(x, x, x, 1);
    const bytes = arena.read(x, kernel.bytes);
    return bytes[0] === 1 && bytes.subarray(1).every((byte) => byte === 0);
  }
}
