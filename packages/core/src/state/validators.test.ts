import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SUPPLY } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Body } from '../ledger/body.ts';
import { sortValidators } from '../ledger/validators.ts';
import { person, type Person, transfer, World } from '../testing/state-world.ts';
import { consensusOf, ITC, PER_WEIGHT, ValidatorWorld } from '../testing/validator-world.ts';
import { precheck } from './admission.ts';
import { validatorKey } from './keys.ts';
import { STATE_LIMITS } from './limits.ts';

const alice = person('alice');
const bob = person('bob');
const world = (): ValidatorWorld => new ValidatorWorld({ others: ['alice', 'bob'] });

function precheckCode(w: ValidatorWorld, sender: Person, body: Body, options = {}): string {
  const checked = precheck(w.state, w.context, w.transaction(sender, body, options));
  return checked.ok ? 'ok' : checked.code;
}

test('STATE-10.1: a bond moves the amount from the balance into the record of the account', () => {
  const w = world();
  const before = w.balance(alice);
  const { receipts, events } = w.block(w.transaction(alice, w.bondBody(alice, PER_WEIGHT)));
  assert.deepEqual(receipts[0]?.outcome, { ok: true });
  assert.deepEqual(w.record(alice), {
    key: consensusOf(alice).key,
    since: 1,
    bond: PER_WEIGHT,
    unbonding: [],
    weight: 0,
    votes: [],
    jailed: false,
    restartAt: 0,
  });
  assert.equal(w.balance(alice), before - PER_WEIGHT - (receipts[0]?.fee ?? 0n));
  assert.deepEqual(events[0]?.kind === 'validator-bonded' && events[0].bond, PER_WEIGHT);
  assert.equal(w.bond(alice, 1n), 'ok');
  assert.equal(w.record(alice)?.bond, PER_WEIGHT + 1n);
  assert.equal(w.record(alice)?.since, 1);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-10.1: the validators of genesis are bonded accounts from the start', () => {
  const w = world();
  for (const v of w.validators) {
    assert.equal(w.record(v)?.bond, PER_WEIGHT);
    assert.equal(w.record(v)?.weight, 1);
    assert.deepEqual(w.record(v)?.key, v.key);
    assert.ok(w.state.get(validatorKey(v.address)));
  }
  assert.equal([...w.state.validators()].length, 4);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-10.1: nothing, less than the least bond and more than the balance are refused', () => {
  const w = world();
  assert.equal(w.bond(alice, 0n), 'validator.bond');
  assert.equal(w.bond(alice, PER_WEIGHT - 1n), 'validator.bond');
  assert.equal(w.bond(alice, w.balance(alice) + 1n), 'transaction.balance');
  assert.equal(w.record(alice), undefined);
  assert.equal(precheckCode(w, alice, w.bondBody(alice, 0n)), 'validator.bond');
});

test('STATE-10.1: attack dust bonds: the table ends at candidatesMax, and each place in it costs the least bond', () => {
  const w = new ValidatorWorld({ others: [] });
  const [rich] = w.validators as [Person];
  const people = Array.from({ length: LIMITS.candidatesMax - 4 }, (_, i) => person(`dust ${i}`));
  w.block(...people.map((who, nonce) => w.transaction(rich, transfer(who, 10n), { nonce })));
  assert.equal(w.bond(people[0] as Person, 10n), 'validator.bond');

  const free = new ValidatorWorld({ others: people.map(({ name }) => name) });
  const { receipts } = free.block(
    ...people.map((who) => free.transaction(who, free.bondBody(who, PER_WEIGHT))),
  );
  assert.ok(receipts.every(({ outcome }) => outcome.ok));
  assert.equal([...free.state.validators()].length, LIMITS.candidatesMax);
  const treasury = person('treasury');
  assert.equal(free.bond(treasury, PER_WEIGHT), 'validator.full');
  // Those inside may still add to theirs.
  assert.equal(free.bond(people[0] as Person, 1n), 'ok');
});

