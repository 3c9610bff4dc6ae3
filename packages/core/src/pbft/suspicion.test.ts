import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  Bench,
  CHAIN,
  commitCertificate,
  makeBlock,
  makeChain,
  prePrepare,
  status,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import { Cluster } from '../testing/pbft-cluster.ts';
import { view } from '../ledger/ids.ts';
import { bitmapOf } from '../ledger/validators.ts';
import type { Candidate, Status } from './messages.ts';
import type { Application } from './replica.ts';

const [b1, b2] = makeChain(2) as [Candidate, Candidate];
const refusing: Application = { check: (block) => (block.hash === b1.hash ? 'invalid' : 'valid') };
const doubting = (sender: number, whom: number, inView = 0): Status =>
  status(sender, { suspects: bitmapOf([whom], 4), view: view(inView) });

/** A backup that was shown an invalid block by validator 0. */
function shown(weights: readonly number[] = [1, 1, 1, 1]): Bench {
  const bench = new Bench(2, { application: refusing, weights });
  bench.forget();
  bench.hear(prePrepare(0, b1));
  return bench;
}

test('PBFT-11.1: a doubt is told to all at once, and alone moves nobody out of the view', () => {
  const bench = shown();
  assert.deepEqual(
    bench.sent.map(({ to, message }) => [to, message.kind === 'status' && message.suspects[0]]),
    [['all', 0b0001]],
  );
  assert.deepEqual(bench.replica.status().suspects, [0]);
  bench.tick(400);
  assert.equal(bench.messages('view-change').length, 0);
  assert.ok(bench.messages('status').every((message) => message.suspects[0] === 1));
});

test('PBFT-11.1: doubts of weight F + 1, the own one included, are blame and a view change', () => {
  const bench = shown();
  bench.hear(doubting(1, 0));
  assert.deepEqual(
    bench.messages('view-change').map((message) => [message.view, message.suspects[0]]),
    [[1, 1]],
  );
});

test('PBFT-11.1: doubts of others about somebody else, in another view, or grown old do not count', () => {
  for (const other of [doubting(1, 3), doubting(1, 0, 1)]) {
    const bench = shown();
    bench.hear(other);
    assert.equal(bench.messages('view-change').length, 0);
  }
  const late = new Bench(2, { application: refusing });
  late.hear(doubting(1, 0));
  for (let round = 0; round < 8; round += 1) late.tick(100);
  late.hear(prePrepare(0, b1));
  assert.equal(late.messages('view-change').length, 0);
});

test('PBFT-11.1: F that doubt whom they like make a replica without a doubt of its own leave no view', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 2 }), (mask, inView) => {
      const bench = new Bench(2);
      bench.pending(1);
      for (let round = 0; round < 5; round += 1) {
        bench.hear(status(3, { suspects: Uint8Array.of(mask), view: view(inView) }));
        bench.tick(100);
      }
      assert.equal(bench.messages('view-change').length, 0);
      assert.deepEqual(bench.replica.status().suspects, []);
    }),
  );
});

test('PBFT-11.1: a doubt ends with the turn it was about', () => {
  const bench = new Bench(2, { application: refusing });
  bench.hear(prePrepare(0, b1));
  assert.deepEqual(bench.replica.status().suspects, [0]);
  let parent = CHAIN;
  for (let at = 1; at <= 16; at += 1) {
    const block = makeBlock(at, parent, 50);
    bench.step({ kind: 'certified', block, certificate: commitCertificate(block, [0, 1, 3], 4) });
    parent = block.hash;
  }
  assert.deepEqual(bench.replica.status().suspects, []);
  bench.hear(doubting(1, 0), doubting(3, 0));
  assert.equal(bench.messages('view-change').length, 0);
});

test('PBFT-11.1: an observer and a proposer doubt nobody', () => {
  const observer = new Bench(2, { application: refusing, observer: true });
  observer.hear(prePrepare(0, b1), doubting(1, 0), doubting(3, 0));
  assert.equal(observer.messages('view-change').length, 0);
  assert.deepEqual(observer.replica.status().suspects, []);
});

test('PBFT-11.2: an invalid fresh block costs its proposer the turn at once; the others agree within one message', () => {
  const cluster = new Cluster({ load: () => 0.1, invalidBy: 0, latencyMs: 20 });
  cluster.run(500);
  assert.equal(cluster.status(1).view, 1);
  assert.deepEqual(cluster.status(1).skipped, [0]);
  cluster.run(2_000);
  assert.ok(cluster.heightOf(1) > 16);
});

