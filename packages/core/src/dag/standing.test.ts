import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { envelopeOf, equalMembers, graphOf, membersOf, place, START, SUBNET } from '../testing/dag.ts';
import type { Graph } from './graph.ts';
import { LaneDraft, LaneTable } from './lanes.ts';
import { evaluate } from './order.ts';
import {
  adjustmentOf,
  bitsNeeded,
  closeEpoch,
  creditedWork,
  freshConduct,
  freshStanding,
  judge,
  STANDING,
  type Standing,
} from './standing.ts';
import type { VerifiedEnvelope } from './verify.ts';

const good = { ...freshConduct(), counted: 1 };
const equivocated = { ...freshConduct(), counted: 1, lost: 1 };
const lazy = { ...freshConduct(), counted: 1, lazy: 1 };

function after(conducts: readonly ReturnType<typeof freshConduct>[]): Standing {
  const standing = freshStanding();
  for (const conduct of conducts) judge(standing, conduct);
  return standing;
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

function weightsAfter(stake: readonly number[], work: readonly number[], powBits: number): number[] {
  const standings = work.map((done) => ({ ...freshStanding(), work: done }));
  closeEpoch(standings, stake, powBits);
  return standings.map(({ workWeight }) => workWeight);
}

test('DAG-3.6: a lost slot costs four bits, a lazy envelope one, at most eight; a bit goes in sixteen checkpoints', () => {
  assert.equal(adjustmentOf(after([equivocated])), 4);
  assert.equal(adjustmentOf(after([lazy])), 1);
  assert.equal(adjustmentOf(after(times(5, equivocated))), 8);
  assert.equal(adjustmentOf(after([equivocated, ...times(15, good)])), 4);
  assert.equal(adjustmentOf(after([equivocated, ...times(16, good)])), 3);
  assert.equal(adjustmentOf(after([equivocated, ...times(64, freshConduct())])), 0);
});

test('DAG-3.6: sixty-four good checkpoints earn a bit, up to three; one fault takes all of it; silence earns nothing', () => {
  assert.equal(adjustmentOf(after(times(63, good))), 0);
  assert.equal(adjustmentOf(after(times(64, good))), -1);
  assert.equal(adjustmentOf(after(times(1000, good))), -3);
  assert.equal(adjustmentOf(after(times(1000, freshConduct()))), 0);
  assert.equal(adjustmentOf(after([...times(1000, good), lazy])), 1);
});

test('DAG-3.2: base, surcharge and standing add up, never below the subnet’s base', () => {
  const anchor = { powBits: 10, adjustments: [0, 8, -3] };
  assert.equal(bitsNeeded(anchor, 0, 2, 8), 12);
  assert.equal(bitsNeeded(anchor, 1, 2, 8), 20);
  assert.equal(bitsNeeded(anchor, 2, 2, 8), 9);
  assert.equal(bitsNeeded(anchor, 2, 0, 8), 8);
  assert.equal(bitsNeeded({ powBits: 10 }, 1, 0, 8), 10);
});

test('DAG-5.3: work never weighs more than a quarter of everything, nor more than a member’s own stake (hashrate attack)', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 0xffff_ffff }), fc.nat(2 ** 44)), {
        minLength: 1,
        maxLength: 32,
      }),
      fc.nat(24),
      (members, powBits) => {
        const stake = members.map(([weight]) => weight);
        const weights = weightsAfter(
          stake,
          members.map(([, work]) => work),
          powBits,
        );
        const total = stake.reduce((sum, weight) => sum + weight, 0);
        const work = weights.reduce((sum, weight) => sum + weight, 0);
        assert.ok(4 * work <= total + work, `${work} of ${total + work}`);
        for (const [i, weight] of weights.entries()) assert.ok(weight >= 0 && weight <= (stake[i] as number));
      },
    ),
  );
});

test('DAG-5.3: an attacker with a hundred times the hashes of all others gains at most its own stake (hashrate attack)', () => {
  const stake = [10, 10, 10, 10];
  const honest = 1000 * 2 ** 12;
  const [attacker, ...others] = weightsAfter(stake, [300 * honest, honest, honest, honest], 12);
  assert.equal(attacker, 10);
  const all = 40 + (attacker as number) + others.reduce((sum, weight) => sum + weight, 0);
  // Its stake is a quarter; with all the work of the subnet it has less than half, and never what two thirds need.
  assert.ok(10 + (attacker as number) < all / 2);
  assert.deepEqual(weightsAfter(stake, times(4, honest), 12), times(4, 3));
});

test('DAG-5.3: who is alone awake in a quiet subnet does not get the whole third for a few hashes', () => {
  const stake = times(8, 100);
  const one = creditedWork(12);
  assert.deepEqual(weightsAfter(stake, [one, ...times(7, 0)], 12), times(8, 0));
  const all = weightsAfter(stake, times(8, one * STANDING.epochCheckpoints), 12);
  assert.deepEqual(all, times(8, 33));
});

