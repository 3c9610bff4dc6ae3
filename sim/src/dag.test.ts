import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runDagSeed } from './dag.ts';
import { dagScenarioNames, readDagScenario, seedThatShows } from './dag/command.ts';
import { SABOTAGES } from './dag/node.ts';

test('DAG-6.1 DAG-7.2 DAG-8.5: under drawn faults all members order alike, apply once, lose nothing, and finish after healing', () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const { violation } = runDagSeed(seed, { durationMs: 6_000 });
    assert.equal(violation, undefined, `npm run sim -- --dag --seed ${seed}: ${violation}`);
  }
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
    if ((options.byzantine ?? 0) > 0) assert.ok(report.equivocations > 0, 'the liars lied');
  });
}

for (const sabotage of SABOTAGES) {
  test(`DAG-10.1 DAG-8.2: the checkers see the known fault ${sabotage}`, () => {
    const seen = seedThatShows(sabotage);
    assert.notEqual(seen, undefined);
    assert.match(seen?.violation ?? '', /equivocates|votes twice/);
  });
}
