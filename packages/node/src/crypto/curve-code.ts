/**
 * Arithmetic on the curve of Ed25519, four points at a time in the lanes of a vector unit, as a WebAssembly module.
 *
 * Elements of the field modulo p = 2^255 − 19 have twenty limbs of 13 bits with a sign: a vector has two neighbours of each of four
 * elements, so that one instruction makes eight products and adds them up in pairs. Points are accumulated in extended
 * coordinates (Hisil et al., "Twisted Edwards curves revisited", 2008) with formulas that hold for all points of the curve.
 *
 * Nothing here is secret, and nothing takes the same time for all inputs: it is for verifying alone.
 *
 * Bounds: limbs of a product are within ±4 100, the lowest within ±4 704. Factors are products, or sums or differences of two:
 * twenty products of their limbs stay below 1.4 · 10^9, with what is wrapped round below 1.5 · 10^9, and fit a word.
 */
import {
  ADD,
  ADD_I32,
  call,
  get,
  I32,
  instantiate,
  load,
  number,
  set,
  shiftLeft,
  store,
  V128,
  vector,
  wasmModule,
  type Code,
  type WasmMemory,
} from './wasm-code.ts';

export const LANES = 4;
export const LIMBS = 20;
export const LIMB_BITS = 13;
const PACKS = LIMBS / 2;
/** Of four elements: vector `i` has limbs 2i and 2i + 1 of each. */
export const ELEMENT_BYTES = 16 * PACKS;
/** Of one element by itself. */
const LANE_BYTES = 4 * PACKS;

/** Places in the module's memory. The accumulator is X, Y, Z, T: x = X/Z, y = Y/Z, x · y = T/Z. */
export const ACCUMULATOR = 0;
const [X, Y, Z, T] = [0, 1, 2, 3].map((i) => ACCUMULATOR + i * ELEMENT_BYTES) as [
  number,
  number,
  number,
  number,
];
/** The caller writes it: 1. */
export const ONE: number = ACCUMULATOR + 4 * ELEMENT_BYTES;
const SCRATCH: number = ONE + ELEMENT_BYTES;
/** Of each step, addresses of what is to be added to each of the four; the lowest bit says that its negative is. */
export const STEPS: number = SCRATCH + 12 * ELEMENT_BYTES;
const STEPS_MAX = 128;
export const STEP_BYTES: number = 4 * LANES;
/** From here on the caller's. */
export const FREE: number = STEPS + STEP_BYTES * STEPS_MAX;
/** An affine point to be added: halves of y + x and of y − x, d · x · y, limbs side by side. Two lines of a processor's cache. */
export const TERM_BYTES = 128;

const DOT = vector(0xba);
const MUL = vector(0xb5);
const SUB = vector(0xb1);
const AND = vector(0x4e);
const XOR = vector(0x51);
const ADD_SHORT = vector(0x8e);
const SUB_SHORT = vector(0x91);
const EVERYWHERE = vector(0x11);
const ZERO = vector(0x0c, ...Array.from({ length: 16 }, () => 0));
const shiftRight = (bits: number): Code => [...number(bits), ...vector(0xac)];
const shuffle = (bytes: readonly number[]): Code => vector(0x0d, ...bytes);
/** Low halves of the words of one vector, high halves of those of another. */
const BLEND = shuffle([0, 4, 8, 12].flatMap((at) => [at, at + 1, at + 18, at + 19]));
/** Halves of each word the other way round. */
const SWAP = shuffle([0, 4, 8, 12].flatMap((at) => [at + 2, at + 3, at, at + 1]));
const words = (...places: readonly number[]): Code =>
  shuffle(places.flatMap((place) => [0, 1, 2, 3].map((i) => 4 * place + i)));

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
/** What 2^260 is modulo p. */
const WRAP = 608;

type Body = { readonly locals: readonly (readonly [number, number])[]; readonly code: Code };

