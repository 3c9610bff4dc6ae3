import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { coSignerOf, coSignKeySigningBytes } from '@itc/core/ledger/co-signers.js';
import { epoch, height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  decodeCoSignedTrust,
  encodeCoSignedTrust,
  trustCoSigned,
  type CoSignedTrust,
} from '@itc/core/light/co-signed.js';
import { CoSignedReader, type CoSignedEvent } from '@itc/core/light/co-signed-reader.js';
import { accountKey, type StateKey } from '@itc/core/state/keys.js';
import { pino } from 'pino';
import { coSignedRoutes } from '../api/co-signed-routes.ts';
import { ApiServer } from '../api/server.ts';
import { systemClock } from '../clock.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { CoSigningKey } from '../crypto/co-signing-key.ts';
import { PeerTransport } from '../network/peer-transport.ts';
import { systemRandom } from '../random.ts';
import { coSigningKey, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import { freePorts } from '../testing/ports.ts';
import { CHANNELS } from './channels.ts';
import { CoSignedServer } from './co-signed-server.ts';
import { encodeCoSigningMessage } from './co-signing-messages.ts';
import type { NodeProcess } from './process.ts';

installNativeCrypto();

const K = LIMITS.checkpointInterval;
const QUICK = { heartbeatMs: 20, viewTimeoutMs: 500 } as const;

/** Height of the newest checkpoint enough have co-signed, as a node knows it. */
const coSigned = (node: NodeProcess | undefined): number => node?.coSigning.newest()?.header.height ?? 0;

/** What a client that trusts genesis, or what it has kept, makes of a node's answer. */
function follow(node: NodeProcess, kept?: Uint8Array, state?: StateKey): readonly CoSignedEvent[] {
  const start = trustCoSigned(node.genesis);
  assert.ok(start);
  const trust = kept ?? encodeCoSignedTrust(start);
  const at = new DataView(trust.buffer, trust.byteOffset).getUint32(32);
  const server = new CoSignedServer(node.chain, node.coSigning);
  const wants = state === undefined ? [] : [{ kind: 'state' as const, key: state }];
  const answer = server.answer({ epoch: epoch(at), height: height(0), wants });
  if (!answer.ok) throw new Error(answer.message);
  return new CoSignedReader({ trust, verify: verifySignature }).push(answer.value);
}

function believed(events: readonly CoSignedEvent[]): Extract<CoSignedEvent, { kind: 'believed' }> {
  const [event] = events;
  assert.ok(event?.kind === 'believed', JSON.stringify(event));
  assert.equal(events.at(-1)?.kind, 'done');
  return event;
}

test('QUANTUM-2.1, QUANTUM-2.3: three of four co-sign, any node gathers it, a client follows across an epoch; too few stop nobody', async () => {
  const network = await LocalNetwork.create({ validators: 4, coSigners: 3, members: 1, ...QUICK });
  try {
    await network.startAll();
    const observer = network.nodes[4] as NodeProcess;
    await until('a checkpoint is co-signed', () => coSigned(observer) >= K);
    const first = believed(follow(observer));
    assert.equal(first.height % K, 0);
    assert.ok(decodeCoSignedTrust(first.trust, network.nodes[0]?.chain.state.coSigners as never).ok);

    // The fourth registers a key: the epoch ends, and the next one has four co-signers.
    const fourth = CoSigningKey.generate(systemRandom);
    const account = network.keys(3);
    const body = {
      kind: 'co-sign' as const,
      key: fourth.publicKey.bytes,
      possession: fourth.sign(
        coSignKeySigningBytes({
          chain: network.chain,
          account: account.address,
          key: coSignerOf(fourth.publicKey.bytes),
          since: 0,
        }),
      ),
    };
    await network.act(account, body);
    await until('the next epoch is co-signed', () => (observer.coSigning.newest()?.header.epoch ?? 0) === 1);
    const later = follow(observer, undefined, accountKey(network.treasury.address));
    assert.equal(believed(later).hops, 1);
    assert.ok(later.some((event) => event.kind === 'state' && event.value !== undefined));
    // From what was kept, and from any node that has executed the same blocks.
    assert.equal(believed(follow(observer, first.trust)).hops, 1);
    const [validator] = network.nodes;
    assert.ok(validator);
    await until('validators have it too', () => coSigned(validator) > first.height);
    believed(follow(validator, first.trust));

    // Too few are left to co-sign: blocks go on, co-signatures do not.
    await network.stop(0);
    const last = validator.chain.height;
    await until('the chain goes on', () => observer.chain.height > last + K + 4);
    assert.ok(coSigned(observer) <= last);
  } finally {
    await network.close();
  }
});

test('QUANTUM-2.2, QUANTUM-4.1: a key signs one checkpoint per height and none below, through restarts; a client asks over HTTP', async () => {
  const network = await LocalNetwork.create({ validators: 1, coSigners: 1, ...QUICK });
  try {
    const node = await network.start(0);
    await until('a checkpoint is co-signed', () => coSigned(node) >= K);
    const { address } = coSigningKey(0);
    const at = coSigned(node);
    const [signature] = node.coSigning.store.entry(at)?.signatures ?? [];
    assert.ok(node.coSigning.store.signedUpTo(address) >= at);
    await network.stop(0);
    const again = await network.start(0);
    assert.ok(again.coSigning.store.signedUpTo(address) >= at);
    await until('the next one is co-signed', () => coSigned(again) > at);
    // Signatures are hedged: another one over the same would have other bytes.
    assert.deepEqual(again.coSigning.store.entry(at)?.signatures[0], signature);
    believed(follow(again));
    await asked(again);
  } finally {
    await network.close();
  }
});

/** The routes, as a client uses them. */
async function asked(node: NodeProcess): Promise<void> {
  const [port] = await freePorts(1);
  const logger = pino({ level: 'silent' });
  const routes = [coSignedRoutes(node.chain, node.coSigning)];
  const server = new ApiServer({ host: '127.0.0.1', port: port as number, version: '0', logger, routes });
  await server.start();
  try {
    const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    const key = toHex(accountKey(node.keys.address));
    const stream = await get(`light/co-signed?epoch=0&header=3&state=${key}`);
    assert.equal(stream.headers.get('content-type'), 'application/octet-stream');
    const trust = encodeCoSignedTrust(trustCoSigned(node.genesis) as CoSignedTrust);
    const reader = new CoSignedReader({ trust, verify: verifySignature });
    const events = reader.push(new Uint8Array(await stream.arrayBuffer()));
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['believed', 'state', 'history', 'done'],
    );
    const who = (await (await get('co-signatures')).json()) as {
      weight: number;
      needed: number;
      coSigners: unknown[];
    };
    assert.deepEqual([who.weight, who.needed, who.coSigners.length], [1, 1, 1]);
    const codeOf = async (path: string): Promise<unknown> =>
      ((await (await get(path)).json()) as { code: unknown }).code;
    assert.equal(await codeOf('light/co-signed?epoch=7'), 'not-found');
    assert.equal(await codeOf('light/co-signed?epoch=0&height=1000000'), 'not-ready');
    assert.equal(await codeOf('light/co-signed?epoch=0&header=1000000'), 'not-found');
  } finally {
    await server.stop();
  }
}

