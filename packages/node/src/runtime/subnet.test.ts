import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { encodePayload, parsePayload, payloadSigningBytes, type Payload } from '@itc/core/ledger/payload.js';
import { proveReading, verifyReading } from '@itc/core/light/reading-proof.js';
import { decodeBlock } from '@itc/core/ledger/block.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';

installNativeCrypto();

function reading(chain: Hash, sequence: number, device = keyPair(120)): Payload {
  const unsigned = {
    signer: device.publicKey,
    device: device.address,
    sequence,
    contentType: 'senml+json' as const,
    content: new TextEncoder().encode(`[{"n":"temperature","v":${sequence}}]`),
  };
  const bytes = encodePayload(unsigned, device.sign(payloadSigningBytes(chain, unsigned)));
  const parsed = parsePayload(chain, bytes);
  assert.ok(parsed.ok);
  return parsed.value;
}

test('NODE-5: payloads offered at one member become final on the main chain, each once, with a proof that holds', async () => {
  const network = await LocalNetwork.create({ validators: 4, members: 4 });
  try {
    await network.startAll();
    const members = network.running().filter((node) => node.subnet !== undefined);
    const [entry, other] = members;
    assert.ok(entry?.subnet && other?.subnet);
    const payloads = Array.from({ length: 300 }, (_, i) => reading(network.chain, i + 1));
    const final = new Set<string>();
    entry.subnet.listen({
      progress: (progress) =>
        progress.stage === 'final' && progress.payloads.forEach((id) => final.add(toHex(id))),
    });
    for (const payload of payloads) assert.ok(entry.subnet.offer(payload).ok);
    // The same payload at another member is applied once all the same.
    assert.ok(other.subnet.offer(payloads[0] as Payload).ok);
    await until('all payloads are final', () => final.size === payloads.length);
    await until('every member applied them', () =>
      members.every((node) => node.subnet?.status().payloadsApplied === payloads.length),
    );
    assert.equal(entry.chain.state.subnet(network.subnet)?.payloads, payloads.length);

    const last = payloads[299] as Payload;
    const store = entry.subnetStore;
    const place = store?.place(last.id);
    assert.ok(store && place);
    const at = entry.chain.checkpointPlace(network.subnet, place.checkpoint);
    const stored = at && entry.chain.blockAt(at.height);
    const block = stored && decodeBlock(stored.block);
    assert.ok(at && stored && block?.ok);
    const proof = proveReading({
      genesis: encodeGenesis(network.genesis),
      block: block.value,
      certificate: stored.certificate,
      transactionIndex: at.index,
      payloadIds: store.appliedIds(place.checkpoint) ?? [],
      payloadIndex: place.index,
      payload: store.payloadBytes(last.id, place) ?? new Uint8Array(),
    });
    const verdict = verifyReading({ genesisHash: network.chain, proof, verify: verifySignature });
    assert.equal(verdict.valid, true);
  } finally {
    await network.close();
  }
});

test('NODE-5: a member that was away catches up, and nothing offered meanwhile is lost', async () => {
  const network = await LocalNetwork.create({ validators: 4, members: 4 });
  try {
    await network.startAll();
    const entry = network.nodes[4];
    assert.ok(entry?.subnet);
    assert.ok(entry.subnet.offer(reading(network.chain, 1)).ok);
    await until('the first is final', () => entry.subnet?.status().payloadsApplied === 1);
    await network.stop(7);
    assert.ok(entry.subnet.offer(reading(network.chain, 2)).ok);
    await until(
      'the second is final without the fourth member',
      () => entry.subnet?.status().payloadsApplied === 2,
    );
    const back = await network.start(7);
    await until('the fourth member applied both', () => back.subnet?.status().payloadsApplied === 2);
  } finally {
    await network.close();
  }
});
