import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { closesEpoch, voteSigningBytes } from '@itc/core/ledger/block.js';
import { amount, epoch, height, view } from '@itc/core/ledger/ids.js';
import { possessionSigningBytes } from '@itc/core/ledger/bodies/validator.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { Message, Status } from '@itc/core/pbft/messages.js';
import { verifyCertificate } from '@itc/core/pbft/verify.js';
import { systemClock } from '../clock.ts';
import type { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto, verifyNative } from '../crypto/native.ts';
import { PeerTransport } from '../network/peer-transport.ts';
import { systemRandom } from '../random.ts';
import { BOND, keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import { parseCandidate } from './candidates.ts';
import { CHANNELS } from './channels.ts';
import type { NodeProcess } from './process.ts';

installNativeCrypto();

const FAST = { heartbeatMs: 200, viewTimeoutMs: 2_000 } as const;

/** All running nodes are in the epoch, those that have a vote with a replica of it. */
function inEpoch(network: LocalNetwork, of: number): boolean {
  return network.running().every(({ chain }) => chain.epoch.epoch >= of);
}

async function pay(network: LocalNetwork): Promise<void> {
  await network.act(network.treasury, { kind: 'transfer', to: keyPair(77).address, amount: amount(1n) });
}

function sameChain(network: LocalNetwork): boolean {
  const at = Math.min(...network.running().map(({ chain }) => chain.height));
  return new Set(network.running().map(({ chain }) => toHex(chain.hashAt(at) as Uint8Array))).size === 1;
}

/** What a process has been, block by block from now on: a chain that is busy may end its epoch before anybody looks. */
function rolesOf({ chain, consensus }: NodeProcess): ReadonlySet<string | undefined> {
  const roles = new Set([consensus?.seat().role]);
  chain.onCommitted(() => roles.add(consensus?.seat().role));
  return roles;
}

/** A peer with somebody's key that says what the test wants, connected to the first node. */
function puppet(network: LocalNetwork, keys: KeyPair): PeerTransport {
  const { host, port } = network.config(0).peer;
  return new PeerTransport({
    chain: network.chain,
    keys,
    role: 'validator',
    host,
    port: 0,
    peers: [{ id: toHex(network.keys(0).publicKey.bytes), host, port }],
    clock: systemClock,
    random: systemRandom,
  });
}

test('NODE-9.1: a fifth validator bonds, is granted weight by three votes, and decides from the next epoch on', async () => {
  // The member observes the main chain only, and is to follow it into the next epoch all the same.
  const network = await LocalNetwork.create({ validators: 4, candidates: 1, members: 1, ...FAST });
  try {
    await network.startAll();
    const joining = network.keys(4);
    const { treasury } = network;
    const roles = rolesOf(network.nodes[4] as NodeProcess);
    assert.deepEqual([...roles], ['observer']);
    await network.act(treasury, {
      kind: 'bond',
      key: joining.publicKey,
      amount: amount(BOND),
      possession: joining.sign(possessionSigningBytes(network.chain, treasury.address)),
    });
    for (const index of [0, 1, 2])
      await network.act(network.keys(index), {
        kind: 'weight-vote',
        validator: treasury.address,
        weight: 1,
      });
    await network.busyUntil('the next epoch begins everywhere', () => inEpoch(network, 1));
    await until('the fifth votes', () => network.nodes[4]?.consensus?.seat().role === 'validator');
    assert.ok(roles.has('joining'));
    assert.equal(network.nodes[0]?.chain.epoch.validators.length, 5);

    // Four of five are the quorum now: without the new one nothing would become final.
    await network.stop(0);
    await pay(network);
    assert.ok(sameChain(network));
  } finally {
    await network.close();
  }
});

test('NODE-9.1: a validator that takes its bond back leaves with the next epoch, follows as an observer, and is not missed', async () => {
  const network = await LocalNetwork.create({ validators: 4, ...FAST });
  try {
    await network.startAll();
    const roles = rolesOf(network.nodes[3] as NodeProcess);
    await network.act(network.keys(3), { kind: 'unbond', amount: amount(BOND) });
    await network.busyUntil('the next epoch begins everywhere', () => inEpoch(network, 1));
    assert.deepEqual([...roles].slice(0, 2), ['validator', 'leaving']);
    await until('the fourth only follows', () => network.nodes[3]?.consensus?.seat().role === 'observer');
    assert.equal(network.nodes[3]?.consensus?.votes, false);
    // `act` waits for the observer, too.
    await pay(network);
    await network.stop(3);
    await pay(network);
    assert.ok(sameChain(network));
  } finally {
    await network.close();
  }
});

test('NODE-9.2: an epoch ends with one validator dead; started again behind the boundary, it returns and its vote counts', async () => {
  const network = await LocalNetwork.create({ validators: 4, ...FAST });
  try {
    await network.startAll();
    await pay(network);
    await network.act(network.keys(0), { kind: 'restart' });
    await network.stop(3);
    await network.busyUntil('the next epoch begins everywhere', () => inEpoch(network, 1));
    const back = await network.start(3);
    await until('it has caught up', () => back.chain.epoch.epoch === 1 && back.consensus?.votes === true);
    await network.stop(2);
    await pay(network);
    assert.ok(sameChain(network));
  } finally {
    await network.close();
  }
});

test('NODE-9.2: all stopped on the block that closes the epoch, a network goes on in the next one', async () => {
  // Heartbeats alone: what waits for a receipt would ask nodes that are gone.
  const network = await LocalNetwork.create({ validators: 4, ...FAST, heartbeatMs: 50 });
  try {
    await network.startAll();
    await network.act(network.keys(0), { kind: 'restart' });
    let stopped = 0;
    let closed = 0;
    for (const [index, node] of network.running().entries()) {
      node.chain.onCommitted(({ block }) => {
        if (!closesEpoch(block.header)) return;
        stopped += 1;
        closed = block.header.height;
        void network.stop(index);
      });
    }
    // The last one may hear of the block from nobody any more.
    await until('three have stopped on the closing block', () => stopped >= 3);
    for (const index of [0, 1, 2, 3]) await network.stop(index);
    await network.startAll();
    await pay(network);
    assert.ok(inEpoch(network, 1));
    assert.ok(network.running().every(({ chain }) => chain.epoch.since === closed + 1));
  } finally {
    await network.close();
  }
});

test('NODE-9.3: a validator that lost its disk observes, asks for a new epoch, and votes in it', async () => {
  const network = await LocalNetwork.create({ validators: 4, ...FAST });
  try {
    await network.startAll();
    await pay(network);
    await network.stop(3);
    for (const folder of ['replica', 'blocks', 'tables'])
      rmSync(join(network.config(3).dataDir, folder), { recursive: true });
    await pay(network);
    const back = await network.start(3);
    assert.equal(back.consensus?.votes, false);
    assert.match(back.consensus?.seat().reason ?? '', /write-ahead log was lost/);
    await until('it has asked for a new epoch', () =>
      [...back.chain.state.validators()].some(({ validator }) => validator.restartAt > 0),
    );
    assert.equal(back.consensus?.votes, false);
    await network.busyUntil('the next epoch begins everywhere', () => inEpoch(network, 1));
    await until('it votes again', () => back.consensus?.votes === true);
    await network.stop(2);
    await pay(network);
    assert.ok(sameChain(network));
  } finally {
    await network.close();
  }
});

test('NODE-9.7: two votes that contradict each other cost the voter its bond, and its seat in the next epoch', async () => {
  const network = await LocalNetwork.create({ validators: 4, ...FAST });
  const [witness] = await Promise.all([network.start(0), network.start(1), network.start(2)]);
  const liar = network.keys(3);
  await using transport = puppet(network, liar);
  try {
    await pay(network);
    for (const channel of Object.values(CHANNELS)) transport.open({ ...channel, receive: () => undefined });
    await transport.start();
    await until('the liar is connected', () => transport.peers().length === 1);
    const { validators, epoch: its } = witness.chain.epoch;
    const of = {
      epoch: its,
      view: view(witness.consensus?.status()?.view ?? 0),
      height: height(witness.chain.height + 8),
    };
    for (const seed of [1, 2]) {
      const hash = sha256(Uint8Array.of(seed));
      const message: Message = {
        kind: 'prepare',
        sender: validators.findIndex(({ key }) => toHex(key.bytes) === transport.self),
        ...of,
        hash,
        signature: liar.sign(voteSigningBytes('prepare', { chain: network.chain, ...of, hash })),
      };
      transport.send(witness.transport.self, CHANNELS.vote.number, encodeMessage(message));
    }
    await network.busyUntil('the liar is punished', () =>
      network.running().every(({ chain }) => chain.state.validator(liar.address)?.jailed === true),
    );
    await network.busyUntil('the next epoch begins everywhere', () => inEpoch(network, 1));
    assert.equal(witness.chain.epoch.validators.length, 3);
    assert.ok((witness.chain.state.validator(liar.address)?.bond ?? 0n) < BOND);
    await pay(network);
  } finally {
    await network.close();
  }
});

test('NODE-9.2: who speaks of an older epoch is shown how it ended, with a certificate of its own set, and not twice at once', async () => {
  const network = await LocalNetwork.create({ validators: 4, ...FAST });
  const [node] = await Promise.all([network.start(0), network.start(1), network.start(2)]);
  await using laggard = puppet(network, network.keys(3));
  try {
    await network.act(network.keys(0), { kind: 'restart' });
    await network.busyUntil('the next epoch begins', () => inEpoch(network, 1));
    const heard: Status[] = [];
    for (const channel of Object.values(CHANNELS))
      laggard.open({
        ...channel,
        receive: (_peer, bytes) => {
          const message = decodeMessage(bytes.slice(), parseCandidate);
          if (channel.number === CHANNELS.vote.number && message.ok && message.value.kind === 'status')
            heard.push(message.value);
        },
      });
    await laggard.start();
    await until('the laggard is connected', () => laggard.peers().length === 1);
    const old = { epoch: epoch(0), view: view(3), committed: height(7), stable: height(0) };
    const status: Status = {
      kind: 'status',
      sender: network.genesis.validators.findIndex(({ key }) => toHex(key.bytes) === laggard.self),
      ...old,
      changing: true,
      committedCertificate: undefined,
      stableCertificate: undefined,
      suspects: new Uint8Array(1),
    };
    for (let i = 0; i < 5; i += 1)
      laggard.send(node.transport.self, CHANNELS.vote.number, encodeMessage(status));
    await until('the end of epoch 0 is shown', () => heard.some((answer) => answer.epoch === 0));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const answers = heard.filter((answer) => answer.epoch === 0);
    assert.equal(answers.length, 1);
    const certificate = answers[0]?.committedCertificate;
    assert.equal(certificate?.height, node.chain.epoch.since - 1);
    const { validators } = network.genesis;
    const context = { chain: network.chain, epoch: epoch(0), validators, verify: verifyNative };
    assert.ok(certificate !== undefined && verifyCertificate(context, certificate));
  } finally {
    await network.close();
  }
});
