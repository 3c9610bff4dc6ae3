import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { explore } from './model/explore.ts';
import { BROKEN, RULE } from './model/pipeline.ts';
import { MISCHIEFS } from './pbft/byzantine.ts';
import { MUTATIONS } from './pbft/mutations.ts';
import { parseScenario, runScenario } from './pbft/scenario.ts';
import { drawPlan, QUIET, type Plan } from './pbft/plan.ts';
import { runPlan, Simulation } from './pbft/simulation.ts';

const SEEDS = 15;
const scenarios = new URL('../scenarios/pbft/', import.meta.url);

function passes(seed: number): void {
  const { violation } = runPlan(drawPlan(seed));
  assert.equal(violation?.message, undefined, `replay: npm run sim -- --seed ${seed}`);
}

test(`PBFT-4.9: ${SEEDS} seeds of faults break neither safety nor, after healing, progress`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) passes(seed);
});

test('PBFT-4.7: the seeds that once failed pass', () => {
  const lines = readFileSync(new URL('../seeds.txt', import.meta.url), 'utf8').split('\n');
  const seeds = lines.flatMap((line) => (/^\d+/.test(line) ? [Number.parseInt(line, 10)] : []));
  assert.ok(seeds.length > 0);
  for (const seed of seeds) passes(seed);
});

for (const file of readdirSync(scenarios).filter((name) => name.endsWith('.txt'))) {
  test(`PBFT-6.1: scenario ${file.slice(0, -4)}`, () => {
    const { violation } = runScenario(parseScenario(readFileSync(new URL(file, scenarios), 'utf8')));
    assert.equal(violation?.message, undefined);
  });
}

test('PBFT-7.1: the primary may die between any two effects, everyone else goes on, and it comes back', () => {
  for (let effects = 0; effects < 40; effects += 2) {
    const plan = { ...QUIET, seed: effects, healAtMs: 4_500 };
    const { violation } = runPlan(plan, {}, ({ world }) => {
      world.crashAfter(0, effects);
      world.clock.at(3_000, () => world.start(0));
    });
    assert.equal(violation?.message, undefined, `crash after ${effects} effects`);
  }
});

test('PBFT-7.2: a backup may die between any two effects while another one is dead', () => {
  for (let effects = 0; effects < 30; effects += 2) {
    const plan = { ...QUIET, seed: 100 + effects };
    const { violation } = runPlan(plan, {}, ({ world }) => {
      world.crashAfter(2, 0);
      world.crashAfter(3, 20 + effects);
      world.clock.at(1_500, () => world.start(3));
    });
    assert.equal(violation?.message, undefined, `crash after ${20 + effects} effects`);
  }
});

/** Epochs of eight blocks: the first one ends with validator 3. */
const CROSSING: Plan = {
  ...QUIET,
  limits: { checkpointInterval: 8, rotationBlocks: 3, skipBlocks: 64 },
  weights: [1, 1, 1, 1, 1],
  elections: [{ checkpoint: 1, weights: [1, 1, 1, 0, 1] }],
  progress: 6,
};

test('PBFT-14.7: a validator may die between any two effects around the end of an epoch, while one that leaves dies for good', () => {
  for (let effects = 0; effects < 60; effects += 3) {
    const plan = { ...CROSSING, seed: 200 + effects, deserters: [3], healAtMs: 2_500 };
    const { violation, epoch } = runPlan(plan, {}, ({ world }) => {
      world.clock.at(450, () => world.crashAfter(1, effects));
      world.clock.at(1_500, () => world.start(1));
    });
    assert.equal(violation?.message, undefined, `crash after ${effects} effects`);
    assert.equal(epoch, 1);
  }
});

test('PBFT-7.4: a lost disk gives its vote back only in an epoch that begins after the chain has seen the wish for it', () => {
  const plan: Plan = { ...CROSSING, elections: [], progress: 40 };
  const { violation, counts, epoch } = runPlan(plan, {}, (simulation) => {
    simulation.world.clock.at(1_000, () => simulation.lose(1, 'lost disk'));
  });
  assert.equal(violation?.message, undefined);
  assert.deepEqual([counts['voted again after a lost disk'], epoch], [1, 1]);
});

test('PBFT-7.1: a lying disk and a restored backup are faulty validators: up to F of them do no harm', () => {
  for (const how of ['lying disk', 'restored backup'] as const) {
    for (let seed = 1; seed <= 4; seed += 1) {
      const plan: Plan = { ...QUIET, seed, frail: [{ self: 2, how, atMs: 1_200 }] };
      assert.equal(runPlan(plan).violation?.message, undefined, how);
    }
  }
});

test('PBFT-14.4: what was said in old epochs, and by those who left, is replayed without effect', () => {
  const villains = [
    { self: 0, mischiefs: ['parrot' as const, 'replay' as const], probability: 1, twin: false },
  ];
  const { violation, counts } = runPlan({ ...CROSSING, villains, boundMs: 60_000 });
  assert.equal(violation?.message, undefined);
  assert.ok((counts['byzantine: parrot'] ?? 0) > 0);
});

