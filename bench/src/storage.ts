/**
 * The storage engines under the ledger's own access pattern: certified blocks appended and synced one by one,
 * state written in the order of hashes, bodies stored and read by hash, small records a message waits for.
 * Each pattern runs on the file form we chose and on LMDB, in turns within each round.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asHash } from '@itc/core/crypto/hash.js';
import { sha256Native } from '@itc/node/crypto/native.js';
import { SeededRandom } from '@itc/node/random.js';
import { BlockLog } from '@itc/node/storage/block-log.js';
import { LmdbTables } from '@itc/node/storage/lmdb-tables.js';
import { nodeDisk as disk } from '@itc/node/storage/node-disk.js';
import { SegmentStore } from '@itc/node/storage/segment-store.js';
import { WriteAheadLog } from '@itc/node/storage/write-ahead-log.js';
import { figure, type BenchOptions, type Result } from './result.ts';

export const name = 'storage';

const BLOCK_BYTES = 500 * 250;
const CERTIFICATE_BYTES = 350;
const STATE_CHANGES = 1000;
const STATE_VALUE_BYTES = 100;
const BODY_BYTES = 300;
const BODIES_PER_SYNC = 500;
const RECORD_BYTES = 400;
const WAITING_MESSAGES = 16;

/** One way to do a piece of work, and how many units of it one call does. */
interface Contender {
  readonly work: string;
  readonly engine: 'files' | 'lmdb';
  readonly unit: string;
  readonly units: number;
  readonly run: (round: number) => Promise<void>;
}

