import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { p256 } from '@noble/curves/nist.js';
import { concatBytes } from '../bytes/hex.ts';
import type { Algorithm } from '../crypto/signature.ts';
import { anyAccountKey } from '../testing/arbitraries.ts';
import { keyPair } from '../testing/keys.ts';
import { schemeKeyPair } from '../testing/schemes.ts';
import { keySetOf } from './account-keys.ts';
import { addressOf, formatAddress } from './address.ts';
import { didDocument, didKeyOf, didOf, formatMultikey, parseDid, parseMultikey } from './did.ts';

const fromUrl = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64url'));

test('DID-1.1: did:key of Ed25519 and P-256 are those of the did:key specification', () => {
  // W3C CCG, "The did:key Method", test vectors: a JWK and the DID it has.
  const ed25519 = {
    algorithm: 1 as Algorithm,
    bytes: fromUrl('O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik'),
  };
  assert.equal(didKeyOf(ed25519), 'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp');
  const x = fromUrl('fyNYMN0976ci7xqiSdag3buk-ZCwgXU4kz9XNkBlNUI');
  const y = fromUrl('hW2ojTNfH7Jbi8--CJUo3OCbH3y5n91g-IMA9MLMbTU');
  const point = p256.Point.fromBytes(concatBytes(Uint8Array.of(4), x, y)).toBytes(true);
  const ours = didKeyOf({ algorithm: 2, bytes: point });
  assert.equal(ours, 'did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169');
});

test('DID-1.1: every key comes back from its multikey; other texts are refused', () => {
  fc.assert(
    fc.property(anyAccountKey, (key) => {
      const read = parseMultikey(formatMultikey(key));
      assert.ok(read.ok);
      if (key.algorithm === 4) {
        assert.equal(didKeyOf(key), undefined);
        assert.deepEqual(read.value.bytes, key.bytes.subarray(32));
      } else assert.deepEqual(read.value, key);
    }),
    { numRuns: 40 },
  );
  const good = formatMultikey(keyPair(1).key);
  for (const bad of [
    '',
    'z',
    good.slice(1),
    `u${good.slice(1)}`,
    `${good}1`,
    good.slice(0, -1),
    good.replace(/.$/, '0'),
    good.replace(/.$/, 'l'),
    `z${'1'.repeat(3000)}`,
  ])
    assert.equal(parseMultikey(bad).ok, false, bad.slice(0, 60));
});

test('DID-1.2: a did:itc is an address, and no other method is known', () => {
  const { address, key } = keyPair(3);
  const did = parseDid(didOf(address));
  assert.deepEqual(did, { ok: true, value: { method: 'itc', address } });
  assert.ok(parseDid(`did:key:${formatMultikey(key)}`).ok);
  for (const bad of [
    '',
    'did:itc:',
    `did:web:${formatAddress(address)}`,
    formatAddress(address),
    'did:itc:itc1qqq',
    'did:key:z',
  ])
    assert.equal(parseDid(bad).ok, false, bad);
});

test('DID-1.3: a key that is not enough alone is listed, and authenticates nobody', () => {
  const { address, key } = keyPair(3);
  const subject = {
    address,
    chain: 'ab'.repeat(32),
    keys: undefined,
    guardians: undefined,
    device: undefined,
  };
  const [a, b, c] = ([2, 3, 4] as const).map((algorithm) => schemeKeyPair(algorithm, 1).key);
  assert.ok(a && b && c);
  const shared = didDocument({ ...subject, keys: keySetOf([{ key: a, weight: 2 }, b, c], 2) });
  assert.equal(shared.threshold, 2);
  assert.equal(shared.verificationMethod.length, 3);
  assert.deepEqual(
    shared.verificationMethod.map(({ weight }) => weight),
    [2, 1, 1],
  );
  assert.deepEqual(shared.authentication, [`${didOf(address)}#key-1`]);
  assert.equal(shared.verificationMethod[2]?.rpIdHash?.length, 64);
  // Without a record there is the hash of a key, or the key itself for who has seen it, and no other key.
  assert.equal(didDocument(subject).verificationMethod[0]?.type, 'ItcAddress');
  const known = didDocument(subject, key);
  assert.equal(known.verificationMethod[0]?.publicKeyMultibase, formatMultikey(key));
  assert.deepEqual(didDocument(subject, keyPair(4).key), didDocument(subject));
  // A key that was rotated away is none, whoever has seen it.
  const rotated = didDocument({ ...subject, keys: keySetOf([a]) }, key);
  assert.ok(!JSON.stringify(rotated).includes(formatMultikey(key)));
  const device = didDocument({ ...subject, device: { key, owner: addressOf(a) } });
  assert.equal(device.controller, didOf(addressOf(a)));
  assert.equal(device.verificationMethod[0]?.publicKeyMultibase, formatMultikey(key));
});
