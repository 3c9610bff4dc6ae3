/** Random stories of validators against what must hold whatever happens (STATE-2.9, STATE-10.6, STATE-11.2, STATE-12.3). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes, toHex } from '../bytes/hex.ts';
import type { Evidence } from '../ledger/evidence.ts';
import { amount, SUPPLY } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Body } from '../ledger/body.ts';
import { quorumOf, validatorSetFlaw, type ValidatorSet } from '../ledger/validators.ts';
import { person, transfer, type Person } from '../testing/state-world.ts';
import { consensusOf, contradiction, PER_WEIGHT, ValidatorWorld } from '../testing/validator-world.ts';
import type { AppliedBlock } from './apply.ts';
import { weightIn } from './election.ts';
import { LedgerState } from './ledger-state.ts';
import { STATE_LIMITS } from './limits.ts';
import type { VerifiedTransaction } from './verified-transaction.ts';

const names = ['v0', 'v1', 'v2', 'v3', 'alice', 'bob'];
const people = names.map(person);

/** What happens next, in small numbers; whether it makes sense is left to chance. */
type Step =
  | {
      readonly kind: 'send';
      readonly what: Kind;
      readonly sender: number;
      readonly other: number;
      readonly n: number;
    }
  /** Several say the same about one: otherwise no story ever sees a quorum. */
  | { readonly kind: 'agree'; readonly voters: number; readonly other: number; readonly n: number }
  | { readonly kind: 'wait'; readonly to: 'election' | 'checkpoint' | 'release' | 'lapse' };

type Kind = 'bond' | 'unbond' | 'weight-vote' | 'evidence' | 'restart' | 'transfer';

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      what: fc.constantFrom<Kind>('bond', 'bond', 'unbond', 'weight-vote', 'evidence', 'restart', 'transfer'),
      sender: fc.nat(5),
      other: fc.nat(5),
      n: fc.nat(15),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('agree' as const),
      voters: fc.integer({ min: 1, max: 6 }),
      other: fc.nat(5),
      n: fc.nat(4),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      to: fc.constantFrom('election', 'checkpoint', 'checkpoint', 'checkpoint', 'release', 'lapse'),
    }),
  },
);

const story = fc.array(step, { minLength: 5, maxLength: 40 });

function bodyOf(w: ValidatorWorld, o: Extract<Step, { kind: 'send' }>): Body {
  const who = people[o.sender] as Person;
  const other = people[o.other] as Person;
  const value = (BigInt(o.n) * PER_WEIGHT) / 2n;
  switch (o.what) {
    case 'bond': {
      const own = o.sender < 4 ? who : consensusOf(who);
      // Now and then the key of somebody else.
      return w.bondBody(who, value, o.n === 13 ? other : own);
    }
    case 'unbond':
      return { kind: 'unbond', amount: amount(value) };
    case 'weight-vote':
      return { kind: 'weight-vote', validator: other.address, weight: o.n % 5 };
    case 'evidence': {
      const culprit = o.other < 4 ? other : consensusOf(other);
      const kind = (['pre-prepare', 'prepare', 'commit', 'checkpoint'] as const)[o.n % 4] as Evidence['kind'];
      const hashes = ['this', o.n < 12 ? 'that' : 'this'] as const;
      return {
        kind: 'evidence',
        evidence: contradiction(w, culprit, kind, { hashes, height: w.height + 1 }),
      };
    }
    case 'restart':
      return { kind: 'restart' };
    case 'transfer':
      return transfer(other, 30n * value);
  }
}

/** Votes as somebody would count them who reads the accepted transactions only. */
class Tally {
  readonly #votes = new Map<string, Map<string, { readonly weight: number; readonly at: number }>>();

  /** Weight that stands behind the vote just cast. */
  cast(w: LedgerState, at: number, voter: Person, candidate: Uint8Array, weight: number): number {
    const key = toHex(candidate);
    const votes = this.#votes.get(key) ?? new Map<string, { weight: number; at: number }>();
    this.#votes.set(key, votes.set(voter.name, { weight, at }));
    let support = 0;
    for (const [name, vote] of votes) {
      const record = w.validator(person(name).address);
      if (vote.weight !== weight || at >= vote.at + STATE_LIMITS.voteBlocks) continue;
      if (record !== undefined && !record.jailed) support += weightIn(w.epoch.validators, record.key);
    }
    return support;
  }

  forget(candidate: Uint8Array): void {
    this.#votes.delete(toHex(candidate));
  }
}

