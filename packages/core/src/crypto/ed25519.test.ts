import { createRequire } from 'node:module';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { EdwardsPoint } from '@noble/curves/abstract/edwards.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { concatBytes, fromHex, toHex } from '../bytes/hex.ts';
import { keyPair, keyPairFromSecret } from '../testing/keys.ts';
import { unlessVectors, vectorJson } from '../testing/vectors.ts';
import { checkPublicKey, verifySignature } from './ed25519.ts';
import { ED25519, type PublicKey } from './signature.ts';

interface Sodium {
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, key: Uint8Array): boolean;
}

function loadSodium(): Sodium | undefined {
  try {
    return createRequire(import.meta.url)('sodium-native') as Sodium;
  } catch {
    return undefined;
  }
}

const sodium = loadSodium();
const unlessSodium = sodium === undefined ? 'sodium-native does not load on this machine' : false;

const { Point } = ed25519;
const P = 2n ** 255n - 19n;
const L = Point.Fn.ORDER;

const asKey = (bytes: Uint8Array): PublicKey => ({ algorithm: ED25519, bytes });

function toBytes(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

function toInteger(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** The eight points of small order: multiples of a generator of the torsion subgroup. */
function torsionPoints(): EdwardsPoint[] {
  for (let y = 2n; ; y += 1n) {
    let point: EdwardsPoint;
    try {
      point = Point.fromBytes(toBytes(y));
    } catch {
      continue;
    }
    // [L]P removes the part of prime order, so only torsion is left. L itself is no valid scalar, hence L − 1 and one more.
    const torsion = point.multiplyUnsafe(L - 1n).add(point);
    if (torsion.multiplyUnsafe(4n).is0()) continue;
    const points: EdwardsPoint[] = [];
    for (let i = 0; i < 8; i += 1) points.push(torsion.multiplyUnsafe(BigInt(i)));
    return points;
  }
}

/** Canonical and non-canonical encodings of a point: y and y + p where it fits, each with both sign bits. */
function encodingsOf(point: EdwardsPoint): Uint8Array[] {
  const { x, y } = point.toAffine();
  const encodings: Uint8Array[] = [];
  for (const value of [y, y + P]) {
    if (value >= 2n ** 255n) continue;
    for (const sign of [0n, 1n]) {
      // The other sign names the opposite point, except where x is 0: there it is a second, forbidden name.
      if (x !== 0n && sign !== (x & 1n)) continue;
      encodings.push(toBytes(value | (sign << 255n)));
    }
  }
  return encodings;
}

const torsion = torsionPoints();
const smallOrderEncodings = torsion.flatMap(encodingsOf);

/** h of the verification equation. */
const challenge = (r: Uint8Array, a: Uint8Array, message: Uint8Array): bigint =>
  toInteger(sha512(concatBytes(r, a, message))) % L;

interface Case {
  readonly name: string;
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** Encodings near every border: small order, mixed order, honest, non-canonical, not on the curve. */
function pointGrid(): { name: string; bytes: Uint8Array }[] {
  const honest = Point.BASE.multiply(12345n);
  const grid = smallOrderEncodings.map((bytes, i) => ({ name: `small ${i}`, bytes }));
  torsion.forEach((point, i) => grid.push({ name: `mixed ${i}`, bytes: honest.add(point).toBytes() }));
  for (let y = P - 3n; y < 2n ** 255n; y += 1n) {
    grid.push(
      { name: `y = p + ${y - P}`, bytes: toBytes(y) },
      { name: `−, y = p + ${y - P}`, bytes: toBytes(y | (1n << 255n)) },
    );
  }
  for (let y = 0n; y < 6n; y += 1n) grid.push({ name: `y = ${y}`, bytes: toBytes(y) });
  return grid;
}

/** Every pair of R and A of the grid, with S = 0 and an arbitrary S, and with S that solves the equation where a secret is known. */
function edgeCases(): Case[] {
  const cases: Case[] = [];
  const grid = pointGrid();
  const scalars = [0n, 1n, L - 1n, L, L + 1n, 2n ** 252n, 2n ** 253n - 1n, 2n ** 256n - 1n];
  for (const r of grid) {
    for (const a of grid) {
      const message = Uint8Array.of(cases.length & 255);
      cases.push({
        name: `R ${r.name}, A ${a.name}, S 0`,
        key: a.bytes,
        message,
        signature: concatBytes(r.bytes, toBytes(0n)),
      });
    }
    for (const [i, s] of scalars.entries()) {
      const a = grid[i] as { bytes: Uint8Array };
      cases.push({
        name: `R ${r.name}, S ${s}`,
        key: a.bytes,
        message: Uint8Array.of(i),
        signature: concatBytes(r.bytes, toBytes(s)),
      });
    }
  }
  return cases;
}

/**
 * Signatures with torsion in A and R that satisfy the cofactored equation always and the cofactorless one now and
 * then: where verifiers differ. Secrets a and r are known, so S = r + h·a can be computed for any encoding.
 */
function mixedOrderCases(): Case[] {
  const cases: Case[] = [];
  const a = 0x1234_5678_9abc_def0n;
  const r = 0xfeed_beefn;
  const keys = torsion.map((point) => Point.BASE.multiply(a).add(point).toBytes());
  const commitments = torsion.map((point) => Point.BASE.multiply(r).add(point).toBytes());
  for (const [i, key] of keys.entries()) {
    for (const [j, rBytes] of commitments.entries()) {
      for (let m = 0; m < 3; m += 1) {
        const message = Uint8Array.of(i, j, m);
        const s = (r + challenge(rBytes, key, message) * a) % L;
        cases.push({
          name: `A + T${i}, R + T${j}, ${m}`,
          key,
          message,
          signature: concatBytes(rBytes, toBytes(s)),
        });
        cases.push({
          name: `A + T${i}, R + T${j}, ${m}, S + L`,
          key,
          message,
          signature: concatBytes(rBytes, toBytes(s + L)),
        });
        // R of small order: r = 0.
        const small = (torsion[j] as EdwardsPoint).toBytes();
        const s0 = (challenge(small, key, message) * a) % L;
        cases.push({
          name: `A + T${i}, R = T${j}, ${m}`,
          key,
          message,
          signature: concatBytes(small, toBytes(s0)),
        });
      }
    }
  }
  return cases;
}

const accepts = (each: Case): boolean => verifySignature(asKey(each.key), each.message, each.signature);

interface Rfc8032 {
  readonly name: string;
  readonly secretKey: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
}

function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (!bytes.ok) throw new Error(bytes.message);
  return bytes.value;
}

test(
  'CRYPTO-3.1: the vectors of RFC 8032 verify, and are what the test keys sign',
  { skip: unlessVectors('rfc8032') },
  () => {
    const vectors = vectorJson('rfc8032/ed25519.json.gz') as Rfc8032[];
    assert.ok(vectors.length >= 4);
    for (const vector of vectors) {
      const message = hex(vector.message);
      const signature = hex(vector.signature);
      assert.ok(verifySignature(asKey(hex(vector.publicKey)), message, signature), vector.name);
      assert.ok(
        !verifySignature(asKey(hex(vector.publicKey)), concatBytes(message, Uint8Array.of(0)), signature),
      );
      const pair = keyPairFromSecret(hex(vector.secretKey));
      assert.equal(toHex(pair.key.bytes), vector.publicKey);
      assert.equal(toHex(pair.sign(message)), vector.signature);
    }
  },
);

test('CRYPTO-3.2: there are eight points of small order, and no encoding of one is an acceptable key', () => {
  assert.equal(new Set(torsion.map((point) => point.toHex())).size, 8);
  for (const point of torsion) assert.ok(point.isSmallOrder());
  // Eight canonical ones, two signs of zero, and y + p for y = 0 (two) and y = 1 (two).
  assert.equal(new Set(smallOrderEncodings.map(toHex)).size, 14);
  for (const bytes of smallOrderEncodings) assert.ok(!checkPublicKey(asKey(bytes)), toHex(bytes));
});

test('CRYPTO-3.2: attack: with a key of small order one signature would hold for every message', () => {
  // [0]B − [h]A is the neutral element whenever h is a multiple of A's order.
  const neutral = (torsion[0] as EdwardsPoint).toBytes();
  for (const bytes of smallOrderEncodings) {
    for (let m = 0; m < 16; m += 1) {
      assert.ok(!verifySignature(asKey(bytes), Uint8Array.of(m), concatBytes(neutral, toBytes(0n))));
    }
  }
});

test('CRYPTO-3.3: non-canonical encodings of A and R are refused', () => {
  for (let y = P; y < 2n ** 255n; y += 1n) {
    for (const sign of [0n, 1n << 255n]) {
      assert.ok(!checkPublicKey(asKey(toBytes(y | sign))));
      // With S = 0 and a key whose h·A is arbitrary nothing could hold; the point is that it is refused, not thrown.
      assert.ok(
        !verifySignature(keyPair(1).key, Uint8Array.of(1), concatBytes(toBytes(y | sign), toBytes(0n))),
      );
    }
  }
  assert.ok(checkPublicKey(keyPair(1).key));
});

test('CRYPTO-3.4: attack non-canonical S: S + L is refused, although the equation holds', () => {
  for (let seed = 1; seed < 6; seed += 1) {
    const { key, sign } = keyPair(seed);
    const message = Uint8Array.of(seed);
    const signature = sign(message);
    assert.ok(verifySignature(key, message, signature));
    const s = toInteger(signature.subarray(32));
    const raised = concatBytes(signature.subarray(0, 32), toBytes(s + L));
    assert.ok(!verifySignature(key, message, raised));
  }
});

test('CRYPTO-3.5: the equation has no cofactor: what only [8] makes true is refused, what is true without it holds', () => {
  let held = 0;
  let refusedOnes = 0;
  for (const each of mixedOrderCases()) {
    const a = Point.fromBytes(each.key);
    const rBytes = each.signature.subarray(0, 32);
    const r = Point.fromBytes(rBytes);
    const s = toInteger(each.signature.subarray(32));
    if (s >= L) {
      assert.ok(!accepts(each), each.name);
      continue;
    }
    const h = challenge(rBytes, each.key, each.message);
    const difference = Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(h)).subtract(r);
    assert.ok(difference.clearCofactor().is0(), 'every case satisfies the cofactored equation');
    const expected = difference.is0() && !r.isSmallOrder();
    assert.equal(accepts(each), expected, each.name);
    if (expected) held += 1;
    else refusedOnes += 1;
  }
  assert.ok(held > 10 && refusedOnes > 100, `${held} held, ${refusedOnes} did not`);
});

test(
  'CRYPTO-3.6: attack mixed verifiers: every decision on the edge cases is that of libsodium',
  { skip: unlessSodium },
  () => {
    const cases = [...edgeCases(), ...mixedOrderCases()];
    assert.ok(cases.length > 1000, `${cases.length}`);
    let accepted = 0;
    for (const each of cases) {
      const ours = accepts(each);
      assert.equal(
        ours,
        sodium?.crypto_sign_verify_detached(each.signature, each.message, each.key),
        each.name,
      );
      if (ours) accepted += 1;
    }
    assert.ok(accepted > 10);
  },
);

test(
  'CRYPTO-3.6: every decision on random mutations of honest signatures is that of libsodium',
  { skip: unlessSodium },
  () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.nat(767),
        (seed, message, at) => {
          const { key, sign } = keyPair(seed);
          const whole = concatBytes(key.bytes, sign(message));
          assert.ok(verifySignature(key, message, whole.subarray(32)));
          const flipped = whole.with(at >> 3, (whole[at >> 3] as number) ^ (1 << (at & 7)));
          const ours = verifySignature(asKey(flipped.subarray(0, 32)), message, flipped.subarray(32));
          assert.equal(ours, false);
          assert.equal(
            ours,
            sodium?.crypto_sign_verify_detached(flipped.slice(32), message, flipped.slice(0, 32)),
          );
        },
      ),
      { numRuns: 120 },
    );
  },
);

test('CRYPTO-3.7: wrong lengths and unknown points are refused, never thrown', () => {
  const { key, sign } = keyPair(1);
  const message = Uint8Array.of(1);
  const signature = sign(message);
  for (const length of [0, 1, 31, 33, 63, 65]) {
    assert.ok(!verifySignature(key, message, new Uint8Array(length)));
    assert.ok(!verifySignature(asKey(new Uint8Array(length)), message, signature));
    assert.ok(!checkPublicKey(asKey(new Uint8Array(length))));
  }
  assert.ok(!verifySignature(key, message, concatBytes(signature, Uint8Array.of(0))));
  // y = 2 belongs to no point.
  assert.ok(!checkPublicKey(asKey(toBytes(2n))));
});