/** Parameters: where the product goes, and the factors; all three may be one. */
function multiply(): Body {
  const [to, left, right] = [0, 1, 2];
  const base = 3;
  const constant = { mask: base, wrap: base + 1, half: base + 2 };
  /** f(2i), f(2i + 1). */
  const f = (i: number): number => base + 3 + i;
  /** g(i), g(i − 1). */
  const g = (i: number): number => base + 13 + i;
  const h = (i: number): number => base + 34 + i;
  const carried = base + 74;
  const above = base + 75;
  const column = (at: number): Code =>
    upTo(PACKS)
      .filter((i) => at - 2 * i >= 0 && at - 2 * i <= LIMBS)
      .flatMap((i, n) => [...get(f(i)), ...get(g(at - 2 * i)), ...DOT, ...(n === 0 ? [] : ADD)]);
  /**
   * Every limb hands on at once what is beyond its bits, from the highest down so that each adds what was below it before. What
   * leaves the last comes back to the first.
   */
  const hand: Code = shiftRight(LIMB_BITS);
  const wrap: Code = [...get(h(0)), ...get(carried), ...get(constant.wrap), ...MUL, ...ADD, ...set(h(0))];
  const carry: Code = [
    ...get(h(LIMBS - 1)),
    ...hand,
    ...set(carried),
    ...upTo(LIMBS).flatMap((n) => {
      const limb = LIMBS - 1 - n;
      const below: Code = limb === 0 ? [] : [...get(h(limb - 1)), ...hand, ...ADD];
      return [...get(h(limb)), ...get(constant.mask), ...AND, ...below, ...set(h(limb))];
    }),
    ...wrap,
  ];
  /** The same, to limbs on both sides of zero. */
  const quotient = (limb: number): Code => [...get(h(limb)), ...get(constant.half), ...ADD, ...hand];
  const carryToCentre: Code = [
    ...quotient(LIMBS - 1),
    ...set(carried),
    ...get(carried),
    ...set(above),
    ...upTo(LIMBS).flatMap((n) => {
      const limb = LIMBS - 1 - n;
      const rest: Code = [...get(h(limb)), ...get(above), ...shiftLeft(LIMB_BITS), ...SUB];
      const below: Code = limb === 0 ? [] : [...quotient(limb - 1), 0x22, above, ...ADD];
      return [...rest, ...below, ...set(h(limb))];
    }),
    ...wrap,
  ];
  /** Those above 2^260 first: what they are worth below must fit beside the others. */
  const carryHigh: Code = upTo(LIMBS).flatMap((n) => {
    const limb = 2 * LIMBS - 1 - n;
    const rest: Code = limb === 2 * LIMBS - 1 ? [] : [...get(h(limb)), ...get(constant.mask), ...AND];
    const below: Code =
      limb === LIMBS ? [] : [...get(h(limb - 1)), ...hand, ...(rest.length === 0 ? [] : ADD)];
    return [...rest, ...below, ...set(h(limb))];
  });
  const splat = (value: number, local: number): Code => [...number(value), ...EVERYWHERE, ...set(local)];
  const code = [
    ...splat(2 ** LIMB_BITS - 1, constant.mask),
    ...splat(WRAP, constant.wrap),
    ...splat(2 ** (LIMB_BITS - 1), constant.half),
    ...upTo(PACKS).flatMap((i) => [...get(left), ...load(16 * i), ...set(f(i))]),
    ...upTo(PACKS).flatMap((i) => [
      ...get(right),
      ...load(16 * i),
      ...set(g(2 * i)),
      ...get(g(2 * i)),
      ...get(g(2 * i)),
      ...SWAP,
      ...set(g(2 * i + 1)),
    ]),
    // Pairs that begin with an even limb have the odd one before it; beyond both ends there is nothing.
    ...ZERO,
    ...get(g(2 * PACKS - 2)),
    ...BLEND,
    ...set(g(2 * PACKS)),
    ...upTo(PACKS)
      .reverse()
      .flatMap((i) => [
        ...get(g(2 * i)),
        ...(i === 0 ? ZERO : get(g(2 * i - 2))),
        ...BLEND,
        ...set(g(2 * i)),
      ]),
    ...upTo(LIMBS - 1).flatMap((i) => [...column(LIMBS + i), ...set(h(LIMBS + i))]),
    ...carryHigh,
    ...upTo(LIMBS).flatMap((i) => [
      ...column(i),
      ...get(h(LIMBS + i)),
      ...get(constant.wrap),
      ...MUL,
      ...ADD,
      ...set(h(i)),
    ]),
    ...carry,
    ...carry,
    ...carryToCentre,
    ...upTo(PACKS).flatMap((i) => [
      ...get(to),
      ...get(h(2 * i)),
      ...get(h(2 * i + 1)),
      ...shiftLeft(16),
      ...BLEND,
      ...store(16 * i),
    ]),
  ];
  return { locals: [[76, V128]], code };
}

