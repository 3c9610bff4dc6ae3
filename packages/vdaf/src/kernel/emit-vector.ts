import {
  Routine,
  add32,
  add64,
  and32,
  below32,
  below64,
  get,
  i32,
  i64,
  isZero32,
  load64,
  mul32,
  or32,
  set,
  shr32,
  store64,
  sub32,
  whileLoop,
  widen,
} from './assembler.ts';
import type { Code } from './assembler.ts';
import { advance, loadWords, storeWords } from './emit-field.ts';
import type { FieldEmitter } from './emit-field.ts';

const words = (field: FieldEmitter, routine: Routine): number[] =>
  Array.from({ length: field.bytes / 8 }, () => routine.i64());

type Combine = (routine: Routine, field: FieldEmitter, out: number[], a: number[], b: number[]) => void;

/** (out, a, b, length): one element of each at a time. */
function pointwise(name: string, field: FieldEmitter, combine: Combine): Routine {
  const routine = new Routine(name, 4);
  const [out, a, b, length] = [0, 1, 2, 3];
  const [x, y] = [words(field, routine), words(field, routine)];
  const end = routine.i32();
  const body = routine.capture(() => {
    loadWords(routine, x, get(a));
    loadWords(routine, y, get(b));
    combine(routine, field, x, x, y);
    storeWords(routine, get(out), x);
    routine.emit(advance(out, field.bytes), advance(a, field.bytes), advance(b, field.bytes));
  });
  routine.emit(
    set(end, add32(get(a), mul32(get(length), i32(field.bytes)))),
    whileLoop(below32(get(a), get(end)), body),
  );
  return routine;
}

/** (out, a, factor, length) */
function scale(name: string, field: FieldEmitter): Routine {
  const routine = new Routine(name, 4);
  const [out, a, factor, length] = [0, 1, 2, 3];
  const [x, y] = [words(field, routine), words(field, routine)];
  const end = routine.i32();
  const multiplier = field.multiplier(routine);
  loadWords(routine, y, get(factor));
  const body = routine.capture(() => {
    loadWords(routine, x, get(a));
    multiplier.multiply(x, x, y);
    storeWords(routine, get(out), x);
    routine.emit(advance(out, field.bytes), advance(a, field.bytes));
  });
  routine.emit(
    set(end, add32(get(a), mul32(get(length), i32(field.bytes)))),
    whileLoop(below32(get(a), get(end)), body),
  );
  return routine;
}

/** (out, a, strideA, b, strideB, length): the sum is reduced once, at the end. */
function dot(name: string, field: FieldEmitter): Routine {
  const routine = new Routine(name, 6);
  const [out, a, strideA, b, strideB, length] = [0, 1, 2, 3, 4, 5];
  const [x, y] = [words(field, routine), words(field, routine)];
  const wide = Array.from({ length: field.wideWords }, () => routine.i64());
  const multiplier = field.multiplier(routine);
  const body = routine.capture(() => {
    loadWords(routine, x, get(a));
    loadWords(routine, y, get(b));
    multiplier.accumulate(wide, x, y);
    routine.emit(
      set(a, add32(get(a), get(strideA))),
      set(b, add32(get(b), get(strideB))),
      advance(length, -1),
    );
  });
  routine.emit(whileLoop(get(length), body));
  multiplier.reduce(x, wide);
  storeWords(routine, get(out), x);
  return routine;
}

/** (out, stride, bits, length, r, share) */
function rangeWires(name: string, field: FieldEmitter): Routine {
  const routine = new Routine(name, 6);
  const [out, stride, bits, length, r, share] = [0, 1, 2, 3, 4, 5];
  const [bit, power, factor, half, wire] = Array.from({ length: 5 }, () => words(field, routine)) as [
    number[],
    number[],
    number[],
    number[],
    number[],
  ];
  const multiplier = field.multiplier(routine);
  loadWords(routine, factor, get(r));
  loadWords(routine, power, get(r));
  loadWords(routine, half, get(share));
  const next: Code = set(out, add32(get(out), get(stride)));
  const body = routine.capture(() => {
    loadWords(routine, bit, get(bits));
    multiplier.multiply(wire, power, bit);
    storeWords(routine, get(out), wire);
    routine.emit(next);
    field.subtract(routine, wire, bit, half);
    storeWords(routine, get(out), wire);
    routine.emit(next);
    multiplier.multiply(power, power, factor);
    routine.emit(advance(bits, field.bytes), advance(length, -1));
  });
  routine.emit(whileLoop(get(length), body));
  return routine;
}

