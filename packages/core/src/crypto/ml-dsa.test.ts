import { test } from 'node:test';
import assert from 'node:assert/strict';
import { shake128 } from '@noble/hashes/sha3.js';
import fc from 'fast-check';
import { toHex } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import {
  checkMlDsaKey,
  ML_DSA_CONTEXT,
  ML_DSA_KEY_BYTES,
  ML_DSA_SEED_BYTES,
  ML_DSA_SIGNATURE_BYTES,
  mlDsaKeysOf,
  signMlDsa,
  verifyMlDsa,
} from './ml-dsa.ts';

const NO_CONTEXT = new Uint8Array(0);

test('CRYPTO-9.1: keys and deterministic signatures are those of FIPS 204', () => {
  // The accumulated vectors of C2SP (CCTV, ML-DSA): seeds from SHAKE128 of nothing, each key and each signature over no
  // message into another SHAKE128, whose 32 bytes are published for a hundred of them.
  const seeds = shake128.create({});
  const all = shake128.create({ dkLen: 32 });
  for (let i = 0; i < 100; i += 1) {
    const { publicKey, secretKey } = mlDsaKeysOf(seeds.xof(ML_DSA_SEED_BYTES));
    const signature = signMlDsa(secretKey, NO_CONTEXT, { context: NO_CONTEXT });
    all.update(publicKey).update(signature);
    if (i % 10 === 0) assert.ok(verifyMlDsa(publicKey, NO_CONTEXT, signature, NO_CONTEXT));
  }
  assert.equal(toHex(all.digest()), 'd51148e1f9f4fa1a723a6cf42e25f2a99eb5c1b378b3d2dbbd561b1203beeae4');
});

const { publicKey, secretKey } = mlDsaKeysOf(new Uint8Array(32).fill(3));
const message = utf8Encode('what is signed');
const signature = signMlDsa(secretKey, message);

test('CRYPTO-9.2: a signature made in another context is none', () => {
  assert.ok(verifyMlDsa(publicKey, message, signature));
  assert.equal(
    verifyMlDsa(publicKey, message, signMlDsa(secretKey, message, { context: NO_CONTEXT })),
    false,
  );
  assert.equal(verifyMlDsa(publicKey, message, signature, NO_CONTEXT), false);
  assert.equal(toHex(ML_DSA_CONTEXT), '49544331');
});

test('CRYPTO-9.2: hedged signatures differ and verify', () => {
  const hedged = signMlDsa(secretKey, message, { random: new Uint8Array(32).fill(1) });
  assert.notDeepEqual(hedged, signature);
  assert.ok(verifyMlDsa(publicKey, message, hedged));
});

test('CRYPTO-9.3: other lengths, keys and messages are refused', () => {
  for (const length of [0, 32, ML_DSA_SIGNATURE_BYTES - 1, ML_DSA_SIGNATURE_BYTES + 1, 3309])
    assert.equal(verifyMlDsa(publicKey, message, new Uint8Array(length)), false);
  for (const length of [0, 32, ML_DSA_KEY_BYTES - 1, ML_DSA_KEY_BYTES + 1, 1952]) {
    assert.equal(checkMlDsaKey(new Uint8Array(length)), false);
    assert.equal(verifyMlDsa(new Uint8Array(length), message, signature), false);
  }
  assert.ok(checkMlDsaKey(publicKey));
  assert.equal(verifyMlDsa(mlDsaKeysOf(new Uint8Array(32)).publicKey, message, signature), false);
  assert.equal(verifyMlDsa(publicKey, utf8Encode('another'), signature), false);
  assert.equal(verifyMlDsa(publicKey, message, new Uint8Array(ML_DSA_SIGNATURE_BYTES)), false);
});

test('CRYPTO-9.3: hints have one encoding (FIPS 204, algorithm 21)', () => {
  // c̃ 32, z 4 · 576, then 80 positions and 4 running counts.
  const hints = ML_DSA_SIGNATURE_BYTES - 84;
  const counts = [...signature.subarray(hints + 80)];
  const last = counts[3] as number;
  const changed = (change: (hint: Uint8Array) => void): Uint8Array => {
    const copy = signature.slice();
    change(copy.subarray(hints));
    return copy;
  };
  const bad = [
    // Two positions of one polynomial swapped, and one of them twice.
    changed((hint) => hint.set([hint[1] as number, hint[0] as number])),
    changed((hint) => hint.set([hint[0] as number, hint[0] as number])),
    // A count that falls, one beyond the maximum, one more than there are, one less.
    changed((hint) => hint.set([counts[1] as number, counts[0] as number], 80)),
    changed((hint) => hint.set([81], 83)),
    changed((hint) => hint.set([last + 1], 83)),
    changed((hint) => hint.set([last - 1], 83)),
  ];
  // A position after the last one that counts.
  if (last < 80) bad.push(changed((hint) => hint.set([1], last)));
  assert.ok((counts[0] as number) >= 2 && (counts[1] as number) > (counts[0] as number));
  for (const candidate of bad) assert.equal(verifyMlDsa(publicKey, message, candidate), false);
});

test('CRYPTO-9.3: z beyond its bound is refused', () => {
  // Coefficients of 18 bits, γ1 − z: all zero bits say z = γ1, all ones z = 1 − γ1.
  for (const fill of [0x00, 0xff]) {
    const candidate = signature.slice();
    candidate.fill(fill, 32, 32 + 9);
    assert.equal(verifyMlDsa(publicKey, message, candidate), false);
  }
});

test('CRYPTO-9.3: a flipped bit anywhere is refused', () => {
  fc.assert(
    fc.property(fc.nat(ML_DSA_SIGNATURE_BYTES * 8 - 1), (bit) => {
      const changed = signature.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      return !verifyMlDsa(publicKey, message, changed);
    }),
    { numRuns: 40 },
  );
});
