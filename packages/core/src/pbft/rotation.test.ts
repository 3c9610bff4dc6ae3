import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  Bench,
  CHAIN,
  commitCertificate,
  makeBlock,
  makeChain,
  newView,
  prePrepare,
  status,
  verified,
  viewChange,
  vote,
  GENESIS_ID,
} from '../testing/pbft.ts';
import { Cluster } from '../testing/pbft-cluster.ts';
import { height, view } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { bitmapOf } from '../ledger/validators.ts';
import type { Candidate, NewView, SoundViewChange, ViewChange } from './messages.ts';
import { Weights } from './quorum.ts';
import { decideSkipped, proposerOf, scheduleOf, skippedAt, turnOf } from './schedule.ts';
import { validatorsOf } from '../testing/pbft.ts';

const R = LIMITS.rotationBlocks;
const UNIT = [1, 1, 1, 1];
const [b1, b2] = makeChain(2) as [Candidate, Candidate];

const accusing = (sender: number, suspects: readonly number[], to = 1, n = 4): ViewChange =>
  viewChange(sender, to, { suspects: bitmapOf(suspects, n) });

function sound(weights: readonly number[], message: ViewChange): SoundViewChange {
  const result = verified(weights, message);
  assert.ok(result.kind === 'view-change');
  return result.sound;
}

/** Enters view 1 with NEW-VIEW of `set`; the skipped ones are those the set decides, or others for a lie. */
function opening(set: readonly ViewChange[], skipped?: readonly number[]): NewView {
  const decided = decideSkipped(
    new Weights(validatorsOf(UNIT)),
    set.map((message) => sound(UNIT, message)),
  );
  return newView(1, 1, {
    viewChanges: set,
    base: GENESIS_ID,
    reproposals: [],
    skipped: bitmapOf(skipped ?? decided, 4),
  });
}

test('PBFT-10.1: each validator proposes R heights, then the next one does; each view shifts the turns by one', () => {
  const full = scheduleOf(4, 0);
  const turns = (inView: number): number[] =>
    [1, R, R + 1, 2 * R + 1, 3 * R + 1, 4 * R + 1].map((at) => proposerOf(full, view(inView), at));
  assert.deepEqual(turns(0), [0, 0, 1, 2, 3, 0]);
  assert.deepEqual(turns(1), [1, 1, 2, 3, 0, 1]);
  assert.equal(turnOf(R), 0);
  assert.equal(turnOf(R + 1), 1);
});

test('PBFT-10.1: with 1 to 3 validators, too, everyone gets the same number of turns', () => {
  for (const n of [1, 2, 3]) {
    const turns = Array.from({ length: n }, () => 0);
    for (let at = 1; at <= 6 * R * n; at += 1) {
      const proposer = proposerOf(scheduleOf(n, 0), view(n + 1), at);
      turns[proposer] = (turns[proposer] ?? 0) + 1;
    }
    assert.deepEqual(
      turns,
      Array.from({ length: n }, () => 6 * R),
    );
  }
});

test('PBFT-10.1: the proposer of the next turn goes on in the pipeline above blocks that are not final', () => {
  const cluster = new Cluster({ load: () => 0.2, latencyMs: 50 });
  cluster.run(12_000);
  const proposals = cluster.of('pre-prepare').map(({ from, message }) => {
    assert.ok(message.kind === 'pre-prepare');
    return [from, message.block.height] as const;
  });
  assert.ok(proposals.length > 5 * R);
  for (const [from, at] of proposals) assert.equal(from, turnOf(at) % 4, `height ${at}`);
});

test('PBFT-10.2: a proposal in the present view by anyone whose turn it is not is passed over', () => {
  for (const stranger of [1, 3]) {
    const bench = new Bench(2);
    bench.hear(prePrepare(stranger, b1));
    assert.equal(bench.messages('prepare').length, 0);
    bench.hear(prePrepare(0, b1));
    assert.equal(bench.messages('prepare').length, 1);
  }
});

