import assert from 'node:assert/strict';
import { createHash, webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { keySetOf } from '@itc/core/ledger/account-keys.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import { schemeKeyPair } from '@itc/core/testing/schemes.js';
import {
  generateP256KeyPair,
  p256KeyPairSigner,
  p256KeysOf,
  p256Signer,
  type P256Subtle,
} from './keys-p256.ts';
import { mlDsaSigner } from './keys-ml-dsa.ts';
import { algorithmNamed, ALGORITHM_NAMES, secretSigner } from './keys-secret.ts';
import { assembleShared, draftShared, formatDraft, parseDraft, signDraft, signersOf } from './keys-shared.ts';
import { actingFor, type Signer } from './keys.ts';
import { createPasskey, findPasskey, passkeySigner, type Credentials } from './passkey.ts';
import { buildTransaction, transfer } from './transactions.ts';

const message = Uint8Array.of(1, 2, 3);
const subtle = webcrypto.subtle as unknown as P256Subtle;
const secret = new Uint8Array(32).fill(5);
const chain = asHash(new Uint8Array(32).fill(3));

test('CLIENT-20.1: each scheme signs what the ledger accepts, from 32 secret bytes', () => {
  for (const algorithm of [1, 2, 3] as const) {
    const signer = secretSigner({ algorithm, secret });
    assert.equal(signer.publicKey.algorithm, algorithm);
    assert.ok(verifySignature(signer.publicKey, message, signer.sign(message)));
    assert.equal(algorithmNamed(ALGORITHM_NAMES[algorithm]), algorithm);
  }
  assert.equal(algorithmNamed('rsa'), undefined);
  const hedged = mlDsaSigner(secret, (length) => new Uint8Array(length).fill(1));
  assert.notDeepEqual(hedged.sign(message), mlDsaSigner(secret).sign(message));
  assert.ok(verifySignature(hedged.publicKey, message, hedged.sign(message)));
});

test('CLIENT-20.1: WebCrypto signs with P-256 in the one form, in whichever half s falls', async () => {
  const pair = await generateP256KeyPair(subtle);
  const signer = await p256KeyPairSigner(subtle, pair);
  for (let i = 0; i < 12; i += 1) {
    const bytes = Uint8Array.of(i);
    const signature = await signer.sign(bytes);
    assert.ok(verifySignature(signer.publicKey, bytes, signature));
    assert.ok(p256KeysOf(bytes, signature).some((key) => Buffer.compare(key, signer.publicKey.bytes) === 0));
  }
  await assert.rejects(
    webcrypto.subtle.exportKey('pkcs8', pair.privateKey as webcrypto.CryptoKey),
    'its secret cannot be read',
  );
  assert.throws(() => p256Signer(new Uint8Array(32)));
});

/** An authenticator and a browser, as far as a page can tell. */
function fakeCredentials(change: (json: string) => string = (json) => json): Credentials {
  const pair = schemeKeyPair(4, 1);
  const key = p256Signer(secret);
  return {
    create: () => Promise.resolve({ rawId: Uint8Array.of(1, 2).buffer, response: spkiOf(key) }),
    get: (options) => {
      const { challenge, rpId } = (options as { publicKey: { challenge: Uint8Array; rpId: string } })
        .publicKey;
      const json = change(
        `{"type":"webauthn.get","challenge":"${Buffer.from(challenge).toString('base64url')}","origin":"https://${rpId}","crossOrigin":false}`,
      );
      const clientDataJSON = new TextEncoder().encode(json);
      const data = Buffer.concat([pair.key.bytes.subarray(0, 32), Uint8Array.of(0x1d, 0, 0, 0, 1)]);
      const signed = Buffer.concat([data, sha256(clientDataJSON)]);
      return Promise.resolve({
        rawId: Uint8Array.of(1, 2).buffer,
        response: {
          authenticatorData: Uint8Array.from(data).buffer,
          clientDataJSON: clientDataJSON.buffer,
          signature: Uint8Array.from(der(key.sign(Uint8Array.from(signed)))).buffer,
        },
      });
    },
  };
}

test('CLIENT-20.2: a passkey signs what the ledger accepts; another page’s or another challenge’s assertion is noticed here', async () => {
  const options = { credentials: fakeCredentials(), rpId: 'itc.example' };
  const passkey = await createPasskey({ ...options, label: 'x', random: (length) => new Uint8Array(length) });
  const signer = passkeySigner(passkey, options);
  const signature = await signer.sign(message);
  assert.ok(verifySignature(signer.publicKey, message, signature));
  for (const change of [
    (json: string): string => json.replace('false', 'true'),
    (json: string): string => json.replace('webauthn.get', 'webauthn.create'),
    (json: string): string => json.replace(/"challenge":"./, '"challenge":"-'),
  ]) {
    const bad = passkeySigner(passkey, { ...options, credentials: fakeCredentials(change) });
    await assert.rejects(async () => bad.sign(message), { code: 'signature.invalid' });
  }
  const found = await findPasskey({ ...options, challenge: new Uint8Array(32) });
  assert.ok(found.some(({ publicKey }) => Buffer.compare(publicKey.bytes, passkey.publicKey.bytes) === 0));
});

test('CLIENT-20.2: the fee of a transaction covers a signature of any length', async () => {
  const passkey = { credentialId: Uint8Array.of(1), publicKey: schemeKeyPair(4, 2).key };
  const options = { credentials: fakeCredentials(), rpId: 'itc.example' };
  const usual = passkeySigner(passkey, options);
  let asked = 0;
  const long: Signer = {
    ...usual,
    sign: () => {
      asked += 1;
      return new Uint8Array(1100);
    },
  };
  const place = { chain, nonce: 0, feePerByte: amount(10n), validUntil: height(9) };
  const built = await buildTransaction({ ...place, signer: long }, transfer(usual.address, amount(1n)));
  assert.equal(asked, 2, 'once more, with a fee for what came');
  assert.ok(built.transaction.fee >= 10n * BigInt(built.encoded.length));
});

test('CLIENT-20.3: a transaction of several keys is drafted, signed apart, and put together', async () => {
  const signers = [1, 2, 3].map((algorithm) =>
    secretSigner({ algorithm: algorithm as 1 | 2 | 3, secret: secret.map((byte) => byte + algorithm) }),
  );
  const set = keySetOf(
    signers.map(({ publicKey }) => publicKey),
    2,
  );
  const chosen = signersOf(set);
  assert.equal(chosen.length, 2);
  const [first] = signers as [Signer];
  const body = transfer(first.address, amount(7n));
  const place = { chain, nonce: 4, feePerByte: amount(10n), validUntil: height(99) };
  const account = (signers[2] as Signer).address;
  const draft = draftShared({ ...place, account, signers: chosen, body });
  const text = formatDraft(draft);
  const parsed = parseDraft(text);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value, draft);
  assert.equal(formatDraft(parsed.value), text);
  const shares = await Promise.all(
    signers
      .filter(({ publicKey }) => chosen.some((key) => Buffer.compare(key.bytes, publicKey.bytes) === 0))
      .map((signer) => signDraft(parsed.value, signer)),
  );
  const built = assembleShared(draft, shares, verifySignature);
  assert.ok(built.ok);
  const { transaction, encoded } = built.value;
  assert.ok(transaction.fee >= 10n * BigInt(encoded.length));
  assert.ok(verifyTransaction(chain, encoded, verifySignature).ok);
  // One missing, one of another transaction, one that is none.
  assert.equal(codeOf(assembleShared(draft, shares.slice(0, 1), verifySignature)), 'signature.invalid');
  assert.equal(codeOf(assembleShared(draft, shares.slice(1), verifySignature)), 'signature.invalid');
  const other = draftShared({ ...place, nonce: 5, account, signers: chosen, body });
  assert.equal(codeOf(assembleShared(other, shares, verifySignature)), 'signature.invalid');
  assert.equal(codeOf(assembleShared(draft, ['AAAA'], verifySignature)), 'request.malformed');
  for (const bad of ['', 'AAAA', text.slice(0, -4), `${text}AAAA`, text.slice(4)])
    assert.equal(parseDraft(bad).ok, false);
});

test('CLIENT-20.3: one key of a rotated account drafts alone', async () => {
  const signer = secretSigner({ algorithm: 2, secret });
  const account = secretSigner({ algorithm: 1, secret }).address;
  const place = { chain, nonce: 0, feePerByte: amount(1n), validUntil: height(9) };
  const draft = draftShared({
    ...place,
    account,
    signers: [signer.publicKey],
    body: transfer(account, amount(1n)),
  });
  const parsed = parseDraft(formatDraft(draft));
  assert.ok(parsed.ok);
  const built = assembleShared(parsed.value, [await signDraft(draft, signer)], verifySignature);
  assert.ok(built.ok);
  assert.deepEqual(built.value.transaction.account, account);
  const alone = await buildTransaction(
    { ...place, signer: actingFor(account, signer) },
    transfer(account, amount(1n)),
  );
  assert.deepEqual(alone.transaction.account, account);
  assert.ok(verifyTransaction(chain, alone.encoded, verifySignature).ok);
});

const codeOf = (result: { ok: true } | { ok: false; code: string }): string =>
  result.ok ? 'ok' : result.code;

/** As an authenticator writes it; s in the upper half is allowed there. */
function der(signature: Uint8Array): Uint8Array {
  const integer = (bytes: Uint8Array): Buffer => {
    let at = 0;
    while (at < 31 && bytes[at] === 0) at += 1;
    const digits = bytes.subarray(at);
    const padded =
      (digits[0] as number) >= 0x80 ? Buffer.concat([Uint8Array.of(0), digits]) : Buffer.from(digits);
    return Buffer.concat([Uint8Array.of(2, padded.length), padded]);
  };
  const both = Buffer.concat([integer(signature.subarray(0, 32)), integer(signature.subarray(32))]);
  return Buffer.concat([Uint8Array.of(0x30, both.length), both]);
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

function spkiOf(key: Signer): { getPublicKey(): ArrayBuffer; getPublicKeyAlgorithm(): number } {
  const raw = p256.Point.fromBytes(key.publicKey.bytes).toBytes(false);
  const frame = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
  return {
    getPublicKey: () => Uint8Array.from(Buffer.concat([frame, raw])).buffer,
    getPublicKeyAlgorithm: () => -7,
  };
}
