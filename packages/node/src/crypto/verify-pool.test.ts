import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Algorithm } from '@itc/core/crypto/signature.js';
import { schemeKeyPair } from '@itc/core/testing/schemes.js';
import { SeededRandom } from '../random.ts';
import { KeyPair } from './keypair.ts';
import { packBatch, verifyPacked, type SignedItem } from './verify-batch.ts';
import { VerifyPool } from './verify-pool.ts';

const keys = KeyPair.generate(new SeededRandom(3));

function signed(i: number, good: boolean): SignedItem {
  const message = new Uint8Array(i % 70).fill(i);
  const signature = keys.sign(message);
  if (!good) signature[5] = (signature[5] as number) ^ 1;
  return { key: keys.publicKey.bytes, message, signature };
}

test('a packed batch gives one verdict per item, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 12 }), (wanted) => {
      const items = wanted.map((good, i) => signed(i, good));
      assert.deepEqual([...verifyPacked(packBatch(items), items.length)], wanted.map(Number));
    }),
    { numRuns: 30 },
  );
});

for (const workers of [0, 2]) {
  test(`a pool of ${workers} threads answers batches of any size in order, malformed items included`, async () => {
    await using pool = new VerifyPool({ workers, chunkMax: 16 });
    const batches = [0, 1, 2, 3, 40, 100].map((count) =>
      Array.from({ length: count }, (_, i) => i % 3 !== 1),
    );
    const answers = await Promise.all(
      batches.map((wanted) => pool.verifyBatch(wanted.map((good, i) => signed(i, good)))),
    );
    assert.deepEqual(answers, batches);
    const short: SignedItem = { ...signed(1, true), signature: new Uint8Array(63) };
    const strange: SignedItem = { ...signed(1, true), key: new Uint8Array(31) };
    assert.deepEqual(await pool.verifyBatch([short, signed(2, true), strange, signed(3, false)]), [
      false,
      true,
      false,
      false,
    ]);
    assert.equal(pool.items, 0);
  });
}

test('a full queue refuses the batch and later takes it', async () => {
  await using pool = new VerifyPool({ workers: 1, costMax: 10 });
  const items = Array.from({ length: 8 }, (_, i) => signed(i, true));
  const first = pool.verifyBatch(items);
  await assert.rejects(pool.verifyBatch(items), { code: 'not-ready' });
  assert.equal((await first).length, 8);
  assert.equal((await pool.verifyBatch(items)).length, 8);
});

test('closing finishes what was accepted and refuses the rest', async () => {
  const pool = new VerifyPool({ workers: 1 });
  const accepted = pool.verifyBatch(Array.from({ length: 30 }, (_, i) => signed(i, true)));
  await pool.close();
  assert.ok((await accepted).every(Boolean));
  await assert.rejects(pool.verifyBatch([signed(1, true)]), { code: 'not-ready' });
});

test('CRYPTO-2.4: a pool verifies all schemes in one batch, each by its own rule', async () => {
  const message = Uint8Array.of(4, 5, 6);
  const prefix = message.subarray(0, 1);
  const items = ([1, 2, 3, 4] as Algorithm[]).flatMap((algorithm) => {
    const pair = schemeKeyPair(algorithm, 7);
    const signature = pair.sign(message);
    const item = { algorithm, key: pair.key.bytes, prefix, message: message.subarray(1), signature };
    const broken = signature.slice();
    broken[40] = (broken[40] as number) ^ 1;
    return [item, { ...item, signature: broken }, { ...item, key: new Uint8Array(70_000) }];
  });
  const expected = items.map((_, i) => i % 3 === 0);
  for (const workers of [0, 2]) {
    await using pool = new VerifyPool({ workers });
    assert.deepEqual(await pool.verifyBatch(items), expected);
  }
});

test('CRYPTO-11.2: what a queue holds is bounded by what its checks cost, not by their number', async () => {
  const pair = schemeKeyPair(3, 1);
  const item = { algorithm: pair.key.algorithm, key: pair.key.bytes, message: Uint8Array.of(1) };
  const slow: SignedItem[] = Array.from({ length: 3 }, () => ({ ...item, signature: new Uint8Array(2420) }));
  await using pool = new VerifyPool({ workers: 1, costMax: 64 });
  await assert.rejects(pool.verifyBatch(slow), { code: 'not-ready' });
  assert.deepEqual(await pool.verifyBatch(slow.slice(1)), [false, false]);
});
