import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyMerklePath, merkleRoot } from '@itc/core/crypto/merkle.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import { asAddress, type Address } from '@itc/core/ledger/address.js';
import { withdrawalLeaf, type Withdrawal } from '@itc/core/ledger/escrow.js';
import { amount } from '@itc/core/ledger/ids.js';
import { withPaid, type OpenWithdrawals } from '@itc/core/state/escrow-record.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { MemoryTables } from '../storage/memory-tables.ts';
import { SubnetWithdrawals, WITHDRAWALS_TOLD } from './subnet-withdrawals.ts';

const subnet = sha256(new TextEncoder().encode('subnet'));
const person = (n: number): Address => asAddress(new Uint8Array(32).fill(n));

/** A main chain that holds what these checkpoints let out; `pay` as it would. */
class Escrows {
  readonly open = new Map<number, OpenWithdrawals>();
  readonly state = {
    withdrawals: (_: Hash, checkpoint: number) => this.open.get(checkpoint),
    openWithdrawals: () => Array.from(this.open, ([checkpoint, open]) => ({ checkpoint, open })),
    subnet: () => ({ lastSequence: 1_000 }),
  } as unknown as LedgerState;

  let(checkpoint: number, withdrawals: readonly Withdrawal[]): Delivery {
    const root = merkleRoot(withdrawals.map((one) => withdrawalLeaf(subnet, one)));
    const count = withdrawals.length;
    const paid = new Uint8Array(Math.ceil(count / 8));
    this.open.set(checkpoint, {
      root,
      first: withdrawals[0]?.number ?? 1,
      count,
      unpaid: amount(1n << 40n),
      paid,
    });
    const committed = { certificate: { checkpoint: { sequence: checkpoint } } };
    return { committed, withdrawals } as unknown as Delivery;
  }

  pay(checkpoint: number, index: number): void {
    const open = this.open.get(checkpoint) as OpenWithdrawals;
    const next = withPaid(open, index, 1n);
    this.open.set(checkpoint, next);
  }
}

const row = (number: number, to: Address): Withdrawal => ({ number, to, amount: amount(5_000_000n) });

test('SUBNET-9.1: a member tells what waits for an address, each with a path that holds, until the main chain has paid it', async () => {
  const tables = new MemoryTables();
  const kept = new SubnetWithdrawals(tables);
  const chain = new Escrows();
  await tables.commit(kept.changes(chain.let(3, [row(1, person(1)), row(2, person(2)), row(3, person(1))])));
  await tables.commit(kept.changes(chain.let(9, [row(4, person(1))])));
  const waiting = (who: Address): number[] =>
    new SubnetWithdrawals(tables)
      .waiting(subnet, who, chain.state)
      .map(({ checkpoint, withdrawal, path }) => {
        const open = chain.open.get(checkpoint) as OpenWithdrawals;
        const index = withdrawal.number - open.first;
        const leaf = withdrawalLeaf(subnet, withdrawal);
        assert.ok(verifyMerklePath({ root: open.root, leaf, index, count: open.count, path }));
        return withdrawal.number;
      });
  assert.deepEqual([waiting(person(1)), waiting(person(2)), waiting(person(3))], [[1, 3, 4], [2], []]);
  chain.pay(3, 0);
  assert.deepEqual(waiting(person(1)), [3, 4]);
  await kept.sweep(subnet, chain.state);
  assert.deepEqual(waiting(person(2)), [2], 'a part of a checkpoint is not forgotten');
  chain.open.delete(3);
  await kept.sweep(subnet, chain.state);
  assert.deepEqual([waiting(person(1)), waiting(person(2))], [[4], []]);
  chain.open.delete(9);
  await kept.sweep(subnet, chain.state);
  assert.equal(tables.table('subnet-withdrawals').count() + tables.table('subnet-withdrawals-to').count(), 0);
});

test('SUBNET-6.6: what a snapshot skipped is taken from others when the main chain holds its root, and nothing else is', async () => {
  const [old, fresh] = [new SubnetWithdrawals(new MemoryTables()), new MemoryTables()];
  const kept = new SubnetWithdrawals(fresh);
  const chain = new Escrows();
  const [three, nine] = [[row(1, person(1)), row(2, person(2))], [row(3, person(1))]];
  for (const [checkpoint, list] of [
    [3, three],
    [9, nine],
  ] as const)
    chain.let(checkpoint, list);
  assert.deepEqual(kept.lacking(subnet, chain.state, 10), [3, 9]);
  assert.deepEqual(kept.lacking(subnet, chain.state, 1), [3]);
  assert.deepEqual(old.list(3), [], 'nobody makes one up');
  const lies = [
    [],
    three.slice(1),
    three.toReversed(),
    [...three, ...nine],
    [row(1, person(1)), row(2, person(3))],
  ];
  for (const lie of lies) assert.equal(await kept.take(subnet, 3, lie, chain.state), false);
  assert.equal(await kept.take(subnet, 4, three, chain.state), false, 'nothing waits there');
  assert.deepEqual(kept.lacking(subnet, chain.state, 10), [3, 9]);
  assert.equal(await kept.take(subnet, 3, three, chain.state), true);
  assert.deepEqual(kept.list(3), three);
  assert.deepEqual(kept.lacking(subnet, chain.state, 10), [9]);
  assert.deepEqual(
    kept.waiting(subnet, person(1), chain.state).map(({ withdrawal }) => withdrawal.number),
    [1],
  );
});

test('SUBNET-9.1: an answer is bounded, the oldest first', async () => {
  const tables = new MemoryTables();
  const kept = new SubnetWithdrawals(tables);
  const chain = new Escrows();
  const many = Array.from({ length: WITHDRAWALS_TOLD + 10 }, (_, i) => row(i + 1, person(1)));
  await tables.commit(kept.changes(chain.let(1, many)));
  const told = kept.waiting(subnet, person(1), chain.state).map(({ withdrawal }) => withdrawal.number);
  assert.deepEqual(
    told,
    many.slice(0, WITHDRAWALS_TOLD).map(({ number }) => number),
  );
});
