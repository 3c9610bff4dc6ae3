import { ceilingDivision, rational, squareRootFloor } from './rational.ts';
import type { Rational } from './rational.ts';

/**
 * Privacy loss in zero-concentrated differential privacy (Bun and Steinke 2016), as integers of
 * 10^-9 ρ. Losses of releases on the same people add up. Every conversion rounds against the
 * spender: costs up, noise up.
 */
export type NanoRho = bigint;

/** Units of ρ, and of ε, in one. */
export const NANO = 1_000_000_000n;

function positive(value: bigint, what: string): void {
  if (value <= 0n) throw new RangeError(`vdaf: ${what} must be positive`);
}

/** Variance of the discrete Gaussian that spends `rho` on a query of squared L2 sensitivity Δ². */
export function gaussianVariance(rho: NanoRho, sensitivitySquared: bigint): Rational {
  positive(rho, 'rho');
  positive(sensitivitySquared, 'the sensitivity');
  return rational(sensitivitySquared * NANO, 2n * rho);
}

/** What a discrete Gaussian of this variance spends: Δ²/2σ², rounded up. */
export function gaussianCost(variance: Rational, sensitivitySquared: bigint): NanoRho {
  positive(variance.numerator, 'the variance');
  return ceilingDivision(sensitivitySquared * NANO * variance.denominator, 2n * variance.numerator);
}

/** Scale of the discrete Laplace that gives pure ε on a query of L1 sensitivity Δ. */
export function laplaceScale(epsilon: Rational, sensitivity: bigint): Rational {
  positive(epsilon.numerator, 'epsilon');
  positive(sensitivity, 'the sensitivity');
  return rational(sensitivity * epsilon.denominator, epsilon.numerator);
}

/** ε-differential privacy is ε²/2-zCDP; rounded up. */
export function pureCost(epsilon: Rational): NanoRho {
  const { numerator: n, denominator: d } = epsilon;
  return ceilingDivision(n * n * NANO, 2n * d * d);
}

/** ln 10 in units of 10^-9, rounded up. */
const LN_10 = 2_302_585_093n;

/**
 * The ε, in units of 10^-9 and rounded up, for which ρ-zCDP implies (ε, 10^-digits)-differential
 * privacy: ρ + 2·√(ρ·ln(1/δ)).
 */
export function epsilonOf(rho: NanoRho, deltaDigits: number): bigint {
  if (rho < 0n) throw new RangeError('vdaf: rho must not be negative');
  if (!Number.isInteger(deltaDigits) || deltaDigits < 1 || deltaDigits > 100)
    throw new RangeError('vdaf: delta is 10^-digits with digits from 1 to 100');
  // (rho·1e-9)·(digits·ln10) under the root, in units of 1e-18.
  const square = 4n * rho * BigInt(deltaDigits) * LN_10;
  const root = squareRootFloor(square);
  return rho + root + (root * root === square ? 0n : 1n);
}
