import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareBytes } from '../bytes/hex.ts';
import { sha256 } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import { checkpointHash } from '../ledger/checkpoint.ts';
import { LIMITS } from '../ledger/limits.ts';
import { millis } from '../ledger/ids.ts';
import {
  CHAIN,
  envelopeOf,
  equalMembers,
  payloadOf,
  sealToy,
  seededRandom,
  SUBNET,
  TestSubnet,
  toySign,
} from '../testing/dag.ts';
import type { Draft } from './effects.ts';
import { envelopeBodyHash } from '../ledger/envelope.ts';
import { Member } from './member.ts';
import { decodeMessage, encodeMessage } from './messages.ts';
import { readVoteRecord } from './records.ts';

function subnetOf(count = 4, powBits = 0): TestSubnet {
  const subnet = new TestSubnet(equalMembers(count), powBits);
  subnet.run(200);
  return subnet;
}

/** Payloads at every member in turn, one envelope each. */
function feed(subnet: TestSubnet, from: number, count: number): string[] {
  const ids: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const payload = payloadOf('lamp', from + i);
    const node = (from + i) % subnet.nodes.length;
    if (subnet.issue(node, [payload]) !== undefined) ids.push(String(payload.id));
    subnet.settle();
  }
  return ids;
}

function assertSame(subnet: TestSubnet, expected: readonly string[]): void {
  for (const { index } of subnet.nodes) {
    assert.deepEqual([...subnet.applied(index)].sort(), [...expected].sort(), `member ${index}`);
    assert.deepEqual(subnet.applied(index), subnet.applied(0));
    assert.deepEqual(
      subnet.node(index).member.status().checkpointHash,
      subnet.node(0).member.status().checkpointHash,
    );
  }
}

test('DAG-8.6: payloads become final at every member, each once, in the same order', () => {
  const subnet = subnetOf(4, 2);
  const ids = feed(subnet, 1, 20);
  subnet.run(4_000);
  assert.equal(ids.length, 20);
  assertSame(subnet, ids);
});

test('DAG-8.7: without payloads there are no proposals and no envelopes', () => {
  const subnet = subnetOf();
  feed(subnet, 1, 3);
  subnet.run(4_000);
  const { checkpoint, pending } = subnet.node(0).member.status();
  const talk = subnet.nodes.map((node) => node.effects.length);
  subnet.run(30_000);
  assert.equal(subnet.node(0).member.status().checkpoint, checkpoint);
  assert.equal(subnet.node(0).member.status().pending, pending);
  for (const [i, node] of subnet.nodes.entries()) {
    const later = node.effects.slice(talk[i]);
    const said = later.flatMap((effects) => effects.send.map(({ message }) => message.kind));
    assert.ok(
      said.every((kind) => kind === 'heads'),
      said.join(),
    );
  }
});

test('DAG-9.6: others approve with empty envelopes, so one member’s payload needs nobody else’s', () => {
  const subnet = subnetOf();
  subnet.issue(2, [payloadOf('lamp', 1)]);
  subnet.settle();
  subnet.run(1_500);
  assert.equal(subnet.applied(0).length, 1);
  const empties = subnet
    .node(0)
    .member.graph(100)
    .filter((vertex) => vertex.payloads === 0);
  assert.ok(empties.length <= 3, `${empties.length} empty envelopes`);
});

test('DAG-9.6: a member nobody answers issues empty envelopes ever more rarely', () => {
  const subnet = subnetOf();
  subnet.passes = (from, to) => from !== 0 && to !== 0;
  subnet.issue(0, [payloadOf('lamp', 1)]);
  subnet.run(60_000);
  const { pending } = subnet.node(0).member.status();
  assert.ok(pending >= 3 && pending < 20, `${pending} envelopes in a minute alone`);
  subnet.passes = () => true;
  subnet.run(5_000);
  assertSame(subnet, [String(payloadOf('lamp', 1).id)]);
});

test('DAG-8.5: while the main chain is cut off the DAG goes on; afterwards everything becomes final', () => {
  const subnet = subnetOf();
  subnet.chainCut = true;
  const ids = feed(subnet, 1, 10);
  subnet.run(60_000);
  ids.push(...feed(subnet, 11, 30));
  subnet.run(60_000);
  const status = subnet.node(1).member.status();
  assert.equal(status.checkpoint, 0);
  assert.equal(status.submitted, true);
  assert.match(status.reason ?? '', /waits for the main chain/);
  assert.equal(status.accepted, 40 + (status.accepted - 40));
  const submits = subnet.nodes.flatMap((node) => node.effects.flatMap((effects) => effects.submit)).length;
  assert.ok(submits >= 4 && submits < 60, `${submits} submissions in two minutes`);
  subnet.chainCut = false;
  subnet.run(60_000);
  assertSame(subnet, ids);
});

