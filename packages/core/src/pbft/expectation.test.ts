import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Cluster, CLUSTER_TIMING, type ClusterOptions } from '../testing/pbft-cluster.ts';
import { LIMITS } from '../ledger/limits.ts';
import { Expectation } from './expectation.ts';

const TICK = 100;
const TIMEOUT = 4_000;

interface Pace {
  /** Ticks between two deliveries. */
  readonly ticks: number;
  readonly requests: number;
  /** Requests that wait all the while; 0 = idle. */
  readonly pending: number;
}

/** Blocks at one pace. Returns whether the proposer was found slow at any tick. */
function play(of: Expectation, blocks: number, { ticks, requests, pending }: Pace): boolean {
  let slow = false;
  for (let block = 0; block < blocks; block += 1) {
    for (let tick = 0; tick < ticks; tick += 1) {
      of.pass(TICK, pending);
      slow ||= of.isSlow();
    }
    of.delivered(requests);
  }
  return slow;
}

/** Turns of validators 0, 2 and 3 at one pace; then it is validator 1's. */
function known(pace: Pace): Expectation {
  const expectation = new Expectation(4, TIMEOUT);
  for (const [turn, proposer] of [0, 2, 3].entries()) {
    expectation.turn(0, turn, proposer);
    play(expectation, 16, pace);
  }
  expectation.turn(0, 3, 1);
  return expectation;
}

const QUICK: Pace = { ticks: 2, requests: 100, pending: 50 };

/** View changes asked for in a run of the cluster, and the cluster. */
function asked(ms: number, options: ClusterOptions): { views: number; cluster: Cluster } {
  const cluster = new Cluster(options).run(ms);
  return { views: cluster.of('view-change').length, cluster };
}

test('PBFT-12.1: under a backlog, less than half of what the others deliver is slow', () => {
  assert.equal(play(known(QUICK), 16, { ticks: 2, requests: 40, pending: 2_000 }), true);
  assert.equal(play(known(QUICK), 16, { ticks: 2, requests: 60, pending: 2_000 }), false);
});

test('PBFT-12.1: without a backlog a low rate is low demand, not a fault', () => {
  assert.equal(play(known(QUICK), 16, { ticks: 2, requests: 1, pending: 100 }), false);
  assert.equal(play(known({ ...QUICK, requests: 1 }), 16, { ticks: 2, requests: 0, pending: 31 }), false);
});

test('PBFT-12.2: clearly longer waits than with the others are slow, unless that much more gets done', () => {
  const late: Pace = { ticks: 38, requests: 100, pending: 50 };
  assert.equal(play(known(QUICK), 16, late), true);
  assert.equal(play(known(QUICK), 16, { ...late, requests: 40_000 }), false);
});

test('PBFT-12.2: waits below a quarter of the view timeout are no fault, however quick the others are', () => {
  const quick: Pace = { ticks: 1, requests: 5, pending: 50 };
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 16, maxLength: 16 }), (waits) => {
      const expectation = known(quick);
      for (const ticks of waits)
        assert.equal(play(expectation, 1, { ticks, requests: 30, pending: 60 }), false);
    }),
  );
});

test('PBFT-12.2: bursts of blocks between long waits are as slow as single blocks', () => {
  const expectation = known(QUICK);
  let slow = false;
  for (let burst = 0; burst < 3; burst += 1) {
    slow ||= play(expectation, 1, { ticks: 38, requests: 100, pending: 50 });
    slow ||= play(expectation, 3, { ticks: 0, requests: 100, pending: 50 });
  }
  assert.equal(slow, true);
});

test('PBFT-12.3: nothing is slow in less than a second of waiting, in fewer than 4 blocks, or while no other is known', () => {
  const late: Pace = { ticks: 38, requests: 1, pending: 5_000 };
  assert.equal(play(known(QUICK), 3, late), false);
  assert.equal(play(known(QUICK), 9, { ticks: 1, requests: 0, pending: 5_000 }), false);
  const alone = new Expectation(4, TIMEOUT);
  alone.turn(0, 0, 1);
  assert.equal(play(alone, 16, late), false);
});

test('PBFT-12.3: one hiccup of any length in a turn is forgiven', () => {
  fc.assert(
    fc.property(fc.nat({ max: 15 }), fc.integer({ min: 1, max: 39 }), (at, ticks) => {
      const expectation = known(QUICK);
      for (let block = 0; block < 16; block += 1) {
        const wait = block === at ? ticks : 2;
        const slow = play(expectation, 1, { ticks: wait, requests: 100, pending: 5_000 });
        assert.equal(slow, false);
      }
    }),
  );
});

test('PBFT-12.3: but not in turn after turn', () => {
  const expectation = known(QUICK);
  const outcomes: boolean[] = [];
  for (let turn = 3; turn < 6; turn += 1) {
    expectation.turn(0, turn * 2, 1);
    let slow = false;
    for (let block = 0; block < 16; block += 1)
      slow ||= play(expectation, 1, { ticks: block === 8 ? 38 : 1, requests: 100, pending: 50 });
    outcomes.push(slow);
    expectation.turn(0, turn * 2 + 1, 2);
    play(expectation, 16, QUICK);
  }
  assert.deepEqual(outcomes, [false, false, true]);
});

