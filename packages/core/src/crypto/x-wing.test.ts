import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x25519 } from '@noble/curves/ed25519.js';
import { sha3_256, shake128, shake256 } from '@noble/hashes/sha3.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { concatBytes, toHex } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import {
  X_WING_CIPHERTEXT_BYTES,
  X_WING_KEY_BYTES,
  xWingDecapsulate,
  xWingEncapsulate,
  xWingKeysOf,
} from './x-wing.ts';

/** The draft draws its vectors from SHAKE-128 of nothing: seed 32, encapsulation seed 64, for each of them. */
const drawn = shake128(new Uint8Array(0), { dkLen: 3 * 96 });
const vectors = [0, 1, 2].map((i) => ({
  seed: drawn.slice(96 * i, 96 * i + 32),
  random: drawn.slice(96 * i + 32, 96 * i + 96),
}));

test('QUANTUM-5.1: the draft’s vectors: the same secrets, keys and ciphertexts', () => {
  const made = vectors.map(({ seed, random }) => {
    const { publicKey, secretKey } = xWingKeysOf(seed);
    const sent = xWingEncapsulate(publicKey, random);
    assert.ok(sent);
    assert.deepEqual(xWingDecapsulate(secretKey, sent.ciphertext), sent.secret);
    assert.equal(publicKey.length, X_WING_KEY_BYTES);
    assert.equal(sent.ciphertext.length, X_WING_CIPHERTEXT_BYTES);
    return { publicKey, ...sent };
  });
  // Draft 08, appendix C: the shared secrets of the first two; key and ciphertext of the first begin and end so.
  const [first, second] = made;
  assert.ok(first && second);
  assert.match(toHex(first.secret), /^d2df0522128f09dd.*861f10bf4ca613e384$/);
  assert.match(toHex(second.secret), /^f2e86241c64d60f6.*64a85749949c45f150$/);
  assert.match(toHex(first.publicKey), /^e2236b35a8c24b39.*8cd049040ef6534$/);
  assert.match(toHex(first.ciphertext), /^b83aa828d4d62b9a.*274a079d3e6fb2e15$/);
});

test('QUANTUM-5.1: by the draft’s words: hashed from both secrets, the X25519 ciphertext and key, and its label', () => {
  const [{ seed, random }] = vectors as [(typeof vectors)[0]];
  const expanded = shake256(seed, { dkLen: 96 });
  const kem = ml_kem768.keygen(expanded.slice(0, 64));
  const own = expanded.slice(64);
  const ephemeral = random.slice(32);
  const { cipherText, sharedSecret } = ml_kem768.encapsulate(kem.publicKey, random.slice(0, 32));
  const point = x25519.getPublicKey(ephemeral);
  const key = x25519.getPublicKey(own);
  const secret = sha3_256(
    concatBytes(sharedSecret, x25519.getSharedSecret(ephemeral, key), point, key, utf8Encode('\\.//^\\')),
  );
  const sent = xWingEncapsulate(concatBytes(kem.publicKey, key), random);
  assert.deepEqual(sent, { ciphertext: concatBytes(cipherText, point), secret });
});

test('QUANTUM-5.1: what is no key or ciphertext gives nothing, a changed one another secret; never an error', () => {
  const [{ seed, random }] = vectors as [(typeof vectors)[0]];
  const { publicKey, secretKey } = xWingKeysOf(seed);
  const sent = xWingEncapsulate(publicKey, random);
  assert.ok(sent);
  assert.equal(xWingEncapsulate(publicKey.slice(1), random), undefined);
  assert.equal(xWingDecapsulate(secretKey, sent.ciphertext.slice(1)), undefined);
  // Coefficients beyond the modulus, and a point of small order.
  assert.equal(xWingEncapsulate(publicKey.slice().fill(0xff, 0, 3), random), undefined);
  assert.equal(xWingEncapsulate(publicKey.slice().fill(0, 1184), random), undefined);
  assert.equal(xWingDecapsulate(secretKey, sent.ciphertext.slice().fill(0, 1088)), undefined);
  for (const at of [0, 700, 1087, 1100]) {
    const changed = sent.ciphertext.slice();
    changed[at] = (changed[at] as number) ^ 1;
    const secret = xWingDecapsulate(secretKey, changed);
    assert.ok(secret !== undefined && toHex(secret) !== toHex(sent.secret), `${at}`);
  }
  assert.throws(() => xWingKeysOf(new Uint8Array(31)), RangeError);
});
