/** What a grant allows, as people write it: percent, kelvin, hours of the week, how often, until when. */
import { KELVIN_MAX, KELVIN_MIN } from '@itc/core/ledger/command.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  ACTIONS,
  ACTIONS_ALL,
  LEVEL_MAX,
  beyondModel,
  UTC_OFFSET,
  type ColourRange,
  type ModelLimits,
  type Schedule,
  type Terms,
} from '@itc/core/ledger/terms.js';
import type { AccessAnswer } from '@itc/client/grants.js';
import { duration, momentOption } from './options.ts';
import { integerOption, textOption, UsageError, type Call, type OptionTable } from './terminal/command.ts';

export const TERMS_OPTIONS: OptionTable = {
  for: { type: 'string' },
  until: { type: 'string' },
  actions: { type: 'string' },
  'level-max': { type: 'string' },
  kelvin: { type: 'string' },
  days: { type: 'string' },
  from: { type: 'string' },
  'utc-offset': { type: 'string' },
  uses: { type: 'string' },
  delegable: { type: 'boolean' },
  depth: { type: 'string' },
};

export const TERMS_HELP = `  --for DURATION     how long, as 90s, 30m, 12h or 7d (default 1d)
  --until DATE       until when, instead of --for
  --actions LIST     of on-off, level, colour, read, separated by commas (default all)
  --level-max N      greatest level, 0 to 254 or as 60% (default 254)
  --kelvin A-B       colour temperatures, as 2200-4000 (default all)
  --days LIST        days of the week, as mon-fri,sun (default all)
  --from HH:MM       from this hour of those days …
  --to HH:MM         … to this one, over midnight too
  --utc-offset +H:MM of those hours (default that of this machine now)
  --uses N           so many commands, counted by each device
  --delegable        the subject may pass on a part of it, and those --depth N in all in a row (default 1, up to 3)`;

const DAYS: readonly string[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const HOUR = /^([01]?\d|2[0-4]):([0-5]\d)$/;

/** `--to` stands for a subject and for an hour: the form tells them apart. */
export function toValues(call: Call): {
  readonly subject: string | undefined;
  readonly hour: string | undefined;
} {
  const given: unknown = call.options['to'];
  const values = (Array.isArray(given) ? given : given === undefined ? [] : [given]).map(String);
  const hours = values.filter((value) => HOUR.test(value));
  const subjects = values.filter((value) => !HOUR.test(value));
  if (hours.length > 1 || subjects.length > 1)
    throw new UsageError('--to takes one subject, and one hour as HH:MM');
  return { subject: subjects[0], hour: hours[0] };
}

/** What a grant may state where no model says less. */
const NO_LIMITS: ModelLimits = { actions: ACTIONS_ALL, levelMax: LEVEL_MAX };

/** `now`: milliseconds since 1970. What is left open is what `limits` have; what is stated beyond them is `grant.beyond-model`. */
export function termsOption(call: Call, now: number, limits: ModelLimits = NO_LIMITS): Terms {
  const colour = kelvinOption(call);
  const schedule = scheduleOption(call, now);
  const uses = integerOption(call, 'uses', 0, { min: 1, max: 0xffff_ffff });
  const delegable = delegableOption(call);
  const until = momentOption(call, 'until', now + duration(textOption(call, 'for') ?? '1d', '--for'));
  const actions = actionsOption(call, limits);
  const levelMax = levelOption(textOption(call, 'level-max'), '--level-max') ?? limits.levelMax;
  within({ actions, levelMax, ...(colour && { colour }) }, limits);
  return {
    actions,
    levelMax,
    // A little before now: clocks of validators and lamps differ.
    notBefore: millis(now - 60_000),
    expiresAt: millis(until),
    ...(colour && { colour }),
    ...(schedule && { schedule }),
    ...(uses > 0 && { uses }),
    ...(delegable > 0 && { delegable }),
  };
}

/** Before anybody has paid a fee for what the ledger refuses. */
export function within(terms: Pick<Terms, 'actions' | 'levelMax' | 'colour'>, limits: ModelLimits): void {
  const beyond = beyondModel(terms, limits);
  if (beyond === undefined) return;
  const advice = 'set --actions, --level-max and --kelvin within, or leave them out';
  throw new LedgerError('grant.beyond-model', `the model of the device: ${beyond}; ${advice}`);
}

/** `60%`, or 0 to 254. */
export function levelOption(text: string | undefined, what: string): number | undefined {
  if (text === undefined) return undefined;
  const percent = /^(\d{1,3})%$/.exec(text);
  const value = percent === null ? Number(text) : Math.round((LEVEL_MAX * Number(percent[1])) / 100);
  if (text === '' || !Number.isInteger(value) || value < 0 || value > LEVEL_MAX)
    throw new UsageError(`${what} takes a level from 0 to ${LEVEL_MAX} or a percentage, got ${text}`);
  return value;
}

export function actionsOption(call: Call, limits: ModelLimits = NO_LIMITS): number {
  const text = textOption(call, 'actions');
  if (text === undefined) return limits.actions | ACTIONS.read;
  const bits: Readonly<Record<string, number>> = {
    'on-off': ACTIONS.onOff,
    level: ACTIONS.level,
    colour: ACTIONS.colour,
    read: ACTIONS.read,
  };
  let actions = 0;
  for (const word of text.split(',')) {
    const bit = bits[word.trim()];
    if (bit === undefined)
      throw new UsageError(`--actions takes ${Object.keys(bits).join(', ')}, got ${word}`);
    actions |= bit;
  }
  return actions;
}

function kelvinOption(call: Call): ColourRange | undefined {
  const text = textOption(call, 'kelvin');
  if (text === undefined) return undefined;
  const match = /^(\d{4,5})-(\d{4,5})$/.exec(text);
  const [min, max] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || min < KELVIN_MIN || max > KELVIN_MAX || min > max)
    throw new UsageError(`--kelvin takes a range such as 2200-4000, from ${KELVIN_MIN} to ${KELVIN_MAX}`);
  return { min, max };
}