test('DAG-9.3: what was lost on the way is found by comparing heads', () => {
  const subnet = subnetOf();
  subnet.passes = (_, to) => to !== 3;
  const ids = feed(subnet, 1, 3);
  subnet.passes = () => true;
  assert.equal(subnet.node(3).member.status().pending < subnet.node(0).member.status().pending, true);
  subnet.run(6_000);
  assertSame(subnet, ids);
});

test('DAG-9.3: nobody chases the past of a member far ahead parent by parent (prune against sync race)', () => {
  const subnet = subnetOf();
  const heads = [{ issuer: 1, lane: 0, sequence: 900, hash: sha256(Uint8Array.of(9)) }];
  const missingAfter = (checkpoint: number): number => {
    subnet.tell(0, 1, { kind: 'heads', checkpoint, uncertain: false, heads });
    return subnet.node(0).member.status().missing;
  };
  assert.equal(missingAfter(500), 0);
  assert.equal(missingAfter(1), 1);
});

test('DAG-8.6: a gap in what the main chain tells is asked for, again and again but not at every turn', () => {
  const subnet = subnetOf();
  feed(subnet, 1, 4);
  subnet.run(2_500);
  feed(subnet, 5, 4);
  subnet.run(2_500);
  const late = new TestSubnet(subnet.members);
  const wants = [0, 50, 5_000].map((wait) => {
    late.now += wait;
    const effects = late.step(0, { kind: 'committed', committed: subnet.chain[1] as never });
    return effects.want.map((want) => (want.kind === 'committed' ? want.from : want.kind));
  });
  assert.deepEqual(wants, [[1], [], [1]]);
});

test('DAG-9.4: an answer holds the past the asker lacks, parents first, within the limits of one message', () => {
  const subnet = subnetOf();
  subnet.chainCut = true;
  subnet.passes = (from, to) => from !== 3 && to !== 3;
  feed(subnet, 1, 2);
  for (let i = 0; i < 400; i += 1) {
    subnet.now += 25;
    subnet.issue(i % 3, []);
    subnet.settle();
  }
  const newest = subnet.node(0).member.graph(1)[0];
  const effects = subnet.step(0, {
    kind: 'message',
    from: 3,
    message: { kind: 'envelope-request', hashes: [newest?.hash ?? SUBNET], heads: [] } as never,
  });
  const message = effects.send[0]?.message;
  assert.ok(message?.kind === 'envelopes');
  assert.equal(message.encoded.length, LIMITS.replyEnvelopesMax);
  assert.ok(encodeMessage(message).length <= LIMITS.subnetMessageBytesMax);
  subnet.passes = () => true;
  subnet.run(4_000);
  assert.equal(subnet.node(3).member.status().pending, subnet.node(0).member.status().pending);
});

test('DAG-9.5: a member that was away fetches committed checkpoints by their lists, and joins in again', () => {
  const subnet = subnetOf();
  subnet.node(3).up = false;
  const ids: string[] = [];
  for (let i = 0; i < 20; i += 1) {
    const payload = payloadOf('lamp', i + 1);
    subnet.issue(i % 3, [payload]);
    ids.push(String(payload.id));
    subnet.settle();
    subnet.run(1_200);
  }
  assert.ok(subnet.chain.length >= 15);
  subnet.restart(3);
  subnet.run(20_000);
  assertSame(subnet, ids);
  assert.equal(subnet.node(3).member.status().state, 'following');
  const own = payloadOf('door', 1);
  subnet.issue(3, [own]);
  subnet.settle();
  subnet.run(4_000);
  assertSame(subnet, [...ids, String(own.id)]);
});