test('PBFT-11.2: “later” is no accusation: a block ahead of this clock is asked for again, and the timer decides', () => {
  const ahead: Application = { check: (_, fresh, now) => (fresh && now < 1_000_600 ? 'later' : 'valid') };
  const bench = new Bench(2, { application: ahead });
  bench.hear(prePrepare(0, b1), doubting(1, 0), doubting(3, 0));
  bench.tick(300);
  assert.deepEqual(bench.replica.status().suspects, []);
  assert.equal(bench.messages('prepare').length, 0);
  bench.tick(400);
  assert.equal(bench.messages('prepare').length, 1);
  assert.equal(bench.messages('view-change').length, 0);
});

test('PBFT-11.2: a replica that alone was shown an invalid block stays, and follows what the others decide', () => {
  const bench = shown();
  const other = makeBlock(1, CHAIN, 9);
  bench.hear(...[0, 1, 3].map((sender) => vote('commit', sender, other)));
  bench.step({ kind: 'certified', block: other, certificate: commitCertificate(other, [0, 1, 3], 4) });
  assert.equal(bench.delivered.length, 1);
  assert.equal(bench.replica.status().phase, 'normal');
  bench.hear(prePrepare(0, makeBlock(2, other.hash)));
  assert.equal(bench.messages('prepare').length, 1);
});

test('PBFT-11.2: a proposal on a parent not accepted here accuses nobody, and is voted for once that parent is final', () => {
  // Validator 0 showed two blocks at height 16; validator 1, whose turn begins at 17, was shown the other one.
  const bench = new Bench(2);
  let parent = CHAIN;
  for (let at = 1; at <= 15; at += 1) {
    const block = makeBlock(at, parent);
    bench.step({ kind: 'certified', block, certificate: commitCertificate(block, [0, 1, 3], 4) });
    bench.step({ kind: 'executed', height: block.height, hash: block.hash, stateRoot: CHAIN });
    parent = block.hash;
  }
  const [mine, theirs] = [makeBlock(16, parent, 1), makeBlock(16, parent, 2)];
  const next = makeBlock(17, theirs.hash);
  bench.hear(prePrepare(0, mine), prePrepare(1, next));
  assert.deepEqual(bench.replica.status().suspects, []);
  bench.hear(...[0, 1, 3].map((sender) => vote('commit', sender, theirs)));
  bench.step({ kind: 'certified', block: theirs, certificate: commitCertificate(theirs, [0, 1, 3], 4) });
  assert.deepEqual(
    bench.messages('prepare').map(({ hash }) => hash),
    [mine.hash, next.hash],
  );
});

test('PBFT-11.2: a re-proposed block that is not valid here accuses nobody', () => {
  const bench = new Bench(2, { application: { check: (_, fresh) => (fresh ? 'valid' : 'invalid') } });
  bench.hear(prePrepare(0, b1), ...[0, 1].map((sender) => vote('prepare', sender, b1)));
  bench.hear(...[0, 1, 3].map((sender) => viewChange(sender, 1)));
  assert.deepEqual(bench.replica.status().suspects, []);
});

test('PBFT-11.3: a view change storm by one validator moves nobody, however high it climbs', () => {
  const bench = new Bench(2);
  for (let round = 1; round <= 300; round += 1) {
    bench.hear(viewChange(3, round * 1_000_003, { suspects: bitmapOf([0, 1, 2], 4) }));
  }
  assert.equal(bench.replica.view, 0);
  assert.equal(bench.messages('view-change').length, 0);
  bench.hear(prePrepare(0, b1), prePrepare(0, b2));
  assert.equal(bench.messages('prepare').length, 1);
  // It is shown how things stand, but not once per message.
  assert.ok(bench.messages('status').length <= 3);
});

test('PBFT-11.3: with n up to 3 there is no room for a skip, and a bad proposer costs its turn again each time', () => {
  for (const weights of [
    [1, 1],
    [1, 1, 1],
  ]) {
    const cluster = new Cluster({ weights, load: () => 0.1, invalidBy: 0 });
    cluster.run(5_000);
    assert.deepEqual(cluster.status(1).skipped, []);
    assert.ok(cluster.heightOf(1) > 16, `n = ${weights.length}: ${cluster.heightOf(1)}`);
  }
});
