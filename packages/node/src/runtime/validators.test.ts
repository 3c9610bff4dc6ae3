import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { amount } from '@itc/core/ledger/ids.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';

installNativeCrypto();

test('NODE-1: four validators make a transfer final, and it stays so when one of them is gone and comes back', async () => {
  const network = await LocalNetwork.create({ validators: 4 });
  try {
    await network.startAll();
    const to = keyPair(77).address;
    const [first] = network.running();
    assert.ok(first);
    await until('the first block is committed', () => first.chain.height > 0);
    const id = await first.submit(network.transaction({ kind: 'transfer', to, amount: amount(5n) }, 0));
    await until('all four executed it', () =>
      network.running().every((node) => node.chain.receipt(id)?.outcome.ok === true),
    );

    await network.stop(3);
    const second = await first.submit(network.transaction({ kind: 'transfer', to, amount: amount(7n) }, 1));
    await until('three executed the next', () =>
      network.running().every((node) => node.chain.receipt(second)?.outcome.ok === true),
    );

    const back = await network.start(3);
    await until('the fourth caught up', () => back.chain.receipt(second)?.outcome.ok === true);
    assert.equal(back.chain.state.account(to)?.balance, 12n);
    const at = Math.min(...network.running().map((node) => node.chain.height));
    assert.equal(
      new Set(network.running().map((node) => toHex(node.chain.hashAt(at) ?? new Uint8Array()))).size,
      1,
    );
  } finally {
    await network.close();
  }
});

test('NODE-1: with two of four validators gone nothing is final; when one returns, the chain goes on', async () => {
  const network = await LocalNetwork.create({ validators: 4 });
  try {
    await network.startAll();
    const [first] = network.running();
    assert.ok(first);
    await until('blocks come', () => first.chain.height > 1);
    await network.stop(2);
    await network.stop(3);
    const id = await first.submit(
      network.transaction({ kind: 'transfer', to: keyPair(77).address, amount: amount(5n) }, 0),
    );
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.equal(first.chain.receipt(id), undefined);
    await network.start(2);
    await until('the transfer is final', () => first.chain.receipt(id)?.outcome.ok === true);
  } finally {
    await network.close();
  }
});

test('NODE-1: a whole network restarted goes on with the same chain', async () => {
  const network = await LocalNetwork.create({ validators: 4 });
  try {
    await network.startAll();
    const [first] = network.running();
    assert.ok(first);
    await until('blocks come', () => first.chain.height > 3);
    for (const index of [0, 1, 2, 3]) await network.stop(index);
    await network.startAll();
    const [again] = network.running();
    assert.ok(again);
    const before = again.chain.height;
    assert.ok(before > 2);
    await until('new blocks come', () => again.chain.height > before + 2);
  } finally {
    await network.close();
  }
});

test('NODE-1.2: a primary that starts long before the others does not leave an idle chain standing', async () => {
  const network = await LocalNetwork.create({ validators: 4, heartbeatMs: 300, viewTimeoutMs: 600 });
  try {
    // Whoever leads view 0 is alone for more than its view timeout.
    const first = await network.start(network.primaryOfViewZero());
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    for (const index of [0, 1, 2, 3]) if (index !== network.primaryOfViewZero()) await network.start(index);
    await until('blocks come', () => first.chain.height > 2);
  } finally {
    await network.close();
  }
});
