import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bench, viewChange } from '../testing/pbft.ts';
import { Cluster, CLUSTER_TIMING } from '../testing/pbft-cluster.ts';
import type { LogRecord } from './log.ts';
import { timingOf } from './timing.ts';

const RESEND = CLUSTER_TIMING.resendMs;

/** Nodes that stopped while each asked for a view of its own; those at 0 are dead. */
function astray(views: readonly number[], latencyMs = 20): Cluster {
  const logs = views.map((asked, index): LogRecord[] =>
    asked === 0 ? [] : [{ kind: 'view-change', message: viewChange(index, asked) }],
  );
  const cluster = new Cluster({
    weights: views.map(() => 1),
    load: () => 0.05,
    latencyMs,
    restore: (node) => logs[node] ?? [],
  });
  for (const [index, asked] of views.entries()) if (asked === 0) cluster.crash(index);
  return cluster;
}

function lowestUp(cluster: Cluster): number {
  return Math.min(...cluster.nodes.filter(({ up }) => up).map(({ replica }) => replica.committedHeight));
}

test('PBFT-6.9: with one validator dead, two that ask for view 6 and one for view 7 meet within two resend intervals', () => {
  // Validator 0 is dead, 2 opens view 6 and 3 view 7.
  const cluster = astray([0, 6, 6, 7]);
  cluster.run(2 * RESEND + 500);
  assert.ok(lowestUp(cluster) > 0, cluster.status(1).reason);
});

test('PBFT-6.9: correct replicas astray within one round of views meet after as many intervals, however they are spread', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }),
      fc.nat(3),
      (first, ahead, dead) => {
        const views = ahead.map((by) => first + by);
        const cluster = astray([...views.slice(0, dead), 0, ...views.slice(dead)]);
        const spread = Math.max(...ahead) - Math.min(...ahead);
        // Where the dead one would open the view they meet in, one timeout (of a first view change) comes on top.
        const last = first + Math.max(...ahead);
        const timer = last % 4 === dead ? 4 * CLUSTER_TIMING.viewTimeoutMs + 2 * RESEND : 0;
        cluster.run((spread + 2) * (RESEND + 300) + timer);
        assert.ok(
          lowestUp(cluster) > 0,
          `${views.join()} without ${dead}: ${cluster.status((dead + 1) % 4).reason}`,
        );
      },
    ),
    { numRuns: 6 },
  );
});

test('PBFT-6.9: a liar that asks for later and later views moves nobody once weight Q asks for one', () => {
  const bench = new Bench(2);
  bench.pending(1);
  bench.tick(1_001);
  assert.equal(bench.replica.view, 1);
  bench.hear(viewChange(3, 1), viewChange(1, 1), viewChange(0, 2));
  for (let to = 3; to < 8; to += 1) {
    bench.tick(150);
    bench.hear(viewChange(0, to));
  }
  assert.equal(bench.replica.view, 1);
});

test('PBFT-6.9: without weight Q nobody is followed, and never far ahead', () => {
  const lonely = new Bench(2);
  lonely.pending(1);
  lonely.tick(1_001);
  lonely.hear(viewChange(3, 2));
  for (let i = 0; i < 20; i += 1) lonely.tick(100);
  assert.equal(lonely.replica.view, 1);
  // A correct voice and a liar: weight Q has left, and only the liar is ahead, where nobody can be.
  lonely.hear(viewChange(3, 1_000_000));
  const bench = new Bench(2);
  bench.pending(1);
  bench.tick(1_001);
  bench.hear(viewChange(1, 1), viewChange(3, 1_000_000));
  for (let i = 0; i < 15; i += 1) bench.tick(100);
  assert.equal(bench.replica.view, 1);
});

test('PBFT-6.9: a small step ahead is taken after a resend interval, not before', () => {
  const bench = new Bench(2);
  bench.pending(1);
  bench.tick(1_001);
  bench.hear(viewChange(1, 1), viewChange(3, 2));
  bench.tick(100);
  bench.tick(150);
  assert.equal(bench.replica.view, 1);
  bench.tick(100);
  assert.equal(bench.replica.view, 2);
});

test('PBFT-8.4: a view timeout shorter than the usual resend interval shortens that: a lost vote costs no view', () => {
  const lostOnce = new Set<string>();
  const cluster = new Cluster({
    timing: { viewTimeoutMs: 800, heartbeatMs: 10_000 },
    load: () => 0.05,
    lost: (from, to, message) => {
      if (message.kind !== 'prepare' && message.kind !== 'commit') return false;
      const name = `${message.kind} ${from} ${to} ${message.height}`;
      if (message.height % 3 !== 0 || lostOnce.has(name)) return false;
      lostOnce.add(name);
      return true;
    },
  });
  cluster.run(20_000);
  assert.ok(lowestUp(cluster) > 60, `height ${lowestUp(cluster)}`);
  assert.equal(cluster.of('view-change').length, 0);
});

test('PBFT-8.4: intervals follow from the view timeout; those that cannot work are refused', () => {
  assert.deepEqual(
    [timingOf(), timingOf({ viewTimeoutMs: 600 }), timingOf({ viewTimeoutMs: 100_000 })].map(
      ({ viewTimeoutMs, resendMs, viewTimeoutMaxMs }) => [viewTimeoutMs, resendMs, viewTimeoutMaxMs],
    ),
    [
      [4_000, 1_000, 60_000],
      [600, 150, 60_000],
      [100_000, 1_000, 100_000],
    ],
  );
  assert.throws(() => timingOf({ viewTimeoutMs: 1_000, resendMs: 1_000 }), /at least twice/);
  assert.throws(() => timingOf({ viewTimeoutMs: 1_000, resendMs: 0 }), /at least twice/);
  assert.throws(() => timingOf({ viewTimeoutMs: 1_000, viewTimeoutMaxMs: 900 }), /cap/);
});
