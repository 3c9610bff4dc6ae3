import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatAddress } from '@itc/core/ledger/address.js';
import { coSigningKeyOf, coSigningKeys } from './co-signing-keys.ts';
import { layoutOf } from './devnet/layout.ts';

test('QUANTUM-1.7: a key is made once, its successor beside it, and the former is put aside when the successor is in force', async () => {
  const root = mkdtempSync(join(tmpdir(), 'itc-keys-'));
  try {
    const layout = layoutOf(root);
    const first = await coSigningKeyOf(layout, 'node');
    assert.deepEqual((await coSigningKeyOf(layout, 'node')).address, first.address);
    const registered = { key: formatAddress(first.address), isInForce: true };
    await assert.rejects(coSigningKeys(layout, 'node', { registered, isRenewed: false }), {
      code: 'key.exists',
    });
    const second = await coSigningKeys(layout, 'node', { registered, isRenewed: true });
    assert.deepEqual(second.former?.address, first.address);
    // The transaction was refused: the same successor is tried again.
    const again = await coSigningKeys(layout, 'node', { registered, isRenewed: true });
    assert.deepEqual(again.key.address, second.key.address);
    const waiting = { key: formatAddress(second.key.address), isInForce: false };
    await assert.rejects(coSigningKeys(layout, 'node', { registered: waiting, isRenewed: true }), {
      code: 'not-ready',
    });
    const third = await coSigningKeys(layout, 'node', {
      registered: { ...waiting, isInForce: true },
      isRenewed: true,
    });
    assert.deepEqual(third.former?.address, second.key.address);
    assert.deepEqual(readdirSync(layout.keys).toSorted(), [
      'node.co-sign-next.json',
      `node.co-sign.${formatAddress(first.address)}.json`,
      'node.co-sign.json',
    ]);
    const lost = { key: formatAddress(first.address), isInForce: true };
    await assert.rejects(coSigningKeys(layout, 'node', { registered: lost, isRenewed: true }), {
      code: 'not-found',
    });
  } finally {
    rmSync(root, { recursive: true });
  }
});
