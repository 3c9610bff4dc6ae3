import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  chunkLengthFor,
  count,
  histogram,
  l1BoundSum,
  multihotCountVec,
  sum,
  sumVec,
} from './flp/circuit.ts';
import type { Circuit } from './flp/circuit.ts';
import {
  ALGORITHM_ID,
  prio3Count,
  prio3Histogram,
  prio3L1BoundSum,
  prio3MultihotCountVec,
  prio3Sum,
  prio3SumVec,
} from './instances.ts';
import { arenaOf } from './machine.ts';
import { accepted } from './outcome.ts';
import { Prio3 } from './prio3.ts';
import {
  CONTEXT,
  VERIFY_KEY,
  flip,
  randomFrom,
  refusal,
  runAll,
  shardOne,
  shareOf,
  value,
  verify,
} from './testing/run.ts';
import { higherDegree } from './testing/vectors.ts';

const kernelChoice = fc.constantFrom('webassembly' as const, 'webassembly' as const, 'plain' as const);
const seeds = fc.integer({ min: 0, max: 2 ** 31 });
const shareCount = fc.integer({ min: 2, max: 4 });
const total = (columns: readonly (readonly (number | bigint | boolean)[])[], length: number): bigint[] =>
  Array.from({ length }, (_, i) => columns.reduce((s, row) => s + BigInt(row[i] ?? 0), 0n));

test('VDAF-3.1: counts and sums of any bound come back exactly, for any number of aggregators', () => {
  fc.assert(
    fc.property(
      kernelChoice,
      shareCount,
      seeds,
      fc.array(fc.boolean(), { maxLength: 5 }),
      (kernel, shares, seed, bits) => {
        const result = runAll(prio3Count({ kernel, shares }), bits, randomFrom(seed));
        assert.equal(result, BigInt(bits.filter(Boolean).length));
      },
    ),
    { numRuns: 25 },
  );
  const bounded = fc
    .bigInt({ min: 1n, max: (1n << 60n) - 1n })
    .chain((max) =>
      fc.tuple(fc.constant(max), fc.array(fc.bigInt({ min: 0n, max }), { minLength: 1, maxLength: 4 })),
    );
  const small = fc
    .integer({ min: 1, max: 40 })
    .chain((max) =>
      fc.tuple(fc.constant(max), fc.array(fc.integer({ min: 0, max }), { minLength: 1, maxLength: 4 })),
    );
  fc.assert(
    fc.property(
      kernelChoice,
      shareCount,
      seeds,
      fc.oneof(bounded, small),
      (kernel, shares, seed, [max, values]) => {
        const result = runAll(prio3Sum({ kernel, shares, max }), values, randomFrom(seed));
        const p = 2n ** 64n - 2n ** 32n + 1n;
        assert.equal(result, values.reduce<bigint>((s, v) => s + BigInt(v), 0n) % p);
      },
    ),
    { numRuns: 40 },
  );
});

test('VDAF-3.2: vector sums, histograms, multihot counts and bounded sums come back exactly, in one proof or several', () => {
  const cases = fc.record({
    kernel: kernelChoice,
    shares: fc.integer({ min: 2, max: 3 }),
    proofs: fc.constantFrom(1, 3),
    length: fc.integer({ min: 1, max: 9 }),
    max: fc.integer({ min: 1, max: 300 }),
    chunkLength: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
    seed: seeds,
    values: fc.array(fc.array(fc.nat(), { minLength: 9, maxLength: 9 }), { minLength: 1, maxLength: 3 }),
  });
  fc.assert(
    fc.property(cases, ({ seed, values, max, length, ...rest }) => {
      const options = { ...rest, length };
      const rows = values.map((row) => row.slice(0, length));
      const random = randomFrom(seed);
      const within = rows.map((row) => row.map((x) => x % (max + 1)));
      assert.deepEqual(runAll(prio3SumVec({ ...options, max }), within, random), total(within, length));
      const buckets = rows.map((row) => (row[0] ?? 0) % length);
      const hot = buckets.map((b) => Array.from({ length }, (_, i) => i === b));
      assert.deepEqual(runAll(prio3Histogram(options), buckets, random), total(hot, length));
      const maxWeight = 1 + (max % length);
      const sets = rows.map((row) => row.map((x, i) => i < maxWeight && x % 2 === 1));
      assert.deepEqual(
        runAll(prio3MultihotCountVec({ ...options, maxWeight }), sets, random),
        total(sets, length),
      );
      let left = max;
      const bounded = within.map((row) => {
        left = max;
        return row.map((x) => {
          const take = Math.min(x, left);
          left -= take;
          return take;
        });
      });
      assert.deepEqual(runAll(prio3L1BoundSum({ ...options, max }), bounded, random), total(bounded, length));
    }),
    { numRuns: 25 },
  );
});

