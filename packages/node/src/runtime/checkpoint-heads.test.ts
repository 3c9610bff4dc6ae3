import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { checkpointHash, type SubnetCheckpoint } from '@itc/core/ledger/checkpoint.js';
import { VALUE_MIN } from '@itc/core/ledger/escrow.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import {
  fakeVerify,
  memberSet,
  noWithdrawals,
  person,
  sortedMembers,
  subnetOfGenesis,
  transfer,
  World,
  type Person,
} from '@itc/core/testing/state-world.js';
import { admissible, NO_HEADS, type HeadChanges, type HeadContext } from './checkpoint-heads.ts';

const alice = person('alice');
const [member, other] = sortedMembers as [Person, Person];

/** The first checkpoints of a subnet, each on top of the one before. */
function line(w: World, count: number, subnet: Hash = subnetOfGenesis): SubnetCheckpoint[] {
  const made: SubnetCheckpoint[] = [];
  for (let sequence = 1; sequence <= count; sequence += 1) {
    const last = made.at(-1);
    const previous = last === undefined ? subnet : checkpointHash(last);
    made.push(w.nextCheckpoint(subnet, { sequence, previous, time: millis(500 * sequence) }));
  }
  return made;
}

const placed = (w: World, checkpoint: SubnetCheckpoint, sender = member): VerifiedTransaction =>
  w.transaction(sender, { kind: 'checkpoint', certificate: w.certify(checkpoint) });

const contextOf = (w: World, between: readonly HeadChanges[] = []): HeadContext => ({
  chain: w.chain,
  state: w.state,
  between,
  height: w.height + 1 + between.length,
  verify: fakeVerify,
});

const world = (): World => new World(['alice']);

test('STATE-8.8: a block holds no checkpoint that somebody outside the subnet sent', () => {
  const w = world();
  const [first] = line(w, 1) as [SubnetCheckpoint];
  const stranger = placed(w, first, alice);
  const { admitted, heads } = admissible(contextOf(w), [stranger]);
  assert.deepEqual([admitted, heads], [[], NO_HEADS]);
  assert.deepEqual(admissible(contextOf(w), [stranger, placed(w, first, other)]).admitted, [
    placed(w, first, other),
  ]);
});

test('STATE-8.9: attack checkpoint flood: of many consecutive checkpoints a block holds the first, each next block one more', () => {
  const w = world();
  const waiting = line(w, 3).map((checkpoint) => placed(w, checkpoint));
  const between: HeadChanges[] = [];
  for (const expected of waiting) {
    const { admitted, heads } = admissible(contextOf(w, between), waiting);
    assert.deepEqual(admitted, [expected]);
    assert.equal(heads.size, 1);
    between.push(heads);
  }
  assert.deepEqual(admissible(contextOf(w, between), waiting).admitted, []);
});

test('STATE-8.9: what a block may hold is what the state machine accepts, block by block', () => {
  const w = world();
  const house = subnetId(alice.address, 'house');
  const create = { kind: 'create-subnet' as const, name: 'house', members: memberSet, powBits: 1 };
  assert.equal(w.send(alice, create), 'ok');
  const all = [subnetOfGenesis, house].flatMap((subnet) => line(w, 3, subnet));
  const senders = [member, other];
  const waiting = all.map((checkpoint, i) => placed(w, checkpoint, senders[i % 2] as Person));
  waiting.unshift(placed(w, all[0] as SubnetCheckpoint, alice), w.transaction(alice, transfer(member, 1n)));
  const lagging = contextOf(w);
  const between: HeadChanges[] = [];
  let accepted = 0;
  for (let i = 0; i < 4; i += 1) {
    const { admitted, heads } = admissible({ ...lagging, between: [...between] }, waiting.toReversed());
    between.push(heads);
    const checkpoints = admitted.filter(({ tx }) => tx.body.kind === 'checkpoint');
    for (const { outcome } of w.block(...checkpoints).receipts) {
      assert.ok(outcome.ok, outcome.ok ? '' : outcome.message);
      accepted += 1;
    }
  }
  assert.equal(accepted, 6);
  for (const id of [subnetOfGenesis, house]) {
    assert.equal(w.state.subnet(id)?.lastSequence, 3);
    assert.equal(between[2]?.get(toHex(id))?.sequence, 3);
  }
});

test('STATE-8.9: everything else passes untouched, in its order', () => {
  const w = world();
  const [first] = line(w, 1) as [SubnetCheckpoint];
  const mixed = [
    w.transaction(alice, transfer(member, 1n)),
    placed(w, first),
    w.transaction(alice, transfer(member, 2n)),
  ];
  assert.deepEqual(admissible(contextOf(w), mixed).admitted, mixed);
});

test('STATE-14.10: a block holds no checkpoint beyond the deposits and the escrow of the state its header commits to', () => {
  const w = world();
  const deposit = () =>
    w.send(alice, {
      kind: 'deposit',
      subnet: subnetOfGenesis,
      to: alice.address,
      amount: amount(10n * VALUE_MIN),
    });
  assert.equal(deposit(), 'ok');
  const lagging = contextOf(w);
  assert.equal(deposit(), 'ok');
  const taking = (deposits: number, out: bigint, below?: SubnetCheckpoint): SubnetCheckpoint =>
    w.nextCheckpoint(subnetOfGenesis, {
      ...(below === undefined ? {} : { sequence: below.sequence + 1, previous: checkpointHash(below) }),
      value:
        out === 0n
          ? noWithdrawals(deposits)
          : { deposits, withdrawalRoot: w.chain, withdrawalCount: 1, withdrawn: amount(out * VALUE_MIN) },
    });
  const isAdmitted = (checkpoint: SubnetCheckpoint, between: HeadChanges[] = []): boolean =>
    admissible({ ...lagging, between }, [placed(w, checkpoint)]).admitted.length === 1;
  // The second deposit is executed, but the header of the block commits to a state before it.
  assert.equal(isAdmitted(taking(2, 0n)), false);
  assert.equal(isAdmitted(taking(1, 11n)), false);
  const first = taking(1, 6n);
  const { admitted, heads } = admissible(lagging, [placed(w, first)]);
  assert.equal(admitted.length, 1);
  // The checkpoint between has taken six of ten, and has credited the deposit.
  assert.equal(isAdmitted(taking(1, 5n, first), [heads]), false);
  const { value: _, ...silent } = taking(1, 0n, first);
  assert.equal(isAdmitted(silent, [heads]), false);
  assert.equal(isAdmitted(taking(1, 4n, first), [heads]), true);
  for (const checkpoint of [first, taking(1, 4n, first)])
    assert.equal(w.block(placed(w, checkpoint)).receipts[0]?.outcome.ok, true);
});
