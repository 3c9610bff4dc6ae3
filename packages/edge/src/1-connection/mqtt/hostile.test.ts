import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generate, type Packet } from 'mqtt-packet';
import { EDGE_LIMITS } from '../../limits.ts';
import { openBroker, until, type TestBroker } from '../../testing/mqtt.ts';
import { FrameReader } from './frame.ts';
import { MqttFault, REASON } from './reason.ts';
import { Throttle } from './throttle.ts';
import { isTopicFilter, isTopicName, matchesTopic, TopicTree } from './topic.ts';

/** The broker still serves somebody else, and no bug was logged. */
async function assertUnharmed(t: TestBroker): Promise<void> {
  const client = await t.client({ clientId: 'witness', username: 'witness' });
  await client.publishAsync('still/here', 'yes', { qos: 1 });
  await client.endAsync();
  assert.deepEqual(t.errors, []);
}

const publish = (o: object): Packet =>
  ({
    cmd: 'publish',
    topic: 'x',
    payload: 'y',
    qos: 1,
    dup: false,
    retain: false,
    messageId: 1,
    ...o,
  }) as Packet;
const bytes = (packet: Packet): Buffer => generate(packet, { protocolVersion: 5 });

test('EDGE-1.20: bytes that break MQTT end that connection with the reason, and harm nobody else', async () => {
  await using t = await openBroker();
  const topicWithNul = bytes(publish({ topic: 'a\u0000b' }));
  const notUtf8 = Buffer.from([0x30, 0x06, 0x00, 0x02, 0xc3, 0x28, 0x00, 0x79]);
  const cases: readonly [string, Uint8Array, number][] = [
    ['a length of five bytes', Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]), REASON.malformedPacket],
    ['a length longer than needed', Buffer.from([0xc0, 0x80, 0x00]), REASON.malformedPacket],
    ['a claim of 256 MB', Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]), REASON.packetTooLarge],
    ['QoS 3', Buffer.from([0x36, 0x05, 0x00, 0x01, 0x78, 0x00, 0x01]), REASON.malformedPacket],
    ['packet id 0', bytes(publish({ messageId: 0 })), REASON.protocolError],
    ['a wildcard in a topic', bytes(publish({ topic: 'a/+' })), REASON.topicNameInvalid],
    ['U+0000 in a topic', topicWithNul, REASON.malformedPacket],
    ['a topic that is not UTF-8', notUtf8, REASON.malformedPacket],
    [
      'a second CONNECT',
      bytes({
        cmd: 'connect',
        clientId: 'z',
        protocolVersion: 5,
        protocolId: 'MQTT',
        clean: true,
        keepalive: 1,
      }),
      REASON.protocolError,
    ],
    ['a server’s packet', Buffer.from([0xd0, 0x00]), REASON.protocolError],
    ['reserved flags', Buffer.from([0x81, 0x00]), REASON.malformedPacket],
    [
      'a truncated SUBSCRIBE',
      Buffer.from([0x82, 0x05, 0x00, 0x01, 0x00, 0x00, 0x09]),
      REASON.malformedPacket,
    ],
    ['SUBSCRIBE to nothing', Buffer.from([0x82, 0x03, 0x00, 0x01, 0x00]), REASON.protocolError],
    [
      'a property that does not belong',
      bytes(publish({ properties: { subscriptionIdentifier: 3 } })),
      REASON.protocolError,
    ],
    ['type 0', Buffer.from([0x00, 0x00]), REASON.malformedPacket],
    [
      'AUTH out of nowhere',
      bytes({ cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'X' } }),
      REASON.protocolError,
    ],
  ];
  for (const [name, hostile, code] of cases) {
    const raw = await t.raw();
    await raw.connect({ clientId: 'hostile' });
    raw.bytes(hostile);
    const end = await raw.receive();
    assert.equal(end.cmd, 'disconnect', name);
    assert.equal(end.cmd === 'disconnect' && end.reasonCode, code, name);
    await raw.closed;
  }
  assert.equal(t.published.length, 0);
  await assertUnharmed(t);
});

test('EDGE-1.21: before login the limits are tighter, and only CONNECT is heard', async () => {
  await using t = await openBroker();
  const cases: readonly Uint8Array[] = [
    Buffer.from([0x10, 0xff, 0xff, 0x7f]),
    Buffer.from([0x10, 0x80, 0x80, 0x04]),
    bytes(publish({})),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.from([0x10, 0x0c, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, 0x05, 0x03, 0x00, 0x3c, 0x00, 0x00]),
  ];
  for (const hostile of cases) {
    const raw = await t.raw();
    raw.bytes(hostile);
    await raw.closed;
  }
  const version = await t.raw();
  version.speak(4);
  version.bytes(
    Buffer.from([0x10, 0x0c, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, 0x06, 0x02, 0x00, 0x3c, 0x00, 0x00]),
  );
  const connack = await version.receive();
  assert.equal(connack.cmd === 'connack' && connack.returnCode, 1);
  const silent = await t.raw();
  await until(() => t.broker.connectionCount > 0, 'the silent one to be accepted');
  t.advance(EDGE_LIMITS.connectTimeoutMs + 1_000);
  await silent.closed;
  await assertUnharmed(t);
});

test('EDGE-1.22: strangers cannot use up the connections of those who log in', async () => {
  await using t = await openBroker();
  const strangers = await Promise.all(Array.from({ length: EDGE_LIMITS.strangersMax + 20 }, () => t.raw()));
  await until(() => t.broker.connectionCount === EDGE_LIMITS.strangersMax, 'the excess to be turned away');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(t.broker.connectionCount, EDGE_LIMITS.strangersMax);
  t.advance(EDGE_LIMITS.connectTimeoutMs + 1_000);
  await Promise.all(strangers.map((raw) => raw.closed));
  await assertUnharmed(t);
});

