import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { SeededRandom } from '../random.ts';
import { LmdbTables } from '../storage/lmdb-tables.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { nodeDisk } from '../storage/node-disk.ts';
import { chainId, GrownChain } from '../testing/grown-chain.ts';
import { SyncWorld } from '../testing/sync-world.ts';
import { prepareBlock } from './prepared-block.ts';

installNativeCrypto();

const BLOCKS = 5_000;
const ANCHOR = 4_992;

test('SNAPSHOT-9: a process five thousand blocks behind is current without executing them, on real disks, and stays so when it starts again', async () => {
  const source = await GrownChain.open({
    disk: new MemoryDisk(),
    folder: '/blocks',
    tables: new MemoryTables(),
    random: new SeededRandom(1),
  });
  for (let i = 0; i < 5; i += 1) await source.grow(1, source.payments(400));
  await source.grow(BLOCKS - source.chain.height);
  const data = mkdtempSync(join(tmpdir(), 'itc-state-sync-'));
  const folder = join(data, 'blocks');
  const tables = await LmdbTables.open({ folder: join(data, 'tables') });
  try {
    const take = async (to: GrownChain, at: number): Promise<void> => {
      const stored = source.chain.blockAt(at);
      assert.ok(stored);
      const block = await prepareBlock(chainId, stored.block, 'certified', () => undefined);
      assert.ok(block.ok);
      await to.chain.commit([{ block: block.value, certificate: stored.certificate }]);
    };
    const world = new SyncWorld();
    for (const name of ['a', 'b', 'c']) await world.serve(name, source, { anchors: [ANCHOR] });
    const reader = await world.read('behind', { disk: nodeDisk, folder, tables, boundBlocks: 2_000 });
    for (let at = 1; at <= 8; at += 1) await take(reader.grown, at);
    const { chain } = reader.grown;
    let executed = 0;
    chain.onCommitted(() => (executed += 1));
    reader.sync.consider();
    await reader.sync.idle();
    assert.equal(chain.height, ANCHOR);
    for (let at = ANCHOR + 1; at <= BLOCKS; at += 1) await take(reader.grown, at);
    assert.equal(executed, BLOCKS - ANCHOR);
    assert.equal(toHex(chain.state.root), toHex(source.chain.state.root));
    assert.equal(toHex(chain.tipHash), toHex(source.chain.tipHash));
    await reader.grown.close();

    const again = await GrownChain.open({ disk: nodeDisk, folder, tables, random: new SeededRandom(2) });
    assert.equal(again.chain.height, BLOCKS);
    assert.equal(toHex(again.chain.state.root), toHex(source.chain.state.root));
    await again.close();
  } finally {
    await tables.close();
    rmSync(data, { recursive: true, force: true });
  }
});
