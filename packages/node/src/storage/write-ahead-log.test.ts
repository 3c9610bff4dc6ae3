import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../random.ts';
import { MemoryDisk } from './memory-disk.ts';
import { WriteAheadLog } from './write-ahead-log.ts';

const folder = '/wal';
const open = (disk: MemoryDisk): ReturnType<typeof WriteAheadLog.open> =>
  WriteAheadLog.open({ disk, folder, random: new SeededRandom(disk.syncs) });
const record = (i: number, length = 40): Uint8Array => new Uint8Array(length).fill(i);
const firsts = (records: readonly Uint8Array[]): (number | undefined)[] => records.map((one) => one[0]);

test('appends of one turn share one fdatasync, and come back in order', async () => {
  const disk = new MemoryDisk();
  const { log } = await open(disk);
  const before = disk.syncs;
  await Promise.all([1, 2, 3, 4, 5].map((i) => log.append([record(i)])));
  assert.equal(disk.syncs - before, 1);
  await log.close();
  assert.deepEqual(firsts((await open(disk)).records), [1, 2, 3, 4, 5]);
});

test('records that are only written cost no fdatasync, and are durable with the next append, be it of nothing', async () => {
  const disk = new MemoryDisk();
  const { log } = await open(disk);
  const before = disk.syncs;
  await log.write([record(1)]);
  await log.write([record(2)]);
  assert.equal(disk.syncs, before);
  assert.equal(log.isDurable, false);
  await log.append([]);
  assert.equal(disk.syncs - before, 1);
  assert.equal(log.isDurable, true);
  assert.deepEqual(firsts((await open(disk.crash(new SeededRandom(1)))).records), [1, 2]);
});

interface Step {
  readonly kind: 'append' | 'compact';
  readonly count: number;
  /** How many turns of the event loop the caller waits; without end for `undefined`. */
  readonly patience: number | undefined;
}

/** Contents the log has after a step, and the number of records that step may not come back without. */
interface Version {
  readonly records: readonly number[];
  readonly floor: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('append', 'append', 'compact'),
  count: fc.nat({ max: 3 }),
  patience: fc.constantFrom(undefined, 0, 3, 9, 20),
});

test('NODE-4.1: a crash at any moment loses no record that was acknowledged, with compactions in between', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.nat(), async (steps, seed) => {
      const disk = new MemoryDisk();
      const { log } = await open(disk);
      let next = 0;
      let acknowledged = 0;
      const versions: Version[] = [{ records: [], floor: 0 }];
      for (const [i, { kind, count, patience }] of steps.entries()) {
        const added = Array.from({ length: count }, () => (next += 1));
        const before = versions[i] as Version;
        if (kind === 'compact') versions.push({ records: added, floor: added.length });
        else versions.push({ records: [...before.records, ...added], floor: before.floor });
        const written = added.map((value) => record(value, 300));
        const done = (kind === 'compact' ? log.compact(written) : log.append(written)).then(
          () => (acknowledged = i + 1),
        );
        if (patience === undefined) await done;
        else for (let turn = 0; turn < patience; turn += 1) await Promise.resolve();
      }
      const after = disk.crash(new SeededRandom(seed));
      // What runs on after the crash must not count: take stock before anything is awaited.
      const promised = (versions[acknowledged] as Version).records;
      const candidates = versions.slice(acknowledged);
      const found = firsts((await open(after)).records);
      const isLegal = candidates.some(({ records, floor }) => {
        const continues = promised.every((value, k) => records[k] === value);
        const least = Math.max(floor, continues ? promised.length : 0);
        return (
          found.length >= least && JSON.stringify(records.slice(0, found.length)) === JSON.stringify(found)
        );
      });
      assert.ok(isLegal, `${JSON.stringify(found)} of ${JSON.stringify(candidates)}`);
    }),
    { numRuns: 150 },
  );
});

test('compaction keeps what it is told, drops the rest, and later appends follow', async () => {
  const disk = new MemoryDisk();
  const { log } = await open(disk);
  await log.append(Array.from({ length: 50 }, (_, i) => record(i)));
  const size = log.size;
  const compacted = log.compact([record(200)]);
  await Promise.all([compacted, log.append([record(201)])]);
  assert.ok(log.size < size);
  assert.deepEqual(firsts((await open(disk)).records), [200, 201]);
  assert.equal(disk.list(folder).length, 1);
});

test('NODE-4.4: a full disk rejects the append and nothing else; a compaction that does not fit leaves the old log', async () => {
  const disk = new MemoryDisk(1200);
  const { log } = await open(disk);
  await log.append([record(1, 500)]);
  await assert.rejects(log.append([record(2, 900)]), { code: 'storage.full' });
  await assert.rejects(log.compact([record(3, 900)]), { code: 'storage.full' });
  await log.append([record(4, 100)]);
  assert.deepEqual(firsts((await open(disk)).records), [1, 4]);
});

test('NODE-4.3: rot before the tail is reported with its place', async () => {
  const disk = new MemoryDisk();
  const { log } = await open(disk);
  await log.append([record(1)]);
  await log.append([record(2)]);
  disk.flipBit(`${folder}/wal-000000000001.log`, 40);
  await assert.rejects(open(disk), { code: 'storage.corrupt' });
});

test('a closed log refuses, and a log that is behind refuses rather than grow', async () => {
  const disk = new MemoryDisk();
  const { log } = await WriteAheadLog.open({
    disk,
    folder,
    random: new SeededRandom(1),
    waitingBytesMax: 100,
  });
  const first = log.append([record(1, 80)]);
  await assert.rejects(log.append([record(2, 80)]), { code: 'not-ready' });
  await first;
  await log.close();
  await assert.rejects(log.append([record(3)]), { code: 'not-ready' });
});
