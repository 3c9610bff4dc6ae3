import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeManifest } from '@itc/core/state/snapshot.js';
import {
  anyCertificate,
  anyHash,
  anyHeader,
  anyValidatorSet,
  assertStrict,
} from '@itc/core/testing/arbitraries.js';
import {
  decodeAnswer,
  decodeManifests,
  decodeRequest,
  decodeTurns,
  encodeAnswer,
  encodeManifests,
  encodeRequest,
  encodeTurns,
  SYNC_LIMITS,
  type EpochTurn,
  type Numbered,
  type SyncAnswer,
  type SyncRequest,
} from './state-sync-messages.ts';

const number = fc.integer({ min: 0, max: 0xffff_ffff });
const height = fc.maxSafeNat();
const prefix = fc.constantFrom(
  { depth: 0, bits: new Uint8Array(0) },
  { depth: 3, bits: Uint8Array.of(0b0110_0000) },
  { depth: 16, bits: Uint8Array.of(1, 2) },
);

test('SNAPSHOT-5: requests and answers have one encoding each', () => {
  const content: fc.Arbitrary<SyncRequest> = fc.oneof(
    fc.constant({ kind: 'manifests' } as const),
    number.map((from) => ({ kind: 'epochs', from }) as const),
    fc.tuple(height, prefix).map(([of, bits]) => ({ kind: 'chunk', height: of, prefix: bits }) as const),
    fc.tuple(height, number).map(([of, index]) => ({ kind: 'hashes', height: of, index }) as const),
    height.map((of) => ({ kind: 'block', height: of }) as const),
  );
  const request = fc
    .tuple(number, content)
    .map(([n, c]): Numbered<SyncRequest> => ({ number: n, content: c }));
  assertStrict(request, { encode: encodeRequest, decode: decodeRequest });
  const refusal = fc.constant<SyncAnswer>({ kind: 'unknown' });
  const answer = fc.tuple(number, refusal).map(([n, c]): Numbered<SyncAnswer> => ({ number: n, content: c }));
  assertStrict(answer, { encode: encodeAnswer, decode: decodeAnswer });
  fc.assert(
    fc.property(number, fc.uint8Array({ maxLength: 40 }), (n, body) => {
      const piece = decodeAnswer(encodeAnswer({ number: n, content: { kind: 'piece', body } }));
      assert.deepEqual(piece.ok && piece.value, { number: n, content: { kind: 'piece', body } });
    }),
  );
});

test('SNAPSHOT-5: turns of epochs have one encoding, and their number in one answer is bounded', () => {
  const turn = fc
    .tuple(anyHeader, anyCertificate, anyValidatorSet)
    .map(([header, certificate, validators]): EpochTurn => ({
      closing: { header, certificate },
      validators,
    }));
  assertStrict(fc.array(turn, { maxLength: 3 }), { encode: encodeTurns, decode: decodeTurns }, 30);
  const [one] = fc.sample(turn, 1);
  assert.ok(one);
  const many = Array.from({ length: SYNC_LIMITS.turnsMax + 1 }, () => one);
  const refused = decodeTurns(encodeTurns(many));
  assert.ok(!refused.ok && refused.code === 'decode.too-long');
});

test('SNAPSHOT-5: more manifests than there may be are refused', () => {
  fc.assert(
    fc.property(anyHeader, anyCertificate, anyHash, (header, certificate, hash) => {
      const { signers, signatures } = certificate;
      const anchor = {
        epoch: header.epoch,
        height: header.height,
        hash,
        stateRoot: hash,
        signers,
        signatures,
      };
      const manifest = { anchor, header, certificate, records: 1, depths: Uint8Array.of(0) };
      const bytes = encodeManifest(manifest);
      const some = decodeManifests(
        encodeManifests(Array.from({ length: SYNC_LIMITS.manifestsMax }, () => bytes)),
      );
      assert.deepEqual(some.ok && some.value[3], manifest);
      assert.ok(!decodeManifests(encodeManifests([bytes, bytes, bytes, bytes, bytes])).ok);
    }),
    { numRuns: 10 },
  );
});
