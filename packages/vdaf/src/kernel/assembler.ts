/**
 * A small assembler for WebAssembly 1.0 binaries.
 *
 * The kernel of this package is not a checked-in binary: these functions build its bytes when it is
 * first needed, so that what runs is what the source says. Instructions are plain byte lists, and an
 * expression is the concatenation of its operands and its opcode (postfix), for instance
 * `add64(get(x), get(y))`.
 */

/** Bytes of one or more instructions, in postfix order; nested, so that composing them copies nothing. */
export type Code = readonly (number | Code)[];

function flatten(code: Code, out: number[]): void {
  for (const part of code) {
    if (typeof part === 'number') out.push(part);
    else flatten(part, out);
  }
}

const I32 = 0x7f;
const I64 = 0x7e;
const EMPTY_BLOCK = 0x40;

function unsigned(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    out.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return out;
}

function signed(value: bigint): number[] {
  const out: number[] = [];
  let rest = value;
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    // The last group carries the sign in its bit 6.
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    out.push(done ? low : low | 0x80);
    if (done) return out;
  }
}

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number, value: Code): Code => [value, 0x21, ...unsigned(local)];
export const tee = (local: number, value: Code): Code => [value, 0x22, ...unsigned(local)];

export const i32 = (value: number): Code => [0x41, ...signed(BigInt(value))];
/** A 64-bit constant; values of 2^63 and more are taken modulo 2^64. */
export const i64 = (value: bigint): Code => [0x42, ...signed(BigInt.asIntN(64, value))];

const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, opcode];
const unary =
  (opcode: number) =>
  (a: Code): Code => [a, opcode];

export const add32: (a: Code, b: Code) => Code = binary(0x6a);
export const sub32: (a: Code, b: Code) => Code = binary(0x6b);
export const mul32: (a: Code, b: Code) => Code = binary(0x6c);
export const shr32: (a: Code, b: Code) => Code = binary(0x76);
export const and32: (a: Code, b: Code) => Code = binary(0x71);
export const or32: (a: Code, b: Code) => Code = binary(0x72);
export const below32: (a: Code, b: Code) => Code = binary(0x49);
export const isZero32: (a: Code) => Code = unary(0x45);

export const add64: (a: Code, b: Code) => Code = binary(0x7c);
export const sub64: (a: Code, b: Code) => Code = binary(0x7d);
export const mul64: (a: Code, b: Code) => Code = binary(0x7e);
export const and64: (a: Code, b: Code) => Code = binary(0x83);
export const xor64: (a: Code, b: Code) => Code = binary(0x85);
export const shl64: (a: Code, b: Code) => Code = binary(0x86);
export const shr64: (a: Code, b: Code) => Code = binary(0x88);
export const rotl64: (a: Code, b: Code) => Code = binary(0x89);
export const isZero64: (a: Code) => Code = unary(0x50);
export const equal64: (a: Code, b: Code) => Code = binary(0x51);
/** Unsigned comparisons: 1 or 0 as a 32-bit value. */
export const below64: (a: Code, b: Code) => Code = binary(0x54);
export const above64: (a: Code, b: Code) => Code = binary(0x56);
export const atLeast64: (a: Code, b: Code) => Code = binary(0x5a);
/** Widens a 32-bit condition to 64 bits, so that a carry can be added without a branch. */
export const widen: (a: Code) => Code = unary(0xad);

/** `condition ? a : b`, without a branch. */
export const select = (condition: Code, a: Code, b: Code): Code => [a, b, condition, 0x1b];

export const load64 = (pointer: Code, offset = 0): Code => [pointer, 0x29, 0x00, ...unsigned(offset)];
export const store64 = (pointer: Code, offset: number, value: Code): Code => [
  pointer,
  value,
  0x37,
  0x00,
  ...unsigned(offset),
];

/** Repeats `body` while `condition` holds; the condition is tested first. */
export const whileLoop = (condition: Code, body: Code): Code => [
  0x02,
  EMPTY_BLOCK,
  0x03,
  EMPTY_BLOCK,
  condition,
  0x45, // i32.eqz
  0x0d, // br_if to the end of the block
  0x01,
  body,
  0x0c, // br to the head of the loop
  0x00,
  0x0b,
  0x0b,
];

/** One function under construction. Parameters are 32-bit and are locals 0, 1, … */
export class Routine {
  readonly name: string;
  readonly parameters: number;
  readonly returnsValue: boolean;
  readonly #locals: number[] = [];
  readonly #body: number[] = [];

  constructor(name: string, parameters: number, options: { readonly returnsValue?: boolean } = {}) {
    this.name = name;
    this.parameters = parameters;
    this.returnsValue = options.returnsValue ?? false;
  }

  i32(): number {
    return this.#local(I32);
  }

  i64(): number {
    return this.#local(I64);
  }

  #local(type: number): number {
    this.#locals.push(type);
    return this.parameters + this.#locals.length - 1;
  }

  emit(...codes: readonly Code[]): void {
    flatten(codes, this.#body);
  }

  /** What `write` emits, taken out of the body so that it can be put into a loop. */
  capture(write: () => void): Code {
    const start = this.#body.length;
    write();
    return this.#body.splice(start);
  }

  encode(): number[] {
    // Runs of one type share an entry.
    const runs: { type: number; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count += 1;
      else runs.push({ type, count: 1 });
    }
    const locals = runs.flatMap(({ type, count }) => [...unsigned(count), type]);
    const code = [...unsigned(runs.length), ...locals, ...this.#body, 0x0b];
    return [...unsigned(code.length), ...code];
  }
}

function section(id: number, items: readonly (readonly number[])[]): number[] {
  const body = [...unsigned(items.length), ...items.flat()];
  return [id, ...unsigned(body.length), ...body];
}

/** The magic word and the version. */
const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/** A name of ASCII letters, shorter than 128. */
const text = (value: string): number[] => [
  value.length,
  ...Array.from({ length: value.length }, (_, index) => value.charCodeAt(index)),
];

/** Assembles a module that exports every routine and a growable memory named `memory`. */
export function assemble(
  routines: readonly Routine[],
  options: { readonly pagesMax: number; readonly constants: Uint8Array },
): Uint8Array<ArrayBuffer> {
  // One type per routine keeps the encoder trivial; the duplicates cost a few bytes.
  const types = routines.map((r) => [
    0x60,
    r.parameters,
    ...Array.from({ length: r.parameters }, () => I32),
    ...(r.returnsValue ? [1, I32] : [0]),
  ]);
  const exports = routines.map((r, index) => [...text(r.name), 0x00, ...unsigned(index)]);
  return Uint8Array.from([
    ...HEADER,
    ...section(1, types),
    ...section(
      3,
      routines.map((_, index) => unsigned(index)),
    ),
    ...section(5, [[0x01, 1, ...unsigned(options.pagesMax)]]),
    ...section(7, [...exports, [...text('memory'), 0x02, 0]]),
    ...section(
      10,
      routines.map((r) => r.encode()),
    ),
    ...section(11, [[0x00, 0x41, 0x00, 0x0b, ...unsigned(options.constants.length), ...options.constants]]),
  ]);
}
