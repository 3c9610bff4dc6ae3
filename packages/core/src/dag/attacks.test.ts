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
  SUBNET,
  TestSubnet,
} from '../testing/dag.ts';
import { makeDraft } from './draft.ts';
import type { Graph } from './graph.ts';
import { ACCEPTED } from './slab.ts';
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
    { subnet: SUBNET, members, self, random, lastAnchors: [] },
    { payloads: [], now: millis(now), lane: 0 },
  );
}

test('DAG-4.2 DAG-4.4: the tip pool stays bounded and honest envelopes accepted, whatever share approves nothing new (over-dispersion)', () => {
  for (const adversaries of [1, 2]) {
    const graph = graphOf(members);
    const random = seededRandom(9);
    const honest = Array.from({ length: 7 - adversaries }, (_, i) => new Chain(i));
    const greedy = Array.from(
      { length: adversaries * 8 },
      (_, i) => new Chain(7 - adversaries + (i >> 3), i & 7),
    );
    let time: number = START;
    let largest = 0;
    for (let round = 0; round < 60; round += 1) {
      for (const [i, chain] of honest.entries()) {
        time += 20;
        const { body } = honestDraft(graph, i, random, time);
        place(
          graph,
          chain.next(
            body.parents.filter((parent) => parent !== SUBNET),
            time,
          ),
        );
      }
      // The adversaries issue twice as much, each lane on itself alone.
      for (const chain of greedy) place(graph, chain.next([], time));
      largest = Math.max(largest, graph.tips.size);
    }
    assert.ok(largest <= 7 + greedy.length, `${largest} tips`);
    const before = millis(time - 4 * 20 * honest.length);
    const late = graph.slab.envelopes.filter(
      (held, at) =>
        held !== undefined &&
        held.issuer < honest.length &&
        held.envelope.time < before &&
        graph.slab.state[at] !== ACCEPTED,
    ).length;
    assert.equal(late, 0, 'every honest envelope is accepted within four rounds');
  }
});

test('DAG-4.1: a large side DAG stitched on later gets its issuer’s share of tips, and choosing stays quick (parasite stitching)', () => {
  const graph = graphOf(members);
  const chains = members.map((_, i) => new Chain(i));
  const [attacker, ...honest] = chains as [Chain, ...Chain[]];
  for (const chain of honest) place(graph, chain.next([], START));
  const side: VerifiedEnvelope[] = [];
  for (let i = 0; i < 3000; i += 1) side.push(attacker.next([], START + 20 * i));
  for (const envelope of side) place(graph, envelope);
  place(
    graph,
    attacker.next(
      honest.map((chain) => chain.head),
      START + 60_000,
    ),
  );
  assert.ok(graph.tips.size <= 7);
  const random = seededRandom(4);
  let chosen = 0;
  for (let i = 0; i < 200; i += 1) {
    const { body } = honestDraft(graph, 1, random, START + 61_000);
    if (body.parents.some((parent) => parent === attacker.head)) chosen += 1;
    assert.ok(body.parents.length <= 8);
  }
  assert.ok(chosen > 0, 'its last envelope is a tip as any other');
});

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
