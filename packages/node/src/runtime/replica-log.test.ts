import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '@itc/core/crypto/hash.js';
import { epoch, height, view } from '@itc/core/ledger/ids.js';
import type { LogRecord } from '@itc/core/pbft/log.js';
import { SeededRandom } from '../random.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { createReplicaLog, ReplicaLog, type ReplicaLogPlace } from './replica-log.ts';

function place(): ReplicaLogPlace {
  return { disk: new MemoryDisk(), folder: '/node', random: new SeededRandom(1) };
}

function committed(of: number, at: number): LogRecord {
  return {
    kind: 'committed',
    certificate: {
      epoch: epoch(of),
      view: view(0),
      height: height(at),
      hash: sha256(Uint8Array.of(at)),
      signers: Uint8Array.of(1),
      signatures: [new Uint8Array(64)],
    },
  };
}

test('NODE-9.3: a data folder that was set up has a log; one without has lost it, and stays so until an epoch is begun', async () => {
  const lost = place();
  assert.equal((await ReplicaLog.open(lost)).isMissing, true);
  // Looking makes none.
  assert.equal((await ReplicaLog.open(lost)).isMissing, true);
  await (await ReplicaLog.open(lost)).begin(epoch(3));
  assert.equal((await ReplicaLog.open(lost)).isMissing, false);

  const made = place();
  await createReplicaLog(made);
  assert.equal((await ReplicaLog.open(made)).isMissing, false);
});

test('NODE-9.5: a log gives back what it holds of the epoch that goes on, and nothing of one that is over', async () => {
  const at = place();
  await createReplicaLog(at);
  const log = await ReplicaLog.open(at);
  assert.deepEqual(await log.begin(epoch(0)), []);
  await log.append([committed(0, 1), committed(0, 2)]);
  await log[Symbol.asyncDispose]();

  const same = await ReplicaLog.open(at);
  assert.equal((await same.begin(epoch(0))).length, 2);
  await same[Symbol.asyncDispose]();

  const next = await ReplicaLog.open(at);
  assert.deepEqual(await next.begin(epoch(1)), []);
  // Nothing is said of epoch 1 yet, and should the chain be lost now, epoch 0 is not one without promises.
  assert.equal((await (await ReplicaLog.open(at)).begin(epoch(0))).length, 2);
  await next.append([committed(1, 33)]);
  await next[Symbol.asyncDispose]();
  const again = await ReplicaLog.open(at);
  assert.deepEqual(
    (await again.begin(epoch(1))).map((record) => record.kind === 'committed' && record.certificate.height),
    // The replica passes over those of the epoch before (PBFT-14.5).
    [1, 2, 33],
  );
});

test('NODE-9.5: a log that is ahead of the chain is kept, and nothing is voted, until the chain is back where it was', async () => {
  const at = place();
  await createReplicaLog(at);
  const log = await ReplicaLog.open(at);
  await log.begin(epoch(5));
  await log.append([committed(5, 161)]);
  await log[Symbol.asyncDispose]();

  // The chain was lost and is fetched from the start.
  const back = await ReplicaLog.open(at);
  for (const of of [0, 1, 4]) {
    assert.equal(back.isAheadOf(epoch(of)), true);
    await assert.rejects(back.begin(epoch(of)), RangeError);
  }
  assert.equal(back.isAheadOf(epoch(5)), false);
  assert.equal((await back.begin(epoch(5))).length, 1);
});

test('SNAPSHOT-9: begun again in one epoch, a log gives back what was said in it meanwhile, too', async () => {
  const at = place();
  await createReplicaLog(at);
  const log = await ReplicaLog.open(at);
  await log.begin(epoch(2));
  await log.append([committed(2, 70), committed(2, 71)]);
  assert.equal((await log.begin(epoch(2))).length, 2);
  await log.append([committed(2, 72)]);
  assert.equal((await log.begin(epoch(2))).length, 3);
  assert.deepEqual(await log.begin(epoch(3)), []);
});