test('VDAF-3.3: both kernels make the same bytes from the same randomness', () => {
  fc.assert(
    fc.property(
      seeds,
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 9 }),
      (seed, length, chunkLength) => {
        const [a, b] = (['webassembly', 'plain'] as const).map((kernel) => {
          const prio3 = prio3Histogram({ kernel, length, chunkLength });
          const sharded = shardOne(prio3, seed % length, randomFrom(seed));
          const verifiers = [0, 1].map((aggregatorId) =>
            prio3.verifyInit(
              { verifyKey: VERIFY_KEY, context: CONTEXT, aggregatorId },
              shareOf(sharded, aggregatorId),
            ),
          );
          return { sharded, verifiers };
        });
        assert.deepEqual(a, b);
      },
    ),
    { numRuns: 15 },
  );
});

test('VDAF-3.4: a gadget of degree three works where several of its values must be interpolated', () => {
  for (const kernel of ['webassembly', 'plain'] as const) {
    for (const calls of [1, 2, 3, 6]) {
      const prio3 = new Prio3({ kernel, algorithmId: 0xffff_ff00, circuit: higherDegree(calls) });
      const measurement = Array.from({ length: calls }, (_, i) => i % 3);
      const random = randomFrom(calls);
      assert.deepEqual(
        runAll(prio3, [measurement, measurement], random),
        measurement.map((x) => BigInt(2 * x)),
      );
      const bad = shardOne(prio3, measurement.with(-1, 3), random);
      assert.equal(refusal(verify(prio3, bad)), 'proof-invalid');
    }
  }
});

test('VDAF-3.5: aggregation is linear: parts merge to the whole, and zero is neutral', () => {
  const prio3 = prio3SumVec({ length: 4, max: 1000 });
  const random = randomFrom(35);
  const measurements = [
    [1, 2, 3, 4],
    [1000, 0, 7, 9],
    [5, 5, 5, 5],
    [0, 999, 1, 0],
  ];
  const outputs = measurements.map(
    (m) => value(verify(prio3, shardOne(prio3, m, random)))[0] ?? new Uint8Array(),
  );
  const whole = prio3.aggregate(outputs);
  const [left, right] = [prio3.aggregate(outputs.slice(0, 1)), prio3.aggregate(outputs.slice(1))];
  assert.deepEqual(prio3.aggregate([right], left), whole);
  assert.deepEqual(prio3.aggregate([left, right]), whole);
  assert.deepEqual(prio3.aggregate(outputs.toReversed()), whole);
  assert.deepEqual(prio3.aggregate([], whole), whole);
});

/** The same VDAF with a client that encodes whatever it likes. */
function lying<M, R>(honest: Circuit<M, R>, encoded: readonly number[]): Circuit<M, R> {
  return { ...honest, encode: () => Uint8Array.from(encoded) };
}

test('VDAF-4.1: no encoding of an invalid measurement passes (attack: invalid report)', () => {
  const sized = { length: 4, chunkLength: 2 };
  const lies: readonly [string, Circuit<never, unknown>][] = [
    ['count of two', lying(count(), [2])],
    ['a digit two in a sum', lying(sum({ max: 7 }), [2, 0, 0])],
    ['two buckets', lying(histogram(sized), [1, 0, 1, 0])],
    ['no bucket', lying(histogram(sized), [0, 0, 0, 0])],
    ['a bucket of weight two with a digit two', lying(histogram(sized), [2, 0, 0, 0])],
    [
      'an understated multihot weight',
      lying(multihotCountVec({ ...sized, maxWeight: 3 }), [1, 1, 1, 0, 1, 0]),
    ],
    ['a multihot digit two', lying(multihotCountVec({ ...sized, maxWeight: 3 }), [2, 0, 0, 0, 1, 1])],
    ['a vector digit 255', lying(sumVec({ ...sized, max: 3 }), [255, 0, 0, 0, 0, 0, 0, 0])],
    ['an understated norm', lying(l1BoundSum({ length: 2, max: 3 }), [1, 1, 1, 0, 1, 1])],
    ['a norm above the bound', lying(l1BoundSum({ length: 2, max: 3 }), [1, 1, 1, 1, 2, 2])],
  ];
  for (const [what, circuit] of lies) {
    const prio3 = new Prio3({ algorithmId: 0xffff_0001, circuit });
    for (let seed = 0; seed < 3; seed += 1) {
      const sharded = shardOne(prio3, undefined as never, randomFrom(seed));
      assert.equal(refusal(verify(prio3, sharded)), 'proof-invalid', what);
    }
  }
});

