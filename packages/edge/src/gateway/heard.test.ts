import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { signedPayload } from '@itc/core/testing/chain.js';
import { EDGE_LIMITS } from '../limits.ts';
import { command, openGateway, owner, sensorKey } from '../testing/gateway.ts';
import { loginByPassword, publish, reading, sensor } from '../testing/device-login.ts';
import { until } from '../testing/mqtt.ts';

test('EDGE-8.1: a reading that another gateway took is answered for here too, is not offered again, and counts once', async () => {
  await using t = await openGateway();
  const one = reading(t, 1, 21.5);
  t.subnet.hear([one]);
  t.subnet.progress({ payloads: [one.id], stage: 'in-dag', time: 1 });
  t.subnet.progress({ payloads: [one.id], stage: 'final', checkpoint: 4, height: 12, time: 99 });
  await until(() => t.gateway.payload(one.id)?.status === 'final', 'the payload is final here');
  const readings = t.gateway.readings({ device: sensor, limit: 10 });
  assert.ok(readings.ok);
  assert.deepEqual(
    readings.value.map(({ value }) => value),
    [21.5],
  );
  t.subnet.hear([one]);
  assert.equal(t.subnet.offered.length, 0);
  // The device changes over to this gateway and sends it once more.
  const client = await loginByPassword(t, sensorKey);
  const answer = await publish(client, one.bytes);
  assert.equal(answer.code, 'payload.duplicate');
  client.end(true);
});

test('EDGE-7.5: a device that has changed over to another gateway is online here as long as its readings come', async () => {
  await using t = await openGateway();
  const online = (): boolean | undefined => t.gateway.device(sensor)?.online;
  const client = await loginByPassword(t, sensorKey);
  await publish(client, reading(t, 1, 21.5).bytes);
  assert.equal(online(), true);
  client.end(true);
  await until(() => online() === false, 'it is gone');
  t.advance(1_000);
  t.subnet.hear([reading(t, 2, 21.6)]);
  await until(() => online() === true, 'it is heard of elsewhere');
  t.advance(EDGE_LIMITS.elsewhereMs);
  assert.equal(online(), false);
});

test('EDGE-7.5: an account that orders something in the subnet is known, and is not listed as a device', async () => {
  await using t = await openGateway();
  const listed = (): readonly string[] => t.gateway.devices().map(({ address }) => address);
  const order = signedPayload(t.ledger.chain, owner, { contentType: 'value', content: Uint8Array.of(1) });
  t.subnet.hear([order, reading(t, 1, 21.5)]);
  await until(() => t.gateway.payload(order.id) !== undefined, 'the order is kept');
  await until(() => listed().includes(sensor), 'the sensor is listed');
  assert.ok(!listed().includes(formatAddress(owner.address)));
});

test('EDGE-8.2: a command that another gateway took reaches a device that is connected here, once', async () => {
  await using t = await openGateway();
  const lamp = await t.lamp();
  const on = command(t, owner, { kind: 'on' }, { notAfter: t.now() + 60_000 });
  const payload = parsePayload(t.ledger.chain, on.bytes);
  assert.ok(payload.ok);
  t.subnet.hear([payload.value]);
  await until(() => lamp.state.on, 'the lamp is on');
  await until(() => t.gateway.command(toHex(on.id))?.outcome?.kind === 'done', 'the answer is known here');
  assert.ok(!t.subnet.offered.some(({ contentType }) => contentType === 'command'));
});

test('EDGE-8.3: what became final while the gateway was away is known after its restart', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const one = reading(t, 1, 20);
  await publish(client, one.bytes);
  client.end(true);
  await t.restart({ finals: new Map([[toHex(one.id), { checkpoint: 2, height: 7, time: 50 }]]) });
  assert.deepEqual([t.gateway.payload(one.id)?.status, t.gateway.payload(one.id)?.height], ['final', 7]);
});

test('EDGE-8.3: a payload of another gateway that a crash kept from the vault is there after the restart', async () => {
  await using t = await openGateway();
  const one = reading(t, 1, 20);
  await t.restart({
    finals: new Map([[toHex(one.id), { checkpoint: 2, height: 7, time: 50 }]]),
    missed: [one],
  });
  await until(() => t.gateway.payload(one.id)?.status === 'final', 'the payload is final here');
});
