import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { ManualClock } from '../testing/manual-clock.ts';
import { DiskPause, isFull } from './full-disk.ts';

const FULL = new LedgerError('storage.full', 'no space is left');

test('NODE-4.9: who found no room tries again once a second, writes nothing in between, and goes on when a write finds room', () => {
  const clock = new ManualClock();
  let tries = 0;
  const pause = new DiskPause({ clock, retry: () => (tries += 1) });
  assert.equal(pause.mayWrite, true);
  assert.equal(pause.begin(FULL), true, 'the first of them');
  assert.equal(pause.error, FULL);
  for (let second = 1; second <= 3; second += 1) {
    clock.advance(900);
    assert.equal(pause.mayWrite, false);
    clock.advance(100);
    assert.deepEqual([tries, pause.mayWrite], [second, true]);
    assert.equal(pause.begin(FULL), false, 'one pause, however often it is tried');
  }
  assert.equal(pause.end(), true);
  assert.equal(pause.end(), false);
  assert.deepEqual([pause.error, pause.mayWrite], [undefined, true]);
  clock.advance(5_000);
  assert.equal(tries, 3, 'nothing is tried when all is well');
  assert.equal(isFull(new LedgerError('storage.failed', 'broken')), false);
});
