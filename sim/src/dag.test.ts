import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runDagSeed } from './dag.ts';
import { LIES } from './dag/liar.ts';
import { DAG_MUTATIONS, seedThatShows } from './dag/mutations.ts';
import { dagScenarioNames, readDagScenario } from './dag/scenario.ts';

test('DAG-6.1 DAG-7.2 DAG-8.5: under drawn faults and liars all members order alike, apply once, lose nothing, and finish after healing', () => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const { violation } = runDagSeed(seed);
    assert.equal(violation, undefined, `npm run sim -- --dag --seed ${seed}: ${violation}`);
  }
});

test('DAG-6.1: one seed is one run, to the last message', () => {
  const [once, again] = [runDagSeed(7), runDagSeed(7)];
  assert.deepEqual(again, once);
});

for (const name of dagScenarioNames()) {
  test(`DAG-8.6: scenario ${name} ends with every honest payload final at every honest member`, () => {
    const options = readDagScenario(name);
    const report = runDagSeed(1, options);
    assert.equal(
      report.violation,
      undefined,
      `npm run sim -- --dag --scenario ${name} --seed 1: ${report.violation}`,
    );
    assert.ok(report.checkpoints > 0);
    for (const lie of options.lies ?? [])
      assert.ok((report.faults[`lie: ${lie}`] ?? 0) > 0, `nobody told ${lie}`);
  });
}

/** Lies that may not cost the others anything: scenario, clause, attack of the background study. */
const HARMLESS = [
  ['lazy-tips', 'DAG-4.3', 'lazy tips'],
  ['parasite-chain', 'DAG-4.2', 'parasite stitching'],
  ['withheld-parents', 'DAG-8.8', 'withheld parent'],
  ['spam-at-the-cap', 'DAG-2.8', 'unbounded unconfirmed'],
  ['stale-anchors', 'DAG-2.3', 'PoW stockpile'],
  ['poisoned-ids', 'DAG-9.2', 'missing-parent flood'],
  ['evicted-floods', 'DAG-6.6', 'unbounded unconfirmed'],
  ['times-ahead', 'DAG-2.6', 'clock skew'],
  ['garbage', 'DAG-9.7', 'canonicalisation tricks'],
] as const;

for (const [name, clause, attack] of HARMLESS) {
  test(`${clause}: in scenario ${name} finality takes at most twice as long as without lies, at the same cadence (${attack})`, () => {
    const options = readDagScenario(name);
    const lied = runDagSeed(2, options);
    const honest = runDagSeed(2, { ...options, lies: [] });
    assert.equal(lied.violation, undefined);
    assert.equal(lied.payloads, honest.payloads, 'the same load');
    assert.ok(
      lied.finalityP99Ms <= 2 * honest.finalityP99Ms,
      `${lied.finalityP99Ms} ms against ${honest.finalityP99Ms} ms`,
    );
    assert.ok(lied.checkpoints >= 0.8 * honest.checkpoints, `${lied.checkpoints} of ${honest.checkpoints}`);
  });
}

test('DAG-5.3 DAG-3.6: scenario epochs goes through an epoch of weights, with penalties, and all members agree', () => {
  const report = runDagSeed(3, readDagScenario('epochs'));
  assert.equal(report.violation, undefined);
  assert.ok(report.checkpoints > 64, `${report.checkpoints} checkpoints`);
  assert.ok(report.equivocations > 0);
});

test('DAG-13.4 DAG-13.6: in scenario forger a member that forges payloads is barred by all, after a few that were not looked at; roots stay equal', () => {
  for (const seed of [1, 2, 3]) {
    const report = runDagSeed(seed, readDagScenario('forger'));
    assert.equal(report.violation, undefined);
    assert.equal(report.barred, 1, `seed ${seed}`);
    const told = report.faults['lie: forged payloads'] ?? 0;
    assert.ok(
      report.forged < told / 2 && report.forged <= 24,
      `${report.forged} of ${told} forgeries applied`,
    );
  }
});

test('DAG-14.1 DAG-14.6: in scenario turns sets follow each other, newcomers take a snapshot, and all is final once with equal roots', () => {
  const report = runDagSeed(1, readDagScenario('turns'));
  assert.equal(report.violation, undefined);
  assert.ok(report.sets >= 3, `${report.sets} sets`);
  assert.ok((report.faults['snapshot'] ?? 0) > 0);
});

test('DAG-14.3 DAG-10.3: in scenario turns-and-crashes members are down and one loses its disk across turns', () => {
  let lost = 0;
  for (const seed of [1, 2, 3, 4]) {
    const report = runDagSeed(seed, readDagScenario('turns-and-crashes'));
    assert.equal(report.violation, undefined, `seed ${seed}`);
    assert.ok(report.sets >= 2 && report.crashes > 0, `seed ${seed}`);
    lost += report.faults['disk lost'] ?? 0;
  }
  assert.ok(lost > 0);
});

test('DAG-13.4 DAG-14.4: in scenario turns-and-forger a barred member stays barred when others take over', () => {
  const report = runDagSeed(1, readDagScenario('turns-and-forger'));
  assert.equal(report.violation, undefined);
  assert.ok(report.sets >= 2);
  assert.equal(report.barred, 1);
});

test('DAG-12.9 STATE-14.3: in scenario value what is inside is what the escrow holds at every checkpoint, and withdrawals are paid once', () => {
  for (const name of ['value', 'value-and-turns']) {
    const report = runDagSeed(1, readDagScenario(name));
    assert.equal(report.violation, undefined, name);
    assert.ok(report.deposits > 0 && report.withdrawals > 0, name);
  }
});

test('DAG-8.6: every way to lie is told in the seeds', () => {
  const told = new Set<string>();
  for (let seed = 1; seed <= 60 && told.size < LIES.length; seed += 1)
    for (const fault of Object.keys(
      runDagSeed(seed, { durationMs: 2_000, faults: {}, cadenceMs: 400 }).faults,
    ))
      if (fault.startsWith('lie: ')) told.add(fault);
  assert.deepEqual([...told].sort(), LIES.map((lie) => `lie: ${lie}`).sort());
});

/** By which checker each is seen: every checker is there. */
const SEEN_AS: Readonly<Record<string, RegExp>> = {
  'send-before-persist': /equivocates/,
  'forget-votes': /votes twice/,
  'forget-envelopes': /equivocates/,
  'start-over': /[1-9]\d* accepted envelopes not final/,
  'forget-turns': /is not what its envelopes give/,
  'drop-void': /[1-9]\d* payloads undecided/,
  'ignore-turns': /goes by other members/,
  'reuse-lanes': /equivocates/,
  'trust-no-records': /equivocates/,
  'thin-certificates': /has weight \d+ of its own set/,
  'judge-by-first-set': /goes by other members|is not signed by those/,
  'pay-again': /is paid twice/,
  'credit-twice': /holders have/,
  'transfer-mints': /holders have/,
  'let-out-twice': /withdrawal \d+ follows/,
  'cash-again': /is cashed twice/,
  'apply-again': /applied twice/,
  'stale-root': /holds another state/,
};

for (const [mutation, { what }] of Object.entries(DAG_MUTATIONS)) {
  test(`DAG-10.1 DAG-8.2 DAG-12.9 DAG-14.6: the checkers see that ${what} (${mutation})`, () => {
    const seen = seedThatShows(mutation);
    assert.notEqual(seen, undefined);
    assert.match(
      seen?.violation ?? '',
      SEEN_AS[mutation] ?? /equivocates|votes twice|not everything is final/,
    );
  });
}