/**
 * (vector, length, roots): the butterflies of a radix-2 transform. Outwards the span halves from
 * length/2 to 1 and the twiddle multiplies the difference (Gentleman–Sande); inwards it doubles and
 * the twiddle multiplies the second input (Cooley–Tukey). Neither needs a bit reversal, because what
 * is done between them is pointwise.
 */
function transform(name: string, field: FieldEmitter, direction: 'out' | 'in'): Routine {
  const routine = new Routine(name, 3);
  const [vector, length, roots] = [0, 1, 2];
  const [x, y, twiddle, sum] = Array.from({ length: 4 }, () => words(field, routine)) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const [span, block, end, low, high, root, step, lowEnd] = Array.from({ length: 8 }, () =>
    routine.i32(),
  ) as [number, number, number, number, number, number, number, number];
  const multiplier = field.multiplier(routine);
  const emitButterfly = (multiplied: boolean): Code =>
    routine.capture(() => {
      loadWords(routine, x, get(low));
      loadWords(routine, y, get(high));
      if (multiplied) loadWords(routine, twiddle, get(root));
      if (multiplied && direction === 'in') multiplier.multiply(y, y, twiddle);
      field.add(routine, sum, x, y);
      field.subtract(routine, y, x, y);
      if (multiplied && direction === 'out') multiplier.multiply(y, y, twiddle);
      storeWords(routine, get(low), sum);
      storeWords(routine, get(high), y);
      routine.emit(
        advance(low, field.bytes),
        advance(high, field.bytes),
        set(root, add32(get(root), get(step))),
      );
    });
  // The first twiddle of a block is one: in short transforms that is a third of all of them.
  const [first, butterfly] = [emitButterfly(false), emitButterfly(true)];
  const blockLoop = whileLoop(below32(get(block), get(end)), [
    ...set(low, get(block)),
    ...set(lowEnd, add32(get(block), get(span))),
    ...set(high, get(lowEnd)),
    ...set(root, get(roots)),
    ...first,
    ...whileLoop(below32(get(low), get(lowEnd)), butterfly),
    ...set(block, get(high)),
  ]);
  // Bytes: span of a butterfly, and the step between twiddles, whose product is constant.
  const total = mul32(get(length), i32(field.bytes));
  routine.emit(set(end, add32(get(vector), total)));
  const halve = (local: number): Code => set(local, shr32(get(local), i32(1)));
  const double = (local: number): Code => set(local, add32(get(local), get(local)));
  if (direction === 'out') {
    routine.emit(
      set(span, shr32(total, i32(1))),
      set(step, i32(field.bytes)),
      whileLoop(below32(i32(field.bytes - 1), get(span)), [
        ...set(block, get(vector)),
        ...blockLoop,
        ...halve(span),
        ...double(step),
      ]),
    );
  } else {
    routine.emit(
      set(span, i32(field.bytes)),
      set(step, shr32(total, i32(1))),
      whileLoop(below32(i32(field.bytes - 1), get(step)), [
        ...set(block, get(vector)),
        ...blockLoop,
        ...double(span),
        ...halve(step),
      ]),
    );
  }
  return routine;
}

/**
 * (out, nodes, length, t, inverse, scratch): prefix products forwards, suffix products backwards.
 * `scratch` keeps the prefixes Π_{j<i} (t - x[j]).
 */
function lagrange(name: string, field: FieldEmitter): Routine {
  const routine = new Routine(name, 6);
  const [out, nodes, length, t, inverse, scratch] = [0, 1, 2, 3, 4, 5];
  const [point, node, product, value] = Array.from({ length: 4 }, () => words(field, routine)) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const multiplier = field.multiplier(routine);
  loadWords(routine, point, get(t));
  // The running product starts as one forwards, and as 1/length backwards.
  routine.emit(set(product[0] as number, i64(1n)));
  const count = routine.i32();
  const forwards = routine.capture(() => {
    storeWords(routine, get(scratch), product);
    loadWords(routine, node, get(nodes));
    field.subtract(routine, node, point, node);
    multiplier.multiply(product, product, node);
    routine.emit(advance(scratch, field.bytes), advance(nodes, field.bytes), advance(count, -1));
  });
  routine.emit(set(count, get(length)), whileLoop(get(count), forwards));
  loadWords(routine, product, get(inverse));
  routine.emit(set(out, add32(get(out), mul32(get(length), i32(field.bytes)))));
  const backwards = routine.capture(() => {
    routine.emit(
      advance(scratch, -field.bytes),
      advance(nodes, -field.bytes),
      advance(out, -field.bytes),
      advance(length, -1),
    );
    loadWords(routine, value, get(scratch));
    loadWords(routine, node, get(nodes));
    multiplier.multiply(value, value, product);
    multiplier.multiply(value, value, node);
    storeWords(routine, get(out), value);
    field.subtract(routine, node, point, node);
    multiplier.multiply(product, product, node);
  });
  routine.emit(whileLoop(get(length), backwards));
  return routine;
}

