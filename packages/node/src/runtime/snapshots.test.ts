import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { amount } from '@itc/core/ledger/ids.js';
import { installNativeCrypto } from '../crypto/native.ts';
import type { Channel, Transport } from '../ports.ts';
import { keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import { CHANNELS } from './channels.ts';
import { NodeProcess } from './process.ts';

installNativeCrypto();

const BOUND = 40;

const pay = (network: LocalNetwork): Promise<void> =>
  network.act(network.treasury, { kind: 'transfer', to: keyPair(77).address, amount: amount(1n) });

/** Lets no block reach a process before the gate opens: on one machine it would have them all before it looks for a state. */
function withoutBlocks(inner: Transport, gate: { readonly isOpen: boolean }): Transport {
  return new Proxy(inner, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (name !== 'open') return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      return (channel: Channel): void => {
        const isBlocks = channel.number === CHANNELS.blockReply.number;
        target.open({
          ...channel,
          receive: (peer, bytes) => (isBlocks && !gate.isOpen ? undefined : channel.receive(peer, bytes)),
        });
      };
    },
  });
}

test('SNAPSHOT-9: a validator without a chain takes over a state from the others, and then its vote decides', async () => {
  const network = await LocalNetwork.create({ validators: 4, heartbeatMs: 100, viewTimeoutMs: 600 });
  try {
    for (const index of [0, 1, 2]) await network.start(index);
    await network.busyUntil('the others are far ahead', () =>
      network.running().every(({ chain }) => chain.height > BOUND + 10),
    );
    const config = { ...network.config(3), stateSyncBlocks: BOUND };
    const gate = { isOpen: false };
    const back = await NodeProcess.open({ config, wrapTransport: (inner) => withoutBlocks(inner, gate) });
    network.nodes[3] = back;
    await back.start();
    await until('the state is taken over', () => back.chain.anchor !== undefined);
    gate.isOpen = true;
    assert.ok((back.chain.anchor?.height ?? 0) >= 32);
    assert.ok(back.chain.floor > 1);
    await until('it votes', () => back.consensus?.votes === true);

    // Three of four are the quorum: without the one that took the state over nothing would become final.
    await network.stop(0);
    await pay(network);
    const at = Math.min(...network.running().map(({ chain }) => chain.height));
    const hashes = network.running().map(({ chain }) => toHex(chain.hashAt(at) as Uint8Array));
    assert.equal(new Set(hashes).size, 1);

    // Its disk is enough for it to start again.
    await network.stop(3);
    const again = await network.start(3);
    assert.ok(again.chain.anchor !== undefined);
    await pay(network);
  } finally {
    await network.close();
  }
});
