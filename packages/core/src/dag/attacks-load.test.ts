/** Attacks of the background study by sheer number: conflicts, lazy issuers, load, requests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
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
import { chooseAnchors } from './checkpoint.ts';
import { makeDraft } from './draft.ts';
import { FairQueue } from './fair-queue.ts';
import type { Graph } from './graph.ts';
import { INGRESS } from './ingress.ts';
import type { VerifiedMessage } from './messages.ts';
import { evaluate, type Evaluation } from './order.ts';
import { ANSWERS } from './serve.ts';
import { isLazy } from './tips.ts';
import type { VerifiedEnvelope } from './verify.ts';

const members = equalMembers(7);
const byHash = (a: VerifiedEnvelope, b: VerifiedEnvelope): number => compareBytes(a.hash, b.hash);

function finalise(graph: Graph, anchors: readonly number[], lastTime: number, powBits = 0): Evaluation {
  const evaluation = evaluate(graph, { id: SUBNET, powBits, lastTime }, anchors);
  assert.ok(evaluation !== undefined);
  const { hash, lanes, order, checkpoint } = evaluation;
  graph.advance(lanes, { hash, sequence: checkpoint.sequence, powBits: checkpoint.powBits });
  graph.finalise(order, checkpoint.sequence);
  return evaluation;
}

const placesOf = (graph: Graph, envelopes: readonly VerifiedEnvelope[]): number[] =>
  [...envelopes].sort(byHash).map(({ hash }) => graph.place(hash) as number);

/** Rounds of honest drafts, with a share of members that stand on what is as old as allowed; confirmation by round. */
function rounds(lazy: number): {
  readonly delays: number[];
  readonly chosenLazy: number;
  readonly poolMin: number;
} {
  const graph = graphOf(equalMembers(10));
  const ten = equalMembers(10);
  const random = seededRandom(5);
  const born = new Map<string, number>();
  const old: Hash[] = [];
  const delays: number[] = [];
  let chosenLazy = 0;
  let poolMin = Number.POSITIVE_INFINITY;
  let lastTime = 0;
  for (let round = 0; round < 30; round += 1) {
    for (let self = 0; self < 10; self += 1) {
      const now = millis(START + 1000 * round + 10 * self);
      const isOld = self < lazy && old.length > 10;
      const what = { payloads: [payloadOf(`device ${self}`, round + 1)], now, lane: 0 };
      const { body } = makeDraft(
        graph,
        { chain: CHAIN, subnet: SUBNET, members: ten, self, random, lastAnchors: [] },
        what,
      );
      const { previous, sequence } = body;
      const lazyParents = [previous, old[old.length - 10] ?? SUBNET].filter((hash) => hash !== SUBNET);
      const parents = isOld ? lazyParents : body.parents;
      if (!isOld) {
        // A lazy issuer’s envelopes turn lazy by and by, as what they stand on ages.
        const { slab, anchors } = graph;
        const places = parents.flatMap((parent) => (parent === previous ? [] : [graph.place(parent) ?? -1]));
        chosenLazy += places.filter((at) => at >= 0 && isLazy(slab, at, anchors.head)).length;
      }
      const made = envelopeOf(ten, {
        issuer: self,
        sequence,
        previous,
        parents,
        time: now,
        anchor: body.anchor,
        payloads: what.payloads,
        // Penalties for being lazy are paid.
        bits: isOld ? 8 : 0,
      });
      place(graph, made);
      if (!isOld) born.set(String(made.hash), round);
      poolMin = Math.min(poolMin, graph.tips.size);
    }
    const anchors = chooseAnchors(graph);
    if (anchors === undefined) continue;
    const { order } = evaluate(graph, { id: SUBNET, powBits: 0, lastTime }, anchors) as Evaluation;
    for (const at of order) {
      const since = born.get(String(graph.slab.hash(at)));
      if (since !== undefined) delays.push(round - since);
    }
    old.push(graph.slab.hash(order[0] as number));
    lastTime = finalise(graph, anchors, lastTime).checkpoint.time;
  }
  return { delays: delays.sort((a, b) => a - b), chosenLazy, poolMin };
}

