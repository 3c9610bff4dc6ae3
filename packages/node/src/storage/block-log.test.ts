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

test('NODE-4.5: segments below a height are unlinked, the newest one stays, and what is left is found after reopening', async () => {
  const disk = new MemoryDisk();
  const log = await open(disk);
  await fill(log, 1, 60);
  await log.sync();
  const size = log.size;
  const floor = await log.dropBelow(40);
  assert.ok(floor > 20 && floor <= 40, String(floor));
  assert.ok(log.size < size);
  check(log, floor, 60);
  await fill(log, 61, 80);
  check(log, floor, 80);
  await log.close();
  const again = await open(disk);
  check(again, floor, 80);
  const last = await again.dropBelow(1_000);
  assert.ok(last > floor);
  check(again, last, 80);
});

test('SNAPSHOT-8: after a gap the log goes on at the height of the snapshot, also when reopened', async () => {
  const disk = new MemoryDisk();
  const log = await open(disk);
  await fill(log, 1, 20);
  await log.skipTo(500);
  assert.throws(() => log.append(21, block(21), certificate(21)), RangeError);
  assert.throws(() => log.append(501, block(501), certificate(501)), RangeError);
  await fill(log, 500, 530);
  assert.deepEqual([log.first, log.runFrom(3), log.runFrom(500), log.runFrom(100)], [1, 20, 530, 0]);
  await log.close();
  const again = await open(disk);
  assert.deepEqual([again.first, again.last, again.runFrom(20)], [1, 530, 20]);
  assert.equal(again.get(499), undefined);
  assert.deepEqual(again.get(500)?.block, block(500));
  // The state of the snapshot stands: what lies before the gap goes.
  assert.equal(await again.dropBelow(500), 500);
  check(again, 500, 530);
  await again.close();
  check(await open(disk), 500, 530);
});

test('SNAPSHOT-8: what lies behind a gap goes when the snapshot was not taken over, and blocks follow as before', async () => {
  const disk = new MemoryDisk();
  const log = await open(disk);
  await fill(log, 1, 20);
  await log.skipTo(500);
  await fill(log, 500, 501);
  await log.close();
  const again = await open(disk);
  await again.dropBehindGap(20);
  check(again, 1, 20);
  await fill(again, 21, 40);
  await again.close();
  check(await open(disk), 1, 40);
});

test('SNAPSHOT-8: a crash at any moment of beginning behind a gap leaves the log as it was, or with the block', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 2 }), async (seed, step) => {
      const disk = new MemoryDisk();
      const log = await open(disk);
      await fill(log, 1, 10);
      await log.sync();
      const begun = log.skipTo(500);
      if (step >= 1) await begun;
      if (step >= 2) log.append(500, block(500), certificate(500));
      const after = disk.crash(new SeededRandom(seed));
      const again = await open(after);
      assert.ok(again.last === 10 || (step === 2 && again.last === 500), String(again.last));
      assert.equal(again.runFrom(1), 10);
      await again.dropBehindGap(10);
      await fill(again, 11, 15);
      check(again, 1, 15);
      await begun.catch(() => undefined);
    }),
    { numRuns: 60 },
  );
});
