import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACTIONS, LEVEL_MAX, type Terms } from '@itc/core/ledger/terms.js';
import { describeAccess, levelOption, termsOption, toValues } from './grant-terms.ts';
import { UsageError, type Call } from './terminal/command.ts';

const NOW = Date.UTC(2026, 0, 15, 12);

function call(options: Record<string, unknown>): Call {
  return {
    arguments: [],
    options: options as Call['options'],
    output: { json: false, result: () => {}, note: () => {}, progress: () => assert.fail() },
    dataDir: '',
    api: '',
  };
}

const terms = (options: Record<string, unknown>): Terms => termsOption(call(options), NOW);

test('STATE-17.1: a grant in words: hours, percent, kelvin, uses, and passing on', () => {
  const given = terms({
    to: ['guest', '23:00'],
    from: '18:00',
    days: 'mon-fri,sun',
    'utc-offset': '+1:00',
    'level-max': '60%',
    kelvin: '2200-4000',
    uses: '10',
    delegable: true,
    for: '2d',
  });
  assert.deepEqual(given.schedule, { utcOffset: 60, windows: [{ days: 0b1011111, from: 1080, to: 1380 }] });
  assert.deepEqual(
    [given.levelMax, given.colour, given.uses, given.delegable, given.expiresAt - NOW],
    [152, { min: 2200, max: 4000 }, 10, 1, 2 * 86_400_000],
  );
  assert.deepEqual(toValues(call({ to: ['guest', '23:00'] })), { subject: 'guest', hour: '23:00' });
});

test('STATE-17.1: without words a grant is for a day, for everything, always', () => {
  const given = terms({ to: ['guest'] });
  assert.deepEqual(Object.keys(given).toSorted(), ['actions', 'expiresAt', 'levelMax', 'notBefore']);
  assert.deepEqual([given.actions, given.levelMax, given.expiresAt - NOW], [15, LEVEL_MAX, 86_400_000]);
});

test('STATE-17.2: nights go over midnight, and ranges of days over the end of the week', () => {
  const given = terms({ from: '22:00', to: ['6:00'], days: 'sat-mon', 'utc-offset': '-5:30' });
  assert.deepEqual(given.schedule, { utcOffset: -330, windows: [{ days: 0b1100001, from: 1320, to: 360 }] });
  assert.deepEqual(terms({ days: 'wed', 'utc-offset': '0:00' }).schedule?.windows, [
    { days: 0b100, from: 0, to: 1440 },
  ]);
  assert.deepEqual(
    terms({ to: ['0:00'], from: '20:00', 'utc-offset': '0:00' }).schedule?.windows[0]?.to,
    1440,
  );
});

test('STATE-17.1: what cannot be meant is refused with what was expected', () => {
  const wrong: Record<string, unknown>[] = [
    { days: 'monday' },
    { from: '25:00' },
    { from: '8:00', to: ['8:00'] },
    { to: ['8:00', '9:00'] },
    { kelvin: '4000-2200' },
    { kelvin: '10-20' },
    { 'level-max': '101%' },
    { 'level-max': '255' },
    { uses: '0' },
    { depth: '2' },
    { delegable: true, depth: '4' },
    { 'utc-offset': '15:00', days: 'mon' },
    { actions: 'fly' },
    { for: 'long' },
  ];
  for (const options of wrong) assert.throws(() => terms(options), UsageError, JSON.stringify(options));
  assert.equal(levelOption(undefined, 'level'), undefined);
});

test('STATE-17.1: what a node says of a grant is told in one line', () => {
  const line = describeAccess({
    subject: 'itc1',
    granter: 'itc1',
    delegated: false,
    counts: false,
    actions: ['on-off', 'level'],
    levelMax: 152,
    notBefore: 0,
    expiresAt: NOW,
    schedule: { utcOffset: 60, windows: [{ days: 0b11, from: 1080, to: 1380 }] },
    uses: 10,
    group: { id: '', name: 'kitchen' },
  });
  assert.equal(
    line,
    'on-off, level; level ≤ 152; mon,tue 18:00–23:00 (UTC+01:00); 10 commands; until 2026-01-15T12:00:00.000Z; for kitchen; counts no more',
  );
});

test('STATE-17.10: what is left open is what the model has; beyond it the refusal says what to set, before any fee', () => {
  const limits = { actions: ACTIONS.onOff | ACTIONS.level, levelMax: 200 };
  const within = (options: Record<string, unknown>): Terms => termsOption(call(options), NOW, limits);
  const { actions, levelMax, colour } = within({});
  assert.deepEqual(
    [actions, levelMax, colour],
    [ACTIONS.onOff | ACTIONS.level | ACTIONS.read, 200, undefined],
  );
  const refusal = {
    code: 'grant.beyond-model',
    message: /expected a level up to 200, got 254; set .*--level-max/,
  };
  assert.throws(() => within({ 'level-max': '100%' }), refusal);
  assert.throws(() => within({ actions: 'on-off,colour' }), { message: /no colour: leave it out/ });
});
