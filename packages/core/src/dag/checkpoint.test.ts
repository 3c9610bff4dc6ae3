import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '../crypto/hash.ts';
import { checkpointHash, type CheckpointCertificate, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { LIMITS } from '../ledger/limits.ts';
import { millis } from '../ledger/ids.ts';
import { equalMembers, graphOf, membersOf, parseDag, place, SUBNET } from '../testing/dag.ts';
import { chooseAnchors, Election } from './checkpoint.ts';
import { TIMING } from './effects.ts';
import { canonicalOrder } from './order.ts';
import type { VerifiedEnvelope } from './verify.ts';

const members = equalMembers(4);
const signature = new Uint8Array(64);

function checkpointOf(sequence: number, mark = 0): SubnetCheckpoint {
  const root = sha256(Uint8Array.of(mark));
  return {
    subnet: SUBNET,
    sequence,
    previous: SUBNET,
    time: millis(1),
    anchors: [root],
    inclusionRoot: root,
    appliedRoot: root,
    stateRoot: root,
    envelopeCount: 1,
    payloadCount: 1,
    powBits: 0,
  };
}

const election = (weights?: readonly number[]): Election =>
  new Election({
    sequence: 5,
    members: weights === undefined ? members : membersOf(weights),
    timing: TIMING,
  });

function propose(e: Election, from: number, round: number, mark = 0): boolean {
  const checkpoint = checkpointOf(5, mark);
  return e.addProposal(from, { kind: 'proposal', round, checkpoint, signature }, checkpointHash(checkpoint));
}

const vote = (
  round: number,
  mark = 0,
): { round: number; hash: ReturnType<typeof checkpointHash>; signature: Uint8Array } => ({
  round,
  hash: checkpointHash(checkpointOf(5, mark)),
  signature,
});

test('DAG-8.1: member (s + r) mod n proposes, and nobody else', () => {
  const e = election();
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((round) => e.proposerOf(round)),
    [1, 2, 3, 0, 1],
  );
  assert.equal(propose(e, 2, 0), false);
  assert.equal(propose(e, 1, 0), true);
  assert.equal(propose(e, 1, 0), true, 'the same again is the same');
  assert.equal(propose(e, 1, 0, 7), false, 'another in the same round is not looked at');
  assert.equal(e.open().length, 1);
});

test('DAG-8.1: rounds go on by timer, and a third of the stake pulls along; one liar does not', () => {
  const e = election();
  e.advance(0, true);
  e.advance(TIMING.roundMs - 1, true);
  assert.equal(e.round, 0);
  e.advance(TIMING.roundMs, true);
  assert.equal(e.round, 1);
  e.addVote(3, vote(40));
  e.advance(TIMING.roundMs + 1, true);
  assert.equal(e.round, 1);
  e.addVote(2, vote(30));
  e.advance(TIMING.roundMs + 2, true);
  assert.equal(e.round, 30);
});

test('DAG-8.1: only rounds near the own are kept, whatever peers claim', () => {
  const e = election();
  for (let round = 0; round < 10_000; round += 1) {
    propose(e, e.proposerOf(round), round, round & 255);
    e.addVote(3, vote(round));
  }
  assert.ok(e.open().length <= LIMITS.roundsMax);
  assert.equal(e.isInWindow(LIMITS.roundsMax), false);
  e.enterAtLeast(1000);
  assert.equal(e.isInWindow(0), false);
});

test('DAG-8.4: two thirds of the stake make a certificate, signers ascending, whatever rounds they voted in', () => {
  const e = election();
  propose(e, 1, 0);
  propose(e, 2, 1);
  e.addVote(3, vote(0));
  e.addVote(1, vote(0));
  e.certify(0, 0);
  assert.equal(e.certificate, undefined);
  // A vote for something else, and a second vote of the same member in the same round, do not count.
  e.addVote(0, vote(0, 9));
  e.addVote(0, vote(0));
  e.certify(0, 0);
  assert.equal(e.certificate, undefined);
  e.addVote(0, vote(1));
  e.certify(0, 0);
  const made = e.certificate as CheckpointCertificate | undefined;
  assert.deepEqual(made?.signers, Uint8Array.of(0b1011));
  assert.equal(made?.signatures.length, 3);
});

test('DAG-8.4: stake counts, not heads', () => {
  const weights = [10, 10, 10, 15, 15];
  const set = membersOf(weights);
  const e = election(weights);
  const sequence = [...set.entries()].sort((a, b) => a[1].weight - b[1].weight).map(([i]) => i);
  propose(e, e.proposerOf(0), 0);
  // 60 in all, 41 needed: the three light ones and one heavy one hold 45.
  let stake = 0;
  for (const member of sequence) {
    e.addVote(member, vote(0));
    e.certify(0, 0);
    stake += set[member]?.weight ?? 0;
    assert.equal(e.certificate !== undefined, stake >= e.quorum, `${stake}`);
  }
});

test('DAG-8.5: the proposer submits at once, the others in turn, and again with growing pauses', () => {
  const times = (self: number): number[] => {
    const e = election();
    propose(e, 1, 0);
    for (const member of [0, 1, 2]) e.addVote(member, vote(0));
    e.certify(0, self);
    const submitted: number[] = [];
    for (let now = 0; now <= 100_000; now += 100) if (e.submission(now) !== undefined) submitted.push(now);
    return submitted;
  };
  assert.deepEqual(times(1), [0, 5_000, 15_000, 35_000, 75_000]);
  assert.equal(times(2)[0], 1_000);
  assert.equal(times(0)[0], 3_000);
});

test('DAG-8.5: attack a round at the end of all numbers leads nobody there', () => {
  const e = election();
  for (const member of [0, 1, 2]) e.addVote(member, { ...vote(0), round: 0xffff_ffff });
  for (let now = 0; now < 10; now += 1) e.advance(now, true);
  assert.ok(e.round > 0 && e.round <= 10 * LIMITS.roundsMax, `${e.round}`);
});

test('DAG-8.8: anchors are the accepted envelopes nothing accepted stands on; a hidden parent never becomes one (withheld parent)', () => {
  const graph = graphOf(members);
  const dag = parseDag(members, 'A1+1 B1<A1 C1<B1 D1 D2<D1+1');
  const at = (name: string): number => graph.place((dag.get(name) as VerifiedEnvelope).hash) as number;
  for (const envelope of dag.values()) place(graph, envelope);
  // A1 has three quarters, B1 half; D’s own chain has D alone.
  assert.deepEqual(chooseAnchors(graph), [at('A1')]);
});

test('DAG-8.8: a backlog beyond one cone spans several checkpoints', () => {
  const graph = graphOf(members);
  const limit = 50;
  const words: string[] = ['A1+1 B1<A1 C1<B1'];
  for (let i = 2; i <= 40; i += 1)
    words.push(`A${i}<A${i - 1},C${i - 1}+1 B${i}<B${i - 1},A${i} C${i}<C${i - 1},B${i}`);
  for (const envelope of parseDag(members, words.join(' ')).values()) place(graph, envelope);
  const first = chooseAnchors(graph, limit) as number[];
  const order = canonicalOrder(graph.slab, first) as number[];
  assert.ok(order.length <= limit && order.length > limit / 2, `${order.length}`);
  graph.anchors.add({ hash: sha256(Uint8Array.of(1)), sequence: 1, powBits: 0 });
  graph.finalise(order, 1);
  const rest = canonicalOrder(graph.slab, chooseAnchors(graph) as number[]) as number[];
  assert.ok(rest.length > 0);
  assert.equal(chooseAnchors(graph, 0), undefined);
});