interface Block {
  readonly w: ValidatorWorld;
  readonly before: LedgerState;
  /** One, or none where nothing but time passed. */
  readonly transaction: VerifiedTransaction | undefined;
  readonly applied: AppliedBlock;
}

/** Runs every story in blocks of one transaction and lets the claim look at each of them. */
function everyBlock(begin: () => (block: Block) => void, runs = 60, seed?: number): void {
  fc.assert(
    fc.property(story, (steps) => {
      const w = new ValidatorWorld({
        weights: [3, 3, 3, 3],
        bond: 4n * PER_WEIGHT,
        others: ['alice', 'bob'],
        feePerByte: 7n,
        reserve: 5_000n,
        rewardPerCheckpoint: 1_000n,
      });
      const claim = begin();
      const block = (transaction?: VerifiedTransaction): void => {
        const before = w.state;
        const applied = w.block(...(transaction === undefined ? [] : [transaction]));
        claim({ w, before, transaction, applied });
      };
      for (const one of steps) {
        switch (one.kind) {
          case 'send':
            block(w.transaction(people[one.sender] as Person, bodyOf(w, one)));
            break;
          case 'agree':
            for (let sender = 0; sender < one.voters; sender += 1)
              block(
                w.transaction(
                  people[sender] as Person,
                  bodyOf(w, { ...one, kind: 'send', what: 'weight-vote', sender }),
                ),
              );
            break;
          case 'wait':
            wait(w, one.to, block);
            break;
        }
      }
    }),
    seed === undefined ? { numRuns: runs } : { numRuns: runs, seed },
  );
}

/** Heights at which nothing happens are left out, those at which something may are not. */
function wait(
  w: ValidatorWorld,
  to: 'election' | 'checkpoint' | 'release' | 'lapse',
  block: () => void,
): void {
  const next = (offset: number): number => Math.floor((w.height + offset) / 32 + 1) * 32 - offset;
  const visit = (at: number): void => {
    w.height = at - 1;
    block();
  };
  if (to === 'release') w.height += LIMITS.unbondBlocks - (LIMITS.unbondBlocks % 32);
  if (to === 'lapse') w.height += STATE_LIMITS.voteBlocks;
  // A jump over a closing height would be a chain that nobody could make.
  const { next: elected } = w.state.epoch;
  if (elected !== undefined && elected.closes <= w.height) w.height = elected.closes - 1;
  if (next(4) < next(0)) visit(next(4));
  if (to !== 'election') visit(next(0));
}

const total = (set: ValidatorSet): number => quorumOf(set.map(({ weight }) => weight)).total;

test('STATE-2.9: balances, bonds, what returns, fees, reserve and what burned are always the supply', () => {
  everyBlock(
    () =>
      ({ w }) =>
        assert.equal(w.state.supply(), SUPPLY),
  );
});

test('STATE-2.6: a refused bond, vote, accusation or restart changes nothing but nonce and fee', () => {
  everyBlock(() => ({ before, transaction, applied: { receipts, state, changes } }) => {
    const [receipt] = receipts;
    if (transaction === undefined || receipt === undefined || receipt.outcome.ok) return;
    if (receipt.height % 32 === 0 || receipt.height % 32 === 28) return;
    if (receipt.fee === 0n) assert.deepEqual(changes, []);
    assert.deepEqual([...state.validators()], [...before.validators()]);
    assert.deepEqual(state.epoch, { ...before.epoch, fees: before.epoch.fees + receipt.fee });
  });
});

test('STATE-10.6: weight is never granted without the quorum, counted by somebody else', () => {
  everyBlock(() => {
    const tally = new Tally();
    return ({ w, before, transaction, applied: { receipts, state } }) => {
      const body = transaction?.tx.body;
      const accepted = receipts[0]?.outcome.ok === true;
      let support = 0;
      if (accepted && body?.kind === 'weight-vote') {
        const voter = people.find(({ address }) =>
          equalBytes(address, transaction?.sender ?? address),
        ) as Person;
        support = tally.cast(before, w.height, voter, body.validator, body.weight);
      }
      for (const { address, validator } of state.validators()) {
        const was = before.validator(address);
        if (validator.weight === (was?.weight ?? 0)) continue;
        const gone = validator.weight === 0 && (validator.jailed || validator.bond === 0n);
        if (gone && body?.kind !== 'weight-vote') {
          tally.forget(address);
          continue;
        }
        assert.ok(body?.kind === 'weight-vote' && equalBytes(body.validator, address));
        assert.equal(validator.weight, body.weight);
        assert.ok(support >= quorumOf(before.epoch.validators.map(({ weight }) => weight)).strong);
      }
      // Granted or renewed: either way the count begins anew.
      if (accepted && body?.kind === 'weight-vote' && state.validator(body.validator)?.votes.length === 0)
        tally.forget(body.validator);
      if (accepted && body?.kind === 'weight-vote')
        assert.equal(
          support >= quorumOf(before.epoch.validators.map(({ weight }) => weight)).strong,
          state.validator(body.validator)?.votes.length === 0,
        );
    };
  });
});

