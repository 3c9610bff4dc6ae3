import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import { MemoryTables } from '../storage/memory-tables.ts';
import { IGNORED_MAX, IgnoredPayloads, type IgnoredReason } from './subnet-ignored.ts';

const hash = (number: number): Hash => {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, number);
  return asHash(bytes);
};

/** As far as it is looked at. */
function delivery(sequence: number, ids: readonly number[], reason: IgnoredReason): Delivery {
  const ignored = ids.map((id) => ({ payload: { id: hash(id) }, envelope: hash(1_000_000 + id), reason }));
  return { committed: { certificate: { checkpoint: { sequence } } }, ignored } as unknown as Delivery;
}

test('SUBNET-5.5: reasons are bounded per checkpoint, the newest counts, and they go with their checkpoint', async () => {
  const tables = new MemoryTables();
  const ignored = new IgnoredPayloads(tables);
  const many = Array.from({ length: IGNORED_MAX + 10 }, (_, i) => i);
  await tables.commit(ignored.changes(delivery(7, many, 'stale')));
  await tables.commit(ignored.changes(delivery(8, [3], 'duplicate')));
  assert.deepEqual(ignored.of(hash(2)), { checkpoint: 7, reason: 'stale', envelope: hash(1_000_002) });
  assert.deepEqual(ignored.of(hash(3)), { checkpoint: 8, reason: 'duplicate', envelope: hash(1_000_003) });
  assert.equal(ignored.of(hash(IGNORED_MAX)), undefined);
  assert.ok(ignored.bytes > 0);
  await tables.commit(ignored.forget(7));
  assert.equal(ignored.of(hash(2)), undefined);
  assert.equal(ignored.of(hash(3))?.checkpoint, 8);
  await tables.commit(ignored.forget(8));
  assert.equal(ignored.bytes, 0);
  assert.deepEqual(ignored.forget(9), []);
});
