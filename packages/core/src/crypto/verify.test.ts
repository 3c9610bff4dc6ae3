import { test } from 'node:test';
import assert from 'node:assert/strict';
import { addressOf, formatAddress } from '../ledger/address.ts';
import { schemeKeyPair } from '../testing/schemes.ts';
import { verificationCost } from './cost.ts';
import type { Algorithm } from './signature.ts';
import { checkPublicKey, verifySignature } from './verify.ts';

const ALGORITHMS = [1, 2, 3, 4] as Algorithm[];
const message = Uint8Array.of(1, 2, 3);

test('CRYPTO-2.4: each scheme verifies what its key has signed, and no scheme what another has', () => {
  const pairs = ALGORITHMS.map((algorithm) => schemeKeyPair(algorithm, 1));
  for (const signer of pairs) {
    const signature = signer.sign(message);
    assert.ok(checkPublicKey(signer.key));
    for (const { key } of pairs) assert.equal(verifySignature(key, message, signature), key === signer.key);
    // The same bytes under the byte of another scheme are another key, and none that verifies.
    for (const algorithm of ALGORITHMS) {
      if (algorithm === signer.key.algorithm) continue;
      const moved = { algorithm, bytes: signer.key.bytes };
      assert.equal(verifySignature(moved, message, signature), false);
      assert.notEqual(formatAddress(addressOf(moved)), formatAddress(signer.address));
    }
  }
});

test('CRYPTO-2.4, CRYPTO-11.1: a scheme that is not known verifies nothing, and the others have their price', () => {
  for (const algorithm of [0, 5, 255] as number[] as Algorithm[]) {
    const key = { algorithm, bytes: schemeKeyPair(1, 1).key.bytes };
    assert.equal(checkPublicKey(key), false);
    assert.equal(verifySignature(key, message, new Uint8Array(64)), false);
    assert.equal(verificationCost(algorithm), 0);
  }
  assert.deepEqual(ALGORITHMS.map(verificationCost), [1, 8, 32, 8]);
});
