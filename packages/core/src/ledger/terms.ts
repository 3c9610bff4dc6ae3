/**
 * What a grant allows, and when (spec STATE-17). The same functions judge a grant on the ledger and a command on a chip: plain
 * integers, no BigInt, no Date.
 */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { KELVIN_MAX, KELVIN_MIN, type Action, type Refusal } from './command.ts';
import { millis, type Millis } from './ids.ts';
import { LIMITS } from './limits.ts';

/** Bits of `Terms.actions`. */
export const ACTIONS = { onOff: 1, level: 2, colour: 4, read: 8 } as const;
export const ACTIONS_ALL = 15;
/** Greatest level of a lamp. */
export const LEVEL_MAX = 254;

export interface Terms {
  /** OR of `ACTIONS`. */
  readonly actions: number;
  /** Greatest level the subject may set, 0 to 254. */
  readonly levelMax: number;
  readonly notBefore: Millis;
  /** The first moment at which it no longer holds. */
  readonly expiresAt: Millis;
  /** Colour temperatures the subject may set; all of them when left out. */
  readonly colour?: ColourRange;
  /** Hours of the week at which it holds; always when left out. */
  readonly schedule?: Schedule;
  /** How many commands each device obeys; no count when left out. From 1, below 2^32. */
  readonly uses?: number;
  /** How many further subjects may stand in a row below this one; none when left out. 1 to `delegationsMax`. */
  readonly delegable?: number;
}

/** In kelvin, both included, 1 000 to 20 000. */
export interface ColourRange {
  readonly min: number;
  readonly max: number;
}

/** A fixed offset, because a chip knows no time zones: whoever grants over a change of the clocks grants twice. */
export interface Schedule {
  /** Local time less UTC, in minutes, −720 to 840. */
  readonly utcOffset: number;
  /** 1 to `scheduleWindowsMax`; any of them suffices. */
  readonly windows: readonly WeeklyWindow[];
}

export interface WeeklyWindow {
  /** Bit 0 is Monday, bit 6 Sunday: the days on which it begins. */
  readonly days: number;
  /** Minute of the local day at which it begins, 0 to 1439. */
  readonly from: number;
  /** The first minute at which it is over, 1 to 1440; not above `from`: on the next day. Never equal to `from`. */
  readonly to: number;
}

export const UTC_OFFSET = { min: -720, max: 840 } as const;
const DAY = 1_440;
const WEEK = 7 * DAY;
const MINUTE_MS = 60_000;
/** The epoch began on a Thursday; weeks begin on Mondays. */
const EPOCH_DAY = 3;

/** What devices of a model can do, as their maker says: a grant states no more (spec STATE-17.10), and a device does no more (LIGHT-12.9). */
export interface ModelLimits {
  /** OR of `ACTIONS`. */
  readonly actions: number;
  /** Greatest level, 0 to 254. */
  readonly levelMax: number;
  /** Colour temperatures; none stated when left out. */
  readonly colour?: ColourRange;
}

const FLAGS = { colour: 1, schedule: 2, uses: 4, delegable: 8 } as const;
const FLAGS_MAX = 15;

export function writeTerms(writer: Writer, terms: Terms): void {
  const { colour, schedule, uses, delegable } = terms;
  const flags =
    (colour === undefined ? 0 : FLAGS.colour) |
    (schedule === undefined ? 0 : FLAGS.schedule) |
    (uses === undefined ? 0 : FLAGS.uses) |
    (delegable === undefined ? 0 : FLAGS.delegable);
  writer.u16(terms.actions).u8(terms.levelMax).u53(terms.notBefore).u53(terms.expiresAt).u8(flags);
  if (colour !== undefined) writeColour(writer, colour);
  if (schedule !== undefined) {
    writer
      .u16(schedule.utcOffset - UTC_OFFSET.min)
      .list(schedule.windows, (w, { days, from, to }) => w.u8(days).u16(from).u16(to));
  }
  if (uses !== undefined) writer.u32(uses);
  if (delegable !== undefined) writer.u8(delegable);
}

