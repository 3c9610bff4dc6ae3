import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256, type Hash } from '../crypto/hash.ts';
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
import type { Graph, Insertion, Origin } from './graph.ts';
import { canonicalOrder } from './order.ts';
import { RATE, rateLevel, rateSurcharge } from './proof-of-work.ts';
import type { VerifiedEnvelope } from './verify.ts';

const members = equalMembers(4);
const hash = (n: number): Hash => sha256(Uint8Array.of(n & 255, n >> 8));

function codeOf(insertion: Insertion): string {
  return insertion.kind === 'refused' ? insertion.code : insertion.kind;
}

function insert(graph: Graph, envelope: VerifiedEnvelope, origin: Origin = 'gossip'): string {
  return codeOf(graph.insert(envelope, origin));
}

function pass(graph: Graph, count: number): Hash {
  for (let i = 0; i < count; i += 1) {
    const sequence = graph.anchors.head + 1;
    graph.anchors.add({ hash: hash(sequence), sequence, powBits: 0 });
    graph.finalise([], sequence);
  }
  return graph.anchors.last.hash;
}

test('DAG-2.3: an old anchor is refused unasked and taken when asked for (PoW stockpile)', () => {
  const graph = graphOf(members);
  graph.finals.add({ hash: hash(999), checkpoint: 0, time: START });
  pass(graph, LIMITS.anchorAgeMax);
  const old = envelopeOf(members, { issuer: 0, parents: [SUBNET] });
  assert.equal(insert(graph, old), 'inserted');
  pass(graph, 1);
  const later = envelopeOf(members, { issuer: 1, parents: [SUBNET] });
  assert.equal(insert(graph, later), 'envelope.too-old');
  assert.equal(insert(graph, later, 'requested'), 'inserted');
});

test('DAG-2.4: an unknown anchor is waited for, not judged', () => {
  const graph = graphOf(members);
  const early = envelopeOf(members, { issuer: 0, parents: [SUBNET], anchor: hash(1) });
  assert.equal(insert(graph, early), 'anchor-unknown');
  pass(graph, 1);
  assert.equal(insert(graph, early), 'inserted');
});

test('DAG-2.5: the predecessor is of the same issuer and lane, one before', () => {
  const graph = graphOf(members);
  const a1 = envelopeOf(members, { issuer: 0, parents: [SUBNET] });
  place(graph, a1);
  const follow = (change: object): string =>
    insert(
      graph,
      envelopeOf(members, { issuer: 0, sequence: 2, previous: a1.hash, parents: [a1.hash], ...change }),
    );
  assert.equal(follow({ issuer: 1 }), 'envelope.sequence');
  assert.equal(follow({ lane: 1 }), 'envelope.sequence');
  assert.equal(follow({ sequence: 3 }), 'envelope.sequence');
  assert.equal(follow({}), 'inserted');
});

test('DAG-2.5: also when the predecessor is final, and nothing may follow another than the counted one', () => {
  const graph = graphOf(members);
  const dag = parseDag(members, `A1 A1'`);
  const [a1, twin] = [...dag.values()] as [VerifiedEnvelope, VerifiedEnvelope];
  graph.finals.add({ hash: a1.hash, checkpoint: 0, time: START });
  graph.finals.add({ hash: twin.hash, checkpoint: 0, time: START });
  const lane = { issuer: 0, lane: 0, sequence: 1, hash: a1.hash, time: START, level: 1000 };
  graph.lanes.issuerLanes.set(0, lane);
  const next = (previous: Hash, sequence: number): VerifiedEnvelope =>
    envelopeOf(members, { issuer: 0, sequence, previous, parents: [previous], time: START + 9 });
  assert.equal(insert(graph, next(a1.hash, 3)), 'envelope.sequence');
  assert.equal(insert(graph, next(twin.hash, 2)), 'envelope.equivocation');
  const late = envelopeOf(members, { issuer: 0, parents: [SUBNET], time: START + 9 });
  assert.equal(insert(graph, late), 'envelope.equivocation');
  assert.equal(insert(graph, next(a1.hash, 2)), 'inserted');
});

test('DAG-2.6: no envelope is earlier than a parent (back-dated envelopes pay less PoW)', () => {
  const graph = graphOf(members);
  const a1 = envelopeOf(members, { issuer: 0, parents: [SUBNET], time: START + 1000 });
  place(graph, a1);
  const own = envelopeOf(members, {
    issuer: 0,
    sequence: 2,
    previous: a1.hash,
    parents: [a1.hash],
    time: START + 999,
  });
  const other = envelopeOf(members, { issuer: 1, parents: [a1.hash], time: START + 999 });
  assert.equal(insert(graph, own), 'envelope.malformed');
  assert.equal(insert(graph, other), 'envelope.malformed');
  const final = envelopeOf(members, { issuer: 2, parents: [hash(7)], time: START });
  graph.finals.add({ hash: hash(7), checkpoint: 0, time: START + 1 });
  assert.equal(insert(graph, final), 'envelope.malformed');
});

