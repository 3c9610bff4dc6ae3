import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { amount } from '@itc/core/ledger/ids.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { idText } from '@itc/core/state/record-map.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { Mempool, type TakeOptions } from '../mempool/mempool.ts';
import { keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';

installNativeCrypto();

/** Takes in what every node takes in, and proposes all but the transactions of one sender. */
class CensoringMempool extends Mempool {
  readonly #victim: string;

  constructor(victim: string) {
    super();
    this.#victim = victim;
  }

  override take(state: LedgerState, options: TakeOptions): VerifiedTransaction[] {
    return super.take(state, options).filter(({ account }) => account !== this.#victim);
  }
}

test('NODE-10.4: a proposer that leaves one sender out loses its turn in the middle of it, and the next one takes the transaction in', async () => {
  // Heartbeats pace the chain: a turn takes sixteen seconds, which is longer than anybody has to wait.
  const network = await LocalNetwork.create({ validators: 4, heartbeatMs: 1_300, viewTimeoutMs: 3_000 });
  const censor = network.primaryOfViewZero();
  try {
    const victim = network.treasury;
    for (const index of [0, 1, 2, 3]) {
      const mempool = index === censor ? new CensoringMempool(idText(victim.address)) : new Mempool();
      await network.start(index, { mempool });
    }
    const honest = network.running().filter((_, index) => index !== censor);
    const body = { kind: 'transfer', to: keyPair(77).address, amount: amount(5n) } as const;
    const id = await honest[0]?.submit(network.transaction(body, 0));
    assert.ok(id);
    await until('the transaction is final everywhere', () =>
      network.running().every(({ chain }) => chain.receipt(id)?.outcome.ok === true),
    );
    const at = honest[0]?.chain.receipt(id)?.height ?? 0;
    assert.ok(at <= LIMITS.rotationBlocks, `in block ${at}, when the turn was over anyway`);
    // Whoever leads view 0 is the first of the set.
    assert.deepEqual(honest[0]?.consensus?.status()?.skipped, [0]);
  } finally {
    await network.close();
  }
});
