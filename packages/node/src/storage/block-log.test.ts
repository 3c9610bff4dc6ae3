import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../random.ts';
import { BlockLog } from './block-log.ts';
import { MemoryDisk } from './memory-disk.ts';

const folder = '/blocks';
const open = (disk: MemoryDisk): Promise<BlockLog> =>
  BlockLog.open({ disk, folder, random: new SeededRandom(disk.syncs), segmentBytes: 4000 });
const block = (height: number): Uint8Array => new Uint8Array(200 + (height % 7) * 100).fill(height);
const certificate = (height: number): Uint8Array => new Uint8Array(64).fill(255 - height);

async function fill(log: BlockLog, from: number, to: number): Promise<void> {
  for (let height = from; height <= to; height += 1) {
    log.append(height, block(height), certificate(height));
    if (height % 3 === 0) await log.sync();
  }
}

function check(log: BlockLog, from: number, to: number): void {
  assert.equal(log.first, from);
  assert.equal(log.last, to);
  for (let height = from; height <= to; height += 1) {
    assert.deepEqual(log.get(height), { height, block: block(height), certificate: certificate(height) });
  }
  assert.equal(log.get(from - 1), undefined);
  assert.equal(log.get(to + 1), undefined);
}

test('blocks of many segments are found by height, at once and after reopening', async () => {
  const disk = new MemoryDisk();
  const log = await open(disk);
  assert.deepEqual([log.first, log.last, log.get(1)], [0, 0, undefined]);
  await fill(log, 1, 60);
  check(log, 1, 60);
  await log.close();
  assert.ok(disk.list(folder).filter((name) => name.endsWith('.blocks')).length > 4);
  const again = await open(disk);
  check(again, 1, 60);
  assert.deepEqual(
    [...again.entries(58)].map(({ height }) => height),
    [58, 59, 60],
  );
  await fill(again, 61, 90);
  check(again, 1, 90);
});

test('a log may begin at any height and then goes on without gaps', async () => {
  const log = await open(new MemoryDisk());
  await fill(log, 1000, 1010);
  assert.equal(log.first, 1000);
  assert.throws(() => log.append(1012, block(1), certificate(1)), RangeError);
  assert.throws(() => log.append(1010, block(1), certificate(1)), RangeError);
});

test('NODE-4.1: a crash loses no block that was synced, and what else comes back is a prefix', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 40 }),
      fc.nat({ max: 10 }),
      fc.nat(),
      async (synced, unsynced, seed) => {
        const disk = new MemoryDisk();
        const log = await open(disk);
        await fill(log, 1, synced);
        await log.sync();
        for (let height = synced + 1; height <= synced + unsynced; height += 1)
          log.append(height, block(height), certificate(height));
        const after = disk.crash(new SeededRandom(seed));
        const again = await open(after);
        assert.ok(
          again.last >= synced && again.last <= synced + unsynced,
          `${again.last} of ${synced}+${unsynced}`,
        );
        if (again.last > 0) check(again, 1, again.last);
        await fill(again, again.last + 1, again.last + 4);
        check(await open(after), 1, again.last);
      },
    ),
    { numRuns: 60 },
  );
});

test('NODE-4.2: lost and damaged indexes are rebuilt from the segments', async () => {
  const disk = new MemoryDisk();
  const log = await open(disk);
  await fill(log, 1, 60);
  await log.close();
  const indexes = disk.list(folder).filter((name) => name.endsWith('.idx'));
  assert.ok(indexes.length > 2);
  disk.remove(`${folder}/${indexes[0]}`);
  disk.flipBit(`${folder}/${indexes[1]}`, 40);
  check(await open(disk), 1, 60);
});

test('NODE-4.3: a missing segment and a damaged block are reported', async () => {
  const disk = new MemoryDisk();
  const log = await open(disk);
  await fill(log, 1, 60);
  await log.close();
  const segments = disk.list(folder).filter((name) => name.endsWith('.blocks'));
  disk.flipBit(`${folder}/${segments[0]}`, 100);
  const again = await open(disk);
  assert.throws(() => again.get(1), { code: 'storage.corrupt' });
  disk.remove(`${folder}/${segments[1]}`);
  await assert.rejects(open(disk), { code: 'storage.corrupt' });
});

test('NODE-4.4: a full disk refuses the block; after room was made the same block is taken', async () => {
  const disk = new MemoryDisk(3000);
  const log = await open(disk);
  await fill(log, 1, 3);
  let height = 4;
  assert.throws(
    () => {
      for (; ; height += 1) log.append(height, block(height), certificate(height));
    },
    { code: 'storage.full' },
  );
  assert.equal(log.last, height - 1);
  disk.setCapacity(1 << 20);
  await fill(log, height, height + 1);
  await log.sync();
  check(await open(disk), 1, height + 1);
});
