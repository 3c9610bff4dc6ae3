import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { verifySignature } from '../crypto/verify.ts';
import {
  bytesOf,
  coSignedVectors,
  readVector,
  streamOf,
  type CoSignedVectors,
} from '../testing/co-signed-vectors.ts';
import { rememberingVerifier } from '../testing/keys.ts';

const file = new URL('../../../../spec/vectors/co-signed-streams.json', import.meta.url);
const stored = JSON.parse(readFileSync(file, 'utf8')) as CoSignedVectors;
const verify = rememberingVerifier(verifySignature);

test('QUANTUM-3.10: the vectors in the repository are those the documented command writes', () => {
  assert.deepEqual(coSignedVectors(verify), stored);
});

test('QUANTUM-3.10: each vector comes to its verdict; what is refused leaves the trust as it was', () => {
  for (const vector of stored.vectors) {
    const { name, events, after } = vector;
    const read = readVector({ trust: bytesOf(vector.trust), bytes: streamOf(stored, vector) }, verify);
    assert.deepEqual({ name, ...read }, { name, events, after });
    if (events.at(-1) !== 'done') assert.equal(after, vector.trust);
  }
  const refused = new Set(
    stored.vectors.map(({ events }) => events.at(-1)).filter((event) => event?.startsWith('refused')),
  );
  assert.ok(refused.size >= 11, [...refused].join());
});
