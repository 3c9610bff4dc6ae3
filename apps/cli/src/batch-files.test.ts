import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { asHash } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { batchPath, buildBatchTree, MemoryNodes } from '@itc/client/batch-tree.js';
import { claimSeedOf, isCodeFor, parseManualCode } from '@itc/client/manual-code.js';
import { voucherFits } from '@itc/client/voucher.js';
import { createFolder, Factory, FileNodes, isBuilt, openFolder, writeNote } from './batch-files.ts';

const COUNT = 70;

test('CLIENT-1.8: a tree on disk is the one in memory, and its vouchers and codes fit the batch', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-batch-'));
  try {
    const seed = new Uint8Array(32).fill(5);
    createFolder(join(folder, 'b'), seed);
    const factory = new Factory(seed);
    const files = new FileNodes(join(folder, 'b'));
    const built = await buildBatchTree(factory.leaves(COUNT), files);
    files.close();
    const memory = new MemoryNodes();
    assert.deepEqual(await buildBatchTree(factory.leaves(COUNT), memory), built);
    assert.equal(isBuilt(join(folder, 'b')), false);
    const note = { id: '', maker: '', root: '', count: COUNT, model: '', depositPerDevice: '1' };
    writeNote(join(folder, 'b'), note);
    const opened = openFolder(join(folder, 'b'));
    assert.deepEqual(opened.note, note);
    for (const index of [0, 1, 63, 64, COUNT - 1]) {
      assert.deepEqual(batchPath(files, COUNT, index), batchPath(memory, COUNT, index));
      const { voucher, code } = opened.factory.voucher(asHash(new Uint8Array(32)), files, {
        count: COUNT,
        index,
      });
      assert.ok(voucherFits(voucher, built));
      const parsed = parseManualCode(code);
      assert.ok(parsed.ok && isCodeFor(parsed.value, voucher.device));
      assert.deepEqual(claimSeedOf(voucher.device, parsed.value.secret), voucher.claimSeed);
    }
    files.close();
    assert.equal(statSync(join(folder, 'b', 'factory.seed')).mode & 0o077, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('CLIENT-1.8: a folder that holds a seed is not written over, one without a batch is named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-batch-'));
  try {
    createFolder(folder, new Uint8Array(32));
    assert.throws(() => createFolder(folder, new Uint8Array(32)), LedgerError);
    assert.throws(() => openFolder(join(folder, 'none')), LedgerError);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
