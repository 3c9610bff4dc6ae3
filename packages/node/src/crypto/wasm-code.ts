/**
 * Pieces of WebAssembly modules (WebAssembly Core Specification 2.0, chapter 5) that are put together here instead of being
 * compiled: small kernels whose shape follows from a rule, for what JavaScript computes too slowly.
 */
export type Code = readonly number[];

export function leb(value: number): Code {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** Signed, of a whole number that is not negative. */
const signed = (value: number): Code => {
  const bytes = leb(value);
  const last = bytes.at(-1) as number;
  return last < 0x40 ? bytes : [...bytes.slice(0, -1), last | 0x80, 0];
};

export const I32 = 0x7f;
export const V128 = 0x7b;

export const get = (local: number): Code => [0x20, ...leb(local)];
export const set = (local: number): Code => [0x21, ...leb(local)];
/** An i32. */
export const number = (value: number): Code => [0x41, ...signed(value)];
export const call = (index: number): Code => [0x10, ...leb(index)];
export const ADD_I32: Code = [0x6a];
export const vector = (opcode: number, ...immediates: number[]): Code => [
  0xfd,
  ...leb(opcode),
  ...immediates,
];
/** Of a vector: all of it, from an address and an offset. */
export const load = (offset: number): Code => vector(0x00, 4, ...leb(offset));
export const store = (offset: number): Code => vector(0x0b, 4, ...leb(offset));
/** Of four words: sum, and shifts by a number of bits. */
export const ADD: Code = vector(0xae);
export const shiftLeft = (bits: number): Code => [...number(bits), ...vector(0xab)];

export interface WasmFunction {
  /** Under this name for JavaScript; functions without one are for the others alone. */
  readonly name?: string;
  /** Of type i32, all of them; nothing is returned. */
  readonly parameters: number;
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly code: Code;
}

/** A module with one memory, exported as `memory`; functions call each other by their place in the list. */
export function wasmModule(memoryBytes: number, functions: readonly WasmFunction[]): Uint8Array {
  const counted = (items: readonly Code[]): Code => [...leb(items.length), ...items.flat()];
  const section = (id: number, content: Code): Code => [id, ...leb(content.length), ...content];
  const text = (name: string): Code => [name.length, ...Buffer.from(name)];
  const body = ({ locals, code }: WasmFunction): Code => {
    const content = [...counted(locals.map(([count, type]) => [...leb(count), type])), ...code, 0x0b];
    return [...leb(content.length), ...content];
  };
  const arities = [...new Set(functions.map(({ parameters }) => parameters))];
  const types = arities.map((count): Code => [0x60, count, ...Array.from({ length: count }, () => I32), 0]);
  const exported = functions.flatMap(({ name }, i) =>
    name === undefined ? [] : [[...text(name), 0, ...leb(i)]],
  );
  return Uint8Array.from([
    0x00,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, counted(types)),
    ...section(3, counted(functions.map(({ parameters }) => [arities.indexOf(parameters)]))),
    ...section(5, counted([[0, ...leb(Math.ceil(memoryBytes / 65_536))]])),
    ...section(7, counted([[...text('memory'), 2, 0], ...exported])),
    ...section(10, counted(functions.map(body))),
  ]);
}

/** Of the engine's interface, what is used here: the library of its types is that of browsers. */
interface Engine {
  readonly WebAssembly: {
    validate(bytes: Uint8Array): boolean;
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: unknown };
  };
}

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** By pages of 64 KiB; views of the buffer are void afterwards. Throws when there is no more. */
  grow(pages: number): number;
}

/** The exports of a new instance; undefined where the engine does not know what the module uses. */
export function instantiate(bytes: Uint8Array): unknown {
  const { WebAssembly } = globalThis as unknown as Engine;
  if (!WebAssembly.validate(bytes)) return undefined;
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
}