test('DAG-2.9 DAG-6.3: under conflict spam all members get identical roots and lose no honest payload', () => {
  const subnet = subnetOf();
  const random = seededRandom(3);
  const ids: string[] = [];
  let lies = 0;
  for (let i = 0; i < 40; i += 1) {
    // Member 0 signs two versions of every envelope and tells each half another one.
    const draft = subnet.node(0).member.draft([], millis(subnet.now));
    if (draft !== undefined) {
      const key = subnet.members[0]?.key as PublicKey;
      const versions = [0, 1].map((n) => {
        const body: Draft['body'] = { ...draft.body, time: millis(draft.body.time + n) };
        return sealToy({ ...draft, body, bodyHash: envelopeBodyHash(body) }, 0, key);
      });
      subnet.step(0, { kind: 'own', envelope: versions[0] as never });
      for (const to of [1, 2, 3])
        subnet.hand(to, 0, versions[random() < 0.5 ? 0 : 1]?.encoded as Uint8Array, false);
      lies += 1;
    }
    const payload = payloadOf('lamp', i + 1);
    subnet.issue(1 + (i % 3), [payload]);
    ids.push(String(payload.id));
    subnet.settle();
    subnet.run(150);
  }
  subnet.run(10_000);
  assert.ok(lies > 20);
  assertSame(subnet, ids);
  const evidence = subnet.nodes.flatMap((node) => node.effects.flatMap((effects) => effects.evidence));
  assert.ok(evidence.length > 0);
  assert.ok(evidence.every(({ issuer }) => issuer === 0));
  assert.deepEqual(subnet.node(1).member.status().equivocators, [0]);
});

test('DAG-5.2: acceptance is announced once, at two thirds, and never for a contested slot', () => {
  const subnet = subnetOf();
  const envelope = subnet.issue(1, [payloadOf('lamp', 1)]);
  subnet.settle();
  subnet.run(2_000);
  for (const node of subnet.nodes) {
    const accepted = node.effects.flatMap((effects) => effects.accepted.map(String));
    assert.equal(accepted.filter((hash) => hash === String(envelope?.hash)).length, 1);
  }
  const members = subnet.members;
  const rivals = [0, 1].map((n) =>
    envelopeOf(members, { issuer: 2, lane: 5, parents: [SUBNET], time: subnet.now + n }),
  );
  for (const node of subnet.nodes)
    for (const rival of rivals) subnet.hand(node.index, 2, rival.encoded, false);
  feed(subnet, 2, 8);
  subnet.run(4_000);
  const announced = subnet.nodes.flatMap((node) =>
    node.effects.flatMap((effects) => effects.accepted.map(String)),
  );
  for (const rival of rivals) assert.equal(announced.includes(String(rival.hash)), false);
});

test('DAG-8.2: a member signs one checkpoint per sequence and round, also with a lying proposer and after a crash', () => {
  const subnet = subnetOf();
  subnet.chainCut = true;
  feed(subnet, 1, 4);
  subnet.run(1_000);
  const voted = subnet
    .node(2)
    .log.filter((record) => record.kind === 'vote')
    .map((record) => readVoteRecord(record.bytes));
  assert.ok(voted.length >= 1);
  const [{ sequence, round, hash }] = voted as [ReturnType<typeof readVoteRecord>];
  // The same proposer with another checkpoint for the same round, to a member that has just restarted.
  feed(subnet, 5, 4);
  subnet.run(300);
  subnet.restart(2);
  const proposer = (sequence + round) % 4;
  const honest = subnet.nodes.flatMap((node) => node.effects.flatMap((effects) => effects.send));
  const proposals = honest.flatMap(({ message }) => (message.kind === 'proposal' ? [message] : []));
  const first = proposals.find((message) => compareBytes(checkpointHash(message.checkpoint), hash) === 0);
  assert.ok(first !== undefined);
  const other = { ...first, checkpoint: { ...first.checkpoint, powBits: 1 } };
  const key = subnet.members[proposer]?.key as PublicKey;
  const bytes = (message: typeof first): Uint8Array => encodeMessage(message);
  for (const proposal of [other, first]) {
    const decoded = decodeMessage(bytes(proposal));
    assert.ok(decoded.ok && decoded.value.kind === 'proposal');
    const signature = toySign(key, voteBytes(decoded.value.checkpoint));
    subnet.tell(2, proposer, { ...decoded.value, signature });
  }
  const all = subnet
    .node(2)
    .log.filter((record) => record.kind === 'vote')
    .map((record) => readVoteRecord(record.bytes));
  const inRound = new Set(
    all.filter((vote) => vote.sequence === sequence && vote.round === round).map((vote) => String(vote.hash)),
  );
  assert.equal(inRound.size, 1);
});

function voteBytes(checkpoint: Parameters<typeof checkpointHash>[0]): Uint8Array {
  const hash = checkpointHash(checkpoint);
  const domain = new TextEncoder().encode('ITC1:sign-subnet-checkpoint');
  return Uint8Array.of(...domain, 0, ...CHAIN, ...hash);
}

