import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { encodeGenesis, genesisHash } from '@itc/core/ledger/genesis.js';
import type { CoSigners } from '@itc/core/ledger/co-signers.js';
import { accountKey, parseStateKey, type StateKey } from '@itc/core/state/keys.js';
import {
  encodeCoSignedStream,
  type CoSignedItem,
  type CoSignedStream,
} from '@itc/core/light/co-signed-stream.js';
import { showIn } from '@itc/core/light/shown-record.js';
import { fromHex } from '@itc/core/bytes/hex.js';
import type { CertifiedBlock } from '@itc/core/testing/chain.js';
import { coSign, CoSignedWorld, slidingMembers } from '@itc/core/testing/co-signed-world.js';
import { installNativeSha256, keyPair, rememberingVerifier } from '@itc/core/testing/keys.js';
import { CoSignedClient } from './co-signed-client.ts';
import type { LightStart } from './light-start.ts';
import type { Fetch } from './http.ts';
import { MemoryLightStore } from './light-store.ts';
import { LightWallet } from './light-wallet.ts';

installNativeSha256();

const verify = rememberingVerifier(verifySignature);
const world = new CoSignedWorld([slidingMembers(0), slidingMembers(1)]);
const newest = world.first[1] as CertifiedBlock;
const tree = world.tree(world.coSigners(1));
const holder = world.world.treasury.address;
const start: LightStart = {
  kind: 'genesis',
  hash: genesisHash(world.genesis),
  document: encodeGenesis(world.genesis),
};

type Answer = Uint8Array | { readonly status: number; readonly code: string };
type Gateway = (query: URLSearchParams) => Answer;

/** Serves what it has, in pieces; `lie` changes the stream. */
function honest(lie: (stream: CoSignedStream) => CoSignedStream = (stream) => stream): Gateway {
  return (query) => {
    const epoch = Number(query.get('epoch'));
    const items = query.getAll('state').map((text): CoSignedItem => {
      const bytes = fromHex(text);
      assert.ok(bytes.ok && parseStateKey(bytes.value));
      const key = bytes.value as StateKey;
      return { kind: 'state', key, shown: showIn(tree, key) };
    });
    const trusted: CoSigners = world.coSigners(epoch);
    const hops = epoch === 0 ? [world.hop(0)] : [];
    return encodeCoSignedStream(lie({ trusted, hops, checkpoint: world.checkpoint(newest), items }));
  };
}

function fetchFrom(gateways: Readonly<Record<string, Gateway>>): Fetch {
  return (url) => {
    const at = new URL(url);
    const answer = gateways[at.origin]?.(at.searchParams) ?? { status: 503, code: 'not-ready' };
    const bytes = answer instanceof Uint8Array ? answer : new Uint8Array(0);
    const status = answer instanceof Uint8Array ? 200 : answer.status;
    let read = 0;
    return Promise.resolve({
      ok: status === 200,
      status,
      headers: { get: () => null },
      text: () => Promise.resolve(JSON.stringify(answer)),
      body: {
        getReader: () => ({
          read: () => {
            const value = bytes.subarray(read, read + 1000);
            read += value.length;
            return Promise.resolve(value.length === 0 ? { done: true } : { done: false, value });
          },
          cancel: () => Promise.resolve(),
        }),
      },
    });
  };
}

async function clientOn(
  gateways: Readonly<Record<string, Gateway>>,
  o: { readonly store?: MemoryLightStore; readonly start?: LightStart } = {},
): Promise<CoSignedClient> {
  const opened = await CoSignedClient.open(o.start ?? start, {
    gateways: Object.keys(gateways),
    store: o.store ?? new MemoryLightStore(),
    verify,
    fetch: fetchFrom(gateways),
  });
  if (!opened.ok) throw new Error(opened.message);
  return opened.value;
}

