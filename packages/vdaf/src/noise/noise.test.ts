import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { prio3Histogram } from '../instances.ts';
import { XofTurboShake128 } from '../xof.ts';
import { NANO, epsilonOf, gaussianCost, gaussianVariance, laplaceScale, pureCost } from './accountant.ts';
import { PrivacyFilter } from './filter.ts';
import { rational, squareRootFloor } from './rational.ts';
import type { Rational } from './rational.ts';
import {
  bernoulliExp,
  discreteGaussian,
  discreteLaplace,
  gaussianNoise,
  laplaceNoise,
  uniformBelow,
} from './sampler.ts';
import type { RandomBytes } from './sampler.ts';

/** The seeded stream of libprio: an XOF with an empty tag and an empty binder. */
function seeded(first: number): RandomBytes {
  const empty = new Uint8Array();
  const xof = new XofTurboShake128(new Uint8Array(32).fill(first), empty, empty);
  // Blocks, because one call of the sponge per word is slow.
  let block: Uint8Array = empty;
  let at = 0;
  return (length) => {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 1) {
      if (at === block.length) [block, at] = [xof.next(4096), 0];
      out[i] = block[at] ?? 0;
      at += 1;
    }
    return out;
  };
}

/** Upper point of the χ² distribution that is exceeded with probability about 10^-6 (Wilson–Hilferty). */
function chiSquaredLimit(degrees: number): number {
  const z = 4.75;
  const a = 2 / (9 * degrees);
  return degrees * (1 - a + z * Math.sqrt(a)) ** 3;
}

/** Pearson's statistic of draws against a closed form on [-edge, edge] with both tails pooled. */
function chiSquared(
  draw: () => bigint,
  weight: (x: number) => number,
  draws: number,
  edge: number,
): { readonly statistic: number; readonly limit: number } {
  const span = 60 * edge;
  let total = 0;
  for (let x = -span; x <= span; x += 1) total += weight(x);
  const bins = 2 * edge + 3;
  const binOf = (x: number): number => Math.max(-edge - 1, Math.min(edge + 1, x)) + edge + 1;
  const expected = Array.from({ length: bins }, () => 0);
  for (let x = -span; x <= span; x += 1) expected[binOf(x)]! += (draws * weight(x)) / total;
  const seen = Array.from({ length: bins }, () => 0);
  for (let i = 0; i < draws; i += 1) seen[binOf(Number(draw()))]! += 1;
  const statistic = expected.reduce((sum, e, i) => sum + ((seen[i] ?? 0) - e) ** 2 / e, 0);
  return { statistic, limit: chiSquaredLimit(bins - 1) };
}

test('VDAF-6.1: the discrete Gaussian gives the published sequence for a zero seed and sigma five', () => {
  const random = seeded(0);
  const next = (): number[] => gaussianNoise(random, rational(25n), 10).map(Number);
  assert.deepEqual(next(), [10, 7, 2, 1, -1, -2, -1, 3, -3, -1]);
  assert.deepEqual(next(), [3, 6, 3, -7, -8, -1, 2, -4, -11, -4]);
});

test('VDAF-6.2: the discrete Gaussian follows its closed form, with whole, fractional and small variance', () => {
  const cases: readonly [Rational, number, number][] = [
    [rational(9n), 9, 8],
    [rational(7n, 3n), 7 / 3, 4],
    [rational(1n, 3n), 1 / 3, 1],
  ];
  for (const [variance, sigma2, edge] of cases) {
    const random = seeded(Number(variance.numerator));
    const draw = (): bigint => discreteGaussian(random, variance);
    const { statistic, limit } = chiSquared(draw, (x) => Math.exp((-x * x) / (2 * sigma2)), 4000, edge);
    assert.ok(statistic < limit, `${String(sigma2)}: ${String(statistic)} is not below ${String(limit)}`);
  }
});