/** Parameters: where sum and difference go, and the two. */
function sumAndDifference(): Body {
  const [sum, difference, left, right, a, b] = [0, 1, 2, 3, 4, 5];
  const code = upTo(PACKS).flatMap((i) => [
    ...get(left),
    ...load(16 * i),
    ...set(a),
    ...get(right),
    ...load(16 * i),
    ...set(b),
    ...get(sum),
    ...get(a),
    ...get(b),
    ...ADD_SHORT,
    ...store(16 * i),
    ...get(difference),
    ...get(a),
    ...get(b),
    ...SUB_SHORT,
    ...store(16 * i),
  ]);
  return { locals: [[2, V128]], code };
}

const FUNCTIONS = { multiply: 0, sums: 1 } as const;
const on = (what: keyof typeof FUNCTIONS, ...operands: readonly number[]): Code => [
  ...operands.flatMap(number),
  ...call(FUNCTIONS[what]),
];
const [A, B, C, D, E, F, G, H, S, PLUS, MINUS, PRODUCT] = upTo(12).map(
  (i) => SCRATCH + i * ELEMENT_BYTES,
) as [
  ...[number, number, number, number, number, number],
  ...[number, number, number, number, number, number],
];
/** What an addition or doubling ends with. */
const FINISH: Code = [
  ...on('multiply', X, E, F),
  ...on('multiply', Y, G, H),
  ...on('multiply', Z, F, G),
  ...on('multiply', T, E, H),
];

