/** `itc key`: makes and shows ledger keys. A secret never leaves its file. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { writeKeyFile } from '@itc/node/crypto/key-file.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { systemRandom } from '@itc/node/random.js';
import { layoutOf } from '../devnet/layout.ts';
import { keyPath, openKey } from '../keys.ts';
import { UsageError, type Call, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

export const key: Command = {
  name: 'key',
  help: `itc key new NAME [--plain]
itc key show NAME
itc key list

Keys lie in the folder keys/ of the data folder. A new key is sealed under the passphrase in the environment
variable ITC_PASSPHRASE; with --plain it is not sealed, and readable by you alone.

Options:
  --plain   no passphrase (for a devnet)`,
  options: { plain: { type: 'boolean' } },
  run: async (call) => {
    const [verb, name, ...rest] = call.arguments;
    if (rest.length > 0) throw new UsageError('too many arguments');
    if (verb === 'list' && name === undefined) return list(call);
    if (verb === 'new') return create(call, checkedName(name));
    if (verb === 'show') return show(call, checkedName(name));
    throw new UsageError('expected: new NAME, show NAME or list');
  },
};

function checkedName(name: string | undefined): string {
  if (name === undefined || !NAME.test(name))
    throw new UsageError('a key is named with lower-case letters, digits and hyphens');
  return name;
}

async function create(call: Call, name: string): Promise<number> {
  const passphrase = process.env['ITC_PASSPHRASE'];
  const plain = call.options['plain'] === true;
  if (!plain && (passphrase === undefined || passphrase === '')) {
    throw new UsageError('set ITC_PASSPHRASE to seal the key, or give --plain');
  }
  const layout = layoutOf(call.dataDir);
  mkdirSync(layout.keys, { recursive: true, mode: 0o700 });
  const path = keyPath(layout, name);
  const keys = KeyPair.generate(systemRandom);
  await writeKeyFile(path, { keys, ...(plain || passphrase === undefined ? {} : { passphrase }) });
  return tell(call, name, keys, path);
}

async function show(call: Call, name: string): Promise<number> {
  return tell(call, name, await openKey(call.dataDir, name), keyPath(layoutOf(call.dataDir), name));
}

function tell(call: Call, name: string, keys: KeyPair, file: string): number {
  const address = formatAddress(keys.address);
  const publicKey = toHex(keys.publicKey.bytes);
  call.output.result({ name, address, publicKey, file }, [
    `${name}  ${address}`,
    `public key  ${publicKey}`,
    `file        ${file}`,
  ]);
  return 0;
}

function list(call: Call): number {
  const { keys } = layoutOf(call.dataDir);
  const names = existsSync(keys)
    ? readdirSync(keys)
        .filter((file) => file.endsWith('.json'))
        .map((file) => file.slice(0, -5))
    : [];
  call.output.result(
    { keys: names.map((name) => ({ name, file: join(keys, `${name}.json`) })) },
    names.length === 0
      ? ['no keys yet; make one with: itc key new NAME']
      : table(names.map((name) => [name, join(keys, `${name}.json`)])),
  );
  return 0;
}