test('QUANTUM-2.4: a signature that does not hold ends the connection; of strangers, of other heights and twice it is passed over', async () => {
  const network = await LocalNetwork.create({ validators: 4, coSigners: 4, ...QUICK });
  try {
    // The fourth is a puppet: the three others are a quorum.
    for (const index of [0, 1, 2]) await network.start(index);
    const [node] = network.nodes;
    assert.ok(node);
    const { host, port } = network.config(0).peer;
    const puppet = new PeerTransport({
      chain: network.chain,
      keys: network.keys(3),
      role: 'validator',
      host,
      port: 0,
      peers: [{ id: toHex(network.keys(0).publicKey.bytes), host, port }],
      clock: systemClock,
      random: systemRandom,
    });
    for (const channel of Object.values(CHANNELS)) puppet.open({ ...channel, receive: () => undefined });
    let lost = 0;
    puppet.listen({ disconnected: () => (lost += 1) });
    await puppet.start();
    try {
      await until('it is connected', () => puppet.peers().length === 1);
      const say = (of: number, key: Uint8Array): boolean =>
        puppet.send(
          toHex(network.keys(0).publicKey.bytes),
          CHANNELS.coSignature.number,
          encodeCoSigningMessage({
            kind: 'co-signature',
            height: height(of),
            key,
            signature: new Uint8Array(2420),
          }),
        );
      const stranger = CoSigningKey.generate(systemRandom).publicKey.bytes;
      const own = coSigningKey(3).publicKey.bytes;
      say(K, stranger);
      say(K + 1, own);
      say(10_000_000, own);
      const before = node.chain.height;
      await until('nothing comes of it', () => node.chain.height > before + 3);
      assert.equal(lost, 0);
      // For the next checkpoint, before it is there: it is judged when it is.
      say((Math.floor(node.chain.height / K) + 1) * K, own);
      await until('it is disconnected', () => lost > 0);
    } finally {
      await puppet.close();
    }
  } finally {
    await network.close();
  }
});