test('STATE-11.2, STATE-11.4: the set changes at checkpoint heights only, by less than a third, and is always acceptable', () => {
  everyBlock(() => ({ w, before }) => {
    const was = before.epoch.validators;
    const is = w.state.epoch.validators;
    assert.equal(validatorSetFlaw(is), undefined);
    if (was === is) return;
    assert.equal(w.height % LIMITS.checkpointInterval, 0);
    assert.equal(w.state.epoch.epoch, before.epoch.epoch + 1);
    const keys = [...was, ...is].map(({ key }) => key);
    const distinct = keys.filter((key, i) => keys.findIndex((one) => equalBytes(one.bytes, key.bytes)) === i);
    const moved = distinct.reduce((sum, key) => sum + Math.abs(weightIn(is, key) - weightIn(was, key)), 0);
    assert.ok(moved * 3 < total(was) || moved === 1, `${moved} of ${total(was)}`);
  });
});

test('STATE-10.8: whoever decides has a record with something behind it, one record per key, none beyond the table', () => {
  everyBlock(() => ({ w }) => {
    const records = [...w.state.validators()].map(({ validator }) => validator);
    assert.equal(new Set(records.map(({ key }) => toHex(key.bytes))).size, records.length);
    assert.ok(records.length <= LIMITS.candidatesMax);
    for (const { key, weight } of w.state.epoch.validators) {
      const record = records.find((one) => equalBytes(one.key.bytes, key.bytes));
      assert.ok(record, 'a validator without a record');
      const stake = record.unbonding.reduce((sum, part) => sum + part.amount, record.bond as bigint);
      assert.ok(record.jailed || stake >= BigInt(weight) * PER_WEIGHT, 'weight that nothing answers for');
    }
    for (const record of records)
      assert.ok(!record.jailed || (record.weight === 0 && record.votes.length === 0));
  });
});

test('STATE-12.3: a bond shrinks by half once, or to where its owner asked it', () => {
  everyBlock(() => ({ w, before, transaction, applied }) => {
    const body = transaction?.tx.body;
    const accepted = applied.receipts[0]?.outcome.ok === true;
    const burned = w.state.epoch.burned - before.epoch.burned;
    if (burned > 0n) assert.ok(accepted && body?.kind === 'evidence');
    for (const { address, validator } of before.validators()) {
      const now = w.state.validator(address);
      if (validator.jailed && now !== undefined) {
        assert.ok(now.jailed);
        if (body?.kind !== 'unbond') assert.equal(now.bond, validator.bond);
      }
    }
  });
});

test('STATE-1.6: what a shell kept gives the same state again, validators and epoch included', () => {
  everyBlock(
    () =>
      ({ w }) => {
        const loaded = LedgerState.fromRecords(w.state.entries());
        assert.ok(loaded.ok);
        assert.deepEqual(loaded.value.root, w.state.root);
        assert.deepEqual(loaded.value.epoch, w.state.epoch);
      },
    15,
  );
});

test('STATE-10.6, STATE-11.3: the stories above see every kind accepted and refused, weight granted, sets changed, bonds returned', () => {
  const seen = new Set<string>();
  everyBlock(
    () =>
      ({ applied: { receipts, events } }) => {
        for (const { kind, outcome } of receipts) seen.add(`${kind} ${outcome.ok}`);
        for (const { kind } of events) seen.add(kind);
      },
    120,
    // A seed of its own: this test must not depend on luck.
    1,
  );
  for (const kind of ['bond', 'unbond', 'weight-vote', 'evidence', 'restart', 'transfer']) {
    assert.ok(seen.has(`${kind} true`), `${kind} was never accepted`);
    assert.ok(seen.has(`${kind} false`), `${kind} was never refused`);
  }
  for (const kind of ['weight-granted', 'epoch-elected', 'epoch-promoted', 'rewards-paid', 'bond-released'])
    assert.ok(seen.has(kind), `${kind} never happened`);
});
