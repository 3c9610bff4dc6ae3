import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex } from '../bytes/hex.ts';
import { millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { keyPair } from '../testing/keys.ts';
import { COMMAND_WINDOW, ReplayWindows } from './replay.ts';

const signer = keyPair(1).address;
const now = millis(1000);
const later = millis(2000);

test('LIGHT-6.1: a sequence number counts once; what lies below the window never', () => {
  const sequences = fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(sequences, (list) => {
      const windows = new ReplayWindows();
      const seen = new Set<number>();
      let high = 0;
      for (const sequence of list) {
        const expected = !seen.has(sequence) && sequence > high - COMMAND_WINDOW ? 'new' : 'replayed';
        assert.equal(windows.check(signer, sequence, now), expected);
        if (expected === 'replayed') continue;
        windows.mark(signer, sequence, later, now);
        seen.add(sequence);
        high = Math.max(high, sequence);
      }
    }),
  );
});

test('LIGHT-6.1: the greatest sequence numbers work too', () => {
  const windows = new ReplayWindows();
  windows.mark(signer, 1, later, now);
  windows.mark(signer, Number.MAX_SAFE_INTEGER, later, now);
  assert.equal(windows.check(signer, 1, now), 'replayed');
  assert.equal(windows.check(signer, Number.MAX_SAFE_INTEGER, now), 'replayed');
  assert.equal(windows.check(signer, Number.MAX_SAFE_INTEGER - 1, now), 'new');
});

test('LIGHT-6.2: signers do not share a lane', () => {
  const windows = new ReplayWindows();
  windows.mark(signer, 5, later, now);
  assert.equal(windows.check(keyPair(2).address, 5, now), 'new');
});

test('LIGHT-6.3: the table is bounded; a lane is forgotten only when all its commands have expired', () => {
  const windows = new ReplayWindows();
  for (let i = 0; i < LIMITS.commandLanesMax; i += 1)
    windows.mark(keyPair(100 + i).address, 9, i === 7 ? later : millis(9999), now);
  const newcomer = keyPair(1).address;
  assert.equal(windows.check(newcomer, 1, now), 'full');
  assert.equal(windows.check(newcomer, 1, later), 'full', 'at its last moment a command still holds');
  assert.equal(windows.check(keyPair(100).address, 10, now), 'new', 'known signers go on');
  assert.equal(windows.check(newcomer, 1, millis(2001)), 'new');
  windows.mark(newcomer, 1, millis(9999), millis(2001));
  assert.equal(windows.size, LIMITS.commandLanesMax);
  assert.equal(windows.check(keyPair(100).address, 9, millis(2001)), 'replayed');
});

test('LIGHT-6.3: a lane keeps the latest end of its commands', () => {
  const windows = new ReplayWindows();
  for (let i = 0; i < LIMITS.commandLanesMax; i += 1) {
    windows.mark(keyPair(100 + i).address, 9, later, now);
    windows.mark(keyPair(100 + i).address, 10, millis(1500), now);
  }
  assert.equal(windows.check(signer, 1, millis(1600)), 'full');
});

test('LIGHT-6.4: the windows survive a restart in one encoding', () => {
  const windows = new ReplayWindows();
  for (const [seed, sequence] of [
    [3, 7],
    [3, 5],
    [1, 1],
    [2, 400],
    [2, 399],
  ] as const)
    windows.mark(keyPair(seed).address, sequence, later, now);
  const bytes = windows.encode();
  const back = ReplayWindows.decode(bytes);
  assert.ok(back.ok);
  assert.equal(toHex(back.value.encode()), toHex(bytes));
  assert.equal(back.value.check(keyPair(3).address, 5, now), 'replayed');
  assert.equal(back.value.check(keyPair(3).address, 6, now), 'new');
  assert.ok(!ReplayWindows.decode(bytes.slice(0, -1)).ok);
  for (let i = 0; i < bytes.length; i += 1) {
    const changed = bytes.with(i, (bytes[i] as number) ^ 1);
    const read = ReplayWindows.decode(changed);
    if (read.ok) assert.equal(toHex(read.value.encode()), toHex(changed));
  }
});
