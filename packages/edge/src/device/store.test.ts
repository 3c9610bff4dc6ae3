import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TwoSlotStore } from './store.ts';

test('EDGE-10.4: a torn or damaged slot leaves the record before it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-store-'));
  try {
    const store = new TwoSlotStore(folder);
    await store.write('a', Uint8Array.of(1));
    await store.write('a', Uint8Array.of(2));
    assert.deepEqual(await new TwoSlotStore(folder).read('a'), Uint8Array.of(2));
    const newest = readdirSync(folder).find((name) => name.endsWith('.0')) as string;
    writeFileSync(join(folder, newest), 'torn');
    const reopened = new TwoSlotStore(folder);
    assert.deepEqual(await reopened.read('a'), Uint8Array.of(1));
    await reopened.write('a', Uint8Array.of(3));
    assert.deepEqual(await new TwoSlotStore(folder).read('a'), Uint8Array.of(3));
    assert.equal(await store.read('b'), undefined);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
