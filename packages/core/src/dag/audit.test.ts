import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Payload } from '../ledger/payload.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import {
  CHAIN,
  envelopeOf,
  equalMembers,
  graphOf,
  holder,
  orderOf,
  payloadOf,
  place,
  seededRandom,
  START,
  SUBNET,
  TestSubnet,
  toyVerify,
} from '../testing/dag.ts';
import { amount, millis } from '../ledger/ids.ts';
import { encodeAccusation, readAccusation } from '../ledger/accusation.ts';
import { AUDIT, Auditor, isAlwaysChecked } from './audit.ts';
import type { Evaluation } from './order.ts';
import { evaluate } from './order.ts';
import { judgeNumber, takeNumber } from './sequence-window.ts';
import { envelopeSignatures, judgeEnvelope, screenEnvelope, type VerifiedEnvelope } from './verify.ts';

installNativeSha256();

const members = equalMembers(4);
const context = { chain: CHAIN, subnet: SUBNET, members, powBits: 0 };

/** Judged with the signatures of the chosen payloads checked. */
function judged(encoded: Uint8Array, chosen?: readonly number[]): ReturnType<typeof judgeEnvelope> {
  const screened = screenEnvelope(context, encoded);
  if (!screened.ok) return { kind: 'refused', code: screened.code, message: screened.message };
  const verdicts = envelopeSignatures(screened.value, chosen).map(({ key, message, signature }) =>
    toyVerify(key, message, signature),
  );
  return judgeEnvelope(screened.value, verdicts, chosen);
}

const transfer = (): Payload =>
  orderOf('holder', 1, {
    kind: 'transfer',
    to: holder('other'),
    amount: amount(5_000_000n),
    expiresAt: millis(START + 1),
  });

/** Member 0's envelope: payload 1 of three is forged. */
const forgery = (sequence = 1, previous: Hash = SUBNET): VerifiedEnvelope =>
  envelopeOf(members, {
    issuer: 0,
    sequence,
    previous,
    parents: [previous],
    payloads: [payloadOf('a', sequence), payloadOf('b', sequence, 'x', true), payloadOf('c', sequence)],
  });

function accusing(by: number, accused: VerifiedEnvelope, index: number): Payload {
  const content = encodeAccusation(
    accused.envelope,
    accused.payloads.map(({ bytes }) => bytes),
    index,
  );
  return new TestSubnet(members).accusation(by, content);
}

test('DAG-13.1: the issuer’s signature and those of the chosen payloads are judged; a forged one that is looked at shows', () => {
  const { encoded } = forgery();
  assert.equal(judged(encoded, []).kind, 'admitted');
  assert.equal(judged(encoded, [0, 2]).kind, 'admitted');
  const found = judged(encoded, [0, 1]);
  assert.deepEqual(
    [found.kind, found.kind === 'forged' && [found.index, found.isInvalid]],
    ['forged', [1, false]],
  );
});

test('DAG-13.2: always checked are orders about value, accusations and what is too long to accuse by', () => {
  assert.ok(isAlwaysChecked(transfer()));
  assert.ok(isAlwaysChecked(payloadOf('a', 1, 'x'.repeat(AUDIT.payloadBytesMax))));
  assert.ok(!isAlwaysChecked(payloadOf('a', 1)));
  const longest = payloadOf('a', 1, 'x'.repeat(AUDIT.payloadBytesMax - 200), true);
  assert.ok(!isAlwaysChecked(longest));
  const accused = envelopeOf(members, { issuer: 0, parents: [SUBNET], payloads: [longest] });
  assert.ok(accusing(1, accused, 0).bytes.length <= LIMITS.payloadBytesMax, 'it fits into an accusation');
});

const auditor = (o: { share?: number; perSecond?: number; high?: number; seed?: number }): Auditor =>
  new Auditor({
    share: o.share ?? 0.25,
    perSecond: o.perSecond ?? 0,
    random: seededRandom(o.seed ?? 1),
    laneHigh: () => o.high,
  });

const many = (count: number, sequence = 10): Payload[] =>
  Array.from({ length: count }, (_, i) => payloadOf('a', sequence + (i % 7)));

