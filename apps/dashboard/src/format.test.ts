import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatAgo,
  formatAmount,
  formatBytes,
  formatCompact,
  formatDuration,
  formatQuantity,
  formatTick,
  formatValue,
  formatWhen,
  levelPercent,
  percentLevel,
  quantile,
  quantityLabel,
  shorten,
} from './format.ts';
import { sparkPath } from './spark-path.ts';

test('durations keep two parts at most, from milliseconds to days', () => {
  assert.equal(formatDuration(38.4), '38 ms');
  assert.equal(formatDuration(1_240), '1.24 s');
  assert.equal(formatDuration(12_340), '12.3 s');
  assert.equal(formatDuration(123_000), '2 min 3 s');
  assert.equal(formatDuration(3 * 3_600_000 + 12 * 60_000), '3 h 12 min');
  assert.equal(formatDuration(4 * 86_400_000 + 2 * 3_600_000), '4 d 2 h');
  assert.equal(formatDuration(-5), '0 ms');
});

test('relative times: now, past, future', () => {
  assert.equal(formatAgo(10_000, 10_900), 'just now');
  assert.equal(formatAgo(10_000, 22_000), '12 s ago');
  assert.equal(formatAgo(0, 125_000), '2 min ago');
  assert.equal(formatAgo(90_000, 30_000), 'in 1 min');
});

test('large numbers and sizes', () => {
  assert.equal(formatCompact(9_999), '9,999');
  assert.equal(formatCompact(12_345), '12.3 k');
  assert.equal(formatCompact(999_960), '1.0 M');
  assert.equal(formatBytes(412), '412 B');
  assert.equal(formatBytes(2_150), '2.1 kB');
});

test('amounts are exact beyond what a double holds', () => {
  assert.equal(formatAmount('99987654321000000001'), '99,987,654,321.000000001 ITC');
  assert.equal(formatAmount('184000'), '0.000184 ITC');
  assert.equal(formatAmount('0'), '0 ITC');
  assert.equal(formatAmount('much'), 'much');
});

test('values carry the unit people know', () => {
  assert.equal(formatValue(21.456, 'Cel'), '21.46 °C');
  assert.equal(formatValue(46, '%RH'), '46 % RH');
  assert.equal(formatValue(true), 'yes');
  assert.equal(quantityLabel('urn:dev:ow:10e2073a:co2'), 'CO₂');
  assert.equal(quantityLabel('urn:dev:mac:0024befffe804ff1/air-pressure'), 'Air pressure');
});

test('a lamp that is barely lit is not shown at 0 %, and every percentage survives the way to a level and back', () => {
  assert.equal(levelPercent(1), 1);
  assert.equal(levelPercent(0), 0);
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 100 }),
      (percent) => levelPercent(percentLevel(percent)) === percent,
    ),
  );
});

test('ids are shortened, short names are not', () => {
  assert.equal(shorten('ab'.repeat(32)), 'abababab…abab');
  assert.equal(shorten('lamp-1'), 'lamp-1');
});

test('a quantile is one of the values, and the median splits them', () => {
  assert.equal(quantile([], 0.5), undefined);
  assert.equal(quantile([5, 1, 9], 0.5), 5);
  fc.assert(
    fc.property(
      fc.array(fc.integer(), { minLength: 1, maxLength: 50 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, p) => {
        const found = quantile(values, p);
        return (
          found !== undefined &&
          values.includes(found) &&
          values.filter((v) => v <= found).length >= p * values.length
        );
      },
    ),
  );
});

test('a lamp’s level reads as percent and its truth value as on or off; others as they are', () => {
  assert.equal(formatQuantity({ name: 'level', value: 254 }), '100 %');
  assert.equal(formatQuantity({ name: 'lamp:level', value: 127 }), '50 %');
  assert.equal(formatQuantity({ name: 'level', unit: 'm', value: 2 }), '2 m');
  assert.equal(formatQuantity({ name: 'on', value: false }), 'off');
  assert.equal(formatQuantity({ name: 'presence', value: true }), 'yes');
  assert.equal(formatQuantity({ name: 'temperature', unit: 'Cel', value: 21.5 }), '21.5 °C');
});

test('moments of other days name the day, on tables and on axes', () => {
  const now = new Date(2026, 10, 22, 14, 3, 22).getTime();
  assert.equal(formatWhen(now - 60_000, now), '14:02:22');
  assert.equal(formatWhen(new Date(2017, 2, 9, 6, 5, 4).getTime(), now), '2017-03-09 06:05:04');
  const tick = new Date(2017, 2, 9, 6, 5, 4).getTime();
  const ticks = [60_000, 6 * 3_600_000, 86_400_000, 90 * 86_400_000].map((span) => formatTick(tick, span));
  assert.deepEqual(ticks, ['06:05:04', '06:05', '03-09 06:05', '2017-03-09']);
});

test('a sparkline stays inside its box, and noise is not blown up', () => {
  assert.equal(sparkPath([1], 100, 20), undefined);
  const ys = (values: number[]): number[] =>
    [...(sparkPath(values, 100, 20)?.line.matchAll(/[ML]\S+ (\S+?)(?=[ML]|$)/g) ?? [])].map((match) =>
      Number(match[1]),
    );
  const calm = ys([100, 100.1, 99.9, 100]);
  assert.ok(Math.max(...calm) - Math.min(...calm) < 2, `expected a calm line, got ${calm.join(' ')}`);
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 2, maxLength: 40 }),
      (values) => ys(values).every((y) => y >= 0 && y <= 20),
    ),
  );
});
