import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PARAMETER_NAMES, PARAMETERS, type ParameterName } from '../ledger/bodies/parameters.ts';
import type { Body } from '../ledger/body.ts';
import { amount, SUPPLY } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { person, transfer } from '../testing/state-world.ts';
import { ValidatorWorld } from '../testing/validator-world.ts';
import { LedgerState } from './ledger-state.ts';
import { STATE_LIMITS } from './limits.ts';

const vote = (parameter: ParameterName, value: bigint): Body => ({
  kind: 'parameter-vote',
  parameter,
  value,
});
const K = LIMITS.checkpointInterval;
const nextCheckpoint = (height: number): number => Math.ceil((height + 1) / K) * K;

test('STATE-21.1: only validators that decide vote; a quorum of their weight agrees, fewer do not', () => {
  const w = new ValidatorWorld({ weights: [1, 1, 1, 1] });
  const [a, b, c] = w.validators;
  assert.ok(a && b && c);
  assert.equal(w.send(person('alice'), vote('feePerByte', 3n)), 'validator.inactive');
  assert.equal(w.send(a, vote('feePerByte', 20n)), 'ok');
  assert.equal(w.send(b, vote('feePerByte', 20n)), 'ok');
  // Another value is another vote; the last one of each counts.
  assert.equal(w.send(c, vote('feePerByte', 21n)), 'ok');
  w.advance(nextCheckpoint(w.height));
  assert.equal(w.state.parameters.feePerByte, w.genesis.feePerByte);
  const { events } = w.block(w.transaction(c, vote('feePerByte', 20n)));
  assert.equal(events[0]?.kind, 'parameter-agreed');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-21.2: no value beyond the bounds, whoever wants it', () => {
  const w = new ValidatorWorld({ weights: [1] });
  const [a] = w.validators;
  assert.ok(a);
  for (const parameter of PARAMETER_NAMES) {
    assert.equal(w.send(a, vote(parameter, PARAMETERS[parameter].max + 1n)), 'parameter.value', parameter);
  }
});

test('STATE-21.3: what was agreed is in force behind the next checkpoint height, for every parameter, and after a restart', () => {
  for (const parameter of PARAMETER_NAMES) {
    const w = new ValidatorWorld({ weights: [1, 1, 1] });
    const value = 7n;
    for (const who of w.validators) assert.equal(w.send(who, vote(parameter, value)), 'ok');
    const at = nextCheckpoint(w.height);
    w.advance(at - 1);
    assert.notEqual(BigInt(w.state.parameters[parameter]), value);
    const events = w.advance(at);
    assert.ok(events.some(({ kind }) => kind === 'parameter-changed'));
    assert.equal(BigInt(w.state.parameters[parameter]), value);
    assert.equal(w.state.count('parameter-votes'), 0);
    const again = LedgerState.fromRecords(w.state.entries());
    assert.ok(again.ok);
    assert.deepEqual(again.value.parameters, w.state.parameters);
  }
});

test('STATE-21.3: the price of a byte holds from the block behind it on: less is refused, exactly that is enough', () => {
  const w = new ValidatorWorld({ weights: [1] });
  const [a] = w.validators;
  assert.ok(a);
  assert.equal(w.send(a, vote('feePerByte', 50n)), 'ok');
  w.advance(nextCheckpoint(w.height));
  const { tx, encoded } = w.transaction(a, transfer(person('alice'), 1n));
  assert.equal(tx.fee, 50n * BigInt(encoded.length));
  const cheap = amount(49n * BigInt(encoded.length));
  assert.equal(w.send(a, transfer(person('alice'), 1n), { fee: cheap }), 'transaction.fee');
  assert.equal(w.send(a, transfer(person('alice'), 1n)), 'ok');
});

test('STATE-21.3: a vote is forgotten when it is too old or its validator decides no more', () => {
  const w = new ValidatorWorld({ weights: [1, 1, 1] });
  const [a, b, c] = w.validators;
  assert.ok(a && b && c);
  assert.equal(w.send(a, vote('burnShare', 5n)), 'ok');
  w.height += STATE_LIMITS.voteBlocks;
  for (const who of [b, c]) assert.equal(w.send(who, vote('burnShare', 5n)), 'ok');
  assert.equal(w.state.count('parameter-votes'), 1);
  w.advance(nextCheckpoint(w.height));
  assert.equal(w.state.parameters.burnShare, 0);
});

test('STATE-21.4: of fees paid out burnShare of 10 000 burns, and never more than there is; the reward does not burn', () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.nat(1_000_000), (burnShare, fee) => {
      const w = new ValidatorWorld({
        weights: [1, 2, 1],
        burnShare,
        reserve: 1000n,
        rewardPerCheckpoint: 400n,
      });
      const [a] = w.validators;
      assert.ok(a);
      const { tx } = w.transaction(a, transfer(person('alice'), 0n));
      assert.equal(w.send(a, transfer(person('alice'), 0n), { fee: tx.fee + BigInt(fee) }), 'ok');
      const { fees, burned } = w.state.epoch;
      const events = w.advance(nextCheckpoint(w.height));
      const paid = events.find(({ kind }) => kind === 'rewards-paid');
      assert.ok(paid?.kind === 'rewards-paid');
      assert.equal(paid.burned, (fees * BigInt(burnShare)) / 10_000n);
      assert.equal(w.state.epoch.burned, burned + paid.burned);
      const shares = paid.shares.reduce((sum, share) => sum + share.amount, 0n);
      assert.equal(w.state.epoch.fees, fees - paid.burned + 400n - shares);
      assert.equal(w.state.supply(), SUPPLY);
    }),
    { numRuns: 40 },
  );
});