/** What is there has a meaning: a range that holds nothing, or a window that never opens, is refused here. */
export function readTerms(reader: Reader): Terms {
  const terms = {
    actions: reader.u16(),
    levelMax: reader.u8(),
    notBefore: millis(reader.u53()),
    expiresAt: millis(reader.u53()),
  };
  const flags = reader.u8();
  if (flags > FLAGS_MAX)
    reader.refuse('decode.unknown-kind', `expected flags up to ${FLAGS_MAX}, got ${flags}`);
  return {
    ...terms,
    ...((flags & FLAGS.colour) !== 0 && { colour: readColour(reader) }),
    ...((flags & FLAGS.schedule) !== 0 && { schedule: readSchedule(reader) }),
    ...((flags & FLAGS.uses) !== 0 && { uses: within(reader, reader.u32(), 1, 0xffff_ffff, 'uses') }),
    ...((flags & FLAGS.delegable) !== 0 && {
      delegable: within(reader, reader.u8(), 1, LIMITS.delegationsMax, 'delegations'),
    }),
  };
}

export function writeColour(writer: Writer, { min, max }: ColourRange): void {
  writer.u16(min).u16(max);
}

export function readColour(reader: Reader): ColourRange {
  const min = within(reader, reader.u16(), KELVIN_MIN, KELVIN_MAX, 'kelvin');
  return { min, max: within(reader, reader.u16(), min, KELVIN_MAX, 'kelvin') };
}

function readSchedule(reader: Reader): Schedule {
  const { min, max } = UTC_OFFSET;
  const utcOffset = within(reader, reader.u16() + min, min, max, 'minutes of offset');
  const windows = reader.list(LIMITS.scheduleWindowsMax, readWindow);
  if (windows.length === 0) reader.refuse('decode.out-of-range', 'a schedule has at least one window');
  return { utcOffset, windows };
}

function readWindow(reader: Reader): WeeklyWindow {
  const days = within(reader, reader.u8(), 1, 127, 'days');
  const from = within(reader, reader.u16(), 0, DAY - 1, 'minutes');
  const to = within(reader, reader.u16(), 1, DAY, 'minutes');
  if (from === to) reader.refuse('decode.out-of-range', 'a window ends at another minute than it begins');
  return { days, from, to };
}

function within(reader: Reader, value: number, min: number, max: number, what: string): number {
  if (value < min || value > max)
    reader.refuse('decode.out-of-range', `expected ${min} to ${max} ${what}, got ${value}`);
  return value;
}

/** The terms alone, without what else a body or record has. */
export function termsOf(from: Terms): Terms {
  const { actions, levelMax, notBefore, expiresAt, colour, schedule, uses, delegable } = from;
  return {
    actions,
    levelMax,
    notBefore,
    expiresAt,
    ...(colour && { colour }),
    ...(schedule && { schedule }),
    ...(uses !== undefined && { uses }),
    ...(delegable !== undefined && { delegable }),
  };
}

/** Why terms contradict themselves, or undefined. What has a range of its own is judged by the decoder. */
export function termsFlaw({ actions, levelMax, notBefore, expiresAt }: Terms): string | undefined {
  if (actions === 0 || (actions & ~ACTIONS_ALL) !== 0)
    return `expected at least one of the known actions and no other, got ${actions}`;
  if (levelMax > LEVEL_MAX) return `expected a level up to ${LEVEL_MAX}, got ${levelMax}`;
  if (notBefore >= expiresAt) return 'expected the grant to begin before it expires';
  return undefined;
}

/** Why these terms do not cover an action at a moment, or undefined. Uses are counted elsewhere, by the device. */
export function termsRefusal(
  terms: Terms,
  action: Action,
  at: Millis,
): Extract<Refusal, 'not-granted' | 'off-schedule' | 'not-allowed'> | undefined {
  if (at < terms.notBefore || at >= terms.expiresAt) return 'not-granted';
  if (terms.schedule !== undefined && !inSchedule(terms.schedule, at)) return 'off-schedule';
  return covers(terms, action) ? undefined : 'not-allowed';
}

/** Whether readings may be looked at. */
export function mayRead(terms: Terms, at: Millis): boolean {
  if (at < terms.notBefore || at >= terms.expiresAt) return false;
  if (terms.schedule !== undefined && !inSchedule(terms.schedule, at)) return false;
  return (terms.actions & ACTIONS.read) !== 0;
}

/** Whether a device of the model can do it at all, whoever asks. */
export function canDo(model: ModelLimits, action: Action): boolean {
  return covers(model, action);
}

/**
 * What terms state beyond a model, in words that say what would be within; undefined when nothing is. What they leave open is what the
 * model has. Reading is no matter of the model: who has nothing to say is read in vain.
 */
