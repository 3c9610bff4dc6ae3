import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LIMITS } from '../ledger/limits.ts';
import { world } from '../testing/chain.ts';
import { EpochChain, groupOf } from '../testing/epochs.ts';
import { installNativeSha256, rememberingVerifier, verifyQuickly } from '../testing/keys.ts';
import { verifyCertified } from './certified.ts';
import { advance, leadsTo, type EpochHop } from './epoch-hop.ts';
import { trustGenesis } from './trust.ts';

installNativeSha256();

const home = world();
const start = trustGenesis(home.genesis);
const group = (seeds: readonly number[]): ReturnType<typeof groupOf> =>
  groupOf(seeds.map((seed) => [1000 + seed, 1]));
const verify = rememberingVerifier(verifyQuickly);

/** Fewest hops, found by trying all: the verifier itself says which hold. */
function fewest(chain: EpochChain, target: ReturnType<EpochChain['append']>): number {
  const goal = target.block.header.epoch;
  let layer = [start];
  for (let hops = 0; ; hops += 1) {
    if (layer.some((trust) => trust.epoch === goal)) return hops;
    layer = layer.flatMap((trust) => {
      const tries: EpochHop[] = [];
      if (trust.epoch < goal) tries.push(chain.adjacent(trust.epoch));
      for (let to = trust.epoch + 1; to < goal; to += 1)
        tries.push(chain.skipping(chain.closing[to] as typeof target));
      if (trust.epoch < goal) tries.push(chain.skipping(target));
      return tries.flatMap((hop) => {
        const step = advance(trust, [hop], verify);
        return step.ok ? [step.value] : [];
      });
    });
  }
}

test('LIGHT-7.7: reachability is not monotone: a set that comes back is reached in one hop, over sets that are not', () => {
  const chain = new EpochChain(home, [group([0, 1, 12, 13]), group([10, 11, 12, 13]), group([0, 1, 2, 4])]);
  const tip = chain.append();
  const hops = chain.hopsTo(tip);
  assert.deepEqual(hops.map(leadsTo), [3]);
  assert.ok(verifyCertified(start, { hops, ...linked(tip) }, verify).ok);
  // To the epochs between there is no such way.
  assert.equal(chain.hopsTo(chain.closing[2] as typeof tip).length, 2);
});

test('LIGHT-9.8: the fewest hops from a trusted epoch never lead back, also where a set vouches for an older one', () => {
  const strangers = (n: number): ReturnType<typeof groupOf> => group([0, 1, 2, 3].map((i) => 10 * n + i));
  const sliding = (from: number): ReturnType<typeof groupOf> => group([0, 1, 2, 3].map((i) => from + i));
  // Epochs 1 and 8 vouch for one another, and so do 8 and 5, 5 and 11: over 5 it would be three hops, but 8 lies above it.
  const chain = new EpochChain(home, [
    sliding(0),
    strangers(1),
    strangers(2),
    strangers(7),
    sliding(2),
    strangers(3),
    strangers(4),
    sliding(1),
    strangers(5),
    strangers(6),
    sliding(3),
  ]);
  const tip = chain.append();
  const trusted = advance(start, [chain.adjacent(0)], verify);
  assert.ok(trusted.ok);
  const hops = chain.index().hopsFrom(1, linked(tip), sliding(3).set);
  assert.deepEqual(hops?.map(leadsTo), [8, 9, 10, 11]);
  assert.ok(verifyCertified(trusted.value, { hops, ...linked(tip) }, verify).ok);
});

const linked = (
  at: ReturnType<EpochChain['append']>,
): { header: typeof at.block.header; certificate: typeof at.certificate } => ({
  header: at.block.header,
  certificate: at.certificate,
});

test('LIGHT-7.7: the hops shown hold, lead to the header’s epoch, and nothing shorter does', () => {
  const sets = fc.array(fc.uniqueArray(fc.nat(5), { minLength: 4, maxLength: 4 }), {
    minLength: 1,
    maxLength: 5,
  });
  const signing = fc.array(fc.constantFrom([0, 1, 2], [1, 2, 3], [0, 1, 2, 3]), {
    minLength: 6,
    maxLength: 6,
  });
  fc.assert(
    fc.property(sets, signing, (seeds, signers) => {
      const chain = new EpochChain(home, seeds.map(group), { signers: (at) => signers[at] });
      const tip = chain.append([], { signers: signers[5] ?? [] });
      for (const target of [tip, ...chain.first, ...chain.closing]) {
        const hops = chain.hopsTo(target);
        const proven = verifyCertified(start, { hops, ...linked(target) }, verify);
        assert.ok(proven.ok, proven.ok ? '' : proven.message);
        assert.equal(hops.length, fewest(chain, target));
      }
    }),
    { numRuns: 25 },
  );
});

test('LIGHT-7.7: unchanged sets cost one hop, however many epochs ended', () => {
  const chain = new EpochChain(
    home,
    Array.from({ length: 12 }, () => home.validators),
  );
  assert.equal(chain.hopsTo(chain.append()).length, 1);
});

test('LIGHT-7.7: more hops than a proof may hold are not shown', () => {
  // A third and more of the set is new every time, so no two epochs can be skipped.
  const sets = Array.from({ length: LIMITS.hopsMax + 1 }, (_, i) =>
    group([0, 1, 2, 3].map((k) => 2 * (i + 1) + k)),
  );
  const chain = new EpochChain(home, sets);
  const tip = chain.append();
  const index = chain.index();
  const of = (at: typeof tip): unknown =>
    index.hopsTo(
      linked(at),
      (chain.groups[at.block.header.epoch] as { set: typeof home.validators.set }).set,
    );
  assert.equal(of(tip), undefined);
  const sixth = (chain.groups[tip.block.header.epoch] as { set: typeof home.validators.set }).set;
  const last = index.lastHopsTo(linked(tip), sixth, 3);
  assert.deepEqual(
    last.map(leadsTo),
    [1, 2, 3].map((i) => tip.block.header.epoch - 3 + i),
  );
  assert.equal((of(chain.closing[LIMITS.hopsMax] as typeof tip) as unknown[]).length, LIMITS.hopsMax);
});

test('LIGHT-7.7: the index takes closed epochs in order, and answers only below what it knows', () => {
  const chain = new EpochChain(home, [group([1, 2, 3, 4]), group([2, 3, 4, 5])]);
  const index = chain.index();
  assert.equal(index.closed, 2);
  assert.throws(() =>
    index.add({ validators: home.validators.set, closing: linked(chain.closing[0] as never) }),
  );
  const later = new EpochChain(home, [group([1, 2, 3, 4]), group([2, 3, 4, 5]), group([3, 4, 5, 6])]);
  assert.throws(() => index.hopsTo(linked(later.append()), group([3, 4, 5, 6]).set));
});
