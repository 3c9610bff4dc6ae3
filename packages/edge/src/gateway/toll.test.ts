import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Hash } from '@itc/core/crypto/hash.js';
import { StampSearch, TOLL, type Stamp } from '@itc/core/dag/toll.js';
import { RATE } from '@itc/core/dag/proof-of-work.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { asHash, sha256 } from '@itc/core/crypto/hash.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { signedPayload } from '@itc/core/testing/chain.js';
import { encodeSenml, type SenmlRecord } from '../2-conversion/senml.ts';
import type { KeyPair } from '@itc/core/testing/keys.js';
import { DeviceClient, type Delivered } from '../device/device-client.ts';
import type { WorkPolicy } from '../device-sdk/stamp-work.ts';
import { SILENT } from '../log.ts';
import { loginByPassword, publish, reading, sensor, type Answer } from '../testing/device-login.ts';
import { signerOf } from '../testing/device-signer.ts';
import {
  command,
  gatewayKey,
  lampKey,
  openGateway,
  owner,
  sensorKey,
  type TestGateway,
} from '../testing/gateway.ts';
import { until } from '../testing/mqtt.ts';
import { noticeTopic } from '../topics.ts';
import { encodeUploadFrame, UPLOAD_CONTENT_TYPE } from '../upload-frame.ts';
import { parseWorkDemand, type WorkDemand } from '../work-demand.ts';

type Client = Awaited<ReturnType<typeof loginByPassword>>;

/** A gateway whose clock stands still until it is moved: nobody's share grows by itself. */
const STILL = Date.now();
const openStill = (): Promise<TestGateway> => openGateway({ clock: () => STILL });

let sequence = 0;
const next = (t: TestGateway, by: KeyPair = sensorKey): Payload => {
  sequence += 1;
  return reading(t, sequence, 20, { by });
};

/** A payload of so many units: a few of them use up what is free. */
const FAT_UNITS = 16;
const fatRecords = (t: TestGateway): SenmlRecord[] =>
  Array.from({ length: 4 }, (_, i) => ({ name: `t${i}`, time: t.now(), value: 'x'.repeat(3_920) }));
const fat = (t: TestGateway, by: KeyPair = sensorKey): Payload => {
  sequence += 1;
  const content = encodeSenml('senml+cbor', fatRecords(t));
  return signedPayload(t.ledger.chain, by, { sequence, content });
};
const FREE_FAT = RATE.free / FAT_UNITS;

/** Uses up what is free, at one moment. */
async function useUp(t: TestGateway, client: Client, by: KeyPair = sensorKey): Promise<void> {
  for (let i = 0; i < FREE_FAT; i += 1)
    assert.equal((await publish(client, fat(t, by).bytes)).code, undefined);
}

function stampFor(
  t: TestGateway,
  payload: Hash,
  o: Partial<WorkDemand> & { readonly by?: KeyPair; readonly bits: number },
): Stamp {
  const height = o.height ?? t.ledger.head().height;
  const anchor = o.anchor ?? t.ledger.anchor(height) ?? asHash(new Uint8Array(32));
  const device = (o.by ?? sensorKey).address;
  const search = new StampSearch({ tolled: { anchor, device, payload }, height, bits: o.bits });
  for (;;) {
    const stamp = search.step(4_096);
    if (stamp !== undefined) return stamp;
  }
}

const send = (client: Client, payload: Uint8Array, stamp: Stamp): Promise<Answer> =>
  publish(client, encodeUploadFrame({ stamp, payload, readings: [] }), { contentType: UPLOAD_CONTENT_TYPE });

function device(t: TestGateway, work?: WorkPolicy): DeviceClient {
  return new DeviceClient({
    chain: t.ledger.chain,
    signer: signerOf(sensorKey),
    gateways: [{ url: t.url, address: gatewayKey.address }],
    random: () => 0.5,
    log: SILENT,
    ...(work && { work }),
  });
}

/** What is free, and so many more. */
const burst = (client: DeviceClient, t: TestGateway, more: number): Promise<Delivered[]> =>
  Promise.all([
    ...Array.from({ length: FREE_FAT }, () => client.resend(fat(t).bytes, false)),
    ...Array.from({ length: more }, () => client.resend(next(t).bytes, false)),
  ]);

test('EDGE-15.2: attack: spam of one device is refused before its signatures are looked at, and others are not concerned', async () => {
  await using t = await openStill();
  const [spammer, lamp] = [await loginByPassword(t, sensorKey), await loginByPassword(t, lampKey)];
  const spam = Promise.all(Array.from({ length: 4 * FREE_FAT }, () => publish(spammer, fat(t).bytes)));
  assert.equal((await publish(lamp, next(t, lampKey).bytes)).reasonCode, 0);
  const answers = await spam;
  assert.equal(answers.filter(({ reasonCode }) => reasonCode === 0).length, FREE_FAT);
  assert.equal(answers.filter(({ code }) => code === 'payload.work-required').length, 3 * FREE_FAT);
  assert.equal(t.signaturesChecked(), FREE_FAT + 1);
  assert.equal((await publish(lamp, next(t, lampKey).bytes)).reasonCode, 0);
  for (const client of [spammer, lamp]) client.end(true);
});

