/** Value in members that talk to each other: see `ledger-table.test.ts` for the rules one by one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes } from '../bytes/hex.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import { checkpointHash, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { VALUE_MIN, withdrawalLeaf } from '../ledger/escrow.ts';
import { amount, millis } from '../ledger/ids.ts';
import type { Payload } from '../ledger/payload.ts';
import type { ValueOrder } from '../ledger/value-order.ts';
import {
  equalMembers,
  holder,
  keyNamed,
  orderOf,
  payloadOf,
  START,
  SUBNET,
  TestSubnet,
  toySign,
} from '../testing/dag.ts';
import { verifyBalance } from './balance-proof.ts';
import { voteSigningBytes } from './messages.ts';

const MIN = VALUE_MIN;
const LATE = millis(START + 10_000_000);

const pay = (from: string, to: string, value: bigint, number: number): Payload =>
  orderOf(from, number, { kind: 'transfer', to: holder(to), amount: amount(value), expiresAt: LATE });
const leave = (from: string, value: bigint, number: number): Payload =>
  orderOf(from, number, { kind: 'withdraw', to: holder(from), amount: amount(value), expiresAt: LATE });

/** Four members; the named holders have been credited. */
function funded(balances: Readonly<Record<string, bigint>>): TestSubnet {
  const subnet = new TestSubnet(equalMembers(4));
  subnet.run(200);
  for (const [name, value] of Object.entries(balances)) subnet.deposit(holder(name), value);
  subnet.run(6_000);
  for (const [name, value] of Object.entries(balances))
    for (const node of subnet.nodes) assert.equal(node.member.ledger.balanceOf(holder(name)), value);
  return subnet;
}

const balance = (subnet: TestSubnet, name: string, at = 0): bigint =>
  subnet.node(at).member.ledger.balanceOf(holder(name));

const ascending = (sums: readonly bigint[]): bigint[] => sums.toSorted((a, b) => (a < b ? -1 : 1));

const reasons = (subnet: TestSubnet, at: number, payload: Payload): string[] =>
  subnet
    .node(at)
    .deliveries.flatMap(({ ignored }) => ignored)
    .filter((one) => compareBytes(one.payload.id, payload.id) === 0)
    .map(({ reason }) => reason);

/** All members at the same checkpoint, and the escrow accounted for by what they delivered. */
function assertSound(subnet: TestSubnet): void {
  const deposited = subnet.deposits.reduce((sum, { amount: value }) => sum + value, 0n);
  for (const { member, deliveries, index } of subnet.nodes) {
    assert.deepEqual(member.status().checkpointHash, subnet.node(0).member.status().checkpointHash);
    const { totals, balances, lanes } = member.ledger;
    let inside = 0n;
    for (const held of balances.values()) inside += held.balance;
    for (const lane of lanes.values()) inside += lane.left;
    assert.equal(totals.inside, inside);
    const known = subnet.deposits.slice(0, totals.deposits);
    const credited = known.reduce((sum, { amount: value }) => sum + value, 0n);
    const withdrawn = subnet.chain.reduce(
      (sum, { certificate }) => sum + (certificate.checkpoint.value?.withdrawn ?? 0n),
      0n,
    );
    assert.equal(credited, inside + withdrawn, `member ${index}`);
    assert.ok(credited <= deposited);
    for (const { committed, withdrawals } of deliveries) {
      const { value } = committed.certificate.checkpoint;
      if (value === undefined) continue;
      const leaves = withdrawals.map((withdrawal) => withdrawalLeaf(SUBNET, withdrawal));
      assert.deepEqual(merkleRoot(leaves), value.withdrawalRoot);
    }
  }
}

test('DAG-12.2: a deposit into a quiet subnet is credited at every member, without any payload', () => {
  const subnet = funded({ ann: 5n * MIN });
  const last = subnet.chain.at(-1)?.certificate.checkpoint;
  assert.deepEqual([last?.value?.deposits, last?.payloadCount], [1, 0]);
  const made = subnet.chain.length;
  subnet.run(10_000);
  assert.equal(subnet.chain.length, made, 'and then it is quiet again');
  assertSound(subnet);
});

