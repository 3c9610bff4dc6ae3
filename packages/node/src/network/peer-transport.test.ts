/** What strangers and misbehaving peers can do to the port: nothing that costs more than their own connection. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { connect as tcpConnect, type Socket } from 'node:net';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import { systemClock } from '../clock.ts';
import { KeyPair } from '../crypto/keypair.ts';
import { PRIORITY, type Peer } from '../ports.ts';
import { SeededRandom, systemRandom } from '../random.ts';
import { freePorts } from '../testing/ports.ts';
import { holds } from '../testing/until.ts';
import { selfSignedIdentity } from './certificate.ts';
import { encodeHello, EXPORTER_LABEL, helloSigningBytes, PEER_PROTOCOL_VERSION, type Side } from './hello.ts';
import { NETWORK_LIMITS } from './limits.ts';
import { PeerTransport, type PeerTransportOptions } from './peer-transport.ts';

const chain = sha256(Uint8Array.of(1));
const host = '127.0.0.1';
const keysOf = (seed: number): KeyPair => KeyPair.generate(new SeededRandom(seed));
const idOf = (keys: KeyPair): string => toHex(keys.publicKey.bytes);

function node(seed: number, options: Partial<PeerTransportOptions> = {}): PeerTransport {
  return new PeerTransport({
    chain,
    keys: keysOf(seed),
    role: 'validator',
    host,
    port: 0,
    peers: [],
    allow: () => true,
    clock: systemClock,
    random: systemRandom,
    ...options,
  });
}

/** A hand-driven peer: TLS stands, nothing is said yet. */
async function stranger(port: number): Promise<TLSSocket> {
  const socket = tlsConnect({ host, port, rejectUnauthorized: false, minVersion: 'TLSv1.3' });
  socket.on('error', () => {}).resume();
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  return socket;
}

function frame(channel: number, body: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length);
  head[4] = channel;
  return Buffer.concat([head, body]);
}

function helloFrame(
  socket: TLSSocket,
  keys: KeyPair,
  changes: { chain?: Hash; side?: Side; exporter?: Uint8Array } = {},
): Buffer {
  const content = {
    version: PEER_PROTOCOL_VERSION,
    chain: changes.chain ?? chain,
    key: keys.publicKey,
    role: 'observer' as const,
    listen: '',
    hybrid: { kind: 'none' as const },
  };
  const exporter = changes.exporter ?? socket.exportKeyingMaterial(32, EXPORTER_LABEL, Buffer.from(chain));
  const signature = keys.sign(helloSigningBytes(content, { exporter, side: changes.side ?? 'dialler' }));
  return frame(0, Buffer.concat([Buffer.from([1]), encodeHello({ ...content, signature })]));
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.destroyed ? resolve() : socket.once('close', () => resolve())));

test('the certificate of a process is well formed, self-signed, and another each time', () => {
  const [first, second] = [selfSignedIdentity(), selfSignedIdentity()].map(
    ({ cert }) => new X509Certificate(cert),
  ) as [X509Certificate, X509Certificate];
  assert.ok(first.verify(first.publicKey) && !first.verify(second.publicKey));
  assert.equal(first.subject, 'CN=itc');
});

test('NODE-2.1: a peer with a good HELLO is let in; another chain, a wrong key, a reflected or relayed HELLO are not', async () => {
  await using target = node(1, { allow: (peer: Peer) => peer.id === idOf(keysOf(2)) });
  await target.start();
  const attempts: [string, (socket: TLSSocket) => Buffer][] = [
    ['other-chain', (socket) => helloFrame(socket, keysOf(2), { chain: sha256(Uint8Array.of(2)) })],
    ['unknown', (socket) => helloFrame(socket, keysOf(3))],
    ['unknown', (socket) => helloFrame(socket, keysOf(1))],
    ['signature', (socket) => helloFrame(socket, keysOf(2), { side: 'listener' })],
    ['signature', (socket) => helloFrame(socket, keysOf(2), { exporter: new Uint8Array(32) })],
  ];
  for (const [reason, hello] of attempts) {
    const before = target.refusals.get(reason as 'unknown') ?? 0;
    const socket = await stranger(target.port);
    socket.write(hello(socket));
    await closed(socket);
    assert.equal(target.refusals.get(reason as 'unknown'), before + 1, reason);
  }
  assert.equal(target.peers().length, 0);
  const socket = await stranger(target.port);
  socket.write(helloFrame(socket, keysOf(2)));
  await holds(() => target.peers().length === 1);
  assert.equal(target.peers()[0]?.role, 'observer');
  socket.destroy();
  await holds(() => target.peers().length === 0);
});

