import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes } from '../bytes/hex.ts';
import { hashTagged, sha256, type Hash } from '../crypto/hash.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import { LIMITS } from '../ledger/limits.ts';
import {
  envelopeOf,
  equalMembers,
  graphOf,
  parseDag,
  payloadOf,
  place,
  START,
  SUBNET,
} from '../testing/dag.ts';
import type { Graph } from './graph.ts';
import { canonicalOrder, evaluate, nextPowBits, type Evaluation } from './order.ts';
import { PARENT_STRIDE, Slab } from './slab.ts';
import type { VerifiedEnvelope } from './verify.ts';

const members = equalMembers(4);
const subnet = { id: SUBNET, powBits: 0, lastTime: 0 };

function evaluated(graph: Graph, anchors: readonly VerifiedEnvelope[], lastTime = 0): Evaluation {
  const sorted = [...anchors].sort((a, b) => compareBytes(a.hash, b.hash));
  const places = sorted.map((anchor) => graph.place(anchor.hash) as number);
  const evaluation = evaluate(graph, { ...subnet, lastTime }, places);
  assert.ok(evaluation !== undefined);
  return evaluation;
}

function commit(graph: Graph, evaluation: Evaluation): void {
  const { checkpoint, hash, order, lanes } = evaluation;
  graph.advance(lanes, { hash, sequence: checkpoint.sequence, powBits: checkpoint.powBits });
  graph.finalise(order, checkpoint.sequence);
}

/** By the book, recursively: for small DAGs only. */
function referenceOrder(
  vertices: ReadonlyMap<string, VerifiedEnvelope>,
  anchors: readonly VerifiedEnvelope[],
): string[] {
  const byHash = new Map([...vertices.values()].map((vertex) => [String(vertex.hash), vertex]));
  const order: string[] = [];
  const visit = (vertex: VerifiedEnvelope): void => {
    if (order.includes(String(vertex.hash))) return;
    for (const parent of vertex.envelope.parents) {
      const found = byHash.get(String(parent));
      if (found !== undefined) visit(found);
    }
    order.push(String(vertex.hash));
  };
  for (const anchor of [...anchors].sort((a, b) => compareBytes(a.hash, b.hash))) visit(anchor);
  return order;
}

