import { FIELD128, FIELD64 } from './field.ts';
import { count, histogram, l1BoundSum, multihotCountVec, sum, sumVec } from './flp/circuit.ts';
import type { Integer } from './flp/circuit.ts';
import { Prio3 } from './prio3.ts';
import type { Prio3Options } from './prio3.ts';

/** Codepoints of the drafts' registry. */
export const ALGORITHM_ID: Readonly<
  Record<'count' | 'sum' | 'sumVec' | 'histogram' | 'multihotCountVec' | 'l1BoundSum', number>
> = {
  count: 0x0000_0001,
  sum: 0x0000_0002,
  sumVec: 0x0000_0003,
  histogram: 0x0000_0004,
  multihotCountVec: 0x0000_0005,
  l1BoundSum: 0x0000_0007,
};

/** The experimental codepoint of Prio3SumVecWithMultiproof in the published vectors. */
const SUM_VEC_MULTIPROOF = 0xffff_ffff;
/** The other multiproof variants have none: they take their circuit's in the range for private use. */
const PRIVATE_USE = 0xffff_0000;

export interface VectorInstanceOptions extends Prio3Options {
  /** Elements per gadget call. Part of the agreement: all parties must use the same. */
  readonly chunkLength?: number | undefined;
  /**
   * Three or more select the multiproof variant: the same circuit over Field64 with so many proofs,
   * with shorter reports for long vectors. One (the default) is a single proof over Field128.
   */
  readonly proofs?: number | undefined;
  /** Overrides the codepoint, for tasks that need one of their own from the private range. */
  readonly algorithmId?: number | undefined;
}

function shape(
  options: VectorInstanceOptions,
  id: number,
): {
  readonly algorithmId: number;
  readonly proofs: number;
  readonly field: typeof FIELD64;
} {
  const proofs = options.proofs ?? 1;
  if (proofs === 1) return { algorithmId: options.algorithmId ?? id, proofs, field: FIELD128 };
  const multiproof = id === ALGORITHM_ID.sumVec ? SUM_VEC_MULTIPROOF : PRIVATE_USE + id;
  return { algorithmId: options.algorithmId ?? multiproof, proofs, field: FIELD64 };
}

/** Counts how many measurements are true. */
export function prio3Count(options: Prio3Options = {}): Prio3<boolean | Integer, bigint> {
  return new Prio3({ ...options, algorithmId: ALGORITHM_ID.count, circuit: count() });
}

/** Sums integers of [0, max]. */
export function prio3Sum(options: Prio3Options & { readonly max: Integer }): Prio3<Integer, bigint> {
  return new Prio3({ ...options, algorithmId: ALGORITHM_ID.sum, circuit: sum(options) });
}

/** Sums vectors of `length` integers of [0, max], entry by entry. */
export function prio3SumVec(
  options: VectorInstanceOptions & { readonly length: number; readonly max: Integer },
): Prio3<readonly Integer[], readonly bigint[]> {
  const { field, ...rest } = shape(options, ALGORITHM_ID.sumVec);
  return new Prio3({ ...options, ...rest, circuit: sumVec({ ...options, field }) });
}

/** Counts measurements per bucket; a measurement is a bucket's index. */
export function prio3Histogram(
  options: VectorInstanceOptions & { readonly length: number },
): Prio3<number, readonly bigint[]> {
  const { field, ...rest } = shape(options, ALGORITHM_ID.histogram);
  return new Prio3({ ...options, ...rest, circuit: histogram({ ...options, field }) });
}

/** Counts, per position, the bit vectors that have it set; each has at most `maxWeight` set. */
export function prio3MultihotCountVec(
  options: VectorInstanceOptions & { readonly length: number; readonly maxWeight: number },
): Prio3<readonly (boolean | Integer)[], readonly bigint[]> {
  const { field, ...rest } = shape(options, ALGORITHM_ID.multihotCountVec);
  return new Prio3({ ...options, ...rest, circuit: multihotCountVec({ ...options, field }) });
}

/** Sums vectors of non-negative integers whose entries add up to at most `max` in each vector. */
export function prio3L1BoundSum(
  options: VectorInstanceOptions & { readonly length: number; readonly max: Integer },
): Prio3<readonly Integer[], readonly bigint[]> {
  const { field, ...rest } = shape(options, ALGORITHM_ID.l1BoundSum);
  return new Prio3({ ...options, ...rest, circuit: l1BoundSum({ ...options, field }) });
}
