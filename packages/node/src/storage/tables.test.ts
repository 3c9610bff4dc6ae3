/** The contract of the tables port, run against LMDB and the fake. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes, toHex } from '@itc/core/bytes/hex.js';
import type { RangeOptions, Tables } from '../ports.ts';
import { LmdbTables } from './lmdb-tables.ts';
import { MemoryTables } from './memory-tables.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

async function temporary(): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'itc-tables-'));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

function contract(name: string, open: (folder: string) => Promise<Tables>): void {
  test(`${name}: a batch changes several tables at once, the last change of a key wins, undefined removes`, async () => {
    await using at = await temporary();
    await using tables = await open(at.folder);
    await tables.commit([
      { table: 'a', key: bytes(1), value: bytes(1) },
      { table: 'b', key: bytes(1), value: bytes(2) },
      { table: 'a', key: bytes(2), value: bytes(3) },
      { table: 'a', key: bytes(2), value: undefined },
      { table: 'a', key: bytes(1), value: bytes(4) },
      { table: 'b', key: bytes(9), value: bytes() },
    ]);
    const [a, b] = [tables.table('a'), tables.table('b')];
    assert.deepEqual(
      [a.get(bytes(1)), a.get(bytes(2)), b.get(bytes(1)), b.get(bytes(9))],
      [bytes(4), undefined, bytes(2), bytes()],
    );
    assert.deepEqual([a.has(bytes(1)), a.has(bytes(2)), b.has(bytes(9))], [true, false, true]);
    assert.deepEqual([a.count(), b.count(), tables.table('c').count()], [1, 2, 0]);
    await tables.flush();
  });

  test(`${name}: what is read belongs to the reader`, async () => {
    await using at = await temporary();
    await using tables = await open(at.folder);
    const value = bytes(1, 2);
    await tables.commit([{ table: 'a', key: bytes(1), value }]);
    value[0] = 9;
    const read = tables.table('a').get(bytes(1));
    assert.deepEqual(read, bytes(1, 2));
    read?.fill(7);
    assert.deepEqual(tables.table('a').get(bytes(1)), bytes(1, 2));
    assert.equal(read?.constructor, Uint8Array);
  });

  test(`${name}: a view shows the value while it is read, and nothing where there is none`, async () => {
    await using at = await temporary();
    await using tables = await open(at.folder);
    const value = new Uint8Array(20_000).map((_, i) => i & 255);
    await tables.commit([{ table: 'a', key: bytes(1), value }]);
    const table = tables.table('a');
    assert.deepEqual(
      table.view(bytes(1), (seen) => new Uint8Array(seen)),
      value,
    );
    assert.equal(
      table.view(bytes(2), () => assert.fail()),
      undefined,
    );
  });

  test(`${name}: ranges are in byte order, half open, either way, limited`, async () => {
    await using at = await temporary();
    await using tables = await open(at.folder);
    const key = fc.uint8Array({ minLength: 1, maxLength: 3 }).map((one) => one.map((value) => value % 4));
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(key, { maxLength: 20 }),
        fc.record(
          { start: key, end: key, reverse: fc.boolean(), limit: fc.nat({ max: 9 }) },
          { requiredKeys: [] },
        ),
        async (keys, options: RangeOptions) => {
          round += 1;
          const marked = (one: Uint8Array): Uint8Array => bytes(round, ...one);
          await tables.commit(keys.map((one) => ({ table: 'a', key: marked(one), value: one })));
          const bounds: RangeOptions = {
            ...options,
            start: marked(options.start ?? bytes()),
            end: options.end === undefined ? bytes(round + 1) : marked(options.end),
          };
          const model = [...new Map(keys.map((one) => [toHex(one), one])).values()]
            .sort(compareBytes)
            .filter(
              (one) =>
                compareBytes(marked(one), bounds.start as Uint8Array) >= 0 &&
                compareBytes(marked(one), bounds.end as Uint8Array) < 0,
            );
          if (options.reverse === true) model.reverse();
          const found = [...tables.table('a').range(bounds)].map(({ value }) => value);
          assert.deepEqual(found, model.slice(0, options.limit ?? model.length));
        },
      ),
      { numRuns: 60 },
    );
  });

  test(`${name}: a key of no or too many bytes is our bug, and nothing of its batch is applied`, async () => {
    await using at = await temporary();
    await using tables = await open(at.folder);
    for (const wrong of [bytes(), new Uint8Array(513)]) {
      await assert.rejects(
        tables.commit([
          { table: 'a', key: bytes(1), value: bytes(1) },
          { table: 'a', key: wrong, value: bytes(1) },
        ]),
        RangeError,
      );
    }
    assert.equal(tables.table('a').count(), 0);
  });
}

contract('lmdb', (folder) => LmdbTables.open({ folder }));
contract('memory tables', () => Promise.resolve(new MemoryTables()));

test('lmdb: what was committed is there after reopening', async () => {
  await using at = await temporary();
  {
    await using tables = await LmdbTables.open({ folder: at.folder });
    await tables.commit(
      Array.from({ length: 500 }, (_, i) => ({
        table: 'a',
        key: bytes(i >> 8, i),
        value: new Uint8Array(300).fill(i),
      })),
    );
  }
  await using again = await LmdbTables.open({ folder: at.folder });
  assert.equal(again.table('a').count(), 500);
});

test('NODE-4.4: lmdb: too little free space refuses the batch before anything is written', async () => {
  await using at = await temporary();
  await using tables = await LmdbTables.open({ folder: at.folder, reserveBytes: 2 ** 60 });
  await assert.rejects(tables.commit([{ table: 'a', key: bytes(1), value: bytes(1) }]), {
    code: 'storage.full',
  });
  assert.equal(tables.table('a').count(), 0);
});