test('NODE-2.2: someone in the middle of two honest peers cannot pass their HELLOs on', async () => {
  await using honest = node(1);
  await honest.start();
  // The attacker ends TLS towards the victim and opens TLS of its own to the honest node.
  const { createServer } = await import('node:tls');
  const middle = createServer({ ...selfSignedIdentity(), minVersion: 'TLSv1.3' }, (inner) => {
    const outer = tlsConnect({ host, port: honest.port, rejectUnauthorized: false });
    for (const socket of [inner, outer]) socket.on('error', () => socket.destroy());
    inner.pipe(outer).pipe(inner);
  });
  await new Promise<void>((resolve) => middle.listen(0, host, resolve));
  const { port } = middle.address() as { port: number };
  await using victim = node(2, { peers: [{ id: honest.self, host, port }] });
  await victim.start();
  await holds(() => (honest.refusals.get('signature') ?? 0) > 0);
  assert.equal(victim.peers().length + honest.peers().length, 0);
  middle.close();
});

test('NODE-2.3: fuzz: random bytes on the port, before, in place of and after TLS, end their own connection only', async () => {
  const random = new SeededRandom(7);
  await using target = node(1);
  target.open({ number: 1, bytesMax: 1000, priority: PRIORITY.normal, receive: () => {} });
  await target.start();
  await using friend = node(2, { peers: [{ id: target.self, host, port: target.port }] });
  friend.open({ number: 1, bytesMax: 1000, priority: PRIORITY.normal, receive: () => {} });
  await friend.start();
  await holds(() => friend.peers().length === 1);
  const sockets: Socket[] = [];
  for (let i = 0; i < 24; i += 1) {
    const kind = i % 4;
    const noise = random.bytes(1 + Math.floor(random.uniform() * 2000));
    if (kind === 0) {
      const socket = tcpConnect(target.port, host);
      socket.on('error', () => {}).resume();
      socket.write(noise);
      sockets.push(socket);
      continue;
    }
    const socket = await stranger(target.port);
    sockets.push(socket);
    if (kind === 1) socket.write(noise);
    if (kind === 2) socket.write(frame(0, noise.subarray(0, 200)));
    if (kind === 3) {
      socket.write(helloFrame(socket, keysOf(100 + i)));
      // A good HELLO, then noise; the first byte makes the announced length absurd.
      socket.write(Buffer.concat([Buffer.from([0xff]), noise]));
    }
  }
  // A first byte of zero can begin a plausible length; such a connection waits for the deadline like any other.
  await holds(() => sockets.filter((socket) => socket.destroyed).length >= 20);
  for (const socket of sockets) socket.destroy();
  assert.equal(friend.send(target.self, 1, Uint8Array.of(1)), true);
  await holds(() =>
    target.stats().some(({ peer, messagesIn }) => peer.id === friend.self && messagesIn === 1),
  );
});

test('NODE-2.4: slow loris: connections that say nothing are pushed out by newcomers and do not keep a peer away', async () => {
  await using target = node(1);
  await target.start();
  const idle = await Promise.all(
    Array.from({ length: NETWORK_LIMITS.handshakesMax + 5 }, async () => {
      const socket = tcpConnect(target.port, host);
      socket.on('error', () => {}).resume();
      await new Promise((resolve) => socket.once('connect', resolve));
      return socket;
    }),
  );
  await using friend = node(2, { peers: [{ id: target.self, host, port: target.port }] });
  await friend.start();
  await holds(() => friend.peers().length === 1);
  assert.ok((target.refusals.get('crowded') ?? 0) >= 5);
  for (const socket of idle) socket.destroy();
});

test('NODE-2.5: a peer that announces too much, or speaks on a channel nobody opened, is cut off with the reason', async () => {
  await using target = node(1);
  target.open({ number: 1, bytesMax: 1000, priority: PRIORITY.normal, receive: () => {} });
  const reasons: string[] = [];
  target.listen({ disconnected: (_, reason) => reasons.push(reason) });
  await target.start();
  const tooLong = Buffer.alloc(5);
  tooLong.writeUInt32BE(1001);
  tooLong[4] = 1;
  for (const [bytes, reason] of [
    [tooLong, 'too-long'],
    [frame(9, new Uint8Array(1)), 'malformed'],
    [frame(0, Uint8Array.of(77)), 'malformed'],
  ] as const) {
    const socket = await stranger(target.port);
    socket.write(helloFrame(socket, keysOf(5)));
    await holds(() => target.peers().length === 1);
    socket.write(bytes);
    await closed(socket);
    await holds(() => reasons.at(-1) === reason);
  }
});

