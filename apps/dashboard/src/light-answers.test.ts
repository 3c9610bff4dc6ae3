import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { millis } from '@itc/core/ledger/ids.js';
import { certify } from '@itc/core/testing/chain.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { MemoryLightStore } from '@itc/client/light-store.js';
import { fakeGateway, fetchFrom, lightScene, type FakeGateway } from '@itc/client/testing/light-gateway.js';
import { installNativeSha256, keyPair } from '@itc/core/testing/keys.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { signBatch } from '@itc/edge/device-sdk/reading-batch.js';
import { lightAnswers } from './light-answers.ts';
import type { LightQuestion, LightReply } from './light-protocol.ts';

installNativeSha256();

const GATEWAY = 'http://node';
const scene = lightScene([], '[{"bt":1700000000,"n":"t","u":"Cel","v":21.5},{"bt":0,"t":-5,"n":"h","v":40}]');
const ofDevice: LightQuestion = {
  kind: 'device',
  device: formatAddress(keyPair(61).address),
  subjects: [],
};

class Store extends MemoryLightStore {
  async clear(): Promise<void> {
    await this.write(new Uint8Array());
  }
}

function desk(
  gateway: FakeGateway,
  store: Store,
  genesis?: string,
  others: Readonly<Record<string, FakeGateway>> = {},
): (question: LightQuestion) => Promise<LightReply> {
  return lightAnswers({
    gateway: GATEWAY,
    store,
    now: () => scene.tip.block.header.time,
    fetch: fetchFrom({ [GATEWAY]: gateway, ...others }),
    ...(genesis !== undefined && { genesis }),
  });
}

test('CLIENT-15.1: the worker answers with what was proved, in the words of the page', async () => {
  const answer = desk(fakeGateway(scene), new Store());
  const device = await answer(ofDevice);
  assert.ok(device.kind === 'device' && device.record === undefined, 'proved: nobody owns it');
  assert.deepEqual([device.proof.signers, device.proof.weight, device.proof.total], [[0, 1, 2, 3], 4, 4]);
  const payload = await answer({ kind: 'payload', payload: toHex(scene.payload.id) });
  assert.ok(payload.kind === 'payload', JSON.stringify(payload));
  assert.equal(payload.device, formatAddress(keyPair(50).address));
  assert.deepEqual(payload.readings, [
    { name: 't', unit: 'Cel', value: 21.5, time: 1_700_000_000_000 },
    { name: 'h', value: 40 },
  ]);
  for (const wrong of [
    { ...ofDevice, device: 'itc1nonsense' },
    { kind: 'payload', payload: 'abc' },
  ] as const)
    assert.equal((await answer(wrong)).kind, 'failed');
});

test('CLIENT-15.7: of a batch the readings are proved by the root its payload holds, whatever the node shows beside it', async () => {
  const readings = [21, 22, 23].map((value) =>
    new TextEncoder().encode(`[{"bt":1700000000,"n":"t","u":"Cel","v":${value}},{"n":"h","v":${2 * value}}]`),
  );
  const signer = { publicKey: keyPair(50).key, address: keyPair(50).address, sign: keyPair(50).sign };
  const signed = signBatch({ chain: scene.home.chain, signer, sequence: 1, readings });
  const payload = parsePayload(scene.home.chain, signed.payload);
  assert.ok(payload.ok);
  const ofBatch = lightScene([], payload.value.content.slice());
  const asked = { kind: 'payload', payload: toHex(ofBatch.payload.id) } as const;
  const honest = await desk(fakeGateway(ofBatch, { batch: readings }), new Store())(asked);
  assert.ok(honest.kind === 'payload', JSON.stringify(honest));
  assert.deepEqual(
    honest.readings.map(({ name, value }) => [name, value]),
    [21, 22, 23].flatMap((value) => [
      ['t', value],
      ['h', 2 * value],
    ]),
  );
  for (const batch of [
    readings.toReversed(),
    readings.slice(1),
    [...readings, readings[0] as Uint8Array],
    [],
  ]) {
    const lied = await desk(fakeGateway(ofBatch, { batch }), new Store())(asked);
    assert.ok(lied.kind === 'payload' && lied.readings.length === 0);
  }
});