/**
 * (sums, vector, length) → 1 when an element overflows: sums of one word more than an element, not
 * reduced.
 */
function accumulate(name: string, field: FieldEmitter): Routine {
  const routine = new Routine(name, 3, { returnsValue: true });
  const [sums, vector, length] = [0, 1, 2];
  const x = words(field, routine);
  const [sum, carry] = [routine.i64(), routine.i64()];
  const overflow = routine.i32();
  const body = routine.capture(() => {
    loadWords(routine, x, get(vector));
    routine.emit(set(overflow, or32(get(overflow), field.overflows(x))));
    x.forEach((part, index) => {
      // A canonical high word is so far below 2^64 that the carry of the low word fits.
      if (index > 0) routine.emit(set(part, add64(get(part), get(carry))));
      routine.emit(
        set(sum, add64(load64(get(sums), 8 * index), get(part))),
        store64(get(sums), 8 * index, get(sum)),
        set(carry, widen(below64(get(sum), get(part)))),
      );
    });
    const top = field.bytes;
    routine.emit(
      store64(get(sums), top, add64(load64(get(sums), top), get(carry))),
      advance(sums, field.bytes + 8),
      advance(vector, field.bytes),
      advance(length, -1),
    );
  });
  routine.emit(whileLoop(get(length), body), get(overflow));
  return routine;
}

/** (out, sums, length): the canonical elements of accumulated sums. */
function reduce(name: string, field: FieldEmitter): Routine {
  const routine = new Routine(name, 3);
  const [out, sums, length] = [0, 1, 2];
  const x = words(field, routine);
  const wide = Array.from({ length: field.wideWords }, () => routine.i64());
  const used = wide.slice(0, x.length + 1);
  const multiplier = field.multiplier(routine);
  const body = routine.capture(() => {
    loadWords(routine, used, get(sums));
    for (const unused of wide.slice(used.length)) routine.emit(set(unused, i64(0n)));
    multiplier.reduce(x, wide);
    storeWords(routine, get(out), x);
    routine.emit(advance(out, field.bytes), advance(sums, field.bytes + 8), advance(length, -1));
  });
  routine.emit(whileLoop(get(length), body));
  return routine;
}

/** (vector, length) → index */
function firstOverflow(name: string, field: FieldEmitter): Routine {
  const routine = new Routine(name, 2, { returnsValue: true });
  const [vector, length] = [0, 1];
  const x = words(field, routine);
  const [index, stop] = [routine.i32(), routine.i32()];
  const body = routine.capture(() => {
    loadWords(routine, x, get(vector));
    routine.emit(set(stop, field.overflows(x)));
    routine.emit(
      advance(vector, field.bytes),
      // The index stays where it is when the element overflows, and the loop ends.
      set(index, add32(get(index), sub32(i32(1), get(stop)))),
    );
  });
  routine.emit(whileLoop(and32(below32(get(index), get(length)), isZero32(get(stop))), body), get(index));
  return routine;
}

/** The routines of one field, named with its suffix. */
export function vectorRoutines(suffix: string, field: FieldEmitter): Routine[] {
  return [
    pointwise(`add${suffix}`, field, (r, f, out, a, b) => f.add(r, out, a, b)),
    pointwise(`subtract${suffix}`, field, (r, f, out, a, b) => f.subtract(r, out, a, b)),
    pointwise(`multiply${suffix}`, field, (r, f, out, a, b) => f.multiplier(r).multiply(out, a, b)),
    scale(`scale${suffix}`, field),
    dot(`dot${suffix}`, field),
    rangeWires(`rangeWires${suffix}`, field),
    transform(`transformOut${suffix}`, field, 'out'),
    transform(`transformIn${suffix}`, field, 'in'),
    lagrange(`lagrange${suffix}`, field),
    firstOverflow(`firstOverflow${suffix}`, field),
    accumulate(`accumulate${suffix}`, field),
    reduce(`reduce${suffix}`, field),
  ];
}
