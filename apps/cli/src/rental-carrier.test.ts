import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seedSigner } from '@itc/client/keys.js';
import { buildRentalWord } from '@itc/client/rentals.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import type { RentalEvent } from '@itc/core/ledger/rental.js';
import { decodeTransaction } from '@itc/core/ledger/transaction.js';
import type { Rental } from '@itc/core/state/rental-record.js';
import type { SignedWord } from '@itc/edge/gateway/rental-words.js';
import { RentalCarrier } from './rental-carrier.ts';

const CHAIN = asHash(new Uint8Array(32).fill(9));
const RENTAL = asHash(new Uint8Array(32).fill(1));
const lamp = seedSigner(new Uint8Array(32).fill(2));
const gateway = seedSigner(new Uint8Array(32).fill(3));

async function said(event: RentalEvent, uses = 0, rental = RENTAL): Promise<SignedWord> {
  const word = { rental, event, at: millis(1000), uses };
  const { bytes } = await buildRentalWord({ chain: CHAIN, signer: lamp, sequence: 1, ...word });
  return { ...word, bytes };
}

/** A chain with what the test says, and a carrier on it. */
function carrier(): {
  readonly state: { rental: Partial<Rental> | undefined; fails: boolean };
  readonly sent: string[];
  readonly clock: { now: number };
  readonly carrier: RentalCarrier;
} {
  const state = { rental: undefined as Partial<Rental> | undefined, fails: false };
  const sent: string[] = [];
  const clock = { now: 0 };
  const record = (kind: string): unknown => (kind === 'rental' ? state.rental : undefined);
  const of = new RentalCarrier({
    chain: {
      id: CHAIN,
      height: 5,
      state: {
        record: record as never,
        account: () => ({ balance: amount(1n), nonces: [] }),
        parameters: { feePerByte: amount(1n) },
      },
    },
    signer: gateway,
    submit: (encoded) => {
      if (state.fails) return Promise.reject(new Error('no'));
      const tx = decodeTransaction(encoded);
      assert.ok(tx.ok);
      sent.push(tx.value.body.kind);
      return Promise.resolve();
    },
    now: () => clock.now,
    warn: () => {},
  });
  return { state, sent, clock, carrier: of };
}

const reserved = (unit: 'minute' | 'use' = 'minute'): Partial<Rental> =>
  ({ id: RENTAL, terms: { unit }, running: undefined }) as unknown as Partial<Rental>;
const running = (unit: 'minute' | 'use', uses: number): Partial<Rental> =>
  ({ id: RENTAL, terms: { unit }, running: { uses } }) as unknown as Partial<Rental>;

test('EDGE-13.5: a start is brought once, and again when no block took it', async () => {
  const { state, sent, clock, carrier: of } = carrier();
  state.rental = reserved();
  of.bring(lamp.address, await said('started'));
  await of.tick();
  await of.tick();
  assert.deepEqual(sent, ['rental-start']);
  clock.now += 6000;
  await of.tick();
  assert.deepEqual(sent, ['rental-start', 'rental-start']);
  state.rental = running('minute', 0);
  await of.tick();
  assert.equal(of.waiting, 0);
});

test('EDGE-13.5: a stop waits until the start is on the chain', async () => {
  const { state, sent, carrier: of } = carrier();
  state.rental = reserved();
  of.bring(lamp.address, await said('stopped', 2));
  await of.tick();
  assert.deepEqual(sent, []);
  state.rental = running('minute', 0);
  await of.tick();
  assert.deepEqual(sent, ['rental-stop']);
});

test('EDGE-13.5: uses are brought for rentals by use only; what the chain does not know is dropped', async () => {
  const { state, sent, carrier: of } = carrier();
  state.rental = running('minute', 0);
  of.bring(lamp.address, await said('used', 1));
  await of.tick();
  assert.deepEqual([sent.length, of.waiting], [0, 0]);
  state.rental = running('use', 1);
  of.bring(lamp.address, await said('used', 1));
  of.bring(lamp.address, await said('used', 2));
  await of.tick();
  assert.deepEqual(sent, ['rental-use']);
  state.rental = undefined;
  await of.tick();
  assert.equal(of.waiting, 0);
});

test('EDGE-13.5: what the network does not take is tried again for a while', async () => {
  const { state, sent, clock, carrier: of } = carrier();
  state.rental = reserved();
  state.fails = true;
  of.bring(lamp.address, await said('started'));
  await of.tick();
  clock.now += 6000;
  state.fails = false;
  await of.tick();
  assert.deepEqual(sent, ['rental-start']);
  clock.now += 700_000;
  await of.tick();
  assert.equal(of.waiting, 0);
});