test('VDAF-6.3: the discrete Laplace follows its closed form, with whole, fractional and small scale', () => {
  const cases: readonly [Rational, number, number][] = [
    [rational(3n), 3, 9],
    [rational(5n, 2n), 2.5, 7],
    [rational(2n, 5n), 0.4, 1],
  ];
  for (const [scale, b, edge] of cases) {
    const random = seeded(Number(scale.numerator) + 100);
    const draw = (): bigint => discreteLaplace(random, scale);
    const { statistic, limit } = chiSquared(draw, (x) => Math.exp(-Math.abs(x) / b), 6000, edge);
    assert.ok(statistic < limit, `${String(b)}: ${String(statistic)} is not below ${String(limit)}`);
  }
});

test('VDAF-6.4: a wrong closed form fails the same chi-squared test', () => {
  const random = seeded(9);
  const draw = (): bigint => discreteGaussian(random, rational(9n));
  const { statistic, limit } = chiSquared(draw, (x) => Math.exp((-x * x) / 14), 4000, 8);
  assert.ok(statistic > limit);
});

test('VDAF-6.5: uniform and exponential Bernoulli draws have their probabilities', () => {
  const random = seeded(3);
  const buckets = Array.from({ length: 7 }, () => 0);
  for (let i = 0; i < 7000; i += 1) buckets[Number(uniformBelow(random, 7n))]! += 1;
  const statistic = buckets.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
  assert.ok(statistic < chiSquaredLimit(6));
  for (const gamma of [rational(0n), rational(1n, 3n), rational(1n), rational(7n, 3n)]) {
    const p = Math.exp(-Number(gamma.numerator) / Number(gamma.denominator));
    let hits = 0;
    for (let i = 0; i < 4000; i += 1) hits += Number(bernoulliExp(random, gamma));
    assert.ok(Math.abs(hits - 4000 * p) <= 5 * Math.sqrt(4000 * p * (1 - p)));
  }
  for (const limit of [(1n << 32n) - 1n, 1n << 32n, (1n << 64n) + 1n, (1n << 100n) - 1n])
    for (let i = 0; i < 20; i += 1) assert.ok(uniformBelow(random, limit) < limit);
});

test('VDAF-6.6: a source that is stuck, or runs dry, is an error and not a loop', () => {
  assert.throws(() => uniformBelow(() => new Uint8Array(4).fill(0xff), 5n), /does not look random/);
  assert.throws(() => uniformBelow(() => new Uint8Array(3), 5n), RangeError);
  assert.throws(() => discreteGaussian((n) => new Uint8Array(n), rational(4n)), /does not look random/);
  const random = seeded(1);
  assert.throws(() => discreteGaussian(random, rational(0n)), RangeError);
  assert.throws(() => discreteLaplace(random, rational(1n << 300n)), RangeError);
  assert.throws(() => rational(-1n), RangeError);
  assert.throws(() => rational(1n, 0n), RangeError);
});

test('VDAF-6.7: the square root is exact on both sides of every square', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 1n << 200n }), (x) => {
      const root = squareRootFloor(x);
      assert.ok(root * root <= x && (root + 1n) * (root + 1n) > x);
      assert.equal(squareRootFloor(x * x), x);
    }),
  );
  assert.throws(() => squareRootFloor(-1n), RangeError);
});

test('VDAF-7.1: noise for a cost costs at most that, and conversions round against the spender', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 1n, max: 10n * NANO }),
      fc.bigInt({ min: 1n, max: 1n << 40n }),
      (rho, delta2) => {
        assert.equal(gaussianCost(gaussianVariance(rho, delta2), delta2), rho);
        const coarser = rational(
          gaussianVariance(rho, delta2).numerator + 1n,
          gaussianVariance(rho, delta2).denominator,
        );
        assert.ok(gaussianCost(coarser, delta2) <= rho);
      },
    ),
  );
  // sigma = 4 at sensitivity 1: rho = 1/32.
  assert.equal(gaussianCost(rational(16n), 1n), NANO / 32n);
  assert.deepEqual(laplaceScale(rational(1n, 2n), 3n), rational(6n));
  assert.equal(pureCost(rational(1n)), NANO / 2n);
  assert.equal(pureCost(rational(1n, 3n)), 55_555_556n);
  assert.throws(() => gaussianVariance(0n, 1n), RangeError);
  assert.throws(() => laplaceScale(rational(0n), 1n), RangeError);
});

