/** The contract of the transport port, run against TLS on loopback and the fake. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '@itc/core/crypto/hash.js';
import { systemClock } from '../clock.ts';
import { KeyPair } from '../crypto/keypair.ts';
import { PRIORITY, type Peer, type Transport } from '../ports.ts';
import { SeededRandom, systemRandom } from '../random.ts';
import { freePorts } from '../testing/ports.ts';
import { holds } from '../testing/until.ts';
import { MemoryHub, MemoryTransport } from './memory-transport.ts';
import { PeerTransport } from './peer-transport.ts';

const chain = sha256(Uint8Array.of(1));
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (of: string): Uint8Array => new TextEncoder().encode(of);

interface Network extends AsyncDisposable {
  readonly nodes: readonly Transport[];
}

/** Dials that cross are settled while messages flow, and those under way on the one that goes are lost. */
type Dials = 'one-way' | 'crossing';

function contract(name: string, build: (keys: readonly KeyPair[], dials: Dials) => Promise<Network>): void {
  const make = (count: number, dials: Dials = 'one-way'): Promise<Network> =>
    build(
      Array.from({ length: count }, (_, i) => KeyPair.generate(new SeededRandom(i + 50))),
      dials,
    );

  test(`${name}: everyone meets everyone once, and knows key and role`, async () => {
    await using network = await make(3, 'crossing');
    const met: string[][] = network.nodes.map(() => []);
    for (const [i, node] of network.nodes.entries()) {
      node.listen({
        connected: (peer) => met[i]?.push(`+${peer.id}`),
        disconnected: (peer) => met[i]?.push(`-${peer.id}`),
      });
    }
    await Promise.all(network.nodes.map((node) => node.start()));
    await holds(() => network.nodes.every((node) => node.peers().length === 2));
    for (const [i, node] of network.nodes.entries()) {
      const others = network.nodes.filter((other) => other !== node).map((other) => other.self);
      assert.deepEqual(
        node
          .peers()
          .map((peer: Peer) => peer.id)
          .sort(),
        others.sort(),
      );
      assert.ok(node.peers().every((peer) => peer.role === 'validator'));
      // Crossing dials may have been settled; what remains is one connection each.
      for (const id of others)
        assert.equal(
          met[i]?.filter((event) => event === `+${id}`).length,
          1 + (met[i]?.filter((event) => event === `-${id}`).length ?? 0),
        );
    }
  });

  test(`${name}: messages of a channel arrive whole, in order, named with their sender`, async () => {
    await using network = await make(2);
    const [a, b] = network.nodes as [Transport, Transport];
    const got: string[] = [];
    for (const node of network.nodes) {
      node.open({
        number: 1,
        bytesMax: 100_000,
        priority: PRIORITY.normal,
        receive: (peer, body) =>
          got.push(`${peer.id === a.self}:${body.length}:${text(body.subarray(0, 9))}`),
      });
      node.open({ number: 2, bytesMax: 5, priority: PRIORITY.urgent, receive: () => got.push('other') });
    }
    await Promise.all(network.nodes.map((node) => node.start()));
    await holds(() => a.peers().length === 1 && b.peers().length === 1);
    const sent = Array.from({ length: 200 }, (_, i) =>
      bytes(
        String(i)
          .padStart(9, '0')
          .padEnd(i === 7 ? 100_000 : 30, '.'),
      ),
    );
    for (const body of sent) assert.equal(a.send(b.self, 1, body), true);
    await holds(() => got.length === 200);
    assert.deepEqual(
      got,
      sent.map((body) => `true:${body.length}:${text(body.subarray(0, 9))}`),
    );
    assert.equal(b.broadcast(2, bytes('hello')), 1);
    await holds(() => got.at(-1) === 'other');
  });

  test(`${name}: nobody there, too long, no such channel`, async () => {
    await using network = await make(2);
    const [a, b] = network.nodes as [Transport, Transport];
    a.open({ number: 1, bytesMax: 4, priority: PRIORITY.normal, receive: () => {} });
    assert.throws(
      () => a.open({ number: 1, bytesMax: 4, priority: PRIORITY.normal, receive: () => {} }),
      RangeError,
    );
    await a.start();
    assert.equal(a.send(b.self, 1, bytes('x')), false);
    assert.equal(a.broadcast(1, bytes('x')), 0);
    await b.start();
    await holds(() => a.peers().length === 1);
    assert.throws(() => a.send(b.self, 1, bytes('12345')), RangeError);
    assert.throws(() => a.send(b.self, 7, bytes('1')), RangeError);
  });

  test(`${name}: both ends learn that a peer has gone, or was expelled`, async () => {
    await using network = await make(3);
    const [a, b, c] = network.nodes as [Transport, Transport, Transport];
    const gone: string[] = [];
    await Promise.all(network.nodes.map((node) => node.start()));
    await holds(() => network.nodes.every((node) => node.peers().length === 2));
    a.listen({ disconnected: (peer, reason) => gone.push(`${peer.id === b.self ? 'b' : 'c'} ${reason}`) });
    await b[Symbol.asyncDispose]();
    await holds(() => gone.includes('b ended'));
    a.disconnect(c.self);
    await holds(() => gone.includes('c expelled'));
    assert.equal(a.peers().length, 0);
  });
}

contract('tls', async (keys, dials) => {
  // Free ports first, so that everyone can be told where the others are.
  const ports = await freePorts(keys.length);
  const peers = keys.map((one, i) => ({
    id: Buffer.from(one.publicKey.bytes).toString('hex'),
    host: '127.0.0.1',
    port: ports[i] as number,
  }));
  const nodes = keys.map(
    (one, i) =>
      new PeerTransport({
        chain,
        keys: one,
        role: 'validator',
        host: '127.0.0.1',
        port: ports[i] as number,
        peers: dials === 'crossing' ? peers : peers.slice(i),
        allow: () => true,
        clock: systemClock,
        random: systemRandom,
      }),
  );
  return {
    nodes,
    [Symbol.asyncDispose]: async () => void (await Promise.all(nodes.map((node) => node.close()))),
  };
});

contract('memory', (keys) => {
  const hub = new MemoryHub();
  const nodes = keys.map((one) => new MemoryTransport(hub, { key: one.publicKey, role: 'validator' }));
  return Promise.resolve({
    nodes,
    [Symbol.asyncDispose]: async () =>
      void (await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))),
  });
});

test('memory: a cut link separates a pair and nobody else, and mends', async () => {
  const hub = new MemoryHub();
  const [a, b, c] = [1, 2, 3].map(
    (i) => new MemoryTransport(hub, { key: KeyPair.generate(new SeededRandom(i)).publicKey, role: 'member' }),
  ) as [MemoryTransport, MemoryTransport, MemoryTransport];
  for (const node of [a, b, c]) await node.start();
  hub.setLink([a.self, b.self], false);
  assert.deepEqual(
    [a, b, c].map((node) => node.peers().length),
    [1, 1, 2],
  );
  hub.setLink([a.self, b.self], true);
  assert.deepEqual(
    [a, b, c].map((node) => node.peers().length),
    [2, 2, 2],
  );
});