test('DAG-12.2: attack replayed deposit: told again, or out of order, a deposit is credited once', () => {
  const subnet = funded({ ann: 5n * MIN });
  const [first] = subnet.deposits;
  assert.ok(first);
  const again = subnet.step(1, { kind: 'deposits', deposits: [first, first] });
  assert.deepEqual(again.persist, []);
  const beyond = subnet.step(1, { kind: 'deposits', deposits: [{ ...first, number: 3 }] });
  assert.deepEqual(beyond.persist, []);
  assert.deepEqual(
    beyond.want.filter(({ kind }) => kind === 'deposits'),
    [{ kind: 'deposits', from: 2 }],
  );
  subnet.run(4_000);
  assert.equal(balance(subnet, 'ann', 1), 5n * MIN);
  assertSound(subnet);
});

test('DAG-12.2: a member asks its main chain for deposits that others have credited already', () => {
  const subnet = new TestSubnet(equalMembers(4));
  subnet.run(200);
  // Nobody tells member 2 unless it asks.
  subnet.node(2).depositsTold = Number.POSITIVE_INFINITY;
  subnet.deposit(holder('ann'), 4n * MIN);
  subnet.run(6_000);
  assert.equal(balance(subnet, 'ann', 2), 4n * MIN);
  assert.ok(subnet.node(2).effects.some(({ want }) => want.some(({ kind }) => kind === 'deposits')));
  assertSound(subnet);
});

test('DAG-12.3: transfers and withdrawals become final like readings; a withdrawal is proved by its checkpoint', () => {
  const subnet = funded({ ann: 9n * MIN });
  subnet.issue(0, [pay('ann', 'bob', 4n * MIN, 1), payloadOf('lamp', 1)]);
  subnet.settle();
  subnet.issue(1, [leave('bob', 2n * MIN, 1)]);
  subnet.run(6_000);
  assert.deepEqual([balance(subnet, 'ann'), balance(subnet, 'bob')], [5n * MIN, 2n * MIN]);
  const out = subnet.node(3).deliveries.flatMap(({ withdrawals }) => withdrawals);
  assert.deepEqual(out, [{ number: 1, to: holder('bob'), amount: 2n * MIN }]);
  assertSound(subnet);
});

test('DAG-12.9: attack double spend across two members: one of two orders with a number is applied, nobody’s envelope is lost', () => {
  const subnet = funded({ ann: 5n * MIN });
  const [toBob, toCid] = [pay('ann', 'bob', 5n * MIN, 1), pay('ann', 'cid', 5n * MIN, 1)];
  const honest = payloadOf('lamp', 1);
  subnet.issue(0, [toBob]);
  subnet.issue(1, [toCid, honest]);
  subnet.run(6_000);
  const paid = [balance(subnet, 'bob'), balance(subnet, 'cid')];
  assert.deepEqual(ascending(paid), [0n, 5n * MIN]);
  const loser = paid[0] === 0n ? toBob : toCid;
  for (const { index } of subnet.nodes) {
    assert.deepEqual(reasons(subnet, index, loser), ['duplicate']);
    assert.ok(subnet.applied(index).includes(String(honest.id)), 'what was beside it is applied');
  }
  assertSound(subnet);
});

test('DAG-12.9: attack double spend with two numbers: what the balance does not cover is ignored with that reason', () => {
  const subnet = funded({ ann: 5n * MIN });
  const orders = [pay('ann', 'bob', 4n * MIN, 1), pay('ann', 'cid', 4n * MIN, 2)];
  for (const [i, order] of orders.entries()) subnet.issue(i, [order]);
  subnet.run(6_000);
  const paid = [balance(subnet, 'bob'), balance(subnet, 'cid')];
  assert.deepEqual(ascending(paid), [0n, 4n * MIN]);
  const loser = orders[paid[0] === 0n ? 0 : 1] as Payload;
  assert.deepEqual(reasons(subnet, 2, loser), ['uncovered']);
  assertSound(subnet);
});

test('DAG-12.9: an order sent through several members is applied once', () => {
  const subnet = funded({ ann: 9n * MIN });
  const order = pay('ann', 'bob', 2n * MIN, 1);
  for (const { index } of subnet.nodes) subnet.issue(index, [order]);
  subnet.run(6_000);
  subnet.issue(2, [order, payloadOf('lamp', 1)]);
  subnet.run(6_000);
  assert.equal(balance(subnet, 'bob'), 2n * MIN);
  assertSound(subnet);
});

