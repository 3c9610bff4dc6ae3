/** An exact non-negative fraction in lowest terms. There is no floating point anywhere in this folder. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

/** numerator/denominator. Throws RangeError when it is negative or not a fraction. */
export function rational(numerator: bigint, denominator = 1n): Rational {
  if (numerator < 0n || denominator <= 0n)
    throw new RangeError('vdaf: a rational is a non-negative fraction');
  const divisor = greatestCommonDivisor(numerator, denominator);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

export const floor = (x: Rational): bigint => x.numerator / x.denominator;

export const ceilingDivision = (a: bigint, b: bigint): bigint => (a + b - 1n) / b;

/** The largest integer whose square is at most x, by Newton's method from above. */
export function squareRootFloor(x: bigint): bigint {
  if (x < 0n) throw new RangeError('vdaf: no square root of a negative integer');
  if (x < 2n) return x;
  let root = 1n << BigInt((x.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + x / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