test('DAG-2.7: nobody attaches to what was final long before the anchor (old part of the DAG)', () => {
  const graph = graphOf(members);
  const a1 = envelopeOf(members, { issuer: 0, parents: [SUBNET] });
  graph.finals.add({ hash: a1.hash, checkpoint: 1, time: START });
  const anchorAt = (sequence: number): Hash => pass(graph, sequence - graph.anchors.head);
  const fine = envelopeOf(members, {
    issuer: 1,
    parents: [a1.hash],
    anchor: anchorAt(1 + LIMITS.parentDepthMax),
  });
  assert.equal(insert(graph, fine), 'inserted');
  const anchor = anchorAt(2 + LIMITS.parentDepthMax);
  assert.equal(
    insert(graph, envelopeOf(members, { issuer: 2, parents: [a1.hash], anchor })),
    'envelope.too-old',
  );
  // The predecessor is exempt: a member that was away goes on where it stopped.
  graph.lanes.issuerLanes.set(0, {
    issuer: 0,
    lane: 0,
    sequence: 1,
    hash: a1.hash,
    time: START,
    level: 1000,
  });
  const own = envelopeOf(members, { issuer: 0, sequence: 2, previous: a1.hash, parents: [a1.hash], anchor });
  assert.equal(insert(graph, own), 'inserted');
});

test('DAG-2.8: one issuer cannot fill the room of the others, and requests may use what gossip may not', () => {
  const graph = graphOf(members, 3);
  const share = LIMITS.pendingEnvelopesMax / 4;
  graph.pendingByMember[0] = share / 2;
  const envelope = (issuer: number): VerifiedEnvelope => envelopeOf(members, { issuer, parents: [SUBNET] });
  assert.equal(insert(graph, envelope(0)), 'envelope.pool-full');
  assert.equal(insert(graph, envelope(1)), 'inserted');
  assert.equal(insert(graph, envelope(0), 'requested'), 'inserted');
  graph.pendingByMember[0] = share;
  const second = envelopeOf(members, { issuer: 0, lane: 1, parents: [SUBNET] });
  assert.equal(insert(graph, second, 'requested'), 'envelope.pool-full');
  assert.equal(insert(graph, second, 'certified'), 'inserted');
  assert.equal(graph.isCrowded(), false);
  graph.pendingByMember[3] = share / 4;
  assert.equal(graph.isCrowded(), true);
});

test('DAG-2.8: one issuer’s largest envelopes do not take the bytes of the others', () => {
  const graph = graphOf(members);
  const large = (lane: number): VerifiedEnvelope => {
    const envelope = envelopeOf(members, { issuer: 0, lane, parents: [SUBNET] });
    // As long as an envelope may be; what it holds does not matter here.
    return { ...envelope, encoded: new Uint8Array(LIMITS.envelopeBytesMax) } as VerifiedEnvelope;
  };
  let taken = 0;
  let previous = large(0);
  while (insert(graph, previous) === 'inserted') {
    taken += 1;
    const { hash } = previous;
    const next = envelopeOf(members, { issuer: 0, sequence: taken + 1, previous: hash, parents: [hash] });
    previous = { ...next, encoded: new Uint8Array(LIMITS.envelopeBytesMax) } as VerifiedEnvelope;
  }
  assert.equal(taken, LIMITS.pendingBytesMax / 4 / 2 / LIMITS.envelopeBytesMax);
  assert.equal(insert(graph, previous), 'envelope.pool-full');
  assert.equal(insert(graph, envelopeOf(members, { issuer: 1, parents: [SUBNET] })), 'inserted');
});

test('DAG-2.9: two envelopes of a slot are evidence, a third is refused unless asked for (equivocation spam)', () => {
  const graph = graphOf(members);
  const dag = parseDag(members, `A1 A1' A1'' A1'''`);
  const [one, two, three, four] = [...dag.values()] as VerifiedEnvelope[];
  place(graph, one as VerifiedEnvelope);
  assert.equal(graph.tips.size, 1);
  const second = graph.insert(two as VerifiedEnvelope, 'gossip');
  assert.equal(second.kind === 'inserted' ? second.conflict : undefined, one);
  assert.equal(graph.tips.size, 0, 'a contested lane has no tip');
  assert.equal(insert(graph, three as VerifiedEnvelope), 'envelope.equivocation');
  assert.equal(insert(graph, four as VerifiedEnvelope, 'requested'), 'inserted');
});

