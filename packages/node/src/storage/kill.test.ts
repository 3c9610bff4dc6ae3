/** kill -9 on a real process that writes real files: everything it acknowledged is there afterwards. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemRandom } from '../random.ts';
import { BlockLog } from './block-log.ts';
import { LmdbTables } from './lmdb-tables.ts';
import { nodeDisk as disk } from './node-disk.ts';
import { WriteAheadLog } from './write-ahead-log.ts';

const random = systemRandom;
const key = (i: number): Uint8Array => Uint8Array.of(i >> 16, i >> 8, i);

interface Stores {
  readonly log: WriteAheadLog;
  readonly records: readonly Uint8Array[];
  readonly blocks: BlockLog;
  readonly tables: LmdbTables;
}

async function openAll(folder: string): Promise<Stores> {
  const { log, records } = await WriteAheadLog.open({ disk, random, folder: join(folder, 'wal') });
  const blocks = await BlockLog.open({ disk, random, folder: join(folder, 'blocks'), segmentBytes: 100_000 });
  return { log, records, blocks, tables: await LmdbTables.open({ folder: join(folder, 'tables') }) };
}

/** Runs in the child: writes until it is killed, and tells what is durable. */
async function writeForever(folder: string): Promise<never> {
  const { log, blocks, tables } = await openAll(folder);
  for (let i = blocks.last + 1; ; i += 1) {
    await log.append([key(i)]);
    blocks.append(i, new Uint8Array(1000).fill(i), key(i));
    await blocks.sync();
    const changes = ['left', 'right'].flatMap((table) =>
      Array.from({ length: 20 }, (_, k) => ({ table, key: Uint8Array.of(k), value: key(i) })),
    );
    await tables.commit(changes);
    process.send?.(i);
  }
}

if (process.argv[2] === 'write') await writeForever(process.argv[3] as string);

test('NODE-4.1: kill -9 in the middle of writing loses nothing that was acknowledged and tears no batch', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'itc-kill-'));
  try {
    for (const lifeMs of [40, 90]) {
      const child = fork(fileURLToPath(import.meta.url), ['write', folder], { execArgv: [] });
      let told = 0;
      child.on('message', (i) => (told = i as number));
      await once(child, 'message');
      setTimeout(() => child.kill('SIGKILL'), lifeMs);
      await once(child, 'close');
      const { log, records, blocks, tables } = await openAll(folder);
      assert.ok(told > 0 && blocks.last >= told && records.length >= told);
      for (let i = 1; i <= blocks.last; i += 1) assert.deepEqual(blocks.get(i)?.certificate, key(i));
      const values = ['left', 'right'].flatMap((table) =>
        [...tables.table(table).range()].map(({ value }) => value),
      );
      assert.equal(values.length, 40);
      for (const value of values) assert.deepEqual(value, values[0]);
      await log.compact([...records]);
      await Promise.all([log.close(), blocks.close(), tables.close()]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
