import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MqttClient } from 'mqtt';
import type { IPublishPacket, Packet } from 'mqtt-packet';
import { openBroker, until } from '../../testing/mqtt.ts';
import { EDGE_LIMITS } from '../../limits.ts';
import { REASON } from './reason.ts';

function collect(client: MqttClient): IPublishPacket[] {
  const packets: IPublishPacket[] = [];
  client.on('message', (_topic, _payload, packet) => void packets.push(packet));
  return packets;
}

for (const protocolVersion of [4, 5] as const) {
  for (const qos of [0, 1, 2] as const) {
    test(`EDGE-1.1: MQTT ${protocolVersion === 4 ? '3.1.1' : '5'} carries QoS ${qos} from publisher to subscriber once`, async () => {
      await using t = await openBroker();
      const reader = await t.client({ protocolVersion });
      const messages = collect(reader);
      await reader.subscribeAsync('home/+/light', { qos });
      const writer = await t.client({ protocolVersion });
      for (const text of ['a', 'b', 'c']) await writer.publishAsync('home/kitchen/light', text, { qos });
      await until(() => messages.length === 3, 'three messages');
      assert.deepEqual(
        messages.map((packet) => [packet.payload.toString(), packet.qos]),
        [
          ['a', qos],
          ['b', qos],
          ['c', qos],
        ],
      );
      assert.deepEqual(t.errors, []);
    });
  }
}

test('EDGE-1.2: response topic, correlation data, user properties, content type and format pass through untouched', async () => {
  await using t = await openBroker();
  const reader = await t.client();
  const messages = collect(reader);
  await reader.subscribeAsync('a/#', { qos: 1, properties: { subscriptionIdentifier: 7 } });
  const writer = await t.client();
  await writer.publishAsync('a/b', 'x', {
    qos: 1,
    properties: {
      responseTopic: 'r',
      correlationData: Buffer.from([1, 2]),
      userProperties: { k: ['v', 'w'] },
      contentType: 'text/plain',
      payloadFormatIndicator: true,
      messageExpiryInterval: 60,
    },
  });
  await until(() => messages.length === 1, 'the message');
  const properties = messages[0]?.properties;
  assert.equal(properties?.responseTopic, 'r');
  assert.deepEqual([...(properties?.correlationData ?? [])], [1, 2]);
  assert.deepEqual({ ...properties?.userProperties }, { k: ['v', 'w'] });
  assert.equal(properties?.contentType, 'text/plain');
  assert.equal(properties?.payloadFormatIndicator, true);
  assert.equal(properties?.subscriptionIdentifier, 7);
  assert.ok((properties?.messageExpiryInterval ?? 99) <= 60);
});

test('EDGE-1.3: retained messages reach later subscribers by their retain handling, and an empty one clears', async () => {
  await using t = await openBroker();
  const writer = await t.client();
  await writer.publishAsync('r/1', 'kept', { qos: 1, retain: true });
  const reader = await t.client();
  const messages = collect(reader);
  await reader.subscribeAsync('r/#', { qos: 1, rh: 2 });
  await reader.subscribeAsync('r/#', { qos: 1, rh: 1 });
  await reader.subscribeAsync('r/1', { qos: 0, rh: 0 });
  await until(() => messages.length > 0, 'the retained message');
  assert.deepEqual(
    messages.map((packet) => [packet.payload.toString(), packet.retain, packet.qos]),
    [['kept', true, 0]],
  );
  await writer.publishAsync('r/1', '', { qos: 1, retain: true });
  const late = await t.client();
  const none = collect(late);
  await late.subscribeAsync('r/1');
  await late.publishAsync('r/end', '1', { qos: 1 });
  assert.equal(none.length, 0);
});

test('EDGE-1.4: no-local holds back a client’s own publishes, retain-as-published keeps the flag', async () => {
  await using t = await openBroker();
  const client = await t.client();
  const messages = collect(client);
  await client.subscribeAsync('n', { qos: 1, nl: true });
  await client.subscribeAsync('k', { qos: 1, rap: true });
  await client.publishAsync('n', 'own', { qos: 1 });
  await client.publishAsync('k', 'flag', { qos: 1, retain: true });
  await until(() => messages.length === 1, 'the one message');
  assert.deepEqual(
    messages.map((packet) => [packet.topic, packet.retain]),
    [['k', true]],
  );
});

