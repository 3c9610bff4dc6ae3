import {
  above64,
  add32,
  add64,
  and32,
  and64,
  atLeast64,
  below64,
  equal64,
  get,
  i32,
  i64,
  isZero32,
  isZero64,
  load64,
  mul64,
  or32,
  select,
  set,
  shl64,
  shr64,
  store64,
  sub64,
  tee,
  widen,
} from './assembler.ts';
import type { Code, Routine } from './assembler.ts';

/**
 * Emitters of field arithmetic on 64-bit words held in locals. A value is a list of locals, low word
 * first. Values are canonical on the way in and on the way out, and no instruction sequence depends
 * on the data: conditional corrections are selects.
 */
export interface FieldEmitter {
  readonly bytes: 8 | 16;
  /** Words of an unreduced sum of products. */
  readonly wideWords: number;
  add(routine: Routine, out: readonly number[], a: readonly number[], b: readonly number[]): void;
  subtract(routine: Routine, out: readonly number[], a: readonly number[], b: readonly number[]): void;
  /** Emitter of multiplications that share their scratch locals. */
  multiplier(routine: Routine): Multiplier;
  /** Leaves 1 when the value is not below the modulus. */
  overflows(a: readonly number[]): Code;
}

export interface Multiplier {
  multiply(out: readonly number[], a: readonly number[], b: readonly number[]): void;
  /** wide += a · b without reduction: at most 2^20 times. */
  accumulate(wide: readonly number[], a: readonly number[], b: readonly number[]): void;
  reduce(out: readonly number[], wide: readonly number[]): void;
}

const LOW = i64(0xffff_ffffn);
const W32 = i64(32n);

export const word = (values: readonly number[], index: number): number => {
  const local = values[index];
  if (local === undefined) throw new Error(`vdaf: no word ${String(index)}`);
  return local;
};

export function loadWords(routine: Routine, out: readonly number[], pointer: Code, offset = 0): void {
  out.forEach((local, index) => routine.emit(set(local, load64(pointer, offset + 8 * index))));
}

export function storeWords(routine: Routine, pointer: Code, value: readonly number[], offset = 0): void {
  value.forEach((local, index) => routine.emit(store64(pointer, offset + 8 * index, get(local))));
}

/** a·b of 64 bits each into two words, from four products of 32-bit halves (no 64x64 → 128 in WebAssembly 1.0). */
class WideProduct {
  readonly #routine: Routine;
  readonly #halves: readonly number[];
  readonly low: number;
  readonly high: number;

  constructor(routine: Routine) {
    this.#routine = routine;
    this.#halves = Array.from({ length: 6 }, () => routine.i64());
    this.low = routine.i64();
    this.high = routine.i64();
  }

  emit(a: number, b: number): void {
    const [aLow, aHigh, bLow, bHigh, middle, cross] = this.#halves as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    this.#routine.emit(
      set(aLow, and64(get(a), LOW)),
      set(aHigh, shr64(get(a), W32)),
      set(bLow, and64(get(b), LOW)),
      set(bHigh, shr64(get(b), W32)),
      // Neither sum can overflow: (2^32 - 1)^2 + 2^32 - 1 < 2^64.
      set(middle, add64(mul64(get(aLow), get(bHigh)), shr64(mul64(get(aLow), get(bLow)), W32))),
      set(cross, add64(mul64(get(aHigh), get(bLow)), and64(get(middle), LOW))),
      set(this.low, mul64(get(a), get(b))),
      set(
        this.high,
        add64(mul64(get(aHigh), get(bHigh)), add64(shr64(get(middle), W32), shr64(get(cross), W32))),
      ),
    );
  }
}

/** 2^32 - 1, which is 2^64 modulo p64 = 2^64 - 2^32 + 1. */
const EPSILON = i64(0xffff_ffffn);
const P64 = i64(0xffff_ffff_0000_0001n);

class Multiplier64 implements Multiplier {
  readonly #routine: Routine;
  readonly #product: WideProduct;
  readonly #t: number;
  readonly #u: number;

  constructor(routine: Routine) {
    this.#routine = routine;
    this.#product = new WideProduct(routine);
    this.#t = routine.i64();
    this.#u = routine.i64();
  }

  multiply(out: readonly number[], a: readonly number[], b: readonly number[]): void {
    this.#product.emit(word(a, 0), word(b, 0));
    this.#fold(out, this.#product.low, this.#product.high);
  }