test('DAG-12.7: attack double cash across two members: a voucher’s number is paid once', () => {
  const subnet = funded({ ann: 9n * MIN });
  const until = LATE;
  const aside: ValueOrder = { kind: 'set-aside', lane: 3, amount: amount(6n * MIN), until, payee: undefined };
  subnet.issue(0, [orderOf('ann', 1, aside)]);
  subnet.run(4_000);
  const note = (to: string): Payload =>
    orderOf('ann', 77, {
      kind: 'voucher',
      lane: 3,
      to: holder(to),
      amount: amount(3n * MIN),
      expiresAt: LATE,
    });
  subnet.issue(1, [note('bob')]);
  subnet.issue(2, [note('cid')]);
  subnet.issue(3, [note('bob')]);
  subnet.run(6_000);
  assert.deepEqual(ascending([balance(subnet, 'bob'), balance(subnet, 'cid')]), [0n, 3n * MIN]);
  assert.equal(subnet.node(1).member.ledger.voucherLane(holder('ann'), 3)?.left, 3n * MIN);
  assertSound(subnet);
});

test('DAG-12.7: whether a voucher is still to be issued is a matter of its lane, whatever numbers its signer has used elsewhere', () => {
  const subnet = funded({ ann: 50n * MIN });
  for (const number of [1, 2]) subnet.issue(0, [pay('ann', 'bob', MIN, number)]);
  const order: ValueOrder = {
    kind: 'set-aside',
    lane: 2,
    amount: amount(9n * MIN),
    until: LATE,
    payee: undefined,
  };
  subnet.issue(1, [orderOf('ann', 3, order)]);
  subnet.settle();
  subnet.run(4_000);
  const to = holder('cid');
  const voucher = orderOf('ann', 1, { kind: 'voucher', lane: 2, to, amount: amount(MIN), expiresAt: LATE });
  const { member } = subnet.node(0);
  assert.equal(member.payloadOutcome(pay('ann', 'bob', MIN, 1)), 'duplicate');
  assert.equal(member.payloadOutcome(voucher), 'new');
  subnet.issue(2, [voucher]);
  subnet.settle();
  subnet.run(4_000);
  assert.equal(balance(subnet, 'cid'), MIN);
  assert.equal(member.payloadOutcome(voucher), 'duplicate');
});

test('DAG-12.11: attack inflating checkpoint: members do not sign what their own ledger does not give', () => {
  const subnet = funded({ ann: 5n * MIN });
  // The order is accepted everywhere, and no proposal for it has been made yet.
  subnet.passes = () => false;
  subnet.issue(0, [leave('ann', 2n * MIN, 1)]);
  subnet.passes = () => true;
  const before = subnet.chain.length;
  let honest: SubnetCheckpoint | undefined;
  let refusals = 0;
  let votes = 0;
  for (let i = 0; i < 100 && subnet.chain.length === before; i += 1) {
    const seen = subnet.nodes.map(({ effects }) => effects.length);
    subnet.run(50);
    for (const { index, effects } of subnet.nodes) {
      for (const { message } of effects.slice(seen[index]).flatMap(({ send }) => send)) {
        if (message.kind !== 'proposal' || message.checkpoint.value === undefined) continue;
        honest ??= message.checkpoint;
        const proposer = index;
        const { value } = message.checkpoint;
        const { round } = message;
        // What the proposer really worked out gets a vote of whoever has the anchors: the refusals below are about value.
        for (const other of subnet.nodes) {
          if (other.index === proposer) continue;
          const copy = subnet.create(other.index, other.log);
          if (subnet.propose(copy, proposer, message)) votes += 1;
        }
        const key = (subnet.members[proposer] as { key: ReturnType<typeof keyNamed> }).key;
        for (const changes of [
          { withdrawn: amount(value.withdrawn + MIN) },
          { deposits: value.deposits + 1 },
          { withdrawalRoot: merkleRoot([SUBNET]) },
          { withdrawalCount: value.withdrawalCount + 1 },
        ]) {
          const checkpoint = { ...message.checkpoint, value: { ...value, ...changes } };
          const signature = toySign(key, voteSigningBytes(subnet.chainId, checkpointHash(checkpoint)));
          for (const other of subnet.nodes) {
            if (other.index === proposer) continue;
            // A fresh copy of the member, so that this proposal is the first it sees of the round.
            const copy = subnet.create(other.index, other.log);
            const voted = subnet.propose(copy, proposer, { kind: 'proposal', round, checkpoint, signature });
            assert.equal(voted, false, Object.keys(changes).join());
            refusals += 1;
          }
        }
      }
    }
  }
  assert.ok(honest !== undefined && refusals >= 12 && votes > 0, `${refusals} refusals, ${votes} votes`);
  subnet.run(4_000);
  assertSound(subnet);
});

