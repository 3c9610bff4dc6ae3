/** Attacks of the background study that no single clause’s test shows: a whole member, or several, under fire. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { millis } from '../ledger/ids.ts';
import {
  envelopeOf,
  equalMembers,
  graphOf,
  payloadOf,
  place,
  seededRandom,
  START,
  CHAIN,
  SUBNET,
  TestSubnet,
} from '../testing/dag.ts';
import { makeDraft } from './draft.ts';
import type { Graph } from './graph.ts';
import { ACCEPTED, NONE } from './slab.ts';
import { parentsWanted, selectTips } from './tips.ts';
import type { VerifiedEnvelope } from './verify.ts';

const members = equalMembers(7);

/** Chains of one lane, each envelope on the one before and on what is given. */
class Chain {
  readonly #issuer: number;
  readonly #lane: number;
  #sequence = 0;
  head: Hash = SUBNET;

  constructor(issuer: number, lane = 0) {
    this.#issuer = issuer;
    this.#lane = lane;
  }

  next(others: readonly Hash[], time: number): VerifiedEnvelope {
    this.#sequence += 1;
    const parents = [...new Map([this.head, ...others].map((hash) => [String(hash), hash])).values()];
    const kept =
      parents.length > 1 ? parents.filter((hash) => hash !== SUBNET || this.#sequence > 1) : parents;
    const fields = { issuer: this.#issuer, lane: this.#lane, sequence: this.#sequence, previous: this.head };
    const envelope = envelopeOf(members, { ...fields, parents: kept.slice(0, 8), time });
    this.head = envelope.hash;
    return envelope;
  }
}

function honestDraft(
  graph: Graph,
  self: number,
  random: () => number,
  now: number,
): ReturnType<typeof makeDraft> {
  return makeDraft(
    graph,
    { chain: CHAIN, subnet: SUBNET, members, self, random, lastAnchors: [] },
    { payloads: [], now: millis(now), lane: 0 },
  );
}

for (const q of [0.2, 0.4, 0.6, 0.8]) {
  test(`DAG-4.2 DAG-4.4: while ${q} of all envelopes approve nothing new, tips stay bounded, parents rise as far as needed, honest envelopes are accepted, and it is over at once (over-dispersion)`, () => {
    const graph = graphOf(members);
    const random = seededRandom(9);
    // Two of seven hold all the lanes they may; the rest is honest.
    const honest = Array.from({ length: 5 }, (_, i) => new Chain(i));
    const greedy = Array.from({ length: 18 }, (_, i) => new Chain(5 + Math.floor(i / 9), i % 9));
    let time: number = START;
    let sent = 0;
    let widest = 0;
    const round = (attacked: boolean): void => {
      for (const [i, chain] of honest.entries()) {
        time += 20;
        const { body } = honestDraft(graph, i, random, time);
        widest = Math.max(widest, body.parents.length);
        place(
          graph,
          chain.next(
            body.parents.filter((parent) => parent !== SUBNET),
            time,
          ),
        );
      }
      for (let due = attacked ? (honest.length * q) / (1 - q) : 0; due >= 1; due -= 1) {
        place(graph, (greedy[sent % greedy.length] as Chain).next([], time));
        sent += 1;
      }
      assert.ok(graph.tips.size <= honest.length + greedy.length, `${graph.tips.size} tips`);
    };
    const late = (): number => {
      const before = millis(time - 4 * 20 * honest.length);
      return graph.slab.envelopes.filter(
        (held, at) =>
          held !== undefined &&
          held.issuer < honest.length &&
          held.envelope.time < before &&
          graph.slab.state[at] !== ACCEPTED,
      ).length;
    };
    for (let i = 0; i < 60; i += 1) {
      round(true);
      if (i % 10 === 9) assert.equal(late(), 0, 'every honest envelope is accepted within four rounds');
    }
    if (q >= 0.6) assert.equal(widest, LIMITS.parentsMax);
    // Ten seconds are 100 rounds; five are enough to approve all that was left lying about.
    for (let i = 0; i < 5; i += 1) round(false);
    assert.ok(graph.tips.size <= 2 * honest.length, `${graph.tips.size} tips afterwards`);
    assert.equal(late(), 0);
  });
}

test('DAG-4.1 DAG-2.8: a side DAG of fifty thousand is taken up to its issuer’s room, has one tip, and choosing takes less than a millisecond (parasite stitching)', () => {
  const graph = graphOf(members);
  const chains = members.map((_, i) => new Chain(i));
  const [attacker, ...honest] = chains as [Chain, ...Chain[]];
  for (const chain of honest) place(graph, chain.next([], START));
  const room = Math.floor(LIMITS.pendingEnvelopesMax / 7 / 2);
  for (let i = 0; i < room - 1; i += 1) place(graph, attacker.next([], START + 20 * i));
  const stitched = attacker.next(
    honest.map((chain) => chain.head),
    START + 20 * room,
  );
  place(graph, stitched);
  // The remaining forty-five thousand meet the same answer as the first of them.
  const beyond = graph.insert(attacker.next([], START + 20 * room), 'gossip');
  assert.equal(beyond.kind === 'refused' ? beyond.code : beyond.kind, 'envelope.pool-full');
  assert.ok(graph.tips.size <= 7);
  const random = seededRandom(4);
  const p99 = (): number => {
    const times = Array.from({ length: 500 }, () => {
      const start = performance.now();
      honestTips(graph, random);
      return performance.now() - start;
    });
    return times.sort((a, b) => a - b)[495] as number;
  };
  // The best of three: others use this machine, too.
  assert.ok(Math.min(p99(), p99(), p99()) < 1);
  let chosen = 0;
  for (let i = 0; i < 200; i += 1) if (honestTips(graph, random).includes(stitched.hash)) chosen += 1;
  assert.ok(chosen > 0, 'its last envelope is a tip as any other');
});

/** What a member would stand on: the part of a draft that is no hashing. */
function honestTips(graph: Graph, random: () => number): Hash[] {
  const { tips: pool, fresh, slab } = graph;
  const count = parentsWanted(pool.size);
  return selectTips({ pool, fresh, count, skip: NONE, random }).map((tip) => slab.hash(tip));
}

test('DAG-2.8 DAG-6.6: spam fills its issuer’s room only, and witnessed envelopes are never dropped (unbounded unconfirmed)', () => {
  const graph = graphOf(members, 0);
  const witness = new Chain(2);
  const seen = place(graph, new Chain(1).next([], START));
  place(graph, witness.next([graph.slab.hash(seen)], START));
  graph.pendingByMember[3] = LIMITS.pendingEnvelopesMax / 7 / 2 + 1;
  const spam = new Chain(3).next([], START);
  assert.equal(graph.insert(spam, 'gossip').kind, 'refused');
  assert.equal(graph.insert(new Chain(4).next([], START), 'gossip').kind, 'inserted');
  for (let i = 1; i <= 100; i += 1) {
    graph.anchors.add({
      hash: envelopeOf(members, { issuer: 0, parents: [SUBNET], time: i }).hash,
      sequence: i,
      powBits: 0,
    });
    graph.finalise([], i);
  }
  assert.equal(graph.place(graph.slab.hash(seen)), seen);
});

test('DAG-2.6: members with clocks ten seconds apart do not diverge, and nothing is lost (clock skew)', () => {
  const subnet = new TestSubnet(equalMembers(4));
  subnet.run(200);
  const ids: string[] = [];
  for (let i = 0; i < 12; i += 1) {
    const payload = payloadOf('lamp', i + 1);
    ids.push(String(payload.id));
    // Member 3 lives ten seconds in the future.
    const index = i % 4;
    const now = subnet.now;
    if (index === 3) subnet.now += 10_000;
    subnet.issue(index, [payload]);
    subnet.now = now;
    subnet.settle();
    subnet.run(300);
  }
  subnet.run(25_000);
  for (const { index } of subnet.nodes) {
    assert.deepEqual([...subnet.applied(index)].sort(), [...ids].sort());
    assert.deepEqual(subnet.applied(index), subnet.applied(0));
  }
});

test('DAG-9.2: different stories for every neighbour end in one ledger (multi-rate)', () => {
  const subnet = new TestSubnet(equalMembers(4));
  subnet.run(200);
  const ids: string[] = [];
  const random = seededRandom(11);
  // What member 0 sends reaches each of the others with another probability, answers included.
  subnet.passes = (from, to) => from !== 0 || random() < ([1, 0.9, 0.3, 0.05][to] as number);
  for (let i = 0; i < 30; i += 1) {
    const payload = payloadOf('lamp', i + 1);
    ids.push(String(payload.id));
    subnet.issue(i % 2 === 0 ? 0 : 1 + (i % 3), [payload]);
    subnet.settle();
    subnet.run(100);
  }
  subnet.run(20_000);
  for (const index of [1, 2, 3]) {
    assert.deepEqual([...subnet.applied(index)].sort(), [...ids].sort());
    assert.deepEqual(subnet.applied(index), subnet.applied(1));
  }
});
