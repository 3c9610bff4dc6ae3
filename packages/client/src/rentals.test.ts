import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, height, millis } from '@itc/core/ledger/ids.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { rentalId, termsHash, type RentalTerms } from '@itc/core/ledger/rental.js';
import { createClient } from './client.ts';
import { seedSigner } from './keys.ts';
import { bringWord, buildRentalWord, readWord, rent, rentalOf, rentalOffer } from './rentals.ts';
import { buildTransaction } from './transactions.ts';

const chain = asHash(new Uint8Array(32).fill(5));
const rental = asHash(new Uint8Array(32).fill(6));
const lamp = seedSigner(new Uint8Array(32).fill(1));
const renter = seedSigner(new Uint8Array(32).fill(2));

const TERMS: RentalTerms = {
  unit: 'minute',
  price: amount(3n),
  minimum: 1,
  maximum: 9,
  duration: millis(0),
  deposit: amount(5n),
  carriage: amount(0n),
  startWithin: millis(60_000),
  window: millis(60_000),
  arbiter: renter.address,
  actions: 3,
  levelMax: 200,
};

/** As a node tells it, with changes. */
function told(changes: object = {}): object {
  return {
    device: formatAddress(lamp.address),
    owner: formatAddress(renter.address),
    hash: toHex(termsHash(TERMS)),
    expiresAt: 9,
    rented: false,
    terms: {
      ...TERMS,
      price: '3',
      deposit: '5',
      carriage: '0',
      arbiter: formatAddress(renter.address),
      actions: ['on-off', 'level'],
      ...changes,
    },
  };
}

const clientOf = (answer: object): ReturnType<typeof createClient> =>
  createClient({
    url: 'http://node',
    fetch: () =>
      Promise.resolve(
        new Response(JSON.stringify(answer), { headers: { 'content-type': 'application/json' } }),
      ),
  });

test('CLIENT-12.1: a renter agrees to the terms he has read: a node that tells others is found out', async () => {
  const { terms } = await rentalOffer(clientOf(told()), lamp.address);
  assert.deepEqual(terms, TERMS);
  const body = rent({ device: lamp.address, terms, maximum: 3 });
  assert.ok(body.kind === 'rent');
  assert.deepEqual(body.terms, termsHash(TERMS));
  for (const changes of [{ price: '2' }, { levelMax: 254 }, { actions: ['on-off'] }, { window: 0 }]) {
    await assert.rejects(
      rentalOffer(clientOf(told(changes)), lamp.address),
      (error: unknown) => error instanceof LedgerError && error.code === 'peer.message',
    );
  }
});

test('CLIENT-12.2: the name of a rental is known before its transaction is sent', async () => {
  const options = { chain, signer: renter, nonce: 4, lane: 2, feePerByte: amount(1n), validUntil: height(9) };
  const sent = await buildTransaction(options, rent({ device: lamp.address, terms: TERMS, maximum: 3 }));
  const named = rentalOf({ transaction: sent.transaction, renter: renter.address });
  assert.deepEqual(named, rentalId({ renter: renter.address, lane: 2, nonce: 4 }));
});

test('CLIENT-12.3: a device’s word is signed by it, and goes to the chain under its own kind', async () => {
  const kinds = { started: 'rental-start', used: 'rental-use', stopped: 'rental-stop' } as const;
  for (const event of ['started', 'used', 'stopped'] as const) {
    const uses = event === 'started' ? 0 : 2;
    const word = { rental, event, at: millis(7), uses };
    const { bytes } = await buildRentalWord({ chain, signer: lamp, sequence: 3, ...word });
    const payload = parsePayload(chain, bytes);
    assert.ok(payload.ok);
    assert.ok(verifySignature(lamp.publicKey, payload.value.signedBytes, payload.value.signature));
    assert.deepEqual(readWord(chain, bytes), { ...word, device: lamp.address });
    assert.equal(bringWord(chain, bytes).kind, kinds[event]);
  }
  assert.throws(() => bringWord(chain, new Uint8Array(4)), LedgerError);
});
