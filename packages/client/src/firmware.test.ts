import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asHash } from '@itc/core/crypto/hash.js';
import { verifyMerklePath } from '@itc/core/crypto/merkle.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import {
  attestationLeaf,
  channelId,
  channelSigningBytes,
  decodeAttestation,
  roleOf,
  type Attestation,
} from '@itc/core/ledger/firmware.js';
import { millis } from '@itc/core/ledger/ids.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { buildAttestation, createChannel, mergeSignatures, reportInstalls, signAs } from './firmware.ts';
import { seedSigner } from './keys.ts';

const chain = asHash(new Uint8Array(32).fill(5));
const model = asHash(new Uint8Array(32).fill(6));
const [a, b, c] = [1, 2, 3].map((byte) => seedSigner(new Uint8Array(32).fill(byte)));
assert.ok(a && b && c);
const role = roleOf([a.publicKey, b.publicKey], 2);

test('CLIENT-13.1: signers sign under their place in the role, each once; who is not of it does not sign', async () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const both = await signAs(role, [b, a], bytes);
  assert.deepEqual(
    both.map(({ index }) => index),
    [0, 1],
  );
  for (const { index, signature } of both) {
    const key = role.keys[index];
    assert.ok(key && verifySignature(key, bytes, signature));
  }
  const apart = mergeSignatures(await signAs(role, [b], bytes), await signAs(role, [a], bytes));
  assert.deepEqual(mergeSignatures(apart, both), both);
  await assert.rejects(signAs(role, [c], bytes), LedgerError);
});

test('CLIENT-13.2: a channel is signed by the root role it names', async () => {
  const form = { version: 1, root: role, release: role, expiresAt: millis(99) };
  const maker = c.address;
  const body = await createChannel({ chain, maker, model, board: 'x', form, signers: [a, b] });
  assert.ok(body.kind === 'create-channel');
  const signed = channelSigningBytes(chain, channelId({ maker, model, board: 'x' }), form);
  for (const { index, signature } of body.signatures) {
    const key = role.keys[index];
    assert.ok(key && verifySignature(key, signed, signature));
  }
});

test('CLIENT-13.3: what devices attest is reported under one root, with a path for each', async () => {
  const attestation: Attestation = {
    channel: model,
    number: 2,
    version: { major: 1, minor: 2, patch: 0 },
    outcome: 'installed',
    boots: 3,
    measurement: chain,
  };
  const payloads = await Promise.all(
    [a, b, c].map((signer) => buildAttestation({ chain, signer, attestation, sequence: 1 })),
  );
  for (const { id, bytes } of payloads) {
    const payload = parsePayload(chain, bytes);
    assert.ok(payload.ok);
    assert.deepEqual(payload.value.id, id);
    const read = decodeAttestation(payload.value.content);
    assert.deepEqual(read.ok && read.value, attestation);
  }
  const ids = payloads.map(({ id }) => id);
  const { body, tree } = reportInstalls({
    channel: model,
    number: 2,
    subnet: chain,
    payloads: ids,
    failures: 0,
  });
  assert.ok(body.kind === 'report-installs' && body.count === 3);
  for (const [index, id] of ids.entries()) {
    const leaf = attestationLeaf(id);
    assert.ok(verifyMerklePath({ root: body.root, leaf, index, count: 3, path: tree.path(index) }));
  }
});
