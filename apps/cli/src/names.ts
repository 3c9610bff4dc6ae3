/** Names for addresses: what this machine's keys are called, for people to read. Scripts get addresses. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { layoutOf } from './devnet/layout.ts';

/** One key file, as far as it can be read without opening it. */
export interface KeyEntry {
  readonly name: string;
  readonly file: string;
  /** Of the account it acts for. Undefined when the file is none of ours. */
  readonly address?: string;
  readonly algorithm?: string;
  readonly sealed?: boolean;
}

interface KeyHead {
  readonly format?: unknown;
  readonly address?: unknown;
  readonly algorithm?: unknown;
  readonly seed?: { readonly plain?: unknown };
  readonly secret?: { readonly plain?: unknown };
}

const CO_SIGNING = /\.co-sign(-next)?$/;

/** The keys of this machine, by name. Co-signing keys belong to their validator and are no accounts: they are left out. */
export function keyEntries(dataDir: string): KeyEntry[] {
  const { keys } = layoutOf(dataDir);
  if (!existsSync(keys)) return [];
  return readdirSync(keys)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .filter((name) => !CO_SIGNING.test(name))
    .sort()
    .map((name) => entryOf(keys, name));
}

function entryOf(keys: string, name: string): KeyEntry {
  const file = join(keys, `${name}.json`);
  const head = headOf(file);
  if (typeof head?.address !== 'string') return { name, file };
  const account = join(keys, `${name}.account`);
  return {
    name,
    file,
    address: existsSync(account) ? readFileSync(account, 'utf8').trim() : head.address,
    algorithm: typeof head.algorithm === 'string' ? head.algorithm : 'ed25519',
    sealed: head.seed?.plain === undefined && head.secret?.plain === undefined,
  };
}

function headOf(file: string): KeyHead | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as KeyHead;
  } catch {
    // Not readable, or no key: it has a name and nothing else.
    return undefined;
  }
}

/** The account of a key by its name, without opening the key: whom one pays or lets in, one need not be. */
export function accountNamed(dataDir: string, name: string): Address {
  const text = keyEntries(dataDir).find((entry) => entry.name === name)?.address;
  const address = text === undefined ? undefined : parseAddress(text);
  if (address?.ok === true) return address.value;
  throw new LedgerError(
    'not-found',
    `${name} is neither an address nor a key here; itc key list shows the keys, itc key new ${name} makes one`,
  );
}

/** By address. Of several keys of one account the first by name stands for it. */
export function localNames(dataDir: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { name, address } of keyEntries(dataDir))
    if (address !== undefined && !names.has(address)) names.set(address, name);
  return names;
}

/** `guest (itc1…)` for somebody who was named, the address alone for who was not. */
export function namedAccount(word: string | undefined, address: Address): string {
  const text = formatAddress(address);
  return word === undefined || word === text ? text : `${word} (${text})`;
}