test('VDAF-4.2: each kind of tampering of the published negative vectors is refused for its reason', () => {
  const counting = prio3Count();
  const counted = shardOne(counting, true, randomFrom(42));
  const buckets = prio3Histogram({ length: 5, chunkLength: 2 });
  const bucketed = shardOne(buckets, 2, randomFrom(43));
  /** Flips a bit at `byte` of one aggregator's input share. */
  const atShare = (aggregator: number, byte: number) => ({
    share: (share: ReturnType<typeof shareOf>, id: number): ReturnType<typeof shareOf> =>
      id === aggregator ? { ...share, inputShare: flip(share.inputShare, 8 * byte) } : share,
  });
  // Measurement share, wire seed, gadget polynomial; then the helper's seed.
  for (const byte of [0, 8, 24])
    assert.equal(refusal(verify(counting, counted, atShare(0, byte))), 'proof-invalid');
  assert.equal(refusal(verify(counting, counted, atShare(1, 0))), 'proof-invalid');
  const blind = buckets.sizes.leaderShare - 32;
  assert.equal(refusal(verify(buckets, bucketed, atShare(0, blind))), 'proof-invalid');
  assert.equal(refusal(verify(buckets, bucketed, atShare(1, 32))), 'proof-invalid');
  for (const byte of [0, 32]) {
    const forged = {
      ...bucketed,
      report: { ...bucketed.report, publicShare: flip(bucketed.report.publicShare, 8 * byte) },
    };
    assert.equal(refusal(verify(buckets, forged)), 'proof-invalid');
  }
  assert.equal(
    refusal(verify(buckets, bucketed, { message: (bytes) => flip(bytes, 3) })),
    'joint-randomness-mismatch',
  );
});

test('VDAF-4.3: a bit flipped anywhere in a report or a verification message is refused or changes nothing', () => {
  const small: readonly [Prio3<never, unknown>, unknown][] = [
    [prio3Count(), true],
    [prio3Sum({ max: 5 }), 4],
    [prio3Histogram({ length: 3, chunkLength: 2 }), 1],
    [prio3MultihotCountVec({ length: 3, maxWeight: 2, chunkLength: 3 }), [true, false, true]],
    [prio3L1BoundSum({ length: 2, max: 3, chunkLength: 3 }), [1, 2]],
    [prio3SumVec({ length: 1, max: 2, chunkLength: 2, proofs: 3 }), [2]],
  ];
  for (const [index, [prio3, measurement]] of small.entries()) {
    const sharded = shardOne(prio3, measurement as never, randomFrom(index));
    const unshard = (outputs: readonly Uint8Array[]): unknown =>
      value(prio3.unshard(outputs.map((o) => prio3.aggregate([o]))));
    const expected = unshard(value(verify(prio3, sharded)));
    let accepted = 0;
    const check = (bits: number, tampering: (bit: number) => Parameters<typeof verify>[2]): void => {
      for (let bit = 0; bit < bits; bit += 1) {
        const outcome = verify(prio3, sharded, tampering(bit));
        if (outcome.kind === 'refused') continue;
        accepted += 1;
        assert.deepEqual(unshard(outcome.value), expected);
      }
    };
    const { sizes } = prio3;
    for (const target of [0, 1]) {
      const only = <T>(id: number, changed: T, same: T): T => (id === target ? changed : same);
      check(8 * (target === 0 ? sizes.leaderShare : sizes.helperShare), (bit) => ({
        share: (share, id) => only(id, { ...share, inputShare: flip(share.inputShare, bit) }, share),
      }));
      check(8 * sizes.publicShare, (bit) => ({
        share: (share, id) => only(id, { ...share, publicShare: flip(share.publicShare, bit) }, share),
      }));
      check(128, (bit) => ({
        share: (share, id) => only(id, { ...share, nonce: flip(share.nonce, bit) }, share),
      }));
      check(8 * CONTEXT.length, (bit) => ({ context: (id) => only(id, flip(CONTEXT, bit), CONTEXT) }));
      check(8 * sizes.verifierShare, (bit) => ({
        verifierShare: (bytes, id) => only(id, flip(bytes, bit), bytes),
      }));
      check(8 * sizes.verifierMessage, (bit) => ({
        message: (bytes, id) => only(id, flip(bytes, bit), bytes),
      }));
    }
    // An aggregator replaces what the client says its own joint randomness part is: those 256 bits
    // per aggregator are redundant, and nothing else is.
    assert.equal(accepted, sizes.publicShare === 0 ? 0 : 512);
  }
});

