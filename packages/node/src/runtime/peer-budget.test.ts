import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../testing/manual-clock.ts';
import { PEER_BUDGET, PeerBudget } from './peer-budget.ts';

test('NODE-2.11: a peer that repeats itself as fast as it can is over its budget after one burst; others are not', () => {
  const clock = new ManualClock();
  const budget = new PeerBudget(clock);
  let heard = 0;
  while (budget.spend('flooding')) heard += 1;
  assert.equal(heard, PEER_BUDGET.burst);
  assert.ok(budget.spend('other'));
  // Going away and coming back at once clears nothing; a pause does.
  assert.ok(!budget.spend('flooding'));
  clock.advance(1_000);
  assert.ok(budget.spend('flooding'));
});

test('NODE-2.11: names that come and go leave nothing behind, and do not clear what somebody owes', () => {
  const clock = new ManualClock();
  const budget = new PeerBudget(clock);
  while (budget.spend('flooding'));
  for (let i = 0; i < 5 * PEER_BUDGET.peersMax; i += 1) {
    budget.spend(`peer ${i}`);
    clock.advance(1);
  }
  assert.ok(budget.size <= PEER_BUDGET.peersMax + 1);
  for (let i = 0; i < 5 * PEER_BUDGET.peersMax; i += 1) budget.spend('flooding');
  assert.ok(!budget.spend('flooding'));
});

test('NODE-2.11: whoever keeps to the rate is heard for ever, and once more after a pause of any length', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 50 }), (pauses) => {
      const clock = new ManualClock();
      const budget = new PeerBudget(clock);
      // What was not said in time is said at once, up to the burst.
      for (const pause of pauses) {
        clock.advance(pause);
        const due = Math.min(PEER_BUDGET.burst, (pause * PEER_BUDGET.messagesPerSecond) / 1_000);
        for (let i = 0; i < due; i += 1) assert.ok(budget.spend('steady'));
      }
    }),
  );
});