test('DAG-8.3: a proposal with any field it does not work out to gets no vote', () => {
  const subnet = subnetOf();
  subnet.chainCut = true;
  feed(subnet, 1, 4);
  subnet.run(1_000);
  const first = subnet.nodes
    .flatMap((node) => node.effects.flatMap((effects) => effects.send))
    .flatMap(({ message }) => (message.kind === 'proposal' ? [message] : []))[0];
  assert.ok(first !== undefined);
  const wrong = sha256(Uint8Array.of(1));
  const { checkpoint } = first;
  const changes = [
    { previous: wrong },
    { time: millis(checkpoint.time + 1) },
    { inclusionRoot: wrong },
    { appliedRoot: wrong },
    { stateRoot: wrong },
    { envelopeCount: checkpoint.envelopeCount + 1 },
    { payloadCount: checkpoint.payloadCount + 1 },
    { powBits: checkpoint.powBits + 1 },
  ];
  for (const [i, change] of changes.entries()) {
    const round = 8 + i;
    const proposer = (checkpoint.sequence + round) % 4;
    const voter = (proposer + 1) % 4;
    const before = subnet.node(voter).log.length;
    const altered = { ...checkpoint, ...change };
    const signature = toySign(subnet.members[proposer]?.key as PublicKey, voteBytes(altered));
    subnet.tell(voter, proposer, { kind: 'proposal', round, checkpoint: altered, signature });
    assert.equal(subnet.node(voter).log.length, before, Object.keys(change)[0]);
    const right = toySign(
      subnet.members[(checkpoint.sequence + round + 20) % 4]?.key as PublicKey,
      voteBytes(checkpoint),
    );
    subnet.tell(voter, (checkpoint.sequence + round + 20) % 4, {
      kind: 'proposal',
      round: round + 20,
      checkpoint,
      signature: right,
    });
    assert.equal(subnet.node(voter).log.length, before + 1, 'the unaltered one gets it');
  }
});

test('DAG-10.1: an own envelope and a vote are to be persisted in the step that sends them', () => {
  const subnet = subnetOf();
  feed(subnet, 1, 6);
  subnet.run(3_000);
  for (const node of subnet.nodes) {
    for (const effects of node.effects) {
      for (const { to, message } of effects.send) {
        if (message.kind === 'envelope')
          assert.ok(
            effects.persist.some(
              (record) => record.kind === 'envelope' && compareBytes(record.bytes, message.encoded) === 0,
            ),
          );
        if (message.kind === 'vote' && to === 'all')
          assert.ok(effects.persist.some((record) => record.kind === 'vote'));
      }
      for (const delivery of effects.deliver)
        assert.ok(
          effects.persist.some((record) => record.kind === 'applied'),
          String(delivery.hash),
        );
    }
  }
});

test('DAG-10.2: from its records a member comes back to the same state, and issues nothing twice', () => {
  const subnet = subnetOf();
  const ids = feed(subnet, 1, 10);
  subnet.run(1_300);
  ids.push(...feed(subnet, 11, 9));
  for (const index of [0, 1, 2, 3]) {
    const before = subnet.node(index).member;
    const sequences = before
      .graph(1000)
      .map((vertex) => String(vertex.hash))
      .sort();
    subnet.restart(index);
    const after = subnet.node(index).member;
    assert.deepEqual(
      after
        .graph(1000)
        .map((vertex) => String(vertex.hash))
        .sort(),
      sequences,
    );
    const {
      round: _a,
      votes: _b,
      submitted: _c,
      unsolid: _d,
      missing: _e,
      tips: _f,
      issuePerSecond: _m,
      ...state
    } = after.status();
    const {
      round: _g,
      votes: _h,
      submitted: _i,
      unsolid: _j,
      missing: _k,
      tips: _l,
      issuePerSecond: _n,
      ...was
    } = before.status();
    assert.deepEqual(state, was);
    const [next, again] = [before, after].map((member) => member.draft([], millis(subnet.now))?.body);
    assert.deepEqual([again?.sequence, String(again?.previous)], [next?.sequence, String(next?.previous)]);
  }
  subnet.run(4_000);
  const evidence = subnet.nodes.flatMap((node) => node.effects.flatMap((effects) => effects.evidence));
  assert.deepEqual(evidence, []);
  // After a restart the records' deliveries come again, in order: a shell skips those it has.
  const redelivered = new Member({
    chain: CHAIN,
    subnet: SUBNET,
    members: subnet.members,
    self: -1,
    powBits: 0,
    random: seededRandom(1),
    sign: () => new Uint8Array(64),
    restore: subnet.node(0).log,
  }).step({ kind: 'tick', now: millis(subnet.now) }).deliver;
  const sequences = redelivered.map((delivery) => delivery.committed.certificate.checkpoint.sequence);
  assert.deepEqual(
    sequences,
    sequences.map((_, i) => i + 1),
  );
  assert.deepEqual(
    redelivered.flatMap((delivery) => delivery.applied.map(({ payload }) => String(payload.id))).sort(),
    ids.sort(),
  );
});