/** Adds the terms of so many steps, at least one, to the four points. */
function accumulate(): Body {
  const [count, at, first] = [0, 1, 2];
  const [address, sign] = [
    (lane: number): number => first + lane,
    (lane: number): number => first + LANES + lane,
  ];
  const row = (i: number): number => first + 2 * LANES + i;
  const [pairs, mask] = [(i: number): number => row(LANES + i), row(2 * LANES)];
  /** Words side by side in four places become four vectors, one for each word: two exchanges of neighbours. */
  const four = (
    to: number,
    from: (lane: number) => Code,
    vectors: readonly number[],
    finish: Code = [],
  ): Code => [
    ...upTo(LANES).flatMap((lane) => [...from(lane), ...set(row(lane))]),
    ...[0, 1].flatMap((half) => [
      ...get(row(0)),
      ...get(row(1)),
      ...words(...(half === 0 ? [0, 4, 1, 5] : [2, 6, 3, 7])),
      ...set(pairs(half)),
      ...get(row(2)),
      ...get(row(3)),
      ...words(...(half === 0 ? [0, 4, 1, 5] : [2, 6, 3, 7])),
      ...set(pairs(2 + half)),
    ]),
    ...vectors.flatMap((i) => [
      ...number(to),
      ...get(pairs((i >> 1) & 1)),
      ...get(pairs(2 + ((i >> 1) & 1))),
      ...words(...(i % 2 === 0 ? [0, 1, 4, 5] : [2, 3, 6, 7])),
      ...finish,
      ...store(16 * i),
    ]),
  ];
  /** An element of each of four terms, whose place in the term is on the stack. */
  const gather = (to: number, place: (lane: number) => Code, finish: Code = []): Code => [
    ...four(to, (lane) => [...place(lane), ...load(0)], [0, 1, 2, 3], finish),
    ...four(to, (lane) => [...place(lane), ...load(16)], [4, 5, 6, 7], finish),
    // The last two of ten, with the two before them.
    ...four(to + 16 * 6, (lane) => [...place(lane), ...load(24)], [2, 3], finish),
  ];
  const negate: Code = [...get(mask), ...XOR, ...get(mask), ...SUB_SHORT];
  const code = [
    ...number(STEPS),
    ...set(at),
    0x03,
    0x40, // loop
    ...upTo(LANES).flatMap((lane) => [
      ...get(at),
      0x28,
      2,
      4 * lane,
      ...set(address(lane)),
      ...get(address(lane)),
      ...number(1),
      0x71,
      ...set(sign(lane)),
      ...get(address(lane)),
      ...get(sign(lane)),
      0x6b,
      ...set(address(lane)),
    ]),
    ...ZERO,
    ...upTo(LANES).flatMap((lane) => [...number(0), ...get(sign(lane)), 0x6b, ...vector(0x1c, lane)]),
    ...set(mask),
    // The negative of a point has the two the other way round, and the product with the other sign.
    ...gather(PLUS, (lane) => [
      ...get(address(lane)),
      ...get(sign(lane)),
      ...number(LANE_BYTES),
      0x6c,
      ...ADD_I32,
    ]),
    ...gather(MINUS, (lane) => [
      ...get(address(lane)),
      ...number(LANE_BYTES),
      ...ADD_I32,
      ...get(sign(lane)),
      ...number(LANE_BYTES),
      0x6c,
      0x6b,
    ]),
    ...gather(PRODUCT, (lane) => [...get(address(lane)), ...number(2 * LANE_BYTES), ...ADD_I32], negate),
    ...on('sums', S, D, Y, X),
    ...on('multiply', A, D, MINUS),
    ...on('multiply', B, S, PLUS),
    ...on('multiply', C, T, PRODUCT),
    ...on('sums', H, E, B, A),
    ...on('sums', G, F, Z, C),
    ...FINISH,
    ...get(at),
    ...number(STEP_BYTES),
    ...ADD_I32,
    ...set(at),
    ...get(count),
    ...number(1),
    0x6b,
    0x22,
    count,
    0x0d,
    0, // again while there are more
    0x0b,
  ];
  return {
    locals: [
      [1 + 2 * LANES, I32],
      [2 * LANES + 1, V128],
    ],
    code,
  };
}

/** Doubles the four points, so many times, at least once. */
function double(): Body {
  const count = 0;
  const code = [
    0x03,
    0x40,
    ...on('sums', S, D, Y, X),
    ...on('multiply', A, X, X),
    ...on('multiply', B, Y, Y),
    ...on('multiply', C, Z, Z),
    ...on('multiply', D, S, S),
    ...on('sums', H, G, B, A),
    ...on('sums', S, E, D, H),
    ...on('sums', C, S, C, C),
    ...on('sums', S, F, C, G),
    // Of more than two products, and has to be within the bounds again.
    ...on('multiply', E, E, ONE),
    ...on('multiply', F, F, ONE),
    ...FINISH,
    ...get(count),
    ...number(1),
    0x6b,
    0x22,
    count,
    0x0d,
    0,
    0x0b,
  ];
  return { locals: [], code };
}

/** Parameters are places in memory, of four elements each. */
export interface Curve {
  readonly memory: WasmMemory;
  readonly multiply: (to: number, left: number, right: number) => void;
  readonly sums: (sum: number, difference: number, left: number, right: number) => void;
  readonly accumulate: (steps: number) => void;
  readonly double: (times: number) => void;
}

/** An instance of its own; undefined where the engine has no vectors. */
export function newCurve(memoryBytes: number): Curve | undefined {
  const module = wasmModule(memoryBytes, [
    { name: 'multiply', parameters: 3, ...multiply() },
    { name: 'sums', parameters: 4, ...sumAndDifference() },
    { name: 'accumulate', parameters: 1, ...accumulate() },
    { name: 'double', parameters: 1, ...double() },
  ]);
  return instantiate(module) as Curve | undefined;
}
