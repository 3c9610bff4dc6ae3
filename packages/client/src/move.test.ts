import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Body } from '@itc/core/ledger/body.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount } from '@itc/core/ledger/ids.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { seedSigner } from './keys.ts';
import { moveBalance, type MoveClient, type MoveStep } from './move.ts';

const [from, to, chain] = ['from', 'to', 'chain'].map((name) => sha256(new TextEncoder().encode(name))) as [
  ReturnType<typeof sha256>,
  ReturnType<typeof sha256>,
  ReturnType<typeof sha256>,
];
const holder = seedSigner(new Uint8Array(32).fill(7));
const payer = seedSigner(new Uint8Array(32).fill(8)).address;
const PATH = [toHex(sha256(Uint8Array.of(1)))];

/** Subnets without checkpoints: nobody has a balance, but withdrawals may wait. */
function client(waiting: { checkpoint: number; number: number; amount: string }[]): MoveClient {
  return {
    sendOrder: () => Promise.reject(new Error('nothing is ordered')),
    waitForLevel: () => Promise.reject(new Error('nothing is waited for')),
    subnetWithdrawals: () =>
      Promise.resolve({ address: '', withdrawals: waiting.map((one) => ({ ...one, path: PATH })) }),
    subnetBalance: () => Promise.reject(new LedgerError('not-found', 'no checkpoint yet')),
    subnetMembers: () => Promise.reject(new Error('not asked')),
  };
}

test('SUBNET-9.1: an interrupted move goes on where it was: what waits on the main chain is fetched and deposited, nothing is ordered again', async () => {
  const sent: Body[] = [];
  const steps: MoveStep['step'][] = [];
  const moving = moveBalance({
    chain,
    from,
    to,
    fromClient: client([
      { checkpoint: 4, number: 9, amount: '3000000' },
      { checkpoint: 5, number: 11, amount: '2000000' },
    ]),
    toClient: client([]),
    holder,
    payer,
    sequence: 1,
    timeoutMs: 0,
    send: (body) => {
      sent.push(body);
      return Promise.resolve({ height: sent.length });
    },
    onStep: ({ step }) => steps.push(step),
  });
  await assert.rejects(moving, (error: LedgerError) => error.code === 'peer.timeout');
  assert.deepEqual(steps, ['fetched', 'fetched', 'deposited']);
  assert.deepEqual(
    sent.map(({ kind }) => kind),
    ['withdraw', 'withdraw', 'deposit'],
  );
  const [, , deposit] = sent;
  assert.ok(deposit?.kind === 'deposit' && deposit.amount === amount(5_000_000n));
  assert.deepEqual(deposit.to, holder.address);
});

test('SUBNET-9.1: with nothing inside and nothing waiting there is nothing to move', async () => {
  const nothing = moveBalance({
    chain,
    from,
    to,
    fromClient: client([]),
    toClient: client([]),
    holder,
    payer,
    sequence: 1,
    send: () => Promise.reject(new Error('nothing is sent')),
  });
  await assert.rejects(nothing, (error: LedgerError) => error.code === 'not-found');
});