export async function run(options: BenchOptions): Promise<Result[]> {
  const folder = await mkdtemp(join(tmpdir(), 'itc-bench-storage-'));
  options.log(`files in ${folder}`);
  try {
    const random = new SeededRandom(options.seed);
    await using blocks = await BlockLog.open({ disk, random, folder: join(folder, 'blocks') });
    await using segments = await SegmentStore.open({ disk, random, folder: join(folder, 'segments') });
    const { log } = await WriteAheadLog.open({ disk, random, folder: join(folder, 'wal') });
    await using wal = log;
    await using tables = await LmdbTables.open({ folder: join(folder, 'tables') });
    const contenders = contendersOver({ blocks, segments, wal, tables, random });
    const rates = await measure(contenders, options.quick ? 6 : 30);
    return contenders.flatMap((contender) => figureOf(contender, contenders, rates));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function contendersOver(parts: {
  readonly blocks: BlockLog;
  readonly segments: SegmentStore;
  readonly wal: WriteAheadLog;
  readonly tables: LmdbTables;
  readonly random: SeededRandom;
}): readonly Contender[] {
  const { blocks, segments, wal, tables, random } = parts;
  const block = random.bytes(BLOCK_BYTES);
  const certificate = random.bytes(CERTIFICATE_BYTES);
  const record = random.bytes(RECORD_BYTES);
  const heightKey = (height: number): Uint8Array => {
    const key = new Uint8Array(8);
    new DataView(key.buffer).setUint32(4, height);
    return key;
  };
  // Drawn cheaply, so that what is timed is the storage: keys by hashing a counter, bodies out of one random block.
  let drawn = 0;
  const hashes = (count: number): Uint8Array[] =>
    Array.from({ length: count }, () => {
      drawn += 1;
      return sha256Native(heightKey(drawn));
    });
  const bytesAt = (i: number, length: number): Uint8Array =>
    block.subarray((i * 61) % 60_000, ((i * 61) % 60_000) + length);
  const bodies = (count: number): { hash: Uint8Array; body: Uint8Array }[] =>
    hashes(count).map((hash, i) => ({ hash, body: bytesAt(i, BODY_BYTES) }));
  const known: Uint8Array[] = [];
  return [
    {
      work: 'certified block of 500 records appended and synced', engine: 'files', unit: 'blocks/s', units: 10,
      run: async () => {
        for (let i = 0; i < 10; i += 1) {
          blocks.append(blocks.last + 1, block, certificate);
          await blocks.sync();
        }
      },
    },
    {
      work: 'certified block of 500 records appended and synced', engine: 'lmdb', unit: 'blocks/s', units: 10,
      run: async (round) => {
        for (let i = 0; i < 10; i += 1) {
          await tables.commit([{ table: 'blocks', key: heightKey(10 * round + i), value: block }, { table: 'certificates', key: heightKey(10 * round + i), value: certificate }]);
          await tables.flush();
        }
      },
    },
    {
      work: 'block read by height', engine: 'files', unit: 'blocks/s', units: 200,
      run: async () => {
        for (let i = 0; i < 200; i += 1) blocks.get(1 + Math.floor(random.uniform() * blocks.last));
        await Promise.resolve();
      },
    },
    {
      work: 'state records written in hash order', engine: 'lmdb', unit: 'records/s', units: STATE_CHANGES,
      run: async () => {
        await tables.commit(hashes(STATE_CHANGES).map((key, i) => ({ table: 'state', key, value: bytesAt(i, STATE_VALUE_BYTES) })));
        await tables.flush();
      },
    },
    {
      work: 'bodies stored by hash', engine: 'files', unit: 'bodies/s', units: BODIES_PER_SYNC,
      run: async () => {
        for (const { hash, body } of bodies(BODIES_PER_SYNC)) {
          segments.put(asHash(hash), body);
          known.push(hash);
        }
        await segments.sync();
      },
    },
    {
      work: 'bodies stored by hash', engine: 'lmdb', unit: 'bodies/s', units: BODIES_PER_SYNC,
      run: async () => {
        await tables.commit(bodies(BODIES_PER_SYNC).map(({ hash, body }) => ({ table: 'bodies', key: hash, value: body })));
        await tables.flush();
      },
    },
    {
      work: 'bodies read by hash', engine: 'files', unit: 'bodies/s', units: 2000,
      run: async () => {
        for (let i = 0; i < 2000; i += 1) segments.get(asHash(known[Math.floor(random.uniform() * known.length)] as Uint8Array));
        await Promise.resolve();
      },
    },
    {
      work: `write-ahead records, ${WAITING_MESSAGES} waiting at once`, engine: 'files', unit: 'records/s', units: 20 * WAITING_MESSAGES,
      run: async () => {
        for (let i = 0; i < 20; i += 1) await Promise.all(Array.from({ length: WAITING_MESSAGES }, () => wal.append([record])));
      },
    },
    {
      work: `write-ahead records, one at a time`, engine: 'files', unit: 'records/s', units: 20,
      run: async () => {
        for (let i = 0; i < 20; i += 1) await wal.append([record]);
      },
    },
  ]; // prettier-ignore
}

/** Units a second, per contender and round. Contenders take turns, so that a slow moment of the disk meets all of them. */
async function measure(
  contenders: readonly Contender[],
  rounds: number,
): Promise<ReadonlyMap<Contender, readonly number[]>> {
  const rates = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const contender of contenders) {
      const started = performance.now();
      await contender.run(round);
      const seconds = (performance.now() - started) / 1000;
      // The first round warms up code and files.
      if (round > 0) rates.get(contender)?.push(contender.units / seconds);
    }
  }
  return rates;
}

/** A pattern that two engines do is one figure: the files', held against LMDB's. */
function figureOf(
  contender: Contender,
  all: readonly Contender[],
  rates: ReadonlyMap<Contender, readonly number[]>,
): Result[] {
  const rival = all.find((other) => other.work === contender.work && other !== contender);
  if (rival !== undefined && contender.engine === 'lmdb') return [];
  const peer = rival && { name: rival.engine, samples: rates.get(rival) ?? [], better: 'more' as const };
  return [
    figure(`${contender.work} (${contender.engine})`, contender.unit, rates.get(contender) ?? [], peer),
  ];
}
