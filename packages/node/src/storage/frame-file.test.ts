import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../random.ts';
import { FrameFile, FRAME_OVERHEAD_BYTES } from './frame-file.ts';
import { MemoryDisk } from './memory-disk.ts';

const path = '/d/log';
const random = new SeededRandom(1);

function open(disk: MemoryDisk): { file: FrameFile; bodies: Uint8Array[] } {
  const bodies: Uint8Array[] = [];
  const file = FrameFile.open({
    disk,
    path,
    random,
    bodyBytesMax: 5000,
    visit: (body) => bodies.push(body.slice()),
  });
  return { file, bodies };
}

const body = fc.uint8Array({ maxLength: 1500 });

test('frames come back in order after reopening, by offset too', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(body, { maxLength: 8 }), async (bodies) => {
      const disk = new MemoryDisk();
      const { file } = open(disk);
      await file.sync();
      const offsets = file.append(bodies);
      await file.sync();
      const again = open(disk);
      assert.deepEqual(again.bodies, bodies);
      for (const [i, offset] of offsets.entries()) assert.deepEqual(again.file.read(offset), bodies[i]);
    }),
    { numRuns: 50 },
  );
});

test('after a crash at any moment all synced frames are there, then a prefix of the others, and never damage', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(body, { maxLength: 6 }),
      fc.array(body, { maxLength: 6 }),
      fc.nat(),
      async (synced, unsynced, seed) => {
        const disk = new MemoryDisk();
        const { file } = open(disk);
        await file.sync();
        file.append(synced);
        await file.sync();
        await disk.syncFolder('/d');
        for (const one of unsynced) file.append([one]);
        const after = disk.crash(new SeededRandom(seed));
        const { bodies } = open(after);
        assert.ok(bodies.length >= synced.length);
        assert.deepEqual(bodies, [...synced, ...unsynced].slice(0, bodies.length));
      },
    ),
    { numRuns: 150 },
  );
});

test('one flipped bit in a frame that was durable when a later one was written is reported, not dropped', async () => {
  const disk = new MemoryDisk();
  const { file } = open(disk);
  await file.sync();
  const [first] = file.append([new Uint8Array(100).fill(1)]);
  await file.sync();
  file.append([new Uint8Array(100).fill(2)]);
  await file.sync();
  for (const at of [0, 4, 5, 8, 12, FRAME_OVERHEAD_BYTES, FRAME_OVERHEAD_BYTES + 99]) {
    disk.flipBit(path, (first as number) + at);
    assert.throws(() => open(disk), { code: 'storage.corrupt', message: /byte 16/ });
    assert.throws(() => file.read(first as number), { code: 'storage.corrupt' });
    disk.flipBit(path, (first as number) + at);
  }
  assert.equal(open(disk).bodies.length, 2);
});

test('bytes that look like a frame of another file are not taken for one', async () => {
  const other = new MemoryDisk();
  const forged = open(other).file;
  await forged.sync();
  forged.append([new Uint8Array(10).fill(7)]);
  const frame = other.open(path).read(16, FRAME_OVERHEAD_BYTES + 10);
  const disk = new MemoryDisk();
  const { file } = open(disk);
  await file.sync();
  file.append([frame]);
  const torn = disk.open(path);
  torn.truncate(torn.size() - 1);
  const again = open(disk);
  assert.deepEqual(again.bodies, []);
  assert.equal(again.file.droppedBytes, 2 * FRAME_OVERHEAD_BYTES + 9);
});

test('a full disk refuses the whole batch; the file is as before and takes what fits', async () => {
  const disk = new MemoryDisk(1000);
  const { file } = open(disk);
  await file.sync();
  file.append([new Uint8Array(400)]);
  assert.throws(() => file.append([new Uint8Array(300), new Uint8Array(300)]), { code: 'storage.full' });
  file.append([new Uint8Array(300)]);
  assert.deepEqual(
    open(disk).bodies.map((one) => one.length),
    [400, 300],
  );
});

test('after a failed sync nothing more is promised until the file is opened again', async () => {
  const disk = new MemoryDisk();
  const { file } = open(disk);
  await file.sync();
  file.append([new Uint8Array(4)]);
  disk.failSyncs();
  await assert.rejects(file.sync(), { code: 'storage.failed' });
  await assert.rejects(file.sync(), { code: 'storage.failed' });
  assert.throws(() => file.append([new Uint8Array(4)]), { code: 'storage.failed' });
});