test('VDAF-7.2: the epsilon shown for a rho is the closed form, rounded up', () => {
  for (const [rho, digits] of [
    [NANO, 9],
    [NANO / 10n, 6],
    [1n, 9],
    [123_456_789n, 12],
  ] as const) {
    const r = Number(rho) / 1e9;
    const exact = r + 2 * Math.sqrt(r * digits * Math.LN10);
    const shown = Number(epsilonOf(rho, digits)) / 1e9;
    assert.ok(shown >= exact - 1e-12 && shown < exact + 3e-9, `${String(shown)} for ${String(exact)}`);
  }
  assert.equal(epsilonOf(0n, 9), 0n);
  assert.throws(() => epsilonOf(1n, 0), RangeError);
  assert.throws(() => epsilonOf(-1n, 9), RangeError);
});

test('VDAF-7.3: a filter never lets adaptive charges pass the budget, and a refusal changes nothing', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 1000n }),
      fc.array(fc.bigInt({ min: 1n, max: 400n })),
      (budget, costs) => {
        const filter = new PrivacyFilter(budget);
        let spent = 0n;
        for (const cost of costs) {
          const before = filter.remaining;
          const charge = filter.charge(cost);
          if (cost <= before) spent += cost;
          assert.equal(charge.kind, cost <= before ? 'charged' : 'refused');
          assert.equal(filter.spent, spent);
          assert.equal(charge.remaining, budget - spent);
          assert.ok(filter.spent <= budget);
        }
        assert.equal(new PrivacyFilter(budget, filter.spent).remaining, filter.remaining);
      },
    ),
  );
  assert.throws(() => new PrivacyFilter(1n).charge(0n), RangeError);
  assert.throws(() => new PrivacyFilter(1n).charge(-1n), RangeError);
  assert.throws(() => new PrivacyFilter(1n, 2n), RangeError);
});

test('VDAF-7.4: noise of each aggregator stays in the sum of the shares, and may be negative', () => {
  const prio3 = prio3Histogram({ length: 6 });
  const random = seeded(5);
  const zero = prio3.aggregate([]);
  const noises = [gaussianNoise(random, rational(50n), 6), laplaceNoise(random, rational(4n), 6)];
  const shares = noises.map((noise) => prio3.addNoise(zero, noise));
  const outcome = prio3.unshardSigned(shares);
  assert.equal(outcome.kind, 'ok');
  const expected = Array.from({ length: 6 }, (_, i) => (noises[0]?.[i] ?? 0n) + (noises[1]?.[i] ?? 0n));
  assert.deepEqual(outcome.value, expected);
  assert.ok(expected.some((x) => x < 0n) && expected.some((x) => x > 0n));
  assert.throws(() => prio3.addNoise(zero, [1n]), RangeError);
});

test('VDAF-6.8: no file of the samplers or the accountant computes with floating point', () => {
  // The compiled files lie in the folder of this test; the tests themselves may use floats.
  const folder = new URL('.', import.meta.url);
  const files = readdirSync(folder).filter((name) => /^[a-z-]+\.js$/.test(name));
  assert.deepEqual(files.toSorted(), ['accountant.js', 'filter.js', 'rational.js', 'sampler.js']);
  for (const name of files) {
    const code = readFileSync(new URL(name, folder), 'utf8').replaceAll(
      /\/\*[\s\S]*?\*\/|\/\/.*|`[^`]*`|'[^']*'/g,
      '',
    );
    assert.doesNotMatch(code, /Math\.|parseFloat|\b\d+\.\d|\be[+-]?\d|toFixed|\*\* /, name);
  }
});
