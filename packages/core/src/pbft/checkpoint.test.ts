import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Bench,
  CHAIN,
  checkpoint,
  commitCertificate,
  makeChain,
  prePrepare,
  stableCertificate,
  vote,
} from '../testing/pbft.ts';
import { sha256, type Hash } from '../crypto/hash.ts';
import { height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { Replica } from './replica.ts';
import type { Candidate } from './messages.ts';

const K = LIMITS.checkpointInterval;
const chain = makeChain(LIMITS.watermarkWindow + 8);
const rootAt = (at: number): Hash => sha256(Uint8Array.of(at));
const at = (index: number): Candidate => chain[index - 1] as Candidate;

/** A backup that got blocks up to a height by synchronisation and has executed them. */
function followed(to: number, self = 1): Bench {
  const bench = new Bench(self);
  follow(bench, 1, to);
  return bench;
}

function follow(bench: Bench, from: number, to: number): void {
  for (let index = from; index <= to; index += 1) {
    const block = at(index);
    bench.step({ kind: 'certified', block, certificate: commitCertificate(block, [0, 2, 3], 4) });
    bench.step({ kind: 'executed', height: block.height, hash: block.hash, stateRoot: rootAt(index) });
  }
}

test('PBFT-5.1: a checkpoint is signed every K blocks, and only when the shell reports the block executed', () => {
  const bench = followed(K - 1);
  const block = at(K);
  bench.step({ kind: 'certified', block, certificate: commitCertificate(block, [0, 2, 3], 4) });
  assert.equal(bench.messages('checkpoint').length, 0);
  const effects = bench.step({
    kind: 'executed',
    height: block.height,
    hash: block.hash,
    stateRoot: rootAt(K),
  });
  assert.deepEqual(
    effects.persist.map((record) => record.kind),
    ['checkpoint'],
  );
  assert.deepEqual(bench.messages('checkpoint'), [checkpoint(1, K, block.hash, rootAt(K))]);
});

test('PBFT-5.1: a shell that reports what was not delivered has a bug, and is told so', () => {
  const bench = new Bench(1);
  assert.throws(
    () => bench.step({ kind: 'executed', height: height(1), hash: at(1).hash, stateRoot: rootAt(1) }),
    RangeError,
  );
});

test('PBFT-5.2: equal checkpoints of weight Q are stable, the log is cut behind everything still needed', () => {
  const bench = followed(K);
  bench.hear(prePrepare(2, at(K + 1)), vote('prepare', 0, at(K + 1)), vote('prepare', 2, at(K + 1)));
  bench.hear(checkpoint(0, K, at(K).hash, rootAt(K)));
  assert.equal(bench.replica.status().stableHeight, 0);
  const [effects] = bench.hear(checkpoint(2, K, at(K).hash, rootAt(K)));
  assert.equal(bench.replica.status().stableHeight, K);
  const kinds = effects?.persist.map((record) => record.kind) ?? [];
  assert.deepEqual(kinds, [
    'stable',
    'truncate',
    'stable',
    'checkpoint',
    'committed',
    'accepted',
    'prepared',
  ]);
  // What follows the mark is enough to start from.
  const records = effects?.persist.slice(kinds.indexOf('truncate')) ?? [];
  const again = new Bench(1, { restore: records, tip: commitCertificate(at(K), [0, 2, 3], 4) });
  again.tick(0);
  assert.deepEqual(
    again.messages('commit').map((message) => message.height),
    [K + 1],
  );
  assert.equal(again.replica.status().stableHeight, K);
});

test('PBFT-5.2: different results do not add up, and a second one of an author is evidence', () => {
  const bench = followed(K);
  bench.hear(
    checkpoint(0, K, at(K).hash, rootAt(1)),
    checkpoint(2, K, at(K).hash, rootAt(2)),
    checkpoint(2, K, at(K).hash, rootAt(K)),
  );
  assert.equal(bench.replica.status().stableHeight, 0);
  assert.deepEqual(
    bench.evidence.map(({ kind, culprit }) => [kind, culprit]),
    [['checkpoint', 2]],
  );
});

test('PBFT-5.3: a checkpoint is sent again until it is stable, also when nothing new is decided (concord 912)', () => {
  const bench = followed(K);
  bench.forget();
  for (let round = 0; round < 3; round += 1) bench.tick(250);
  assert.equal(bench.messages('checkpoint').length, 3);
  bench.hear(checkpoint(0, K, at(K).hash, rootAt(K)), checkpoint(2, K, at(K).hash, rootAt(K)));
  bench.forget();
  bench.tick(250);
  assert.equal(bench.messages('checkpoint').length, 0);
});

test('PBFT-5.3: the previous stable certificate is kept until the next one is stable (TigerBeetle 1262)', () => {
  const bench = followed(K);
  bench.hear(checkpoint(0, K, at(K).hash, rootAt(K)), checkpoint(2, K, at(K).hash, rootAt(K)));
  follow(bench, K + 1, 2 * K);
  bench.hear(checkpoint(0, 2 * K, at(2 * K).hash, rootAt(2 * K)));
  const [effects] = bench.hear(checkpoint(2, 2 * K, at(2 * K).hash, rootAt(2 * K)));
  const kept = effects?.persist
    .slice(1)
    .flatMap((record) => (record.kind === 'stable' ? [record.certificate.height] : []));
  assert.deepEqual(kept, [K, 2 * K]);
});

test('PBFT-5.3: a peer below the stable height is shown the certificate', () => {
  const bench = followed(K);
  bench.hear(checkpoint(0, K, at(K).hash, rootAt(K)), checkpoint(2, K, at(K).hash, rootAt(K)));
  bench.tick(500);
  bench.forget();
  const status = {
    kind: 'status',
    sender: 3,
    epoch: checkpoint(0, K, CHAIN, CHAIN).epoch,
    view: bench.replica.view,
    changing: false,
    committed: height(K),
    stable: height(0),
    committedCertificate: undefined,
    stableCertificate: undefined,
    suspects: new Uint8Array(1),
  } as const;
  bench.hear(status);
  assert.deepEqual(
    bench.sent.map(({ to, message }) => [to, message.kind === 'status' && message.stableCertificate?.height]),
    [[3, K]],
  );
});

test('PBFT-5.4: a replica with another state root than weight Q stops voting and says why', () => {
  const bench = followed(K);
  const other = rootAt(200);
  bench.hear(
    checkpoint(0, K, at(K).hash, other),
    checkpoint(2, K, at(K).hash, other),
    checkpoint(3, K, at(K).hash, other),
  );
  assert.equal(bench.replica.status().phase, 'halted');
  assert.match(bench.replica.status().reason ?? '', /state computed at height 32 differs/);
  bench.forget();
  bench.hear(prePrepare(0, at(K + 1)));
  assert.equal(bench.messages('prepare').length, 0);
});

test('PBFT-5.5: nothing is accepted above the high watermark', () => {
  const bench = followed(LIMITS.watermarkWindow);
  bench.hear(prePrepare(0, at(LIMITS.watermarkWindow + 1)));
  assert.equal(bench.messages('prepare').length, 0);
  const stable = stableCertificate(K, at(K).hash, rootAt(K), [0, 2, 3], 4);
  bench.hear({
    kind: 'status',
    sender: 3,
    epoch: stable.epoch,
    view: bench.replica.view,
    changing: false,
    committed: height(K),
    stable: height(K),
    committedCertificate: undefined,
    stableCertificate: stable,
    suspects: new Uint8Array(1),
  });
  bench.tick(10);
  assert.equal(bench.messages('prepare').length, 1);
});

test('PBFT-5.5: the primary proposes nothing above the high watermark', () => {
  const primary = followed(LIMITS.watermarkWindow, 0);
  primary.forget();
  primary.pending(1);
  assert.equal(primary.wants.length, 0);
  assert.ok(primary.replica instanceof Replica);
});
