import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { type Payload } from '@itc/core/ledger/payload.js';
import { signedPayload } from '@itc/core/testing/chain.js';
import { MemoryTables } from '@itc/node/storage/memory-tables.js';
import { encodeSenml } from '../2-conversion/senml.ts';
import type { GatewayEvent } from '../gateway/views.ts';
import { command, lampKey, openGateway, owner, sensorKey, stranger } from '../testing/gateway.ts';
import { until } from '../testing/mqtt.ts';
import { noticeTopic } from '../topics.ts';

import { loginByPassword, publish, reading, sensor } from '../testing/device-login.ts';

test('EDGE-3.2: a signed reading is stored, offered to the subnet and acknowledged with its id; again, it counts once', async () => {
  await using t = await openGateway();
  const events: GatewayEvent[] = [];
  t.gateway.events((event) => void events.push(event));
  const client = await loginByPassword(t, sensorKey);
  const one = reading(t, 1, 21.5);
  const answer = await publish(client, one.bytes);
  assert.deepEqual(answer, { reasonCode: 0, code: undefined, payload: toHex(one.id) });
  const again = await publish(client, one.bytes, { dup: true });
  assert.deepEqual(again, { reasonCode: 0, code: 'payload.duplicate', payload: toHex(one.id) });
  const two = reading(t, 2, 22);
  const atOnce = await Promise.all([publish(client, two.bytes), publish(client, two.bytes)]);
  assert.deepEqual(
    atOnce.map(({ code }) => code),
    [undefined, 'payload.duplicate'],
  );
  assert.deepEqual(
    t.subnet.offered.map(({ sequence }) => sequence),
    [1, 2],
  );
  const view = t.gateway.payload(one.id);
  assert.deepEqual([view?.status, view?.attested, view?.sequence, view?.readings], ['received', false, 1, 1]);
  t.subnet.progress({ payloads: [one.id], stage: 'in-dag', envelope: asHash(new Uint8Array(32)), time: 1 });
  t.subnet.progress({ payloads: [one.id], stage: 'final', checkpoint: 4, height: 12, time: 99 });
  assert.deepEqual(t.gateway.statuses([one.id, asHash(new Uint8Array(32))]).final[toHex(one.id)]?.height, 12);
  assert.equal(t.gateway.statuses([asHash(new Uint8Array(32))]).statuses['00'.repeat(32)], 'unknown');
  const readings = t.gateway.readings({ device: sensor, limit: 10 });
  assert.ok(readings.ok);
  assert.deepEqual(
    readings.value.map(({ value, status }) => [value, status]),
    [
      [22, 'received'],
      [21.5, 'final'],
    ],
  );
  assert.ok(events.some((event) => event.kind === 'reading' && event.reading.value === 21.5));
  assert.equal(t.gateway.device(sensor)?.online, true);
  client.end(true);
});

test('EDGE-3.3: every refusal has its code, and changes nothing', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const good = reading(t, 5, 20);
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const cases: readonly [string, Uint8Array, number, string][] = [
    ['not COSE', Uint8Array.of(0xd2, 0x00), 0x99, 'payload.malformed'],
    ['not SenML', text('[{"n":"a"}]'), 0x99, 'payload.not-senml'],
    ['SenML that must be understood', text('[{"n":"a","v":1,"x_":1}]'), 0x99, 'payload.not-senml'],
    [
      'signed, not SenML',
      signedPayload(t.ledger.chain, sensorKey, { sequence: 9, content: Uint8Array.of(1) }).bytes,
      0x99,
      'payload.not-senml',
    ],
    ['another device', reading(t, 1, 20, { by: lampKey }).bytes, 0x87, 'request.unauthorised'],
    ['a command', command(t, sensorKey, { kind: 'on' }).bytes, 0x87, 'request.unauthorised'],
    ['too large', new Uint8Array(LIMITS.payloadBytesMax + 1).fill(0x5b), 0x99, 'payload.too-large'],
  ];
  for (const [name, bytes, reasonCode, code] of cases) {
    const answer = await publish(client, bytes);
    assert.deepEqual([answer.reasonCode, answer.code], [reasonCode, code], name);
  }
  assert.equal((await publish(client, good.bytes, { contentType: 'text/plain' })).code, 'payload.malformed');
  assert.equal(t.subnet.offered.length, 0);
  assert.equal(t.vault.payloadCount, 0);
  assert.equal((await publish(client, good.bytes)).reasonCode, 0);
  assert.equal((await publish(client, reading(t, 5, 21).bytes)).code, 'payload.stale');
  assert.equal((await publish(client, reading(t, 5 + LIMITS.laneWindow, 21).bytes)).reasonCode, 0);
  assert.equal((await publish(client, reading(t, 4, 21).bytes)).code, 'payload.stale');
  // Last, because from then on the device has to show work (DAG-15.4).
  const more = reading(t, 900, 20);
  const forged = more.bytes.with(more.bytes.length - 1, (more.bytes.at(-1) as number) ^ 1);
  assert.equal((await publish(client, forged)).code, 'payload.signature');
  assert.equal((await publish(client, more.bytes)).code, 'payload.work-required');
  const elsewhere = asHash(new Uint8Array(32));
  const foreign = signedPayload(elsewhere, lampKey, { content: good.content }).bytes;
  const lamp = await loginByPassword(t, lampKey);
  assert.equal((await publish(lamp, foreign)).code, 'payload.signature', 'for another chain');
  assert.equal(t.vault.payloadCount, 2);
  lamp.end(true);
  client.end(true);
});