test('EDGE-15.3: the refusal names bits and anchor, and a stamp of them opens the door, for this payload alone', async () => {
  await using t = await openStill();
  const client = await loginByPassword(t, sensorKey);
  await useUp(t, client);
  const payload = next(t);
  const refused = await publish(client, payload.bytes);
  assert.deepEqual([refused.reasonCode, refused.code], [0x97, 'payload.work-required']);
  const demand = parseWorkDemand(refused.work ?? '');
  assert.ok(demand);
  assert.ok(demand.bits > TOLL.bitsLeast);
  assert.deepEqual(demand.anchor, t.ledger.anchor(demand.height));
  const stamp = stampFor(t, payload.id, { bits: demand.bits });
  const other = next(t);
  assert.equal((await send(client, other.bytes, stamp)).code, 'payload.work-required', 'another payload');
  const foreign = stampFor(t, payload.id, { bits: 15, by: lampKey });
  assert.equal((await send(client, payload.bytes, foreign)).code, 'payload.work-required', 'another device');
  assert.equal((await send(client, payload.bytes, stamp)).reasonCode, 0);
  client.end(true);
});

test('EDGE-15.3: attack: stamps made in advance age with their anchor, and anchors that are none open nothing', async () => {
  await using t = await openStill();
  const client = await loginByPassword(t, sensorKey);
  const [early, ahead, made] = [next(t), next(t), next(t)];
  const stock = stampFor(t, early.id, { bits: 15 });
  for (let i = 0; i < TOLL.anchorAgeMax + 1; i += 1) t.ledger.block();
  await useUp(t, client);
  assert.equal((await send(client, early.bytes, stock)).code, 'payload.work-required', 'too old');
  const height = t.ledger.head().height + 1;
  const guessed = stampFor(t, ahead.id, { bits: 15, height });
  assert.equal((await send(client, ahead.bytes, guessed)).code, 'payload.work-required', 'not there yet');
  const wrong = stampFor(t, made.id, { bits: 15, anchor: asHash(new Uint8Array(32)) });
  assert.equal((await send(client, made.bytes, wrong)).code, 'payload.work-required', 'another header');
  client.end(true);
});

test('EDGE-15.4: a device works for what is beyond its share, and sends everything; within it nobody works', async () => {
  await using t = await openStill();
  const client = device(t, { bitsMax: 20, sliceMs: 20, attemptsMax: 8 });
  client.start();
  await until(() => client.connected, 'the device');
  const deliveries = await burst(client, t, 12);
  assert.ok(deliveries.every(({ code }) => code === undefined));
  assert.equal(t.gateway.counts().accepted, FREE_FAT + 12);
  const { refused } = t.gateway.counts();
  assert.ok(refused > 0, 'work was asked for');
  t.advance(60_000);
  await burst(client, t, 0);
  assert.equal(t.gateway.counts().refused, refused, 'and is not any more');
  await client.stop();
});

test('EDGE-15.4: more work than its owner allows it does not do: the payload waits until its share has room again', async () => {
  await using t = await openStill();
  t.subnet.bits = 20;
  const client = device(t, { bitsMax: 16, sliceMs: 20, attemptsMax: 3 });
  client.start();
  await until(() => client.connected, 'the device');
  const all = burst(client, t, 8);
  await until(() => t.gateway.counts().refused > 0, 'a refusal');
  assert.ok(client.waiting > 0);
  t.advance(60_000);
  assert.ok((await all).every(({ code }) => code === undefined));
  assert.equal(t.gateway.counts().accepted, FREE_FAT + 8);
  await client.stop();
});

test('EDGE-15.3: a 3.1.1 client is told in a notice, and a stamp in the bytes is all it needs', async () => {
  await using t = await openStill();
  const first = await loginByPassword(t, sensorKey);
  await useUp(t, first);
  first.end(true);
  const client = await loginByPassword(t, sensorKey, 4);
  const notices: string[] = [];
  client.on('message', (_topic, bytes) => void notices.push(bytes.toString()));
  await client.subscribeAsync(noticeTopic(sensor));
  const payload = next(t);
  client.publish('itc/v1/up', Buffer.from(payload.bytes), { qos: 1 });
  await until(() => !client.connected, 'the end');
  const notice = JSON.parse(notices[0] ?? '{}') as { code?: string; work?: WorkDemand };
  assert.equal(notice.code, 'payload.work-required');
  const { bits } = notice.work as WorkDemand;
  const again = await loginByPassword(t, sensorKey, 4);
  const accepted = t.gateway.counts().accepted;
  const stamp = stampFor(t, payload.id, { bits });
  again.publish(
    'itc/v1/up',
    Buffer.from(encodeUploadFrame({ stamp, payload: payload.bytes, readings: [] })),
    {
      qos: 1,
    },
  );
  await until(() => t.gateway.counts().accepted === accepted + 1, 'the payload');
  for (const one of [client, again]) one.end(true);
});

test('EDGE-15.2: content without signature is tolled by its own hash', async () => {
  await using t = await openStill();
  const client = await loginByPassword(t, sensorKey);
  await useUp(t, client);
  const content = new TextEncoder().encode('[{"n":"a","v":1}]');
  assert.equal((await publish(client, content)).code, 'payload.work-required');
  const stamp = stampFor(t, sha256(content), { bits: 16 });
  assert.equal((await send(client, content, stamp)).reasonCode, 0);
  client.end(true);
});

test('EDGE-15.2: attack: who writes to a lamp often does not make it work for its answers', async () => {
  await using t = await openStill();
  const client = await loginByPassword(t, lampKey);
  const lamp = await t.lamp();
  await until(() => lamp.connected, 'the lamp');
  // The lamp is over its share by what it measured; the numbers leave room for its own.
  sequence = 500;
  await useUp(t, client, lampKey);
  const asked = command(t, owner, { kind: 'on' });
  await t.gateway.submitCommand(asked.bytes);
  await until(() => lamp.state.on, 'the lamp to be lit');
  await until(
    () =>
      t.gateway.commands({ limit: 1 }).ok &&
      t.gateway.device(formatAddress(lampKey.address))?.state?.on === true,
    'its answer',
  );
  client.end(true);
});