test('EDGE-1.5: a session outlives its connection as long as asked; what is unanswered comes again, marked', async () => {
  await using t = await openBroker();
  const raw = await t.raw();
  const first = await raw.connect({ clientId: 's', clean: true, properties: { sessionExpiryInterval: 30 } });
  assert.equal(first.cmd === 'connack' && first.sessionPresent, false);
  raw.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'q', qos: 1 }] });
  assert.equal((await raw.receive()).cmd, 'suback');
  const writer = await t.client();
  await writer.publishAsync('q', 'one', { qos: 1 });
  const seen = (await raw.receive()) as IPublishPacket;
  raw.destroy();
  await raw.closed;
  await until(() => t.broker.connectionCount === 1, 'the connection to be gone');
  await writer.publishAsync('q', 'two', { qos: 1 });

  const again = await t.raw();
  const connack = await again.connect({
    clientId: 's',
    clean: false,
    properties: { sessionExpiryInterval: 30 },
  });
  assert.equal(connack.cmd === 'connack' && connack.sessionPresent, true);
  const one = (await again.receive()) as IPublishPacket;
  const two = (await again.receive()) as IPublishPacket;
  assert.deepEqual([one.payload.toString(), one.dup, one.messageId], ['one', true, seen.messageId]);
  assert.deepEqual([two.payload.toString(), two.dup], ['two', false]);
  again.destroy();
  await again.closed;
  await until(() => t.broker.connectionCount === 1, 'the connection to be gone');
  t.advance(31_000);
  const late = await t.raw();
  const fresh = await late.connect({ clientId: 's', clean: false });
  assert.equal(fresh.cmd === 'connack' && fresh.sessionPresent, false);
});

test('EDGE-1.6: the same client id of the same principal takes the session over; of another it is another session', async () => {
  await using t = await openBroker();
  const one = await t.raw();
  await one.connect({ clientId: 'c', username: 'ann' });
  const other = await t.raw();
  await other.connect({ clientId: 'c', username: 'bob' });
  assert.equal(t.broker.sessionCount, 2);
  const two = await t.raw();
  await two.connect({ clientId: 'c', username: 'ann' });
  const end = await one.receive();
  assert.equal(end.cmd === 'disconnect' && end.reasonCode, REASON.sessionTakenOver);
  assert.equal(other.waiting, 0);
});

test('EDGE-1.7: a will is published when the connection breaks, after its delay, and not after a proper goodbye', async () => {
  await using t = await openBroker();
  const reader = await t.client();
  const messages = collect(reader);
  await reader.subscribeAsync('w/#', { qos: 1 });
  const will = (topic: string, delay: number): Partial<Extract<Packet, { cmd: 'connect' }>> => ({
    clientId: topic,
    will: { topic, payload: 'gone', qos: 1, properties: { willDelayInterval: delay } },
    properties: { sessionExpiryInterval: 100 },
  });
  for (const [topic, delay] of [
    ['w/now', 0],
    ['w/later', 20],
    ['w/resumed', 20],
  ] as const) {
    const raw = await t.raw();
    await raw.connect(will(topic, delay));
    raw.destroy();
    await raw.closed;
  }
  const polite = await t.raw();
  await polite.connect(will('w/polite', 0));
  polite.send({ cmd: 'disconnect', reasonCode: 0 });
  const rude = await t.raw();
  await rude.connect(will('w/asked', 0));
  rude.send({ cmd: 'disconnect', reasonCode: 4 });
  await until(() => messages.length === 2, 'the wills without delay');
  const resumed = await t.raw();
  await resumed.connect({ clientId: 'w/resumed', clean: false });
  t.advance(21_000);
  await until(() => messages.length === 3, 'the delayed will');
  assert.deepEqual(messages.map((packet) => packet.topic).sort(), ['w/asked', 'w/later', 'w/now']);
});

test('EDGE-1.8: silence beyond one and a half keep-alives ends the connection with the reason', async () => {
  await using t = await openBroker();
  const raw = await t.raw();
  await raw.connect({ keepalive: 10 });
  t.advance(14_000);
  assert.equal(raw.waiting, 0);
  t.advance(2_000);
  const end = await raw.receive();
  assert.equal(end.cmd === 'disconnect' && end.reasonCode, REASON.keepAliveTimeout);
});