test('EDGE-3.4: a 3.1.1 client gets the refusal as a notice, and its connection ends', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey, 4);
  const notices: string[] = [];
  client.on('message', (_topic, payload) => void notices.push(payload.toString()));
  await client.subscribeAsync(noticeTopic(sensor));
  client.publish('itc/v1/up', '[{"n":"a"}]', { qos: 1 });
  await until(() => !client.connected, 'the end');
  assert.equal((JSON.parse(notices[0] ?? '{}') as { code?: string }).code, 'payload.not-senml');
  client.end(true);
});

test('EDGE-3.5: unsigned readings of one device get consecutive sequences of the gateway; one sent again counts once', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const first = await publish(client, '[{"n":"a","v":1}]');
  const retry = await publish(client, '[{"n":"a","v":1}]', { dup: true });
  assert.equal(retry.code, 'payload.duplicate');
  assert.equal(retry.payload, first.payload);
  assert.equal((await publish(client, '[{"n":"a","v":1}]')).code, undefined);
  client.end(true);
  await t.restart();
  const again = await loginByPassword(t, sensorKey);
  await publish(again, '[{"n":"a","v":1}]');
  assert.deepEqual(
    t.subnet.offered.map(({ sequence }) => sequence),
    [1, 2, 3],
  );
  again.end(true);
});

test('EDGE-4.8: what never reached the subnet is offered after a restart, and when its queue was full, in order', async () => {
  await using t = await openGateway({ tables: new MemoryTables() });
  const client = await loginByPassword(t, sensorKey);
  await publish(client, reading(t, 1, 20).bytes);
  t.subnet.full = true;
  await publish(client, reading(t, 2, 20).bytes);
  t.subnet.full = false;
  await publish(client, reading(t, 3, 20).bytes);
  await until(() => t.subnet.offered.length === 3, 'the late ones');
  assert.deepEqual(
    t.subnet.offered.map(({ sequence }) => sequence),
    [1, 2, 3],
  );
  t.subnet.progress({
    payloads: [reading(t, 1, 20).id, (t.subnet.offered[0] as Payload).id],
    stage: 'in-dag',
    time: 1,
  });
  client.end(true);
  await t.restart();
  await until(() => t.subnet.offered.length === 2, 'what was open');
  assert.deepEqual(
    t.subnet.offered.map(({ sequence }) => sequence),
    [2, 3],
  );
  assert.equal(t.gateway.device(sensor)?.latest[0]?.value, 20);
});

test('EDGE-7.1: readings come newest first by their own time, page by page; series are means over time', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const base = t.now();
  // Stored out of order: a spooled payload arrives late, and its times overlap another's.
  for (const [sequence, times] of [
    [2, [40, 50, 60]],
    [1, [10, 20, 45]],
    [3, [30, 70, 80]],
  ] as const) {
    const content = encodeSenml(
      'senml+cbor',
      times.map((time) => ({ name: 'temperature', unit: 'Cel', time: base + time * 1000, value: time })),
    );
    await publish(client, signedPayload(t.ledger.chain, sensorKey, { sequence, content }).bytes);
  }
  const page = (before?: number): number[] => {
    const found = t.gateway.readings({
      device: sensor,
      limit: 4,
      ...(before === undefined ? {} : { before: base + before * 1000 }),
    });
    assert.ok(found.ok);
    return found.value.map(({ time }) => (time - base) / 1000);
  };
  assert.deepEqual(page(), [80, 70, 60, 50]);
  assert.deepEqual(page(50), [45, 40, 30, 20]);
  assert.deepEqual(page(20), [10]);
  const series = t.gateway.series({ device: sensor, name: 'temperature', points: 3 });
  assert.ok(series.ok);
  assert.equal(series.value.unit, 'Cel');
  assert.equal(series.value.values.length, 3);
  assert.ok(series.value.values.every((value, i, all) => i === 0 || value > (all[i - 1] as number)));
  client.end(true);
});

test('EDGE-7.2: the owner names a registered device; names are unique and survive a restart', async () => {
  await using t = await openGateway();
  const named = await t.gateway.enrol({
    caller: owner.address,
    name: 'hall',
    kind: 'sensor',
    device: sensor,
  });
  assert.ok(named.ok);
  const refusals = [
    [{ caller: stranger.address, name: 'mine', device: sensor }, 'request.unauthorised'],
    [{ caller: owner.address, name: 'hall', device: formatAddress(lampKey.address) }, 'request.malformed'],
    [{ caller: owner.address, name: 'header', device: sensor }, 'request.malformed'],
    [{ caller: owner.address, name: 'a/b', device: sensor }, 'request.malformed'],
    [{ caller: owner.address, name: 'x' }, 'request.malformed'],
    [{ caller: owner.address, name: 'short', legacy: { password: 'short' } }, 'request.malformed'],
  ] as const;
  for (const [request, code] of refusals) {
    const refused = await t.gateway.enrol(request);
    assert.equal(!refused.ok && refused.code, code, request.name);
  }
  await t.restart();
  const view = t.gateway.device('hall');
  assert.deepEqual(
    [view?.address, view?.kind, view?.registered, view?.owner],
    [sensor, 'sensor', true, formatAddress(owner.address)],
  );
});