const members = membersOf([30, 30, 30, 10]);
const stake = members.map(({ weight }) => weight);

interface Step {
  readonly graph: Graph;
  readonly heads: Map<number, VerifiedEnvelope>;
  lastTime: number;
}

function started(): Step {
  return { graph: graphOf(members), heads: new Map(), lastTime: 0 };
}

function next(step: Step, issuer: number, change: object = {}): VerifiedEnvelope {
  const before = step.heads.get(issuer);
  return envelopeOf(members, {
    issuer,
    sequence: (before?.envelope.sequence ?? 0) + 1,
    previous: before?.hash ?? SUBNET,
    parents: [...new Set([before?.hash ?? SUBNET, ...(before === undefined ? [] : heads(step))])],
    anchor: step.graph.anchors.last.hash,
    time: START + 100 * step.graph.anchors.head + issuer,
    ...change,
  });
}

const heads = (step: Step): Hash[] => [...step.heads.values()].map((head) => head.hash);

/** One envelope of each issuer, all of them final in one checkpoint. */
function checkpoint(step: Step, issuers: readonly number[], bits = 0): void {
  const { graph } = step;
  const made = issuers.map((issuer) => next(step, issuer, { bits }));
  for (const envelope of made) {
    place(graph, envelope);
    step.heads.set(envelope.issuer, envelope);
  }
  finalise(step, made);
}

function finalise(step: Step, anchors: readonly VerifiedEnvelope[]): void {
  const { graph } = step;
  const places = anchors.map((anchor) => graph.place(anchor.hash) as number);
  const evaluation = evaluate(graph, { id: SUBNET, powBits: 0, lastTime: step.lastTime }, places);
  assert.ok(evaluation !== undefined);
  const { checkpoint: made, hash, lanes, order } = evaluation;
  graph.advance(lanes, { hash, sequence: made.sequence, powBits: 0 });
  graph.finalise(order, made.sequence);
  step.lastTime = made.time;
}

test('DAG-5.3: weights change at the end of an epoch only, alike for who followed and who restored', () => {
  const step = started();
  for (let i = 1; i < STANDING.epochCheckpoints; i += 1) {
    checkpoint(step, [0, 1]);
    assert.equal(step.graph.weights.weightOf(0b11), step.graph.weights.stakeOf(0b11));
  }
  checkpoint(step, [0, 1]);
  const { weights, lanes } = step.graph;
  assert.ok(weights.weightOf(0b11) > weights.stakeOf(0b11));
  assert.equal(weights.weightOf(0b1100), weights.stakeOf(0b1100));
  const restored = graphOf(members);
  restored.restoreLanes(LaneTable.from(stake, [...lanes.entries()]));
  assert.deepEqual(restored.lanes.root, lanes.root);
  for (let bits = 0; bits < 16; bits += 1)
    assert.equal(restored.weights.weightOf(bits), weights.weightOf(bits));
});

/** Two versions of one slot, the first approved by member 1, the second by members 2 and 3. */
function contest(graph: Graph): Hash | undefined {
  const anchor = graph.anchors.last.hash;
  const rivals = [0, 1].map((n) =>
    envelopeOf(members, { issuer: 0, parents: [SUBNET], time: START + n, anchor }),
  ) as [VerifiedEnvelope, VerifiedEnvelope];
  const approve = (issuer: number, of: VerifiedEnvelope): VerifiedEnvelope =>
    envelopeOf(members, { issuer, parents: [of.hash], time: START + 9, anchor });
  const light = members.findIndex(({ weight }) => weight === 10);
  const [one, two] = [1, 2, 3].filter((i) => i !== light && i !== 0) as [number, number];
  const all = [...rivals, approve(one, rivals[0]), approve(two, rivals[1]), approve(light, rivals[1])];
  for (const envelope of all) assert.equal(graph.insert(envelope, 'requested').kind, 'inserted');
  const anchors = all.slice(2).map(({ hash }) => graph.place(hash) as number);
  anchors.sort((a, b) => (String(graph.slab.hash(a)) < String(graph.slab.hash(b)) ? -1 : 1));
  const evaluation = evaluate(graph, { id: SUBNET, powBits: 0, lastTime: 0 }, anchors);
  const winner = evaluation?.lanes.issuerLane(0)?.hash;
  return winner === undefined
    ? undefined
    : String(winner) === String(rivals[0].hash)
      ? rivals[0].hash
      : rivals[1].hash;
}