test('VDAF-4.4: one aggregator sees uniform shares, whatever the measurement', () => {
  const prio3 = prio3Histogram({ length: 4, chunkLength: 2 });
  const reports = 400;
  const BUCKETS = 16;
  const histogramOf = (measurement: number, seed: number): number[][] => {
    const random = randomFrom(seed);
    const bytes = prio3.sizes.leaderShare - 32;
    // The top four bits of each element: p is so near 2^128 that they are uniform for a uniform element.
    const seen = Array.from({ length: bytes / 16 }, () => Array.from({ length: BUCKETS }, () => 0));
    for (let i = 0; i < reports; i += 1) {
      const share = shardOne(prio3, measurement, random).report.inputShares[0] ?? new Uint8Array();
      seen.forEach((buckets, element) => (buckets[(share[16 * element + 15] ?? 0) >> 4]! += 1));
    }
    return seen;
  };
  // χ² with 15 degrees of freedom exceeds 56 with probability about 10^-6.
  const expected = reports / BUCKETS;
  for (const measurement of [0, 3]) {
    for (const buckets of histogramOf(measurement, 44 + measurement)) {
      const statistic = buckets.reduce((s, n) => s + (n - expected) ** 2 / expected, 0);
      assert.ok(statistic < 56, String(statistic));
    }
  }
});

test('VDAF-4.5: parameters are not part of the proof, so the context has to carry them', () => {
  // Both maxima have three bits: the shares have the same form, and the weights differ.
  const [five, seven] = [prio3Sum({ max: 5 }), prio3Sum({ max: 7 })];
  const sharded = shardOne(seven, 7, randomFrom(45));
  assert.equal(verify(five, sharded).kind, 'ok');
  const named = (max: number): Uint8Array => new TextEncoder().encode(`sum up to ${String(max)}`);
  assert.equal(refusal(verify(five, sharded, { context: () => named(5) })), 'proof-invalid');
});

test('VDAF-4.6: reports do not verify under another algorithm, key or number of proofs', () => {
  const circuit = count();
  const one = new Prio3({ algorithmId: ALGORITHM_ID.count, circuit });
  const other = new Prio3({ algorithmId: 0xffff_0002, circuit });
  const sharded = shardOne(one, true, randomFrom(46));
  assert.equal(refusal(verify(other, sharded)), 'proof-invalid');
  const verifiers = [0, 1].map((aggregatorId) => {
    const verifyKey = VERIFY_KEY.map((byte) => byte ^ aggregatorId);
    return value(
      one.verifyInit({ verifyKey, context: CONTEXT, aggregatorId }, shareOf(sharded, aggregatorId)),
    );
  });
  const message = one.verifierSharesToMessage(
    CONTEXT,
    verifiers.map((v) => v.verifierShare),
  );
  assert.equal(refusal(message), 'proof-invalid');
});