test('PBFT-10.2: the proposal of a later view may come before its NEW-VIEW, and strangers cannot push it out', () => {
  const bench = new Bench(2);
  const early = makeBlock(1, CHAIN, 5);
  bench.hear(prePrepare(0, makeBlock(1, CHAIN, 6), 1), prePrepare(3, makeBlock(1, CHAIN, 7), 1));
  bench.hear(prePrepare(1, early, 1));
  bench.hear(opening([0, 1, 3].map((sender) => accusing(sender, []))));
  assert.deepEqual(
    bench.messages('prepare').map(({ hash }) => hash),
    [early.hash],
  );
});

test('PBFT-10.2: nor is it known whose turn it is in the view that is asked for: the proposal of the one behind a skipped proposer is kept', () => {
  const bench = new Bench(3);
  bench.pending(1);
  bench.tick(1_001);
  assert.equal(bench.replica.view, 1);
  assert.equal(bench.replica.status().phase, 'view-changing');
  const blaming = [1, 2, 3].map((sender) => accusing(sender, [0]));
  const decision = opening(blaming);
  assert.deepEqual(decision.skipped, bitmapOf([0], 4));
  assert.equal(proposerOf(scheduleOf(4, 0, [0]), view(1), 1), 2);
  // Its proposal overtakes the NEW-VIEW, which comes from another validator.
  bench.hear(prePrepare(2, b1, 1), decision);
  assert.deepEqual(
    bench.messages('prepare').map(({ view: at, hash }) => [at, hash]),
    [[1, b1.hash]],
  );
});

test('PBFT-10.3: a VIEW-CHANGE blames the proposer whose block did not come, and never its own author', () => {
  const backup = new Bench(2);
  backup.pending(1);
  backup.tick(1_001);
  assert.deepEqual(backup.messages('view-change')[0]?.suspects, bitmapOf([0], 4));
  const proposer = new Bench(0);
  proposer.pending(1);
  proposer.step({ kind: 'proposal', block: b1 });
  proposer.tick(1_001);
  assert.deepEqual(proposer.messages('view-change')[0]?.suspects, bitmapOf([], 4));
});

test('PBFT-10.3: skipped is who weight F + 1 blames: F alone cannot have a correct validator skipped', () => {
  const weights = new Weights(validatorsOf(UNIT));
  const decide = (...set: ViewChange[]): number[] =>
    decideSkipped(
      weights,
      set.map((message) => sound(UNIT, message)),
    );
  assert.deepEqual(decide(accusing(1, [0, 2, 3]), accusing(2, []), accusing(3, [])), []);
  assert.deepEqual(decide(accusing(1, [0]), accusing(2, [0]), accusing(3, [])), [0]);
  // One voice, however often it is repeated.
  assert.deepEqual(decide(accusing(1, [0]), accusing(1, [0]), accusing(1, [0])), []);
});

test('PBFT-10.3: the most blamed go first, ties by index, and those skipped weigh F at most together', () => {
  const weights = new Weights(validatorsOf([1, 1, 1, 1, 1, 1, 1]));
  const seven = [1, 1, 1, 1, 1, 1, 1];
  const set = [
    accusing(0, [5, 6, 4], 1, 7),
    accusing(1, [5, 6, 4], 1, 7),
    accusing(2, [5, 6, 4], 1, 7),
    accusing(3, [6], 1, 7),
    accusing(4, [6, 5], 1, 7),
  ].map((message) => sound(seven, message));
  assert.deepEqual(decideSkipped(weights, set), [5, 6]);
  assert.deepEqual(decideSkipped(weights, [...set].reverse()), [5, 6]);
});

