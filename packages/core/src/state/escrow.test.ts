import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EMPTY_MERKLE_ROOT, MerkleTree } from '../crypto/merkle.ts';
import { hashTagged, type Hash } from '../crypto/hash.ts';
import { decodeCheckpoint, encodeCheckpoint, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { VALUE_MIN, withdrawalLeaf, type Withdrawal } from '../ledger/escrow.ts';
import { amount, SUPPLY } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { subnetId } from '../ledger/bodies/subnet.ts';
import type { Body } from '../ledger/body.ts';
import {
  memberSet,
  noWithdrawals,
  person,
  sortedMembers,
  subnetOfGenesis,
  World,
  type Person,
} from '../testing/state-world.ts';
import { NO_ESCROW } from './escrow-record.ts';
import { noChanges } from './ledger-state.ts';
import { idText } from './record-map.ts';

const alice = person('alice');
const bob = person('bob');
const [gateway] = sortedMembers as [Person];
const ITC = 1_000_000_000n;

const world = (): World => new World(['alice', 'bob']);

const deposit = (value: bigint, subnet: Hash = subnetOfGenesis, to: Person = bob): Body => ({
  kind: 'deposit',
  subnet,
  to: to.address,
  amount: amount(value),
});

/** What left with a checkpoint, as its members would list it, and the transactions that fetch it. */
function leaving(
  w: World,
  sums: readonly (readonly [to: Person, value: bigint])[],
  subnet = subnetOfGenesis,
) {
  const first = (w.state.escrow(subnet)?.withdrawals ?? 0) + 1;
  const withdrawals: Withdrawal[] = sums.map(([to, value], i) => ({
    number: first + i,
    to: to.address,
    amount: amount(value),
  }));
  const tree = new MerkleTree(withdrawals.map((withdrawal) => withdrawalLeaf(subnet, withdrawal)));
  const checkpoint = w.nextCheckpoint(subnet, {
    value: {
      deposits: Math.max(1, w.state.escrow(subnet)?.credited ?? 0),
      withdrawalRoot: tree.root,
      withdrawalCount: sums.length,
      withdrawn: amount(sums.reduce((sum, [, value]) => sum + value, 0n)),
    },
  });
  const fetch = (index: number, changes: Partial<Extract<Body, { kind: 'withdraw' }>> = {}): Body => ({
    kind: 'withdraw',
    subnet,
    checkpoint: checkpoint.sequence,
    withdrawal: withdrawals[index] as Withdrawal,
    path: tree.path(index),
    ...changes,
  });
  return { checkpoint, withdrawals, fetch };
}

const commit = (w: World, checkpoint: SubnetCheckpoint): string =>
  w.send(gateway, { kind: 'checkpoint', certificate: w.certify(checkpoint) });

/** Alice has put 10 ITC into the subnet and they are credited there. */
function funded(): World {
  const w = world();
  assert.equal(w.send(alice, deposit(10n * ITC)), 'ok');
  assert.equal(commit(w, w.nextCheckpoint(subnetOfGenesis, { value: noWithdrawals(1) })), 'ok');
  return w;
}

test('STATE-14.1: a deposit moves ITC from the sender into the escrow, numbered, and the supply stays', () => {
  const w = world();
  const before = w.balance(alice);
  const tx = w.transaction(alice, deposit(3n * ITC));
  const { events } = w.block(tx);
  assert.equal(w.balance(alice), before - tx.tx.fee - 3n * ITC);
  assert.deepEqual(w.state.escrow(subnetOfGenesis), { ...NO_ESCROW, held: 3n * ITC, deposits: 1 });
  const made = w.state.deposit(subnetOfGenesis, 1);
  assert.deepEqual([made?.number, made?.to, made?.amount], [1, bob.address, 3n * ITC]);
  assert.equal(events[0]?.kind, 'deposited');
  assert.equal(w.send(bob, deposit(2n * ITC)), 'ok');
  assert.equal(w.state.deposit(subnetOfGenesis, 2)?.amount, 2n * ITC);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-14.1: a deposit into no subnet, of dust, or beyond the balance moves nothing', () => {
  const w = world();
  assert.equal(w.send(alice, deposit(ITC, w.chain)), 'subnet.unknown');
  assert.equal(w.send(alice, deposit(VALUE_MIN - 1n)), 'deposit.amount');
  assert.equal(w.send(alice, deposit(w.balance(alice))), 'transaction.balance');
  assert.equal(w.state.escrow(subnetOfGenesis), undefined);
  assert.equal(w.send(alice, deposit(VALUE_MIN)), 'ok');
});

test('STATE-14.2: the newest deposits are remembered; beyond that, none is taken before earlier ones are credited', () => {
  const w = world();
  const changes = noChanges();
  const full = { ...NO_ESCROW, deposits: LIMITS.depositsKeptMax };
  changes.escrow.set(idText(subnetOfGenesis), full);
  w.state = w.state.advance(changes).state;
  assert.equal(w.send(alice, deposit(ITC)), 'deposit.full');
  const credit = { value: noWithdrawals(LIMITS.depositsKeptMax) };
  assert.equal(commit(w, w.nextCheckpoint(subnetOfGenesis, credit)), 'ok');
  assert.equal(w.send(alice, deposit(ITC)), 'ok');
  assert.equal(w.send(alice, deposit(ITC)), 'ok');
  assert.ok(w.state.deposit(subnetOfGenesis, LIMITS.depositsKeptMax + 2));

  const fresh = world();
  assert.equal(fresh.send(alice, deposit(ITC)), 'ok');
  const later = noChanges();
  const escrow = fresh.state.escrow(subnetOfGenesis);
  assert.ok(escrow);
  const moved = { ...escrow, deposits: LIMITS.depositsKeptMax, credited: LIMITS.depositsKeptMax };
  later.escrow.set(idText(subnetOfGenesis), moved);
  fresh.state = fresh.state.advance(later).state;
  assert.ok(fresh.state.deposit(subnetOfGenesis, 1));
  assert.equal(fresh.send(alice, deposit(ITC)), 'ok');
  assert.equal(fresh.state.deposit(subnetOfGenesis, 1), undefined, 'the oldest makes room');
});

test('STATE-14.3: attack replayed deposit: a checkpoint credits deposits that were made, in order, each once', () => {
  const w = world();
  const credit = (deposits: number): string =>
    commit(w, w.nextCheckpoint(subnetOfGenesis, { value: noWithdrawals(deposits) }));
  assert.equal(credit(1), 'checkpoint.value', 'before any deposit');
  for (let i = 0; i < 3; i += 1) assert.equal(w.send(alice, deposit(ITC)), 'ok');
  assert.equal(credit(4), 'checkpoint.value', 'one that was never made');
  assert.equal(credit(2), 'ok');
  assert.equal(credit(1), 'checkpoint.value', 'a credited one again');
  // Without a word about value no deposit is credited: that would take them back too.
  const { value: _, ...silent } = w.nextCheckpoint(subnetOfGenesis);
  assert.equal(commit(w, silent), 'checkpoint.value');
  assert.equal(credit(3), 'ok');
  assert.equal(w.state.escrow(subnetOfGenesis)?.credited, 3);
});

test('STATE-14.4: attack inflating checkpoint: no more is let out than the escrow holds', () => {
  const w = funded();
  const { root } = w.state;
  const inflated = leaving(w, [
    [bob, 6n * ITC],
    [bob, 4n * ITC + 1n],
  ]);
  assert.equal(commit(w, inflated.checkpoint), 'checkpoint.value');
  assert.deepEqual(w.state.root, root);
  assert.equal(commit(w, leaving(w, [[bob, 6n * ITC]]).checkpoint), 'ok');
  // What is claimable already cannot be let out again, though it is still held.
  assert.equal(w.state.escrow(subnetOfGenesis)?.held, 10n * ITC);
  assert.equal(commit(w, leaving(w, [[bob, 4n * ITC + 1n]]).checkpoint), 'checkpoint.value');
  assert.equal(commit(w, leaving(w, [[bob, 4n * ITC]]).checkpoint), 'ok');
});

test('STATE-14.4: one subnet cannot draw on the escrow of another', () => {
  const w = funded();
  const house = { kind: 'create-subnet' as const, name: 'house', members: memberSet, powBits: 1 };
  assert.equal(w.send(alice, house), 'ok');
  const other = subnetId(alice.address, 'house');
  assert.equal(commit(w, leaving(w, [[bob, ITC]], other).checkpoint), 'checkpoint.value');
  assert.equal(w.send(alice, deposit(ITC, other)), 'ok');
  assert.equal(commit(w, leaving(w, [[bob, 2n * ITC]], other).checkpoint), 'checkpoint.value');
});

test('STATE-14.5: a withdrawal is paid from the escrow to the account in the leaf, whoever sends it', () => {
  const w = funded();
  const { checkpoint, fetch } = leaving(w, [
    [bob, 3n * ITC],
    [person('new'), 2n * ITC],
    [bob, ITC],
  ]);
  assert.equal(commit(w, checkpoint), 'ok');
  const before = w.balance(bob);
  assert.equal(w.send(alice, fetch(0)), 'ok');
  assert.equal(w.balance(bob), before + 3n * ITC);
  assert.equal(w.send(alice, fetch(1)), 'ok');
  assert.equal(w.balance(person('new')), 2n * ITC);
  const { held, claimable } = w.state.escrow(subnetOfGenesis) ?? NO_ESCROW;
  assert.deepEqual([held, claimable], [5n * ITC, ITC]);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-14.6: attack withdraw twice: a leaf is paid once, before and after the last of its checkpoint', () => {
  const w = funded();
  const { checkpoint, fetch } = leaving(w, [
    [bob, 3n * ITC],
    [bob, 2n * ITC],
  ]);
  assert.equal(commit(w, checkpoint), 'ok');
  assert.equal(w.send(alice, fetch(0)), 'ok');
  assert.equal(w.send(alice, fetch(0)), 'withdrawal.paid');
  const { receipts } = w.block(w.transaction(alice, fetch(1)), w.transaction(bob, fetch(1)));
  assert.deepEqual(
    receipts.map(({ outcome }) => (outcome.ok ? 'ok' : outcome.code)),
    ['ok', 'withdrawal.unknown'],
  );
  assert.equal(w.send(alice, fetch(0)), 'withdrawal.unknown');
  assert.equal(w.state.count('withdrawals'), 0, 'what is paid leaves no record');
  assert.equal(w.state.escrow(subnetOfGenesis)?.held, 5n * ITC);
});

test('STATE-14.5: attack forged path: another amount, receiver, number, subnet, checkpoint or path is not paid', () => {
  const w = funded();
  const { checkpoint, fetch, withdrawals } = leaving(w, [
    [bob, ITC],
    [alice, 2n * ITC],
    [bob, 3n * ITC],
  ]);
  assert.equal(commit(w, checkpoint), 'ok');
  const { root } = w.state;
  const leaf = withdrawals[0] as Withdrawal;
  const good = fetch(0);
  assert.ok(good.kind === 'withdraw');
  const forged: [Partial<Extract<Body, { kind: 'withdraw' }>>, string][] = [
    [{ withdrawal: { ...leaf, amount: amount(2n * ITC) } }, 'withdrawal.proof'],
    [{ withdrawal: { ...leaf, to: alice.address } }, 'withdrawal.proof'],
    [{ withdrawal: { ...leaf, number: 2 } }, 'withdrawal.proof'],
    [{ withdrawal: { ...leaf, number: 0 } }, 'withdrawal.proof'],
    [{ withdrawal: { ...leaf, number: Number.MAX_SAFE_INTEGER } }, 'withdrawal.proof'],
    [{ path: [] }, 'withdrawal.proof'],
    [{ path: good.path.toReversed() }, 'withdrawal.proof'],
    [{ path: [...good.path, w.chain] }, 'withdrawal.proof'],
    [{ checkpoint: checkpoint.sequence + 1 }, 'withdrawal.unknown'],
    [{ subnet: w.chain }, 'withdrawal.unknown'],
  ];
  const paid = w.balance(bob);
  for (const [changes, code] of forged) assert.equal(w.send(alice, fetch(0, changes)), code);
  assert.equal(w.balance(bob), paid);
  assert.notDeepEqual(w.state.root, root, 'fees were paid');
  assert.equal(w.send(alice, good), 'ok');
});

test('STATE-14.7: leaves that ask for more than the checkpoint declared are paid up to that', () => {
  const w = funded();
  const { checkpoint, fetch } = leaving(w, [
    [bob, 3n * ITC],
    [bob, 4n * ITC],
  ]);
  assert.ok(checkpoint.value);
  const lying = { ...checkpoint, value: { ...checkpoint.value, withdrawn: amount(5n * ITC) } };
  assert.equal(commit(w, lying), 'ok');
  assert.equal(w.send(alice, fetch(1)), 'ok');
  assert.equal(w.send(alice, fetch(0)), 'withdrawal.exhausted');
  assert.equal(w.state.escrow(subnetOfGenesis)?.held, 6n * ITC);
});

test('STATE-14.7: what a checkpoint declared beyond its leaves returns to the escrow with the last of them', () => {
  const w = funded();
  const { checkpoint, fetch } = leaving(w, [[bob, 3n * ITC]]);
  assert.ok(checkpoint.value);
  const lying = { ...checkpoint, value: { ...checkpoint.value, withdrawn: amount(9n * ITC) } };
  assert.equal(commit(w, lying), 'ok');
  assert.equal(w.send(alice, fetch(0)), 'ok');
  assert.deepEqual(
    [w.state.escrow(subnetOfGenesis)?.held, w.state.escrow(subnetOfGenesis)?.claimable],
    [7n * ITC, 0n],
  );
});

test('STATE-14.8: checkpoints whose root, count and sum of withdrawals disagree are not read', () => {
  const w = funded();
  const { checkpoint } = leaving(w, [[bob, ITC]]);
  const { value } = checkpoint;
  assert.ok(value);
  for (const changes of [
    { deposits: 0 },
    { withdrawalCount: 0 },
    { withdrawn: amount(0n) },
    { withdrawalRoot: EMPTY_MERKLE_ROOT },
    { withdrawalCount: LIMITS.withdrawalsMax + 1 },
    { withdrawalCount: 2, withdrawn: amount(2n * VALUE_MIN - 1n) },
  ]) {
    const bytes = encodeCheckpoint({ ...checkpoint, value: { ...value, ...changes } });
    assert.equal(decodeCheckpoint(bytes).ok, false, Object.keys(changes).join());
  }
  const read = decodeCheckpoint(encodeCheckpoint(checkpoint));
  assert.deepEqual(read.ok && read.value, checkpoint);
});

test('WIRE-8.3: a withdrawal leaf is of its subnet, number, receiver and amount', () => {
  const withdrawal: Withdrawal = { number: 7, to: bob.address, amount: amount(ITC) };
  const counters = new Uint8Array(16);
  new DataView(counters.buffer).setBigUint64(0, 7n);
  new DataView(counters.buffer).setBigUint64(8, ITC);
  const [number, value] = [counters.subarray(0, 8), counters.subarray(8)];
  const expected = hashTagged('withdrawal', subnetOfGenesis, number, bob.address, value);
  assert.deepEqual(withdrawalLeaf(subnetOfGenesis, withdrawal), expected);
});

/** A plain ledger of one subnet: what is inside, and what waits outside by checkpoint. */
test('STATE-14.9: whatever is deposited, let out and fetched, the escrow is what is inside and what waits', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('deposit' as const), value: fc.bigInt(1n, 20n) }),
    fc.record({
      kind: fc.constant('checkpoint' as const),
      credit: fc.nat(3),
      out: fc.array(fc.bigInt(1n, 12n), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('fetch' as const), which: fc.nat(20) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const w = world();
      let inside = 0n;
      const waits = new Map<Body, bigint>();
      const everFetched: Body[] = [];
      for (const one of steps) {
        const escrow = w.state.escrow(subnetOfGenesis) ?? NO_ESCROW;
        const { root } = w.state;
        if (one.kind === 'deposit') {
          assert.equal(w.send(alice, deposit(one.value * VALUE_MIN)), 'ok');
          inside += one.value * VALUE_MIN;
        } else if (one.kind === 'checkpoint') {
          const sums = one.out.map((value) => [bob, value * VALUE_MIN] as const);
          const out = sums.reduce((sum, [, value]) => sum + value, 0n);
          const made = leaving(w, sums);
          const { value } = made.checkpoint;
          assert.ok(value);
          const deposits = escrow.credited + one.credit;
          if (deposits === 0) continue;
          const code = commit(w, { ...made.checkpoint, value: { ...value, deposits } });
          const fits = deposits <= escrow.deposits && out <= inside;
          assert.equal(code, fits ? 'ok' : 'checkpoint.value');
          if (!fits) assert.deepEqual(w.state.root, root);
          else {
            inside -= out;
            for (const [i, [, sum]] of sums.entries()) waits.set(made.fetch(i), sum);
          }
        } else {
          const open = [...waits.keys()];
          const body = one.which % 3 === 0 ? everFetched.at(0) : open[one.which % Math.max(1, open.length)];
          if (body === undefined) continue;
          const code = w.send(alice, body);
          assert.equal(code === 'ok', waits.delete(body));
          if (code === 'ok') everFetched.push(body);
        }
        const after = w.state.escrow(subnetOfGenesis) ?? NO_ESCROW;
        const waiting = [...waits.values()].reduce((sum, value) => sum + value, 0n);
        assert.deepEqual([after.held, after.claimable], [inside + waiting, waiting]);
        assert.equal(w.state.supply(), SUPPLY);
      }
    }),
    { numRuns: 60 },
  );
});
