import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KINDS } from '@itc/core/ledger/body.js';
import { LedgerTally } from './ledger/ledger-tally.ts';
import { LEDGER_MUTATIONS } from './ledger/mutants.ts';
import { sabotageOf } from './pbft/mutations.ts';
import { drawPlan, QUIET, type Plan } from './pbft/plan.ts';
import { runPlan } from './pbft/simulation.ts';

/** Many transactions, and long enough for what has a delay. */
const BUSY: Plan = { ...QUIET, requestEveryMs: 12, healAtMs: 10_000 };
const BUSY_SEEDS = 4;

test(`STATE-2.1: within ${BUSY_SEEDS} busy runs every kind of transaction is drawn, accepted by consensus and refused, and all that must hold of blocks does`, () => {
  const tally = new LedgerTally();
  for (let seed = 1; seed <= BUSY_SEEDS && (seed === 1 || tally.neverAccepted.length > 0); seed += 1) {
    const { violation, transactions } = runPlan({ ...BUSY, seed });
    assert.equal(violation?.message, undefined);
    tally.merge(transactions);
  }
  assert.deepEqual(tally.neverAccepted, []);
  const { counts } = tally;
  for (const kind of KINDS) assert.ok((counts[kind]?.drawn ?? 0) > 0, `${kind} was never drawn`);
  const codes = new Set(KINDS.flatMap((kind) => Object.keys(counts[kind]?.refused ?? {})));
  assert.ok(codes.size >= 40, `codes of refusals: ${[...codes].join(', ')}`);
});

test('STATE-2.6: transactions that faulty proposers put into their blocks a second time are refused, and cost nobody anything', () => {
  const villains = [{ self: 0, mischiefs: ['replay' as const], probability: 0, twin: false }];
  const refused = (plan: Plan): number => {
    const { violation, transactions } = runPlan(plan);
    assert.equal(violation?.message, undefined);
    const kinds = KINDS.map((kind) => transactions[kind]?.refused['transaction.nonce'] ?? 0);
    return kinds.reduce((sum, times) => sum + times, 0);
  };
  assert.ok(refused({ ...QUIET, villains }) > 5 + refused(QUIET));
});

/** Most are noticed at the first seed; which one it is moves with every kind of transaction that is new. */
const SEEDS_MAX = 40;

for (const [name, { what }] of Object.entries(LEDGER_MUTATIONS)) {
  test(`STATE-2.9: noticed when ${what}`, async () => {
    const sabotage = await sabotageOf(name);
    let seen = false;
    for (let seed = 1; seed <= SEEDS_MAX && !seen; seed += 1)
      seen = runPlan(drawPlan(seed), sabotage).violation !== undefined;
    assert.ok(seen, name);
  });
}
