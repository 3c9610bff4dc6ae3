/** What a transaction asks for, in rows to look at before one signs: names and values as the body has them, nothing left out. */
import { toHex } from '@itc/core/bytes/hex.js';
import { asAddress, formatAddress } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import { formatItc } from '@itc/core/ledger/ids.js';

/** Fields of 32 bytes that are addresses; others are hashes or keys. */
const ADDRESSES: ReadonlySet<string> = new Set([
  'to',
  'device',
  'devices',
  'subject',
  'account',
  'accounts',
  'payee',
  'owner',
  'validator',
  'granter',
  'via',
  'member',
  'voter',
  'candidate',
  'maker',
  'arbiter',
  'guardians',
]);
const AMOUNTS: ReadonlySet<string> = new Set([
  'amount',
  'price',
  'deposit',
  'carriage',
  'rate',
  'depositPerDevice',
  'perDay',
  'perDevicePerDay',
  'stakePerWeight',
  'stakeMin',
]);
const MOMENTS: ReadonlySet<string> = new Set(['expiresAt', 'notBefore', 'start', 'end']);

export function bodyRows(body: Body): string[][] {
  const { kind, ...rest } = body;
  return [['asks for', kind], ...rowsOf('', rest)];
}

function rowsOf(name: string, value: unknown): string[][] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap((one: unknown, i) => rowsOf(`${name}[${i}]`, one));
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
    return Object.entries(value).flatMap(([key, inner]) =>
      rowsOf(name === '' ? key : `${name}.${key}`, inner),
    );
  return [[name, wordOf(name, value)]];
}

function wordOf(path: string, value: unknown): string {
  const name =
    path
      .replace(/\[\d+\]$/, '')
      .split('.')
      .at(-1) ?? '';
  if (value instanceof Uint8Array) {
    if (value.length === 32 && ADDRESSES.has(name)) return formatAddress(asAddress(value));
    const hex = toHex(value);
    return hex.length > 80 ? `${hex.slice(0, 64)}… (${value.length} bytes)` : hex;
  }
  if (typeof value === 'bigint' && AMOUNTS.has(name)) return `${formatItc(value)} ITC`;
  if (typeof value === 'number' && MOMENTS.has(name) && value > 0 && value < 8.64e15)
    return new Date(value).toISOString();
  return String(value);
}