test('CLIENT-15.4: the first genesis is trusted from then on; another chain is refused until a person decides', async () => {
  const store = new Store();
  assert.equal((await desk(fakeGateway(scene), store)(ofDevice)).kind, 'device');
  const gone = await desk(fakeGateway(scene, { isGone: true }), store)(ofDevice);
  assert.ok(gone.kind === 'failed' && gone.code === 'unreachable' && gone.last?.kind === 'device');

  const linked = await desk(fakeGateway(scene), store, 'ab'.repeat(32))(ofDevice);
  assert.ok(linked.kind === 'failed' && linked.code === 'other-chain');
  // A node that shows another genesis, and whose streams begin with other validators.
  const { home } = scene;
  const stranger = fakeGateway(
    { ...scene, home: { ...home, chain: keyPair(5).address as unknown as typeof home.chain } },
    { spoil: (bytes) => bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte)) },
  );
  const answer = desk(stranger, store);
  const refused = await answer(ofDevice);
  assert.ok(refused.kind === 'failed' && refused.code === 'other-chain', JSON.stringify(refused));
  assert.equal(refused.chains?.trusted, toHex(home.chain));
  assert.equal((await answer({ kind: 'trust-anew' })).kind, 'done');
  const anew = await desk(fakeGateway(scene), store)(ofDevice);
  assert.equal(anew.kind, 'device');
});

test('CLIENT-15.4: a link names the genesis to begin with: a node of another one is not believed at the first visit either', async () => {
  const right = await desk(fakeGateway(scene), new Store(), toHex(scene.home.chain))(ofDevice);
  assert.equal(right.kind, 'device');
  const wrong = await desk(fakeGateway(scene), new Store(), 'ab'.repeat(32))(ofDevice);
  assert.ok(wrong.kind === 'failed' && wrong.code === 'other-chain');
});

test('CLIENT-15.5: gateways somebody named are compared: who agrees, lags or fails; they are asked for headers only', async () => {
  const below = scene.chain.builder.blocks.at(-3) as (typeof scene.chain.builder.blocks)[number];
  const others = {
    'http://second': fakeGateway(scene),
    'http://old': fakeGateway(scene, { newest: below }),
    'http://gone': fakeGateway(scene, { isGone: true }),
  };
  const answer = desk(fakeGateway(scene), new Store(), undefined, others);
  const compared = await answer({ kind: 'compare', others: Object.keys(others) });
  assert.ok(compared.kind === 'compared', JSON.stringify(compared));
  assert.equal(compared.proof.height, scene.tip.block.header.height);
  assert.deepEqual(
    compared.gateways.map(({ kind, gateway }) => [gateway, kind]),
    [
      [GATEWAY, 'agrees'],
      ['http://second', 'agrees'],
      ['http://old', 'behind'],
      ['http://gone', 'failed'],
    ],
  );
  for (const { asked } of Object.values(others))
    for (const url of asked) assert.doesNotMatch(url, /state=|payload=|transaction=|genesis/);
});

test('CLIENT-15.6: attack two gateways show certified headers that contradict each other: who signed both is told and reported', async () => {
  const { header } = scene.tip.block;
  const forked = { ...header, time: millis(header.time + 1) };
  const certificate = certify({ chain: scene.home.chain, validators: scene.home.validators, header: forked });
  const others = {
    'http://fork': fakeGateway(scene, {
      newest: { ...scene.tip, block: { ...scene.tip.block, header: forked }, certificate },
    }),
  };
  const own = fakeGateway(scene);
  const answer = desk(own, new Store(), undefined, others);
  for (let i = 0; i < 2; i += 1) {
    const found = await answer({ kind: 'compare', others: Object.keys(others) });
    assert.ok(found.kind === 'contradicted', JSON.stringify(found));
    assert.deepEqual([found.height, found.convicted.length], [header.height, 4]);
    assert.deepEqual(found.reported, [GATEWAY, 'http://fork']);
  }
  assert.equal(own.told.length, 8);
});
