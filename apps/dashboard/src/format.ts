/** Numbers, times and ids as people read them. Pure: the present moment is an argument. */
import { UNITS_PER_ITC } from '@itc/core/ledger/ids.js';

const integers = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const figures = new Intl.NumberFormat('en', { maximumSignificantDigits: 4 });

export function formatInteger(value: number): string {
  return integers.format(value);
}

/** `12 345 678` → `12.3 M`; exact below 10 000. */
export function formatCompact(value: number): string {
  if (Math.abs(value) < 10_000) return integers.format(value);
  const units = ['k', 'M', 'G', 'T'];
  let scaled = value / 1000;
  let unit = 0;
  while (Math.abs(scaled) >= 999.95 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${scaled.toFixed(Math.abs(scaled) < 100 ? 1 : 0)} ${units[unit]}`;
}

export function formatBytes(value: number): string {
  if (value < 1000) return `${integers.format(value)} B`;
  if (value < 1_000_000) return `${(value / 1000).toFixed(1)} kB`;
  return `${(value / 1_000_000).toFixed(1)} MB`;
}

/** A span of milliseconds with two significant parts at most. */
export function formatDuration(ms: number): string {
  const span = Math.max(0, ms);
  if (span < 1000) return `${Math.round(span)} ms`;
  if (span < 10_000) return `${(span / 1000).toFixed(2)} s`;
  if (span < 60_000) return `${(span / 1000).toFixed(1)} s`;
  const seconds = Math.floor(span / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${days} d ${hours % 24} h`;
}

/** How long ago, coarse on purpose: the exact time is in the tooltip. */
export function formatAgo(time: number, now: number): string {
  const span = now - time;
  if (span < -2000) return `in ${coarse(-span)}`;
  if (span < 2000) return 'just now';
  return `${coarse(span)} ago`;
}

function coarse(span: number): string {
  const seconds = Math.floor(span / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h`;
  const days = Math.floor(hours / 24);
  return days < 730 ? `${days} d` : `${Math.floor(days / 365.25)} years`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** Local wall clock with milliseconds: `14:03:22.114`. */
export function formatClock(time: number): string {
  const date = new Date(time);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** Local date and time, sortable: `2026-11-22 14:03:22.114`. */
export function formatAbsolute(time: number): string {
  const date = new Date(time);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${formatClock(time)}`;
}

/** Ids and addresses in the middle of a sentence; the full text belongs in a title and a copy button. */
export function shorten(id: string): string {
  if (id.length <= 16) return id;
  return id.startsWith('itc1') ? `${id.slice(0, 9)}…${id.slice(-4)}` : `${id.slice(0, 8)}…${id.slice(-4)}`;
}

export function formatPercent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Base units (decimal text) as ITC; text that is no number passes through unharmed. */
export function formatAmount(units: string): string {
  if (!/^\d{1,30}$/.test(units)) return units;
  const value = BigInt(units);
  const whole = (value / UNITS_PER_ITC).toString().replace(/\B(?=(\d{3})+$)/g, ',');
  const fraction = (value % UNITS_PER_ITC).toString().padStart(9, '0').replace(/0+$/, '');
  return `${whole}${fraction === '' ? '' : `.${fraction}`} ITC`;
}

/** SenML units (RFC 8428 §12.1, RFC 8798) that read better otherwise. */
const UNITS: Readonly<Record<string, string>> = {
  Cel: '°C',
  K: 'K',
  '%RH': '% RH',
  '%EL': '%',
  '/': '',
  lx: 'lx',
  lux: 'lx',
  Wh: 'Wh',
  degF: '°F',
  'm3/s': 'm³/s',
  'm/s2': 'm/s²',
  'ug/m3': 'µg/m³',
};

export function unitLabel(unit: string | undefined): string {
  if (unit === undefined) return '';
  return UNITS[unit] ?? unit;
}

export function formatValue(value: number | boolean | string, unit?: string): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  const label = unitLabel(unit);
  const text = Number.isInteger(value) ? integers.format(value) : figures.format(value);
  return label === '' ? text : `${text} ${label}`;
}

/** `level` of a lamp is sent as 0 to 254 and `on` as a truth value; people read percent, and on or off. */
export function formatQuantity(latest: {
  readonly name: string;
  readonly unit?: string;
  readonly value: number | boolean | string;
}): string {
  const { name, unit, value } = latest;
  if (isLevel(name, unit) && typeof value === 'number') return `${levelPercent(value)} %`;
  if (typeof value === 'boolean' && lastPart(name) === 'on') return value ? 'on' : 'off';
  return formatValue(value, unit);
}

export function isLevel(name: string, unit: string | undefined): boolean {
  return unit === undefined && lastPart(name) === 'level';
}

function lastPart(name: string): string {
  return (
    name
      .split(/[:/]/)
      .filter((part) => part !== '')
      .pop() ?? name
  );
}

/** Time of day if it is today's, the date too if it is not. */
export function formatWhen(time: number, now: number): string {
  const text = formatAbsolute(time);
  return text.slice(0, 10) === formatAbsolute(now).slice(0, 10) ? text.slice(11, 19) : text.slice(0, 19);
}

/** Labels for an axis that shows a span this long: seconds, minutes with the date, or dates alone. */
export function formatTick(time: number, spanMs: number): string {
  const text = formatAbsolute(time);
  if (spanMs < 12 * 3_600_000) return text.slice(11, spanMs < 2 * 3_600_000 ? 19 : 16);
  return spanMs < 4 * 86_400_000 ? text.slice(5, 16) : text.slice(0, 10);
}

const QUANTITIES: Readonly<Record<string, string>> = {
  co2: 'CO₂',
  voc: 'VOC',
  pm25: 'PM2.5',
  pm10: 'PM10',
  ph: 'pH',
};

/** SenML names are `base:quantity` or `base/quantity`; people want the quantity. */
export function quantityLabel(name: string): string {
  const last = lastPart(name);
  const known = QUANTITIES[last.toLowerCase()];
  if (known !== undefined) return known;
  const words = last.replace(/[-_]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** 0 to 254 as people set it: 0 to 100. A lamp that is barely lit is not at 0 %. */
export function levelPercent(level: number): number {
  if (level <= 0) return 0;
  return Math.max(1, Math.round((level / 254) * 100));
}

export function percentLevel(percent: number): number {
  return Math.max(0, Math.min(254, Math.round((percent / 100) * 254)));
}

/** The p-quantile (0 to 1) of unsorted numbers by nearest rank; undefined for none. */
export function quantile(values: readonly number[], p: number): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(p * sorted.length) - 1))];
}
