import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../bytes/hex.ts';
import { epochAt } from '../ledger/epoch.ts';
import { epoch, height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { quorumOf, sortValidators, validatorSetFlaw, type ValidatorSet } from '../ledger/validators.ts';
import { person, type Person } from '../testing/state-world.ts';
import { contradiction, PER_WEIGHT, ValidatorWorld } from '../testing/validator-world.ts';
import { elect, turnoverMax, weightIn, type Candidate } from './election.ts';

const alice = person('alice');
const total = (set: ValidatorSet): number => quorumOf(set.map(({ weight }) => weight)).total;

/** `[name, current, target, jailed]`; the address decides order, and so does not follow the name. */
type Row = readonly [name: string, current: number, target: number, jailed?: boolean];

function run(rows: readonly Row[]): Record<string, number> {
  const candidates = rows.map(([name, current, target, jailed = false]): Candidate => {
    const { key, address } = person(name);
    return { address, key, current, target, jailed };
  });
  const current = sortValidators(
    candidates.filter((one) => one.current > 0).map(({ key, current: weight }) => ({ key, weight })),
  );
  const set = elect(current, candidates);
  return Object.fromEntries(rows.map(([name]) => [name, weightIn(set, person(name).key)]));
}

/** The names in the order of their addresses. */
const ordered = ['a', 'b', 'c', 'd', 'e'].toSorted((one, other) =>
  toHex(person(one).address).localeCompare(toHex(person(other).address)),
);

test('STATE-11.1: culprits go first, then those who leave, then everybody by address', () => {
  const [first, second, third, fourth, last] = ordered as [string, string, string, string, string];
  // 3 of 12 may move: with five at once, one change fits.
  assert.deepEqual(
    run([
      [first, 3, 4],
      [second, 3, 0],
      [third, 3, 3],
      [fourth, 3, 0, true],
      [last, 0, 1],
    ]),
    { [first]: 3, [second]: 3, [third]: 3, [fourth]: 0, [last]: 0 },
  );
  assert.deepEqual(
    run([
      [first, 3, 4],
      [second, 3, 3],
      [third, 3, 3],
      [fourth, 3, 0],
      [last, 0, 1],
    ]),
    { [first]: 3, [second]: 3, [third]: 3, [fourth]: 0, [last]: 0 },
  );
  assert.deepEqual(
    run([
      [first, 0, 2],
      [second, 3, 3],
      [third, 3, 3],
      [fourth, 3, 3],
      [last, 3, 4],
    ]),
    { [first]: 2, [second]: 3, [third]: 3, [fourth]: 3, [last]: 4 },
  );
});

test('STATE-11.2: less than a third of the weight moves; in sets of weight 3 and less one unit does', () => {
  assert.deepEqual([1, 2, 3, 4, 6, 7, 9, 10, 100].map(turnoverMax), [1, 1, 1, 1, 1, 2, 2, 3, 33]);
  fc.assert(
    fc.property(fc.integer({ min: 4, max: LIMITS.validatorsMax * LIMITS.weightMax }), (weight) => {
      assert.ok(turnoverMax(weight) * 3 < weight && (turnoverMax(weight) + 1) * 3 >= weight);
    }),
  );
});

test('STATE-11.3: a change larger than the turnover is made in part, and goes on', () => {
  let rows: readonly Row[] = [
    ['a', 10, 10],
    ['b', 10, 10],
    ['c', 10, 10],
    ['d', 0, 10],
  ];
  const seen: number[] = [];
  for (let i = 0; i < 2; i += 1) {
    const weights = run(rows);
    seen.push(weights['d'] as number);
    rows = rows.map(([name, , target]) => [name, weights[name] as number, target] as const);
  }
  assert.deepEqual(seen, [9, 10]);
});

test('STATE-11.4: a change that would give someone a third of the weight, or leave nobody, is passed over', () => {
  assert.deepEqual(
    run([
      ['a', 2, 2],
      ['b', 1, 0],
      ['c', 1, 1],
      ['d', 1, 1],
      ['e', 1, 1],
    ]),
    { a: 2, b: 1, c: 1, d: 1, e: 1 },
  );
  assert.deepEqual(run([['a', 1, 0]]), { a: 1 });
  assert.deepEqual(
    run([
      ['a', 10, 30],
      ['b', 10, 10],
      ['c', 10, 10],
      ['d', 10, 10],
    ]),
    { a: 10, b: 10, c: 10, d: 10 },
    'attack weight at a third and above',
  );
});

const anyCandidates = fc
  .uniqueArray(
    fc.record({
      name: fc.integer({ min: 0, max: 30 }),
      current: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 40 })),
      target: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 40 }), fc.constant(LIMITS.weightMax)),
      jailed: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12, selector: ({ name }) => name },
  )
  .map((rows) =>
    rows.map((row): Candidate => {
      const { key, address } = person(`candidate ${row.name}`);
      return { ...row, address, key, target: row.jailed ? 0 : row.target };
    }),
  );

test('STATE-11.2, STATE-11.4: an elected set is always acceptable, and never a third away from the one before', () => {
  let reached = 0;
  fc.assert(
    fc.property(anyCandidates, (candidates) => {
      const current = sortValidators(
        candidates.filter((one) => one.current > 0).map(({ key, current: weight }) => ({ key, weight })),
      );
      fc.pre(validatorSetFlaw(current) === undefined);
      const set = elect(current, candidates);
      assert.equal(validatorSetFlaw(set), undefined);
      let moved = 0;
      for (const { key, current: was, target } of candidates) {
        const is = weightIn(set, key);
        moved += Math.abs(is - was);
        assert.ok(Math.min(was, target) <= is && is <= Math.max(was, target), 'only towards the target');
      }
      assert.ok(moved * 3 < total(current) || moved === 1);
      if (moved > 0) reached += 1;
      // The order of the table makes no difference.
      assert.deepEqual(elect(current, candidates.toReversed()), set);
    }),
    { numRuns: 300 },
  );
  assert.ok(reached > 50, 'the property saw elections that changed something');
});

