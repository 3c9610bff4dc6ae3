import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { anySchedule, anyTerms, termsWith } from '../testing/device-arbitraries.ts';
import { assertStrict } from '../testing/arbitraries.ts';
import type { Action } from './command.ts';
import { millis, type Millis } from './ids.ts';
import {
  ACTIONS,
  ACTIONS_ALL,
  inSchedule,
  mayRead,
  readTerms,
  termsFlaw,
  termsRefusal,
  widened,
  writeTerms,
  type Schedule,
  type Terms,
} from './terms.ts';

const encode = (terms: Terms): Uint8Array => {
  const writer = new Writer(64);
  writeTerms(writer, terms);
  return writer.finish();
};

/** Monday to Friday, 18:00 to 23:00 in Berlin's winter. */
const EVENINGS: Schedule = { utcOffset: 60, windows: [{ days: 0b0011111, from: 1080, to: 1380 }] };
/** A moment of the first week of January 2024, which began on a Monday; in UTC. */
const at = (day: number, hour: number, minute = 0): Millis =>
  millis(Date.UTC(2024, 0, 1 + day, hour, minute));

const BASE: Terms = { actions: ACTIONS_ALL, levelMax: 254, notBefore: millis(0), expiresAt: at(400, 0) };

/** What a person with a calendar would say, minute by minute: no arithmetic of weeks. */
function isOpen({ utcOffset, windows }: Schedule, moment: Millis): boolean {
  const isIn = (day: number, from: number, to: number): boolean => {
    // The window that begins on this calendar day, as an interval of time.
    const start = Date.UTC(2024, 0, 1 + day, 0, from - utcOffset);
    const length = to > from ? to - from : to + 1440 - from;
    return moment >= start && moment < start + length * 60_000;
  };
  const today = Math.floor((moment - Date.UTC(2024, 0, 1)) / 86_400_000);
  return windows.some(({ days, from, to }) =>
    [-2, -1, 0, 1, 2].some((near) => {
      const day = today + near;
      const weekday = ((day % 7) + 7) % 7;
      return ((days >> weekday) & 1) === 1 && isIn(day, from, to);
    }),
  );
}

test('STATE-17.1: terms have one encoding; ranges that hold nothing are refused', () => {
  assertStrict(anyTerms, { encode, decode: (bytes) => decode(readTerms, bytes) }, 150);
  const window = { days: 1, from: 10, to: 20 };
  const wrong: Partial<Terms>[] = [
    { colour: { min: 3000, max: 2999 } },
    { colour: { min: 999, max: 2000 } },
    { colour: { min: 2000, max: 20_001 } },
    { schedule: { utcOffset: 0, windows: [] } },
    { schedule: { utcOffset: 841, windows: [window] } },
    { schedule: { utcOffset: 0, windows: [{ ...window, days: 0 }] } },
    { schedule: { utcOffset: 0, windows: [{ ...window, days: 128 }] } },
    { schedule: { utcOffset: 0, windows: [{ ...window, to: 10 }] } },
    { schedule: { utcOffset: 0, windows: [{ ...window, from: 1440 }] } },
    { schedule: { utcOffset: 0, windows: [{ ...window, to: 0 }] } },
    { schedule: { utcOffset: 0, windows: Array(5).fill(window) as (typeof window)[] } },
    { uses: 0 },
    { delegable: 0 },
    { delegable: 4 },
  ];
  for (const changes of wrong) {
    const back = decode(readTerms, encode({ ...BASE, ...changes }));
    assert.ok(!back.ok, JSON.stringify(changes));
  }
});

test('STATE-17.1: terms that contradict themselves are told by what is wrong', () => {
  assert.equal(termsFlaw(BASE), undefined);
  assert.match(termsFlaw({ ...BASE, actions: 0 }) ?? '', /action/);
  assert.match(termsFlaw({ ...BASE, actions: 16 }) ?? '', /action/);
  assert.match(termsFlaw({ ...BASE, levelMax: 255 }) ?? '', /level/);
  assert.match(termsFlaw({ ...BASE, notBefore: BASE.expiresAt }) ?? '', /begin/);
});

