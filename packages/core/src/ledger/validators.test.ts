import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex } from '../bytes/hex.ts';
import { group } from '../testing/chain.ts';
import { LIMITS } from './limits.ts';
import {
  bitmapOf,
  indicesOf,
  quorumOf,
  validatorSetFlaw,
  validatorsHash,
  type ValidatorSet,
} from './validators.ts';

const four = group(1, [10, 11, 12, 13]).set;

test('WIRE-2.1: a set is sorted, each key once, weights positive, none a third or more', () => {
  assert.equal(validatorSetFlaw(four), undefined);
  const withWeights = (...weights: readonly number[]): ValidatorSet =>
    four.slice(0, weights.length).map(({ key }, i) => ({ key, weight: weights[i] as number }));
  const flawed: ValidatorSet[] = [
    [],
    four.toReversed(),
    [...four, four[3] as (typeof four)[3]],
    withWeights(0, 1),
    withWeights(-1, 5),
    withWeights(1.5, 1),
    withWeights(LIMITS.weightMax + 1, 1),
    withWeights(1, 1, 1, 2),
    withWeights(2, 2, 2, 3),
    withWeights(Number.NaN, 1),
  ];
  for (const set of flawed) assert.notEqual(validatorSetFlaw(set), undefined);
  // Exactly a third is too much, just below is not.
  assert.notEqual(validatorSetFlaw(withWeights(2, 2, 2, 3)), undefined);
  assert.equal(validatorSetFlaw(withWeights(3, 3, 3, 4)), undefined);
  assert.equal(validatorSetFlaw(withWeights(5)), undefined);
});

test('WIRE-2.1: the hash of a set covers keys and weights', () => {
  const hashes = [four, four.slice(1), four.map((member) => ({ ...member, weight: member.weight + 1 }))];
  assert.equal(new Set(hashes.map((set) => toHex(validatorsHash(set)))).size, 3);
});

test('WIRE-2.4: two strong quorums overlap in more than the faulty weight, and the correct weight reaches one', () => {
  const weights = fc.array(fc.integer({ min: 1, max: LIMITS.weightMax }), { minLength: 1, maxLength: 100 });
  fc.assert(
    fc.property(weights, (list) => {
      const { total, faulty, strong, weak } = quorumOf(list);
      assert.ok(2 * strong - total >= faulty + 1);
      assert.ok(total - faulty >= strong);
      assert.ok(3 * faulty < total);
      assert.ok(3 * (faulty + 1) >= total);
      assert.equal(weak, faulty + 1);
    }),
    { numRuns: 1000 },
  );
  for (let n = 1; n <= 100; n += 1) {
    const { faulty, strong } = quorumOf(Array.from({ length: n }, () => 1));
    assert.ok(2 * strong - n >= faulty + 1 && n - faulty >= strong);
  }
});

test('WIRE-2.2: a bitmap has exactly the bytes it needs, the lowest bit first, and no bit beyond the set', () => {
  assert.equal(toHex(bitmapOf([0, 9], 10)), '0102');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 128 }), fc.array(fc.nat(127)), (n, some) => {
      const indices = [...new Set(some.filter((i) => i < n))].sort((a, b) => a - b);
      const bitmap = bitmapOf(indices, n);
      assert.deepEqual(indicesOf(bitmap, n), indices);
      assert.equal(indicesOf(new Uint8Array([...bitmap, 0]), n), undefined);
      assert.equal(indicesOf(bitmap.slice(1), n), undefined);
      for (let bit = n; bit < bitmap.length * 8; bit += 1) {
        assert.equal(
          indicesOf(bitmap.with(bit >> 3, (bitmap[bit >> 3] as number) | (1 << (bit & 7))), n),
          undefined,
        );
      }
    }),
  );
});
