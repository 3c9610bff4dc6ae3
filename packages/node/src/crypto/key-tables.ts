/**
 * Ed25519 signatures of keys that sign again and again (spec CRYPTO-3). To verify one is to work out [S]B − [h]A; most of
 * that are doublings, which are the same for all signatures of a key. So for a key that has signed often, multiples of A
 * are kept, and a signature costs additions alone, four signatures at a time.
 *
 * It may only say yes. A table is made for a key that libsodium has found good signatures of, so that A is known to be canonical and
 * not of small order; what does not verify here, or is out of the ordinary, libsodium decides.
 */
import { idText } from '@itc/core/bytes/id-text.js';
import {
  ACCUMULATOR,
  ELEMENT_BYTES,
  FREE,
  LANES,
  LIMB_BITS,
  LIMBS,
  newCurve,
  ONE,
  STEP_BYTES,
  STEPS,
  TERM_BYTES,
  type Curve,
} from './curve-code.ts';
import {
  BASE_POINT,
  digitsInto,
  D,
  HALF,
  hashWords,
  mayBeOfSmallOrder,
  isEncodingOf,
  pointOf,
  times,
  words,
  type Point,
} from './curve-numbers.ts';

/** Windows of signed digits: of a key's tables two share a place, five doublings apart, which halves the tables. */
const KEY = { bits: 5, windows: 26, multiples: 16 } as const;
const BASE = { bits: 7, windows: 37, multiples: 64 } as const;
const POINT_BYTES = 4 * ELEMENT_BYTES;
const KEY_BYTES = KEY.windows * KEY.multiples * TERM_BYTES;
/** Fours of points between two inversions. */
const FOURS = 64;
/** Signatures verified at a time. */
const BATCH = 128;

/** Places in memory behind the module's own: fours of points, elements, the multiples of B, then keys. */
const POINTS = FREE;
const PRODUCTS: number = POINTS + FOURS * POINT_BYTES;
const element = (i: number): number => PRODUCTS + (FOURS + i) * ELEMENT_BYTES;
const [FACTOR_D, FACTOR_HALF, INVERSE, SQUARES, X, Y, SUM, DIFFERENCE] = [0, 1, 2, 3, 4, 5, 6, 7].map(
  element,
) as [...[number, number, number, number], ...[number, number, number, number]];
const IDENTITY: number = Math.ceil(element(8) / TERM_BYTES) * TERM_BYTES;
const BASES: number = IDENTITY + TERM_BYTES;
const BASE_TABLE: number = BASES + BASE.windows * TERM_BYTES;
const KEY_TABLES: number = BASE_TABLE + BASE.windows * BASE.multiples * TERM_BYTES;

/** Good signatures before a key has a table: making it costs as much as some twenty. */
const USES_MIN = 32;
const COUNTED_MAX = 4_096;
/** 14 MB. */
const TABLES_MAX = 256;

export interface Signed {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

export interface KeyTablesOptions {
  readonly usesMin?: number;
  readonly tablesMax?: number;
}

interface Shape {
  readonly windows: number;
  readonly multiples: number;
}

export class KeyTables {
  readonly #curve: Curve;
  /** Of the memory, as limbs and as words. */
  #limbs: Int16Array;
  #words: Int32Array;
  readonly #usesMin: number;
  readonly #tablesMax: number;
  /** Address of each key's table, the one used longest ago first. */
  readonly #tables = new Map<string, number>();
  /** Good signatures of keys without a table. */
  #counts = new Map<string, number>();
  readonly #keyDigits = new Int8Array(2 * KEY.windows);
  readonly #baseDigits = new Int8Array(BASE.windows);