test('DAG-10.4: a snapshot replaces all earlier records', () => {
  const subnet = subnetOf();
  const ids = feed(subnet, 1, 8);
  subnet.run(2_500);
  ids.push(...feed(subnet, 9, 5));
  for (const node of subnet.nodes) {
    const before = node.member.status();
    const records = node.member.snapshot();
    assert.ok(records.length < node.log.length);
    node.log.splice(0, node.log.length, ...records);
    subnet.restart(node.index);
    const after = node.member.status();
    assert.deepEqual(
      [after.checkpoint, after.pending, after.payloadsApplied, String(after.checkpointHash)],
      [before.checkpoint, before.pending, before.payloadsApplied, String(before.checkpointHash)],
    );
    assert.deepEqual(
      node.member
        .snapshot()
        .map((record) => String(record.bytes))
        .sort(),
      records.map((record) => String(record.bytes)).sort(),
    );
  }
  subnet.run(4_000);
  assertSame(subnet, ids);
});

test('DAG-8.6: what a follower applies is what members sign, and it says nothing', () => {
  const subnet = subnetOf();
  const ids = feed(subnet, 1, 6);
  subnet.run(3_000);
  const follower = new Member({
    chain: CHAIN,
    subnet: SUBNET,
    members: subnet.members,
    self: -1,
    powBits: 0,
    random: seededRandom(1),
    sign: () => assert.fail('a follower signs nothing'),
  });
  const now = millis(subnet.now);
  for (const { envelopes, committed } of subnet.node(0).deliveries) {
    for (const envelope of envelopes)
      follower.step({ kind: 'envelope', from: 0, envelope, reply: false, now });
    const effects = follower.step({ kind: 'committed', committed, now });
    assert.equal(effects.deliver.length, 1);
  }
  assert.equal(follower.status().payloadsApplied, ids.length);
  assert.equal(follower.draft([], now), undefined);
});

test('DAG-8.6: a committed checkpoint its own envelopes contradict stops the member, with the reason', () => {
  const subnet = subnetOf();
  subnet.chainCut = true;
  feed(subnet, 1, 4);
  subnet.run(1_500);
  const next = subnet.node(1).effects.flatMap((effects) => effects.submit)[0];
  assert.ok(next !== undefined);
  const forged = { ...next, checkpoint: { ...next.checkpoint, powBits: 9 } };
  subnet.step(1, { kind: 'committed', committed: { certificate: forged, height: 9 as never, txIndex: 0 } });
  const status = subnet.node(1).member.status();
  assert.equal(status.state, 'diverged');
  assert.match(status.reason ?? '', /is not what its envelopes give/);
  assert.equal(subnet.node(1).member.draft([], millis(subnet.now)), undefined);
});

test('DAG-6.5: every envelope can be explained: unknown, waiting, accepted, final, refused and why', () => {
  const subnet = subnetOf();
  const { member } = subnet.node(0);
  assert.deepEqual(member.explain(sha256(Uint8Array.of(1))), { state: 'unknown' });
  const orphan = envelopeOf(subnet.members, {
    issuer: 1,
    sequence: 2,
    previous: sha256(Uint8Array.of(2)),
    parents: [sha256(Uint8Array.of(2))],
  });
  subnet.hand(0, 1, orphan.encoded, false);
  assert.deepEqual(member.explain(orphan.hash), { state: 'unsolid', missing: 1 });
  const future = envelopeOf(subnet.members, { issuer: 2, parents: [SUBNET], time: subnet.now + 60_000 });
  subnet.hand(0, 2, future.encoded, false);
  const why = member.explain(future.hash);
  assert.equal(why.state === 'refused' ? why.code : why.state, 'envelope.from-future');
  const envelope = subnet.issue(0, [payloadOf('lamp', 1)]);
  const pending = member.explain(envelope?.hash as never);
  assert.deepEqual(pending.state === 'pending' ? pending.approvedBy : pending, [0]);
  subnet.settle();
  subnet.run(2_000);
  assert.deepEqual(member.explain(envelope?.hash as never), { state: 'final', checkpoint: 1 });
});