test('EDGE-1.9: acknowledgements wait for the handler, and leave in the order of the publishes', async () => {
  const release: (() => void)[] = [];
  await using t = await openBroker({
    onPublish: async () => {
      await new Promise<void>((resolve) => release.push(resolve));
      return { code: 0, route: false };
    },
  });
  const raw = await t.raw();
  await raw.connect();
  for (const messageId of [1, 2, 3])
    raw.send({ cmd: 'publish', topic: 'x', payload: 'y', qos: 1, dup: false, retain: false, messageId });
  await until(() => release.length === 3, 'three publishes in work');
  release[2]?.();
  release[1]?.();
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(raw.waiting, 0);
  release[0]?.();
  const ids = [await raw.receive(), await raw.receive(), await raw.receive()].map(
    (packet) => packet.messageId,
  );
  assert.deepEqual(ids, [1, 2, 3]);
});

test('EDGE-1.10: a refusal carries the handler’s code, reason and user properties in v5, and ends a 3.1.1 connection', async () => {
  await using t = await openBroker({
    onPublish: async () => ({
      code: 0x99,
      reason: 'not SenML',
      userProperties: { 'itc-code': 'payload.not-senml' },
      route: false,
    }),
  });
  const raw = await t.raw();
  await raw.connect();
  raw.send({ cmd: 'publish', topic: 'x', payload: 'y', qos: 1, dup: false, retain: false, messageId: 9 });
  const puback = await raw.receive();
  assert.ok(puback.cmd === 'puback');
  assert.equal(puback.reasonCode, 0x99);
  assert.equal(puback.properties?.reasonString, 'not SenML');
  assert.equal(puback.properties?.userProperties?.['itc-code'], 'payload.not-senml');
  raw.send({ cmd: 'publish', topic: 'x', payload: 'y', qos: 2, dup: false, retain: false, messageId: 10 });
  const pubrec = await raw.receive();
  assert.ok(pubrec.cmd === 'pubrec');
  assert.equal(pubrec.reasonCode, 0x99);

  const old = await t.raw();
  await old.connect({ protocolVersion: 4, clientId: 'old' });
  old.send({ cmd: 'publish', topic: 'x', payload: 'y', qos: 1, dup: false, retain: false, messageId: 9 }, 4);
  await old.closed;
  assert.equal(old.waiting, 0);
});

test('EDGE-1.11: topics outside the access rules are refused, for publish, subscribe and will', async () => {
  await using t = await openBroker();
  const raw = await t.raw();
  await raw.connect();
  raw.send({
    cmd: 'publish',
    topic: 'forbidden/x',
    payload: 'y',
    qos: 1,
    dup: false,
    retain: false,
    messageId: 1,
  });
  const puback = await raw.receive();
  assert.equal(puback.cmd === 'puback' && puback.reasonCode, REASON.notAuthorised);
  raw.send({
    cmd: 'subscribe',
    messageId: 2,
    subscriptions: [
      { topic: 'forbidden/#', qos: 1 },
      { topic: '$share/g/a', qos: 1 },
      { topic: 'a/#/b', qos: 0 },
      { topic: 'fine', qos: 1 },
    ],
  });
  const suback = await raw.receive();
  assert.ok(suback.cmd === 'suback');
  assert.deepEqual(suback.granted, [
    REASON.notAuthorised,
    REASON.sharedSubscriptionsUnsupported,
    REASON.topicFilterInvalid,
    1,
  ]);
  const will = await t.raw();
  const connack = await will.connect({ clientId: 'will', will: { topic: 'forbidden/w', payload: '' } });
  assert.equal(connack.cmd === 'connack' && connack.reasonCode, REASON.notAuthorised);
  assert.equal(t.published.length, 0);
});

test('EDGE-1.12: QoS 2 is handed over once however often it is sent; an unknown release says so', async () => {
  await using t = await openBroker();
  const raw = await t.raw();
  await raw.connect();
  const publish = {
    cmd: 'publish',
    topic: 'x',
    payload: 'y',
    qos: 2,
    dup: false,
    retain: false,
    messageId: 5,
  } as const;
  raw.send(publish);
  assert.equal((await raw.receive()).cmd, 'pubrec');
  raw.send({ ...publish, dup: true });
  assert.equal((await raw.receive()).cmd, 'pubrec');
  raw.send({ cmd: 'pubrel', messageId: 5, reasonCode: 0 } as Packet);
  const pubcomp = await raw.receive();
  assert.equal(pubcomp.cmd === 'pubcomp' && pubcomp.reasonCode, 0);
  raw.send({ cmd: 'pubrel', messageId: 5, reasonCode: 0 } as Packet);
  const unknown = await raw.receive();
  assert.equal(unknown.cmd === 'pubcomp' && unknown.reasonCode, REASON.packetIdNotFound);
  assert.equal(t.published.length, 1);
});

