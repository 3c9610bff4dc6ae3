/** The contract of the disk port, run against the real one and the fake. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Disk } from '../ports.ts';
import { SeededRandom } from '../random.ts';
import { MemoryDisk } from './memory-disk.ts';
import { nodeDisk } from './node-disk.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function contract(name: string, make: () => { disk: Disk; folder: string } & Disposable): void {
  test(`${name}: what is written is read back, short only at the end`, async () => {
    using at = make();
    const file = at.disk.open(join(at.folder, 'a'));
    file.write(bytes(1, 2, 3, 4), 0);
    file.write(bytes(9), 2);
    assert.deepEqual(file.read(1, 2), bytes(2, 9));
    assert.deepEqual(file.read(3, 10), bytes(4));
    assert.deepEqual(file.read(40, 10), bytes());
    assert.equal(file.size(), 4);
    await file.sync();
    file.close();
    const again = at.disk.open(join(at.folder, 'a'));
    assert.deepEqual(again.read(0, 4), bytes(1, 2, 9, 4));
    again.close();
  });

  test(`${name}: truncating shortens; a later write beyond the end leaves zeros between`, () => {
    using at = make();
    const file = at.disk.open(join(at.folder, 'a'));
    file.write(bytes(1, 2, 3), 0);
    file.truncate(1);
    file.write(bytes(7), 3);
    assert.deepEqual(file.read(0, 9), bytes(1, 0, 0, 7));
    file.close();
  });

  test(`${name}: renaming replaces, removing what is gone is fine, listing is sorted and only this folder`, async () => {
    using at = make();
    for (const name of ['c', 'a', 'b']) {
      const file = at.disk.open(join(at.folder, name));
      file.write(new TextEncoder().encode(name), 0);
      file.close();
    }
    at.disk.rename(join(at.folder, 'c'), join(at.folder, 'a'));
    at.disk.remove(join(at.folder, 'b'));
    at.disk.remove(join(at.folder, 'b'));
    await at.disk.syncFolder(at.folder);
    assert.deepEqual(at.disk.list(at.folder), ['a']);
    const file = at.disk.open(join(at.folder, 'a'));
    assert.deepEqual(file.read(0, 1), new TextEncoder().encode('c'));
    file.close();
    assert.deepEqual(at.disk.list(join(at.folder, 'missing')), []);
    assert.throws(() => at.disk.rename(join(at.folder, 'missing'), join(at.folder, 'x')), {
      code: 'storage.failed',
    });
  });
}

contract('node disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-disk-'));
  return { disk: nodeDisk, folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
});
contract('memory disk', () => ({ disk: new MemoryDisk(), folder: '/disk', [Symbol.dispose]: () => {} }));

test('memory disk: synced bytes survive every crash, unsynced ones some', async () => {
  let survived = 0;
  for (let seed = 0; seed < 40; seed += 1) {
    const disk = new MemoryDisk();
    const file = disk.open('/d/a');
    file.write(new Uint8Array(2000).fill(1), 0);
    await file.sync();
    await disk.syncFolder('/d');
    file.write(new Uint8Array(2000).fill(2), 2000);
    const after = disk.crash(new SeededRandom(seed)).open('/d/a').read(0, 4000);
    assert.deepEqual(after.subarray(0, 2000), new Uint8Array(2000).fill(1));
    if (after.subarray(2000).includes(2)) survived += 1;
  }
  assert.ok(survived > 0 && survived < 40);
});
