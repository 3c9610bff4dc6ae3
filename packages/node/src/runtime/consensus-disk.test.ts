/** A validator that cannot write, in a network whose other three can. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount } from '@itc/core/ledger/ids.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import type { NodeProcess } from './process.ts';
import { BlockRate, statusOf } from './status.ts';

installNativeCrypto();

test('NODE-4.9: a validator that finds no room for blocks pauses, refuses and says why; the others go on; with room it catches up by itself and decides again', async () => {
  const network = await LocalNetwork.create({ validators: 4, heartbeatMs: 200 });
  try {
    await network.startAll();
    const [other, , , victim] = network.nodes as [NodeProcess, NodeProcess, NodeProcess, NodeProcess];
    const reasonOf = (node: NodeProcess): string | undefined => statusOf(node, '0', new BlockRate()).reason;
    await until('all is well', () => reasonOf(victim) === undefined);

    victim.chain.commit = () => Promise.reject(new LedgerError('storage.full', 'no space is left to write'));
    await until('it pauses', () => victim.consensus?.full !== undefined);
    assert.match(String(reasonOf(victim)), /^no space is left to write: nothing new is taken/);
    const { height: stuck } = victim.chain;
    const pay = network.transaction({ kind: 'transfer', to: keyPair(77).address, amount: amount(1n) }, 0);
    await assert.rejects(victim.submit(pay), { code: 'storage.full' });
    const id = await other.submit(pay);
    await until('the others go on', () => other.chain.receipt(id) !== undefined);
    await until('and on', () => other.chain.height >= stuck + 5);
    assert.equal(victim.chain.height, stuck);
    assert.equal(victim.consensus?.failure, undefined);

    Reflect.deleteProperty(victim.chain, 'commit');
    const goal = other.chain.height;
    await until('it has caught up', () => victim.chain.height >= goal);
    assert.equal(victim.consensus?.full, undefined);
    // Now three are needed, and it is one of them.
    await network.stop(1);
    const then = other.chain.height;
    await until('it decides with the others', () => other.chain.height >= then + 3);
    assert.deepEqual(other.chain.blockAt(goal)?.block, victim.chain.blockAt(goal)?.block);
  } finally {
    await network.close();
  }
});
