/** A fifth validator joins, one leaves; what the API tells about it and proves is judged from genesis alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { amount, type Millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { possessionSigningBytes } from '@itc/core/ledger/bodies/validator.js';
import { decodeLinkedHeader, followChain } from '@itc/core/light/certified.js';
import { verifyInclusionBytes } from '@itc/core/light/inclusion-proof.js';
import { LightReader } from '@itc/core/light/light-reader.js';
import { encodeTrust, trustGenesis } from '@itc/core/light/trust.js';
import { accountKey } from '@itc/core/state/keys.js';
import { installNativeCrypto, verifyNative } from '../crypto/native.ts';
import type { NodeProcess } from '../runtime/process.ts';
import { Hops } from '../runtime/hops.ts';
import { LightServer } from '../runtime/light-server.ts';
import { statusOf, BlockRate } from '../runtime/status.ts';
import { BOND, keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import { freePorts } from '../testing/ports.ts';
import { chainRoutes } from './chain-routes.ts';
import { lightRoutes } from './light-routes.ts';
import { ApiServer } from './server.ts';
import { SourceBudget } from './source-budget.ts';
import { validatorRoutes } from './validator-routes.ts';

installNativeCrypto();

type Answer = Record<string, unknown>;

async function serve(node: NodeProcess): Promise<{
  get: (path: string) => Promise<Answer>;
  light: (query: string) => Promise<{ readonly status: number; readonly bytes: Uint8Array }>;
  stop: () => Promise<void>;
}> {
  const [port] = await freePorts(1);
  const { chain } = node;
  const hops = new Hops(chain);
  const server = new ApiServer({
    host: '127.0.0.1',
    port: port as number,
    version: '0',
    logger: node.logger,
    routes: [
      chainRoutes({
        chain,
        hops,
        status: () => statusOf(node, '0', new BlockRate()),
        submit: (encoded) => node.submit(encoded),
        isPending: (id) => node.isPending(id),
        sources: new SourceBudget(node),
      }),
      validatorRoutes({ chain, hops, peer: () => ({ connected: true }) }),
      lightRoutes(
        new LightServer({ chain, hops, keys: node.keys, now: () => node.clock.now(), peers: node.light }),
      ),
    ],
  });
  await server.start();
  return {
    light: async (query) => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/light?${query}`);
      return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
    },
    get: async (path) => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`);
      assert.equal(response.status, 200, await response.clone().text());
      return (await response.json()) as Answer;
    },
    stop: () => server.stop(),
  };
}

test('NODE-6.3, NODE-6.4, LIGHT-10.1, LIGHT-10.2: validators, epochs and proofs across them: an idle chain comes to its next epoch by itself, and every proof holds from genesis', async () => {
  const network = await LocalNetwork.create({ validators: 4, candidates: 1, heartbeatMs: 60_000 });
  const observed = await network.startAll().then(() => network.nodes[0] as NodeProcess);
  const api = await serve(observed);
  const early: Uint8Array[] = [];
  const pay = async (): Promise<void> => {
    const encoded = network.transaction(
      { kind: 'transfer', to: keyPair(77).address, amount: amount(1n) },
      early.length,
    );
    const id = await observed.submit(encoded);
    await until('the payment is final', () => observed.chain.receipt(id) !== undefined);
    early.push(id);
  };
  const change = async (epoch: number): Promise<void> => {
    const vote = { kind: 'weight-vote' as const, validator: network.keys(4).address, weight: 2 - epoch };
    for (const index of [0, 1, 2, 3]) {
      await network.act(network.keys(index), vote);
      if ((await validators()).find(({ address }) => address === fifth)?.['granted'] === vote.weight) break;
    }
    // Where the epoch has not ended meanwhile.
    const answer = await api.get('/validators');
    assert.equal(answer['changeDue'], answer['epoch'] !== epoch);
    await until('the next epoch', () => network.running().every(({ chain }) => chain.epoch.epoch === epoch));
  };
  const validators = async (): Promise<Answer[]> => (await api.get('/validators'))['validators'] as Answer[];
  const fifth = formatAddress(network.keys(4).address);
  try {
    await pay();
    const joining = network.keys(4);
    await network.act(joining, {
      kind: 'bond',
      key: joining.publicKey,
      amount: amount(BOND),
      possession: joining.sign(possessionSigningBytes(network.chain, joining.address)),
    });
    const before = (await validators()).find(({ address }) => address === fifth);
    assert.deepEqual(
      [before?.['state'], before?.['weight'], before?.['bond']],
      ['candidate', 0, String(BOND)],
    );
    assert.equal((await api.get('/validators'))['changeDue'], false);
    await change(1);
    await pay();
    const during = await api.get('/validators');
    assert.deepEqual([during['epoch'], during['total'], during['strong']], [1, 5, 4]);
    assert.equal(during['changeDue'], false);
    assert.equal((await validators()).find(({ address }) => address === fifth)?.['state'], 'active');
    await change(2);
    await pay();
    assert.equal((await validators()).find(({ address }) => address === fifth)?.['state'], 'candidate');

    const { epochs } = (await api.get('/epochs')) as unknown as {
      epochs: { epoch: number; since: number; closes?: number; validators: unknown[] }[];
    };
    assert.deepEqual(
      epochs.map(({ epoch, validators: set }) => [epoch, set.length]),
      [
        [2, 4],
        [1, 5],
        [0, 4],
      ],
    );
    assert.deepEqual(
      epochs.slice(0, 2).map(({ since }) => since - 1),
      epochs.slice(1).map(({ closes }) => closes),
    );
    assert.deepEqual((await api.get('/epochs?limit=1&before=2'))['epochs'], epochs.slice(1, 2));

    const trust = trustGenesis(network.genesis);
    for (const [epoch, id] of early.entries()) {
      const answer = await api.get(`/transactions/${toHex(id)}?proof=1`);
      const bytes = new Uint8Array(Buffer.from(answer['proof'] as string, 'base64url'));
      const verdict = verifyInclusionBytes({ trust, id: asHash(id), bytes, verify: verifyNative });
      assert.ok(verdict.valid, verdict.valid ? '' : `${verdict.check}: ${verdict.reason}`);
      assert.deepEqual([verdict.epoch, verdict.height], [epoch, answer['height']]);
      assert.equal('proof' in (await api.get(`/transactions/${toHex(id)}`)), false);
    }
    const head = await api.get('/proofs/head');
    const linked = decodeLinkedHeader(new Uint8Array(Buffer.from(head['linked'] as string, 'base64url')));
    assert.ok(linked.ok);
    const followed = followChain(trust, { ...linked.value, verify: verifyNative });
    assert.ok(followed.ok);
    assert.deepEqual([followed.value.epoch, followed.value.last.height], [2, head['height']]);
    assert.ok((followed.value.last.time as Millis) > network.genesis.time);
    await streams(network, observed, api.light, early);
    const block = (await api.get(`/blocks/${epochs[0]?.since}`)) as unknown as {
      signers: number[];
      header: { epoch: number };
    };
    assert.equal(block.header.epoch, 2);
    assert.ok(block.signers.length >= 3);
    assert.equal((await api.get('/status'))['epoch'], 2);
    // The last payment is followed by the blocks that prove it, and nothing else.
    const last = observed.chain.receipt(asHash(early[2] as Uint8Array))?.height ?? 0;
    const top = last + LIMITS.pipelineDepth;
    await until('the blocks that prove the payment', () => observed.chain.height >= top);
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(observed.chain.height, top, 'an idle chain is idle again');
  } finally {
    await api.stop();
    await network.close();
  }
});

/** One answer leads from genesis to the newest header, and proves a record, an absence, two payments and that it is fresh. */
async function streams(
  network: LocalNetwork,
  observed: NodeProcess,
  light: Awaited<ReturnType<typeof serve>>['light'],
  payments: readonly Uint8Array[],
): Promise<void> {
  const trust = encodeTrust(trustGenesis(network.genesis));
  const nonce = new Uint8Array(32).fill(5);
  const paid = accountKey(keyPair(77).address);
  const nobody = accountKey(keyPair(78).address);
  const [first, second] = payments.map(toHex);
  const query = `epoch=0&nonce=${toHex(nonce)}&state=${toHex(paid)}&state=${toHex(nobody)}&transaction=${first}&transaction=${second}&header=1`;
  const { status, bytes } = await light(query);
  assert.equal(status, 200);
  const reader = new LightReader({ trust, nonce, verify: verifyNative });
  const events = reader.push(bytes);
  const kinds = [
    'believed',
    'state',
    'state',
    'fresh',
    'history',
    'transaction',
    'history',
    'transaction',
    'history',
    'done',
  ];
  assert.deepEqual(
    events.map(({ kind }) => kind),
    kinds,
  );
  const [believed, present, absent, fresh] = events;
  assert.ok(believed?.kind === 'believed' && present?.kind === 'state' && absent?.kind === 'state');
  assert.ok(believed.height >= observed.chain.height - 1);
  assert.deepEqual(present.value, observed.chain.stateAt(believed.height - LIMITS.pipelineDepth).get(paid));
  assert.equal(absent.value, undefined);
  assert.ok(fresh?.kind === 'fresh');
  assert.deepEqual(fresh.gateway, observed.keys.publicKey.bytes);
  // From there on nothing but the newest header is to be shown.
  const again = await light('epoch=2');
  const later = new LightReader({ trust: believed.trust, verify: verifyNative });
  const [followed] = later.push(again.bytes);
  assert.ok(followed?.kind === 'believed' && followed.hops === 0);
  assert.ok(again.bytes.length < 1_000, `${again.bytes.length} bytes`);
  for (const [wrong, expected] of [
    ['epoch=9', 404],
    ['epoch=2&height=99999', 503],
    ['epoch=0&state=ff', 400],
    [`epoch=0&transaction=${'00'.repeat(32)}`, 404],
    [`epoch=0&${Array.from({ length: 17 }, (_, i) => `header=${i + 1}`).join('&')}`, 400],
  ] as const)
    assert.equal((await light(wrong)).status, expected, wrong);
}