test('DAG-4.3: thirty per cent of issuers on parents ten checkpoints old delay nobody, are never chosen, and never empty the pool (lazy tips)', () => {
  const even = rounds(0);
  const attacked = rounds(3);
  const p99 = ({ delays }: typeof even): number => delays[Math.floor(0.99 * delays.length)] as number;
  assert.ok(attacked.delays.length > 150);
  assert.ok(p99(attacked) <= 2 * Math.max(1, p99(even)), `${p99(attacked)} rounds against ${p99(even)}`);
  assert.equal(attacked.chosenLazy, 0);
  assert.ok(attacked.poolMin >= 1);
});

/** Two members sign everything twice, in the shapes conflict spammers use; five are honest and approve what they see. */
function conflictSpam(slots: number): { readonly all: VerifiedEnvelope[]; readonly honest: Set<string> } {
  const random = seededRandom(21);
  const all: VerifiedEnvelope[] = [];
  const honest = new Set<string>();
  const heads: (VerifiedEnvelope | undefined)[] = members.map(() => undefined);
  /** The versions of each liar's newest slot. */
  const twins: VerifiedEnvelope[][] = [[], []];
  let time: number = START;
  const make = (
    issuer: number,
    previous: VerifiedEnvelope | undefined,
    others: readonly Hash[],
  ): VerifiedEnvelope => {
    time += 3;
    const parents = [
      ...new Map([...(previous ? [previous.hash] : []), ...others].map((h) => [String(h), h])).values(),
    ];
    const made = envelopeOf(members, {
      issuer,
      sequence: (previous?.envelope.sequence ?? 0) + 1,
      previous: previous?.hash ?? SUBNET,
      parents: parents.length === 0 ? [SUBNET] : parents.slice(0, 8),
      time,
      payloads: issuer < 2 ? [] : [payloadOf(`device ${issuer}`, all.length + 1)],
    });
    all.push(made);
    return made;
  };
  for (let slot = 0; slot < slots; slot += 1) {
    const liar = slot % 2;
    const before = twins[liar] as VerifiedEnvelope[];
    const other = (twins[1 - liar] as VerifiedEnvelope[]).map(({ hash }) => hash);
    const seen = heads.flatMap((head) => (head === undefined ? [] : [head.hash])).slice(0, 3);
    const shape = slot % 5;
    // A plain pair; both on one branch; a circle: each approves a version of the other liar; a tree; a merge of both versions.
    const bases = shape === 1 ? [before[0], before[0]] : [before[0], before[1] ?? before[0]];
    const extra = (n: number): Hash[] =>
      shape === 2 ? other.slice(n, n + 1) : shape === 4 ? other : seen.slice(n, n + 1);
    const pair = bases.map((base, n) => make(liar, base, extra(n)));
    twins[liar] = pair;
    if (slot % 4 !== 3) continue;
    const issuer = 2 + Math.floor(random() * 5);
    const parents = [...pair.slice(0, 1 + (slot % 2)).map(({ hash }) => hash), ...seen];
    const made = make(issuer, heads[issuer], parents);
    heads[issuer] = made;
    honest.add(String(made.hash));
  }
  for (let issuer = 2; issuer < 7; issuer += 1) {
    const made = make(
      issuer,
      heads[issuer],
      [...heads.slice(2), ...twins.flat()].flatMap((v) => (v ? [v.hash] : [])),
    );
    heads[issuer] = made;
    honest.add(String(made.hash));
  }
  return { all, honest };
}