test('DAG-5.4: work can turn a contested slot, but neither acceptance nor a quorum', () => {
  const plain = graphOf(members);
  const swayed = graphOf(members);
  const light = members.findIndex(({ weight }) => weight === 10);
  const strong = [1, 2, 3].find((i) => i !== light) as number;
  swayed.weights.setWork(members.map((_, i) => (i === strong ? 30 : 0)));
  const [without, withWork] = [contest(plain), contest(swayed)];
  assert.notDeepEqual(without, withWork, 'ten of stake against thirty of work');
  for (const graph of [plain, swayed]) {
    const states = [...graph.slab.state.subarray(0, graph.slab.count)];
    assert.deepEqual(states, [...plain.slab.state.subarray(0, plain.slab.count)]);
    assert.equal(graph.weights.threshold, 67);
  }
});

test('DAG-5.5: level 1 needs more than half of stake and work: out of reach for a third of the stake with all the work', () => {
  const four = equalMembers(4);
  const graph = graphOf(four);
  const envelope = envelopeOf(four, { issuer: 0, parents: [SUBNET] });
  const at = place(graph, envelope);
  assert.equal(graph.weights.levelOf(graph.slab, at), 0);
  graph.weights.setWork([10, 0, 0, 0]);
  assert.equal(graph.weights.levelOf(graph.slab, at), 0, '20 of 50');
  const second = envelopeOf(four, { issuer: 1, parents: [envelope.hash] });
  place(graph, second);
  assert.equal(graph.weights.levelOf(graph.slab, at), 1, '30 of 50');
  place(graph, envelopeOf(four, { issuer: 2, parents: [second.hash] }));
  assert.equal(graph.weights.levelOf(graph.slab, at), 2, 'accepted by stake');
});

test('DAG-3.6: an equivocation that became final costs its issuer bits under every later anchor, others nothing', () => {
  const step = started();
  checkpoint(step, [0, 1, 2]);
  const before = step.graph.anchors.last.hash;
  const rivals = [next(step, 0), next(step, 0, { time: START + 150 })];
  for (const rival of rivals) step.graph.insert(rival, 'requested');
  finalise(
    step,
    [...rivals].sort((a, b) => (Buffer.compare(a.hash, b.hash) < 0 ? -1 : 1)),
  );
  const { adjustments } = step.graph.anchors.last;
  assert.deepEqual(adjustments, [4, 0, 0, 0]);
  const winner = step.graph.lanes.issuerLane(0, 0)?.hash as Hash;
  const follow = (bits: number, anchor: Hash, extra: number): string => {
    for (let n = 0; ; n += 1) {
      const time = START + 1000 + extra + n;
      const envelope = envelopeOf(members, {
        issuer: 0,
        sequence: 3,
        previous: winner,
        parents: [winner],
        time,
        anchor,
        bits,
      });
      // Luck may show more bits than asked for.
      if (envelope.workBits !== bits) continue;
      const insertion = step.graph.insert(envelope, 'gossip');
      return insertion.kind === 'refused' ? insertion.code : insertion.kind;
    }
  };
  assert.equal(follow(3, step.graph.anchors.last.hash, 0), 'envelope.proof-of-work');
  assert.equal(follow(0, before, 1000), 'inserted', 'as of the anchor before, nothing was known');
  const honest = next(step, 1);
  assert.equal(step.graph.insert(honest, 'gossip').kind, 'inserted');
});

test('DAG-3.7: lazy is who names a new anchor and approves only what is old; who was cut off is not', () => {
  const step = started();
  checkpoint(step, [0, 1, 2]);
  const old = heads(step);
  for (let i = 0; i <= LIMITS.lazyNewestMax; i += 1) checkpoint(step, [1, 2]);
  const base = { ...step, heads: new Map(step.heads) };
  const idle = next(base, 0, { parents: old });
  place(step.graph, idle);
  finalise(step, [idle]);
  assert.deepEqual(step.graph.anchors.last.adjustments, [1, 0, 0, 0]);

  const other = started();
  checkpoint(other, [0, 1, 2]);
  const anchor = other.graph.anchors.last.hash;
  const cut = next(other, 0, { anchor });
  for (let i = 0; i <= LIMITS.lazyNewestMax; i += 1) checkpoint(other, [1, 2]);
  place(other.graph, cut);
  finalise(other, [cut]);
  assert.equal(other.graph.anchors.last.adjustments, undefined);
});

test('DAG-7.1: standings are in the state root', () => {
  const table = new LaneTable([1, 1]);
  const quiet = new LaneDraft(table, SUBNET);
  const busy = new LaneDraft(table, SUBNET);
  const conducts = [freshConduct(), freshConduct()];
  quiet.judge(conducts, 1, 0);
  busy.judge([good, equivocated], 1, 0);
  assert.notDeepEqual(busy.finish().root, quiet.finish().root);
  table.adopt(busy);
  const copy = LaneTable.from([1, 1], [...table.entries()]);
  assert.deepEqual(copy.standings, table.standings);
  assert.deepEqual(copy.root, table.root);
});