test('STATE-17.2: evenings from Monday to Friday, in local time', () => {
  const open = (day: number, hour: number, minute = 0): boolean =>
    inSchedule(EVENINGS, at(day, hour, minute));
  assert.deepEqual([open(0, 16, 59), open(0, 17), open(0, 21, 59), open(0, 22)], [false, true, true, false]);
  assert.deepEqual([open(4, 18), open(5, 18), open(6, 18), open(7, 18)], [true, false, false, true]);
});

test('STATE-17.2: a window over midnight belongs to the day on which it begins, also from Sunday to Monday', () => {
  const nights: Schedule = { utcOffset: 0, windows: [{ days: 0b1000000, from: 1320, to: 360 }] };
  const open = (day: number, hour: number): boolean => inSchedule(nights, at(day, hour));
  assert.deepEqual([open(6, 21), open(6, 22), open(7, 5), open(7, 6)], [false, true, true, false]);
  assert.deepEqual([open(0, 23), open(1, 5), open(6, 5)], [false, false, false]);
});

test('STATE-17.2: property: every schedule is what a calendar says', () => {
  fc.assert(
    fc.property(anySchedule, fc.integer({ min: 0, max: 14 * 1440 }), (schedule, minute) => {
      const moment = millis(Date.UTC(2024, 5, 3) + minute * 60_000);
      assert.equal(inSchedule(schedule, moment), isOpen(schedule, moment));
    }),
    { numRuns: 500 },
  );
});

test('STATE-17.2: a schedule and the time together say when; the action says what', () => {
  const terms: Terms = {
    ...BASE,
    actions: ACTIONS.onOff | ACTIONS.level | ACTIONS.colour,
    levelMax: 152,
    colour: { min: 2200, max: 4000 },
    schedule: EVENINGS,
    notBefore: at(0, 0),
    expiresAt: at(14, 0),
  };
  const refusal = (action: Action, moment: Millis): string | undefined => termsRefusal(terms, action, moment);
  const on: Action = { kind: 'on' };
  assert.equal(refusal(on, at(0, 18)), undefined);
  assert.equal(refusal(on, at(0, 12)), 'off-schedule');
  assert.equal(refusal(on, at(14, 18)), 'not-granted');
  assert.equal(refusal(on, at(-1, 18)), 'not-granted');
  assert.equal(refusal({ kind: 'level', level: 152 }, at(0, 18)), undefined);
  assert.equal(refusal({ kind: 'level', level: 153 }, at(0, 18)), 'not-allowed');
  assert.equal(refusal({ kind: 'colour-temperature', kelvin: 4000 }, at(0, 18)), undefined);
  assert.equal(refusal({ kind: 'colour-temperature', kelvin: 4001 }, at(0, 18)), 'not-allowed');
  assert.equal(refusal({ kind: 'colour-temperature', kelvin: 2199 }, at(0, 18)), 'not-allowed');
  assert.equal(mayRead(terms, at(0, 18)), false);
  assert.equal(mayRead({ ...terms, actions: ACTIONS.read }, at(0, 18)), true);
  assert.equal(mayRead({ ...terms, actions: ACTIONS.read }, at(0, 12)), false);
  assert.equal(mayRead({ ...terms, actions: ACTIONS.read }, at(14, 18)), false);
});