  /** low + 2^64·high with 2^64 ≡ 2^32 - 1 and 2^96 ≡ -1. */
  #fold(out: readonly number[], low: number, high: number): void {
    const t = this.#t;
    const u = this.#u;
    const o = word(out, 0);
    this.#routine.emit(
      set(u, shr64(get(high), W32)),
      set(t, sub64(get(low), get(u))),
      // On a borrow the word wrapped by 2^64 ≡ ε: take ε off. It cannot wrap again.
      set(t, select(below64(get(low), get(u)), sub64(get(t), EPSILON), get(t))),
      set(u, and64(get(high), LOW)),
      set(u, sub64(shl64(get(u), W32), get(u))),
      set(t, add64(get(t), get(u))),
      set(t, select(below64(get(t), get(u)), add64(get(t), EPSILON), get(t))),
      set(o, select(atLeast64(get(t), P64), add64(get(t), EPSILON), get(t))),
    );
  }

  accumulate(wide: readonly number[], a: readonly number[], b: readonly number[]): void {
    const [w0, w1, w2] = [word(wide, 0), word(wide, 1), word(wide, 2)];
    const { low, high } = this.#product;
    this.#product.emit(word(a, 0), word(b, 0));
    this.#routine.emit(
      set(w0, add64(get(w0), get(low))),
      // high is at most 2^64 - 2, so the carry fits.
      set(high, add64(get(high), widen(below64(get(w0), get(low))))),
      set(w1, add64(get(w1), get(high))),
      set(w2, add64(get(w2), widen(below64(get(w1), get(high))))),
    );
  }

  reduce(out: readonly number[], wide: readonly number[]): void {
    const [w0, w1, w2] = [word(wide, 0), word(wide, 1), word(wide, 2)];
    const o = word(out, 0);
    const t = this.#t;
    // 2^128 ≡ -2^32, and the count of carries is below 2^20: subtract w2·2^32, a canonical value.
    this.#routine.emit(set(w2, shl64(get(w2), W32)));
    this.#fold(out, w0, w1);
    this.#routine.emit(
      set(t, sub64(get(o), get(w2))),
      set(o, select(below64(get(o), get(w2)), sub64(get(t), EPSILON), get(t))),
    );
  }
}

export const field64: FieldEmitter = {
  bytes: 8,
  wideWords: 3,
  add: (routine, out, a, b) => {
    const o = word(out, 0);
    const sum = routine.i64();
    // At or above p or wrapped: subtracting p is adding ε modulo 2^64.
    routine.emit(
      set(sum, add64(get(word(a, 0)), get(word(b, 0)))),
      set(
        o,
        select(
          or32(below64(get(sum), get(word(b, 0))), atLeast64(get(sum), P64)),
          add64(get(sum), EPSILON),
          get(sum),
        ),
      ),
    );
  },
  subtract: (routine, out, a, b) => {
    const difference = routine.i64();
    routine.emit(
      set(difference, sub64(get(word(a, 0)), get(word(b, 0)))),
      set(
        word(out, 0),
        select(below64(get(word(a, 0)), get(word(b, 0))), sub64(get(difference), EPSILON), get(difference)),
      ),
    );
  },
  multiplier: (routine) => new Multiplier64(routine),
  overflows: (a) => atLeast64(get(word(a, 0)), P64),
};

/** High word of p128 = 2^128 - 28·2^64 + 1; the low word is 1. */
const P128_HIGH = i64(0xffff_ffff_ffff_ffe4n);
const ONE = i64(1n);
const C28 = i64(28n);

/** Leaves 1 when (low, high) is at or above p128. */
const overflows128 = (low: number, high: number): Code =>
  or32(above64(get(high), P128_HIGH), and32(equal64(get(high), P128_HIGH), isZero32(isZero64(get(low)))));

class Multiplier128 implements Multiplier {
  readonly #routine: Routine;
  readonly #product: WideProduct;
  readonly #wide: readonly number[];
  readonly #c: readonly number[];
  readonly #d: readonly number[];
  readonly #carry: number;
  readonly #e: number;

  constructor(routine: Routine) {
    this.#routine = routine;
    this.#product = new WideProduct(routine);
    this.#wide = Array.from({ length: 5 }, () => routine.i64());
    this.#c = Array.from({ length: 3 }, () => routine.i64());
    this.#d = Array.from({ length: 2 }, () => routine.i64());
    this.#carry = routine.i64();
    this.#e = routine.i64();
  }

