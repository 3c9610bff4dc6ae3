import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { generateKeyPair, keyPairSigner, openSigner, seedSigner, type Subtle } from './keys.ts';

const { subtle } = webcrypto;
const message = Uint8Array.of(1, 2, 3);

test('CLIENT-3.1: the portable signer and WebCrypto give the same bytes from one seed', async () => {
  const seed = new Uint8Array(32).fill(42);
  const portable = seedSigner(seed);
  const native = await openSigner({ seed, subtle });
  assert.deepEqual(native.publicKey, portable.publicKey);
  assert.deepEqual(native.address, portable.address);
  assert.deepEqual(await native.sign(message), portable.sign(message));
});

test('CLIENT-3.1: RFC 8032 test 2 comes out', () => {
  const hex = (text: string): Uint8Array => {
    const bytes = fromHex(text);
    assert.ok(bytes.ok);
    return bytes.value;
  };
  const signer = seedSigner(hex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'));
  assert.equal(
    toHex(signer.publicKey.bytes),
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  );
  assert.equal(
    toHex(signer.sign(Uint8Array.of(0x72))),
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  );
});

test('CLIENT-3.1: a generated key signs what the ledger accepts, and its secret cannot be read', async () => {
  const pair = await generateKeyPair(subtle);
  const signer = await keyPairSigner(subtle, pair);
  assert.equal(verifySignature(signer.publicKey, message, await signer.sign(message)), true);
  await assert.rejects(subtle.exportKey('pkcs8', pair.privateKey as webcrypto.CryptoKey));
});

test('CLIENT-3.1: where WebCrypto does not know Ed25519, plain JavaScript signs', async () => {
  const old: Subtle = {
    generateKey: () => Promise.reject(new Error('NotSupportedError')),
    importKey: () => Promise.reject(new Error('NotSupportedError')),
    exportKey: () => Promise.reject(new Error('NotSupportedError')),
    sign: () => Promise.reject(new Error('NotSupportedError')),
  };
  const signer = await openSigner({ seed: new Uint8Array(32).fill(7), subtle: old });
  assert.equal(verifySignature(signer.publicKey, message, await signer.sign(message)), true);
});

test('CLIENT-3.1: the caller’s seed may be wiped afterwards', () => {
  const seed = new Uint8Array(32).fill(7);
  const signer = seedSigner(seed);
  seed.fill(0);
  assert.deepEqual(signer.sign(message), seedSigner(new Uint8Array(32).fill(7)).sign(message));
  assert.throws(() => seedSigner(new Uint8Array(31)), RangeError);
});