test('EDGE-1.13: the receive maximum of either side holds', async () => {
  await using t = await openBroker({ onPublish: () => new Promise(() => {}) });
  const raw = await t.raw();
  await raw.connect();
  for (let messageId = 1; messageId <= EDGE_LIMITS.receiveMaximum + 1; messageId += 1)
    raw.send({ cmd: 'publish', topic: 'x', payload: 'y', qos: 1, dup: false, retain: false, messageId });
  const end = await raw.receive();
  assert.equal(end.cmd === 'disconnect' && end.reasonCode, REASON.receiveMaximumExceeded);

  const reader = await t.raw();
  await reader.connect({ clientId: 'reader', properties: { receiveMaximum: 2 } });
  reader.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 's', qos: 1 }] });
  assert.equal((await reader.receive()).cmd, 'suback');
  for (const payload of ['1', '2', '3']) t.broker.publish({ topic: 's', payload, qos: 1 });
  const first = await reader.receive();
  await reader.receive();
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(reader.waiting, 0);
  reader.send({ cmd: 'puback', messageId: first.messageId ?? 0, reasonCode: 0 } as Packet);
  assert.equal(((await reader.receive()) as IPublishPacket).payload.toString(), '3');
});

test('EDGE-1.14: topic aliases work both ways; an unknown one ends the connection', async () => {
  await using t = await openBroker();
  const raw = await t.raw();
  await raw.connect({ properties: { topicAliasMaximum: 4 } });
  raw.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'long/topic', qos: 0 }] });
  await raw.receive();
  raw.send({
    cmd: 'publish',
    topic: 'long/topic',
    payload: '1',
    qos: 0,
    dup: false,
    retain: false,
    properties: { topicAlias: 3 },
  });
  raw.send({
    cmd: 'publish',
    topic: '',
    payload: '2',
    qos: 0,
    dup: false,
    retain: false,
    properties: { topicAlias: 3 },
  });
  const first = (await raw.receive()) as IPublishPacket;
  const second = (await raw.receive()) as IPublishPacket;
  assert.deepEqual(
    [first.topic, second.topic, first.properties?.topicAlias, second.properties?.topicAlias],
    ['long/topic', '', 1, 1],
  );
  raw.send({
    cmd: 'publish',
    topic: '',
    payload: '3',
    qos: 0,
    dup: false,
    retain: false,
    properties: { topicAlias: 9 },
  });
  const end = await raw.receive();
  assert.equal(end.cmd === 'disconnect' && end.reasonCode, REASON.protocolError);
});

test('EDGE-1.15: an expired message is not delivered', async () => {
  await using t = await openBroker();
  const raw = await t.raw();
  await raw.connect({ clientId: 'e', properties: { sessionExpiryInterval: 100 } });
  raw.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'e', qos: 1 }] });
  await raw.receive();
  raw.destroy();
  await raw.closed;
  await until(() => t.broker.connectionCount === 0, 'the connection to be gone');
  t.broker.publish({ topic: 'e', payload: 'short', qos: 1, expirySeconds: 5 });
  t.broker.publish({ topic: 'e', payload: 'long', qos: 1, expirySeconds: 50 });
  t.advance(10_000);
  const again = await t.raw();
  await again.connect({ clientId: 'e', clean: false });
  const message = (await again.receive()) as IPublishPacket;
  assert.equal(message.payload.toString(), 'long');
  assert.ok((message.properties?.messageExpiryInterval ?? 99) <= 40);
});

test('EDGE-1.16: a client’s maximum packet size holds: acknowledgements shrink, messages are left out', async () => {
  await using t = await openBroker({
    onPublish: async () => ({ code: 0, reason: 'r'.repeat(100), route: true }),
  });
  const raw = await t.raw();
  await raw.connect({ properties: { maximumPacketSize: 40 } });
  raw.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'm', qos: 1 }] });
  await raw.receive();
  raw.send({
    cmd: 'publish',
    topic: 'm',
    payload: 'z'.repeat(100),
    qos: 1,
    dup: false,
    retain: false,
    messageId: 2,
  });
  const puback = await raw.receive();
  assert.ok(puback.cmd === 'puback');
  assert.equal(puback.properties, undefined);
  assert.equal(raw.waiting, 0);
});

test('EDGE-1.17: a stopping broker says so', async () => {
  const t = await openBroker();
  const raw = await t.raw();
  await raw.connect();
  await t.broker.stop();
  const end = await raw.receive();
  assert.equal(end.cmd === 'disconnect' && end.reasonCode, REASON.serverShuttingDown);
});
