import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seedSigner } from '@itc/client/keys.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { amount } from '@itc/core/ledger/ids.js';
import { decodeTransaction } from '@itc/core/ledger/transaction.js';
import { InstallReporter } from './install-reporter.ts';

const hash = (byte: number): Hash => asHash(new Uint8Array(32).fill(byte));
const gateway = seedSigner(new Uint8Array(32).fill(3));

test('EDGE-14.1: a gateway reports when the ledger counts fewer, and of releases the ledger knows', async () => {
  const known = { release: false, count: 0 };
  const sent: number[] = [];
  const payloads = [hash(1), hash(2)];
  const reporter = new InstallReporter({
    subnet: hash(7),
    installs: () => [{ channel: hash(8), number: 1, payloads, failures: 0 }],
    chain: {
      id: hash(9),
      height: 5,
      state: {
        record: ((kind: string) =>
          kind === 'release' ? (known.release ? {} : undefined) : { count: known.count }) as never,
        account: () => ({ balance: amount(1n), nonces: [] }),
        parameters: { feePerByte: amount(1n) },
      },
    },
    signer: gateway,
    submit: (encoded) => {
      const tx = decodeTransaction(encoded);
      assert.ok(tx.ok && tx.value.body.kind === 'report-installs');
      sent.push(tx.value.body.count);
      known.count = tx.value.body.count;
      return Promise.resolve();
    },
    now: () => 0,
    warn: () => assert.fail(),
  });
  await reporter.tick();
  assert.deepEqual(sent, []);
  known.release = true;
  await reporter.tick();
  await reporter.tick();
  assert.deepEqual(sent, [2]);
  payloads.push(hash(3));
  await reporter.tick();
  assert.deepEqual(sent, [2, 3]);
});