test('VDAF-5.1: a share, message or state of any other length is refused', () => {
  const prio3 = prio3Histogram({ length: 3 });
  const sharded = shardOne(prio3, 1, randomFrom(51));
  const longer = (bytes: Uint8Array, by: number): Uint8Array => {
    const out = new Uint8Array(bytes.length + by);
    out.set(bytes.subarray(0, out.length));
    return out;
  };
  for (const by of [-1, 1, -16, 16]) {
    for (const id of [0, 1]) {
      const change = (what: 'nonce' | 'publicShare' | 'inputShare') =>
        verify(prio3, sharded, {
          share: (share, to) => (to === id ? { ...share, [what]: longer(share[what], by) } : share),
        });
      for (const what of ['nonce', 'publicShare', 'inputShare'] as const)
        assert.equal(refusal(change(what)), 'malformed-length');
      assert.equal(
        refusal(
          verify(prio3, sharded, { verifierShare: (bytes, to) => (to === id ? longer(bytes, by) : bytes) }),
        ),
        'malformed-length',
      );
    }
    assert.equal(
      refusal(verify(prio3, sharded, { message: (bytes) => longer(bytes, by) })),
      'malformed-length',
    );
    assert.equal(refusal(prio3.decodeState(new Uint8Array(prio3.sizes.state + by))), 'malformed-length');
    const zero = prio3.aggregate([]);
    assert.equal(refusal(prio3.unshard([zero, longer(zero, by)])), 'malformed-length');
    assert.throws(() => prio3.aggregate([longer(zero, by)]), RangeError);
  }
  assert.equal(refusal(prio3.unshard([prio3.aggregate([])])), 'malformed-length');
  assert.equal(refusal(prio3.verifierSharesToMessage(CONTEXT, [])), 'malformed-length');
});

test('VDAF-5.2: an element at or above the modulus is refused wherever one is decoded', () => {
  for (const prio3 of [
    prio3Histogram({ length: 3 }) as Prio3<never, unknown>,
    prio3Sum({ max: 3 }) as Prio3<never, unknown>,
  ]) {
    const size = prio3.field.bytes;
    const sharded = shardOne(prio3, 1 as never, randomFrom(52));
    const seed = prio3.sizes.verifierMessage;
    const overflow = (bytes: Uint8Array, element: number): Uint8Array => {
      const out = bytes.slice();
      out.fill(0xff, element * size, (element + 1) * size);
      return out;
    };
    for (let element = 0; element < (prio3.sizes.leaderShare - seed) / size; element += 1) {
      const outcome = verify(prio3, sharded, {
        share: (share, id) =>
          id === 0 ? { ...share, inputShare: overflow(share.inputShare, element) } : share,
      });
      assert.equal(refusal(outcome), 'element-overflow');
    }
    for (let element = 0; element < (prio3.sizes.verifierShare - seed) / size; element += 1) {
      const outcome = verify(prio3, sharded, { verifierShare: (bytes) => overflow(bytes, element) });
      assert.equal(refusal(outcome), 'element-overflow');
    }
    assert.equal(
      refusal(prio3.decodeState(overflow(new Uint8Array(prio3.sizes.state), 0))),
      'element-overflow',
    );
    const zero = prio3.aggregate([]);
    assert.throws(() => prio3.aggregate([overflow(zero, 0)]), RangeError);
    assert.equal(refusal(prio3.unshard([zero, overflow(zero, 0)])), 'element-overflow');
    assert.equal(refusal(prio3.unshardSigned([overflow(zero, 0), zero])), 'element-overflow');
  }
});

test('VDAF-5.3: a state survives its encoding, which is canonical', () => {
  const prio3 = prio3MultihotCountVec({ length: 5, maxWeight: 2 });
  const sharded = shardOne(prio3, [1, 0, 0, 1, 0], randomFrom(53));
  const { state } = value(
    prio3.verifyInit({ verifyKey: VERIFY_KEY, context: CONTEXT, aggregatorId: 0 }, shareOf(sharded, 0)),
  );
  const encoded = prio3.encodeState(state);
  const decoded = value(prio3.decodeState(encoded));
  assert.deepEqual(decoded, state);
  assert.deepEqual(prio3.encodeState(decoded), encoded);
});

