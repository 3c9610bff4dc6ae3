import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { toHex } from '@itc/core/bytes/hex.js';
import { SeededRandom } from '../random.ts';
import { readKeyFile, writeKeyFile } from './key-file.ts';
import { KeyPair } from './keypair.ts';
import { verifyNative } from './native.ts';

const keys = KeyPair.generate(new SeededRandom(1));
const costLog2 = 10;

async function folder(): Promise<{ path: string } & AsyncDisposable> {
  const root = await mkdtemp(join(tmpdir(), 'itc-keys-'));
  return { path: join(root, 'node.key'), [Symbol.asyncDispose]: () => rm(root, { recursive: true }) };
}

test('NODE-4.6: a sealed key file opens with its passphrase, in any Unicode form, and with no other', async () => {
  await using at = await folder();
  await writeKeyFile(at.path, { keys, passphrase: 'caf\u00e9', costLog2 });
  const opened = await readKeyFile(at.path, 'cafe\u0301');
  const message = Uint8Array.of(1);
  assert.ok(verifyNative(keys.publicKey, message, opened.sign(message)));
  await assert.rejects(readKeyFile(at.path, 'cafe'), { code: 'key.passphrase' });
  await assert.rejects(readKeyFile(at.path), { code: 'key.passphrase' });
});

test('a sealed key file holds no secret in the clear, and mode 0600', async () => {
  await using at = await folder();
  await writeKeyFile(at.path, { keys, passphrase: 'a', costLog2 });
  assert.ok(!(await readFile(at.path, 'utf8')).includes(toHex(keys.exportSeed())));
  assert.equal((await stat(at.path)).mode & 0o777, 0o600);
});

test('NODE-4.6: any altered byte of a sealed key file is refused', async () => {
  await using at = await folder();
  await writeKeyFile(at.path, { keys, passphrase: 'a', costLog2 });
  const text = await readFile(at.path, 'utf8');
  for (const field of ['salt', 'nonce', 'sealed', 'publicKey'] as const) {
    const pattern = new RegExp(`("${field}": ")(.)`);
    await writeFile(
      at.path,
      text.replace(pattern, (_, head: string, digit: string) => `${head}${digit === '0' ? '1' : '0'}`),
    );
    await assert.rejects(readKeyFile(at.path, 'a'), { code: 'key.passphrase' });
  }
  for (const other of [
    '',
    '{}',
    '[]',
    'null',
    '{"format":"itc-key-1"}',
    text.replace('"scryptLog2": 10', '"scryptLog2": 40'),
  ]) {
    await writeFile(at.path, other);
    await assert.rejects(readKeyFile(at.path, 'a'), { code: 'key.malformed' });
  }
});

test('NODE-4.7: a plain key file works on a devnet, unless others may read it', async () => {
  await using at = await folder();
  await writeKeyFile(at.path, { keys });
  assert.deepEqual((await readKeyFile(at.path)).publicKey, keys.publicKey);
  await chmod(at.path, 0o644);
  await assert.rejects(readKeyFile(at.path), { code: 'key.malformed', message: /chmod 600/ });
});

test('NODE-4.7: a key is never overwritten, and a missing one is named', async () => {
  await using at = await folder();
  await assert.rejects(readKeyFile(at.path), { code: 'not-found' });
  await writeKeyFile(at.path, { keys });
  await assert.rejects(writeKeyFile(at.path, { keys: KeyPair.generate(new SeededRandom(2)) }), {
    code: 'key.exists',
  });
});

test('a key pair shows its address and never its secret', () => {
  const secret = toHex(keys.exportSeed());
  for (const shown of [JSON.stringify(keys), inspect(keys, { depth: 9, showHidden: true })]) {
    assert.ok(!shown.includes(secret) && !shown.includes(secret.slice(0, 8)));
  }
});