test('STATE-10.2: attack bonding the key of somebody else: it takes the key’s signature for this account and chain', () => {
  const w = world();
  const own = w.bondBody(alice, PER_WEIGHT);
  assert.equal(w.send(bob, own), 'validator.possession', 'a proof seen on its way');
  const elsewhere = new ValidatorWorld({ reserve: 11n });
  assert.equal(w.send(alice, elsewhere.bondBody(alice, PER_WEIGHT)), 'validator.possession');
  assert.equal(
    w.send(alice, { ...own, key: bob.key } as Body),
    'validator.possession',
    'the signature of another key',
  );
  assert.equal(precheckCode(w, bob, own), 'validator.possession');
  assert.equal(w.send(alice, own), 'ok');
});

test('STATE-10.3: a key is bonded by one account, and an account keeps its key', () => {
  const w = world();
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  assert.equal(w.bond(bob, PER_WEIGHT, consensusOf(alice)), 'validator.key');
  assert.equal(w.bond(alice, PER_WEIGHT, person('another')), 'validator.key');
  const [v0] = w.validators as [Person];
  assert.equal(w.bond(bob, PER_WEIGHT, v0), 'validator.key', 'nor that of a validator of genesis');
  assert.equal(w.bond(v0, PER_WEIGHT, person('another')), 'validator.key');
});

test('STATE-10.4: a bond without votes gives no weight, however large', () => {
  const w = world();
  assert.equal(w.bond(alice, 50n * PER_WEIGHT), 'ok');
  assert.deepEqual(w.nextEpoch(), []);
  assert.equal(w.state.epoch.epoch, 0);
});

test('STATE-10.4: the weight that counts is the lesser of the granted one and of what the bond carries', () => {
  const w = new ValidatorWorld({ weights: [10, 10, 10, 10], bond: 12n * PER_WEIGHT });
  const [v0] = w.validators as [Person];
  assert.equal(w.unbond(v0, 4n * PER_WEIGHT), 'ok');
  w.nextEpoch();
  assert.equal(w.weights()['v0'], 8);
  assert.equal(w.bond(v0, 20n * PER_WEIGHT), 'ok');
  w.nextEpoch();
  assert.equal(w.weights()['v0'], 10, 'no more than was granted');
});

test('STATE-10.5: attack vote by a non-validator: only accounts that decide in this epoch vote', () => {
  const w = world();
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  assert.equal(w.vote(bob, alice, 1), 'validator.inactive');
  assert.equal(w.vote(alice, alice, 1), 'validator.inactive');
  assert.equal(w.vote(consensusOf(alice), alice, 1), 'validator.inactive');
  assert.deepEqual(w.record(alice)?.votes, []);
});

test('STATE-10.5: a vote names a bonded account, and a weight its bond carries', () => {
  const w = world();
  const [v0] = w.validators as [Person];
  assert.equal(w.vote(v0, bob, 1), 'validator.unknown');
  assert.equal(w.bond(alice, 2n * PER_WEIGHT), 'ok');
  assert.equal(w.vote(v0, alice, 3), 'validator.bond');
  // 2^32 − 1 times 10^12 is beyond 64 bits, and is compared, not wrapped.
  assert.equal(w.vote(v0, alice, LIMITS.weightMax), 'validator.bond');
  assert.equal(w.vote(v0, alice, 2), 'ok');
});

test('STATE-10.6: weight is granted by the vote that reaches the quorum, not before', () => {
  const w = world();
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  const [v0, v1, v2] = w.validators as [Person, Person, Person];
  assert.deepEqual(w.grant(alice, 1, [v0, v1]), ['ok', 'ok']);
  assert.equal(w.record(alice)?.weight, 0);
  assert.equal(w.record(alice)?.votes.length, 2);
  const { events } = w.block(w.transaction(v2, { kind: 'weight-vote', validator: alice.address, weight: 1 }));
  const [event] = events;
  assert.ok(event?.kind === 'weight-granted');
  assert.deepEqual([event.support, event.total, event.weight], [3, 4, 1]);
  assert.equal(w.record(alice)?.weight, 1);
  assert.deepEqual(w.record(alice)?.votes, []);
});

