import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { height } from '@itc/core/ledger/ids.js';
import { SoloChain } from '../testing/solo-chain.ts';

test('SUBNET-3.4: blocks that found no room in the middle of a batch are taken when there is room, the whole batch again', async () => {
  const solo = await SoloChain.open();
  await solo.to(8);
  const first = solo.propose();
  const blocks = [{ block: first, certificate: solo.certificate(first) }];
  solo.disk.setCapacity(0);
  await assert.rejects(solo.chain.commit(blocks), { code: 'storage.full' });
  assert.equal(solo.chain.height, 8);
  solo.disk.setCapacity(Number.MAX_SAFE_INTEGER);
  // In the log and executed, but the tables are full: what they lack comes with the next blocks.
  solo.tables.commit = () => Promise.reject(new LedgerError('storage.full', 'no space is left'));
  await assert.rejects(solo.chain.commit(blocks), { code: 'storage.full' });
  Reflect.deleteProperty(solo.tables, 'commit');
  await solo.chain.commit(blocks);
  await solo.to(height(14));
  assert.equal(solo.chain.height, 14);
  await solo.reopen();
  assert.equal(solo.chain.height, 14);
});