test('PBFT-10.3: whatever a set says, the skipped weigh F at most and each is blamed by a correct voice', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 9 }),
      fc.array(fc.nat(), { minLength: 9, maxLength: 9 }),
      (raw, masks) => {
        const weights = new Weights(validatorsOf(raw));
        const n = raw.length;
        const blames = masks.map((mask) => [...raw.keys()].filter((index) => ((mask >> index) & 1) === 1));
        const set = [...raw.keys()].map((sender) => ({
          message: accusing(sender, blames[sender] ?? [], 1, n),
          stable: undefined,
          committed: undefined,
          prepared: [],
        }));
        const skipped = decideSkipped(weights, set);
        const total = weights.sum((index) => skipped.includes(index));
        assert.ok(total <= weights.quorum.faulty);
        for (const index of skipped)
          assert.ok(weights.sum((by) => blames[by]?.includes(index) === true) >= weights.quorum.weak);
        assert.ok(scheduleOf(n, 0, skipped).eligible.length > 0);
      },
    ),
  );
});

test('PBFT-10.3: a NEW-VIEW that skips others than its set decides is ignored', () => {
  const set = [accusing(0, []), accusing(2, [0]), accusing(3, [0])];
  for (const lie of [[], [3], [0, 3]]) {
    const bench = new Bench(3);
    bench.hear(opening(set, lie));
    assert.equal(bench.replica.view, 0);
  }
  const bench = new Bench(3);
  bench.hear(opening(set));
  assert.equal(bench.replica.view, 1);
  assert.deepEqual(bench.replica.status().skipped, [0]);
});

test('PBFT-10.3: suspects of a wrong length, or beyond the set, are refused; inside a NEW-VIEW their message is dropped', () => {
  const wrong = [new Uint8Array(0), Uint8Array.of(0, 0), Uint8Array.of(0x10)];
  for (const suspects of wrong) {
    const message = viewChange(2, 1, { suspects });
    assert.throws(() => verified(UNIT, message));
    assert.throws(() => verified(UNIT, status(2, { suspects })));
    const bench = new Bench(3);
    const good = [accusing(0, []), accusing(1, [])];
    bench.hear(newView(1, 1, { viewChanges: [...good, message], base: GENESIS_ID, reproposals: [] }));
    assert.equal(bench.replica.view, 0, 'weight 2 of 3');
  }
});

test('PBFT-10.4: a skip ends skipBlocks heights above the base of the NEW-VIEW, for everyone at the same height', () => {
  const schedule = scheduleOf(4, 100, [2]);
  const until = 100 + LIMITS.skipBlocks;
  for (let at = 101; at <= until; at += 1) assert.notEqual(proposerOf(schedule, view(3), at), 2);
  assert.deepEqual(skippedAt(schedule, until), [2]);
  assert.deepEqual(skippedAt(schedule, until + 1), []);
  const after = new Set<number>();
  for (let at = until + 1; at <= until + 4 * R; at += 1) after.add(proposerOf(schedule, view(3), at));
  assert.deepEqual(
    [...after].sort((a, b) => a - b),
    [0, 1, 2, 3],
  );
});

test('PBFT-10.4: blame is carried into later view changes as long as the skip lasts, and is not renewed by it', () => {
  const bench = new Bench(3);
  bench.hear(opening([accusing(0, []), accusing(2, [0]), accusing(3, [0])]));
  bench.pending(1);
  bench.tick(1_001);
  // Without validator 0 it is 2 that has the first turn in view 1.
  assert.deepEqual(bench.messages('view-change').at(-1)?.suspects, bitmapOf([0, 2], 4));
  // Another replica, which heard of a block far above, has forgotten.
  const later = new Bench(3);
  later.hear(opening([accusing(0, []), accusing(2, [0]), accusing(3, [0])]));
  const far = makeBlock(LIMITS.skipBlocks + 1, CHAIN);
  later.hear(
    status(0, {
      view: view(1),
      committed: far.height,
      committedCertificate: commitCertificate(far, [0, 1, 2], 4),
    }),
  );
  assert.deepEqual(later.replica.status().suspects, []);
});

test('PBFT-10.4: skips and blame survive a restart', () => {
  const bench = new Bench(3);
  bench.hear(opening([accusing(0, []), accusing(2, [0]), accusing(3, [0])]));
  const again = new Bench(3, { restore: bench.log });
  assert.deepEqual(again.replica.status().skipped, [0]);
  bench.pending(1);
  bench.tick(1_001);
  const third = new Bench(3, { restore: bench.log });
  assert.deepEqual(third.replica.status().suspects, [0, 2]);
});

