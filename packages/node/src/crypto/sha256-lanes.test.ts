import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { HASH_BYTES } from '@itc/core/crypto/hash.js';
import { serialHasher } from '@itc/core/crypto/state-hasher.js';
import { laneHasher } from './sha256-lanes.ts';
import { installNativeCrypto } from './native.ts';

installNativeCrypto();

const digest = (...parts: readonly Uint8Array[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');
const hexAt = (output: Uint8Array, i: number): string =>
  Buffer.from(output.subarray(HASH_BYTES * i, HASH_BYTES * (i + 1))).toString('hex');

test('PAGES-10: hashes by lanes are SHA-256, for any number of nodes and for values of any length', () => {
  const hasher = laneHasher();
  assert.notEqual(hasher, serialHasher, 'this engine has vectors');
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 * 40 }),
      fc.constantFrom(0 as const, 1 as const),
      fc.array(fc.uint8Array({ maxLength: 140 }), { maxLength: 20 }),
      (bytes, domain, values) => {
        const count = Math.floor(bytes.length / 64);
        const output = new Uint8Array(HASH_BYTES * count);
        hasher.pairs(domain, bytes, count, output);
        for (let i = 0; i < count; i += 1)
          assert.equal(hexAt(output, i), digest(Uint8Array.of(domain), bytes.subarray(64 * i, 64 * i + 64)));
        const digests = new Uint8Array(HASH_BYTES * values.length);
        hasher.values(values, digests);
        for (const [i, value] of values.entries()) assert.equal(hexAt(digests, i), digest(value));
      },
    ),
  );
});

test('PAGES-10: more nodes and values than one call takes, and every length round a block', () => {
  const hasher = laneHasher();
  const count = 4_096 + 77;
  const input = new Uint8Array(64 * count).map((_, i) => (i * 7919) >> 3);
  const [own, serial] = [new Uint8Array(HASH_BYTES * count), new Uint8Array(HASH_BYTES * count)];
  hasher.pairs(1, input, count, own);
  serialHasher.pairs(1, input, count, serial);
  assert.deepEqual(own, serial);
  const values = Array.from({ length: count }, (_, i) => input.subarray(i, i + (i % 130)));
  hasher.values(values, own);
  serialHasher.values(values, serial);
  assert.deepEqual(own, serial);
});