test('DAG-6.3 DAG-2.9: of a thousand slots signed twice in every shape one version counts at most, no honest envelope is lost, and roots are the same in any order (conflict spam)', () => {
  const { all, honest } = conflictSpam(1000);
  const anchors = all.slice(-5);
  // The second hears the last half first: what has no parents yet comes again.
  const results = [all, [...all.slice(all.length / 2), ...all]].map((order) => {
    const graph = graphOf(members);
    for (const envelope of order) graph.insert(envelope, 'requested');
    assert.ok(graph.tips.size <= LIMITS.subnetLanesMax);
    const evaluation = evaluate(graph, { id: SUBNET, powBits: 0, lastTime: 0 }, placesOf(graph, anchors));
    assert.ok(evaluation !== undefined);
    return evaluation;
  });
  const [first, second] = results as [Evaluation, Evaluation];
  assert.deepEqual(second.checkpoint, first.checkpoint);
  const lost = first.ignored.filter(
    ({ reason, envelope }) => reason === 'slot-lost' && honest.has(String(envelope)),
  );
  assert.deepEqual(lost, []);
  assert.equal(first.applied.length, honest.size, 'every honest payload is applied');
  assert.deepEqual(
    first.lanes.standings.map(({ penalty }) => penalty > 0),
    [true, true, false, false, false, false, false],
  );
});

test('DAG-3.5: at three times the load the base rises within two checkpoints, on a node at a tenth of the speed alike, and falls after (dynamic PoW did not rise)', () => {
  const fast = graphOf(members);
  const slow = graphOf(members);
  const heads = new Map<string, Hash>();
  let time: number = START;
  let bases: number[] = [];
  let lastTime = 0;
  for (const perSecond of [
    3 * LIMITS.loadHigh,
    3 * LIMITS.loadHigh,
    LIMITS.loadLow / 5,
    LIMITS.loadLow / 5,
  ]) {
    const made: VerifiedEnvelope[] = [];
    const anchor = fast.anchors.last.hash;
    for (let i = 0; i < perSecond; i += 1) {
      const issuer = i % 7;
      const lane = Math.floor(i / 7) % 9;
      const key = `${issuer}/${lane}`;
      const previous = heads.get(key);
      const last = made.at(-1)?.hash;
      const sequence = previous === undefined ? 1 : Number(fast.sequenceOf(issuer, lane)) + 1;
      const parents = [
        ...new Set([...(previous === undefined ? [] : [previous]), ...(last === undefined ? [] : [last])]),
      ];
      const envelope = envelopeOf(members, {
        issuer,
        lane,
        sequence,
        previous: previous ?? SUBNET,
        parents: parents.length === 0 ? [SUBNET] : parents,
        anchor,
        time: time + Math.floor((1000 * i) / perSecond),
        bits: fast.anchors.last.powBits,
      });
      place(fast, envelope);
      heads.set(key, envelope.hash);
      made.push(envelope);
    }
    // The slow one gets the rest in one heap at the end, newest first.
    const early = made.slice(0, Math.ceil(perSecond / 10));
    for (const envelope of early) slow.insert(envelope, 'requested');
    for (let left = made.slice(early.length).reverse(); left.length > 0;)
      left = left.filter((envelope) => slow.insert(envelope, 'requested').kind === 'missing').reverse();
    const top = made.slice(-1);
    const next = [fast, slow].map((graph) => finalise(graph, placesOf(graph, top), lastTime));
    assert.deepEqual(next[1]?.checkpoint, next[0]?.checkpoint);
    bases = [...bases, next[0]?.checkpoint.powBits as number];
    lastTime = next[0]?.checkpoint.time as number;
    time += 1000;
  }
  assert.deepEqual(bases, [1, 2, 1, 0]);
});