test('DAG-3.2: too little work for the anchor’s base is refused also where verification could not know it', () => {
  const graph = graphOf(members);
  const anchor = hash(1);
  graph.anchors.add({ hash: anchor, sequence: 1, powBits: 6 });
  const weak = envelopeOf(members, { issuer: 0, parents: [SUBNET], anchor, bits: 0, time: START });
  const strong = envelopeOf(members, { issuer: 0, parents: [SUBNET], anchor, bits: 6, time: START });
  if (weak.workBits < 6) assert.equal(insert(graph, weak), 'envelope.proof-of-work');
  assert.equal(insert(graph, strong), 'inserted');
});

test('DAG-3.4: the n-th envelope of a burst costs what the formula says, on every node alike', () => {
  assert.equal(rateSurcharge(256_000), 0);
  assert.equal(rateSurcharge(256_001), 1);
  assert.equal(rateSurcharge(320_000), 2);
  assert.equal(rateSurcharge(10_000_000), RATE.surchargeMax);
  assert.equal(rateLevel(300_000, 1000), 251_000);
  assert.equal(rateLevel(10_000, 1000), 1000);

  const near = graphOf(members);
  const far = graphOf(members);
  let previous: Hash = SUBNET;
  let refusedAt = 0;
  for (let sequence = 1; refusedAt === 0; sequence += 1) {
    let next = envelopeOf(members, { issuer: 0, sequence, previous, parents: [previous], time: START });
    // Luck may show more bits than asked for; the rule is about what is asked for.
    for (let nonce = 1; next.workBits > 0; nonce += 1)
      next = envelopeOf(members, {
        issuer: 0,
        sequence,
        previous,
        parents: [previous],
        time: START,
        payloads: [payloadOf('n', nonce)],
      });
    const verdict = insert(near, next);
    assert.equal(insert(far, next), verdict);
    if (verdict === 'envelope.proof-of-work') refusedAt = sequence;
    else assert.equal(verdict, 'inserted');
    previous = next.hash;
  }
  assert.equal(refusedAt, 257);
});

test('DAG-6.5: final envelopes leave memory, places are reused, children stand on a checkpoint', () => {
  const graph = graphOf(members);
  let heads: Hash[] = [SUBNET, SUBNET, SUBNET, SUBNET];
  const capacity = graph.slab.capacity;
  for (let sequence = 1; sequence <= 400; sequence += 1) {
    const next = heads.map((previous, issuer) =>
      envelopeOf(members, {
        issuer,
        sequence,
        previous,
        parents: sequence === 1 ? [SUBNET] : heads,
        time: START + 20 * sequence,
        anchor: graph.anchors.last.hash,
      }),
    );
    for (const envelope of next) place(graph, envelope);
    heads = next.map((envelope) => envelope.hash);
    if (sequence % 10 !== 0) continue;
    // All but the newest row.
    const newest = new Set(heads.map((head) => graph.place(head)));
    const anchors = [...newest].flatMap((at) => [at as number]);
    const order = (canonicalOrder(graph.slab, anchors) as number[]).filter((at) => !newest.has(at));
    const checkpoint = graph.anchors.head + 1;
    graph.anchors.add({ hash: hash(checkpoint), sequence: checkpoint, powBits: 0 });
    for (const at of order) {
      const { issuer, envelope, hash: name } = graph.slab.envelope(at);
      graph.lanes.issuerLanes.set(issuer * LIMITS.envelopeLanesMax, {
        issuer,
        lane: 0,
        sequence: envelope.sequence,
        hash: name,
        time: envelope.time,
        level: 0,
      });
    }
    graph.finalise(order, checkpoint);
    assert.equal(graph.slab.count, 4);
    assert.equal(graph.slab.capacity, capacity);
    assert.equal(graph.locate(heads[0] as Hash), graph.place(heads[0] as Hash));
  }
  const left = heads.map((head) => graph.slab.envelope(graph.place(head) as number).encoded.length);
  assert.equal(
    graph.slab.bytes,
    left.reduce((sum, bytes) => sum + bytes, 0),
  );
  assert.equal(graph.finals.size, 1596);
});

test('DAG-6.6: what nobody else approves is dropped in time with all that stands on it, except one’s own', () => {
  const graph = graphOf(members, 3);
  const dag = parseDag(members, 'A1 A2<A1 A3<A2 B1 C1<B1 D1');
  const at = (name: string): number | undefined => graph.place((dag.get(name) as VerifiedEnvelope).hash);
  for (const envelope of dag.values()) place(graph, envelope);
  pass(graph, 2 * LIMITS.parentDepthMax);
  assert.equal(graph.slab.count, 6);
  pass(graph, 1);
  assert.deepEqual(['A1', 'A2', 'A3', 'C1'].map(at), [undefined, undefined, undefined, undefined]);
  assert.notEqual(at('B1'), undefined, 'C approved it');
  assert.notEqual(at('D1'), undefined, 'our own');
  // Evicted is not refused: it may come again when it is needed.
  assert.equal(insert(graph, dag.get('A1') as VerifiedEnvelope, 'requested'), 'inserted');
  assert.equal(graph.pendingByMember[0], 1);
});