test('STATE-9.1: epoch 0 begins at height 1 with the validators of genesis', () => {
  const w = new ValidatorWorld();
  assert.deepEqual(w.state.epoch, {
    epoch: 0,
    since: 1,
    validators: w.genesis.validators,
    next: undefined,
    fees: 0n,
    reserve: 0n,
    burned: 0n,
  });
});

test('STATE-9.2: a set is elected pipelineDepth below a checkpoint height and takes over at the end of it', () => {
  const w = new ValidatorWorld();
  const [v0, v1, v2, v3] = w.validators as [Person, Person, Person, Person];
  w.bond(alice, PER_WEIGHT);
  w.grant(alice, 1, [v0, v1, v2]);
  assert.ok(v3);
  w.advance(27);
  const { epoch: early } = w.state;
  assert.equal(early.next, undefined);
  const [elected] = w.advance(28);
  assert.ok(elected?.kind === 'epoch-elected');
  assert.deepEqual(
    [elected.epoch, elected.closes, elected.height, elected.transaction],
    [1, 32, 28, undefined],
  );
  const { next } = w.state.epoch;
  assert.ok(next);
  assert.equal(next.closes, 32);
  assert.deepEqual(w.weights(next.validators), { alice: 1, v0: 1, v1: 1, v2: 1, v3: 1 });
  assert.deepEqual(w.weights(), { v0: 1, v1: 1, v2: 1, v3: 1 });
  w.advance(31);
  assert.equal(w.state.epoch.epoch, 0);
  const [promoted] = w.advance(32);
  assert.ok(promoted?.kind === 'epoch-promoted');
  assert.deepEqual([promoted.epoch, promoted.since], [1, 33]);
  assert.deepEqual([w.state.epoch.epoch, w.state.epoch.since, w.state.epoch.next], [1, 33, undefined]);
  assert.deepEqual(w.weights(), { alice: 1, v0: 1, v1: 1, v2: 1, v3: 1 });
});

test('STATE-9.2: what is granted after the election waits for the next one, and an epoch without a change goes on', () => {
  const w = new ValidatorWorld();
  w.bond(alice, PER_WEIGHT);
  w.advance(28);
  w.grant(alice, 1);
  w.advance(59);
  assert.equal(w.state.epoch.epoch, 0);
  w.advance(64);
  assert.equal(w.state.epoch.epoch, 1);
  assert.equal(w.state.epoch.since, 65);
  w.advance(640);
  assert.equal(w.state.epoch.epoch, 1);
});

test('STATE-9.3: headers know epoch, set and end from the state they commit to, at every height round the boundary', () => {
  const w = new ValidatorWorld();
  w.bond(alice, PER_WEIGHT);
  w.grant(alice, 1);
  const records = [w.state.epoch];
  while (w.height < 80) {
    w.block();
    records[w.height] = w.state.epoch;
  }
  const before = w.genesis.validators;
  const after = w.state.epoch.validators;
  for (let at = 10; at <= 80; at += 1) {
    const found = epochAt(records[at - LIMITS.pipelineDepth] as (typeof records)[number], height(at));
    assert.equal(found.epoch, epoch(at <= 32 ? 0 : 1), `height ${at}`);
    assert.equal(found.closes, at === 32, `height ${at}`);
    assert.equal(found.validators, at <= 32 ? before : after, `height ${at}`);
    assert.equal(found.nextValidators, at < 32 ? before : after, `height ${at}`);
  }
});

test('STATE-9.4: on an ordinary block nothing but the fees changes in the record of the epoch', () => {
  const w = new ValidatorWorld({ reserve: 1_000_000n, rewardPerCheckpoint: 1000n });
  const { epoch: record } = w.state;
  const { changes, events } = w.block();
  assert.deepEqual([changes, events], [[], []]);
  assert.equal(w.state.epoch, record);
});

test('STATE-11.5: culprits are removed as soon as a set without them is possible, however many there are', () => {
  const w = new ValidatorWorld({ weights: [1, 1, 1, 1, 1, 1, 1] });
  const culprits = w.validators.slice(0, 2);
  for (const culprit of culprits)
    assert.equal(w.send(alice, { kind: 'evidence', evidence: contradiction(w, culprit) }), 'ok');
  w.nextEpoch();
  assert.deepEqual(w.weights(), { v2: 1, v3: 1, v4: 1, v5: 1, v6: 1 });
  assert.equal(w.state.epoch.epoch, 1, 'two of seven are less than a third');
});

test('STATE-11.5: a set may shrink to one validator and grow again', () => {
  const w = new ValidatorWorld();
  const [v0, v1, v2, v3] = w.validators as [Person, Person, Person, Person];
  const active = (): Person[] => w.validators.filter((v) => w.weights()[v.name] !== undefined);
  for (const leaving of [v3, v2, v1]) {
    w.grant(leaving, 0, active());
    w.nextEpoch();
    assert.equal(w.weights()[leaving.name], undefined);
  }
  assert.deepEqual(w.weights(), { v0: 1 });
  assert.equal(w.vote(v0, v0, 0), 'ok');
  w.nextEpoch();
  assert.deepEqual(w.weights(), { v0: 1 }, 'the last one stays');
  assert.equal(w.vote(v0, v0, 1), 'ok');
  for (const coming of [v1, v2, v3]) {
    w.grant(coming, 1, active());
    w.nextEpoch();
    assert.equal(w.weights()[coming.name], 1);
  }
});
