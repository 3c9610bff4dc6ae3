import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Writer } from '../bytes/writer.ts';
import { sha256, type Hash } from '../crypto/hash.ts';
import { checkpointHash, checkpointSigningBytes, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { PublicKey } from '../crypto/signature.ts';
import { CHAIN, equalMembers, SUBNET, toySign, toyVerify } from '../testing/dag.ts';
import {
  decodeMessage,
  encodeMessage,
  verifyMessage,
  voteSigningBytes,
  type SubnetMessage,
} from './messages.ts';

const members = equalMembers(4);
const hash = (n: number): Hash => sha256(Uint8Array.of(n));
const checkpoint: SubnetCheckpoint = {
  subnet: SUBNET,
  sequence: 3,
  previous: hash(1),
  time: millis(9),
  anchors: [hash(2)],
  inclusionRoot: hash(3),
  appliedRoot: hash(4),
  stateRoot: hash(5),
  envelopeCount: 1,
  payloadCount: 2,
  powBits: 3,
};
const signature = toySign(members[1]?.key as PublicKey, voteSigningBytes(CHAIN, checkpointHash(checkpoint)));
const head = { issuer: 1, lane: 2, sequence: 3, hash: hash(6) };
const all: SubnetMessage[] = [
  { kind: 'envelope', encoded: Uint8Array.of(1, 2) },
  { kind: 'envelopes', encoded: [Uint8Array.of(1), Uint8Array.of()] },
  { kind: 'envelope-request', hashes: [hash(1)], heads: [head] },
  { kind: 'heads', checkpoint: 4, uncertain: true, heads: [head, head] },
  { kind: 'proposal', round: 2, checkpoint, signature },
  { kind: 'vote', sequence: 3, round: 2, hash: checkpointHash(checkpoint), signature },
  { kind: 'checkpoint-request', sequence: 3 },
  { kind: 'checkpoint-ids', sequence: 3, ids: [hash(1), hash(2)] },
];

test('DAG-9.7: every kind of message survives the wire, and altered bytes are refused or canonical', () => {
  for (const message of all) {
    const bytes = encodeMessage(message);
    assert.deepEqual(decodeMessage(bytes), { ok: true, value: message });
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const altered = bytes.slice();
        altered[at] = (altered[at] as number) ^ flip;
        const decoded = decodeMessage(altered);
        if (decoded.ok) assert.deepEqual(encodeMessage(decoded.value), altered);
      }),
      { numRuns: 200 },
    );
  }
});

test('DAG-9.7: counts and sizes beyond the limits are refused before anything is read', () => {
  const tooMany = new Writer()
    .u8(7)
    .u53(1)
    .u16(LIMITS.checkpointIdsMax + 1)
    .finish();
  const request = new Writer()
    .u8(2)
    .u16(LIMITS.requestHashesMax + 1)
    .finish();
  for (const bytes of [tooMany, request, new Uint8Array(LIMITS.subnetMessageBytesMax + 1)]) {
    const decoded = decodeMessage(bytes);
    assert.equal(decoded.ok ? 'ok' : decoded.code, 'decode.too-long');
  }
  const unknown = decodeMessage(Uint8Array.of(99));
  assert.equal(unknown.ok ? 'ok' : unknown.code, 'decode.unknown-kind');
});

test('DAG-9.7: a vote or proposal counts only as its sender’s own', () => {
  const context = { chain: CHAIN, subnet: SUBNET, members, verify: toyVerify };
  for (const message of all) {
    if (message.kind !== 'vote' && message.kind !== 'proposal') continue;
    assert.equal(verifyMessage(context, 1, message).ok, true);
    assert.equal(verifyMessage(context, 2, message).ok, false);
    assert.equal(verifyMessage(context, 9, message).ok, false);
    assert.equal(verifyMessage({ ...context, chain: hash(8) }, 1, message).ok, false);
  }
  assert.deepEqual(
    voteSigningBytes(CHAIN, checkpointHash(checkpoint)),
    checkpointSigningBytes(CHAIN, checkpoint),
  );
});