  /** The four words of a·b into w[0..3]; w[4] is untouched. */
  #schoolbook(w: readonly number[], a: readonly number[], b: readonly number[]): void {
    const [w0, w1, w2, w3] = [word(w, 0), word(w, 1), word(w, 2), word(w, 3)];
    const { low, high } = this.#product;
    const emit = (...codes: Code[]): void => this.#routine.emit(...codes);
    this.#product.emit(word(a, 0), word(b, 0));
    emit(set(w0, get(low)), set(w1, get(high)));
    this.#product.emit(word(a, 1), word(b, 1));
    emit(set(w2, get(low)), set(w3, get(high)));
    for (const [i, j] of [
      [0, 1],
      [1, 0],
    ] as const) {
      this.#product.emit(word(a, i), word(b, j));
      emit(
        set(w1, add64(get(w1), get(low))),
        // high ≤ 2^64 - 2, so it can absorb the carry.
        set(high, add64(get(high), widen(below64(get(w1), get(low))))),
        set(w2, add64(get(w2), get(high))),
        set(w3, add64(get(w3), widen(below64(get(w2), get(high))))),
      );
    }
  }

  multiply(out: readonly number[], a: readonly number[], b: readonly number[]): void {
    this.#schoolbook(this.#wide, a, b);
    this.#fold(out, this.#wide, false);
  }

  accumulate(wide: readonly number[], a: readonly number[], b: readonly number[]): void {
    const product = this.#wide;
    this.#schoolbook(product, a, b);
    const carry = this.#carry;
    this.#routine.emit(set(carry, i64(0n)));
    for (let i = 0; i < 4; i += 1) {
      const p = word(product, i);
      const w = word(wide, i);
      // The product is below (2^128 - 1)^2, but a middle word may be all ones: keep both carries.
      this.#routine.emit(
        set(p, add64(get(p), get(carry))),
        set(carry, widen(below64(get(p), get(carry)))),
        set(w, add64(get(w), get(p))),
        set(carry, add64(get(carry), widen(below64(get(w), get(p))))),
      );
    }
    const top = word(wide, 4);
    this.#routine.emit(set(top, add64(get(top), get(carry))));
  }

  reduce(out: readonly number[], wide: readonly number[]): void {
    this.#fold(out, wide, true);
  }

  /** 28·x into (low, high): 28 = 32 - 4. */
  #times28(low: number, high: number, x: number): void {
    this.#routine.emit(
      set(
        high,
        sub64(
          sub64(shr64(get(x), i64(59n)), shr64(get(x), i64(62n))),
          widen(below64(shl64(get(x), i64(5n)), shl64(get(x), i64(2n)))),
        ),
      ),
      set(low, mul64(get(x), C28)),
    );
  }

  /**
   * Reduces l0 + l1·W + h0·W² + h1·W³ (+ top·W⁴), W = 2^64, with W² ≡ 28·W - 1. Three foldings; the
   * positive and negative parts are kept apart until the last, and 3p is added so that it is never
   * negative.
   */
  #fold(out: readonly number[], wide: readonly number[], withTop: boolean): void {
    const [l0, l1, h0, h1] = [word(wide, 0), word(wide, 1), word(wide, 2), word(wide, 3)];
    const top = word(wide, 4);
    const [c0, c1, c2] = [word(this.#c, 0), word(this.#c, 1), word(this.#c, 2)];
    const [d0, d1] = [word(this.#d, 0), word(this.#d, 1)];
    const carry = this.#carry;
    const e = this.#e;
    const q = d1;
    const emit = (...codes: Code[]): void => this.#routine.emit(...codes);
    // (c0, c1, c2) = 28·(h0, h1)
    this.#times28(c0, carry, h0);
    this.#times28(c1, c2, h1);
    emit(set(c1, add64(get(c1), get(carry))), set(c2, add64(get(c2), widen(below64(get(c1), get(carry))))));
    // Second folding, of c1·W² + c2·W³: 28·c1 = (d0, d1) goes to W, e = d1 + 28·c2 stays at W².
    this.#times28(d0, d1, c1);
    emit(set(e, add64(get(d1), mul64(get(c2), C28))));
    const scratch = this.#product.low;
    // Word 0: l0 + 3 - h0 - c1 - e (- 783·top); `carry` counts borrows. q counts the carries at W².
    const add = (target: number, value: Code, counter: number, direction: typeof add64): void => {
      emit(
        set(target, add64(get(target), tee(scratch, value))),
        set(counter, direction(get(counter), widen(below64(get(target), get(scratch))))),
      );
    };
    const take = (target: number, value: Code, counter: number, direction: typeof add64): void => {
      emit(
        set(scratch, value),
        set(counter, direction(get(counter), widen(below64(get(target), get(scratch))))),
        set(target, sub64(get(target), get(scratch))),
      );
    };
    const o0 = this.#product.high;
    const o1 = word(out, 1);
    const borrows = carry;
    emit(set(o0, get(l0)), set(borrows, i64(0n)));
    take(o0, get(h0), borrows, add64);
    take(o0, get(c1), borrows, add64);
    take(o0, get(e), borrows, add64);
    if (withTop) take(o0, mul64(get(top), i64(783n)), borrows, add64);
    add(o0, i64(3n), borrows, sub64);
    // Word 1: l1 + c0 + d0 + 28·e (+ 21896·top) - h1 - c2 - 84 - borrows.
    emit(set(q, i64(3n)));
    add(l1, get(c0), q, add64);
    add(l1, get(d0), q, add64);
    add(l1, mul64(get(e), C28), q, add64);
    if (withTop) add(l1, mul64(get(top), i64(21_896n)), q, add64);
    take(l1, get(h1), q, sub64);
    take(l1, get(c2), q, sub64);
    take(l1, i64(84n), q, sub64);
    // `borrows` may be -1 (only the added 3 carried): then this is an addition.
    emit(
      set(scratch, add64(get(borrows), ONE)),
      set(l1, add64(get(l1), ONE)),
      set(q, add64(get(q), widen(isZero64(get(l1))))),
    );
    take(l1, get(scratch), q, sub64);
    // Third folding, of q·W² with q small and not negative; it may carry once more.
    emit(
      set(borrows, widen(below64(get(o0), get(q)))),
      set(o0, sub64(get(o0), get(q))),
      set(q, sub64(mul64(get(q), C28), get(borrows))),
      set(o1, add64(get(l1), get(q))),
      set(q, widen(below64(get(o1), get(q)))),
      set(borrows, widen(below64(get(o0), get(q)))),
      set(o0, sub64(get(o0), get(q))),
      set(o1, add64(get(o1), sub64(mul64(get(q), C28), get(borrows)))),
    );
    canonical128(this.#routine, out, o0, o1, scratch, q);
  }
}

/** Subtracts p128 once where (low, high) is at or above it. */
function canonical128(
  routine: Routine,
  out: readonly number[],
  low: number,
  high: number,
  scratch: number,
  flag: number,
): void {
  routine.emit(
    set(flag, widen(overflows128(low, high))),
    set(scratch, widen(below64(get(low), get(flag)))),
    set(word(out, 0), sub64(get(low), get(flag))),
    // Subtracting flag·p: high - flag·(2^64 - 28) - borrow = high + 28·flag - borrow.
    set(word(out, 1), sub64(add64(get(high), mul64(get(flag), C28)), get(scratch))),
  );
}

export const field128: FieldEmitter = {
  bytes: 16,
  wideWords: 5,
  add: (routine, out, a, b) => {
    const [low, high, carry, flag] = [routine.i64(), routine.i64(), routine.i64(), routine.i64()];
    routine.emit(
      set(low, add64(get(word(a, 0)), get(word(b, 0)))),
      set(carry, widen(below64(get(low), get(word(b, 0))))),
      set(high, add64(get(word(a, 1)), get(word(b, 1)))),
      set(flag, widen(below64(get(high), get(word(b, 1))))),
      set(high, add64(get(high), get(carry))),
      set(flag, add64(get(flag), widen(below64(get(high), get(carry))))),
      // A wrapped sum or one at or above p: subtract p once.
      set(flag, add64(get(flag), widen(overflows128(low, high)))),
      set(carry, widen(below64(get(low), get(flag)))),
      set(word(out, 0), sub64(get(low), get(flag))),
      set(word(out, 1), sub64(add64(get(high), mul64(get(flag), C28)), get(carry))),
    );
  },
  subtract: (routine, out, a, b) => {
    const [low, high, borrow, flag] = [routine.i64(), routine.i64(), routine.i64(), routine.i64()];
    routine.emit(
      set(borrow, widen(below64(get(word(a, 0)), get(word(b, 0))))),
      set(low, sub64(get(word(a, 0)), get(word(b, 0)))),
      set(high, sub64(get(word(a, 1)), get(word(b, 1)))),
      set(
        flag,
        add64(widen(below64(get(word(a, 1)), get(word(b, 1)))), widen(below64(get(high), get(borrow)))),
      ),
      set(high, sub64(get(high), get(borrow))),
      // Adding flag·p: low + flag carries into high, which gets flag·(2^64 - 28).
      set(low, add64(get(low), get(flag))),
      set(borrow, widen(below64(get(low), get(flag)))),
      set(word(out, 0), get(low)),
      set(word(out, 1), add64(sub64(get(high), mul64(get(flag), C28)), get(borrow))),
    );
  },
  multiplier: (routine) => new Multiplier128(routine),
  overflows: (a) => overflows128(word(a, 0), word(a, 1)),
};

/** Pointer arithmetic shared by the loops. */
export const advance = (local: number, bytes: number): Code => set(local, add32(get(local), i32(bytes)));