test('STATE-10.6: attack vote twice: a voter counts once, with its last word', () => {
  const w = world();
  assert.equal(w.bond(alice, 2n * PER_WEIGHT), 'ok');
  const [v0, v1, v2, v3] = w.validators as [Person, Person, Person, Person];
  for (let i = 0; i < 5; i += 1) assert.equal(w.vote(v0, alice, 1), 'ok');
  assert.equal(w.record(alice)?.votes.length, 1);
  assert.deepEqual(w.grant(alice, 1, [v1]), ['ok']);
  assert.equal(w.vote(v0, alice, 2), 'ok', 'a change of mind takes the first vote back');
  assert.equal(w.vote(v2, alice, 1), 'ok');
  assert.equal(w.record(alice)?.weight, 0);
  assert.equal(w.vote(v3, alice, 1), 'ok');
  assert.equal(w.record(alice)?.weight, 1);
});

test('STATE-10.6: votes are counted by weight, not by heads', () => {
  const w = new ValidatorWorld({ weights: [30, 30, 30, 1, 1, 1, 1] });
  const [v0, v1, v2, ...small] = w.validators as [Person, Person, Person, ...Person[]];
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  w.grant(alice, 1, [...small, v0]);
  assert.equal(w.record(alice)?.weight, 0, 'five of seven heads, 34 of 94');
  w.grant(alice, 1, [v1]);
  assert.equal(w.record(alice)?.weight, 1, '64 of 94 is Q exactly');
  assert.ok(v2);
});

test('STATE-10.6: attack removed validator’s vote: what it said while it decided no longer counts', () => {
  const w = world();
  const [v0, v1, v2, v3] = w.validators as [Person, Person, Person, Person];
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  assert.equal(w.vote(v3, alice, 1), 'ok');
  w.grant(v3, 0);
  w.nextEpoch();
  assert.deepEqual(w.weights(), { v0: 1, v1: 1, v2: 1 });
  assert.equal(w.vote(v3, alice, 1), 'validator.inactive');
  // Three decide now, and all three are the quorum: v3's old word would make up for one of them.
  w.grant(alice, 1, [v0, v1]);
  assert.equal(w.record(alice)?.weight, 0);
  assert.equal(w.record(alice)?.votes.length, 2, 'the old vote is forgotten');
  assert.equal(w.vote(v2, alice, 1), 'ok');
  assert.equal(w.record(alice)?.weight, 1);
});

test('STATE-10.6: a vote lapses', () => {
  const w = world();
  const [v0, v1, v2] = w.validators as [Person, Person, Person];
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  assert.equal(w.vote(v0, alice, 1), 'ok');
  const castAt = w.height;
  w.height = castAt + STATE_LIMITS.voteBlocks - 3;
  assert.equal(w.vote(v1, alice, 1), 'ok');
  w.height = castAt + STATE_LIMITS.voteBlocks - 1;
  assert.equal(w.vote(v2, alice, 1), 'ok');
  assert.equal(w.record(alice)?.weight, 0, 'the first vote is one block too old');
  assert.equal(w.vote(v0, alice, 1), 'ok');
  assert.equal(w.record(alice)?.weight, 1);
});

test('STATE-10.7: what is asked back leaves the bond at once and arrives at the first checkpoint height after unbondBlocks', () => {
  const w = world();
  assert.equal(w.bond(alice, 3n * PER_WEIGHT), 'ok');
  assert.equal(w.unbond(alice, 3n * PER_WEIGHT + 1n), 'validator.bond');
  assert.equal(w.unbond(bob, 1n), 'validator.unknown');
  assert.equal(w.unbond(alice, 0n), 'validator.bond');
  assert.equal(w.unbond(alice, PER_WEIGHT), 'ok');
  const releaseAt = w.height + LIMITS.unbondBlocks;
  assert.deepEqual(w.record(alice)?.unbonding, [{ amount: PER_WEIGHT, releaseAt }]);
  assert.equal(w.state.supply(), SUPPLY);
  const before = w.balance(alice);
  const checkpoint = Math.ceil(releaseAt / LIMITS.checkpointInterval) * LIMITS.checkpointInterval;
  w.height = checkpoint - LIMITS.checkpointInterval - 1;
  assert.deepEqual(w.advance(checkpoint - 1), []);
  assert.equal(w.balance(alice), before);
  const [event] = w.advance(checkpoint);
  assert.ok(event?.kind === 'bond-released' && event.transaction === undefined);
  assert.equal(w.balance(alice), before + PER_WEIGHT);
  assert.deepEqual(w.record(alice)?.unbonding, []);
  assert.equal(w.record(alice)?.bond, 2n * PER_WEIGHT);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-10.7: attack squatting: a place among the candidates cannot be held by dust after the bond is asked back', () => {
  const w = world();
  assert.equal(w.bond(alice, 2n * PER_WEIGHT), 'ok');
  assert.equal(w.unbond(alice, 2n * PER_WEIGHT - 1n), 'validator.bond');
  assert.equal(w.unbond(alice, PER_WEIGHT + 1n), 'validator.bond');
  assert.equal(w.unbond(alice, PER_WEIGHT), 'ok');
  assert.equal(w.unbond(alice, 1n), 'validator.bond');
  assert.equal(w.unbond(alice, PER_WEIGHT), 'ok');
  assert.equal(w.record(alice)?.bond, 0n);
});

