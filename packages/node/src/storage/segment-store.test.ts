import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asHash, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { SeededRandom } from '../random.ts';
import { HashIndex } from './hash-index.ts';
import { MemoryDisk } from './memory-disk.ts';
import { SegmentStore } from './segment-store.ts';

const folder = '/dag';
const open = (disk: MemoryDisk): Promise<SegmentStore> =>
  SegmentStore.open({ disk, folder, random: new SeededRandom(disk.syncs), segmentBytesMin: 1000 });
const hashOf = (i: number): Hash => sha256(Uint8Array.of(i >> 8, i));
const body = (i: number): Uint8Array => new Uint8Array(50 + (i % 5) * 40).fill(i);

async function fill(store: SegmentStore, from: number, to: number, perCheckpoint: number): Promise<void> {
  for (let i = from; i < to; i += 1) {
    store.put(hashOf(i), body(i));
    if (i % perCheckpoint === perCheckpoint - 1) await store.seal((i + 1) / perCheckpoint);
  }
}

test('bodies are found by hash, at once and after reopening; a second put changes nothing', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk);
  await fill(store, 0, 100, 10);
  store.put(hashOf(5), body(6));
  for (let round = 0; round < 2; round += 1) {
    const current = round === 0 ? store : await open(disk);
    for (let i = 0; i < 100; i += 1) assert.deepEqual(current.get(hashOf(i)), body(i));
    assert.equal(current.get(hashOf(100)), undefined);
    assert.equal(current.count, 100);
  }
});

test('a hash that shares 64 bits with another is told apart', async () => {
  const store = await open(new MemoryDisk());
  const near = (last: number): Hash => asHash(new Uint8Array(32).fill(9).fill(last, 31));
  store.put(near(1), body(1));
  store.put(near(2), body(2));
  assert.deepEqual(
    [store.get(near(1)), store.get(near(2)), store.get(near(3))],
    [body(1), body(2), undefined],
  );
});

test('NODE-4.5: pruning unlinks what belongs to older checkpoints only, and stays so after reopening', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk);
  await fill(store, 0, 200, 10);
  const before = disk.list(folder).length;
  const freed = store.prune(15);
  assert.ok(freed > 1000 && disk.list(folder).length < before);
  for (const current of [store, await open(disk)]) {
    assert.equal(current.get(hashOf(0)), undefined);
    for (let i = 150; i < 200; i += 1) assert.deepEqual(current.get(hashOf(i)), body(i));
  }
  assert.equal(store.prune(15), 0);
});

test('NODE-4.1: a crash loses no body that was synced; lost indexes are rebuilt', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60 }),
      fc.nat({ max: 10 }),
      fc.nat(),
      fc.boolean(),
      async (synced, unsynced, seed, withIndexes) => {
        const disk = new MemoryDisk();
        const store = await open(disk);
        await fill(store, 0, synced, 7);
        await store.sync();
        for (let i = synced; i < synced + unsynced; i += 1) store.put(hashOf(i), body(i));
        const after = disk.crash(new SeededRandom(seed));
        if (!withIndexes)
          for (const name of after.list(folder)) if (name.endsWith('.idx')) after.remove(`${folder}/${name}`);
        const again = await open(after);
        for (let i = 0; i < synced; i += 1) assert.deepEqual(again.get(hashOf(i)), body(i), `body ${i}`);
        for (let i = synced; i < synced + unsynced; i += 1)
          assert.ok([undefined, i & 255].includes(again.get(hashOf(i))?.[0]));
      },
    ),
    { numRuns: 60 },
  );
});

test('bodies put while a segment is being sealed go into the next, and sync covers both', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk);
  for (let i = 0; i < 20; i += 1) store.put(hashOf(i), body(i));
  const sealing = store.seal(1);
  store.put(hashOf(20), body(20));
  await store.sync();
  const after = disk.crash(new SeededRandom(1));
  const again = await open(after);
  for (let i = 0; i <= 20; i += 1) assert.deepEqual(again.get(hashOf(i)), body(i));
  await sealing;
});

test('NODE-4.4: a full disk refuses the body and keeps the others', async () => {
  const disk = new MemoryDisk(1500);
  const store = await open(disk);
  let i = 0;
  assert.throws(
    () => {
      for (; ; i += 1) store.put(hashOf(i), body(i));
    },
    { code: 'storage.full' },
  );
  assert.equal(store.has(hashOf(i)), false);
  for (let k = 0; k < i; k += 1) assert.deepEqual(store.get(hashOf(k)), body(k));
});

test('the index agrees with a map, through growth and drops', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ key: fc.nat({ max: 500 }), segment: fc.nat({ max: 9 }) }), { maxLength: 300 }),
      fc.nat({ max: 9 }),
      (adds, floor) => {
        const index = new HashIndex(new SeededRandom(1), 8);
        const model = new Map<number, number>();
        for (const { key, segment } of adds) {
          if (model.has(key)) continue;
          model.set(key, segment);
          index.add(hashOf(key), { segment, offset: key });
        }
        index.dropBelow(floor);
        for (const [key, segment] of model) {
          const found = index.get(hashOf(key), () => true);
          assert.deepEqual(found, segment >= floor ? { segment, offset: key } : undefined);
        }
      },
    ),
    { numRuns: 50 },
  );
});
