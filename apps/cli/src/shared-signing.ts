/** What the commands have in common by which keys in several hands sign one thing: whose keys act, who has signed, what they are called. */
import { existsSync, readFileSync } from 'node:fs';
import { resolveDid } from '@itc/client/did.js';
import { firstKeySet, type Weighed } from '@itc/client/shares.js';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Result } from '@itc/core/bytes/result.js';
import { compareKeys, type PublicKey } from '@itc/core/crypto/signature.js';
import type { KeySet, WeightedKey } from '@itc/core/ledger/account-keys.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { didOf, formatMultikey } from '@itc/core/ledger/did.js';
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import { keyEntries } from './names.ts';
import { UsageError, type Call } from './terminal/command.ts';
import { openClient } from './wallet.ts';

/** What acts for the account, as the validators certified it; `known` where the ledger knows a hash only. */
export async function keysOf(call: Call, account: Address, known: PublicKey): Promise<KeySet> {
  const { genesis } = await openClient(call.api).genesis();
  const { proved } = await resolveDid(didOf(account), { url: call.api, fetch, genesis });
  const set = proved?.keys ?? firstKeySet(account, known);
  if (set !== undefined) return set;
  throw new LedgerError('account.signers', `${formatAddress(account)} has one key, and this is another one`);
}

/** A key that acts for the account, or the refusal that says it does not. */
export function assertListed(set: KeySet, key: PublicKey, otherwise: string): void {
  if (!set.keys.some((one) => compareKeys(one.key, key) === 0))
    throw new LedgerError('account.signers', otherwise);
}

/** The file whose name is the only word there is. */
export function readFileNamed<T>(
  words: readonly string[],
  parse: (text: string) => Result<T, ErrorCode>,
): { readonly path: string; readonly file: T } {
  const [path, ...rest] = words;
  if (path === undefined || rest.length > 0) throw new UsageError('expected a FILE');
  if (!existsSync(path)) throw new UsageError(`there is no file ${path}`);
  const file = parse(readFileSync(path, 'utf8'));
  if (!file.ok) throw new LedgerError(file.code, `${path}: ${file.message}`, { path });
  return { path, file: file.value };
}

export function standingLines(
  call: Call,
  { signed, weight, threshold, missing, useless }: Weighed,
): string[] {
  const named = (keys: readonly WeightedKey[]): string =>
    keys.map((one) => `${nameOf(call, one.key)}${one.weight === 1 ? '' : ` (${one.weight})`}`).join(', ');
  return [
    `signed by ${signed.length === 0 ? 'nobody yet' : named(signed)}: weight ${weight} of ${threshold}`,
    ...(missing.length === 0 ? [] : [`missing: ${named(missing)}`]),
    ...(useless === 0 ? [] : [`${useless} of the signatures in the file count for nothing`]),
  ];
}

export function standingShown(call: Call, standing: Weighed): object {
  const keys = (of: readonly WeightedKey[]): object[] =>
    of.map(({ key, weight }) => ({ key: formatMultikey(key), name: nameOf(call, key), weight }));
  return {
    weight: standing.weight,
    threshold: standing.threshold,
    signed: keys(standing.signed),
    missing: keys(standing.missing),
    complete: standing.enough !== undefined,
  };
}

/** Of too few signatures, or of keys that were changed since. */
export function missingError(call: Call, { weight, threshold, missing }: Weighed): LedgerError {
  const names = missing.map((one) => nameOf(call, one.key)).join(', ');
  const whose = missing.length === 0 ? 'its keys were changed: draft it again' : `missing: ${names}`;
  return new LedgerError('account.signers', `signed with weight ${weight} of ${threshold}; ${whose}`, {
    missing: missing.map(({ key }) => formatMultikey(key)),
  });
}

/** As it is called on this machine, else by the key itself. */
export function nameOf(call: Call, key: PublicKey): string {
  const text = formatMultikey(key);
  return localName(call, key) ?? (text.length > 60 ? `${text.slice(0, 48)}…` : text);
}

/** What a key is called on this machine. */
export function localName(call: Call, key: PublicKey): string | undefined {
  const hex = toHex(key.bytes);
  // Public keys stand in the clear also in files that are sealed.
  return keyEntries(call.dataDir).find(({ file }) => readFileSync(file, 'utf8').includes(hex))?.name;
}
