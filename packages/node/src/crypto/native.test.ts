import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { test } from 'node:test';
import { sha256 as portableSha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { fromHex } from '@itc/core/bytes/hex.js';
import { verifySignature as verifyPortable } from '@itc/core/crypto/ed25519.js';
import { ED25519, type PublicKey } from '@itc/core/crypto/signature.js';
import { sha256Text } from '@itc/core/crypto/hash.js';
import { idText } from '@itc/core/bytes/id-text.js';
import { expandSeed, installNativeCrypto, sha256Native, signNative, verifyNative } from './native.ts';

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text);
  assert.ok(bytes.ok);
  return bytes.value;
};
const keyOf = (bytes: Uint8Array): PublicKey => ({ algorithm: ED25519, bytes });
const { publicKey, secretKey } = expandSeed(new Uint8Array(32).fill(7));
const message = Uint8Array.of(1, 2, 3);
const signature = signNative(secretKey, message);

/** L, the order of the base point, little-endian. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const readLe = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
const writeLe = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));

test('the native SHA-256 computes what the portable one does, into bytes of its own', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      assert.deepEqual(sha256Native(bytes), portableSha256(bytes));
    }),
  );
  assert.equal(sha256Native(message).constructor, Uint8Array);
});

test('the digest as text is the digest, natively and portably', () => {
  const texts = (): string[] => [0, 1, 33, 65, 600].map((length) => sha256Text(new Uint8Array(length)));
  const portable = texts();
  installNativeCrypto();
  assert.deepEqual(texts(), portable);
  assert.equal(portable[1], idText(portableSha256(new Uint8Array(1))));
});

const vectors = fileURLToPath(
  new URL('../../../../../shared/vectors/rfc8032/ed25519.json.gz', import.meta.url),
);
test(
  'Ed25519 signs and verifies as RFC 8032 §7.1',
  { skip: existsSync(vectors) ? false : '../shared/vectors is absent' },
  () => {
    const cases = JSON.parse(gunzipSync(readFileSync(vectors)).toString('utf8')) as Vector[];
    assert.ok(cases.length > 0);
    for (const vector of cases) {
      const pair = expandSeed(hex(vector.secretKey));
      assert.deepEqual(pair.publicKey, hex(vector.publicKey));
      assert.deepEqual(signNative(pair.secretKey, hex(vector.message)), hex(vector.signature));
      assert.ok(verifyNative(keyOf(hex(vector.publicKey)), hex(vector.message), hex(vector.signature)));
    }
  },
);

test('CRYPTO-3: native and portable verifiers agree on edge cases and mutations', () => {
  const small = ['00'.repeat(32), `01${'00'.repeat(31)}`, `ec${'ff'.repeat(30)}7f`, `ed${'ff'.repeat(30)}7f`, `ee${'ff'.repeat(30)}7f`,
    `01${'00'.repeat(30)}80`, '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', `c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a`].map(hex); // prettier-ignore
  const scalars = [0n, 1n, ORDER - 1n, ORDER, ORDER + 1n, 2n ** 256n - 1n].map(writeLe);
  const signatures = [
    signature,
    ...[...small, publicKey].flatMap((r) => scalars.map((s) => Uint8Array.from([...r, ...s]))),
  ];
  signatures.push(
    Uint8Array.from([...signature.subarray(0, 32), ...writeLe(readLe(signature.subarray(32)) + ORDER)]),
  );
  for (const key of [publicKey, ...small]) {
    for (const candidate of signatures) {
      const expected = key === publicKey && candidate === signature;
      assert.equal(verifyNative(keyOf(key), message, candidate), expected);
      assert.equal(verifyPortable(keyOf(key), message, candidate), expected);
    }
  }
});

test('verifyNative refuses wrong lengths without throwing', () => {
  for (const length of [0, 31, 33, 64])
    assert.equal(verifyNative(keyOf(new Uint8Array(length)), message, signature), false);
  for (const length of [0, 63, 65])
    assert.equal(verifyNative(keyOf(publicKey), message, new Uint8Array(length)), false);
  assert.equal(
    verifyNative(keyOf(publicKey), new Uint8Array(0), signNative(secretKey, new Uint8Array(0))),
    true,
  );
});

/** The shape of the published file. */
interface Vector {
  readonly secretKey: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
}
