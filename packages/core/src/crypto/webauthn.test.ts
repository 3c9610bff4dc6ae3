import { test } from 'node:test';
import assert from 'node:assert/strict';
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { concatBytes, fromHex } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { p256SignatureFromDer, verifyP256 } from './p256.ts';
import {
  checkWebauthnKey,
  CLIENT_DATA_BYTES_MAX,
  openAssertionOf,
  packAssertion,
  unpackAssertion,
  verifyWebauthn,
  WEBAUTHN_SIGNATURE_BYTES_MAX,
  webauthnChallenge,
} from './webauthn.ts';

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text);
  assert.ok(bytes.ok);
  return bytes.value;
};

/** W3C Web Authentication Level 3 §16.2, "ES256 Credential with No Attestation", its authentication. */
const W3C = {
  rpId: 'example.org',
  x: 'afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61',
  y: '930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220',
  challenge: '39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408',
  authenticatorData: 'bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000',
  clientData:
    '{"type":"webauthn.get","challenge":"OcDnUhQXulTUPo3JUXT0I97pvzzYBP9tZchXyav01Ag","origin":"https://example.org","crossOrigin":false}',
  signature:
    '3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87',
} as const;

test('CRYPTO-10.1: the assertion of the WebAuthn specification is what its key signed for its challenge', () => {
  const key = concatBytes(sha256(utf8Encode(W3C.rpId)), Uint8Array.of(2), hex(W3C.x));
  const point = p256.Point.fromBytes(key.subarray(32));
  assert.deepEqual(point.toBytes(false).subarray(33), hex(W3C.y));
  const signature = packAssertion({
    authenticatorData: hex(W3C.authenticatorData),
    clientDataJson: utf8Encode(W3C.clientData),
    signature: p256SignatureFromDer(hex(W3C.signature)) as Uint8Array,
  });
  const asserted = openAssertionOf(key, hex(W3C.challenge), signature);
  assert.ok(asserted);
  assert.ok(verifyP256(asserted.key, asserted.message, asserted.signature));
  // The challenge is a random one, so there are no bytes it stands for.
  assert.equal(verifyWebauthn(key, hex(W3C.challenge), signature), false);
});

const secret = new Uint8Array(32).fill(9);
const rpIdHash = sha256(utf8Encode('itc.example'));
const key = concatBytes(rpIdHash, p256.getPublicKey(secret, true));
const message = utf8Encode('what is signed');
const challenge = Buffer.from(webauthnChallenge(message)).toString('base64url');

/** An assertion whose signature is right, whatever else is not. */
function assertion(
  o: { readonly json?: string; readonly flags?: number; readonly data?: Uint8Array } = {},
): Uint8Array {
  const authenticatorData =
    o.data ?? concatBytes(rpIdHash, Uint8Array.of(o.flags ?? 0x1d), Uint8Array.of(0, 0, 0, 7));
  const clientDataJson = utf8Encode(o.json ?? clientData({}));
  const signed = concatBytes(authenticatorData, sha256(clientDataJson));
  const signature = p256.sign(signed, secret, { lowS: true });
  return packAssertion({ authenticatorData, clientDataJson, signature });
}

function clientData(o: { type?: string; challenge?: string; origin?: string; rest?: string }): string {
  return `{"type":"${o.type ?? 'webauthn.get'}","challenge":"${o.challenge ?? challenge}","origin":"${o.origin ?? 'https://itc.example'}"${o.rest ?? ',"crossOrigin":false}'}`;
}

test('CRYPTO-10.2: what browsers write for this challenge is accepted', () => {
  const rests = [
    '}',
    ',"crossOrigin":false}',
    ',"crossOrigin":false,"other_keys_can_be_added_here":"do not compare clientDataJSON against a template"}',
    ',"androidPackageName":"com.example.wallet"}',
  ];
  for (const rest of rests)
    assert.ok(verifyWebauthn(key, message, assertion({ json: clientData({ rest }) })));
  for (const origin of [
    'android:apk-key-hash:Zm9v',
    'https:\\/\\/itc.example',
    'https://x\\"y.example',
    'https://bücher.example',
  ])
    assert.ok(verifyWebauthn(key, message, assertion({ json: clientData({ origin }) })));
});