test('STATE-10.7: parts of one block are one; more than unbondingsMax wait', () => {
  const w = world();
  assert.equal(w.bond(alice, 20n * PER_WEIGHT), 'ok');
  const ask = (nonce: number): ReturnType<typeof w.transaction> =>
    w.transaction(alice, { kind: 'unbond', amount: PER_WEIGHT as never }, { nonce });
  w.block(ask(1), ask(2));
  assert.deepEqual(
    w.record(alice)?.unbonding.map((part) => part.amount),
    [2n * PER_WEIGHT],
  );
  for (let i = 1; i < STATE_LIMITS.unbondingsMax; i += 1) assert.equal(w.unbond(alice, PER_WEIGHT), 'ok');
  assert.equal(w.unbond(alice, PER_WEIGHT), 'validator.unbonding');
});

test('STATE-10.7: attack unbonding while deciding: as long as the rest does not carry its weight, nothing returns', () => {
  // Nobody can leave this set: without v3, v0 would hold a third.
  const w = new ValidatorWorld({ weights: [3, 3, 2, 2, 1], bond: 3n * PER_WEIGHT });
  const [v0, v1, v2, v3, v4] = w.validators as [Person, Person, Person, Person, Person];
  assert.ok(v0 && v1 && v2 && v3);
  assert.equal(w.unbond(v3, 3n * PER_WEIGHT), 'ok');
  const before = w.balance(v3);
  w.height = Math.ceil((w.height + LIMITS.unbondBlocks) / 32) * 32 - 1;
  w.block();
  assert.equal(w.balance(v3), before, 'it still decides with weight 2');
  assert.equal(w.record(v3)?.unbonding.length, 1);
  assert.equal(w.record(v4)?.unbonding.length, 0);
  // The others make room, v3 leaves, and its bond with it.
  w.grant(v0, 2, [v0, v1, v2, v4]);
  w.grant(v1, 2, [v0, v1, v2, v4]);
  w.nextEpoch();
  w.nextEpoch();
  w.nextEpoch();
  assert.equal(w.weights()['v3'], undefined);
  assert.equal(w.balance(v3) > before, true);
  assert.equal(w.record(v3), undefined);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-10.8: who asks everything back gives up its weight, and its record goes when the last of it has arrived', () => {
  const w = world();
  const [v0, , , v3] = w.validators as [Person, Person, Person, Person];
  assert.equal(w.unbond(v3, PER_WEIGHT), 'ok');
  assert.equal(w.record(v3)?.weight, 0);
  assert.equal(w.weights()['v3'], 1, 'until the next epoch');
  w.nextEpoch();
  assert.equal(w.weights()['v3'], undefined);
  assert.ok(w.record(v3));
  w.height = Math.ceil((w.height + LIMITS.unbondBlocks) / 32) * 32 - 1;
  w.block();
  assert.equal(w.record(v3), undefined);
  assert.equal(w.state.get(validatorKey(v3.address)), undefined);
  assert.equal(w.bond(v3, PER_WEIGHT, person('new key')), 'ok', 'a new life with a new key');
  assert.equal(w.record(v3)?.weight, 0, 'without the old weight');
  assert.equal(w.vote(v3, v0, 1), 'validator.inactive');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-10.8: on a chain without bonds a record stays while its account decides, and goes with its weight', () => {
  const validators = ['v0', 'v1', 'v2', 'v3'].map(person);
  const w = new World(['v0', 'v1', 'v2', 'v3'], 0n, {
    validators: sortValidators(validators.map(({ key }) => ({ key, weight: 1 }))),
  });
  const [v0, v1, v2, v3] = validators as [Person, Person, Person, Person];
  // After the election of height 28: the checkpoint height comes before the next one.
  w.advance(29);
  for (const voter of [v0, v1, v2]) w.send(voter, { kind: 'weight-vote', validator: v3.address, weight: 0 });
  assert.equal(w.state.validator(v3.address)?.weight, 0);
  w.advance(32);
  assert.ok(w.state.validator(v3.address), 'it decides still, and must stay known');
  w.advance(64);
  assert.equal(w.state.epoch.validators.length, 3);
  assert.equal(w.state.validator(v3.address), undefined);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-10.9: a restart closes the epoch at the next checkpoint height, with the same set', () => {
  const w = world();
  const [v0] = w.validators as [Person];
  assert.equal(w.send(v0, { kind: 'restart' }, { fee: 0n }), 'ok');
  assert.equal(w.record(v0)?.restartAt, 1);
  const events = w.nextEpoch();
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['epoch-elected', 'epoch-promoted'],
  );
  assert.equal(w.state.epoch.epoch, 1);
  assert.deepEqual(w.weights(), { v0: 1, v1: 1, v2: 1, v3: 1 });
  w.nextEpoch();
  assert.equal(w.state.epoch.epoch, 1, 'one restart, one new epoch');
});