test('EDGE-1.23: random bytes, random cuts and random damage never harm the broker', async () => {
  await using t = await openBroker();
  const damaged = fc
    .record({
      packet: fc.constantFrom(
        bytes(publish({ properties: { contentType: 'c', userProperties: { a: 'b' } } })),
        bytes({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'a/#', qos: 1 }] }),
        bytes({ cmd: 'disconnect', reasonCode: 0 }),
        bytes({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['a'] }),
      ),
      at: fc.nat(60),
      value: fc.integer({ min: 0, max: 255 }),
    })
    .map(({ packet, at, value }) => {
      const copy = Buffer.from(packet);
      copy[at % copy.length] = value;
      return new Uint8Array(copy);
    });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(damaged, fc.uint8Array({ maxLength: 64 })), { maxLength: 6 }),
      fc.boolean(),
      async (chunks, loggedIn) => {
        const raw = await t.raw();
        if (loggedIn) await raw.connect({ clientId: 'fuzz' });
        for (const chunk of chunks) raw.bytes(chunk);
        raw.destroy();
        await raw.closed;
      },
    ),
    { numRuns: 150 },
  );
  await assertUnharmed(t);
});

test('EDGE-1.24: frames come out the same however the stream is cut', () => {
  const frame = fc.uint8Array({ maxLength: 300 }).map((body) => {
    const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7];
    return Buffer.from([0x30, ...length, ...body]);
  });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
      (frames, cuts) => {
        const reader = new FrameReader(1024);
        const out: Buffer[] = [];
        let rest = Buffer.concat(frames);
        for (const cut of cuts) {
          if (rest.length === 0) break;
          reader.append(rest.subarray(0, cut));
          rest = rest.subarray(cut);
          for (let next = reader.next(); next !== undefined; next = reader.next()) out.push(next);
        }
        assert.deepEqual(
          out.map((bytesOut) => bytesOut.toString('hex')),
          frames.map((bytesIn) => bytesIn.toString('hex')),
        );
        assert.equal(reader.buffered, 0);
      },
    ),
  );
});

test('EDGE-1.25: a length beyond the limit is refused with its header alone', () => {
  const reader = new FrameReader(100);
  reader.append(Buffer.from([0x30, 0x80, 0x01]));
  assert.throws(
    () => reader.next(),
    (error) => error instanceof MqttFault && error.code === REASON.packetTooLarge,
  );
});

test('EDGE-1.26: the tree finds exactly the filters that match', () => {
  const level = fc.constantFrom('a', 'b', '', '$s');
  const topic = fc
    .array(level, { minLength: 1, maxLength: 4 })
    .map((levels) => levels.join('/'))
    .filter(isTopicName);
  const filter = fc
    .array(fc.constantFrom('a', 'b', '', '+', '#', '$s'), { minLength: 1, maxLength: 4 })
    .map((levels) => levels.join('/'))
    .filter(isTopicFilter);
  fc.assert(
    fc.property(fc.uniqueArray(filter, { maxLength: 12 }), topic, (filters, name) => {
      const tree = new TopicTree<string>();
      for (const one of filters) tree.set(one, 'x', one);
      const found: string[] = [];
      tree.match(name, (_, value) => void found.push(value));
      assert.deepEqual(found.sort(), filters.filter((one) => matchesTopic(one, name)).sort());
      for (const one of filters) assert.equal(tree.delete(one, 'x'), true);
      assert.equal(tree.size, 0);
    }),
  );
  // MQTT 5.0 §4.7.1 and §4.7.2, the examples.
  assert.ok(matchesTopic('sport/#', 'sport'));
  assert.ok(!matchesTopic('sport/+', 'sport'));
  assert.ok(
    matchesTopic('+/+', '/finance') && matchesTopic('/+', '/finance') && !matchesTopic('+', '/finance'),
  );
  assert.ok(
    !matchesTopic('#', '$SYS/x') && !matchesTopic('+/x', '$SYS/x') && matchesTopic('$SYS/#', '$SYS/x'),
  );
});

test('EDGE-1.18: who sends faster than the gateway works is held back in the socket, not cut off', async () => {
  const release: (() => void)[] = [];
  await using t = await openBroker({
    onPublish: async () => {
      await new Promise<void>((resolve) => release.push(resolve));
      return { code: 0, route: false };
    },
  });
  const raw = await t.raw();
  await raw.connect();
  const total = 3 * EDGE_LIMITS.receiveMaximum;
  raw.bytes(
    Buffer.concat(Array.from({ length: total }, () => bytes(publish({ qos: 0, messageId: undefined })))),
  );
  await until(() => release.length > EDGE_LIMITS.receiveMaximum, 'the first of them');
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(release.length, EDGE_LIMITS.receiveMaximum + 1);
  for (let done = 0; done < total; done += 1) {
    await until(() => release.length > done, 'the next');
    release[done]?.();
  }
  assert.equal(t.published.length, total);
});

test('EDGE-1.19: bytes beyond the rate exhaust the bucket until it has filled again', async () => {
  let refills = 0;
  const throttle = new Throttle(100_000, () => (refills += 1));
  throttle.take(150_000, 1_000);
  assert.equal(throttle.exhausted, false);
  throttle.take(52_000, 1_000);
  assert.equal(throttle.exhausted, true);
  await until(() => refills === 1, 'the refill');
  assert.equal(throttle.exhausted, false);
  throttle.take(1_000, 1_100);
  assert.equal(throttle.exhausted, false);
});