test('CRYPTO-10.2: a text of another type, for another challenge, or in another order is refused', () => {
  const other = Buffer.from(webauthnChallenge(utf8Encode('another'))).toString('base64url');
  const bad = [
    clientData({ type: 'webauthn.create' }),
    clientData({ type: 'payment.get' }),
    clientData({ challenge: other }),
    clientData({ challenge: `${challenge}=` }),
    clientData({ challenge: '' }),
    // The last character carries two bits that are not used: other letters spell the same bytes.
    clientData({ challenge: challenge.slice(0, -1) + String.fromCharCode(challenge.charCodeAt(42) + 1) }),
    clientData({ origin: '' }),
    clientData({ origin: 'a\nb' }),
    clientData({ rest: '' }),
    clientData({ rest: '} ' }),
    clientData({ rest: ',}' }),
    clientData({ rest: '}}' }),
    clientData({ rest: ',"crossOrigin":false,}' }),
    clientData({ rest: ',"crossOrigin":false }' }),
    clientData({ rest: ', "crossOrigin":false}' }),
    ` ${clientData({})}`,
    `{"challenge":"${challenge}","type":"webauthn.get","origin":"https://itc.example","crossOrigin":false}`,
    `{"type": "webauthn.get","challenge":"${challenge}","origin":"https://itc.example"}`,
    // Our challenge in a place where a page may write what it likes.
    `{"type":"webauthn.get","challenge":"${other}","origin":"https://itc.example","crossOrigin":false,"challenge":"${challenge}"}`,
    `{"type":"webauthn.get","challenge":"${other}","origin":"\\",\\"challenge\\":\\"${challenge}"}`,
    '{}',
    '}',
  ];
  for (const json of bad) assert.equal(verifyWebauthn(key, message, assertion({ json })), false, json);
});

test('CRYPTO-10.3: an assertion asked for inside of another page is refused', () => {
  for (const rest of [
    ',"crossOrigin":true}',
    ',"crossOrigin":true,"topOrigin":"https://evil.example"}',
    ',"crossOrigin":null}',
  ])
    assert.equal(verifyWebauthn(key, message, assertion({ json: clientData({ rest }) })), false);
});

test('CRYPTO-10.4: somebody was there, nothing is attached, and a backup is of a key that may have one', () => {
  for (let flags = 0; flags < 256; flags += 1) {
    const isRight = (flags & 1) === 1 && (flags & 0xc0) === 0 && ((flags & 0x10) === 0 || (flags & 8) !== 0);
    assert.equal(verifyWebauthn(key, message, assertion({ flags })), isRight, `flags ${flags}`);
  }
});

test('CRYPTO-10.5: an assertion for another relying party is none, nor one under another key', () => {
  const elsewhere = concatBytes(sha256(utf8Encode('evil.example')), Uint8Array.of(0x1d, 0, 0, 0, 0));
  assert.equal(verifyWebauthn(key, message, assertion({ data: elsewhere })), false);
  const moved = concatBytes(sha256(utf8Encode('evil.example')), key.subarray(32));
  assert.equal(verifyWebauthn(moved, message, assertion()), false);
  const other = concatBytes(rpIdHash, p256.getPublicKey(new Uint8Array(32).fill(8), true));
  assert.equal(verifyWebauthn(other, message, assertion()), false);
  assert.ok(checkWebauthnKey(key));
  assert.equal(checkWebauthnKey(key.subarray(32)), false);
  assert.equal(checkWebauthnKey(concatBytes(rpIdHash, new Uint8Array(33))), false);
});

test('CRYPTO-10.6: lengths have bounds', () => {
  const signature = assertion();
  const parts = unpackAssertion(signature);
  assert.ok(parts);
  assert.deepEqual(packAssertion(parts), signature);
  for (const length of [0, 37, 100, 101, WEBAUTHN_SIGNATURE_BYTES_MAX + 1]) {
    assert.equal(unpackAssertion(new Uint8Array(length)), undefined);
    assert.equal(verifyWebauthn(key, message, new Uint8Array(length)), false);
  }
  const frame = clientData({ origin: '' }).length;
  const longest = clientData({ origin: 'a'.repeat(CLIENT_DATA_BYTES_MAX - frame) });
  assert.ok(verifyWebauthn(key, message, assertion({ json: longest })));
  const longer = clientData({ origin: 'a'.repeat(CLIENT_DATA_BYTES_MAX - frame + 1) });
  assert.equal(verifyWebauthn(key, message, assertion({ json: longer })), false);
  const extended = concatBytes(rpIdHash, Uint8Array.of(0x1d, 0, 0, 0, 0, 0xa0));
  assert.equal(verifyWebauthn(key, message, assertion({ data: extended })), false);
});

test('CRYPTO-10.6: nobody can write the same assertion in another way', () => {
  const signature = assertion();
  fc.assert(
    fc.property(fc.nat(signature.length * 8 - 1), (bit) => {
      const changed = signature.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      return !verifyWebauthn(key, message, changed);
    }),
    { numRuns: 150 },
  );
});
