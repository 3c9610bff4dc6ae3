import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import {
  memberPossessionBytes,
  type MembershipTerms,
  type MemberStake,
} from '../ledger/bodies/membership.ts';
import { subnetId } from '../ledger/bodies/subnet.ts';
import type { Body, BodyOf } from '../ledger/body.ts';
import { checkpointSigningBytes, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { amount, SUPPLY } from '../ledger/ids.ts';
import { membersAt } from '../ledger/member-turns.ts';
import { bitmapOf, quorumOf, type ValidatorSet } from '../ledger/validators.ts';
import { fakeSign, person, World, type Person } from '../testing/state-world.ts';
import { turnoverMax, weightIn } from './election.ts';
import { STATE_LIMITS } from './limits.ts';
import { precheck } from './admission.ts';

const ITC = 1_000_000_000n;
const alice = person('alice');
const bob = person('bob');
const names = ['alice', 'bob'];

/** Processes, by what they are called; ascending by key, as a founder lists them. */
const processes = (...labels: string[]): Person[] =>
  labels.map(person).sort((a, b) => Buffer.compare(Buffer.from(a.key.bytes), Buffer.from(b.key.bytes)));
const four = processes('p0', 'p1', 'p2', 'p3');
const [first] = four as [Person];
const late = person('late');

const terms: MembershipTerms = {
  stakePerWeight: amount(ITC),
  stakeMin: amount(5n * ITC),
  delayBlocks: 20,
  isByInvitation: false,
};
const home = subnetId(alice.address, 'home');

const stakeOf = (w: World, owner: Person, member: Person, itc: bigint, subnet = home): MemberStake => ({
  key: member.key,
  amount: amount(itc * ITC),
  possession: fakeSign(member.key, memberPossessionBytes(w.chain, owner.address, subnet)),
});

function found(w: World, changes: Partial<BodyOf<'found-subnet'>> = {}): Body {
  const members = four.map((member) => stakeOf(w, alice, member, 10n));
  return { kind: 'found-subnet', name: 'home', powBits: 0, terms, members, ...changes };
}

const join = (w: World, owner: Person, member: Person, itc: bigint, subnet: Hash = home): Body => ({
  kind: 'join-subnet',
  subnet,
  ...stakeOf(w, owner, member, itc),
});

const leave = (member: Person, itc: bigint): Body => ({
  kind: 'leave-subnet',
  subnet: home,
  member: member.address,
  amount: amount(itc * ITC),
});

function founded(changes: Partial<MembershipTerms> = {}): World {
  const w = new World(names);
  assert.equal(w.send(alice, found(w, { terms: { ...terms, ...changes } })), 'ok');
  return w;
}

const everybody = [...four, late, ...processes('q0', 'q1', 'q2')];
const named = (key: Person['key']): Person =>
  everybody.find((one) => Buffer.compare(Buffer.from(one.key.bytes), Buffer.from(key.bytes)) === 0) as Person;

/** By all of a set, or those of it that are told. */
function certified(
  w: World,
  checkpoint: SubnetCheckpoint,
  set: ValidatorSet,
  signers = set.map((_, i) => i),
): Body {
  const message = checkpointSigningBytes(w.chain, checkpoint);
  return {
    kind: 'checkpoint',
    certificate: {
      checkpoint,
      signers: bitmapOf(signers, set.length),
      signatures: signers.map((i) => fakeSign((set[i] as ValidatorSet[number]).key, message)),
    },
  };
}

const setOf = (w: World): ValidatorSet => w.state.subnet(home)?.members ?? [];

/** The next checkpoint, by those the main chain says decide it. */
function checkpoint(w: World): string {
  const set = setOf(w);
  const body = certified(w, w.nextCheckpoint(home), set);
  return w.send(named((set[0] as ValidatorSet[number]).key), body, { nonce: 0, fee: 0n });
}

function upTo(w: World, sequence: number): void {
  while ((w.state.subnet(home)?.lastSequence ?? 0) < sequence) assert.equal(checkpoint(w), 'ok');
}

const T = LIMITS.memberTurnCheckpoints;
const weightOf = (w: World, who: Person): number => weightIn(setOf(w), who.key);

test('STATE-24.1: a founder stakes for the first members; their weights come from the stakes', () => {
  const w = founded();
  assert.deepEqual(
    setOf(w).map(({ weight }) => weight),
    [10, 10, 10, 10],
  );
  assert.equal(w.state.supply(), SUPPLY);
  assert.equal([...w.state.stakes(home)].length, 4);
  assert.ok(w.balance(alice) < 960n * ITC);
  assert.deepEqual(w.state.membership(home), { terms, powBits: 0, turns: [1] });
  assert.equal(w.send(alice, found(w)), 'subnet.exists');
});

test('STATE-24.2: terms without sense, too small a stake and a set nobody may decide with are refused', () => {
  const w = new World(names);
  const { root } = w.state;
  const refusedWith = (code: string, changes: Partial<BodyOf<'found-subnet'>>): void => {
    const tx = w.transaction(alice, found(w, changes));
    const judged = precheck(w.state, w.context, tx);
    assert.equal(judged.ok ? 'ok' : judged.code, code);
  };
  refusedWith('membership.terms', { terms: { ...terms, stakePerWeight: amount(0n) } });
  refusedWith('membership.terms', { terms: { ...terms, stakeMin: amount(ITC - 1n) } });
  refusedWith('membership.terms', { terms: { ...terms, delayBlocks: 0 } });
  refusedWith('subnet.malformed', { name: '' });
  refusedWith('membership.stake', { members: [stakeOf(w, alice, first, 4n)] });
  const uneven = four.map((member, i) => stakeOf(w, alice, member, i === 0 ? 90n : 10n));
  refusedWith('subnet.malformed', { members: uneven });
  refusedWith('subnet.malformed', { members: [stakeOf(w, alice, first, 5n), stakeOf(w, alice, first, 5n)] });
  assert.deepEqual(w.state.root, root);
});

test('STATE-24.3: nobody stakes for a key that did not sign for this account and subnet', () => {
  const w = founded();
  const stolen: Body = { ...(join(w, alice, late, 10n) as BodyOf<'join-subnet'>) };
  assert.equal(w.send(bob, stolen), 'membership.possession');
  const elsewhere = subnetId(alice.address, 'other');
  const body = {
    ...(join(w, bob, late, 10n) as BodyOf<'join-subnet'>),
    ...stakeOf(w, bob, late, 10n, elsewhere),
  };
  assert.equal(w.send(bob, body), 'membership.possession');
  assert.equal(w.send(bob, join(w, bob, late, 10n)), 'ok');
});

test('STATE-24.4: who stakes enough joins an open subnet: elected with a checkpoint, deciding from the turn on', () => {
  const w = founded();
  assert.equal(w.send(bob, join(w, bob, late, 4n)), 'membership.stake');
  assert.equal(w.send(bob, join(w, bob, late, 10n)), 'ok');
  upTo(w, T - LIMITS.memberLeadCheckpoints - 1);
  assert.equal(w.state.subnet(home)?.next, undefined);
  assert.equal(checkpoint(w), 'ok');
  assert.equal(weightIn(w.state.subnet(home)?.next ?? [], late.key), 10);
  upTo(w, T - 1);
  assert.equal(weightOf(w, late), 0);
  assert.equal(checkpoint(w), 'ok');
  assert.equal(weightOf(w, late), 10);
  assert.deepEqual(w.state.memberTurn(home, T + 1), setOf(w));
  assert.equal(w.state.memberTurn(home, 1)?.length, 4);
  upTo(w, T + 2);
});

test('STATE-24.5: a checkpoint counts by the set of its own sequence, before the turn and behind it', () => {
  const w = founded();
  assert.equal(w.send(bob, join(w, bob, late, 10n)), 'ok');
  upTo(w, T - 1);
  const old = setOf(w);
  const next = w.state.subnet(home)?.next ?? [];
  const last = w.nextCheckpoint(home);
  assert.equal(w.send(first, certified(w, last, next), { fee: 0n }), 'checkpoint.quorum');
  assert.equal(w.send(first, certified(w, last, old), { fee: 0n }), 'ok');
  const fresh = w.nextCheckpoint(home);
  assert.equal(w.send(first, certified(w, fresh, old), { fee: 0n }), 'checkpoint.signature');
  assert.equal(w.send(late, certified(w, fresh, next), { fee: 0n }), 'ok');
});

test('STATE-24.5: a pool and a state some blocks old know the set of each checkpoint on its way', () => {
  const w = founded();
  assert.equal(w.send(bob, join(w, bob, late, 10n)), 'ok');
  upTo(w, T - 4);
  const { state } = w;
  const subnet = state.subnet(home);
  assert.ok(subnet !== undefined);
  const seen = [T - 3, T, T + 1].map((sequence) => membersAt(subnet, sequence).length);
  assert.deepEqual(seen, [4, 4, 5]);
  upTo(w, T + 1);
  for (const sequence of [T - 3, T]) assert.deepEqual(membersAt(subnet, sequence).length, 4);
  assert.deepEqual(membersAt(subnet, T + 1), setOf(w));
});

test('STATE-24.6: stake asked back weighs until the turn, stays punishable for the delay, then returns by itself', () => {
  const w = founded();
  assert.equal(w.send(bob, join(w, bob, late, 10n)), 'ok');
  upTo(w, T);
  const staked = w.balance(bob);
  assert.equal(w.send(alice, leave(late, 10n)), 'membership.unknown');
  assert.equal(w.send(bob, leave(late, 6n)), 'membership.stake');
  assert.equal(w.send(bob, leave(late, 11n)), 'membership.stake');
  assert.equal(w.send(bob, leave(late, 10n)), 'ok');
  assert.equal(w.state.supply(), SUPPLY);
  upTo(w, 2 * T - 1);
  assert.equal(weightOf(w, late), 10);
  assert.ok(w.balance(bob) < staked);
  assert.equal(checkpoint(w), 'ok');
  assert.equal(weightOf(w, late), 0);
  upTo(w, 3 * T);
  assert.ok(w.balance(bob) > staked + 9n * ITC);
  assert.equal([...w.state.stakes(home)].length, 4);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-24.7: where no checkpoint comes any more, anyone fetches stake for its owner, but not early', () => {
  const w = founded();
  const collect: Body = { kind: 'collect-stake', subnet: home, member: first.address };
  assert.equal(w.send(alice, leave(first, 5n)), 'ok');
  assert.equal(w.send(bob, collect), 'membership.early');
  w.height += 2 * terms.delayBlocks;
  const before = w.balance(alice);
  assert.equal(w.send(bob, collect), 'ok');
  assert.equal(w.balance(alice), before + 5n * ITC);
  assert.equal(w.send(bob, collect), 'membership.early');
  assert.equal(w.send(bob, { ...collect, member: late.address }), 'membership.unknown');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-24.8: by invitation a candidate counts when members with two thirds of the stake have voted for it', () => {
  const w = founded({ isByInvitation: true });
  assert.equal(w.send(bob, join(w, bob, late, 10n)), 'ok');
  const vote = (voter: Person): Body => ({
    kind: 'admit-member',
    subnet: home,
    voter: voter.address,
    candidate: late.address,
  });
  assert.equal(w.send(bob, vote(first)), 'membership.unknown');
  assert.equal(w.send(bob, vote(late)), 'membership.voter');
  upTo(w, T);
  assert.equal(weightOf(w, late), 0);
  for (const voter of four.slice(0, 2)) assert.equal(w.send(alice, vote(voter)), 'ok');
  assert.equal(w.send(alice, vote(first)), 'ok');
  upTo(w, 2 * T);
  assert.equal(weightOf(w, late), 0);
  assert.equal(w.send(alice, vote(four[2] as Person)), 'ok');
  assert.equal(w.send(alice, vote(four[3] as Person)), 'membership.admitted');
  upTo(w, 3 * T);
  assert.equal(weightOf(w, late), 10);
});

test('STATE-24.9: subnets with listed members keep them, and take no stake', () => {
  const w = new World(names);
  const members = four.map(({ key }) => ({ key, weight: 1 }));
  assert.equal(w.send(alice, { kind: 'create-subnet', name: 'home', members, powBits: 0 }), 'ok');
  assert.equal(w.send(bob, join(w, bob, late, 10n)), 'membership.fixed');
  upTo(w, T + 1);
  assert.deepEqual(setOf(w), members);
});

test('STATE-24.10: keys with stake in one subnet are bounded in number; one key has one owner', () => {
  const w = new World(names);
  const members = four.map((member) => stakeOf(w, alice, member, 5n));
  assert.equal(w.send(alice, found(w, { members })), 'ok');
  assert.equal(w.send(bob, join(w, bob, first, 5n)), 'membership.key');
  for (let i = 4; i < STATE_LIMITS.subnetStakesMax; i += 1)
    assert.equal(w.send(bob, join(w, bob, person(`many ${i}`), 5n)), 'ok');
  assert.equal(w.send(bob, join(w, bob, late, 5n)), 'membership.full');
});

test('STATE-24.11: whatever is staked and asked back: turnover below a third, sound sets, nothing lost or made', () => {
  const who = fc.constantFrom(...everybody);
  const action = fc.oneof(
    fc.record({ kind: fc.constant('join' as const), who, itc: fc.bigInt(1n, 30n) }),
    fc.record({ kind: fc.constant('leave' as const), who, itc: fc.bigInt(1n, 30n) }),
    fc.record({ kind: fc.constant('checkpoints' as const), count: fc.integer({ min: 1, max: 24 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { minLength: 5, maxLength: 30 }), (actions) => {
      const w = founded();
      for (const step of actions) {
        if (step.kind === 'checkpoints') {
          for (let i = 0; i < step.count; i += 1) {
            const before = w.state.subnet(home);
            assert.ok(before !== undefined);
            assert.equal(checkpoint(w), 'ok');
            const after = w.state.subnet(home);
            assert.ok(after !== undefined);
            assert.deepEqual(after.members, membersAt(before, after.lastSequence + 1));
            const { total } = quorumOf(before.members.map(({ weight }) => weight));
            const keys = new Set([...before.members, ...after.members].map(({ key }) => key));
            const moved = [...keys]
              .map(({ bytes }) => bytes)
              .map((bytes) => ({ algorithm: 1 as const, bytes }));
            const distinct = new Map(moved.map((key) => [Buffer.from(key.bytes).toString('hex'), key]));
            let turnover = 0;
            for (const key of distinct.values())
              turnover += Math.abs(weightIn(before.members, key) - weightIn(after.members, key));
            assert.ok(turnover <= turnoverMax(total));
            assert.ok(after.members.length > 0 && after.members.length <= LIMITS.subnetMembersMax);
          }
        } else if (step.kind === 'join') w.send(alice, join(w, alice, step.who, step.itc));
        else w.send(alice, leave(step.who, step.itc));
        assert.equal(w.state.supply(), SUPPLY);
      }
    }),
    { numRuns: 25 },
  );
});