const FOUR_HUNDRED = many(400);

test('DAG-13.2: checked are all payloads that open a lane or leap ahead in one, whatever the share', () => {
  const payloads = many(50);
  assert.equal(auditor({ share: 0.01 }).choose(payloads, 0).length, 50);
  const leap = payloadOf('a', 10 + AUDIT.aheadMax + 1);
  assert.ok(
    auditor({ share: 0.0001, high: 10 })
      .choose([...payloads, leap], 0)
      .includes(50),
  );
  assert.ok(
    !auditor({ share: 0.0001, high: 10 })
      .choose([...payloads, payloadOf('a', 11)], 0)
      .includes(50),
  );
});

test('DAG-13.2: of ordinary payloads a share is checked that nobody can foresee, and all of them while there are few', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.05, max: 1, noNaN: true }), fc.integer(), (share, seed) => {
      const chosen = auditor({ share, seed, high: 10 }).choose(FOUR_HUNDRED, 0);
      const [mean, spread] = [400 * share, 6 * Math.sqrt(400 * share * (1 - share)) + 3];
      assert.ok(Math.abs(chosen.length - mean) <= spread, `${chosen.length} of 400 at ${share}`);
      assert.deepEqual(
        chosen,
        [...new Set(chosen)].sort((a, b) => a - b),
      );
    }),
    { numRuns: 50 },
  );
  const first = auditor({ share: 0.1, seed: 1, high: 10 }).choose(FOUR_HUNDRED, 0);
  assert.notDeepEqual(first, auditor({ share: 0.1, seed: 2, high: 10 }).choose(FOUR_HUNDRED, 0));
  const quiet = auditor({ share: 0.05, perSecond: 100, high: 10 });
  for (let second = 0; second < 5; second += 1)
    assert.equal(quiet.choose(FOUR_HUNDRED.slice(0, 100), second * 1_000).length, 100);
  const busy = auditor({ share: 0.05, perSecond: 100, high: 10 });
  let checked = 0;
  for (let at = 0; at < 4_000; at += 100) checked += busy.choose(FOUR_HUNDRED, at).length;
  assert.ok(checked > 4 * 100 && checked < 0.15 * 16_000, `${checked} of 16000`);
});

test('DAG-13.3: an accusation holds for whoever reads it, comes alone, and none can be made of what a device signed', () => {
  const guilty = forgery();
  const envelope = (payloads: readonly Payload[]): Uint8Array =>
    envelopeOf(members, { issuer: 1, parents: [SUBNET], payloads }).encoded;
  const good = judged(envelope([accusing(1, guilty, 1)]));
  assert.equal(good.kind === 'admitted' && good.envelope.accusation?.accused, 0);
  const cases: readonly (readonly [string, readonly Payload[]])[] = [
    ['the payload is signed by its device', [accusing(1, guilty, 0)]],
    ['an accusation comes alone', [accusing(1, guilty, 1), payloadOf('d', 1)]],
  ];
  for (const [message, payloads] of cases) {
    const refusal = judged(envelope(payloads));
    assert.equal(refusal.kind === 'refused' && refusal.message, message);
  }
});

