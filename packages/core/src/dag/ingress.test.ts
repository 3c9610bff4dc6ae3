import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import {
  CHAIN,
  envelopeOf,
  equalMembers,
  keyNamed,
  membersOf,
  payloadOf,
  START,
  SUBNET,
} from '../testing/dag.ts';
import { costOf, Ingress, INGRESS, type RawEnvelope } from './ingress.ts';
import { screenEnvelope, type ScreenedEnvelope } from './verify.ts';

const members = equalMembers(4);
const context = { chain: CHAIN, subnet: SUBNET, members, powBits: 0 };

const raw = (from: number, encoded: Uint8Array, wanted = false): RawEnvelope => ({
  from,
  encoded,
  wanted,
  reply: wanted,
});

function screen({ encoded }: RawEnvelope): ScreenedEnvelope | undefined {
  const screened = screenEnvelope(context, encoded);
  return screened.ok ? screened.value : undefined;
}

/** A stand-in for tests of order alone. */
function fake(issuer: number): ScreenedEnvelope {
  return { issuer, payloads: [], encoded: new Uint8Array(100) } as unknown as ScreenedEnvelope;
}

const lane = (issuer: number, count: number): Uint8Array[] => {
  let previous = SUBNET;
  return Array.from({ length: count }, (_, i) => {
    const envelope = envelopeOf(members, {
      issuer,
      sequence: i + 1,
      previous,
      parents: [previous],
      time: START + i,
    });
    previous = envelope.hash;
    return envelope.encoded;
  });
};

test('DAG-11.1: one peer’s flood delays no other’s envelopes by more than its own turn', () => {
  const ingress = new Ingress(members);
  const flood = sha256(Uint8Array.of(1));
  for (let i = 0; i < 20_000; i += 1) ingress.receive(raw(0, flood), 0);
  const good = lane(1, 5);
  for (const encoded of good) assert.equal(ingress.receive(raw(1, encoded), 0), true);
  assert.ok(ingress.length <= INGRESS.rawCountMax);
  const taken = ingress.take(1_000, 0, screen);
  // A turn is 16 KiB: the five come within it, long before the flood is through.
  assert.deepEqual(
    taken.map((item) => item.raw.encoded),
    [],
  );
  const more = [
    ...ingress.take(1_000, 0, screen),
    ...ingress.take(1_000, 0, screen),
    ...ingress.take(1_000, 0, screen),
  ];
  assert.deepEqual(
    more.map((item) => item.raw.encoded),
    good,
  );
  assert.ok((ingress.dropped().byPeer[0] as number) > 10_000);
  assert.equal(ingress.dropped().byPeer[1], 0);
});

test('DAG-11.2: what one issuer sends through every channel still has one issuer’s share (multi-rate)', () => {
  const weighted = membersOf([10, 10, 10, 10]);
  const ingress = new Ingress(weighted);
  const count = new Map<number, number>();
  for (let round = 0; round < 400; round += 1) {
    // Issuer 0 sends through all channels, twenty times what the others send through their own.
    for (let from = 0; from < 4; from += 1)
      for (let i = 0; i < 20; i += 1) ingress.receive(raw(from, Uint8Array.of(0)), round * 10);
    for (let from = 1; from < 4; from += 1)
      for (let i = 0; i < 4; i += 1) ingress.receive(raw(from, Uint8Array.of(from)), round * 10);
    for (const { screened } of ingress.take(8 * 17, round * 10, ({ encoded }) => fake(encoded[0] as number)))
      count.set(screened.issuer, (count.get(screened.issuer) ?? 0) + 1);
  }
  const total = [...count.values()].reduce((sum, each) => sum + each, 0);
  assert.ok((count.get(0) as number) / total < 0.25 + 0.05, `${count.get(0)} of ${total}`);
});

test('DAG-11.3: answers we asked for pass before gossip and are never pushed out by it', () => {
  const ingress = new Ingress(members);
  const noise = sha256(Uint8Array.of(2));
  for (let i = 0; i < 20_000; i += 1) ingress.receive(raw(i % 4, noise), 0);
  const answers = lane(2, 3);
  for (const encoded of answers) assert.equal(ingress.receive(raw(3, encoded, true), 0), true);
  const taken = ingress.take(2 * 17, 0, screen);
  assert.deepEqual(
    taken.map((item) => item.raw.encoded),
    answers.slice(0, 2),
  );
  // They do not age: somebody's accepted past needs them.
  assert.deepEqual(
    ingress.take(2 * 17, 60_000, screen).map((item) => item.raw.encoded),
    answers.slice(2),
  );
});

test('DAG-11.3: answers are bounded by what can be asked for at a time', () => {
  const ingress = new Ingress(members);
  const most = LIMITS.replyEnvelopesMax * members.length;
  for (let i = 0; i < most; i += 1) assert.equal(ingress.receive(raw(0, Uint8Array.of(1), true), 0), true);
  assert.equal(ingress.receive(raw(0, Uint8Array.of(1), true), 0), false);
  assert.equal(ingress.wantedDropped, 1);
});

test('DAG-11.4: ten thousand fresh keys cost their channel’s room and one hash each, and leave no trace (Sybil identities)', () => {
  const ingress = new Ingress(members);
  const stranger = { key: keyNamed('stranger'), weight: 10 };
  const template = envelopeOf([stranger], { issuer: 0, parents: [SUBNET] }).encoded;
  let refused = 0;
  for (let i = 0; i < 10_000; i += 1) {
    const encoded = template.slice();
    // The key follows version, subnet and algorithm.
    encoded.set(sha256(Uint8Array.of(i & 255, i >> 8)), 1 + 32 + 1);
    if (!ingress.receive(raw(0, encoded), 0)) refused += 1;
  }
  const [good] = lane(1, 1) as [Uint8Array];
  ingress.receive(raw(1, good), 0);
  let through = 0;
  for (let i = 0; i < 60 && ingress.length > 0; i += 1) through += ingress.take(1_000, 0, screen).length;
  assert.equal(through, 1, 'the member’s own');
  assert.equal(ingress.length, 0);
  assert.ok(refused > 0, 'beyond its room nothing is even looked at');
});

test('DAG-11.2: an envelope costs what its signatures and bytes cost', () => {
  const empty = envelopeOf(members, { issuer: 0, parents: [SUBNET] });
  const full = envelopeOf(members, {
    issuer: 0,
    parents: [SUBNET],
    payloads: Array.from({ length: 10 }, (_, i) => payloadOf('lamp', i + 1)),
  });
  assert.equal(costOf(empty), INGRESS.signatureCost + 1);
  assert.equal(
    costOf(full),
    11 * INGRESS.signatureCost + Math.ceil(full.encoded.length / INGRESS.bytesPerCost),
  );
});
