import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amount } from '@itc/core/ledger/ids.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto, verifyNative } from '../crypto/native.ts';
import { VerifyPool } from '../crypto/verify-pool.ts';
import { Mempool } from '../mempool/mempool.ts';
import { SoloChain } from '../testing/solo-chain.ts';
import { Intake, type Judged, decodeBatch, encodeBatches, RELAY_BYTES_MAX } from './intake.ts';

installNativeCrypto();

/** Counts what it is asked to verify, and answers when it may. */
class CountingPool extends VerifyPool {
  asked = 0;
  until: Promise<unknown> | undefined;

  override async verifyBatch(items: Parameters<VerifyPool['verifyBatch']>[0]): Promise<boolean[]> {
    this.asked += items.length;
    await this.until;
    return super.verifyBatch(items);
  }
}

async function world(): Promise<{
  readonly solo: SoloChain;
  readonly pool: CountingPool;
  readonly mempool: Mempool;
  readonly judge: (encoded: Uint8Array) => Promise<Judged>;
}> {
  const solo = await SoloChain.open();
  const pool = new CountingPool({ workers: 0 });
  const mempool = new Mempool();
  const intake = new Intake({
    chain: solo.chain,
    mempool,
    pool,
    verify: verifyNative,
    relay: () => undefined,
    added: () => undefined,
    failed: (error) => assert.fail(String(error)),
  });
  const judge = (encoded: Uint8Array): Promise<Judged> =>
    new Promise((resolve) => {
      assert.ok(intake.offer({ encoded, relay: false, done: resolve }));
    });
  return { solo, pool, mempool, judge };
}

const spoilt = (encoded: Uint8Array): Uint8Array => {
  const copy = encoded.slice();
  copy[copy.length - 40] = (copy[copy.length - 40] as number) ^ 1;
  return copy;
};

test('NODE-3.8: what is not due or cannot be paid is refused before its signature is looked at', async () => {
  const { solo, pool, judge } = await world();
  const [a] = solo.validators as [KeyPair];
  const to = solo.treasury.address;
  const first = solo.sign(a, { kind: 'transfer', to, amount: amount(1n) });
  await solo.block([first]);
  const stale = await judge(spoilt(first));
  assert.equal(stale.ok ? '' : stale.code, 'transaction.nonce');
  const final = await judge(first);
  assert.equal(final.ok ? '' : final.code, 'transaction.duplicate');
  assert.equal(pool.asked, 0);
  const second = solo.sign(a, { kind: 'transfer', to, amount: amount(1n) });
  const unsigned = await judge(spoilt(second));
  assert.equal(unsigned.ok ? '' : unsigned.code, 'signature.invalid');
  assert.equal(pool.asked, 1);
  assert.equal((await judge(second)).ok, true);
});

test('NODE-3.8: what became stale while its signature was checked does not get into the pool', async () => {
  const { solo, pool, mempool, judge } = await world();
  const [a] = solo.validators as [KeyPair];
  const encoded = solo.sign(a, { kind: 'transfer', to: solo.treasury.address, amount: amount(1n) });
  pool.until = new Promise((resolve) => setTimeout(resolve, 20)).then(() => solo.block([encoded]));
  const verdict = await judge(encoded);
  assert.equal(verdict.ok ? '' : verdict.code, 'transaction.duplicate');
  assert.equal(mempool.size, 0);
});

test('NODE-3.9: transactions go to the validators in messages that hold many, in order, each below the bound', () => {
  const sizes = [1, 200, 16_384, 16_384, 3, ...Array.from({ length: 2_000 }, (_, i) => 100 + (i % 90))];
  const transactions = sizes.map((size, i) => new Uint8Array(size).fill(i));
  const messages = encodeBatches(transactions);
  assert.ok(messages.length > 1 && messages.length < 10);
  assert.ok(messages.every(({ length }) => length <= RELAY_BYTES_MAX));
  assert.deepEqual(
    messages.flatMap((message) => decodeBatch(message) ?? []),
    transactions,
  );
  assert.deepEqual(encodeBatches([]), []);
});

test('NODE-3.9: attack lengths that promise too much: a message that is no batch is none as a whole', () => {
  const [message] = encodeBatches([new Uint8Array(5)]) as [Uint8Array];
  assert.equal(decodeBatch(message.subarray(0, -1)), undefined);
  assert.equal(decodeBatch(Uint8Array.of(0xff, 0xff, 0xff, 0xff)), undefined);
});
