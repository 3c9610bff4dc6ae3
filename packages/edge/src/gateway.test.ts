import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { connectAsync, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { formatAddress, parseAddress } from '@itc/core/ledger/address.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { isAttested, type Payload } from '@itc/core/ledger/payload.js';
import { signedPayload } from '@itc/core/testing/chain.js';
import type { KeyPair } from '@itc/core/testing/keys.js';
import { MemoryTables } from '@itc/node/storage/memory-tables.js';
import { encodeSenml } from './2-conversion/senml.ts';
import { DeviceClient } from './device/device-client.ts';
import { Sequence } from './device/sequence.ts';
import { MemoryStore } from './device/store.ts';
import type { GatewayEvent } from './gateway/views.ts';
import { EDGE_LIMITS } from './limits.ts';
import { SILENT } from './log.ts';
import { LOGIN_METHOD, loginPassword, loginSigningBytes } from './login-proof.ts';
import {
  command,
  gatewayKey,
  lampKey,
  openGateway,
  owner,
  sensorKey,
  stranger,
  type TestGateway,
} from './testing/gateway.ts';
import { until } from './testing/mqtt.ts';
import { downTopic, noticeTopic, upTopic } from './topics.ts';

const sensor = formatAddress(sensorKey.address);
const PASSWORD = 'correct horse battery';

function challengeOf(t: TestGateway): Uint8Array {
  const bytes = fromHex(t.gateway.challenge().challenge);
  assert.ok(bytes.ok);
  return bytes.value;
}

function passwordOf(t: TestGateway, key: KeyPair, challenge = challengeOf(t)): string {
  const signature = key.sign(
    loginSigningBytes({ chain: t.ledger.chain, gateway: gatewayKey.address, challenge }),
  );
  return loginPassword({ key: key.key.bytes, challenge, signature });
}

async function login(t: TestGateway, options: IClientOptions): Promise<MqttClient> {
  return await connectAsync(t.url, { reconnectPeriod: 0, ...options });
}

async function loginByPassword(
  t: TestGateway,
  key: KeyPair,
  protocolVersion: 4 | 5 = 5,
): Promise<MqttClient> {
  return await login(t, {
    protocolVersion,
    username: formatAddress(key.address),
    password: passwordOf(t, key),
    clientId: 'c',
  });
}

interface Answer {
  readonly reasonCode: number;
  readonly code: string | undefined;
  readonly payload: string | undefined;
}

const waiting = new WeakMap<MqttClient, ((answer: Answer) => void)[]>();

/** Publishes with QoS 1 and gives what the PUBACK says: they come in the order of the publishes. */
async function publish(
  client: MqttClient,
  bytes: Uint8Array | string,
  o: { topic?: string; contentType?: string; dup?: boolean } = {},
): Promise<Answer> {
  let queue = waiting.get(client);
  if (queue === undefined) {
    const due: ((answer: Answer) => void)[] = [];
    client.on('packetreceive', (packet) => {
      if (packet.cmd !== 'puback') return;
      const properties = packet.properties?.userProperties as Record<string, string> | undefined;
      due.shift()?.({
        reasonCode: packet.reasonCode ?? 0,
        code: properties?.['itc-code'],
        payload: properties?.['itc-payload'],
      });
    });
    queue = due;
    waiting.set(client, due);
  }
  const properties = o.contentType === undefined ? {} : { contentType: o.contentType };
  const answered = new Promise<Answer>((resolve) => queue.push(resolve));
  client.publish(
    o.topic ?? 'itc/v1/up',
    Buffer.from(bytes as Uint8Array),
    { qos: 1, dup: o.dup ?? false, properties },
    () => {},
  );
  return await answered;
}

function reading(
  t: TestGateway,
  sequence: number,
  value: number,
  o: { by?: KeyPair; time?: number } = {},
): Payload {
  const content = encodeSenml('senml+cbor', [
    { name: 'temperature', unit: 'Cel', time: o.time ?? t.now(), value },
  ]);
  return signedPayload(t.ledger.chain, o.by ?? sensorKey, { sequence, content });
}

test('EDGE-5.1: a device logs in by enhanced authentication, and with nothing less', async () => {
  await using t = await openGateway();
  const auth = (key: KeyPair, sign: (challenge: Uint8Array) => Uint8Array): Promise<MqttClient> =>
    new Promise((resolve, reject) => {
      void import('mqtt').then(({ connect }) => {
        const client = connect(t.url, {
          protocolVersion: 5,
          reconnectPeriod: 0,
          properties: { authenticationMethod: LOGIN_METHOD, authenticationData: Buffer.from(key.key.bytes) },
        });
        client.handleAuth = (packet, callback) =>
          callback(undefined, {
            cmd: 'auth',
            reasonCode: 0x18,
            properties: {
              authenticationMethod: LOGIN_METHOD,
              authenticationData: Buffer.from(
                sign(new Uint8Array(packet.properties?.authenticationData ?? [])),
              ),
            },
          });
        client.on('connect', () => resolve(client));
        client.on('error', reject);
      });
    });
  const message = (challenge: Uint8Array, gateway = gatewayKey.address): Uint8Array =>
    loginSigningBytes({ chain: t.ledger.chain, gateway, challenge });
  const client = await auth(sensorKey, (challenge) => sensorKey.sign(message(challenge)));
  assert.ok(client.connected);
  client.end(true);
  await assert.rejects(
    auth(sensorKey, (challenge) => lampKey.sign(message(challenge))),
    'another key',
  );
  await assert.rejects(
    auth(sensorKey, (challenge) => sensorKey.sign(message(challenge, lampKey.address))),
    'signed for another gateway',
  );
  await assert.rejects(
    auth(sensorKey, () => sensorKey.sign(message(new Uint8Array(32)))),
    'another challenge',
  );
  await assert.rejects(
    auth(stranger, (challenge) => stranger.sign(message(challenge))),
    'not registered',
  );
});

test('EDGE-5.2: any client logs in by a signed password, whose challenge is good once and for a minute', async () => {
  await using t = await openGateway();
  for (const protocolVersion of [4, 5] as const) {
    const client = await loginByPassword(t, sensorKey, protocolVersion);
    client.end(true);
  }
  const challenge = challengeOf(t);
  const options = { username: sensor, password: passwordOf(t, sensorKey, challenge) };
  (await login(t, options)).end(true);
  await assert.rejects(login(t, options), 'used');
  const late = { username: sensor, password: passwordOf(t, sensorKey) };
  t.advance(EDGE_LIMITS.challengeMs + 1);
  await assert.rejects(login(t, late), 'expired');
  await assert.rejects(login(t, { username: sensor, password: passwordOf(t, lampKey) }), 'another key');
  await assert.rejects(
    login(t, { username: sensor, password: passwordOf(t, sensorKey, new Uint8Array(32)) }),
    'a challenge of its own',
  );
  await assert.rejects(login(t, { username: sensor, password: 'zz.zz.zz' }));
  await assert.rejects(login(t, {}), 'nothing at all');
});

test('EDGE-5.3: a device without a key logs in by the credential its owner enrolled; the gateway signs for it', async () => {
  await using t = await openGateway();
  const denied = await t.gateway.enrol({
    caller: stranger.address,
    name: 'meter',
    legacy: { password: PASSWORD },
  });
  assert.equal(!denied.ok && denied.code, 'request.unauthorised');
  const enrolled = await t.gateway.enrol({
    caller: owner.address,
    name: 'meter',
    kind: 'sensor',
    legacy: { password: PASSWORD },
  });
  assert.ok(enrolled.ok);
  await assert.rejects(login(t, { username: 'meter', password: 'wrong password 123' }));
  await assert.rejects(login(t, { username: 'nobody', password: PASSWORD }));
  await t.restart();
  const client = await login(t, { protocolVersion: 5, username: 'meter', password: PASSWORD });
  const answer = await publish(client, '[{"n":"power","u":"W","v":42}]', { topic: upTopic('meter') });
  assert.equal(answer.reasonCode, 0);
  const [offered] = t.subnet.offered;
  assert.ok(offered !== undefined && isAttested(offered));
  assert.equal(formatAddress(offered.device), enrolled.value.address);
  assert.equal(toHex(offered.id), answer.payload);
  assert.equal(t.gateway.device('meter')?.attested, true);
  assert.equal(t.gateway.device('meter')?.latest[0]?.value, 42);
  client.end(true);
});

test('EDGE-6.1: a device publishes to its own topic and hears its own; all else is refused', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const lamp = formatAddress(lampKey.address);
  assert.equal((await publish(client, reading(t, 1, 20).bytes, { topic: upTopic(lamp) })).reasonCode, 0x87);
  assert.equal((await publish(client, 'x', { topic: downTopic(lamp) })).reasonCode, 0x87);
  for (const filter of ['#', 'itc/v1/+/down', downTopic(lamp), noticeTopic(lamp), '$SYS/#']) {
    await assert.rejects(client.subscribeAsync(filter), filter);
  }
  await client.subscribeAsync([downTopic(sensor), noticeTopic(sensor), 'itc/v1/header']);
  assert.equal((await publish(client, reading(t, 1, 20).bytes, { topic: upTopic(sensor) })).reasonCode, 0);
  client.end(true);
});

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
    [
      'a flipped signature',
      good.bytes.with(good.bytes.length - 1, (good.bytes.at(-1) as number) ^ 1),
      0x99,
      'payload.signature',
    ],
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
    [
      'for another chain',
      signedPayload(asHash(new Uint8Array(32)), sensorKey, { content: good.content }).bytes,
      0x99,
      'payload.signature',
    ],
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
  await using t = await openGateway();
  const codes: string[] = [];
  for (let i = 0; i < EDGE_LIMITS.commandsPerSecondStrangers + 3; i += 1) {
    const answer = await t.gateway.submitCommand(command(t, stranger, { kind: 'on' }).bytes);
    codes.push(answer.ok ? 'ok' : answer.code);
  }
  assert.ok(
    codes.slice(-2).every((code) => code === 'pool.full'),
    codes.join(),
  );
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
    sequence: await Sequence.open(new MemoryStore()),
    random: () => 0,
    log: SILENT,
  });
  const time = one.now();
  const spooled = [1, 2, 3].map((value) => device.publishReadings([{ name: 'temperature', time, value }]));
  await until(() => device.waiting === 3, 'three in the spool');
  device.start();
  assert.deepEqual(await Promise.all(spooled), [{}, {}, {}]);
  assert.equal(one.subnet.offered.length, 3);
  await one.gateway.stop();
  await until(() => !device.connected, 'the device to notice');
  assert.deepEqual(await device.publishReadings([{ name: 'temperature', time, value: 4 }]), {});
  assert.deepEqual(
    two.subnet.offered.map(({ sequence }) => sequence),
    [4],
  );
  await device.stop();
});

