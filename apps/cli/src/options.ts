/** Values as people write them: amounts in ITC, durations, moments, accounts. */
import { parseAddress, type Address } from '@itc/core/ledger/address.js';
import { parseItc, type Amount } from '@itc/core/ledger/ids.js';
import { accountNamed } from './names.ts';
import { textOption, UsageError, type Call } from './terminal/command.ts';

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds. */
export function duration(text: string, what: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  if (match === null)
    throw new UsageError(`${what} takes a duration such as 90s, 30m, 12h or 7d, got ${text}`);
  return Number(match[1]) * (UNITS[match[2] as string] as number);
}

/** `1.5`: in ITC. */
export function itcAmount(text: string | undefined, what: string): Amount {
  const value = text === undefined ? undefined : parseItc(text);
  if (value === undefined)
    throw new UsageError(
      `${what} takes an amount in ITC such as 1.5, below 10^9 and with 9 decimals at most, got ${text ?? 'none'}`,
    );
  return value;
}

export function amountOption(call: Call, name: string): Amount {
  return itcAmount(textOption(call, name), `--${name}`);
}

/** An address, or the name of a key on this machine. */
export function accountOf(call: Call, text: string): Address {
  const parsed = parseAddress(text);
  return parsed.ok ? parsed.value : accountNamed(call.dataDir, text);
}

/** Milliseconds since 1970, from a date. */
export function momentOption(call: Call, name: string, fallback: number): number {
  const text = textOption(call, name);
  if (text === undefined) return fallback;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new UsageError(`--${name} takes a date such as 2026-12-31, got ${text}`);
  return time;
}
