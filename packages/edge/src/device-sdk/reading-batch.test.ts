import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { countingVerifier, keyPair, rememberingVerifier, verifyQuickly } from '@itc/core/testing/keys.js';
import { signerOf } from '../testing/device-signer.ts';
import { batchRoot, proveBatchReading, signBatch, verifyBatchReading } from './reading-batch.ts';

const chain = asHash(new Uint8Array(32).fill(3));
const signer = signerOf(keyPair(50));
const readings = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => utf8Encode(`{"n":"temperature","v":${i}}`));

test('DEVICE-3.1: one signature for many readings, and each is provable alone', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), fc.nat(69), (count, at) => {
      const index = at % count;
      const batch = signBatch({ chain, signer, sequence: 7, readings: readings(count) });
      const { verify, calls } = countingVerifier(verifyQuickly);
      const proven = verifyBatchReading({ chain, proof: proveBatchReading(batch, index), verify });
      assert.ok(proven.ok);
      assert.equal(calls(), 1);
      assert.deepEqual(proven.value.reading, batch.readings[index]);
      assert.deepEqual([proven.value.index, proven.value.count], [index, count]);
      assert.equal(proven.value.payload.sequence, 7);
      assert.deepEqual(proven.value.payload.device, signer.address);
    }),
    { numRuns: 40 },
  );
});

test('DEVICE-3.2: the payload is one any ledger takes: SenML with one record, the count and root as its data', () => {
  const { payload } = signBatch({ chain, signer, sequence: 1, readings: readings(5) });
  const parsed = parsePayload(chain, payload);
  assert.ok(parsed.ok);
  assert.equal(parsed.value.contentType, 'senml+cbor');
  assert.equal(batchRoot(parsed.value)?.count, 5);
  assert.ok(payload.length < 260, `${payload.length} bytes`);
});

test('DEVICE-3.3: any byte of a proof changed, cut off or added refuses it, and so does another chain', () => {
  const batch = signBatch({ chain, signer, sequence: 1, readings: readings(9) });
  const proof = proveBatchReading(batch, 4);
  const verify = rememberingVerifier(verifyQuickly);
  assert.ok(verifyBatchReading({ chain, proof, verify }).ok);
  for (let i = 0; i < proof.length; i += 1) {
    const changed = proof.slice();
    changed[i] = (changed[i] as number) ^ 1;
    assert.equal(verifyBatchReading({ chain, proof: changed, verify }).ok, false, `byte ${i}`);
    assert.equal(verifyBatchReading({ chain, proof: proof.subarray(0, i), verify }).ok, false);
  }
  assert.equal(verifyBatchReading({ chain, proof: Uint8Array.of(...proof, 0), verify }).ok, false);
  assert.equal(verifyBatchReading({ chain: asHash(new Uint8Array(32)), proof, verify }).ok, false);
});

test('DEVICE-3.3: a payload that holds anything else is no batch', () => {
  const batch = signBatch({ chain, signer, sequence: 1, readings: readings(3) });
  const parsed = parsePayload(chain, batch.payload);
  assert.ok(parsed.ok);
  const { content } = parsed.value;
  for (const other of [content.subarray(1), Uint8Array.of(...content, 0), utf8Encode('[]')])
    assert.equal(batchRoot({ ...parsed.value, contentType: 'senml+cbor', content: other }), undefined);
  assert.equal(batchRoot({ ...parsed.value, contentType: 'senml+json', content }), undefined);
});
