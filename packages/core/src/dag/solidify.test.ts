import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256, type Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { envelopeOf, equalMembers, graphOf, START, SUBNET } from '../testing/dag.ts';
import { noEffects, TIMING } from './effects.ts';
import { Accusations } from './accusations.ts';
import { Intake } from './intake.ts';
import { Solidifier } from './solidify.ts';
import type { VerifiedEnvelope } from './verify.ts';

const members = equalMembers(4);
const hash = (n: number): Hash => sha256(Uint8Array.of(n & 255, (n >> 8) & 255, n >> 16));
const solidifier = (): Solidifier => new Solidifier({ members: 4, self: 0, timing: TIMING });

/** Cheap stand-ins: only hash, issuer and size matter here. */
function stub(n: number, issuer: number): VerifiedEnvelope {
  const envelope = { anchor: SUBNET };
  return {
    hash: hash(1_000_000 + n),
    issuer,
    envelope,
    encoded: new Uint8Array(300),
  } as unknown as VerifiedEnvelope;
}

test('DAG-9.1: a missing parent is asked of the sender first, then of the others, ever more rarely, and given up', () => {
  const s = solidifier();
  s.hold({ envelope: stub(1, 2), from: 2, origin: 'gossip' }, [hash(1)], 0);
  const asked: [number, number][] = [];
  for (let now = 0; now < 120_000; now += 50) for (const { to } of s.due(now)) asked.push([now, to]);
  assert.equal(asked[0]?.[1], 2);
  assert.deepEqual(new Set(asked.slice(0, 3).map(([, to]) => to)), new Set([1, 2, 3]));
  const pauses = asked.slice(1).map(([now], i) => now - (asked[i]?.[0] ?? 0));
  for (const [i, pause] of pauses.entries()) {
    assert.ok(pause >= (pauses[i - 1] ?? 0));
    assert.ok(pause <= TIMING.requestMaxMs);
  }
  assert.equal(asked.length, 16);
  assert.equal(s.missingCount, 0);
  assert.equal(s.waitingCount, 0, 'what waited for it is dropped too');
});

test('DAG-9.1: what a committed checkpoint needs is never given up', () => {
  const s = solidifier();
  s.want(hash(1), { announcer: -1, certified: true, now: 0 });
  let asked = 0;
  for (let now = 0; now < 600_000; now += 1000) asked += s.due(now).length;
  assert.ok(asked > 100);
  assert.equal(s.missingCount, 1);
  assert.equal(s.originOf(hash(1), 3, false), 'certified');
});

test('DAG-9.2: fabricated parents fill the share of their author and nobody else’s (missing-parent flood)', () => {
  const s = solidifier();
  for (let n = 0; n < 100_000; n += 1)
    s.hold({ envelope: stub(n, 1), from: 1, origin: 'gossip' }, [hash(n)], 0);
  assert.ok(s.missingCount <= LIMITS.missingPerAuthorMax);
  assert.ok(s.waitingCount <= LIMITS.unsolidEnvelopesMax / 4);
  assert.ok(s.bytes <= LIMITS.unsolidBytesMax);
  assert.equal(s.hold({ envelope: stub(200_000, 2), from: 1, origin: 'gossip' }, [hash(200_000)], 0), true);
  assert.equal(s.arrived(hash(200_000)).length, 1);
});

test('DAG-9.2: a third of the members together leave the others their shares, in entries and in bytes', () => {
  const many = equalMembers(31);
  const s = new Solidifier({ members: 31, self: 0, timing: TIMING });
  for (let liar = 1; liar <= 10; liar += 1) {
    for (let n = 0; n < 2_000; n += 1) {
      const envelope = { ...stub(n + 5_000 * liar, liar), encoded: new Uint8Array(LIMITS.envelopeBytesMax) };
      s.hold({ envelope, from: liar, origin: 'gossip' }, [hash(n + 5_000 * liar)], 0);
      s.want(hash(n + 100_000 * liar), { announcer: liar, certified: false, now: 0 });
    }
  }
  assert.ok(s.missingCount <= LIMITS.missingMax);
  assert.ok(s.bytes <= LIMITS.unsolidBytesMax);
  for (let honest = 11; honest < many.length; honest += 1) {
    const number = 7_000_000 + honest;
    assert.equal(
      s.hold({ envelope: stub(number, honest), from: honest, origin: 'gossip' }, [hash(number)], 0),
      true,
    );
    assert.equal(s.arrived(hash(number)).length, 1);
  }
});

