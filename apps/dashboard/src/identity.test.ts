import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import { openIdentity } from './identity.ts';

test('without Ed25519 in WebCrypto (plain http on a LAN) the portable key signs what the chain accepts, and says it is not kept', async (t) => {
  t.mock.method(crypto.subtle, 'generateKey', () =>
    Promise.reject(new DOMException('not supported', 'NotSupportedError')),
  );
  const identity = await openIdentity();
  const message = new TextEncoder().encode('switch on');
  const signature = await identity.sign(message);
  assert.ok(verifySignature(identity.key, message, signature));
  assert.equal(verifySignature(identity.key, new TextEncoder().encode('switch off'), signature), false);
  assert.equal(identity.address, formatAddress(addressOf(identity.key)));
  assert.equal(identity.protection, 'this visit only');
  assert.equal(await openIdentity(), identity);
});
