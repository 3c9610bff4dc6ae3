import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import { height } from '@itc/core/ledger/ids.js';
import { MemoryTables } from '../storage/memory-tables.ts';
import { TransactionIndex, type TransactionPlace } from './transaction-index.ts';

const idOf = (of: number, index: number): Hash => sha256(Uint8Array.of(of >> 8, of, index >> 8, index));
const always = (): boolean => true;

async function add(
  tables: MemoryTables,
  index: TransactionIndex,
  blocks: readonly (readonly [of: number, count: number])[],
): Promise<void> {
  const { changes, written } = index.add(
    blocks.map(([of, count]) => ({
      height: height(of),
      ids: Array.from({ length: count }, (_, i) => idOf(of, i)),
    })),
  );
  await tables.commit(changes);
  written();
}

test('NODE-4.8: every transaction is found at its place through merges and a restart, and no other', async () => {
  const counts = fc.array(fc.oneof(fc.nat(3), fc.integer({ min: 200, max: 700 })), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(counts, fc.integer({ min: 1, max: 3 }), async (sizes, together) => {
      const tables = new MemoryTables();
      let index = new TransactionIndex(tables);
      for (let at = 0; at < sizes.length; at += together) {
        const some = sizes.slice(at, at + together);
        await add(
          tables,
          index,
          some.map((count, i) => [at + i + 1, count] as const),
        );
        if (at % 20 === 10) index = new TransactionIndex(tables);
      }
      for (const [i, count] of sizes.entries()) {
        for (const position of [0, 1, count - 1].filter((at) => at >= 0 && at < count)) {
          const place: TransactionPlace = { height: height(i + 1), index: position };
          assert.deepEqual(index.find(idOf(i + 1, position), always), place);
        }
        assert.equal(index.find(idOf(i + 1, count), always), undefined);
      }
    }),
    { numRuns: 20 },
  );
});

test('NODE-4.8: of ids that begin alike, the one whose whole is right is found', async () => {
  const tables = new MemoryTables();
  const index = new TransactionIndex(tables);
  await add(tables, index, [
    [1, 2],
    [2, 1],
  ]);
  const id = idOf(1, 1);
  assert.equal(
    index.find(id, ({ height: of }) => of !== 1),
    undefined,
  );
  assert.deepEqual(
    index.find(id, ({ height: of }) => of === 1),
    { height: 1, index: 1 },
  );
});

test('NODE-4.8: runs stay few as blocks become many, and those of pruned blocks go', async () => {
  const tables = new MemoryTables();
  const index = new TransactionIndex(tables);
  for (let of = 1; of <= 600; of += 1) await add(tables, index, [[of, 2]]);
  assert.ok(index.size < 50, `${index.size} runs`);
  const { changes, written } = index.prune(601);
  await tables.commit(changes);
  written();
  assert.equal(index.size, 0);
  assert.equal(tables.table('transaction-ids').count() + tables.table('transaction-runs').count(), 0);
});