test('VDAF-5.4: a batch gives each report the outcome it has alone, and a bad one spoils no other', () => {
  const prio3 = prio3SumVec({ length: 3, max: 9 });
  const random = randomFrom(54);
  const shares = [
    [1, 2, 3],
    [9, 9, 9],
    [0, 0, 0],
  ].map((m) => shareOf(shardOne(prio3, m, random), 0));
  const broken = { ...(shares[1] as (typeof shares)[number]), publicShare: new Uint8Array(3) };
  const overflowing = {
    ...(shares[2] as (typeof shares)[number]),
    inputShare: new Uint8Array(prio3.sizes.leaderShare).fill(0xff),
  };
  const reports = [...shares, broken, overflowing, ...shares];
  const task = { verifyKey: VERIFY_KEY, context: CONTEXT, aggregatorId: 0 };
  const outcomes = prio3.verifyInitBatch(task, reports);
  assert.deepEqual(
    outcomes,
    reports.map((report) => prio3.verifyInit(task, report)),
  );
  assert.deepEqual(outcomes.map((o) => o.kind).join(), 'ok,ok,ok,refused,refused,ok,ok,ok');
  assert.throws(() => prio3.verifyInitBatch(task, { length: 70_000 } as never), RangeError);
});

test('VDAF-5.5: a measurement that the circuit does not count, or an argument of the wrong size, throws', () => {
  const nonce = new Uint8Array(16);
  const throws = <M, R>(prio3: Prio3<M, R>, measurement: unknown): void => {
    const rand = new Uint8Array(prio3.sizes.rand);
    assert.throws(
      () => prio3.shard({ context: CONTEXT, measurement: measurement as M, nonce, rand }),
      RangeError,
    );
  };
  for (const bad of [2, -1, 0.5, Number.NaN]) throws(prio3Count(), bad);
  for (const bad of [6, -1, 0.5, Number.NaN, 6n, -1n, 2 ** 60]) throws(prio3Sum({ max: 5 }), bad);
  for (const bad of [2 ** 40 + 1, -1, 0.5, 1n << 41n]) throws(prio3Sum({ max: 2 ** 40 }), bad);
  for (const bad of [[1], [1, 2, 3], [1, 4], [1, -1]]) throws(prio3SumVec({ length: 2, max: 3 }), bad);
  for (const bad of [-1, 4, 0.5]) throws(prio3Histogram({ length: 4 }), bad);
  for (const bad of [
    [1, 1, 1],
    [1, 1],
    [2, 0, 0],
  ])
    throws(prio3MultihotCountVec({ length: 3, maxWeight: 2 }), bad);
  for (const bad of [[3, 1], [4, 0], [0]]) throws(prio3L1BoundSum({ length: 2, max: 3 }), bad);
  const prio3 = prio3Count();
  const good = { context: CONTEXT, measurement: true, nonce, rand: new Uint8Array(prio3.sizes.rand) };
  assert.throws(() => prio3.shard({ ...good, nonce: new Uint8Array(15) }), RangeError);
  assert.throws(() => prio3.shard({ ...good, rand: new Uint8Array(1) }), RangeError);
  assert.throws(() => prio3.shard({ ...good, context: new Uint8Array(65_528) }), RangeError);
  prio3.shard({ ...good, context: new Uint8Array(65_527) });
  const report = { nonce, publicShare: new Uint8Array(), inputShare: new Uint8Array() };
  for (const aggregatorId of [-1, 2, 0.5])
    assert.throws(
      () => prio3.verifyInit({ verifyKey: VERIFY_KEY, context: CONTEXT, aggregatorId }, report),
      RangeError,
    );
  assert.throws(
    () => prio3.verifyInit({ verifyKey: new Uint8Array(16), context: CONTEXT, aggregatorId: 0 }, report),
    RangeError,
  );
});

test('VDAF-5.5: a refusal throws only where the caller asks for it', () => {
  assert.equal(accepted({ kind: 'ok', value: 5 }), 5);
  assert.throws(() => accepted({ kind: 'refused', code: 'proof-invalid' }), /proof-invalid/);
});