test('PBFT-6.4: each mischief of a faulty validator alone is withstood', () => {
  for (const [at, mischief] of MISCHIEFS.entries()) {
    const villains = [{ self: at % 4, mischiefs: [mischief], probability: 0.7, twin: false }];
    const { violation } = runPlan({ ...QUIET, seed: at, villains, boundMs: 60_000 });
    assert.equal(violation?.message, undefined, mischief);
  }
});

test('PBFT-4.3: twins, two replicas with one key, are withstood and found out', () => {
  let accused = 0;
  for (let seed = 1; seed <= 4; seed += 1) {
    const villains = [{ self: 0, mischiefs: ['replay' as const], probability: 0, twin: true }];
    const simulation = new Simulation({ ...QUIET, seed, villains, boundMs: 60_000 });
    simulation.run();
    accused += simulation.evidence.length;
    assert.ok(simulation.evidence.every(({ culprit }) => culprit === 0));
  }
  assert.ok(accused > 0);
});

test('PBFT-3.1: a run whose messages go through their bytes is the run without', () => {
  const plain = runPlan({ ...drawPlan(3), encoded: false });
  assert.deepEqual(runPlan({ ...drawPlan(3), encoded: true }), plain);
});

test('PBFT-7.2: the same seed gives the same run', () => {
  assert.deepEqual(runPlan(drawPlan(7)), runPlan(drawPlan(7)));
});

/** First seeds known to show the faults that show quickly; a change of the swarm may move them, `--mutate NAME` finds them again. */
const SHOWN_BY: Readonly<Record<string, number>> = {
  'commit-without-quorum': 1,
  'quorum-two-thirds-down': 1,
  'vote-twice': 1,
  'prepare-without-parent': 1,
  'commit-before-parent': 71,
  'above-watermark': 96,
  'forget-prepared': 68,
  'vote-before-new-view': 16,
  'follow-anyone': 24,
  'believe-proofs': 23,
  'new-view-drops-prepared': 2,
  'new-view-lowest': 343,
  'believe-new-view': 326,
  'skip-too-many': 16,
  'send-before-persist': 1,
  'execute-before-store': 3,
  'forget-accepted': 1,
  'forget-prepared-record': 1,
  'forget-view-change': 1,
  'forget-log': 9,
  'vote-without-log': 7,
  'deliver-twice': 2,
  'open-at-once': 1,
  'above-closing': 1,
  'any-epoch': 109,
};

test('PBFT-1.2: every fault put into the protocol on purpose is seen by the checkers', () => {
  const mutations = Object.entries(MUTATIONS).filter(([, { sabotage }]) => sabotage !== undefined);
  assert.deepEqual(mutations.map(([name]) => name).sort(), Object.keys(SHOWN_BY).sort());
  for (const [name, { sabotage }] of mutations) {
    const from = SHOWN_BY[name] ?? 1;
    let seen = false;
    for (let seed = from; seed < from + 3 && !seen; seed += 1)
      seen = runPlan(drawPlan(seed), sabotage).violation !== undefined;
    assert.ok(seen, name);
  }
});

test('PBFT-4.4: no reachable state of the small model of the pipelining rule breaks agreement or leaves a gap', () => {
  const { complete, flaw, states } = explore({ heights: 2, views: 2 }, RULE);
  assert.deepEqual([complete, flaw], [true, undefined]);
  assert.ok(states > 10_000);
});

test('PBFT-4.4: the same model with one rule left out has a counterexample, and tells it', () => {
  for (const variant of BROKEN) {
    const { flaw, trace } = explore(variant.shownBy, variant);
    assert.ok(flaw !== undefined && trace.length > 0, variant.name);
  }
});

test('PBFT-9.2: the command line replays a failure with exit code 1, passes with 0, and refuses nonsense with 2', () => {
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [fileURLToPath(new URL('main.js', import.meta.url)), ...args],
      { encoding: 'utf8' },
    );
    return { status, stdout, stderr };
  };
  const canary = run('--mutate', 'commit-without-quorum', '--jobs', '1', '--json');
  assert.equal(canary.status, 1);
  const report = JSON.parse(canary.stdout) as { caught: boolean; replay: string };
  assert.deepEqual(
    [report.caught, report.replay],
    [true, 'npm run sim -- --mutate commit-without-quorum --seed 1'],
  );
  const good = run('--seed', '2', '--json');
  assert.equal(good.status, 0);
  assert.equal((JSON.parse(good.stdout) as { passed: boolean }).passed, true);
  const missed = run('--mutate', 'new-view-lowest', '--seeds', '2', '--jobs', '1', '--json');
  assert.equal(missed.status, 0);
  assert.match(missed.stderr, /not caught/);
  const list = run('--mutate', 'list').stdout.trim().split('\n');
  assert.equal(list.length, Object.keys(MUTATIONS).length);
  assert.equal(run('--seed', 'x').status, 2);
  assert.equal(run('--nonsense').status, 2);
});
