import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SUPPLY } from '../ledger/ids.ts';
import { person, type Person, transfer } from '../testing/state-world.ts';
import { contradiction, PER_WEIGHT, ValidatorWorld } from '../testing/validator-world.ts';

const alice = person('alice');

test('STATE-13.1: fees wait in the record of the epoch until the next checkpoint height', () => {
  const w = new ValidatorWorld({ feePerByte: 10n });
  const fee = (): bigint => {
    const transaction = w.transaction(alice, transfer(alice, 1n));
    w.block(transaction);
    return transaction.tx.fee;
  };
  const collected = fee() + fee();
  assert.equal(w.state.epoch.fees, collected);
  w.advance(31);
  assert.equal(w.state.epoch.fees, collected);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-13.2: at a checkpoint height fees and reward are split by weight, those of that very block included', () => {
  const w = new ValidatorWorld({
    weights: [4, 3, 3, 2],
    feePerByte: 10n,
    reserve: 10_000n,
    rewardPerCheckpoint: 1200n,
  });
  const before = w.validators.map((v) => w.balance(v));
  w.advance(31);
  const transaction = w.transaction(alice, transfer(alice, 1n), { fee: 2400n });
  const { events } = w.block(transaction);
  assert.deepEqual(
    w.validators.map((v, i) => w.balance(v) - (before[i] as bigint)),
    [1200n, 900n, 900n, 600n],
  );
  const paid = events.find((event) => event.kind === 'rewards-paid');
  assert.ok(paid?.kind === 'rewards-paid');
  assert.deepEqual([paid.fees, paid.reward, paid.shares.length, paid.index], [2400n, 1200n, 4, 1]);
  assert.deepEqual([w.state.epoch.fees, w.state.epoch.reserve], [0n, 8800n]);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-13.2: the reward lasts as long as the reserve', () => {
  const w = new ValidatorWorld({ reserve: 1000n, rewardPerCheckpoint: 400n });
  const [v0] = w.validators as [Person];
  const before = w.balance(v0);
  const gains: bigint[] = [];
  for (let at = 32; at <= 160; at += 32) {
    w.advance(at);
    gains.push(w.balance(v0) - before);
  }
  assert.deepEqual(gains, [100n, 200n, 250n, 250n, 250n]);
  assert.equal(w.state.epoch.reserve, 0n);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-13.3: what does not divide stays for the next time', () => {
  const w = new ValidatorWorld({ weights: [1, 1, 1], reserve: 1000n, rewardPerCheckpoint: 10n });
  w.advance(32);
  assert.equal(w.state.epoch.fees, 1n);
  w.advance(64);
  assert.equal(w.state.epoch.fees, 2n);
  w.advance(96);
  assert.equal(w.state.epoch.fees, 0n, 'eleven and one make twelve');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-13.3: a culprit is paid no more; its share stays', () => {
  const w = new ValidatorWorld({ reserve: 1000n, rewardPerCheckpoint: 400n });
  const [v0, v1] = w.validators as [Person, Person];
  assert.equal(w.send(alice, { kind: 'evidence', evidence: contradiction(w, v1) }), 'ok');
  const before = [w.balance(v0), w.balance(v1)] as const;
  w.advance(32);
  assert.deepEqual([w.balance(v0) - before[0], w.balance(v1) - before[1]], [100n, 0n]);
  assert.equal(w.state.epoch.fees, 100n);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-13.4: those who decided up to the closing height are paid, not those who take over', () => {
  const w = new ValidatorWorld({ reserve: 10_000n, rewardPerCheckpoint: 400n });
  w.bond(alice, PER_WEIGHT);
  w.grant(alice, 1);
  const before = w.balance(alice);
  w.advance(32);
  assert.equal(w.weights()['alice'], 1);
  assert.equal(w.balance(alice), before);
  w.advance(64);
  assert.equal(w.balance(alice), before + 80n);
});

test('STATE-13.2: a chain without fees and without a reserve pays nobody and changes nothing', () => {
  const w = new ValidatorWorld();
  const { root } = w.state;
  assert.deepEqual(w.advance(320), []);
  assert.deepEqual(w.state.root, root);
});
