import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatCount, formatDuration, table } from './output.ts';

test('counts are grouped by thousands and lose no digit', () => {
  assert.equal(formatCount(285_954).replace(/\u202f/g, ' '), '285 954');
  fc.assert(
    fc.property(fc.nat(), (value) => {
      assert.equal(formatCount(value).replace(/\u202f/g, ''), String(value));
      assert.match(formatCount(value), /^\d{1,3}(\u202f\d{3})*$/);
    }),
  );
});

test('durations are told in the unit a person would use', () => {
  assert.deepEqual([0.4, 999, 1_500, 59_900, 61_000, 3_600_000].map(formatDuration), [
    '0 ms',
    '999 ms',
    '1.5 s',
    '59.9 s',
    '1 min 1 s',
    '60 min 0 s',
  ]);
});

test('a minute is never told as 60 seconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 10_000_000 }), (ms) => {
      assert.doesNotMatch(formatDuration(ms), /\b60(\.0)? s/);
    }),
  );
});

test('columns are as wide as their widest cell, and lines have no blanks at the end', () => {
  assert.deepEqual(
    table([
      ['a', 'bb', ''],
      ['cccc', 'd', 'e'],
    ]),
    ['a     bb', 'cccc  d   e'],
  );
  assert.deepEqual(table([]), []);
});