test('QUANTUM-4.2: from genesis, or from the 149 bytes it has kept, a client follows to the newest co-signed checkpoint and reads there', async () => {
  const store = new MemoryLightStore();
  const client = await clientOn({ 'http://a': honest() }, { store });
  assert.equal(client.height, 0);
  const read = await client.records([accountKey(holder), accountKey(keyPair(9).address)]);
  assert.ok(read.ok);
  assert.equal(read.value.value[0]?.length, 10);
  assert.equal(read.value.value[1], undefined);
  assert.equal(read.value.height, newest.block.header.height);
  assert.deepEqual([read.value.weight, read.value.total], [3, 4]);
  const again = await clientOn({ 'http://a': honest() }, { store });
  assert.equal(again.height, newest.block.header.height);
  const synced = await again.sync();
  assert.equal(synced.ok && synced.value.value, 0);
  const pinned = await clientOn(
    { 'http://a': honest() },
    { start: { kind: 'checkpoint', trust: client.trust } },
  );
  assert.ok((await pinned.sync()).ok);
});

test('QUANTUM-4.3: a gateway with every Ed25519 key, or without enough co-signatures, is not believed and falls back to nothing', async () => {
  const { header, stateRoot } = world.checkpoint(newest);
  const later = { ...header, height: (header.height + 1) as typeof header.height };
  const forge = (stream: CoSignedStream): CoSignedStream => ({
    ...stream,
    checkpoint: {
      header: later,
      stateRoot,
      coSignatures: world.checkpoint(newest).coSignatures.map((one, i) => ({
        ...one,
        signature: coSign(world.chain, later, stateRoot, 50 + i).signature,
      })),
    },
  });
  const forger = await clientOn({ 'http://a': honest(forge) });
  const forged = await forger.sync();
  assert.ok(!forged.ok && forged.code === 'untrue' && forged.check === 'signature');
  assert.equal(forger.height, 0);
  const none = await clientOn({ 'http://a': () => ({ status: 404, code: 'not-found' }) });
  const refused = await none.records([accountKey(holder)]);
  assert.ok(!refused.ok && refused.code === 'missing');
  const short = await clientOn({ 'http://a': (query) => (honest()(query) as Uint8Array).subarray(0, 5000) });
  const cut = await short.sync();
  assert.ok(!cut.ok && cut.code === 'untrue' && cut.check === 'format');
  // The next gateway is asked.
  const both = await clientOn({ 'http://a': honest(forge), 'http://b': honest() });
  const read = await both.records([accountKey(holder)]);
  assert.equal(read.ok && read.value.gateway, 'http://b');
  const { coSigners: _, ...plain } = world.genesis;
  const other = await CoSignedClient.open(
    { kind: 'genesis', hash: genesisHash(plain), document: encodeGenesis(plain) },
    { gateways: ['http://a'], store: new MemoryLightStore() },
  );
  assert.ok(!other.ok && other.code === 'other-chain');
});

test('QUANTUM-4.4: a wallet that demands co-signatures reads nothing that is not proved under them', async () => {
  const gateways = { 'http://a': honest() };
  const open = async (coSigned: CoSignedClient): Promise<LightWallet> => {
    const opened = await LightWallet.open(start, {
      gateways: ['http://a'],
      store: new MemoryLightStore(),
      random: (length) => new Uint8Array(length),
      fetch: fetchFrom(gateways),
      coSigned,
    });
    assert.ok(opened.ok);
    return opened.value;
  };
  const wallet = await open(await clientOn(gateways));
  const account = await wallet.account(holder);
  assert.ok(account.ok);
  assert.equal(account.value.value?.balance, 7n);
  assert.equal(wallet.height, newest.block.header.height);
  const synced = await wallet.sync();
  assert.ok(synced.ok && !synced.value.isFresh);
  const denied = await open(await clientOn({ 'http://a': () => ({ status: 503, code: 'not-ready' }) }));
  for (const read of [
    await denied.account(holder),
    await denied.sync(),
    await denied.transaction(start.kind === 'genesis' ? start.hash : world.chain),
  ])
    assert.ok(!read.ok);
});
