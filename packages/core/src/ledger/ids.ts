/** Branded counters and amounts. Constructors check the range: a wrong value is our bug. */
import type { Brand } from '../bytes/result.ts';

/** Height of a block; genesis is 0 and has no block. */
export type Height = Brand<number, 'Height'>;
export type View = Brand<number, 'View'>;
export type Epoch = Brand<number, 'Epoch'>;
/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Millis = Brand<number, 'Millis'>;
/** Base units; 1 ITC = 10^9 of them; fits 64 bits. */
export type Amount = Brand<bigint, 'Amount'>;

function counter(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`expected a counter, got ${value}`);
  return value;
}

export const height = (value: number): Height => counter(value) as Height;
export const view = (value: number): View => counter(value) as View;
export const epoch = (value: number): Epoch => counter(value) as Epoch;
export const millis = (value: number): Millis => counter(value) as Millis;

export const AMOUNT_MAX = 0xffff_ffff_ffff_ffffn;
export const UNITS_PER_ITC = 1_000_000_000n;
export const SUPPLY: Amount = (100_000_000n * UNITS_PER_ITC) as Amount;

export function amount(value: bigint): Amount {
  if (value < 0n || value > AMOUNT_MAX) throw new RangeError(`amount out of range: ${value}`);
  return value as Amount;
}

/** `"1.5"` → 1 500 000 000 base units; undefined when malformed or too precise. */
export function parseItc(text: string): Amount | undefined {
  const match = /^(\d{1,9})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) return undefined;
  return amount(BigInt(match[1] as string) * UNITS_PER_ITC + BigInt((match[2] ?? '').padEnd(9, '0')));
}

export function formatItc(value: bigint): string {
  const fraction = (value % UNITS_PER_ITC).toString().padStart(9, '0').replace(/0+$/, '');
  return `${value / UNITS_PER_ITC}${fraction === '' ? '' : `.${fraction}`}`;
}
