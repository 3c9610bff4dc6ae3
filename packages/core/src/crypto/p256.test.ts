import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { concatBytes, fromHex } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import {
  canonicalP256Signature,
  checkP256Key,
  p256SignatureFromDer,
  verifyP256,
  verifyP256Digest,
} from './p256.ts';

const { Point } = p256;
const N = Point.Fn.ORDER;
const P = Point.Fp.ORDER;

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text);
  assert.ok(bytes.ok);
  return bytes.value;
};
const number = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
const bytes32 = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * (31 - i))) & 255n));
const signatureOf = (r: bigint, s: bigint): Uint8Array => concatBytes(bytes32(r), bytes32(s));

/** OpenSSL, on a key in the compressed form and with s in either half. */
function verifyOpenssl(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const frame = hex('3039301306072a8648ce3d020106082a8648ce3d030107032200');
  const publicKey = createPublicKey({ key: Buffer.concat([frame, key]), format: 'der', type: 'spki' });
  return verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature);
}

/** RFC 6979 A.2.5, the two cases with SHA-256. */
const RFC6979 = {
  secret: 'c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721',
  key: '0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6',
  y: '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
  cases: [
    {
      message: 'sample',
      r: 'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716',
      s: 'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
    },
    {
      message: 'test',
      r: 'f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367',
      s: '019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083',
    },
  ],
} as const;

test('CRYPTO-8.1: signatures of RFC 6979 A.2.5 verify in the one form, and in that only', () => {
  const key = hex(RFC6979.key);
  assert.deepEqual(Point.fromBytes(key).toBytes(false).subarray(33), hex(RFC6979.y));
  for (const { message, r, s } of RFC6979.cases) {
    const made = hex(r + s);
    const signature = canonicalP256Signature(made) as Uint8Array;
    const text = utf8Encode(message);
    assert.ok(verifyP256(key, text, signature));
    const other = signatureOf(number(hex(r)), N - number(signature.subarray(32)));
    assert.equal(verifyP256(key, text, other), false);
    assert.ok(verifyOpenssl(key, text, other));
    assert.equal(verifyP256(key, utf8Encode('other'), signature), false);
  }
});

/** A key pair, a message and a signature by OpenSSL. */
const cases = Array.from({ length: 12 }, (_, i) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  const point = [x, y].map((part) => Buffer.from(part as string, 'base64url'));
  const parity = (point[1]?.at(-1) as number) & 1;
  const key = Uint8Array.from([2 + parity, ...(point[0] as Buffer)]);
  const message = new Uint8Array(i * 9).fill(i);
  const made = Uint8Array.from(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }));
  const der = Uint8Array.from(sign('sha256', message, privateKey));
  return { key, privateKey, message, made, der };
});

test('CRYPTO-8.1: what OpenSSL signs verifies here, and what is signed here verifies there', () => {
  for (const { key, message, made, der } of cases) {
    assert.ok(checkP256Key(key));
    for (const signature of [canonicalP256Signature(made), p256SignatureFromDer(der)]) {
      assert.ok(signature);
      assert.ok(verifyP256(key, message, signature));
      assert.ok(verifyOpenssl(key, message, signature));
    }
  }
  const secret = hex(RFC6979.secret);
  const jwk = createPrivateKey({
    key: {
      kty: 'EC',
      crv: 'P-256',
      d: Buffer.from(secret).toString('base64url'),
      x: Buffer.from(hex(RFC6979.key).subarray(1)).toString('base64url'),
      y: Buffer.from(hex(RFC6979.y)).toString('base64url'),
    },
    format: 'jwk',
  });
  assert.equal(jwk.asymmetricKeyType, 'ec');
  const ours = p256.sign(utf8Encode('ours'), secret, { lowS: true });
  assert.ok(verifyOpenssl(hex(RFC6979.key), utf8Encode('ours'), ours));
  assert.ok(verifyP256(hex(RFC6979.key), utf8Encode('ours'), ours));
});

test('CRYPTO-8.3: of s and n − s the lesser is the signature', () => {
  for (const { key, message, made } of cases) {
    const r = number(made.subarray(0, 32));
    const s = number(made.subarray(32));
    const [low, high] = s <= N / 2n ? [s, N - s] : [N - s, s];
    assert.ok(verifyP256(key, message, signatureOf(r, low)));
    assert.equal(verifyP256(key, message, signatureOf(r, high)), false);
  }
});

test('CRYPTO-8.2: r and s outside of 1 to n − 1 are refused, also where they are right modulo n', () => {
  const { key, message, made } = cases[3] as (typeof cases)[number];
  const signature = canonicalP256Signature(made) as Uint8Array;
  const r = number(signature.subarray(0, 32));
  const s = number(signature.subarray(32));
  const borders = [0n, 1n, N / 2n, N / 2n + 1n, N - 1n, N, N + 1n, P - N, P - 1n, P, 2n ** 256n - 1n];
  for (const a of [r, ...borders])
    for (const b of [s, ...borders])
      assert.equal(verifyP256(key, message, signatureOf(a, b)), a === r && b === s, `${a} ${b}`);
  for (const length of [0, 32, 63, 65, 70, 72])
    assert.equal(verifyP256(key, message, new Uint8Array(length).fill(1)), false);
});

test('CRYPTO-8.2: with R at infinity nothing verifies', () => {
  const message = utf8Encode('infinity');
  const e = number(sha256(message)) % N;
  for (const r of [1n, 5n, N - 7n]) {
    // Q = −(e/r)G makes [e/s]G + [r/s]Q nothing for each s.
    const q = Point.BASE.multiply(Point.Fn.mul(N - e, Point.Fn.inv(r)));
    for (const s of [1n, 2n, N / 2n])
      assert.equal(verifyP256(q.toBytes(true), message, signatureOf(r, s)), false);
  }
});