test('STATE-10.9: the consensus key may ask as well as the account, from an account without a balance', () => {
  const w = world();
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  w.grant(alice, 1);
  w.nextEpoch();
  assert.equal(w.weights()['alice'], 1);
  assert.equal(w.balance(consensusOf(alice)), 0n);
  assert.equal(w.send(consensusOf(alice), { kind: 'restart' }, { fee: 0n }), 'ok');
  assert.equal(w.record(alice)?.restartAt, w.height);
  assert.deepEqual(w.state.validatorOf(consensusOf(alice).key)?.address, alice.address);
  assert.equal(w.state.validatorOf(alice.key), undefined);
});

test('STATE-10.9: attack epochs without end: a restart is for validators of this epoch, and bounded; refused it leaves nothing', () => {
  const w = world();
  const [v0] = w.validators as [Person];
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  const refused = (who: Person, code: string): void => {
    const { root } = w.state;
    assert.equal(precheckCode(w, who, { kind: 'restart' }, { fee: 0n }), code);
    assert.equal(w.send(who, { kind: 'restart' }, { fee: 0n }), code);
    assert.deepEqual(w.state.root, root);
  };
  refused(person('nobody'), 'validator.inactive');
  refused(consensusOf(alice), 'validator.inactive');
  assert.equal(w.send(v0, { kind: 'restart' }, { fee: 0n }), 'ok');
  const at = w.height;
  refused(v0, 'validator.restart');
  w.height = at + STATE_LIMITS.restartBlocks - 2;
  refused(v0, 'validator.restart');
  assert.equal(w.send(v0, { kind: 'restart' }, { fee: 0n }), 'ok');
});

test('STATE-10.9: a restart has a nonce like any other transaction: a copy does nothing', () => {
  const w = world();
  const [v0] = w.validators as [Person];
  const transaction = w.transaction(v0, { kind: 'restart' }, { validUntil: 10_000_000 });
  w.block(transaction);
  w.height += STATE_LIMITS.restartBlocks;
  const { receipts } = w.block(transaction);
  const outcome = receipts[0]?.outcome;
  assert.equal(outcome?.ok === false && outcome.code, 'transaction.nonce');
});

test('STATE-10.10: a pool takes a restart with the next nonce only, and votes that may still become due', () => {
  const w = world();
  const [v0] = w.validators as [Person];
  assert.equal(precheckCode(w, v0, { kind: 'restart' }, { fee: 0n }), 'ok');
  assert.equal(precheckCode(w, v0, { kind: 'restart' }, { fee: 0n, nonce: 1 }), 'transaction.nonce');
  assert.equal(precheckCode(w, v0, { kind: 'weight-vote', validator: alice.address, weight: 1 }), 'ok');
  assert.equal(precheckCode(w, alice, { kind: 'unbond', amount: ITC as never }), 'ok');
});
