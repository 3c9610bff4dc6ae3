import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { DeviceClient } from '../device/device-client.ts';
import { EDGE_LIMITS } from '../limits.ts';
import { SILENT } from '../log.ts';
import { command, gatewayKey, openGateway, owner, sensorKey, stranger } from '../testing/gateway.ts';
import { until } from '../testing/mqtt.ts';

import { reading } from '../testing/device-login.ts';

test('EDGE-9.1: a command for a device that is away waits, says why, and goes out when it comes, also after a restart', async () => {
  await using t = await openGateway();
  const on = command(t, owner, { kind: 'on' }, { notAfter: t.now() + 60_000 });
  const submitted = await t.gateway.submitCommand(on.bytes);
  assert.ok(submitted.ok);
  assert.match(submitted.value.waiting ?? '', /asleep or offline/);
  assert.equal(submitted.value.stages.sent, undefined);
  assert.equal(t.subnet.offered.length, 1);
  await t.restart();
  const lamp = await t.lamp();
  await until(() => t.gateway.command(toHex(on.id))?.outcome !== undefined, 'the answer');
  const view = t.gateway.command(toHex(on.id));
  assert.deepEqual(view?.outcome, { kind: 'done' });
  assert.equal(view?.waiting, undefined);
  assert.equal(lamp.state.on, true);
  t.subnet.progress({ payloads: [on.id], stage: 'in-dag', time: 5 });
  t.subnet.progress({ payloads: [on.id], stage: 'final', height: 8, time: 9 });
  await t.restart();
  const kept = t.gateway.command(toHex(on.id));
  assert.deepEqual(
    [kept?.outcome, kept?.stages.inDag, kept?.stages.final, kept?.height],
    [{ kind: 'done' }, 5, 9, 8],
  );
});

test('EDGE-9.2: a command nobody answered in time is closed, and says so', async () => {
  await using t = await openGateway();
  const on = command(t, owner, { kind: 'on' }, { notAfter: t.now() + 5_000 });
  await t.gateway.submitCommand(on.bytes);
  t.advance(6_000);
  await until(
    () => /not answered in time/.test(t.gateway.command(toHex(on.id))?.waiting ?? ''),
    'the verdict',
  );
  const lamp = await t.lamp();
  await until(() => lamp.connected, 'the lamp');
  assert.equal(lamp.state.on, false);
});

test('EDGE-9.3: submitting again gives the same command; bad ones are refused before any device hears of them', async () => {
  await using t = await openGateway();
  const on = command(t, owner, { kind: 'on' });
  const [one, two] = [await t.gateway.submitCommand(on.bytes), await t.gateway.submitCommand(on.bytes)];
  assert.ok(one.ok && two.ok && one.value.id === two.value.id);
  const bad = [
    [on.bytes.with(on.bytes.length - 1, (on.bytes.at(-1) as number) ^ 1), undefined],
    [reading(t, 1, 2).bytes, 'payload.malformed'],
    [Uint8Array.of(1), 'payload.malformed'],
    [command(t, owner, { kind: 'on' }, { device: stranger }).bytes, 'device.unknown'],
  ] as const;
  for (const [bytes, code] of bad) {
    const refused = await t.gateway.submitCommand(bytes);
    // The same content with another signature has the same id: it is that command, and nothing is sent.
    if (code === undefined) assert.ok(refused.ok && refused.value.id === toHex(on.id));
    else assert.equal(!refused.ok && refused.code, code);
  }
  const fresh = command(t, owner, { kind: 'off' });
  const forged = await t.gateway.submitCommand(
    fresh.bytes.with(fresh.bytes.length - 1, (fresh.bytes.at(-1) as number) ^ 1),
  );
  assert.equal(!forged.ok && forged.code, 'payload.signature');
});

test('EDGE-9.4: strangers are slowed down, the owner is not', async () => {
  const still = Date.now();
  await using t = await openGateway({ clock: () => still });
  const codes: string[] = [];
  for (let i = 0; i < EDGE_LIMITS.commandsPerSecondStrangers + 3; i += 1) {
    const answer = await t.gateway.submitCommand(command(t, stranger, { kind: 'on' }).bytes);
    codes.push(answer.ok ? 'ok' : answer.code);
  }
  const slowed = codes.indexOf('pool.full');
  assert.equal(slowed, EDGE_LIMITS.commandsPerSecondStrangers, codes.join());
  assert.deepEqual([...new Set(codes.slice(slowed))], ['pool.full']);
  assert.ok((await t.gateway.submitCommand(command(t, owner, { kind: 'on' }).bytes)).ok);
});

test('EDGE-10.1: a device keeps what it sends until a gateway answers, and finds the other gateway', async () => {
  await using one = await openGateway();
  await using two = await openGateway({ ledger: one.ledger });
  const device = new DeviceClient({
    chain: one.ledger.chain,
    signer: { publicKey: sensorKey.key, address: sensorKey.address, sign: sensorKey.sign },
    gateways: [
      { url: 'mqtt://127.0.0.1:1', address: gatewayKey.address },
      { url: one.url, address: gatewayKey.address },
      { url: two.url, address: gatewayKey.address },
    ],
    random: () => 0,
    log: SILENT,
  });
  const spooled = [1, 2, 3].map((n) => device.resend(reading(one, n, n).bytes, false));
  await until(() => device.waiting === 3, 'three in the spool');
  device.start();
  assert.deepEqual(await Promise.all(spooled), [{}, {}, {}]);
  assert.equal(one.subnet.offered.length, 3);
  await one.gateway.stop();
  await until(() => !device.connected, 'the device to notice');
  assert.deepEqual(await device.resend(reading(one, 4, 4).bytes, false), {});
  assert.deepEqual(
    two.subnet.offered.map(({ sequence }) => sequence),
    [4],
  );
  await device.stop();
});