function delegableOption(call: Call): number {
  if (call.options['delegable'] !== true) {
    if (textOption(call, 'depth') !== undefined) throw new UsageError('--depth goes with --delegable');
    return 0;
  }
  return integerOption(call, 'depth', 1, { min: 1, max: LIMITS.delegationsMax });
}

function scheduleOption(call: Call, now: number): Schedule | undefined {
  const days = textOption(call, 'days');
  const from = textOption(call, 'from');
  const to = toValues(call).hour;
  if (days === undefined && from === undefined && to === undefined) return undefined;
  const window = {
    days: days === undefined ? 127 : daysOf(days),
    from: from === undefined ? 0 : minuteOf(from, '--from'),
    to: to === undefined ? 1_440 : minuteOf(to, '--to'),
  };
  if (window.to === 0) window.to = 1_440;
  if (window.from === window.to || window.from > 1_439)
    throw new UsageError('--from and --to take two different hours of a day');
  return { utcOffset: offsetOption(call, now), windows: [window] };
}

function minuteOf(text: string, what: string): number {
  const match = HOUR.exec(text);
  const minute = match === null ? -1 : 60 * Number(match[1]) + Number(match[2]);
  if (minute < 0 || minute > 1_440) throw new UsageError(`${what} takes an hour such as 18:00, got ${text}`);
  return minute;
}

/** `mon-fri,sun`; a range may go over the end of the week. */
function daysOf(text: string): number {
  let bits = 0;
  for (const part of text.toLowerCase().split(',')) {
    const [first = '', last = first] = part.trim().split('-');
    const [start, end] = [DAYS.indexOf(first), DAYS.indexOf(last)];
    if (start < 0 || end < 0) throw new UsageError(`--days takes days such as mon-fri,sun, got ${part}`);
    for (let day = start; ; day = (day + 1) % 7) {
      bits |= 1 << day;
      if (day === end) break;
    }
  }
  return bits;
}

function offsetOption(call: Call, now: number): number {
  const text = textOption(call, 'utc-offset');
  if (text === undefined) return -new Date(now).getTimezoneOffset();
  const match = /^([+-]?)(\d{1,2}):(\d{2})$/.exec(text);
  const size = match === null ? Number.NaN : 60 * Number(match[2]) + Number(match[3]);
  const offset = match?.[1] === '-' ? -size : size;
  if (!(offset >= UTC_OFFSET.min && offset <= UTC_OFFSET.max))
    throw new UsageError(`--utc-offset takes an offset such as +1:00 or -5:30, got ${text}`);
  return offset;
}

/** The terms of a grant in one line. */
export function describeAccess(access: AccessAnswer): string {
  const { colour, schedule, uses, delegable } = access;
  const parts = [
    access.actions.join(', '),
    ...(access.actions.includes('level') && access.levelMax < LEVEL_MAX
      ? [`level ≤ ${access.levelMax}`]
      : []),
    ...(colour === undefined ? [] : [`${colour.min}–${colour.max} K`]),
    ...(schedule === undefined ? [] : [describeSchedule(schedule)]),
    ...(uses === undefined ? [] : [`${uses} commands`]),
    ...(delegable === undefined ? [] : [`may be passed on ${delegable} deep`]),
    `until ${new Date(access.expiresAt).toISOString()}`,
    ...(access.group === undefined ? [] : [`for ${access.group.name}`]),
    ...(access.counts ? [] : ['counts no more']),
  ];
  return parts.join('; ');
}

function describeSchedule({ utcOffset, windows }: NonNullable<AccessAnswer['schedule']>): string {
  const hour = (minute: number): string =>
    `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  const words = windows.map(({ days, from, to }) => {
    const names = DAYS.filter((_, day) => ((days >> day) & 1) === 1).join(',');
    return `${names} ${hour(from)}–${hour(to)}`;
  });
  const sign = utcOffset < 0 ? '-' : '+';
  return `${words.join(' or ')} (UTC${sign}${hour(Math.abs(utcOffset))})`;
}