test('STATE-17.6: what is wider is told by the respect in which it is', () => {
  const above: Terms = {
    ...BASE,
    actions: ACTIONS.onOff | ACTIONS.level | ACTIONS.colour,
    levelMax: 100,
    notBefore: at(0, 0),
    expiresAt: at(10, 0),
    colour: { min: 2200, max: 4000 },
    schedule: EVENINGS,
    uses: 10,
    delegable: 2,
  };
  const below: Terms = { ...above, delegable: 1 };
  assert.equal(widened(below, above), undefined);
  const { colour: _c, schedule: _s, uses: _u, ...plain } = below;
  const wider: readonly (readonly [Terms, string])[] = [
    [{ ...below, actions: ACTIONS_ALL }, 'actions'],
    [{ ...below, levelMax: 101 }, 'level'],
    [{ ...below, notBefore: at(-1, 0) }, 'time'],
    [{ ...below, expiresAt: at(11, 0) }, 'time'],
    [{ ...below, colour: { min: 2100, max: 4000 } }, 'colour temperature'],
    [{ ...plain, schedule: EVENINGS, uses: 1 }, 'colour temperature'],
    [{ ...plain, colour: { min: 2200, max: 4000 }, uses: 1 }, 'schedule'],
    [{ ...below, schedule: { ...EVENINGS, utcOffset: 0 } }, 'schedule'],
    [{ ...plain, colour: { min: 2200, max: 4000 }, schedule: EVENINGS }, 'uses'],
    [{ ...below, uses: 11 }, 'uses'],
    [{ ...below, delegable: 2 }, 'delegations'],
  ];
  for (const [terms, respect] of wider) assert.equal(widened(terms, above), respect);
  // Without the action its range says nothing; the same hours may be written with another offset.
  assert.equal(widened({ ...plain, actions: 1, schedule: EVENINGS, uses: 1 }, above), undefined);
  const shifted: Schedule = { utcOffset: 120, windows: [{ days: 0b0011111, from: 1140, to: 1440 }] };
  assert.equal(widened({ ...below, schedule: shifted }, above), undefined);
});

const anyAction: fc.Arbitrary<Action> = fc.oneof(
  fc.constant<Action>({ kind: 'on' }),
  fc.nat(254).map<Action>((level) => ({ kind: 'level', level })),
  fc.integer({ min: 1000, max: 20_000 }).map<Action>((kelvin) => ({ kind: 'colour-temperature', kelvin })),
);

/** Few values, so that one is narrower than the other now and then. */
const fewTerms = termsWith({
  actions: fc.constantFrom(1, 3, 7, 15),
  levelMax: fc.constantFrom(50, 100, 254),
  notBefore: fc.constantFrom(at(0, 0), at(1, 0)),
  expiresAt: fc.constantFrom(at(8, 0), at(9, 0)),
});

test('STATE-17.6: property: terms that are not wider allow nothing more, whatever is asked and whenever', () => {
  let narrower = 0;
  fc.assert(
    fc.property(
      fewTerms,
      fewTerms,
      fc.boolean(),
      fc.array(fc.tuple(anyAction, fc.integer({ min: -1440, max: 10 * 1440 })), {
        minLength: 20,
        maxLength: 20,
      }),
      (above, other, isSame, questions) => {
        // Two schedules at random hardly ever lie within each other: often it is the same one.
        const below: Terms = isSame && above.schedule ? { ...other, schedule: above.schedule } : other;
        if (widened(below, above) !== undefined) return;
        narrower += 1;
        for (const [action, minute] of questions) {
          const moment = millis(at(0, 0) + minute * 60_000);
          if (termsRefusal(below, action, moment) === undefined)
            assert.equal(termsRefusal(above, action, moment), undefined);
        }
      },
    ),
    { numRuns: 3000, seed: 17 },
  );
  assert.ok(narrower > 50, `${narrower} narrower ones`);
});

test('STATE-17.6: property: hours within hours are found to be, and nothing else', () => {
  fc.assert(
    fc.property(anySchedule, anySchedule, fc.integer({ min: -1, max: 3 }), (inner, other, taken) => {
      // At random hardly any lies within another: mostly one that has the same windows, all or all but one.
      const windows = inner.windows.filter((_, i) => i !== taken);
      const outer = taken < 0 || windows.length === 0 ? other : { ...inner, windows };
      const contains =
        widened({ ...BASE, schedule: inner }, { ...BASE, schedule: outer, delegable: 1 }) === undefined;
      const week = Date.UTC(2024, 5, 3);
      let isWithin = true;
      for (let minute = 0; minute < 10_080 && isWithin; minute += 1) {
        const moment = millis(week + minute * 60_000);
        isWithin = !inSchedule(inner, moment) || inSchedule(outer, moment);
      }
      assert.equal(contains, isWithin);
    }),
    { numRuns: 150 },
  );
});
