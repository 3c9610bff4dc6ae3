import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { describeSealedKey, openSealedKey, sealKey, storedSigner, type StoredKey } from './keystore.ts';

let count = 0;
const random = (length: number): Uint8Array => new Uint8Array(length).fill((count += 1));
const costLog2 = 10;
const secret = new Uint8Array(32).fill(0xa7);
const KEYS: readonly StoredKey[] = [
  ...([1, 2, 3] as const).map((algorithm) => ({ kind: 'secret' as const, algorithm, secret })),
  { kind: 'phrase', algorithm: 2, entropy: secret.subarray(0, 16), account: 3 },
];

test('CLIENT-20.5: keys of every scheme and phrases open with their passphrase, in any Unicode form, and with no other', async () => {
  for (const key of KEYS) {
    const text = await sealKey(key, { passphrase: 'caf\u00e9', random, costLog2 });
    assert.ok(!text.includes(toHex(secret.subarray(0, 16))));
    assert.deepEqual(await openSealedKey(text, { passphrase: 'cafe\u0301' }), { ok: true, value: key });
    const codes = await Promise.all(
      [{ passphrase: 'cafe' }, {}].map(async (o) => {
        const opened = await openSealedKey(text, o);
        return opened.ok ? 'ok' : opened.code;
      }),
    );
    assert.deepEqual(codes, ['key.passphrase', 'key.passphrase']);
    const said = describeSealedKey(text);
    assert.equal(said?.publicKey, toHex(storedSigner(key).publicKey.bytes));
  }
});

test('CLIENT-20.5: in the clear only where nobody asked for a seal', async () => {
  for (const key of KEYS) {
    const text = await sealKey(key, { random });
    assert.deepEqual(await openSealedKey(text), { ok: true, value: key });
  }
});

test('CLIENT-20.5: whatever is altered in a sealed text, it does not open', async () => {
  const key = KEYS[3] as StoredKey;
  const text = await sealKey(key, { passphrase: 'a', random, costLog2 });
  const codeOf = async (changed: string): Promise<string> => {
    const opened = await openSealedKey(changed, { passphrase: 'a' });
    return opened.ok ? 'ok' : opened.code;
  };
  assert.equal(await codeOf(text), 'ok');
  for (const field of ['salt', 'nonce', 'sealed', 'publicKey', 'address']) {
    const changed = text.replace(
      new RegExp(`("${field}": ")(.)`),
      (_, head: string, digit: string) => `${head}${digit === '0' ? '1' : '0'}`,
    );
    assert.notEqual(changed, text);
    assert.equal(await codeOf(changed), 'key.passphrase', field);
  }
  assert.equal(await codeOf(text.replace('"p256"', '"ed25519"')), 'key.passphrase');
  assert.equal(await codeOf(text.replace('"account": 3', '"account": 4')), 'key.passphrase');
  for (const bad of [
    '',
    '{}',
    '[]',
    'null',
    '{"format":"itc-key-2"}',
    text.replace('"scryptLog2": 10', '"scryptLog2": 40'),
    text.replace('"account": 3', '"account": -1'),
    ' '.repeat(9000),
  ])
    assert.equal(await codeOf(bad), 'key.malformed');
});

test('CLIENT-20.5: a plain text whose secret is of another key is refused', async () => {
  const text = await sealKey(KEYS[0] as StoredKey, { random });
  const other = text.replace(/"plain": "a7/, '"plain": "a8');
  const opened = await openSealedKey(other);
  assert.equal(opened.ok ? 'ok' : opened.code, 'key.malformed');
});
