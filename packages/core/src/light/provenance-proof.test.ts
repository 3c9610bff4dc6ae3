import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../bytes/hex.ts';
import { hashTagged, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { StateTree, type StateChange } from '../crypto/state-tree.ts';
import { amount, height } from '../ledger/ids.ts';
import { deviceKey, stateKey, stateKeyHash, type StateKey } from '../state/keys.ts';
import { NO_DEPOSIT } from '../state/record-deposit.ts';
import { encodeRecord } from '../state/records.ts';
import { certify, ChainBuilder, world } from '../testing/chain.ts';
import { ownedDevice } from '../testing/devices.ts';
import { installNativeSha256, keyPair, rememberingVerifier, verifyQuickly } from '../testing/keys.ts';
import {
  decodeProvenanceProof,
  encodeProvenanceProof,
  proveProvenance,
  verifyProvenance,
  type ProvenanceProof,
} from './provenance-proof.ts';

installNativeSha256();

const home = world();
const [lamp, owner, maker, other] = [60, 61, 62, 63].map((n) => keyPair(n)) as [
  ReturnType<typeof keyPair>,
  ReturnType<typeof keyPair>,
  ReturnType<typeof keyPair>,
  ReturnType<typeof keyPair>,
];
const BATCH = hashTagged('batch', Uint8Array.of(1));
const MODEL = hashTagged('batch', Uint8Array.of(2));

/** A ledger that knows a maker, its batch and model, and whose the lamp is. */
function prove(
  o: { isClaimed?: boolean; hasModel?: boolean; batchId?: Hash; batchOf?: Hash } = {},
): ProvenanceProof | undefined {
  const { isClaimed = true, hasModel = true } = o;
  const device = ownedDevice({
    key: lamp.key,
    owner: owner.address,
    at: home.genesis.time,
    batch: o.batchOf ?? BATCH,
  });
  const put = (key: StateKey, value: Uint8Array): StateChange => ({ key: stateKeyHash(key), value });
  const tree = StateTree.empty.update([
    ...(isClaimed ? [put(deviceKey(lamp.address), encodeRecord('device', device))] : []),
    put(
      stateKey('batch', BATCH),
      encodeRecord('batch', {
        maker: maker.address,
        root: ZERO_HASH,
        count: 5,
        model: MODEL,
        depositPerDevice: amount(1n),
        claimed: 1,
        registeredAt: height(1),
        attestation: maker.key,
        deposit: NO_DEPOSIT,
      }),
    ),
    put(
      stateKey('maker', maker.address),
      encodeRecord('maker', {
        name: 'Lumen',
        registeredAt: height(1),
        attestation: maker.key,
        deposit: NO_DEPOSIT,
      }),
    ),
    ...(hasModel
      ? [
          put(
            stateKey('model', maker.address, MODEL),
            encodeRecord('model', {
              name: 'Lamp 3',
              actions: 7,
              levelMax: 254,
              registeredAt: height(1),
              deposit: NO_DEPOSIT,
            }),
          ),
        ]
      : []),
  ]);
  const { block, certificate } = new ChainBuilder(home).append([], { stateRoot: tree.root });
  return proveProvenance({
    tree,
    hops: [],
    header: block.header,
    certificate,
    address: lamp.address,
    ...(o.batchId && { batchId: o.batchId }),
  });
}

const shown = (o: Parameters<typeof prove>[0] = {}): ProvenanceProof =>
  prove(o) ?? assert.fail('nothing to show');

function judge(proof: ProvenanceProof, verify = verifyQuickly, device = lamp.address): string {
  const judged = verifyProvenance(proof, { device, genesis: home.genesis, verify });
  return judged.ok ? 'ok' : judged.code;
}

test('LIGHT-13.1: a claimed device is shown with its owner, batch, maker and model; one whose model is not registered as well', () => {
  for (const hasModel of [true, false]) {
    const judged = verifyProvenance(shown({ hasModel }), {
      device: lamp.address,
      genesis: home.genesis,
      verify: verifyQuickly,
    });
    assert.ok(judged.ok);
    const { device, batch, maker: made, model } = judged.value;
    assert.deepEqual(device?.owner, owner.address);
    assert.deepEqual([batch.count, made.name, model?.name], [5, 'Lumen', hasModel ? 'Lamp 3' : undefined]);
    assert.deepEqual(batch.attestation, maker.key);
  }
});

test('LIGHT-13.1: of a device that nobody has claimed the batch is shown that is asked for', () => {
  assert.equal(prove({ isClaimed: false }), undefined);
  assert.equal(prove({ isClaimed: false, batchId: MODEL }), undefined);
  const proof = shown({ isClaimed: false, batchId: BATCH });
  const judged = verifyProvenance(proof, {
    device: lamp.address,
    genesis: home.genesis,
    verify: verifyQuickly,
  });
  assert.ok(judged.ok && judged.value.device === undefined);
});

test('LIGHT-13.2: attack: another device, another batch, a record left out or made up, too few signatures', () => {
  const proof = shown();
  assert.equal(judge(proof, verifyQuickly, other.address), 'address');
  assert.equal(judge({ ...proof, batchId: MODEL }), 'batch');
  assert.equal(judge({ ...proof, device: { ...proof.device, record: undefined } }), 'device');
  const mine = encodeRecord(
    'device',
    ownedDevice({ key: lamp.key, owner: other.address, at: home.genesis.time, batch: BATCH }),
  );
  assert.equal(judge({ ...proof, device: { ...proof.device, record: mine } }), 'device');
  assert.equal(judge({ ...proof, maker: { ...proof.maker, record: undefined } }), 'maker');
  assert.equal(judge({ ...proof, model: { ...proof.model, record: undefined } }), 'model');
  const few = certify({ chain: home.chain, validators: home.validators, header: proof.header, signers: [0] });
  assert.notEqual(judge({ ...proof, certificate: few }), 'ok');
});

test('LIGHT-13.3, WIRE-9.7: one encoding; any byte changed, cut off or added makes it invalid', () => {
  const verify = rememberingVerifier(verifyQuickly);
  const bytes = encodeProvenanceProof(shown());
  const back = decodeProvenanceProof(bytes);
  assert.ok(back.ok);
  assert.deepEqual(back.value, shown());
  for (let i = 0; i < bytes.length; i += 2) {
    const changed = bytes.with(i, (bytes[i] as number) ^ (1 << (i % 8)));
    const read = decodeProvenanceProof(changed);
    if (!read.ok) continue;
    assert.equal(toHex(encodeProvenanceProof(read.value)), toHex(changed));
    assert.notEqual(judge(read.value, verify), 'ok', `byte ${i}`);
  }
  for (let length = 0; length < bytes.length; length += 41)
    assert.ok(!decodeProvenanceProof(bytes.slice(0, length)).ok);
});
