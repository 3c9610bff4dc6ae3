import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256, type Hash } from '../crypto/hash.ts';
import { millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import {
  envelopeOf,
  equalMembers,
  graphOf,
  parseDag,
  place,
  seededRandom,
  START,
  CHAIN,
  SUBNET,
} from '../testing/dag.ts';
import { makeDraft } from './draft.ts';
import type { Graph } from './graph.ts';
import { isLazy, parentsWanted, selectTips, TipPool } from './tips.ts';

const members = equalMembers(7);

function build(text: string): { graph: Graph; places: Map<string, number>; names: () => string[] } {
  const graph = graphOf(members);
  const places = new Map<string, number>();
  for (const [name, envelope] of parseDag(members, text)) places.set(name, place(graph, envelope));
  const nameOf = new Map([...places].map(([name, at]) => [at, name]));
  return {
    graph,
    places,
    names: () => Array.from(graph.tips.places(), (at) => nameOf.get(at) ?? '?').sort(),
  };
}

/** Makes checkpoints pass without content. */
function checkpoints(graph: Graph, count: number): Hash {
  let hash: Hash = SUBNET;
  for (let i = 0; i < count; i += 1) {
    const sequence = graph.anchors.head + 1;
    hash = sha256(Uint8Array.of(sequence));
    graph.anchors.add({ hash, sequence, powBits: 0 });
    graph.finalise([], sequence);
  }
  return hash;
}

test('DAG-4.1: the pool behaves like a set under any mix of adding and removing', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(20)), { maxLength: 200 }), (steps) => {
      const pool = new TipPool();
      const model = new Set<number>();
      for (const [add, tip] of steps) {
        if (add) {
          pool.add(tip);
          model.add(tip);
        } else {
          pool.remove(tip);
          model.delete(tip);
        }
        assert.deepEqual(new Set(pool.places()), model);
        assert.equal(pool.size, model.size);
        for (let i = 0; i < pool.size; i += 1) assert.ok(model.has(pool.at(i)));
      }
    }),
  );
});

test('DAG-4.1: vertices without children are tips, and choice among them is uniform', () => {
  const { graph, names } = build('A1 B1<A1 C1<A1 D1<B1 E1 F1 G1');
  assert.deepEqual(names(), ['C1', 'D1', 'E1', 'F1', 'G1']);
  const random = seededRandom(5);
  const counts = new Map<number, number>();
  for (let i = 0; i < 5000; i += 1) {
    const fresh = new TipPool();
    const [tip] = selectTips({ pool: graph.tips, fresh, count: 1, skip: -1, random });
    counts.set(tip as number, (counts.get(tip as number) ?? 0) + 1);
  }
  assert.equal(counts.size, 5);
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 150, `${count} of 5000`);
});

test('DAG-4.2: a lane holds one tip however much its issuer sends (tip inflation)', () => {
  const graph = graphOf(members);
  let previous: Hash = SUBNET;
  for (let sequence = 1; sequence <= 300; sequence += 1) {
    const parents = [previous];
    const next = envelopeOf(members, { issuer: 3, sequence, previous, parents, time: START + 20 * sequence });
    place(graph, next);
    previous = next.hash;
    assert.equal(graph.tips.size, 1);
  }
  // Even a blowball of first envelopes on one vertex is bounded by the lanes.
  assert.ok(graph.tips.size <= LIMITS.subnetLanesMax);
});

test('DAG-4.2: children are counted, not listed (blowball)', () => {
  const graph = graphOf(members);
  const centre = place(graph, envelopeOf(members, { issuer: 0, parents: [SUBNET] }));
  const heads: Hash[] = members.map(() => SUBNET);
  for (let sequence = 1; sequence <= 834; sequence += 1) {
    for (let issuer = 1; issuer < 7; issuer += 1) {
      const previous = heads[issuer] as Hash;
      const parents = sequence === 1 ? [graph.slab.hash(centre)] : [previous, graph.slab.hash(centre)];
      const child = envelopeOf(members, { issuer, sequence, previous, parents, time: START + 20 * sequence });
      place(graph, child);
      heads[issuer] = child.hash;
    }
  }
  assert.equal(graph.slab.children[centre], 5004);
  assert.equal(graph.tips.size, 6);
});