test('DAG-13.3: changed in any byte, an accusation does not hold', () => {
  const guilty = forgery();
  const payloads = guilty.payloads.map(({ bytes }) => bytes);
  const content = encodeAccusation(guilty.envelope, payloads, 1);
  fc.assert(
    fc.property(fc.nat({ max: content.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = content.slice();
      changed[at] = (changed[at] as number) ^ change;
      const read = readAccusation(context, changed);
      if (!read.ok) return;
      const { envelope, signingBytes, payload } = read.value;
      const holds =
        toyVerify(envelope.issuer, signingBytes, envelope.signature) &&
        !toyVerify(payload.signer, payload.signedBytes, payload.signature);
      assert.ok(!holds, `byte ${at}`);
    }),
    { numRuns: 300 },
  );
});

/** What the next checkpoint with these anchors makes of a graph. */
function evaluated(envelopes: readonly VerifiedEnvelope[]): {
  evaluation: Evaluation;
  advance: () => Evaluation;
} {
  const graph = graphOf(members);
  const places = envelopes.map((envelope) => place(graph, envelope));
  const anchor = places.at(-1) as number;
  const evaluation = evaluate(graph, { id: SUBNET, powBits: 0, lastTime: 0 }, [anchor]) as Evaluation;
  return {
    evaluation,
    advance: () => {
      graph.advance(evaluation.lanes, { hash: evaluation.hash, sequence: 1, powBits: 0 });
      graph.finalise(evaluation.order, 1);
      const next = place(
        graph,
        envelopeOf(members, {
          issuer: 0,
          sequence: 2,
          previous: (envelopes[0] as VerifiedEnvelope).hash,
          parents: [(envelopes[0] as VerifiedEnvelope).hash],
          anchor: evaluation.hash,
          payloads: [payloadOf('a', 2)],
        }),
      );
      return evaluate(graph, { id: SUBNET, powBits: 0, lastTime: evaluation.checkpoint.time }, [
        next,
      ]) as Evaluation;
    },
  };
}

test('DAG-13.4: a checkpoint with an accusation applies nothing of the accused, nor does any after it; others are not touched', () => {
  const guilty = forgery();
  const accuser = envelopeOf(members, {
    issuer: 1,
    parents: [guilty.hash],
    payloads: [accusing(1, guilty, 1)],
  });
  const bystander = envelopeOf(members, {
    issuer: 2,
    parents: [accuser.hash],
    payloads: [payloadOf('d', 1)],
  });
  const { evaluation, advance } = evaluated([guilty, accuser, bystander]);
  assert.deepEqual(
    evaluation.ignored.map(({ reason }) => reason),
    ['issuer-barred', 'issuer-barred', 'issuer-barred'],
  );
  assert.equal(evaluation.applied.length, 2, 'the accusation and the reading of another');
  assert.deepEqual(
    evaluation.lanes.standings.map(({ barred }) => barred),
    [true, false, false, false],
  );
  const later = advance();
  assert.deepEqual([later.applied.length, later.ignored[0]?.reason], [0, 'issuer-barred']);
  const { evaluation: unaccused } = evaluated([guilty, bystanderOf(guilty)]);
  assert.equal(unaccused.applied.length, 4, 'unproven, a checkpoint applies it: for all alike');
});

const bystanderOf = (parent: VerifiedEnvelope): VerifiedEnvelope =>
  envelopeOf(members, { issuer: 2, parents: [parent.hash], payloads: [payloadOf('d', 1)] });

test('DAG-13.4: the second accusation of a member changes nothing', () => {
  const guilty = forgery();
  const first = envelopeOf(members, {
    issuer: 1,
    parents: [guilty.hash],
    payloads: [accusing(1, guilty, 1)],
  });
  const second = envelopeOf(members, {
    issuer: 2,
    parents: [first.hash],
    payloads: [accusing(2, guilty, 1)],
  });
  const { evaluation } = evaluated([guilty, first, second]);
  assert.equal(evaluation.ignored.filter(({ reason }) => reason === 'duplicate').length, 1);
});

/** Four members; the first forges, the second alone looks. */
function subnetWithForger(): { subnet: TestSubnet; forged: VerifiedEnvelope } {
  const subnet = new TestSubnet(members);
  subnet.audits = (member) => member === 1;
  // Until all have heard of each other nobody issues.
  subnet.run(200);
  const forged = subnet.issue(0, [payloadOf('a', 1), payloadOf('b', 1, 'x', true)]) as VerifiedEnvelope;
  return { subnet, forged };
}

test('DAG-13.3 DAG-13.5: one member finds a forged payload: all bar its issuer, with one state root, and what it issues with payloads is refused unasked', () => {
  const { subnet } = subnetWithForger();
  subnet.run(8_000);
  for (const { member, index } of subnet.nodes) {
    assert.deepEqual(member.status().barred, [0], `member ${index}`);
    assert.equal(member.status().state, 'following');
  }
  const hashes = new Set(subnet.nodes.map(({ member }) => String(member.status().checkpointHash)));
  assert.equal(hashes.size, 1);
  assert.ok(subnet.node(0).member.isBarred);
  assert.equal(subnet.node(0).member.draft([payloadOf('a', 2)], millis(subnet.now)), undefined);
  assert.ok(subnet.node(0).member.draft([], millis(subnet.now)) !== undefined, 'it still approves');
  const lastOf0 = subnet.node(1).member.finalHeads();
  const next = envelopeOf(members, {
    issuer: 0,
    sequence: 99,
    previous: lastOf0[0] as Hash,
    parents: [lastOf0[0] as Hash],
    anchor: subnet.node(1).member.status().checkpointHash,
    time: subnet.now,
    payloads: [payloadOf('e', 1)],
  });
  const effects = subnet.hand(2, 0, next.encoded, false);
  assert.equal(effects?.refused[0]?.code, 'envelope.barred');
});

test('DAG-13.5: what others built on is taken when asked for, though its issuer is barred: nobody’s roots differ', () => {
  const { subnet, forged } = subnetWithForger();
  subnet.settle();
  assert.ok(!subnet.node(1).member.holds(forged.hash), 'refused by who looked');
  assert.ok(subnet.node(2).member.holds(forged.hash), 'taken by who did not');
  subnet.issue(2, [payloadOf('d', 1)]);
  subnet.run(8_000);
  assert.ok(
    subnet
      .node(1)
      .deliveries.some(({ envelopes }) =>
        envelopes.some(({ hash }) => hash === forged.hash || String(hash) === String(forged.hash)),
      ),
  );
  const applied = [0, 1, 2, 3].map((index) => subnet.applied(index).join());
  assert.equal(new Set(applied).size, 1);
});

test('DAG-13.3: an accusation that gets lost is made again, and a restart remembers who is barred', () => {
  const { subnet } = subnetWithForger();
  subnet.settle();
  subnet.run(8_000);
  subnet.restart(2);
  assert.deepEqual(subnet.node(2).member.status().barred, [0]);
  const fresh = subnet.create(3, subnet.node(3).member.snapshot());
  assert.deepEqual(fresh.status().barred, [0]);
});

test('DAG-13.6: of a hundred liars half have at most three forgeries pass three auditors, and hardly one more than 24', () => {
  const auditors = [1, 2, 3].map((seed) => auditor({ share: AUDIT.share, seed, high: 10 }));
  const passed = Array.from({ length: 400 }, () => {
    for (let count = 0; ; count += 1)
      if (auditors.some((each) => each.choose(FOUR_HUNDRED.slice(0, 1), 0).length > 0)) return count;
  }).sort((a, b) => a - b);
  assert.ok((passed[200] as number) <= 3, `the middle one ${passed[200]}`);
  assert.ok((passed[392] as number) <= 24, `two in a hundred ${passed[392]}`);
});

test('DAG-13.6: forgeries nobody has to look at make a device’s next number stale with the third, not before', () => {
  const own = 11;
  for (const [forgeries, outcome] of [
    [1, 'applied'],
    [2, 'applied'],
    [3, 'stale'],
  ] as const) {
    const lane = { high: own - 1, window: new Uint8Array(LIMITS.laneWindow / 8) };
    for (let i = 0; i < forgeries; i += 1) takeNumber(lane, lane.high + AUDIT.aheadMax);
    assert.equal(judgeNumber(lane, own), outcome, `${forgeries} forgeries`);
  }
});

test('DAG-13.2: an envelope with a forged order about value is refused by everybody, asked for or not', () => {
  const order = transfer();
  const forgedOrder = { ...order, bytes: order.bytes.slice() };
  const last = forgedOrder.bytes.length - 1;
  forgedOrder.bytes[last] = (forgedOrder.bytes[last] as number) ^ 1;
  const envelope = envelopeOf(members, { issuer: 0, parents: [SUBNET], payloads: [forgedOrder] });
  const found = judged(envelope.encoded, [0]);
  assert.ok(found.kind === 'forged' && found.isInvalid);
});