test('PBFT-12.3: an own stall, or blocks that came another way, begin the measurement anew', () => {
  for (const disturb of [
    (of: Expectation): void => of.pass(1_500, 50),
    (of: Expectation): void => of.restart(),
  ]) {
    const expectation = known(QUICK);
    play(expectation, 3, { ticks: 38, requests: 1, pending: 50 });
    disturb(expectation);
    assert.equal(play(expectation, 1, { ticks: 38, requests: 1, pending: 50 }), false);
  }
});

test('PBFT-12.3: idle time is nobody’s, and requests that vanish were nobody’s delay', () => {
  const expectation = known(QUICK);
  assert.equal(play(expectation, 16, { ticks: 100, requests: 0, pending: 0 }), false);
  const vanishing = known(QUICK);
  for (let round = 0; round < 8; round += 1) {
    for (let tick = 0; tick < 37; tick += 1) vanishing.pass(TICK, 50);
    vanishing.pass(TICK, 0);
    vanishing.delivered(1);
    assert.equal(vanishing.isSlow(), false);
  }
});

test('PBFT-12.4: each suspicion raises the bar, so that a network that became slow for all costs a few views, not one per turn', () => {
  const cautious = known(QUICK);
  const late: Pace = { ticks: 20, requests: 100, pending: 50 };
  for (let i = 0; i < 3; i += 1) cautious.suspected();
  assert.equal(play(cautious, 16, late), false);
  const { views, cluster } = asked(180_000, {
    load: () => 0.1,
    proposeMs: (_, now) => (now < 1_010_000 ? 5 : 1_500),
  });
  assert.ok(views <= 4 * 4, `${views} messages`);
  const settled = cluster.of('view-change').at(-1)?.at ?? 0;
  assert.ok(settled < 1_060_000, `last at ${settled}`);
});

test('PBFT-12.5: a proposer at 95 % of the view timeout is skipped within its first turn', () => {
  for (const blockMax of [50, 1_000]) {
    const { cluster } = asked(25_000, {
      load: () => 0.3,
      blockMax: () => blockMax,
      proposeMs: (node) => (node === 1 ? 0.95 * CLUSTER_TIMING.viewTimeoutMs - 60 : 20),
    });
    assert.deepEqual(cluster.status(0).skipped, [1]);
    const turn = (cluster.nodes[0]?.delivered ?? []).filter(
      ({ block, certificate }) => certificate.view === 0 && block.height > LIMITS.rotationBlocks,
    );
    assert.ok(turn.length < LIMITS.rotationBlocks, `${turn.length} blocks of its turn`);
  }
});

test('PBFT-12.5: a proposer of nearly empty blocks is skipped when requests pile up', () => {
  const { cluster } = asked(25_000, {
    load: () => 0.5,
    latencyMs: 200,
    blockMax: (node) => (node === 1 ? 1 : 1_000),
  });
  assert.deepEqual(cluster.status(0).skipped, [1]);
});

test('PBFT-12.6: no false alarm: idle, light load, a drop, a surge, machines of uneven speed, hiccups', () => {
  const calm: readonly (readonly [string, ClusterOptions])[] = [
    ['idle', {}],
    ['a request now and then', { load: () => 0.0005 }],
    ['a drop', { load: (now) => (now < 1_010_000 ? 3 : 0.02), latencyMs: 60 }],
    ['a surge', { load: (now) => (now < 1_010_000 ? 0.02 : 3), latencyMs: 60 }],
    [
      'larger and slower blocks',
      { load: (now) => (now < 1_008_000 ? 0.02 : 5), proposeMs: (_, now) => (now < 1_008_000 ? 5 : 1_200) },
    ],
    ['uneven machines', { load: () => 0.2, proposeMs: (node) => [5, 300, 60, 700][node] ?? 5 }],
    ['hiccups', { load: () => 0.2, proposeMs: (_, now) => (now % 7_000 < 150 ? 2_500 : 20) }],
  ];
  for (const [name, options] of calm) assert.equal(asked(30_000, options).views, 0, name);
});

test('PBFT-12.6: whoever is cut off, or fetches blocks, measures nobody', () => {
  const cluster = new Cluster({
    load: () => 0.2,
    // Replica 3 hears nobody for a while, then catches up by fetching blocks.
    lost: (_, to) => to === 3 && cluster.now > 1_004_000 && cluster.now < 1_014_000,
  });
  cluster.run(30_000);
  // The others miss it in its turn; it blames nobody.
  assert.equal(cluster.of('view-change').filter(({ from }) => from === 3).length, 0);
  assert.ok(cluster.heightOf(3) > cluster.heightOf(0) - 64);
  assert.deepEqual(cluster.status(3).suspects, []);
});
