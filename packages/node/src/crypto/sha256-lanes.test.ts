import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { batchHasher, serialBatchHasher } from '@itc/core/crypto/batch-hasher.js';
import { HASH_BYTES, sha256 } from '@itc/core/crypto/hash.js';
import { merkleRoot, merkleRootOfItems } from '@itc/core/crypto/merkle.js';
import { serialHasher, type StateHasher } from '@itc/core/crypto/state-hasher.js';
import { laneHasher } from './sha256-lanes.ts';
import { installNativeCrypto } from './native.ts';

installNativeCrypto();

const digest = (...parts: readonly Uint8Array[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');
const hexAt = (output: Uint8Array, i: number): string =>
  Buffer.from(output.subarray(HASH_BYTES * i, HASH_BYTES * (i + 1))).toString('hex');

/** The values as stretches of one buffer, with something between them. */
function hashAll(by: StateHasher, values: readonly Uint8Array[], digests: Uint8Array): void {
  const places = new Uint32Array(2 * values.length);
  let at = 3;
  for (const [i, { length }] of values.entries()) {
    places.set([at, length], 2 * i);
    at += length + (i % 5);
  }
  const bytes = new Uint8Array(at).fill(0xa5);
  for (const [i, value] of values.entries()) bytes.set(value, places[2 * i]);
  by.stretches(bytes, places, values.length, digests);
}

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
        hashAll(hasher, values, digests);
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
  hashAll(hasher, values, own);
  hashAll(serialHasher, values, serial);
  assert.deepEqual(own, serial);
});

/** RFC 6962 §2.1, word for word. */
function rootOf(items: readonly Uint8Array[]): string {
  const [first] = items;
  if (first === undefined) return digest();
  if (items.length === 1) return digest(Uint8Array.of(0), Buffer.from(digest(first), 'hex'));
  let left = 1;
  while (2 * left < items.length) left *= 2;
  const node = [rootOf(items.slice(0, left)), rootOf(items.slice(left))].map((hex) =>
    Buffer.from(hex, 'hex'),
  );
  return digest(Uint8Array.of(1), ...node);
}

test('CRYPTO-5.1: roots by lanes are those of RFC 6962, over any number of items of any length', () => {
  assert.notEqual(batchHasher(), serialBatchHasher, 'lanes are what a process of ours hashes with');
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 1_200 }), { maxLength: 40 }), (items) => {
      assert.equal(Buffer.from(merkleRootOfItems(items)).toString('hex'), rootOf(items));
      const leaves = items.map((item) => sha256(item));
      assert.equal(Buffer.from(merkleRoot(leaves)).toString('hex'), rootOf(items));
    }),
    { numRuns: 60 },
  );
  const lengths = Array.from({ length: 1_100 }, (_, i) => new Uint8Array(i).fill(i));
  assert.equal(Buffer.from(merkleRootOfItems(lengths)).toString('hex'), rootOf(lengths));
});
