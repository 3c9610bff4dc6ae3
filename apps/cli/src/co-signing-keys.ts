/** Co-signing keys of validators on this machine: a file beside the consensus key, where its node looks for it. */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { coSigningKeyPaths } from '@itc/node/config.js';

import { CoSigningKey } from '@itc/node/crypto/co-signing-key.js';
import { readCoSigningKeyFile, writeCoSigningKeyFile } from '@itc/node/crypto/key-file.js';
import { systemRandom } from '@itc/node/random.js';
import type { Layout } from './devnet/layout.ts';
import { keyPath } from './keys.ts';

/** The key of this node, made when it is not there yet. */
export async function coSigningKeyOf(layout: Layout, name: string): Promise<CoSigningKey> {
  const [path] = coSigningKeyPaths(keyPath(layout, name));
  return existsSync(path) ? open(path) : make(layout, path);
}

/**
 * What is to be registered, and the key that must agree. While the next epoch is awaited a node has two files: it signs with
 * whichever the epoch names.
 */
export async function coSigningKeys(
  layout: Layout,
  name: string,
  o: {
    readonly registered: { readonly key: string; readonly isInForce: boolean } | undefined;
    readonly isRenewed: boolean;
  },
): Promise<{ readonly key: CoSigningKey; readonly former?: CoSigningKey }> {
  const [path, nextPath] = coSigningKeyPaths(keyPath(layout, name));
  const { registered } = o;
  if (registered === undefined) return { key: await coSigningKeyOf(layout, name) };
  if (!o.isRenewed)
    throw new LedgerError('key.exists', 'a key is registered already; --renew registers another one');
  if (!registered.isInForce)
    throw new LedgerError(
      'not-ready',
      'the key that is registered is not in force yet: the node still needs the one before',
    );
  const former = existsSync(path) ? await open(path) : undefined;
  const next = existsSync(nextPath) ? await open(nextPath) : undefined;
  if (former !== undefined && next !== undefined && formatAddress(next.address) === registered.key) {
    // The epoch that needed the former one is over; it is put aside, because no key is ever overwritten.
    renameSync(path, path.replace(/\.json$/, `.${formatAddress(former.address)}.json`));
    renameSync(nextPath, path);
    return { key: await make(layout, nextPath), former: next };
  }
  if (former === undefined || formatAddress(former.address) !== registered.key)
    throw new LedgerError('not-found', `the key that is registered, ${registered.key}, is not at ${path}`, {
      path,
    });
  return { key: next ?? (await make(layout, nextPath)), former };
}

function open(path: string): Promise<CoSigningKey> {
  return readCoSigningKeyFile(path, process.env['ITC_PASSPHRASE']);
}

/** Sealed where there is a passphrase, as a consensus key is. */
async function make(layout: Layout, path: string): Promise<CoSigningKey> {
  mkdirSync(layout.keys, { recursive: true, mode: 0o700 });
  const keys = CoSigningKey.generate(systemRandom);
  const passphrase = process.env['ITC_PASSPHRASE'];
  await writeCoSigningKeyFile(path, { keys, ...(passphrase !== undefined && { passphrase }) });
  return keys;
}
