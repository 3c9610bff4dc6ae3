import assert from 'node:assert/strict';
import { test } from 'node:test';
import { didKeyOf, didOf } from '@itc/core/ledger/did.js';
import { encodeIdentityProof, proveIdentity } from '@itc/core/light/identity-proof.js';
import { StateTree } from '@itc/core/crypto/state-tree.js';
import { keysKey, stateKeyHash } from '@itc/core/state/keys.js';
import { encodeRecord } from '@itc/core/state/records.js';
import { NO_DEPOSIT } from '@itc/core/state/record-deposit.js';
import { keySetOf } from '@itc/core/ledger/account-keys.js';
import { ChainBuilder, world } from '@itc/core/testing/chain.js';
import { keyPair } from '@itc/core/testing/keys.js';
import { toBase64Url } from './base64url.ts';
import { judgeDid, resolveDid } from './did.ts';
import type { Fetch } from './http.ts';

const home = world();
const owner = keyPair(61);
const next = keyPair(62);
const tree = StateTree.empty.update([
  {
    key: stateKeyHash(keysKey(owner.address)),
    value: encodeRecord('keys', { ...keySetOf([next.key]), deposit: NO_DEPOSIT }),
  },
]);
const builder = new ChainBuilder(home);
builder.append();
const { block, certificate } = builder.append([], { stateRoot: tree.root });
const proof = encodeIdentityProof(
  proveIdentity({ header: block.header, certificate, hops: [], tree, address: owner.address }),
);

/** A node that shows this proof, and says what it likes beside it. */
const node =
  (shown: Uint8Array): Fetch =>
  () =>
    Promise.resolve(
      new Response(JSON.stringify({ document: { id: 'a lie' }, height: 9, proof: toBase64Url(shown) })),
    ) as unknown as ReturnType<Fetch>;
const options = { url: 'http://node', genesis: home.genesis };

test('DID-2.3: the document is made from the proof, whatever the node says beside it', async () => {
  const { document, proved } = await resolveDid(didOf(owner.address), { ...options, fetch: node(proof) });
  assert.equal(document.id, didOf(owner.address));
  assert.equal(document.authentication.length, 1);
  assert.equal(proved?.height, block.header.height);
  assert.deepEqual(
    judgeDid(owner.address, proved.proof, { ...options, trust: proved.trust }).document,
    document,
  );
});

test('DID-2.3: a node without a proof that holds is not believed', async () => {
  const other = proof.slice();
  other[other.length - 30] = (other[other.length - 30] as number) ^ 1;
  for (const shown of [other, new Uint8Array(0), proof.subarray(1)])
    await assert.rejects(resolveDid(didOf(owner.address), { ...options, fetch: node(shown) }), {
      code: 'peer.message',
    });
  await assert.rejects(resolveDid(didOf(next.address), { ...options, fetch: node(proof) }), {
    code: 'peer.message',
  });
  await assert.rejects(resolveDid('did:web:example.org', { ...options, fetch: node(proof) }), {
    code: 'address.malformed',
  });
});

test('DID-1.1: a did:key resolves to itself, and nobody is asked', async () => {
  const did = didKeyOf(next.key) as string;
  const never: Fetch = () => assert.fail('a node was asked');
  const { document } = await resolveDid(did, { ...options, fetch: never });
  assert.equal(document.id, did);
  assert.deepEqual(document.authentication, [document.verificationMethod[0]?.id]);
});