  private constructor(curve: Curve, options: KeyTablesOptions) {
    this.#curve = curve;
    this.#limbs = new Int16Array(curve.memory.buffer);
    this.#words = new Int32Array(curve.memory.buffer);
    this.#usesMin = options.usesMin ?? USES_MIN;
    this.#tablesMax = options.tablesMax ?? TABLES_MAX;
    this.#put(ONE, 1n);
    this.#put(FACTOR_D, D);
    this.#put(FACTOR_HALF, HALF);
    this.#setIdentity();
    this.#copyPoint(POINTS, ACCUMULATOR);
    this.#normalise(1, (_, lane) => (lane === 0 ? IDENTITY : undefined));
    this.#makeTable(BASE_POINT, BASE, BASE.bits, BASE_TABLE);
  }

  /** Undefined where the engine has no vectors. */
  static create(options: KeyTablesOptions = {}): KeyTables | undefined {
    const curve = newCurve(KEY_TABLES);
    return curve && new KeyTables(curve, options);
  }

  /** Keys with a table. */
  get size(): number {
    return this.#tables.size;
  }

  has(key: Uint8Array): boolean {
    return this.#tables.has(idText(key));
  }

  /** Takes note of a signature that libsodium found good. */
  count(key: Uint8Array): void {
    const name = idText(key);
    if (this.#tables.has(name)) return;
    const count = (this.#counts.get(name) ?? 0) + 1;
    if (count < this.#usesMin) {
      // All begin anew: whoever brings many keys delays the tables of others, and no more.
      if (this.#counts.size >= COUNTED_MAX) this.#counts = new Map();
      this.#counts.set(name, count);
      return;
    }
    this.#counts.delete(name);
    const point = pointOf(key);
    if (point !== undefined) this.#makeTable(point, KEY, 2 * KEY.bits, this.#room(name));
  }

  /** Whether each holds; of keys without a table none does. False means: ask libsodium. */
  verify(items: readonly Signed[]): boolean[] {
    const verdicts: boolean[] = [];
    for (let start = 0; start < items.length; start += BATCH)
      verdicts.push(...this.#verifyBatch(items.slice(start, start + BATCH)));
    return verdicts;
  }

  #verifyBatch(items: readonly Signed[]): boolean[] {
    const isOrdinary: boolean[] = [];
    for (let start = 0; start < items.length; start += LANES) {
      this.#computeFour(items.slice(start, start + LANES), isOrdinary);
      this.#copyPoint(POINTS + (start / LANES) * POINT_BYTES, ACCUMULATOR);
    }
    const fours = Math.ceil(items.length / LANES);
    this.#invertAll(fours);
    const verdicts: boolean[] = [];
    for (let i = 0; i < fours; i += 1) {
      this.#toAffine(POINTS + i * POINT_BYTES);
      for (let lane = 0; lane < LANES && verdicts.length < items.length; lane += 1) {
        const { signature } = items[verdicts.length] as Signed;
        verdicts.push(isOrdinary[verdicts.length] === true && this.#isPoint(lane, signature));
      }
    }
    return verdicts;
  }

  /** [S]B − [h]A of four. */
  #computeFour(items: readonly Signed[], isOrdinary: boolean[]): void {
    for (let lane = 0; lane < LANES; lane += 1) {
      const item = items[lane];
      const table = item && this.#tableOf(item);
      if (item !== undefined) isOrdinary.push(table !== undefined);
      this.#keyDigits.fill(0);
      this.#baseDigits.fill(0);
      if (item !== undefined && table !== undefined) {
        words(item.signature, 32);
        digitsInto(this.#baseDigits, BASE.bits);
        hashWords(item);
        digitsInto(this.#keyDigits, KEY.bits);
      }
      this.#laySteps(lane, table ?? IDENTITY);
    }
    this.#setIdentity();
    this.#curve.accumulate(KEY.windows);
    this.#curve.double(KEY.bits);
    this.#words.copyWithin(
      STEPS >> 2,
      (STEPS + KEY.windows * STEP_BYTES) >> 2,
      (STEPS + ALL_STEPS * STEP_BYTES) >> 2,
    );
    this.#curve.accumulate(ALL_STEPS - KEY.windows);
  }

  /** Undefined where libsodium decides: without a table, or with an S that is not below 2^252, as good as all are. */
  #tableOf({ key, signature }: Signed): number | undefined {
    const name = idText(key);
    const table = this.#tables.get(name);
    if (table === undefined || signature.length !== 64 || (signature[63] as number) >= 0x10) return undefined;
    this.#tables.delete(name);
    this.#tables.set(name, table);
    return table;
  }

  /** First the upper of two windows in a place, then, behind the doublings, the lower ones and the multiples of B. */
  #laySteps(lane: number, table: number): void {
    let at = (STEPS >> 2) + lane;
    const digits = this.#keyDigits;
    for (let upper = 1; upper >= 0; upper -= 1)
      for (let window = 0; window < KEY.windows; window += 1, at += LANES)
        this.#words[at] = termOf(
          table + window * KEY.multiples * TERM_BYTES,
          -(digits[2 * window + upper] as number),
        );
    for (let window = 0; window < BASE.windows; window += 1, at += LANES)
      this.#words[at] = termOf(
        BASE_TABLE + window * BASE.multiples * TERM_BYTES,
        this.#baseDigits[window] as number,
      );
  }