/** Random DAGs as text: rounds of up to four members, each on its own last and some of the others’. */
const dagTexts: fc.Arbitrary<string> = fc
  .array(fc.array(fc.tuple(fc.nat(3), fc.nat(15), fc.boolean()), { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((rounds) => {
    const heads: string[][] = [[], [], [], []];
    const words: string[] = [];
    for (const round of rounds) {
      for (const [issuer, mask, fork] of round) {
        const letter = 'ABCD'[issuer] as string;
        const own = heads[issuer] as string[];
        const sequence = own.length + 1;
        const parents = new Set(own.slice(-1));
        for (let other = 0; other < 4; other += 1) {
          const head = heads[other]?.at(-1);
          if (other !== issuer && ((mask >> other) & 1) === 1 && head !== undefined) parents.add(head);
        }
        const tail = parents.size === 0 ? '' : `<${[...parents].join(',')}`;
        words.push(`${letter}${sequence}${tail}+1`);
        if (fork) words.push(`${letter}${sequence}'${tail}+2`);
        own.push(`${letter}${sequence}`);
      }
    }
    return words.join(' ');
  });

/** Another order in which a network might bring the same envelopes. */
function shuffled(
  vertices: ReadonlyMap<string, VerifiedEnvelope>,
  random: (n: number) => number,
): VerifiedEnvelope[] {
  const left = [...vertices.values()];
  const here = new Set([String(SUBNET)]);
  const order: VerifiedEnvelope[] = [];
  while (left.length > 0) {
    const ready = left.filter(({ envelope }) => envelope.parents.every((parent) => here.has(String(parent))));
    const next = ready[random(ready.length)] as VerifiedEnvelope;
    left.splice(left.indexOf(next), 1);
    here.add(String(next.hash));
    order.push(next);
  }
  return order;
}

test('DAG-6.1: parents come first, anchors and parents in byte order', () => {
  const dag = parseDag(members, 'A1 B1 C1<A1,B1 D1<B1 A2<A1,C1,D1');
  const graph = graphOf(members);
  for (const envelope of dag.values()) place(graph, envelope);
  const anchor = dag.get('A2') as VerifiedEnvelope;
  const { order } = evaluated(graph, [anchor]);
  assert.deepEqual(
    order.map((at) => String(graph.slab.hash(at))),
    referenceOrder(dag, [anchor]),
  );
});

test('DAG-6.1: order, winners and roots do not depend on the order of arrival, whatever equivocates', () => {
  fc.assert(
    fc.property(dagTexts, fc.infiniteStream(fc.nat(1_000_000)), (text, stream) => {
      const dag = parseDag(members, text);
      const random = (n: number): number => (stream.next().value ?? 0) % n;
      const heads = [...dag.values()].slice(-3);
      const results = [0, 1, 2].map(() => {
        const graph = graphOf(members);
        for (const envelope of shuffled(dag, random))
          assert.equal(graph.insert(envelope, 'requested').kind, 'inserted');
        return { graph, evaluation: evaluated(graph, heads) };
      });
      const [first] = results;
      const names = (r: typeof first): string[] =>
        (r as NonNullable<typeof r>).evaluation.order.map((at) =>
          String((r as NonNullable<typeof r>).graph.slab.hash(at)),
        );
      assert.deepEqual(names(first), referenceOrder(dag, heads));
      for (const result of results) {
        assert.deepEqual(names(result), names(first));
        assert.deepEqual(result.evaluation.checkpoint, first?.evaluation.checkpoint);
      }
    }),
    { numRuns: 100 },
  );
});

test('DAG-6.2: a cone beyond the limit is not ordered', () => {
  const dag = parseDag(members, 'A1 A2<A1 A3<A2 A4<A3');
  const graph = graphOf(members);
  for (const envelope of dag.values()) place(graph, envelope);
  const top = graph.place((dag.get('A4') as VerifiedEnvelope).hash) as number;
  assert.equal(canonicalOrder(graph.slab, [top], 3), undefined);
  assert.equal(canonicalOrder(graph.slab, [top], 4)?.length, 4);
  assert.equal(LIMITS.coneEnvelopesMax, LIMITS.checkpointIdsMax);
});

test('DAG-6.1: a chain of a hundred thousand is ordered without recursion (deep chain)', () => {
  const slab = new Slab();
  const vertex = { issuer: 0, envelope: { lane: 0, sequence: 1, time: START }, encoded: new Uint8Array(0) };
  for (let i = 0; i < 100_000; i += 1) {
    const at = slab.allocate(vertex as unknown as VerifiedEnvelope);
    if (i > 0) slab.parents[at * PARENT_STRIDE] = at - 1;
    slab.parentCount[at] = i === 0 ? 0 : 1;
  }
  const order = canonicalOrder(slab, [99_999], 100_000);
  assert.equal(order?.length, 100_000);
  assert.deepEqual([order?.[0], order?.[99_999]], [0, 99_999]);
});

test('DAG-6.3: the envelope more stake approves wins its slot; the other is final and ignored', () => {
  const dag = parseDag(members, `A1+1 A1'+2 B1<A1' C1<A1' D1<A1 B2<B1,C1,D1`);
  const graph = graphOf(members);
  for (const envelope of dag.values()) place(graph, envelope);
  const { order, applied, ignored } = evaluated(graph, [dag.get('B2') as VerifiedEnvelope]);
  assert.equal(order.length, 6);
  const winner = dag.get(`A1'`) as VerifiedEnvelope;
  assert.deepEqual(
    applied.map(({ envelope }) => envelope),
    [winner.hash, winner.hash],
  );
  assert.deepEqual(
    ignored.map(({ reason, envelope }) => [reason, String(envelope)]),
    [['slot-lost', String((dag.get('A1') as VerifiedEnvelope).hash)]],
  );
});

test('DAG-6.3: what follows a loser does not count either, and the issuer may go on from the winner', () => {
  const dag = parseDag(members, `A1+1 A1'+1 B1<A1' C1<A1' A2<A1+1 D1<A1,A2,B1,C1`);
  const graph = graphOf(members);
  for (const envelope of dag.values()) place(graph, envelope);
  const first = evaluated(graph, [dag.get('D1') as VerifiedEnvelope]);
  assert.equal(first.applied.length, 1);
  assert.equal(first.ignored.length, 2);
  commit(graph, first);
  const winner = dag.get(`A1'`) as VerifiedEnvelope;
  const next = envelopeOf(members, {
    issuer: 0,
    sequence: 2,
    previous: winner.hash,
    parents: [winner.hash, (dag.get('D1') as VerifiedEnvelope).hash],
    time: START + 100,
    anchor: graph.anchors.last.hash,
    payloads: [payloadOf('late', 1)],
    // What its equivocation costs it.
    bits: 4,
  });
  place(graph, next);
  assert.equal(evaluated(graph, [next]).applied.length, 1);
});

test('DAG-6.3: both halves of an equivocation never count, also when they come in different checkpoints (double commit)', () => {
  const graph = graphOf(members);
  const dag = parseDag(members, `A1+1 A1'+1 B1<A1 C1<A1'`);
  for (const envelope of dag.values()) graph.insert(envelope, 'requested');
  const first = evaluated(graph, [dag.get('B1') as VerifiedEnvelope]);
  commit(graph, first);
  const second = evaluated(graph, [dag.get('C1') as VerifiedEnvelope], first.checkpoint.time);
  assert.equal(first.applied.length, 1);
  assert.deepEqual([second.applied.length, second.ignored.map(({ reason }) => reason)], [0, ['slot-lost']]);
  assert.equal(second.order.length, 2, 'it is final all the same');
});

test('DAG-6.3: at equal stake the smaller salted hash wins, and grinding a hash gains nothing (order grinding)', () => {
  let wins = 0;
  const rounds = 400;
  for (let i = 0; i < rounds; i += 1) {
    const rivals = [0, 1].map((n) =>
      envelopeOf(members, { issuer: 0, parents: [SUBNET], time: START + 2 * i + n }),
    );
    // The attacker grinds: its version has the smaller hash.
    rivals.sort((a, b) => compareBytes(a.hash, b.hash));
    const salt: Hash = sha256(Uint8Array.of(i & 255, i >> 8, 9));
    const graph = graphOf(members);
    graph.anchors.add({ hash: salt, sequence: 1, powBits: 0 });
    for (const rival of rivals) graph.insert(rival, 'requested');
    const { lanes } = evaluated(graph, rivals);
    const winner = lanes.issuerLane(0)?.hash as Hash;
    const salted = rivals.map((rival) => hashTagged('envelope', salt, rival.hash));
    const expected = compareBytes(salted[0] as Hash, salted[1] as Hash) < 0 ? rivals[0] : rivals[1];
    assert.deepEqual(winner, expected?.hash);
    if (winner === rivals[0]?.hash) wins += 1;
  }
  assert.ok(Math.abs(wins - rounds / 2) < 50, `the ground one won ${wins} of ${rounds}`);
});

test('DAG-6.4: the roots are Merkle roots over the order and over the applied payloads', () => {
  const dag = parseDag(members, 'A1+2 B1<A1+1 C1<B1');
  const graph = graphOf(members);
  for (const envelope of dag.values()) place(graph, envelope);
  const { checkpoint, applied, order } = evaluated(graph, [dag.get('C1') as VerifiedEnvelope]);
  assert.deepEqual(checkpoint.inclusionRoot, merkleRoot([...dag.values()].map((vertex) => vertex.hash)));
  assert.deepEqual(checkpoint.appliedRoot, merkleRoot(applied.map(({ payload }) => payload.id)));
  assert.deepEqual([checkpoint.envelopeCount, checkpoint.payloadCount, order.length], [3, 3, 3]);
  assert.equal(checkpoint.time, START + 2);
  assert.equal(evaluated(graph, [dag.get('C1') as VerifiedEnvelope], START + 50).checkpoint.time, START + 50);
});

test('DAG-7.2: a payload in two envelopes, of one checkpoint or of two, is applied once (shared payload halt)', () => {
  const payload = payloadOf('lamp', 1);
  const graph = graphOf(members);
  const [a, b, c] = [0, 1, 2].map((issuer) =>
    envelopeOf(members, { issuer, parents: [SUBNET], payloads: [payload] }),
  ) as [VerifiedEnvelope, VerifiedEnvelope, VerifiedEnvelope];
  for (const envelope of [a, b, c]) place(graph, envelope);
  const first = evaluated(graph, [a, b]);
  assert.deepEqual([first.applied.length, first.ignored.map(({ reason }) => reason)], [1, ['duplicate']]);
  commit(graph, first);
  const second = evaluated(graph, [c], first.checkpoint.time);
  assert.deepEqual([second.applied.length, second.ignored.map(({ reason }) => reason)], [0, ['duplicate']]);
});

test('DAG-3.5: the base follows finalised load by one bit, within its bounds, the same for everyone', () => {
  const next = (powBits: number, envelopes: number, elapsedMs: number): number =>
    nextPowBits({ powBits, base: 4, envelopes, elapsedMs });
  assert.equal(next(8, 2001, 2000), 9);
  assert.equal(next(8, 2000, 2000), 8);
  assert.equal(next(8, 499, 2000), 7);
  assert.equal(next(8, 500, 2000), 8);
  assert.equal(next(4, 0, 2000), 4, 'not below the subnet’s base');
  assert.equal(next(LIMITS.powBitsMax, 20_000, 1000), LIMITS.powBitsMax);
  // A checkpoint after a minute’s cut holds much, at no great rate.
  assert.equal(next(8, 20_000, 60_000), 8);
});
