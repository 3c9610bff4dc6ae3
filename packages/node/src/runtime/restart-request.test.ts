import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epoch } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import type { Disk } from '../ports.ts';
import { SeededRandom } from '../random.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { SoloChain } from '../testing/solo-chain.ts';
import { createLogger } from './logger.ts';
import { RestartRequest } from './restart-request.ts';

installNativeCrypto();

const K = LIMITS.checkpointInterval;

interface Lost {
  readonly request: RestartRequest;
  readonly sent: Uint8Array[];
  readonly clock: ManualClock;
}

function lostNode(
  solo: SoloChain,
  o: { readonly keys: KeyPair; readonly disk: Disk; readonly seed: number; readonly refuse?: LedgerError },
): Lost {
  const sent: Uint8Array[] = [];
  const clock = new ManualClock();
  const request = new RestartRequest({
    chain: solo.chain,
    keys: o.keys,
    clock,
    logger: createLogger('test', 'error'),
    place: { disk: o.disk, folder: '/node', random: new SeededRandom(o.seed) },
    submit: async (encoded) => {
      await Promise.resolve();
      if (o.refuse !== undefined) throw o.refuse;
      sent.push(encoded);
      return transactionId(encoded);
    },
  });
  return { request, sent, clock };
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
};

test('NODE-9.6: only the epoch after the block with this very request is known to have begun after the loss', async () => {
  const solo = await SoloChain.open();
  const [keys] = solo.validators as [KeyPair];
  // An earlier life: it lost its log in epoch 0, asked, voted in epoch 1, and now has lost everything again.
  const earlier = lostNode(solo, { keys, disk: new MemoryDisk(), seed: 1 });
  earlier.request.pursue();
  await settled();
  await solo.block(earlier.sent.slice(0, 1));

  const { request, sent } = lostNode(solo, { keys, disk: new MemoryDisk(), seed: 2 });
  await solo.to(K);
  assert.equal(solo.chain.epoch.epoch, 1);
  assert.equal(earlier.request.allows(epoch(1)), true);
  // The new life fetches the chain from the start and sees an epoch begin, even one it seems to have asked for.
  assert.equal(request.allows(epoch(1)), false);
  await solo.to(1_100);
  request.pursue();
  await settled();
  assert.equal(sent.length, 1);
  assert.equal(request.allows(epoch(2)), false);
  await solo.block(sent);
  assert.equal(request.allows(epoch(1)), false);
  assert.equal(request.allows(epoch(2)), true);
});

test('NODE-9.6: no two requests are the same, so none can be mistaken for an earlier one', async () => {
  const solo = await SoloChain.open();
  const [keys] = solo.validators as [KeyPair];
  const ids = new Set<string>();
  for (let seed = 1; seed <= 20; seed += 1) {
    const { request, sent } = lostNode(solo, { keys, disk: new MemoryDisk(), seed });
    request.pursue();
    await settled();
    ids.add(transactionId(sent[0] as Uint8Array).join());
  }
  assert.equal(ids.size, 20);
});

test('NODE-9.6: a request survives the process that made it, and is forgotten with the loss', async () => {
  const solo = await SoloChain.open();
  const [keys] = solo.validators as [KeyPair];
  const disk = new MemoryDisk();
  const first = lostNode(solo, { keys, disk, seed: 1 });
  first.request.pursue();
  await settled();
  await solo.block(first.sent);

  const second = lostNode(solo, { keys, disk, seed: 2 });
  assert.equal(second.request.allows(epoch(1)), true);
  second.request.pursue();
  await settled();
  assert.equal(second.sent.length, 0);

  await second.request.forget();
  assert.equal(lostNode(solo, { keys, disk, seed: 3 }).request.allows(epoch(1)), false);
});

test('NODE-9.6: a request that is refused is made again after pauses that grow', async () => {
  const solo = await SoloChain.open();
  const [keys] = solo.validators as [KeyPair];
  let asked = 0;
  const refuse = new LedgerError('validator.restart', 'asked too soon');
  const lost = lostNode(solo, {
    keys,
    disk: new MemoryDisk(),
    seed: 1,
    get refuse() {
      asked += 1;
      return refuse;
    },
  });
  const at: number[] = [];
  for (let second = 0; second < 60; second += 1) {
    const before = asked;
    lost.request.pursue();
    await settled();
    if (asked > before) at.push(second);
    lost.clock.advance(1_000);
  }
  assert.deepEqual(at, [0, 2, 6, 14, 30]);
});

test('NODE-9.6: a request that was executed and refused is followed by another one as soon as the ledger hears it', async () => {
  const solo = await SoloChain.open();
  const [keys] = solo.validators as [KeyPair];
  const { request, sent, clock } = lostNode(solo, { keys, disk: new MemoryDisk(), seed: 1 });
  request.pursue();
  await settled();
  // The operator asks by hand, and is heard first.
  const byHand = solo.sign(keys, { kind: 'restart' });
  await solo.block([byHand, sent[0] as Uint8Array]);
  assert.equal(solo.chain.receipt(transactionId(sent[0] as Uint8Array))?.outcome.ok, false);
  const asked = solo.chain.height;
  assert.match(request.progress, new RegExp(`from height ${asked + 1_024} on`, 'u'));
  clock.advance(100_000);
  request.pursue();
  await settled();
  assert.equal(sent.length, 1);
  await solo.to(asked + 1_024);
  clock.advance(100_000);
  request.pursue();
  await settled();
  assert.equal(sent.length, 2);
  await solo.block(sent.slice(1));
  assert.match(request.progress, /asked for a new epoch in block/u);
  assert.equal(request.allows(epoch(2)), true);
});

test('NODE-9.6: a request whose nonce is used up by itself is not given up', async () => {
  const solo = await SoloChain.open();
  const [keys] = solo.validators as [KeyPair];
  const disk = new MemoryDisk();
  let encoded: Uint8Array | undefined;
  const request = new RestartRequest({
    chain: solo.chain,
    keys,
    clock: new ManualClock(),
    logger: createLogger('test', 'error'),
    place: { disk, folder: '/node', random: new SeededRandom(1) },
    // A block brings it while the pool still thinks about it.
    submit: async (bytes) => {
      encoded = bytes;
      await solo.block([bytes]);
      throw new LedgerError('transaction.nonce', 'used up');
    },
  });
  request.pursue();
  for (let i = 0; i < 20 && encoded === undefined; i += 1) await settled();
  for (let i = 0; i < 20; i += 1) await settled();
  assert.ok(encoded);
  assert.equal(request.allows(epoch(1)), true);
});

test('NODE-9.6: a second loss within the time between two restarts waits for its end, and says so', async () => {
  const solo = await SoloChain.open();
  const [keys] = solo.validators as [KeyPair];
  const first = lostNode(solo, { keys, disk: new MemoryDisk(), seed: 1 });
  assert.equal(first.request.progress, 'it will ask for a new epoch');
  first.request.pursue();
  await settled();
  await solo.block(first.sent);
  await solo.to(K + 3);
  const second = lostNode(solo, { keys, disk: new MemoryDisk(), seed: 2 });
  second.request.pursue();
  await settled();
  assert.equal(second.sent.length, 0);
  assert.match(second.request.progress, /from height 1025 on, because it asked at height 1 /u);
  await solo.to(1_025);
  second.request.pursue();
  await settled();
  assert.equal(second.sent.length, 1);
});
