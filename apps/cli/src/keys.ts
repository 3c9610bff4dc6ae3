/** Key files of this machine, by name. Loads little: every command that signs goes through here. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { readKeyFile, writeKeyFile } from '@itc/node/crypto/key-file.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { systemRandom } from '@itc/node/random.js';
import { layoutOf, type Layout } from './devnet/layout.ts';

/** The key of this name; sealed ones are opened with ITC_PASSPHRASE. */
export async function openKey(dataDir: string, name: string): Promise<KeyPair> {
  const path = keyPath(layoutOf(dataDir), name);
  if (!existsSync(path))
    throw new LedgerError('not-found', `no key is called ${name}; make one with: itc key new ${name}`);
  return readKeyFile(path, process.env['ITC_PASSPHRASE']);
}

/** The key of this name under `keys/`, made when it is not there yet. */
export async function keyNamed(layout: Layout, name: string): Promise<KeyPair> {
  const path = keyPath(layout, name);
  if (existsSync(path)) return readKeyFile(path);
  mkdirSync(layout.keys, { recursive: true, mode: 0o700 });
  const keys = KeyPair.generate(systemRandom);
  await writeKeyFile(path, { keys });
  return keys;
}

export function keyPath(layout: Layout, name: string): string {
  return join(layout.keys, `${name}.json`);
}