const mosquitto = spawnSync('mosquitto_pub', ['--help']).error === undefined;

test(
  'EDGE-5.5: Debian’s mosquitto_pub logs in by the signed password and publishes',
  { skip: mosquitto ? false : 'mosquitto-clients is not installed' },
  async () => {
    await using t = await openGateway();
    const { port } = new URL(t.url);
    const { spawn } = await import('node:child_process');
    for (const version of ['mqttv311', 'mqttv5']) {
      const args = [
        '-h',
        '127.0.0.1',
        '-p',
        port,
        '-V',
        version,
        '-u',
        sensor,
        '-P',
        passwordOf(t, sensorKey),
        '-q',
        '1',
        '-t',
        'itc/v1/up',
        '-m',
        '[{"n":"temperature","u":"Cel","v":21}]',
      ];
      const exit = await new Promise((resolve) => spawn('mosquitto_pub', args).on('exit', resolve));
      assert.equal(exit, 0, version);
    }
    assert.equal(t.subnet.offered.length, 2);
  },
);

test('EDGE-6.3: the newest header is retained for whoever comes, and follows the chain', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const headers: IPublishPacket[] = [];
  client.on('message', (_topic, _payload, packet) => void headers.push(packet));
  await client.subscribeAsync('itc/v1/header');
  await until(() => headers.length === 1, 'the retained header');
  t.ledger.block();
  await until(() => headers.length === 2, 'the next header');
  assert.deepEqual(
    headers.map(({ retain }) => retain),
    [true, false],
  );
  assert.ok(parseAddress(sensor).ok);
  client.end(true);
});
