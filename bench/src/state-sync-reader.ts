/** The process of `state-sync` that is behind: from an empty disk to the newest anchor. */
import { join } from 'node:path';
import { fakeVerify } from '@itc/core/testing/state-world.js';
import { systemClock } from '@itc/node/clock.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { PeerTransport } from '@itc/node/network/peer-transport.js';
import type { Channel } from '@itc/node/ports.js';
import { SeededRandom } from '@itc/node/random.js';
import { CHANNELS } from '@itc/node/runtime/channels.js';
import { StateSync } from '@itc/node/runtime/state-sync.js';
import { LmdbTables } from '@itc/node/storage/lmdb-tables.js';
import { nodeDisk } from '@itc/node/storage/node-disk.js';
import { chainId, GrownChain } from '@itc/node/testing/grown-chain.js';
import { keysOf, type ReaderReport, type ReaderTask } from './state-sync.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: console.error, error: console.error };

async function becomeCurrent({ folder, seed, ports }: ReaderTask): Promise<ReaderReport> {
  installNativeCrypto();
  const self = ports.length - 1;
  const random = new SeededRandom(seed);
  const tables = await LmdbTables.open({ folder: join(folder, 'tables') });
  const grown = await GrownChain.open({ disk: nodeDisk, folder: join(folder, 'blocks'), tables, random });
  let bytesReceived = 0;
  const transport = new PeerTransport({
    chain: chainId,
    keys: keysOf(self),
    role: 'validator',
    host: '127.0.0.1',
    port: ports[self] as number,
    peers: ports.slice(0, self).map((port, i) => ({
      id: Buffer.from(keysOf(i).publicKey.bytes).toString('hex'),
      host: '127.0.0.1',
      port,
    })),
    clock: systemClock,
    random,
  });
  const open = transport.open.bind(transport);
  transport.open = (channel: Channel): void =>
    open({
      ...channel,
      receive: (peer, bytes) => {
        bytesReceived += bytes.length;
        channel.receive(peer, bytes);
      },
    });
  transport.open({ ...CHANNELS.stateRequest, receive: () => undefined });
  const sync = new StateSync({
    chain: grown.chain,
    tables,
    log: grown.log,
    transport,
    clock: systemClock,
    random,
    logger: quiet,
    verify: fakeVerify,
    boundBlocks: 1_000,
    target: () => Number.MAX_SAFE_INTEGER,
    isPruned: () => false,
    between: (work) => work(),
    nameOf: (peer) => peer.slice(0, 8),
    jitterMs: 0,
  });
  await transport.start();
  while (transport.peers().length < self) await new Promise((resolve) => setTimeout(resolve, 5));
  const memoryBytesBefore = process.memoryUsage.rss();
  const begun = performance.now();
  const processor = process.cpuUsage();
  sync.consider();
  await sync.idle();
  const milliseconds = performance.now() - begun;
  const { user, system } = process.cpuUsage(processor);
  const report: ReaderReport = {
    height: grown.chain.height,
    records: grown.chain.state.size,
    milliseconds,
    processorMs: (user + system) / 1_000,
    bytesReceived,
    memoryBytesMax: process.resourceUsage().maxRSS * 1_024,
    memoryBytesBefore,
  };
  await transport[Symbol.asyncDispose]();
  await grown.close();
  await tables.close();
  return report;
}

process.once('message', (task) => {
  void becomeCurrent(task as ReaderTask).then((report) => process.send?.(report));
});
