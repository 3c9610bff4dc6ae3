import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIGHT_MUTATIONS } from './light/mutants.ts';
import { sabotageOf } from './pbft/mutations.ts';
import { drawPlan } from './pbft/plan.ts';
import { runPlan } from './pbft/simulation.ts';

const SEEDS = 3;

test(`LIGHT-9.1: over ${SEEDS} seeds light clients accept what honest replicas committed and nothing else, and every honest answer`, () => {
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violation, counts } = runPlan(drawPlan(seed, true));
    assert.equal(violation?.message, undefined, `replay: npm run sim -- --light --seed ${seed}`);
    for (const [what, times] of Object.entries(counts)) seen.set(what, (seen.get(what) ?? 0) + times);
  }
  const lies = [...seen.keys()].filter((what) => what.startsWith('light lie: '));
  assert.ok(lies.length >= 20, `kinds of lies told: ${lies.join(', ')}`);
  for (const what of ['honest answer believed', 'hops taken', 'items proved', 'stale answer refused'])
    assert.ok((seen.get(`light: ${what}`) ?? 0) > 0, what);
});

test('LIGHT-4.2: the same seed gives the same run, with light clients too', () => {
  assert.deepEqual(runPlan(drawPlan(6, true)), runPlan(drawPlan(6, true)));
});

/** Most are noticed at the first seed; which one it is moves with every kind of transaction that is new. */
const SEEDS_MAX = 40;

for (const [name, { what }] of Object.entries(LIGHT_MUTATIONS)) {
  test(`LIGHT-1.3: noticed when ${what}`, async () => {
    const sabotage = await sabotageOf(name);
    let seen = false;
    for (let seed = 1; seed <= SEEDS_MAX && !seen; seed += 1)
      seen = runPlan(drawPlan(seed, true), sabotage).violation !== undefined;
    assert.ok(seen, name);
  });
}
