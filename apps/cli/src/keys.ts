/** Key files of this machine, by name. Loads little: every command that signs goes through here. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { actingFor, type SeedSigner } from '@itc/client/keys.js';
import { describeSealedKey, openSealedKey, storedSigner, type StoredKey } from '@itc/client/keystore.js';
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { readKeyFile, writeKeyFile } from '@itc/node/crypto/key-file.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { systemRandom } from '@itc/node/random.js';
import { layoutOf, type Layout } from './devnet/layout.ts';

/** The key of this name, for the account it acts for; sealed ones are opened with ITC_PASSPHRASE. */
export async function openKey(dataDir: string, name: string): Promise<SeedSigner> {
  const layout = layoutOf(dataDir);
  const stored = await openStored(dataDir, name);
  const signer =
    stored instanceof KeyPair ? stored : storedSigner(stored, (length) => systemRandom.bytes(length));
  const account = accountOf(layout, name);
  return account === undefined ? signer : actingFor(account, signer);
}

/** What the file of this name holds: of Ed25519 in the form nodes read, or any scheme or phrase in that of wallets. */
export async function openStored(dataDir: string, name: string): Promise<KeyPair | StoredKey> {
  const path = keyPath(layoutOf(dataDir), name);
  if (!existsSync(path))
    throw new LedgerError('not-found', `no key is called ${name}; make one with: itc key new ${name}`);
  const passphrase = process.env['ITC_PASSPHRASE'];
  const text = readFileSync(path, 'utf8');
  if (describeSealedKey(text) === undefined) return readKeyFile(path, passphrase);
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0)
    throw new LedgerError('key.malformed', `${path}: other users may read it; run chmod 600 on it`, { path });
  const opened = await openSealedKey(text, passphrase === undefined ? {} : { passphrase });
  if (!opened.ok) throw new LedgerError(opened.code, `${path}: ${opened.message}`, { path });
  return opened.value;
}

/** The account a key acts for since keys were rotated to it; undefined for its own. */
function accountOf(layout: Layout, name: string): Address | undefined {
  const path = accountPath(layout, name);
  if (!existsSync(path)) return undefined;
  const address = parseAddress(readFileSync(path, 'utf8').trim());
  if (!address.ok) throw new LedgerError(address.code, `${path}: ${address.message}`, { path });
  return address.value;
}

/** Notes which account a key acts for from now on; nothing secret. */
export function noteAccount(layout: Layout, name: string, account: Address): void {
  writeFileSync(accountPath(layout, name), `${formatAddress(account)}\n`);
}

function accountPath(layout: Layout, name: string): string {
  return join(layout.keys, `${name}.account`);
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
