import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import type { Action } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import {
  overdueRental,
  readRentalRun,
  stepRental,
  wordOf,
  writeRentalRun,
  type RentalRun,
  type RentalStep,
} from './rental-run.ts';

const FIRST = asHash(new Uint8Array(32).fill(1));
const SECOND = asHash(new Uint8Array(32).fill(2));

function step(
  run: RentalRun | undefined,
  kind: 'begin' | 'end' | 'on' | 'off',
  o: { readonly id?: Hash; readonly now?: number; readonly isUse?: boolean } = {},
): RentalStep {
  const { id = FIRST, now = 1000, isUse = false } = o;
  const action: Action = { kind };
  return stepRental(run, { rental: { id, until: millis(9000) }, action, isUse, now: millis(now) });
}

function gone(next: RentalStep): Extract<RentalStep, { kind: 'go' }> {
  assert.ok(next.kind === 'go');
  return next;
}

test('EDGE-13.1: a renter’s commands are obeyed from begin to end; both are told', () => {
  assert.equal(step(undefined, 'on').kind, 'refuse');
  assert.equal(step(undefined, 'end').kind, 'refuse');
  const begun = gone(step(undefined, 'begin'));
  assert.deepEqual(begun.word, { rental: FIRST, event: 'started', at: 1000, uses: 0 });
  assert.equal(gone(step(begun.run, 'off', { now: 2000 })).word, undefined);
  const over = gone(step(begun.run, 'end', { now: 3000 }));
  assert.deepEqual(over.word, { rental: FIRST, event: 'stopped', at: 3000, uses: 0 });
  assert.equal(step(over.run, 'on').kind, 'refuse');
  assert.equal(step(over.run, 'begin').kind, 'refuse', 'it does not begin twice');
});

test('EDGE-13.1: begin and end that come again change nothing', () => {
  const { run } = gone(step(undefined, 'begin'));
  assert.deepEqual(step(run, 'begin', { now: 2000 }), { kind: 'go', run });
  const over = gone(step(run, 'end', { now: 3000 })).run;
  assert.deepEqual(step(over, 'end', { now: 4000 }), { kind: 'go', run: over });
});

test('EDGE-13.2: uses are counted and told', () => {
  const { run } = gone(step(undefined, 'begin'));
  const once = gone(step(run, 'on', { isUse: true, now: 1500 }));
  assert.deepEqual(once.word, { rental: FIRST, event: 'used', at: 1500, uses: 1 });
  const twice = gone(step(once.run, 'on', { isUse: true, now: 1600 }));
  assert.equal(gone(step(twice.run, 'end')).word?.uses, 2);
});

test('EDGE-13.3: a rental that is over by its time is ended by the device', () => {
  const { run } = gone(step(undefined, 'begin'));
  assert.equal(overdueRental(run, millis(8999)), undefined);
  const over = overdueRental(run, millis(12_000));
  assert.deepEqual(over?.word, { rental: FIRST, event: 'stopped', at: 9000, uses: 0 });
  assert.equal(overdueRental(over?.run, millis(13_000)), undefined);
});

test('EDGE-13.1: another rental begins anew; whoever rented before is not obeyed', () => {
  const { run } = gone(step(undefined, 'begin'));
  const next = gone(step(run, 'begin', { id: SECOND }));
  assert.deepEqual(next.word?.rental, SECOND);
  assert.equal(step(next.run, 'on').kind, 'refuse');
});

test('EDGE-13.1: owner and guests are not concerned', () => {
  const action: Action = { kind: 'on' };
  const own = stepRental(undefined, { rental: undefined, action, isUse: true, now: millis(1) });
  assert.deepEqual(own, { kind: 'go', run: undefined });
});

test('EDGE-13.4: it outlives a restart, and is said again then', () => {
  const { run } = gone(step(undefined, 'begin'));
  const over = gone(step(run, 'end', { now: 3000 })).run;
  for (const kept of [undefined, run, over]) {
    const writer = new Writer(128);
    writeRentalRun(writer, kept);
    const back = decode(readRentalRun, writer.finish());
    assert.ok(back.ok);
    assert.deepEqual(back.value, kept);
  }
  assert.ok(over);
  assert.equal(wordOf(over).event, 'stopped');
});
