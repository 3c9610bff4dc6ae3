import { NOISE_PARAMETER_BITS_MAX, SAMPLER_DRAWS_MAX } from '../limits.ts';
import { floor, rational, squareRootFloor } from './rational.ts';
import type { Rational } from './rational.ts';

/**
 * Exact samplers of Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy"
 * (2020): Algorithms 1 to 3, on integers and fractions only, so that no rounding can leak.
 *
 * The time of a draw depends on what is drawn. Draw where nobody who sees the result can measure.
 */

/** Gives the next `length` bytes of a cryptographic generator with a secret seed. */
export type RandomBytes = (length: number) => Uint8Array;

function bound(draws: number): void {
  if (draws > SAMPLER_DRAWS_MAX) throw new Error('vdaf: the source of randomness does not look random');
}

/** Uniform in [0, limit), by rejection of whole words with the superfluous bits shifted out. */
export function uniformBelow(random: RandomBytes, limit: bigint): bigint {
  const bits = limit.toString(2).length;
  const words = (bits + 31) >> 5;
  for (let draws = 0; ; draws += 1) {
    bound(draws);
    const bytes = random(4 * words);
    if (bytes.length !== 4 * words) throw new RangeError('vdaf: the source of randomness ran dry');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let value = 0n;
    for (let i = words - 1; i >= 0; i -= 1) {
      const spare = i === words - 1 ? 32 * words - bits : 0;
      value = (value << 32n) | BigInt(view.getUint32(4 * i, true) >>> spare);
    }
    if (value < limit) return value;
  }
}

/** True with probability p ≤ 1. */
export function bernoulli(random: RandomBytes, p: Rational): boolean {
  return uniformBelow(random, p.denominator) < p.numerator;
}

const ONE: Rational = rational(1n);

/** True with probability exp(-γ), 0 ≤ γ ≤ 1: the parity of the first failure among γ/1, γ/2, … */
function bernoulliExpSmall(random: RandomBytes, gamma: Rational): boolean {
  for (let k = 1; ; k += 1) {
    bound(k);
    if (!bernoulli(random, rational(gamma.numerator, gamma.denominator * BigInt(k)))) return k % 2 === 1;
  }
}

/** True with probability exp(-γ), γ ≥ 0 (Algorithm 1). */
export function bernoulliExp(random: RandomBytes, gamma: Rational): boolean {
  const whole = floor(gamma);
  for (let i = 0n; i < whole; i += 1n) {
    bound(Number(i));
    if (!bernoulliExpSmall(random, ONE)) return false;
  }
  return bernoulliExpSmall(random, rational(gamma.numerator - whole * gamma.denominator, gamma.denominator));
}

/** Failures before a success of probability 1 - exp(-γ), γ > 0. */
function geometricExp(random: RandomBytes, gamma: Rational): bigint {
  const { numerator: s, denominator: t } = gamma;
  let u = uniformBelow(random, t);
  for (let draws = 0; !bernoulliExpSmall(random, rational(u, t)); draws += 1) {
    bound(draws);
    u = uniformBelow(random, t);
  }
  let v = 0n;
  while (bernoulliExpSmall(random, ONE)) {
    v += 1n;
    bound(Number(v));
  }
  return (u + t * v) / s;
}

function checkParameter(x: Rational, what: string): void {
  const largest = 1n << BigInt(NOISE_PARAMETER_BITS_MAX);
  if (x.numerator <= 0n || x.numerator >= largest || x.denominator >= largest)
    throw new RangeError(
      `vdaf: ${what} must be a positive fraction of at most ${String(NOISE_PARAMETER_BITS_MAX)} bits`,
    );
}

/**
 * Discrete Laplace of the given scale (Algorithm 2): P(x) ∝ exp(-|x|/scale). Added to a query of
 * L1 sensitivity Δ it gives ε-differential privacy with scale = Δ/ε.
 */
export function discreteLaplace(random: RandomBytes, scale: Rational): bigint {
  checkParameter(scale, 'the scale');
  const gamma = rational(scale.denominator, scale.numerator);
  for (let draws = 0; ; draws += 1) {
    bound(draws);
    const negative = bernoulli(random, rational(1n, 2n));
    const magnitude = geometricExp(random, gamma);
    // Zero would be counted twice otherwise.
    if (negative && magnitude === 0n) continue;
    return negative ? -magnitude : magnitude;
  }
}

/**
 * Discrete Gaussian of the given variance parameter σ² (Algorithm 3): P(x) ∝ exp(-x²/2σ²). Added to
 * a query of L2 sensitivity Δ it gives ρ-zCDP with σ² = Δ²/2ρ.
 */
export function discreteGaussian(random: RandomBytes, variance: Rational): bigint {
  checkParameter(variance, 'the variance');
  const { numerator: n, denominator: d } = variance;
  const t = squareRootFloor(floor(variance)) + 1n;
  const scale = rational(t);
  for (let draws = 0; ; draws += 1) {
    bound(draws);
    const y = discreteLaplace(random, scale);
    // (|y| - σ²/t)² / 2σ² = (|y|·d·t - n)² / (2·n·d·t²)
    const distance = (y < 0n ? -y : y) * d * t - n;
    if (bernoulliExp(random, rational(distance * distance, 2n * n * d * t * t))) return y;
  }
}

/** `length` independent draws, as `Prio3.addNoise` takes them. */
export function gaussianNoise(random: RandomBytes, variance: Rational, length: number): bigint[] {
  return Array.from({ length }, () => discreteGaussian(random, variance));
}

/** `length` independent draws, as `Prio3.addNoise` takes them. */
export function laplaceNoise(random: RandomBytes, scale: Rational, length: number): bigint[] {
  return Array.from({ length }, () => discreteLaplace(random, scale));
}