  #setIdentity(): void {
    for (const [i, isOne] of [false, true, true, false].entries()) {
      const to = ACCUMULATOR + i * ELEMENT_BYTES;
      if (isOne) this.#copy(to, ONE);
      else this.#words.fill(0, to >> 2, (to + ELEMENT_BYTES) >> 2);
    }
  }

  /** Replaces Z of the first fours of points by 1/Z: one inversion for all, and three products for each. */
  #invertAll(fours: number): void {
    const { multiply } = this.#curve;
    const zOf = (i: number): number => POINTS + i * POINT_BYTES + 2 * ELEMENT_BYTES;
    const productTo = (i: number): number => (i < 0 ? ONE : PRODUCTS + i * ELEMENT_BYTES);
    for (let i = 0; i < fours; i += 1) multiply(productTo(i), productTo(i - 1), zOf(i));
    this.#invert(productTo(fours - 1));
    for (let i = fours - 1; i >= 0; i -= 1) {
      multiply(X, INVERSE, productTo(i - 1));
      multiply(INVERSE, INVERSE, zOf(i));
      this.#copy(zOf(i), X);
    }
  }

  /** Into `INVERSE`, by Fermat: to the power of p − 2, whose bits are ones, but for two. */
  #invert(of: number): void {
    const { multiply } = this.#curve;
    this.#copy(SQUARES, of);
    this.#copy(INVERSE, ONE);
    for (let bit = 0; bit < 255; bit += 1) {
      if (bit !== 2 && bit !== 4) multiply(INVERSE, INVERSE, SQUARES);
      multiply(SQUARES, SQUARES, SQUARES);
    }
  }

  /** Into `X` and `Y`, where its Z is inverted. */
  #toAffine(point: number): void {
    const { multiply } = this.#curve;
    multiply(X, point, point + 2 * ELEMENT_BYTES);
    multiply(Y, point + ELEMENT_BYTES, point + 2 * ELEMENT_BYTES);
  }

  /** Whether the point of this lane, encoded, is R. */
  #isPoint(lane: number, signature: Uint8Array): boolean {
    words(signature, 0);
    return !mayBeOfSmallOrder() && isEncodingOf(this.#limbs, (X >> 1) + 2 * lane, (Y >> 1) + 2 * lane);
  }

  #copy(to: number, from: number): void {
    this.#words.copyWithin(to >> 2, from >> 2, (from + ELEMENT_BYTES) >> 2);
  }

  #copyPoint(to: number, from: number): void {
    this.#words.copyWithin(to >> 2, from >> 2, (from + POINT_BYTES) >> 2);
  }

  /** Where the table of a key goes: room of its own, or that of the key that was not heard of for longest. */
  #room(name: string): number {
    let at = KEY_TABLES + this.#tables.size * KEY_BYTES;
    if (this.#tables.size < this.#tablesMax) {
      const { memory } = this.#curve;
      const missing = at + KEY_BYTES - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / 65_536));
      this.#limbs = new Int16Array(memory.buffer);
      this.#words = new Int32Array(memory.buffer);
    } else {
      for (const [oldest, address] of this.#tables) {
        this.#tables.delete(oldest);
        at = address;
        break;
      }
    }
    this.#tables.set(name, at);
    return at;
  }

  /** Multiples of the point, of the point doubled `apart` times, and so on. */
  #makeTable({ x, y }: Point, { windows, multiples }: Shape, apart: number, to: number): void {
    const { accumulate, double } = this.#curve;
    for (const [i, value] of [x, y, 1n, times(x, y)].entries())
      this.#put(ACCUMULATOR + i * ELEMENT_BYTES, value);
    for (let window = 0; window < windows; window += 1) {
      this.#copyPoint(POINTS + window * POINT_BYTES, ACCUMULATOR);
      double(apart);
    }
    this.#normalise(windows, (window, lane) => (lane === 0 ? BASES + window * TERM_BYTES : undefined));
    for (let first = 0; first < windows; first += LANES) {
      this.#setIdentity();
      for (let lane = 0; lane < LANES; lane += 1)
        this.#words[(STEPS >> 2) + lane] = BASES + Math.min(first + lane, windows - 1) * TERM_BYTES;
      for (let multiple = 0; multiple < multiples; multiple += 1) {
        accumulate(1);
        this.#copyPoint(POINTS + multiple * POINT_BYTES, ACCUMULATOR);
      }
      this.#normalise(multiples, (multiple, lane) =>
        first + lane < windows ? to + ((first + lane) * multiples + multiple) * TERM_BYTES : undefined,
      );
    }
  }

  /** Writes the first fours of points as terms where they belong. */
  #normalise(fours: number, placeOf: (four: number, lane: number) => number | undefined): void {
    const { multiply, sums } = this.#curve;
    this.#invertAll(fours);
    for (let four = 0; four < fours; four += 1) {
      this.#toAffine(POINTS + four * POINT_BYTES);
      sums(SUM, DIFFERENCE, Y, X);
      multiply(SUM, SUM, FACTOR_HALF);
      multiply(DIFFERENCE, DIFFERENCE, FACTOR_HALF);
      multiply(X, X, Y);
      multiply(X, X, FACTOR_D);
      for (let lane = 0; lane < LANES; lane += 1) {
        const place = placeOf(four, lane);
        if (place === undefined) continue;
        for (const [i, from] of [SUM, DIFFERENCE, X].entries())
          for (let pack = 0; pack < LIMBS / 2; pack += 1)
            this.#words[(place >> 2) + i * (LIMBS / 2) + pack] = this.#words[
              (from >> 2) + LANES * pack + lane
            ] as number;
      }
    }
  }

  /** The same in all four lanes. */
  #put(at: number, value: bigint): void {
    for (let limb = 0; limb < LIMBS; limb += 1) {
      const bits = Number((value >> BigInt(LIMB_BITS * limb)) & BigInt((1 << LIMB_BITS) - 1));
      for (let lane = 0; lane < LANES; lane += 1)
        this.#limbs[(at >> 1) + 2 * LANES * (limb >> 1) + 2 * lane + (limb & 1)] = bits;
    }
    // A product by one is within its bounds.
    if (at !== ONE) this.#curve.multiply(at, at, ONE);
  }
}

const ALL_STEPS: number = 2 * KEY.windows + BASE.windows;

/** Of the multiples that begin at `first`; the lowest bit says that the negative is meant. */
function termOf(first: number, digit: number): number {
  if (digit === 0) return IDENTITY;
  return digit < 0 ? first + (-digit - 1) * TERM_BYTES + 1 : first + (digit - 1) * TERM_BYTES;
}