test('VDAF-5.6: parameters outside their bounds, and unsound choices, are refused when an instance is made', () => {
  for (const shares of [0, 1, 256, 2.5]) assert.throws(() => prio3Count({ shares }), RangeError);
  for (const proofs of [0, 2, 256]) assert.throws(() => prio3Histogram({ length: 4, proofs }), RangeError);
  for (const length of [0, -1, 1.5, 2 ** 21]) assert.throws(() => prio3Histogram({ length }), RangeError);
  for (const max of [0, -1, 1.5, 1n << 64n]) assert.throws(() => prio3Sum({ max }), RangeError);
  assert.throws(() => prio3SumVec({ length: 2, max: 1n << 127n }), RangeError);
  assert.throws(() => prio3SumVec({ length: 2 ** 20, max: 2 }), RangeError);
  for (const maxWeight of [0, 5])
    assert.throws(() => prio3MultihotCountVec({ length: 4, maxWeight }), RangeError);
  assert.throws(() => prio3Histogram({ length: 100_000, chunkLength: 1 }), RangeError);
  const contradictions: readonly Partial<Circuit<never, unknown>>[] = [
    { gadget: { kind: 'poly-eval', coefficients: [1n] } },
    { gadget: { kind: 'poly-eval', coefficients: [0n, 1n] }, wiring: 'range' },
    { gadget: { kind: 'poly-eval', coefficients: [0n, 1n, 2n, 3n] }, calls: 64, measurementLength: 64 },
    { calls: 2 },
    { wiring: 'range', calls: 2 },
    { evaluations: [{ gadgets: true, linear: [1n, 1n] }] },
    { outputLength: 2 },
    { encode: () => new Uint8Array(2) },
  ];
  for (const change of contradictions) {
    const circuit = { ...count(), ...change } as Circuit<never, unknown>;
    assert.throws(
      () => shardOne(new Prio3({ algorithmId: 9, circuit }), true as never, randomFrom(56)),
      RangeError,
      JSON.stringify(Object.keys(change)),
    );
  }
  for (const algorithmId of [-1, 2 ** 32, 0.5])
    assert.throws(() => new Prio3({ algorithmId, circuit: count() }), RangeError);
  // Sixteen entries of 2^60 wrap around the modulus of Field64, and the norm would look small.
  assert.throws(() => prio3L1BoundSum({ length: 16, max: 1n << 60n, proofs: 3 }), RangeError);
  assert.ok(prio3L1BoundSum({ length: 15, max: 1n << 60n, proofs: 3 }));
  assert.ok(prio3L1BoundSum({ length: 16, max: 1n << 60n }));
  // About the square root, and never worse than a fixed choice.
  assert.equal(chunkLengthFor(1), 1);
  assert.ok(chunkLengthFor(10_000) > 40 && chunkLengthFor(10_000) < 200);
});

test('VDAF-5.7: random bytes from outside are refused, never accepted and never thrown', () => {
  const prio3 = prio3MultihotCountVec({ length: 3, maxWeight: 2 });
  const { sizes } = prio3;
  const bytes = (size: number): fc.Arbitrary<Uint8Array> =>
    fc.oneof(fc.uint8Array({ minLength: size, maxLength: size }), fc.uint8Array({ maxLength: size + 40 }));
  fc.assert(
    fc.property(
      bytes(16),
      bytes(sizes.publicShare),
      bytes(sizes.leaderShare),
      bytes(sizes.helperShare),
      (nonce, publicShare, leader, helper) => {
        const report = { publicShare, inputShares: [leader, helper] };
        assert.equal(verify(prio3, { nonce, report }).kind, 'refused');
      },
    ),
    { numRuns: 60 },
  );
  fc.assert(
    fc.property(
      bytes(sizes.verifierShare),
      bytes(sizes.verifierShare),
      bytes(sizes.state),
      bytes(32),
      (a, b, state, message) => {
        assert.equal(prio3.verifierSharesToMessage(CONTEXT, [a, b]).kind, 'refused');
        const decoded = prio3.decodeState(state);
        if (decoded.kind === 'ok') assert.equal(prio3.verifyNext(decoded.value, message).kind, 'refused');
      },
    ),
    { numRuns: 60 },
  );
});

test('VDAF-1.7: an operation that throws leaves the arena as empty as it was, also inside another', () => {
  const prio3 = prio3Histogram({ length: 4 });
  const arena = arenaOf('auto');
  const mark = arena.mark();
  const good = shardOne(prio3, 1, randomFrom(17));
  assert.throws(() => prio3.aggregate([new Uint8Array(64).fill(0xff)]), RangeError);
  // The shares are verified one by one while their sum is under way.
  function* verifying(): Generator<Uint8Array> {
    for (let i = 0; i < 3; i += 1) yield value(verify(prio3, good))[0] ?? new Uint8Array();
  }
  const [share] = value(verify(prio3, good));
  assert.ok(share);
  assert.deepEqual(prio3.aggregate(verifying()), prio3.aggregate([share, share, share]));
  assert.equal(arena.mark(), mark);
  assert.ok(arena.read(mark, 4096).every((byte) => byte === 0));
});
