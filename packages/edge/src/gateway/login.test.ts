import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { type IPublishPacket, type MqttClient } from 'mqtt';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress, parseAddress } from '@itc/core/ledger/address.js';
import { isAttested } from '@itc/core/ledger/payload.js';
import type { KeyPair } from '@itc/core/testing/keys.js';
import { EDGE_LIMITS } from '../limits.ts';
import { LOGIN_METHOD, loginSigningBytes } from '../login-proof.ts';
import { gatewayKey, lampKey, openGateway, owner, sensorKey, stranger } from '../testing/gateway.ts';
import { until } from '../testing/mqtt.ts';
import { downTopic, noticeTopic, upTopic } from '../topics.ts';

import {
  challengeOf,
  login,
  loginByPassword,
  passwordOf,
  publish,
  reading,
  sensor,
} from '../testing/device-login.ts';

const PASSWORD = 'correct horse battery';
const mosquitto = spawnSync('mosquitto_pub', ['--help']).error === undefined;

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
