import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHash } from 'node:crypto';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { verifySignature as verifyAny } from '@itc/core/crypto/verify.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { millis } from '@itc/core/ledger/ids.js';
import { secretSigner } from './keys-secret.ts';
import { actingFor, seedSigner } from './keys.ts';
import { checkRequest, REQUEST_SKEW_MS_MAX, requestSigningBytes, signRequest } from './requests.ts';

const chain = asHash(new Uint8Array(32).fill(5));
const signer = seedSigner(new Uint8Array(32).fill(6));
const now = millis(1_700_000_000_000);
const request = { method: 'POST', path: '/api/v1/gateway/devices?x=1', body: Uint8Array.of(123, 125) };

const check = (changes: Partial<Parameters<typeof checkRequest>[0]>, authorization: string): string => {
  const checked = checkRequest({
    ...request,
    chain,
    now,
    verify: verifySignature,
    authorization,
    ...changes,
  });
  return checked.ok ? 'ok' : checked.code;
};

test('CLIENT-2.1: the signed bytes are domain, 0, chain, method, path, time and the hash of the body', () => {
  const u32 = (n: number): Buffer => Buffer.from([0, 0, 0, n]);
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(now));
  const expected = Buffer.concat([
    Buffer.from('ITC1:sign-request'),
    Buffer.of(0),
    chain,
    u32(4),
    Buffer.from('POST'),
    u32(request.path.length),
    Buffer.from(request.path),
    time,
    createHash('sha256').update(request.body).digest(),
  ]);
  assert.deepEqual(Buffer.from(requestSigningBytes(chain, { ...request, time: now })), expected);
});

test('CLIENT-2.2: the server learns who signed', async () => {
  const authorization = await signRequest({ ...request, chain, signer, time: now });
  assert.match(authorization, /^ITC-Ed25519 key=[0-9a-f]{64}, time=1700000000000, signature=[0-9a-f]{128}$/);
  const checked = checkRequest({ ...request, chain, now, verify: verifySignature, authorization });
  assert.ok(checked.ok);
  assert.deepEqual(checked.value.address, signer.address);
});

test('CLIENT-2.3: nothing of the request, the chain or the header can be changed', async () => {
  const authorization = await signRequest({ ...request, chain, signer, time: now });
  assert.equal(check({}, authorization), 'ok');
  assert.equal(check({ method: 'post' }, authorization), 'ok');
  assert.equal(check({ method: 'PUT' }, authorization), 'request.unauthorised');
  assert.equal(check({ path: '/api/v1/gateway/devices?x=2' }, authorization), 'request.unauthorised');
  assert.equal(check({ body: Uint8Array.of(123, 124) }, authorization), 'request.unauthorised');
  assert.equal(check({ chain: asHash(new Uint8Array(32)) }, authorization), 'request.unauthorised');
  assert.equal(check({}, authorization.replace('time=17', 'time=16')), 'request.unauthorised');
  assert.equal(check({}, authorization.replace(`time=${now}`, `time=${now + 1}`)), 'request.unauthorised');
  const other = seedSigner(new Uint8Array(32).fill(7));
  const [, theirs] = /key=([0-9a-f]+)/.exec(
    await signRequest({ ...request, chain, signer: other, time: now }),
  ) as RegExpExecArray;
  assert.equal(check({}, authorization.replace(/key=[0-9a-f]+/, `key=${theirs}`)), 'request.unauthorised');
});

test('CLIENT-2.4: a request counts within the allowed skew on both sides, and not outside', async () => {
  const authorization = await signRequest({ ...request, chain, signer, time: now });
  for (const skew of [-REQUEST_SKEW_MS_MAX, REQUEST_SKEW_MS_MAX])
    assert.equal(check({ now: millis(now + skew) }, authorization), 'ok');
  for (const skew of [-REQUEST_SKEW_MS_MAX - 1, REQUEST_SKEW_MS_MAX + 1]) {
    assert.equal(check({ now: millis(now + skew) }, authorization), 'request.unauthorised');
  }
});

test('CLIENT-2.4: other schemes and other spellings are refused', async () => {
  const authorization = await signRequest({ ...request, chain, signer, time: now });
  const wrong = [
    '',
    'Bearer abc',
    authorization.toUpperCase(),
    ` ${authorization}`,
    `${authorization} `,
    authorization.replaceAll(', ', ','),
    authorization.replace('time=', 'time=0'),
    authorization.replace(/time=\d+/, 'time=9007199254740993'),
  ];
  for (const header of wrong) assert.equal(check({}, header), 'request.unauthorised', header);
  const missing = checkRequest({ ...request, chain, now, verify: verifySignature, authorization: undefined });
  assert.equal(missing.ok, false);
});

test('CLIENT-2.1: accounts of every scheme sign requests; an account with other keys than its first one is named', async () => {
  const account = signer.address;
  const longest: number[] = [];
  for (const algorithm of [1, 2, 3] as const) {
    const own = secretSigner({ algorithm, secret: new Uint8Array(32).fill(8) });
    for (const by of [own, actingFor(account, own)]) {
      const authorization = await signRequest({ ...request, chain, signer: by, time: now });
      const checked = checkRequest({ ...request, chain, now, verify: verifyAny, authorization });
      assert.ok(checked.ok, checked.ok ? '' : checked.message);
      assert.deepEqual([checked.value.address, checked.value.key], [by.address, own.publicKey]);
      longest.push(authorization.length);
      // Each part altered, and the same under another scheme.
      const refused = (text: string): boolean =>
        !checkRequest({ ...request, chain, now, verify: verifyAny, authorization: text }).ok;
      assert.ok(
        refused(authorization.replace(/signature=(.)/, (_, one) => `signature=${one === 'a' ? 'b' : 'a'}`)),
      );
      assert.ok(refused(authorization.replace(/^ITC-[^ ]+/, 'ITC-WebAuthn')));
      assert.ok(refused(authorization.replace(/^ITC-[^ ]+/, 'ITC-RSA')));
      assert.ok(refused(authorization.replace(/time=\d+/, `time=${now + 1}`)));
      assert.ok(refused(authorization.replace(/key=[^,]+/, `key=${'ab'.repeat(32)}`)));
      assert.ok(refused(authorization.replace(', time', `, account=${formatAddress(own.address)}, time`)));
    }
  }
  assert.ok(Math.max(...longest) < 8_000, 'within what servers take as one header');
});