test('DAG-11.2: at ten times the load staked issuers wait no longer than twice as long as without it, and the queue keeps its bound (unbounded unconfirmed)', () => {
  const weights = [10, 10, 20, 30, 30];
  const p99 = (overload: number): number => {
    const queue = new FairQueue<{ flow: number; at: number }>({
      weights,
      quantum: INGRESS.quantumCost,
      quantaMax: INGRESS.quantaMax,
      countMax: INGRESS.screenedCountMax,
      costMax: INGRESS.screenedCostMax,
      delayMaxMs: INGRESS.delayMaxMs,
    });
    const waits: number[] = [];
    // A minute in steps of 10 ms; the checker takes ten signatures in each. The bench does ten.
    for (let now = 0; now < 60_000; now += 10) {
      // Issuers 2 to 4 stay within their share; 0 and 1 send what they like.
      for (let flow = 2; flow < 5; flow += 1)
        if (now % 20 === 0)
          for (let i = 0; i < (flow === 2 ? 3 : 5); i += 1) queue.push(flow, { flow, at: now }, 16, now);
      for (let i = 0; i < 10 * overload; i += 1) queue.push(i % 2, { flow: i % 2, at: now }, 16, now);
      for (let n = 0; n < 10; n += 1) {
        const item = queue.next(now);
        if (item === undefined) break;
        if (item.flow >= 2) waits.push(now - item.at);
      }
      assert.ok(queue.length <= INGRESS.screenedCountMax);
    }
    assert.ok(waits.length > (60_000 / 20) * 12, `${waits.length} were served`);
    return waits.sort((a, b) => a - b)[Math.floor(0.99 * waits.length)] as number;
  };
  const even = p99(0);
  // A turn of everybody is 128 signatures: nobody waits longer than that for the others.
  const turnMs = 10 * Math.ceil((INGRESS.quantumCost * INGRESS.quantaMax) / INGRESS.signatureCost / 10);
  assert.ok(p99(10) <= 2 * Math.max(even, turnMs), `${p99(10)} ms against ${even} ms`);
});

test('DAG-9.8: a greedy requester is answered within its budget, the others as before (outbound storm)', () => {
  const subnet = new TestSubnet(equalMembers(4));
  subnet.run(300);
  const payloads = Array.from({ length: 300 }, (_, i) => payloadOf('lamp', i + 1, 'x'.repeat(400)));
  const made: Hash[] = [];
  for (let i = 0; i < 40; i += 1) {
    const envelope = subnet.issue(0, payloads.slice(i * 7, i * 7 + 7));
    if (envelope !== undefined) made.push(envelope.hash);
  }
  const request = {
    kind: 'envelope-request',
    hashes: made.slice(0, 64),
    heads: [],
  } as unknown as VerifiedMessage;
  const bytesFor = (from: number, times: number): number => {
    let bytes = 0;
    for (let i = 0; i < times; i += 1) {
      const { send } = subnet.step(0, { kind: 'message', from, message: request });
      for (const { message } of send)
        if (message.kind === 'envelopes') for (const each of message.encoded) bytes += each.length;
    }
    return bytes;
  };
  const once = bytesFor(2, 1);
  assert.ok(once > 50_000);
  const greedy = bytesFor(1, 2_000);
  assert.ok(greedy <= ANSWERS.burstBytes + once, `${greedy} bytes`);
  assert.equal(bytesFor(1, 10), 0, 'not answered for a moment');
  assert.equal(bytesFor(2, 1), once, 'the other is');
  subnet.now += 1_000;
  assert.ok(bytesFor(1, 1) > 0, 'and the greedy one again, a second later');
});

test('DAG-10.4 DAG-8.6: a snapshot altered in its state is refused, one of another history stops at the main chain (fake snapshot)', () => {
  const run = (device: string): TestSubnet => {
    const subnet = new TestSubnet(equalMembers(4));
    subnet.run(300);
    for (let i = 0; i < 6; i += 1) {
      subnet.issue(i % 4, [payloadOf(device, i + 1)]);
      subnet.settle();
      subnet.run(400);
    }
    subnet.run(4_000);
    return subnet;
  };
  const [real, fake] = [run('lamp'), run('other')];
  const records = real.node(0).member.snapshot();
  const [first, ...rest] = records;
  assert.ok(first?.kind === 'snapshot');
  const altered = first.bytes.slice();
  // Somewhere in the entries of the state.
  const at = Math.floor(altered.length / 4);
  altered[at] = (altered[at] as number) ^ 1;
  assert.throws(() => real.create(0, [{ ...first, bytes: altered }, ...rest]));
  const other = fake.node(0).member.snapshot();
  real.restart(0, other);
  for (let i = 0; i < 3; i += 1) {
    real.issue(1, [payloadOf('lamp', 20 + i)]);
    real.settle();
    real.run(1_500);
  }
  const { state, checkpoint } = real.node(0).member.status();
  assert.ok(
    state !== 'following' || checkpoint <= fake.chain.length,
    'it applies nothing of a history it does not share',
  );
  assert.notEqual(real.chain.length, 0);
});
