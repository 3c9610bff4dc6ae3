import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { HEADER_FLAGS } from '@itc/core/ledger/block.js';
import { CoSignedWorld, slidingMembers } from '@itc/core/testing/co-signed-world.js';
import { LmdbTables } from '../storage/lmdb-tables.ts';
import { CO_SIGNED_KEPT, CoSigningStore } from './co-signing-store.ts';

test('QUANTUM-2.5: ends of epochs stay, other checkpoints go with their blocks and in number; keys are kept once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'itc-co-signed-'));
  try {
    const tables = await LmdbTables.open({ folder });
    const world = new CoSignedWorld([slidingMembers(0), slidingMembers(1)]);
    const closing = world.hop(0);
    const store = new CoSigningStore(tables);
    const { coSignatures, header, stateRoot, successors } = closing;
    assert.equal(header.flags, HEADER_FLAGS.closes);
    await store.put({ header, stateRoot, successors }, coSignatures, 0);
    const at = (of: number): typeof header => ({ ...header, flags: 0, height: of as typeof header.height });
    for (let i = 1; i <= CO_SIGNED_KEPT + 3; i += 1)
      await store.put({ header: at(100 * i), stateRoot, successors: undefined }, [], 0);
    assert.equal(store.entry(300), undefined);
    assert.ok(store.entry(400));
    await store.put(
      { header: at(99_999), stateRoot, successors: undefined },
      coSignatures.slice(0, 1),
      9_950,
    );
    assert.equal(store.entry(9_900), undefined);
    assert.ok(store.entry(10_000));
    // A second look at the same disk.
    for (const each of [store, new CoSigningStore(tables)]) {
      assert.deepEqual(each.hop(header.height), closing);
      assert.deepEqual(each.successorsOf(0), world.coSigners(1));
      assert.deepEqual(
        each.boundaries().map(({ header: { epoch } }) => epoch),
        [0],
      );
      assert.deepEqual(each.checkpoint(99_999)?.coSignatures, coSignatures.slice(0, 1));
      assert.equal([...each.newest()][0]?.header.height, 99_999);
    }
    assert.equal(tables.table('co-signing-keys').count(), 4);
    assert.equal(tables.table('co-signed').count(), CO_SIGNED_KEPT - 96 + 2);
    await tables[Symbol.asyncDispose]();
  } finally {
    await rm(folder, { recursive: true });
  }
});
