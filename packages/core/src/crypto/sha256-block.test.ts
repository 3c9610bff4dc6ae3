import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { powSearch, workBits } from '../dag/proof-of-work.ts';
import { asHash, sha256 } from './hash.ts';
import { BLOCK_MESSAGE_BYTES, OneBlock } from './sha256-block.ts';

const message = fc.uint8Array({ maxLength: BLOCK_MESSAGE_BYTES });

test('CRYPTO-1.1: one block without allocation gives the same digest, whatever part of it is known to stay', () => {
  fc.assert(
    fc.property(message, fc.nat(16), (bytes, fixed) => {
      const block = new OneBlock(bytes, fixed);
      block.compress();
      const view = new DataView(new ArrayBuffer(32));
      for (const [i, word] of block.digest.entries()) view.setInt32(4 * i, word);
      assert.deepEqual(new Uint8Array(view.buffer), new Uint8Array(sha256(bytes)));
    }),
  );
  assert.throws(() => new OneBlock(new Uint8Array(BLOCK_MESSAGE_BYTES + 1), 0), RangeError);
});

test('DAG-3.1: a search finds the first nonce that shows enough work, and none where there is none', () => {
  const start = fc.oneof(
    fc.constant(0),
    fc.nat(2 ** 31),
    fc.maxSafeNat().map((n) => Math.min(n, 2 ** 53 - 5_000)),
  );
  const body = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asHash);
  fc.assert(
    fc.property(body, start, fc.nat(9), (bodyHash, from, bits) => {
      const tries = 1_500;
      const found = powSearch({ bodyHash, bits, start: from, tries });
      const end = found ?? from + tries;
      for (let nonce = from; nonce < end; nonce += 1) assert.ok(workBits(bodyHash, nonce) < bits);
      if (found !== undefined) assert.ok(workBits(bodyHash, found) >= bits);
    }),
    { numRuns: 60 },
  );
});
