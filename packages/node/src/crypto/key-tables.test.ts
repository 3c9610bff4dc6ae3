import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { ELEMENT_BYTES, FREE, LANES, LIMB_BITS, LIMBS, newCurve, ONE, type Curve } from './curve-code.ts';
import { BASE_POINT, D, pointOf, times, type Point } from './curve-numbers.ts';
import { KeyTables, type Signed } from './key-tables.ts';
import { expandSeed, signNative, verifyNative } from './native.ts';
import { BatchVerifier, packBatch } from './verify-batch.ts';

const P = 2n ** 255n - 19n;
/** L, the order of the base point. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const keysOf = (n: number): ReturnType<typeof expandSeed> => expandSeed(new Uint8Array(32).fill(n));
const signedBy = (n: number, message: Uint8Array): Signed => ({
  key: keysOf(n).publicKey,
  message,
  signature: signNative(keysOf(n).secretKey, message),
});
const isGood = ({ key, message, signature }: Signed): boolean =>
  verifyNative({ algorithm: ED25519, bytes: key }, message, signature);
const writeLe = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
const readLe = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

function tablesOf(keys: readonly Uint8Array[], tablesMax?: number): KeyTables {
  const tables = KeyTables.create({ usesMin: 1, ...(tablesMax === undefined ? {} : { tablesMax }) });
  assert.ok(tables, 'this engine has vectors');
  for (const key of keys) tables.count(key);
  return tables;
}

const KEYS = [1, 2, 3, 4, 5];
const shared = tablesOf(KEYS.map((n) => keysOf(n).publicKey));

function limbsAt(curve: Curve, at: number, lane: number): Int16Array {
  const all = new Int16Array(curve.memory.buffer);
  return Int16Array.from(
    { length: LIMBS },
    (_, i) => all[(at >> 1) + 2 * LANES * (i >> 1) + 2 * lane + (i & 1)] ?? 0,
  );
}

function putLimbs(
  curve: Curve,
  o: { readonly at: number; readonly lane: number; readonly limbs: readonly number[] },
): void {
  const all = new Int16Array(curve.memory.buffer);
  for (const [i, limb] of o.limbs.entries())
    all[(o.at >> 1) + 2 * LANES * (i >> 1) + 2 * o.lane + (i & 1)] = limb;
}

const valueOf = (limbs: Iterable<number>): bigint =>
  [...limbs].reduceRight((sum, limb) => (sum << BigInt(LIMB_BITS)) + BigInt(limb), 0n);
const modulo = (value: bigint): bigint => ((value % P) + P) % P;

test('CRYPTO-3: products by lanes are those of the field, also of the largest limbs that sums of products have', () => {
  const curve = newCurve(1 << 17);
  assert.ok(curve);
  const [left, right, product] = [FREE, FREE + ELEMENT_BYTES, FREE + 2 * ELEMENT_BYTES];
  const most = [9_408, ...Array.from({ length: LIMBS - 1 }, () => 8_200)];
  const limb = fc.oneof(fc.constantFrom(-1, 1, 0), fc.double({ min: -1, max: 1, noNaN: true }));
  const element = fc
    .array(limb, { minLength: LIMBS, maxLength: LIMBS })
    .map((parts) => parts.map((part, i) => Math.trunc(part * (most[i] as number))));
  const four = fc.array(element, { minLength: LANES, maxLength: LANES });
  const check = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): void => {
    for (let lane = 0; lane < LANES; lane += 1) {
      putLimbs(curve, { at: left, lane, limbs: a[lane] ?? [] });
      putLimbs(curve, { at: right, lane, limbs: b[lane] ?? [] });
    }
    curve.multiply(product, left, right);
    for (let lane = 0; lane < LANES; lane += 1) {
      const result = limbsAt(curve, product, lane);
      assert.equal(modulo(valueOf(result)), modulo(valueOf(a[lane] ?? []) * valueOf(b[lane] ?? [])));
      for (const [i, value] of result.entries()) assert.ok(Math.abs(value) <= (i === 0 ? 4_704 : 4_100));
    }
  };
  const signs = [1, -1].flatMap((a) => [1, -1].map((b) => [a, b] as const));
  const all = (sign: number): number[][] =>
    Array.from({ length: LANES }, () => most.map((value) => sign * value));
  for (const [a, b] of signs) check(all(a), all(b));
  fc.assert(fc.property(four, four, check), { numRuns: 300 });
  putLimbs(curve, { at: ONE, lane: 0, limbs: [1] });
});

test('CRYPTO-3.1: good signatures of keys with a table hold, in any number and order, of messages of any length', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...KEYS), fc.uint8Array({ maxLength: 2_000 })), { maxLength: 12 }),
      (messages) => {
        const items = messages.map(([n, message]) => signedBy(n, message));
        assert.deepEqual(
          shared.verify(items),
          items.map(() => true),
        );
      },
    ),
    { numRuns: 40 },
  );
  const many = Array.from({ length: 300 }, (_, i) => signedBy(1 + (i % 5), Uint8Array.of(i, i >> 8)));
  assert.ok(shared.verify(many).every(Boolean), 'more than one batch');
});

test('CRYPTO-3.6: what tables hold good, libsodium holds good: bits turned, keys and messages exchanged', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...KEYS),
      fc.constantFrom(...KEYS),
      fc.nat({ max: 511 }),
      fc.uint8Array({ minLength: 1, maxLength: 80 }),
      (n, other, bit, message) => {
        const good = signedBy(n, message);
        const turned = good.signature.slice();
        turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
        const items = [
          good,
          { ...good, signature: turned },
          { ...good, key: keysOf(other).publicKey },
          { ...good, message: message.map((byte) => byte ^ 1) },
          { ...good, signature: good.signature.subarray(0, 63) },
        ];
        assert.deepEqual(shared.verify(items), items.map(isGood));
      },
    ),
    { numRuns: 60 },
  );
});

test('CRYPTO-3.2, CRYPTO-3.4: small order, S of L and more, and keys with a part of small order are as libsodium has them', () => {
  const message = Uint8Array.of(7);
  const good = signedBy(1, message);
  const [r, s] = [good.signature.subarray(0, 32), readLe(good.signature.subarray(32))];
  const small = ['01' + '00'.repeat(31), 'ec' + 'ff'.repeat(30) + '7f', '00'.repeat(32), '00'.repeat(31) + '80', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'ed' + 'ff'.repeat(30) + '7f'].map((hex) => new Uint8Array(Buffer.from(hex, 'hex'))); // prettier-ignore
  const scalars = [0n, 1n, s, s + ORDER, ORDER - 1n, ORDER, 2n ** 252n, 2n ** 252n - 1n, 2n ** 256n - 1n];
  const items = [r, ...small].flatMap((point) =>
    scalars.map((scalar) => ({ ...good, signature: Uint8Array.from([...point, ...writeLe(scalar)]) })),
  );
  const verdicts = shared.verify(items);
  assert.deepEqual(verdicts, items.map(isGood));
  assert.equal(verdicts.filter(Boolean).length, 1, 'the good one alone');
});

test('CRYPTO-3.6: there are so many tables and no more; the key not heard of for longest makes room', () => {
  const tables = tablesOf(
    [1, 2, 3].map((n) => keysOf(n).publicKey),
    2,
  );
  assert.equal(tables.size, 2);
  const has = (n: number): boolean => tables.has(keysOf(n).publicKey);
  assert.deepEqual([1, 2, 3].map(has), [false, true, true]);
  const good = (n: number): Signed => signedBy(n, Uint8Array.of(n));
  assert.deepEqual(tables.verify([good(2), good(1), good(3), good(2)]), [true, false, true, true]);
  tables.count(keysOf(1).publicKey);
  assert.deepEqual([1, 2, 3].map(has), [true, true, false]);
  assert.deepEqual(tables.verify([good(1), good(2), good(3)]), [true, true, false]);
});

test('CRYPTO-3.6: a batch of all kinds has one verdict each, before a thread knows its keys and after', () => {
  const verifier = new BatchVerifier();
  const batch = Array.from({ length: 130 }, (_, i) => {
    const good = signedBy(1 + (i % 3), Uint8Array.of(i));
    return i % 10 === 3 ? { ...good, message: Uint8Array.of(i, 1) } : good;
  });
  const expected = batch.map(isGood).map(Number);
  for (let round = 0; round < 12; round += 1)
    assert.deepEqual([...verifier.verify(packBatch(batch), batch.length)], expected);
});

const inverse = (value: bigint): bigint => {
  let result = 1n;
  for (let bit = 254n; bit >= 0n; bit -= 1n) {
    result = times(result, result);
    if ((((P - 2n) >> bit) & 1n) === 1n) result = times(result, modulo(value));
  }
  return result;
};

/** RFC 8032 §5.1.4, in affine coordinates. */
function plus(a: Point, b: Point): Point {
  const [xx, yy] = [times(a.x, b.x), times(a.y, b.y)];
  const product = times(D, times(xx, yy));
  const x = times(times(a.x, b.y) + times(a.y, b.x), inverse(1n + product));
  return { x, y: times(yy + xx, inverse(1n - product)) };
}

