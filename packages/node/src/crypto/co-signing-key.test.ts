import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { verifyMlDsa } from '@itc/core/crypto/ml-dsa.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { systemRandom } from '../random.ts';
import { CoSigningKey } from './co-signing-key.ts';
import { readCoSigningKeyFile, readKeyFile, writeCoSigningKeyFile } from './key-file.ts';

test('QUANTUM-1.7: a co-signing key is kept like a consensus key: sealed or readable by its owner alone, never printed or overwritten', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'itc-co-sign-'));
  try {
    const keys = CoSigningKey.generate(systemRandom);
    const message = utf8Encode('a checkpoint');
    assert.ok(verifyMlDsa(keys.publicKey.bytes, message, keys.sign(message, systemRandom.bytes(32))));
    const plain = join(folder, 'plain.json');
    await writeCoSigningKeyFile(plain, { keys });
    assert.equal((await stat(plain)).mode & 0o777, 0o600);
    assert.deepEqual((await readCoSigningKeyFile(plain)).address, keys.address);
    await assert.rejects(writeCoSigningKeyFile(plain, { keys }), { code: 'key.exists' });
    await assert.rejects(readKeyFile(plain), { code: 'key.malformed' });
    await chmod(plain, 0o644);
    await assert.rejects(readCoSigningKeyFile(plain), { code: 'key.malformed' });
    const sealed = join(folder, 'sealed.json');
    await writeCoSigningKeyFile(sealed, { keys, passphrase: 'word', costLog2: 10 });
    assert.deepEqual((await readCoSigningKeyFile(sealed, 'word')).address, keys.address);
    await assert.rejects(readCoSigningKeyFile(sealed, 'other'), { code: 'key.passphrase' });
    const text = await readFile(sealed, 'utf8');
    const seed = toHex(keys.exportSeed());
    assert.ok(!text.includes(seed));
    assert.ok(!inspect(keys, { depth: 9 }).includes(seed) && !JSON.stringify(keys).includes(seed));
    const moved = join(folder, 'moved.json');
    await writeFile(moved, text.replace('itc-co-sign-1', 'itc-key-1'), { mode: 0o600 });
    await assert.rejects(readKeyFile(moved, 'word'), { code: 'key.passphrase' });
  } finally {
    await rm(folder, { recursive: true });
  }
});
