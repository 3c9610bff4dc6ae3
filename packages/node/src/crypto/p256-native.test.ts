import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { sha256 } from '@noble/hashes/sha2.js';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { concatBytes } from '@itc/core/bytes/hex.js';
import { canonicalP256Signature, verifyP256 } from '@itc/core/crypto/p256.js';
import { verifyP256Native } from './p256-native.ts';

const { Point } = p256;
const N = Point.Fn.ORDER;
const P = Point.Fp.ORDER;

const number = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
const bytes32 = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * (31 - i))) & 255n));
const signatureOf = (r: bigint, s: bigint): Uint8Array => concatBytes(bytes32(r), bytes32(s));

function agree(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const native = verifyP256Native(key, message, signature);
  assert.equal(native, verifyP256(key, message, signature));
  return native;
}

function keyPair(): { readonly key: Uint8Array; readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  const [left, right] = [x, y].map((part) => Buffer.from(part as string, 'base64url')) as [Buffer, Buffer];
  return { key: Uint8Array.from([2 + ((right.at(-1) as number) & 1), ...left]), privateKey };
}

const { key, privateKey } = keyPair();
const message = Uint8Array.of(1, 2, 3);
const signature = canonicalP256Signature(
  Uint8Array.from(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
) as Uint8Array;

test('CRYPTO-8.6: OpenSSL decides as the portable rule does on every border of r, s and key', () => {
  const r = number(signature.subarray(0, 32));
  const s = number(signature.subarray(32));
  const borders = [0n, 1n, N / 2n, N / 2n + 1n, N - 1n, N, N + 1n, P - N, P - 1n, 2n ** 256n - 1n];
  let accepted = 0;
  for (const a of [r, ...borders])
    for (const b of [s, N - s, ...borders]) if (agree(key, message, signatureOf(a, b))) accepted += 1;
  assert.equal(accepted, 1);
  const x = key.subarray(1);
  const keys = [
    ...[0, 2, 3, 4, 5, 6, 7].map((mark) => concatBytes(Uint8Array.of(mark), x)),
    ...[0n, 1n, 2n, 3n, 4n, 5n, 6n, N, P - 1n, P, P + 1n, P + 5n, 2n ** 256n - 1n].flatMap((value) => [
      concatBytes(Uint8Array.of(2), bytes32(value)),
      concatBytes(Uint8Array.of(3), bytes32(value)),
    ]),
    Point.fromBytes(key).toBytes(false),
    new Uint8Array(0),
    key.subarray(0, 32),
  ];
  for (const candidate of keys) {
    const isRight = candidate.length === 33 && Buffer.compare(candidate, key) === 0;
    assert.equal(agree(candidate, message, signature), isRight);
    for (const b of [1n, N / 2n]) agree(candidate, message, signatureOf(1n, b));
  }
  for (const length of [0, 63, 65, 70]) assert.equal(agree(key, message, new Uint8Array(length)), false);
});

test('CRYPTO-8.6: and where R is at infinity, beyond the order, or belongs to a key made for it', () => {
  const e = number(sha256(message)) % N;
  for (const r of [1n, 2n, N - 1n]) {
    const none = Point.BASE.multiply(Point.Fn.mul(N - e, Point.Fn.inv(r))).toBytes(true);
    for (const s of [1n, 77n, N / 2n]) assert.equal(agree(none, message, signatureOf(r, s)), false);
  }
  let found = 0;
  for (let x = N; found < 4; x += 1n) {
    let point: InstanceType<typeof Point>;
    try {
      point = Point.fromBytes(concatBytes(Uint8Array.of(3), bytes32(x)));
    } catch {
      continue;
    }
    found += 1;
    for (const s of [1n, 12345n, N / 2n]) {
      const r = x - N;
      const made = point.multiply(s).subtract(Point.BASE.multiply(e)).multiply(Point.Fn.inv(r)).toBytes(true);
      assert.ok(agree(made, message, signatureOf(r, s)));
      assert.equal(agree(made, message, signatureOf(r + 1n, s)), false);
    }
  }
});

test('CRYPTO-8.6: and on honest signatures with any byte changed', () => {
  const all = concatBytes(key, signature);
  fc.assert(
    fc.property(fc.nat(all.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = all.slice();
      changed[at] = (changed[at] as number) ^ flip;
      return !agree(changed.subarray(0, 33), message, changed.subarray(33));
    }),
    { numRuns: 80 },
  );
  for (let i = 0; i < 10; i += 1) {
    const pair = keyPair();
    const made = Uint8Array.from(
      sign('sha256', message, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' }),
    );
    assert.ok(agree(pair.key, message, canonicalP256Signature(made) as Uint8Array));
  }
});