test('DAG-4.3 DAG-4.7: lazy tips are kept, never chosen, and remove nobody (lazy tips)', () => {
  const graph = graphOf(members);
  const old = envelopeOf(members, { issuer: 0, parents: [SUBNET] });
  place(graph, old);
  // A1 becomes final in checkpoint 1; eleven checkpoints pass.
  graph.anchors.add({ hash: sha256(Uint8Array.of(1)), sequence: 1, powBits: 0 });
  graph.finalise([graph.place(old.hash) as number], 1);
  const anchor = checkpoints(graph, 10);
  const honest = envelopeOf(members, { issuer: 1, parents: [anchorVertex(graph)], anchor });
  const tip = place(graph, honest);
  const lazy = envelopeOf(members, { issuer: 2, parents: [old.hash], anchor });
  const at = place(graph, lazy);
  assert.equal(isLazy(graph.slab, at, graph.anchors.head), true);
  assert.equal(graph.tips.has(at), false);
  // On an honest tip and on the deep past at once: the oldest root still gives it away only beyond its limit.
  const mixed = envelopeOf(members, { issuer: 3, parents: [old.hash, honest.hash], anchor });
  const mixedAt = place(graph, mixed);
  assert.equal(isLazy(graph.slab, mixedAt, graph.anchors.head), false);
  checkpoints(graph, 4);
  assert.equal(isLazy(graph.slab, mixedAt, graph.anchors.head), true);
  assert.equal(graph.tips.has(mixedAt), false);
  assert.equal(graph.tips.has(tip), true, 'the honest tip is back when its only child turns out lazy');
});

/** A vertex made final just now, to stand on. */
function anchorVertex(graph: Graph): Hash {
  const fresh = envelopeOf(members, { issuer: 6, parents: [SUBNET], time: START + 1 });
  graph.finals.add({ hash: fresh.hash, checkpoint: graph.anchors.head, time: START });
  return fresh.hash;
}

test('DAG-4.3: the predecessor does not make lazy: a member that was away is back with its first fresh envelope', () => {
  const graph = graphOf(members);
  const own = envelopeOf(members, { issuer: 0, parents: [SUBNET] });
  place(graph, own);
  const anchor = checkpoints(graph, 25);
  assert.equal(isLazy(graph.slab, graph.place(own.hash) as number, graph.anchors.head), true);
  const back = envelopeOf(members, {
    issuer: 0,
    sequence: 2,
    previous: own.hash,
    parents: [own.hash, anchorVertex(graph)],
    anchor,
    time: START + 1,
  });
  assert.equal(graph.tips.has(place(graph, back)), true);
});

test('DAG-4.4: as many parents as tips, two to eight, the own predecessor among them', () => {
  assert.deepEqual([0, 1, 2, 3, 8, 9, 60].map(parentsWanted), [2, 2, 2, 3, 8, 8, 8]);
  const { graph } = build('A1 B1 C1 D1 E1');
  const what = { payloads: [], now: millis(START + 100), lane: 0 };
  const own = { chain: CHAIN, subnet: SUBNET, members, self: 0, lastAnchors: [], random: seededRandom(1) };
  const { body } = makeDraft(graph, own, what);
  assert.equal(body.parents.length, 5);
  assert.ok(body.parents.some((parent) => String(parent) === String(body.previous)));
  assert.equal(body.sequence, 2);
});

test('DAG-4.5: tips that approve others’ newest envelopes come first, whatever else fills the pool', () => {
  const { graph, places } = build('A1 B1<A1 C1 D1 E1 F1 G1');
  assert.deepEqual([...graph.fresh.places()], [places.get('B1')]);
  for (let seed = 1; seed < 50; seed += 1) {
    const chosen = selectTips({
      pool: graph.tips,
      fresh: graph.fresh,
      count: 2,
      skip: -1,
      random: seededRandom(seed),
    });
    assert.ok(chosen.includes(places.get('B1') as number));
  }
});

test('DAG-4.6: with nothing but itself around, an envelope stands on the last checkpoint', () => {
  const graph = graphOf(members);
  const own = envelopeOf(members, { issuer: 0, parents: [SUBNET] });
  place(graph, own);
  const anchor = anchorVertex(graph);
  const draft = makeDraft(
    graph,
    { chain: CHAIN, subnet: SUBNET, members, self: 0, lastAnchors: [anchor], random: seededRandom(1) },
    { payloads: [], now: millis(START + 9), lane: 0 },
  );
  assert.deepEqual(draft.body.parents.map(String).sort(), [String(own.hash), String(anchor)].sort());
  const first = makeDraft(
    graphOf(members),
    { chain: CHAIN, subnet: SUBNET, members, self: 0, lastAnchors: [], random: seededRandom(1) },
    { payloads: [], now: millis(START), lane: 0 },
  );
  assert.deepEqual(first.body.parents, [SUBNET]);
});