export function beyondModel(
  { actions, levelMax, colour }: Pick<Terms, 'actions' | 'levelMax' | 'colour'>,
  model: ModelLimits,
): string | undefined {
  const beyond = actions & ~(model.actions | ACTIONS.read);
  if (beyond !== 0) {
    const names = Object.entries(ACTIONS).filter(([, bit]) => (beyond & bit) !== 0);
    return `its devices have no ${names.map(([name]) => (name === 'onOff' ? 'on-off' : name)).join(', ')}: leave it out`;
  }
  if ((actions & ACTIONS.level) !== 0 && levelMax > model.levelMax)
    return `expected a level up to ${model.levelMax}, got ${levelMax}`;
  const range = model.colour;
  if ((actions & ACTIONS.colour) === 0 || colour === undefined || range === undefined) return undefined;
  if (colour.min >= range.min && colour.max <= range.max) return undefined;
  return `expected ${range.min} to ${range.max} kelvin, got ${colour.min} to ${colour.max}`;
}

function covers({ actions, levelMax, colour }: ModelLimits, action: Action): boolean {
  switch (action.kind) {
    case 'on':
    case 'off':
      return (actions & ACTIONS.onOff) !== 0;
    case 'level':
      return (actions & ACTIONS.level) !== 0 && action.level <= levelMax;
    case 'begin':
    case 'end':
      // Whether there is a rental is not a matter of terms.
      return true;
    case 'colour-temperature':
      if ((actions & ACTIONS.colour) === 0) return false;
      return colour === undefined || (action.kelvin >= colour.min && action.kelvin <= colour.max);
  }
}

export function inSchedule({ utcOffset, windows }: Schedule, at: Millis): boolean {
  const now = minuteOfWeek(at, utcOffset);
  const minute = now % DAY;
  const today = (now - minute) / DAY;
  return windows.some(({ days, from, to }) => {
    const begins = (days >> today) & 1;
    if (from < to) return begins === 1 && minute >= from && minute < to;
    const yesterday = (days >> ((today + 6) % 7)) & 1;
    return (begins === 1 && minute >= from) || (yesterday === 1 && minute < to);
  });
}

function minuteOfWeek(at: Millis, utcOffset: number): number {
  return wrap(Math.floor(at / MINUTE_MS) + utcOffset + EPOCH_DAY * DAY);
}

function wrap(minute: number): number {
  return ((minute % WEEK) + WEEK) % WEEK;
}

/**
 * In which respect terms allow more than those they hang below, or undefined when they allow nothing more at any time. The
 * next holder is one further down, so the number of delegations must fall.
 */
export function widened(below: Terms, above: Terms): string | undefined {
  if ((below.actions & ~above.actions) !== 0) return 'actions';
  if (below.levelMax > above.levelMax) return 'level';
  if (below.notBefore < above.notBefore || below.expiresAt > above.expiresAt) return 'time';
  if (above.colour !== undefined && !colourWithin(below, above.colour)) return 'colour temperature';
  if (above.schedule !== undefined && !scheduleWithin(below.schedule, above.schedule)) return 'schedule';
  if (above.uses !== undefined && (below.uses === undefined || below.uses > above.uses)) return 'uses';
  if ((below.delegable ?? 0) >= (above.delegable ?? 0)) return 'delegations';
  return undefined;
}

function colourWithin({ actions, colour }: Terms, range: ColourRange): boolean {
  if ((actions & ACTIONS.colour) === 0) return true;
  return colour !== undefined && colour.min >= range.min && colour.max <= range.max;
}

function scheduleWithin(below: Schedule | undefined, above: Schedule): boolean {
  if (below === undefined) return false;
  const outer = spansOf(above);
  return spansOf(below).every(({ start, end }) =>
    outer.some((span) => span.start <= start && end <= span.end),
  );
}

/** Minutes of the UTC week, ascending, apart from each other, none across the end of the week. */
function spansOf({ utcOffset, windows }: Schedule): { readonly start: number; readonly end: number }[] {
  const pieces: { start: number; end: number }[] = [];
  for (const { days, from, to } of windows) {
    const length = to > from ? to - from : to + DAY - from;
    for (let day = 0; day < 7; day += 1) {
      if (((days >> day) & 1) === 0) continue;
      const start = wrap(day * DAY + from - utcOffset);
      pieces.push({ start, end: Math.min(start + length, WEEK) });
      if (start + length > WEEK) pieces.push({ start: 0, end: start + length - WEEK });
    }
  }
  pieces.sort((a, b) => a.start - b.start);
  const spans: { start: number; end: number }[] = [];
  for (const piece of pieces) {
    const last = spans.at(-1);
    if (last !== undefined && piece.start <= last.end) last.end = Math.max(last.end, piece.end);
    else spans.push({ ...piece });
  }
  return spans;
}
