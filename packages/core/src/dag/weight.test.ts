import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quorumOf } from '../ledger/validators.ts';
import {
  envelopeOf,
  equalMembers,
  graphOf,
  membersOf,
  parseDag,
  place,
  START,
  SUBNET,
} from '../testing/dag.ts';
import { ACCEPTED, PARENT_STRIDE, PENDING, Slab } from './slab.ts';
import type { VerifiedEnvelope } from './verify.ts';
import { Weights } from './weight.ts';

/** A slab of vertices that have nothing but issuer and parents. */
function bareVertex(issuer: number): VerifiedEnvelope {
  const envelope = { lane: 0, sequence: 1, time: START };
  return { issuer, envelope, encoded: new Uint8Array(0) } as unknown as VerifiedEnvelope;
}

interface RandomDag {
  readonly stake: readonly number[];
  readonly vertices: readonly { readonly issuer: number; readonly parents: readonly number[] }[];
}

const randomDags: fc.Arbitrary<RandomDag> = fc
  .tuple(
    fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 32 }),
    fc.integer({ min: 1, max: 40 }),
  )
  .chain(([stake, count]) =>
    fc.record({
      stake: fc.constant(stake),
      vertices: fc.tuple(
        ...Array.from({ length: count }, (_, i) =>
          fc.record({
            issuer: fc.nat(stake.length - 1),
            parents: i === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat(i - 1), { maxLength: 8 }),
          }),
        ),
      ),
    }),
  );

/** By definition: who issued it or something in its future. */
function bruteForceWeight({ stake, vertices }: RandomDag, of: number): number {
  const future = new Set([of]);
  for (let i = of + 1; i < vertices.length; i += 1)
    if ((vertices[i]?.parents ?? []).some((parent) => future.has(parent))) future.add(i);
  const issuers = new Set([...future].map((i) => vertices[i]?.issuer as number));
  return [...issuers].reduce((sum, issuer) => sum + (stake[issuer] as number), 0);
}

test('DAG-5.1: incremental weight equals the definition on a thousand random DAGs (cumulative weight double count)', () => {
  fc.assert(
    fc.property(randomDags, (dag) => {
      const slab = new Slab(4);
      const { strong } = quorumOf(dag.stake);
      const weights = new Weights(dag.stake, strong);
      const accepted: number[] = [];
      const places = dag.vertices.map(({ issuer, parents }) => {
        const at = slab.allocate(bareVertex(issuer));
        for (const [i, parent] of parents.entries()) slab.parents[at * PARENT_STRIDE + i] = parent;
        slab.parentCount[at] = parents.length;
        weights.approve(slab, at, accepted);
        return at;
      });
      for (const at of places) {
        const expected = bruteForceWeight(dag, at);
        assert.equal(slab.weight[at], expected);
        assert.equal(slab.state[at], expected >= strong ? ACCEPTED : PENDING);
        assert.equal(weights.stakeOf(slab.bits[at] as number), expected);
      }
      assert.equal(new Set(accepted).size, accepted.length, 'each is accepted once');
    }),
    { numRuns: 1000 },
  );
});

test('DAG-5.2: an envelope is accepted at two thirds of the stake, not of the members', () => {
  const members = membersOf([30, 30, 30, 10]);
  const light = members.findIndex((member) => member.weight === 10);
  const heavy = [0, 1, 2, 3].filter((i) => i !== light);
  const letter = (i: number): string => String.fromCharCode(65 + i);
  const [a, b, c] = heavy.map(letter);
  const graph = graphOf(members);
  const dag = parseDag(members, `${a}1 ${letter(light)}1<${a}1 ${b}1<${letter(light)}1 ${c}1<${b}1`);
  const states: number[] = [];
  let first = -1;
  for (const envelope of dag.values()) {
    const at = place(graph, envelope);
    if (first < 0) first = at;
    states.push(graph.slab.state[first] as number);
  }
  // 30, 40, 70 of 100: the strong quorum is 67.
  assert.deepEqual(states, [PENDING, PENDING, ACCEPTED, ACCEPTED]);
});

test('DAG-5.1: no number of envelopes makes one member weigh more, whatever work they show', () => {
  const members = equalMembers(4);
  const graph = graphOf(members);
  const target = place(graph, envelopeOf(members, { issuer: 0, parents: [SUBNET] }));
  let previous = graph.slab.hash(target);
  for (let sequence = 1; sequence <= 50; sequence += 1) {
    const parents = [...new Set([previous, graph.slab.hash(target)])];
    const next = envelopeOf(members, {
      issuer: 1,
      sequence,
      previous: sequence === 1 ? SUBNET : previous,
      parents,
      bits: 6,
      time: START + sequence,
    });
    place(graph, next);
    previous = next.hash;
  }
  assert.equal(graph.slab.weight[target], 20);
  assert.equal(graph.slab.state[target], PENDING);
});

test('DAG-5.1: a chain of a hundred thousand is walked without recursion (deep chain)', () => {
  const slab = new Slab();
  const weights = new Weights([1, 1, 1, 1], 3);
  const accepted: number[] = [];
  const depth = 100_000;
  for (let i = 0; i < depth; i += 1) {
    const at = slab.allocate(bareVertex(0));
    if (i > 0) slab.parents[at * PARENT_STRIDE] = at - 1;
    slab.parentCount[at] = i === 0 ? 0 : 1;
    weights.approve(slab, at, accepted);
  }
  for (const member of [1, 2]) {
    const at = slab.allocate(bareVertex(member));
    slab.parents[at * PARENT_STRIDE] = depth - 1;
    slab.parentCount[at] = 1;
    weights.approve(slab, at, accepted);
  }
  assert.equal(accepted.length, depth);
  assert.equal(slab.weight[0], 3);
});

test('DAG-5.2: an equivocation is never announced as accepted', () => {
  // The announcement is the intake's, see member.test.ts; the graph knows the contested lane.
  const members = equalMembers(4);
  const graph = graphOf(members);
  const dag = parseDag(members, `A1 A1' B1<A1 C1<A1`);
  for (const envelope of dag.values()) place(graph, envelope);
  assert.equal(graph.isMuted(0, 0), true);
  assert.equal(graph.isMuted(1, 0), false);
});