function multiple(point: Point, by: bigint): Point {
  let sum: Point = { x: 0n, y: 1n };
  for (let bit = BigInt(by.toString(2).length - 1); bit >= 0n; bit -= 1n) {
    sum = plus(sum, sum);
    if (((by >> bit) & 1n) === 1n) sum = plus(sum, point);
  }
  return sum;
}

const encoded = ({ x, y }: Point): Uint8Array => writeLe(y | ((x & 1n) << 255n));

test('CRYPTO-3.2: whoever adds a point of small order to a key signs with each such R, and neither tables nor libsodium take it', () => {
  const eighth = pointOf(
    new Uint8Array(Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'hex')),
  );
  assert.ok(eighth);
  const secret = 987_653n;
  const key = encoded(plus(multiple(BASE_POINT, secret), eighth));
  const tables = tablesOf([key]);
  const small = Array.from({ length: 8 }, (_, i) => encoded(multiple(eighth, BigInt(i))));
  const seen = new Set<number>();
  const items: Signed[] = [];
  for (let n = 0; seen.size < small.length; n += 1) {
    const message = Uint8Array.of(n, n >> 8);
    for (const [i, r] of small.entries()) {
      const digest = createHash('sha512').update(r).update(key).update(message).digest();
      const h = readLe(digest) % ORDER;
      // [S]B − [h](A + T) with S = h · a is −[h]T: R, if that is what was hashed.
      if ((8n - (h % 8n)) % 8n !== BigInt(i)) continue;
      seen.add(i);
      items.push({ key, message, signature: Uint8Array.from([...r, ...writeLe((h * secret) % ORDER)]) });
    }
  }
  assert.ok(items.every(({ signature }) => (signature[63] as number) < 0x10));
  assert.deepEqual(tables.verify(items).filter(Boolean), []);
  assert.deepEqual(items.filter(isGood), []);
});