test('CRYPTO-8.2: x of R counts modulo n', () => {
  // A point whose x lies between n and p, as a commitment: the key follows from it, Q = (sR − eG)/r.
  const point = ((): InstanceType<typeof Point> => {
    for (let x = N; x < P; x += 1n) {
      try {
        return Point.fromBytes(concatBytes(Uint8Array.of(2), bytes32(x)));
      } catch {
        continue;
      }
    }
    throw new Error('there is none');
  })();
  const r = point.toAffine().x - N;
  const s = 12345n;
  const message = utf8Encode('wrap');
  const e = number(sha256(message)) % N;
  const key = point.multiply(s).subtract(Point.BASE.multiply(e)).multiply(Point.Fn.inv(r)).toBytes(true);
  assert.ok(verifyP256(key, message, signatureOf(r, s)));
  assert.ok(verifyOpenssl(key, message, signatureOf(r, s)));
  assert.equal(verifyP256(key, message, signatureOf(point.toAffine().x, s)), false);
});

test('CRYPTO-8.2: a digest that is 0 or the order is a digest like others', () => {
  const secret = number(hex(RFC6979.secret));
  for (const digest of [new Uint8Array(32), bytes32(N), bytes32(2n ** 256n - 1n)]) {
    const k = 99n;
    const r = Point.BASE.multiply(k).toAffine().x % N;
    const s = Point.Fn.mul(Point.Fn.inv(k), Point.Fn.create(number(digest) + r * secret));
    const signature = canonicalP256Signature(signatureOf(r, s)) as Uint8Array;
    assert.ok(verifyP256Digest(hex(RFC6979.key), digest, signature));
  }
});

test('CRYPTO-8.4: a key is a compressed point of the curve, and nothing else', () => {
  const key = hex(RFC6979.key);
  const off = ((): Uint8Array => {
    for (let x = 1n; ; x += 1n) {
      const candidate = concatBytes(Uint8Array.of(2), bytes32(x));
      try {
        Point.fromBytes(candidate);
      } catch {
        return candidate;
      }
    }
  })();
  const refused = [
    off,
    new Uint8Array(0),
    Uint8Array.of(0),
    new Uint8Array(33),
    key.subarray(0, 32),
    concatBytes(key, Uint8Array.of(0)),
    Point.fromBytes(key).toBytes(false),
    // The hybrid and uncompressed marks on a compressed length, x = p, and x beyond p.
    ...[0, 4, 5, 6, 7].map((mark) => concatBytes(Uint8Array.of(mark), key.subarray(1))),
    concatBytes(Uint8Array.of(2), bytes32(P)),
    concatBytes(Uint8Array.of(3), bytes32(2n ** 256n - 1n)),
    // x = 5 is on the curve; x = p + 5 is no second name of it.
    concatBytes(Uint8Array.of(2), bytes32(P + 5n)),
  ];
  assert.ok(checkP256Key(concatBytes(Uint8Array.of(2), bytes32(5n))));
  for (const candidate of refused) {
    assert.equal(checkP256Key(candidate), false);
    assert.equal(verifyP256(candidate, utf8Encode('sample'), new Uint8Array(64).fill(1)), false);
  }
  // The other root is another key.
  const other = key.slice();
  other[0] = 2;
  assert.ok(checkP256Key(other));
});

test('CRYPTO-8.5: wallets read one DER form and turn the greater s round', () => {
  for (const { der, made } of cases) {
    assert.ok(p256SignatureFromDer(der));
    assert.equal(p256SignatureFromDer(der.subarray(0, -1)), undefined);
    assert.equal(p256SignatureFromDer(concatBytes(der, Uint8Array.of(0))), undefined);
    for (let at = 0; at < 4; at += 1) {
      const bad = der.slice();
      bad[at] = (bad[at] as number) ^ 0x80;
      assert.equal(p256SignatureFromDer(bad), undefined);
    }
    assert.equal(canonicalP256Signature(made.subarray(1)), undefined);
  }
  // Empty, negative, padded, in a long form, zero, beyond the order.
  const order = '00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';
  const bad = ['', '30', '3000', '300302010102', '30060200020101', '3006020180020101', '300702020001020101', '308106020101020101', '3006020100020101', '3006020101020100',
    `3026020101${`0221${order}`}`, `3026${`0221${order}`}020101`]; // prettier-ignore
  for (const text of bad) assert.equal(p256SignatureFromDer(hex(text)), undefined, text);
  assert.deepEqual(p256SignatureFromDer(hex('3006020101020102')), signatureOf(1n, 2n));
  assert.equal(canonicalP256Signature(signatureOf(0n, 1n)), undefined);
  assert.equal(canonicalP256Signature(signatureOf(1n, N)), undefined);
});

test('CRYPTO-8.1: a flipped bit anywhere is refused', () => {
  const { key, message, made } = cases[5] as (typeof cases)[number];
  const signature = canonicalP256Signature(made) as Uint8Array;
  const all = concatBytes(key, message, signature);
  fc.assert(
    fc.property(fc.nat(all.length * 8 - 1), (bit) => {
      const changed = all.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      return !verifyP256(changed.subarray(0, 33), changed.subarray(33, -64), changed.subarray(-64));
    }),
    { numRuns: 60 },
  );
});