test('DAG-9.2: announced hashes are charged to the peer that announces them', () => {
  const s = solidifier();
  for (let n = 0; n < 50_000; n += 1) s.want(hash(n), { announcer: 3, certified: false, now: 0 });
  assert.ok(s.missingCount <= LIMITS.missingPerPeerMax);
  const before = s.missingCount;
  s.want(hash(60_000), { announcer: 2, certified: false, now: 0 });
  assert.equal(s.missingCount, before + 1);
});

test('DAG-9.2: requests stay bounded while a flood is on', () => {
  const s = solidifier();
  for (let n = 0; n < 5_000; n += 1) s.want(hash(n), { announcer: 3, certified: false, now: 0 });
  const asks = s.due(0);
  assert.ok(asks.length <= 3);
  for (const ask of asks) assert.ok(ask.hashes.length <= LIMITS.requestHashesMax);
});

test('DAG-9.1: envelopes in the worst order become solid in one cascade without recursion (deep chain)', () => {
  const graph = graphOf(members);
  const s = solidifier();
  const intake = new Intake(graph, s, new Accusations(graph, -1), -1);
  const chain: VerifiedEnvelope[] = [];
  for (let i = 0; i < 1000; i += 1) {
    const previous = chain[i - 1]?.hash ?? SUBNET;
    chain.push(
      envelopeOf(members, {
        issuer: 1,
        sequence: i + 1,
        previous,
        parents: [previous],
        time: START + 20 * i,
      }),
    );
  }
  const effects = noEffects();
  for (const envelope of chain.slice(1).reverse())
    intake.receive({ envelope, from: 1, origin: 'gossip' }, START + 60_000, effects);
  assert.equal(graph.slab.count, 0);
  assert.equal(s.waitingCount, 999);
  intake.receive(
    { envelope: chain[0] as VerifiedEnvelope, from: 1, origin: 'gossip' },
    START + 60_000,
    effects,
  );
  assert.equal(graph.slab.count, 1000);
  assert.equal(s.waitingCount + s.missingCount, 0);
  assert.deepEqual(effects.refused, []);
});

test('DAG-2.6: an envelope from the future is dropped, and taken when its time has come (clock skew)', () => {
  const graph = graphOf(members);
  const intake = new Intake(graph, solidifier(), new Accusations(graph, -1), -1);
  const envelope = envelopeOf(members, {
    issuer: 1,
    parents: [SUBNET],
    time: START + LIMITS.clockSkewMsMax + 1,
  });
  const effects = noEffects();
  intake.receive({ envelope, from: 1, origin: 'gossip' }, START, effects);
  assert.equal(effects.refused[0]?.code, 'envelope.from-future');
  intake.receive({ envelope, from: 1, origin: 'gossip' }, START + 1, effects);
  assert.notEqual(graph.place(envelope.hash), undefined);
});

test('DAG-2.5: a sequence far ahead of the lane is refused unasked (far-future flood)', () => {
  const graph = graphOf(members);
  const far = LIMITS.sequenceAheadMax + 2;
  graph.finals.add({ hash: hash(1), checkpoint: 0, time: START });
  const envelope = envelopeOf(members, { issuer: 1, sequence: far, previous: hash(1), parents: [hash(1)] });
  const insertion = graph.insert(envelope, 'gossip');
  assert.equal(insertion.kind, 'refused');
});
