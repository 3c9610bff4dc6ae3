import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatAddress } from '@itc/core/ledger/address.js';
import { writeKeyFile } from '@itc/node/crypto/key-file.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { systemRandom } from '@itc/node/random.js';
import { accountNamed, keyEntries, localNames, namedAccount } from './names.ts';

const folder = mkdtempSync(join(tmpdir(), 'itc-names-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('a sealed key names its account to everybody, and opens for nobody', async () => {
  const keys = KeyPair.generate(systemRandom);
  mkdirSync(join(folder, 'keys'));
  await writeKeyFile(join(folder, 'keys', 'dave.json'), { keys, passphrase: 'correct horse' });
  writeFileSync(join(folder, 'keys', 'dave.co-sign.json'), '{}');
  writeFileSync(join(folder, 'keys', 'notes.json'), 'no key');
  assert.deepEqual(accountNamed(folder, 'dave'), keys.address);
  assert.deepEqual(
    keyEntries(folder).map(({ name, address, sealed }) => [name, address, sealed]),
    [
      ['dave', formatAddress(keys.address), true],
      ['notes', undefined, undefined],
    ],
    'co-signing keys are no accounts',
  );
  assert.deepEqual([...localNames(folder)], [[formatAddress(keys.address), 'dave']]);
  assert.throws(() => accountNamed(folder, 'erin'), /itc key new erin/);
  assert.throws(() => accountNamed(folder, 'notes'), /neither an address nor a key/);
});

test('a key that was rotated to another account names that one', () => {
  const other = formatAddress(KeyPair.generate(systemRandom).address);
  writeFileSync(join(folder, 'keys', 'dave.account'), `${other}\n`);
  assert.equal(formatAddress(accountNamed(folder, 'dave')), other);
});

test('who was named is shown by name and address, who was not by the address', () => {
  const { address } = KeyPair.generate(systemRandom);
  const text = formatAddress(address);
  assert.equal(namedAccount('guest', address), `guest (${text})`);
  assert.equal(namedAccount(text, address), text);
  assert.equal(namedAccount(undefined, address), text);
});