test('NODE-2.6: dials that cross end as one connection, and a peer that restarts is found again', async () => {
  const ports = await freePorts(2);
  const peers = [1, 2].map((seed, i) => ({ id: idOf(keysOf(seed)), host, port: ports[i] as number }));
  const build = (i: number): PeerTransport => {
    const built = node(i + 1, { port: ports[i] as number, peers });
    built.open({ number: 1, bytesMax: 10, priority: PRIORITY.normal, receive: () => {} });
    return built;
  };
  await using a = build(0);
  let b = build(1);
  await Promise.all([a.start(), b.start()]);
  const meet = (): Promise<void> => holds(() => a.peers().length === 1 && b.peers().length === 1);
  await meet();
  // Both hold the same one: only one of them dialled it.
  await holds(() => a.stats()[0]?.side !== b.stats()[0]?.side);
  await holds(() => a.stats()[0]?.rttMs !== undefined);
  await b.close();
  await holds(() => a.peers().length === 0);
  b = build(1);
  await b.start();
  await meet();
  assert.equal(a.send(b.self, 1, Uint8Array.of(1)), true);
  await b.close();
});

test('NODE-2.7: an expelled peer is refused for a while', async () => {
  await using target = node(1);
  await target.start();
  const socket = await stranger(target.port);
  socket.write(helloFrame(socket, keysOf(5)));
  await holds(() => target.peers().length === 1);
  target.disconnect(idOf(keysOf(5)));
  await closed(socket);
  const again = await stranger(target.port);
  again.write(helloFrame(again, keysOf(5)));
  await closed(again);
  assert.equal(target.refusals.get('expelled'), 1);
});

test('NODE-2.8: a peer that does not read costs a bounded queue, and is told by false', async () => {
  await using target = node(1);
  target.open({ number: 1, bytesMax: 1 << 20, priority: PRIORITY.normal, receive: () => {} });
  await target.start();
  const socket = await stranger(target.port);
  socket.write(helloFrame(socket, keysOf(5)));
  await holds(() => target.peers().length === 1);
  socket.pause();
  const message = new Uint8Array(1 << 20);
  let accepted = 0;
  for (let i = 0; i < 60 && target.send(idOf(keysOf(5)), 1, message); i += 1) accepted += 1;
  assert.ok(accepted < 60);
  const [stats] = target.stats();
  assert.ok(
    (stats?.outboxBytes ?? 0) <= NETWORK_LIMITS.outboxBytesMax[PRIORITY.normal] && stats?.dropped === 1,
  );
  socket.destroy();
});

test('a port that is taken is named', async () => {
  await using first = node(1);
  await first.start();
  await assert.rejects(node(2, { port: first.port }).start(), { code: 'port.taken' });
});

test('closing ends everything at once: sockets, timers, the server', async () => {
  const target = node(1);
  await target.start();
  const socket = await stranger(target.port);
  const raw = tcpConnect(target.port, host);
  raw.on('error', () => {}).resume();
  await target.close();
  await Promise.all([closed(socket), closed(raw)]);
});

test('NODE-2.11: a connection ends when its peer may no longer connect, and is refused until it may again', async () => {
  const [a, b] = [keysOf(31), keysOf(32)];
  const allowed = new Set([idOf(b)]);
  await using server = node(31, { allow: ({ id }) => allowed.has(id) });
  await server.start();
  await using client = node(32, { peers: [{ id: idOf(a), host, port: server.port }] });
  const reasons: string[] = [];
  server.listen({ disconnected: (_peer, reason) => void reasons.push(reason) });
  await client.start();
  await holds(() => server.peers().length === 1);
  server.review();
  assert.equal(server.peers().length, 1);
  allowed.clear();
  server.review();
  await holds(() => server.peers().length === 0);
  assert.deepEqual(reasons, ['unwelcome']);
  await holds(() => (server.refusals.get('unknown') ?? 0) > 0);
  allowed.add(idOf(b));
  await holds(() => server.peers().length === 1);
});