test('PBFT-10.5: the next view asked for is not one that the validator just found silent would have to open', () => {
  // Validator 1 proposes from height R + 1 on, and would open view 1.
  const blocks = makeChain(R);
  const bench = new Bench(3);
  for (const block of blocks) {
    bench.step({ kind: 'certified', block, certificate: commitCertificate(block, [0, 1, 2], 4) });
    bench.step({ kind: 'executed', height: block.height, hash: block.hash, stateRoot: CHAIN });
  }
  bench.pending(1);
  bench.tick(1_001);
  assert.deepEqual(
    bench.messages('view-change').map((message) => [message.view, message.suspects[0]]),
    [[2, 0b10]],
  );
});

test('PBFT-10.5: whoever was given all it needs to open a view and does not is blamed as well', () => {
  const bench = new Bench(2);
  bench.pending(1);
  bench.tick(1_001);
  bench.hear(viewChange(0, 1), viewChange(3, 1));
  bench.tick(10);
  bench.tick(2_100);
  const last = bench.messages('view-change').at(-1);
  assert.deepEqual([last?.view, last?.suspects[0]], [2, 0b11]);
});

test('PBFT-10.5: whoever joins a view change blames whom weight F + 1 of it blames', () => {
  const bench = new Bench(3);
  bench.hear(accusing(1, [0, 2]), accusing(2, [0]));
  assert.deepEqual(bench.messages('view-change')[0]?.suspects, bitmapOf([0], 4));
});

test('PBFT-10.6: a crashed validator costs one timeout per skipBlocks heights, not one per rotation', () => {
  const cluster = new Cluster({ load: () => 0.05, latencyMs: 40 });
  cluster.run(500);
  cluster.crash(2);
  cluster.run(60_000);
  const asked = new Set(cluster.of('view-change').map(({ at }) => Math.floor(at / 2_000)));
  const heights = cluster.heightOf(0);
  assert.ok(heights > 6 * 4 * R, `height ${heights}`);
  assert.ok(asked.size <= Math.ceil(heights / LIMITS.skipBlocks), `${asked.size} view changes`);
});

test('PBFT-10.6: F crashed validators together cost two timeouts, and the rest goes round among the others', () => {
  const cluster = new Cluster({ weights: [1, 1, 1, 1, 1, 1, 1], load: () => 0.05, latencyMs: 60 });
  cluster.crash(2);
  cluster.crash(3);
  cluster.run(40_000);
  assert.ok(cluster.heightOf(0) < LIMITS.skipBlocks && cluster.heightOf(0) > 12 * R);
  assert.deepEqual(cluster.status(0).skipped, [2, 3]);
  assert.ok(cluster.status(0).view <= 4);
});

test('PBFT-10.7: rotation decides nothing: what was prepared is proposed again, whoever’s turn it is', () => {
  const bench = new Bench(3);
  bench.hear(prePrepare(0, b1), ...[0, 2].map((sender) => vote('prepare', sender, b1)));
  bench.hear(prePrepare(0, b2));
  const { prepared } = (() => {
    bench.pending(1);
    bench.tick(10);
    bench.tick(1_001);
    return bench.messages('view-change')[0] as ViewChange;
  })();
  assert.equal(prepared.length, 1);
  const set = [
    accusing(1, [0]),
    accusing(2, [0]),
    viewChange(3, 1, { prepared, suspects: bitmapOf([0], 4) }),
  ];
  bench.hear(
    newView(1, 1, {
      viewChanges: set,
      base: GENESIS_ID,
      reproposals: [{ height: height(1), hash: b1.hash }],
      skipped: bitmapOf([0], 4),
    }),
  );
  assert.deepEqual(
    bench
      .messages('prepare')
      .filter((message) => message.view === 1)
      .map(({ hash }) => hash),
    [b1.hash],
  );
});