test('DAG-12.10: every member proves the same balances, and absence, against the committed checkpoint', () => {
  const subnet = funded({ ann: 5n * MIN, bob: 7n * MIN });
  const root = subnet.chain.at(-1)?.certificate.checkpoint.stateRoot;
  assert.ok(root);
  for (const { member } of subnet.nodes) {
    for (const name of ['ann', 'bob', 'nobody']) {
      const proved = member.proveBalance(holder(name));
      assert.ok(proved && verifyBalance(root, { address: holder(name), ...proved }));
    }
    const proved = member.proveBalance(holder('ann'));
    assert.ok(proved && !verifyBalance(root, { address: holder('bob'), ...proved }));
  }
});

test('DAG-12.12: from its log or from a snapshot a member comes back with the same ledger and the deposits that wait', () => {
  const subnet = funded({ ann: 9n * MIN });
  subnet.issue(0, [pay('ann', 'bob', 4n * MIN, 1)]);
  subnet.run(4_000);
  // One more is known and not credited yet.
  subnet.chainCut = true;
  subnet.deposit(holder('cid'), 3n * MIN);
  for (const node of subnet.nodes) subnet.tellDeposits(node);
  const { member, log } = subnet.node(2);
  for (const records of [log, member.snapshot()]) {
    const again = subnet.create(2, records);
    assert.equal(again.depositsKnown, 2);
    assert.deepEqual(again.ledger.totals, member.ledger.totals);
    assert.equal(again.ledger.balanceOf(holder('bob')), 4n * MIN);
    assert.deepEqual(again.status().checkpointHash, member.status().checkpointHash);
  }
  subnet.restart(2, member.snapshot());
  subnet.chainCut = false;
  subnet.run(6_000);
  assert.equal(balance(subnet, 'cid', 2), 3n * MIN);
  assertSound(subnet);
});

test('DAG-12.9: however messages are lost and mixed, all members come to the same roots, and the escrow adds up', () => {
  const NAMES = ['ann', 'bob', 'cid'] as const;
  const step = fc.record({
    kind: fc.constantFrom('pay', 'pay', 'pay', 'leave', 'deposit', 'aside', 'note'),
    from: fc.constantFrom(...NAMES),
    to: fc.constantFrom(...NAMES, 'dan'),
    value: fc.bigInt(1n, 6n),
    number: fc.integer({ min: 1, max: 9 }),
    members: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 3 }),
    loss: fc.nat(2),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 8, maxLength: 20 }), fc.nat(), (steps, seed) => {
      const subnet = funded({ ann: 9n * MIN, bob: 5n * MIN });
      let dice = seed | 1;
      let loss = 0;
      subnet.passes = () => {
        dice = Math.imul(dice, 48_271) >>> 1;
        return dice % 10 >= 2 * loss;
      };
      for (const { kind, from, to, value, number, members, ...o } of steps) {
        ({ loss } = o);
        const sum = amount(value * MIN);
        const order = ((): Payload | undefined => {
          switch (kind) {
            case 'pay':
              return pay(from, to, sum, number);
            case 'leave':
              return leave(from, sum, number);
            case 'aside':
              return orderOf(from, number, {
                kind: 'set-aside',
                lane: 0,
                amount: sum,
                until: LATE,
                payee: undefined,
              });
            case 'note':
              return orderOf(from, number, {
                kind: 'voucher',
                lane: 0,
                to: holder(to),
                amount: sum,
                expiresAt: LATE,
              });
            case 'deposit':
              subnet.deposit(holder(to), sum);
              return undefined;
          }
        })();
        if (order !== undefined) for (const index of members) subnet.issue(index, [order]);
        subnet.run(250);
      }
      loss = 0;
      subnet.run(15_000);
      assert.equal(subnet.node(0).member.ledger.totals.deposits, subnet.deposits.length);
      assertSound(subnet);
      for (const { index } of subnet.nodes) assert.deepEqual(subnet.applied(index), subnet.applied(0));
    }),
    { numRuns: 12 },
  );
});
