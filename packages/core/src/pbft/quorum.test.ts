import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHAIN, commitCertificate, contextOf, makeBlock, validatorsOf } from '../testing/pbft.ts';
import { quorumOf, validatorSetFlaw } from '../ledger/validators.ts';
import { signersOf, Weights } from './quorum.ts';
import { Replica, type ReplicaOptions } from './replica.ts';
import { Bench } from '../testing/pbft.ts';
import { verifyCertificate } from './verify.ts';

const weightLists = fc.array(fc.integer({ min: 1, max: 0xffff_ffff }), { minLength: 1, maxLength: 100 });

test('PBFT-1.1: F, Q and weak weight follow from the total', () => {
  assert.deepEqual(quorumOf([1, 1, 1, 1]), { total: 4, faulty: 1, strong: 3, weak: 2 });
  assert.deepEqual(quorumOf([1, 1]), { total: 2, faulty: 0, strong: 2, weak: 1 });
  assert.deepEqual(quorumOf([3, 3, 2, 2]), { total: 10, faulty: 3, strong: 7, weak: 4 });
});

test('PBFT-1.2: two quorums overlap in more than F, and the correct ones alone reach Q, for n = 1 to 100 and any weights', () => {
  for (let n = 1; n <= 100; n += 1) {
    const { total, faulty, strong, weak } = quorumOf(Array.from({ length: n }, () => 1));
    assert.ok(
      2 * strong - total >= faulty + 1 && total - faulty >= strong && weak === faulty + 1,
      `n = ${n}`,
    );
  }
  const weight = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 0xffff_ffff }));
  for (let n = 1; n <= 100; n += 1) {
    fc.assert(
      fc.property(
        fc.array(weight, { minLength: n, maxLength: n }),
        fc.infiniteStream(fc.boolean()),
        (weights, coins) => {
          const { total, faulty, strong, weak } = quorumOf(weights);
          assert.ok(2 * strong - total >= faulty + 1);
          assert.ok(total - faulty >= strong && 3 * faulty < total && weak === faulty + 1);
          // And not only in numbers: two sets of members that reach Q share members of more than F.
          const draw = (): boolean[] => reachQuorum(weights, strong, coins);
          const [one, two] = [draw(), draw()];
          const shared = weights.reduce(
            (sum, w, i) => (one[i] === true && two[i] === true ? sum + w : sum),
            0,
          );
          assert.ok(shared > faulty);
        },
      ),
      { numRuns: 20 },
    );
  }
});

/** A set of members of weight Q at least, smallest first to leave: chance drops whom it can. */
function reachQuorum(weights: readonly number[], strong: number, coins: Iterator<boolean>): boolean[] {
  const chosen = weights.map(() => true);
  let sum = weights.reduce((total, weight) => total + weight, 0);
  for (const [i, weight] of weights.entries()) {
    if (sum - weight < strong || coins.next().value === false) continue;
    chosen[i] = false;
    sum -= weight;
  }
  return chosen;
}

test('PBFT-1.2: with two or three validators one alone decides nothing (raijin 19, mir 61)', () => {
  for (const n of [2, 3]) {
    const weights = Array.from({ length: n }, () => 1);
    const primary = new Bench(0, { weights });
    primary.pending(1);
    primary.step({ kind: 'proposal', block: makeBlock(1, CHAIN) });
    assert.equal(primary.messages('prepare').length, 1);
    assert.equal(primary.messages('commit').length, 0);
    assert.equal(primary.delivered.length, 0);
  }
});

test('PBFT-1.2: a single validator is its own quorum', () => {
  const alone = new Bench(0, { weights: [1] });
  alone.pending(1);
  alone.step({ kind: 'proposal', block: makeBlock(1, CHAIN) });
  assert.equal(alone.delivered.length, 1);
});

test('PBFT-1.3: a certificate counts each signer once, knows no stranger, and falls with one bad signature', () => {
  const context = contextOf([1, 1, 1, 1]);
  const block = makeBlock(1, CHAIN);
  const good = commitCertificate(block, [0, 1, 3], 4);
  assert.equal(verifyCertificate(context, good), true);
  const bad: Record<string, typeof good> = {
    'too little weight': commitCertificate(block, [0, 1], 4),
    nobody: commitCertificate(block, [], 4),
    'a signature too many': { ...good, signatures: [...good.signatures, good.signatures[0] as Uint8Array] },
    'a signature too few': { ...good, signatures: good.signatures.slice(1) },
    'one signature twice for two signers': {
      ...good,
      signatures: [
        good.signatures[0] as Uint8Array,
        good.signatures[0] as Uint8Array,
        good.signatures[2] as Uint8Array,
      ],
    },
    'a bit beyond n': {
      ...good,
      signers: Uint8Array.of(0b1_1011),
      signatures: [...good.signatures, good.signatures[0] as Uint8Array],
    },
    'a bitmap too long': { ...good, signers: Uint8Array.of(0b1011, 0) },
    'one forged signature beyond the quorum': {
      ...commitCertificate(block, [0, 1, 2, 3], 4),
      signatures: [...good.signatures, new Uint8Array(64)],
    },
  };
  for (const [what, certificate] of Object.entries(bad))
    assert.equal(verifyCertificate(context, certificate), false, what);
});

test('PBFT-1.3: signers count only when their weight reaches Q', () => {
  fc.assert(
    fc.property(weightLists, fc.infiniteStream(fc.boolean()), (weights, coins) => {
      const chosen = weights.map(() => coins.next().value as boolean);
      const signers = new Uint8Array(Math.ceil(weights.length / 8));
      let sum = 0;
      chosen.forEach((is, i) => {
        if (!is) return;
        signers[i >> 3] = (signers[i >> 3] as number) | (1 << (i & 7));
        sum += weights[i] as number;
      });
      const signatures = chosen.filter(Boolean).map(() => new Uint8Array(64));
      const counted = signersOf(new Weights(validatorsOf(weights)), { signers, signatures });
      assert.equal(counted !== undefined, sum >= quorumOf(weights).strong);
    }),
  );
});

test('PBFT-1.1: a replica refuses to start with a set in which weights are zero, negative, too large or a third of all', () => {
  const options = (weights: readonly number[]): ReplicaOptions => ({
    ...template(),
    validators: validatorsOf(weights),
  });
  for (const weights of [[], [1, 1, 1, 0], [1, 1, 1, -1], [1, 1, 1, 2 ** 32], [1, 1, 1, 1.5], [3, 1, 1, 1]]) {
    assert.notEqual(validatorSetFlaw(validatorsOf(weights)), undefined);
    assert.throws(() => new Replica(options(weights)), RangeError);
  }
  assert.throws(() => new Replica({ ...template(), self: 4 }), RangeError);
});

function template(): ReplicaOptions {
  return {
    chain: CHAIN,
    epoch: contextOf([1]).epoch,
    validators: validatorsOf([1, 1, 1, 1]),
    self: 0,
    application: { check: () => 'valid' },
    sign: () => new Uint8Array(64),
    random: () => 0,
    restore: [],
  };
}
