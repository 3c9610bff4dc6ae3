import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { headerHash } from '@itc/core/ledger/block.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { millis } from '@itc/core/ledger/ids.js';
import type { LightItem } from '@itc/core/light/stream.js';
import { certify, type CertifiedBlock, type Group } from '@itc/core/testing/chain.js';
import { installNativeSha256, keyPair, verifyQuickly } from '@itc/core/testing/keys.js';
import { sliding } from '@itc/core/testing/light-streams.js';
import { fileLightStore } from './light-file.ts';
import { convicted, decodeKept, encodeKept, MemoryLightStore, SEEN_MAX } from './light-store.ts';
import type { LightStart } from './light-start.ts';
import { LightWallet, type LightWalletOptions } from './light-wallet.ts';
import { fakeGateway, fetchFrom, lightScene, someHash, type FakeGateway } from './testing/light-gateway.ts';

installNativeSha256();

const scene = lightScene([1, 2].map(sliding));
const { home } = scene;
const start: LightStart = { kind: 'genesis', hash: home.chain, document: encodeGenesis(home.genesis) };
const owner = keyPair(61).address;
const tipHeight = scene.tip.block.header.height;

async function walletOn(
  gateways: Readonly<Record<string, FakeGateway>>,
  o: Partial<LightWalletOptions> & { readonly start?: LightStart } = {},
): Promise<LightWallet> {
  const { start: begun = start, ...options } = o;
  const opened = await LightWallet.open(begun, {
    gateways: Object.keys(gateways),
    store: new MemoryLightStore(),
    random: (length) => new Uint8Array(length).fill(9),
    verify: verifyQuickly,
    fetch: fetchFrom(gateways),
    ...options,
  });
  assert.ok(opened.ok, opened.ok ? '' : opened.message);
  return opened.value;
}

/** A certified header at the height of the tip that is not the tip. */
function forkedTip(): CertifiedBlock {
  const { block } = scene.tip;
  const header = { ...block.header, time: millis(block.header.time + 1) };
  const validators = scene.chain.groups[header.epoch] as Group;
  return { block: { ...block, header }, certificate: certify({ chain: home.chain, validators, header }) };
}

test('CLIENT-14.1: a wallet starts from a genesis hash with its document, or from 149 bytes of checkpoint; nothing else will do', async () => {
  const a = fakeGateway(scene);
  const first = await walletOn({ 'http://a': a });
  assert.equal(first.height, 0);
  const synced = await first.sync();
  assert.ok(synced.ok && synced.value.isFresh);
  assert.equal(first.height, tipHeight);
  assert.deepEqual(
    [synced.value.height, synced.value.signers.length, synced.value.hops > 0],
    [tipHeight, 4, true],
  );
  assert.equal(a.asked.length, 1, 'one request');
  const pinned = await walletOn({ 'http://a': a }, { start: { kind: 'checkpoint', trust: first.trust } });
  const again = await pinned.sync();
  assert.ok(again.ok && again.value.hops === 0);
  assert.ok(equalBytes(pinned.chain, home.chain));

  const options = { gateways: ['http://a'], store: new MemoryLightStore(), random: () => new Uint8Array(32) };
  for (const wrong of [
    { ...start, hash: someHash(3) },
    { ...start, document: start.document.subarray(1) },
    { kind: 'checkpoint', trust: first.trust.subarray(1) },
  ] as const) {
    const opened = await LightWallet.open(wrong, options);
    assert.equal(opened.ok ? 'opened' : opened.code, 'other-chain');
  }
  await assert.rejects(LightWallet.open(start, { ...options, gateways: [] }), RangeError);
});

test('CLIENT-14.2: what is not shown is missing, what does not hold is untrue by its step, and the next gateway is asked', async () => {
  const omitting = await walletOn({ 'http://a': fakeGateway(scene, { omits: true }) });
  const omitted = await omitting.account(owner);
  assert.deepEqual([omitted.ok, omitted.ok ? '' : omitted.code], [false, 'missing']);

  const cut = fakeGateway(scene, { spoil: (bytes) => bytes.subarray(0, bytes.length - 3) });
  const faulty = await walletOn({ 'http://a': cut });
  const refused = await faulty.account(owner);
  assert.ok(!refused.ok && refused.code === 'untrue' && refused.check === 'format');
  assert.equal(faulty.height, 0, 'a refused answer moves nothing');

  const two = await walletOn({ 'http://a': cut, 'http://b': fakeGateway(scene) });
  const found = await two.account(owner);
  assert.ok(found.ok && found.value.gateway === 'http://b' && found.value.value?.balance === 5n);
  const late = await walletOn({ 'http://a': fakeGateway(scene, { isGone: true }) });
  const gone = await late.account(owner);
  assert.ok(!gone.ok && gone.code === 'unreachable');
});

test('CLIENT-14.2: attack a gateway changes any byte of its answer: no other value is ever returned for the account', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), async (at, by) => {
      const spoil = (bytes: Uint8Array): Uint8Array => {
        const copy = bytes.slice();
        const i = at % copy.length;
        copy[i] = (copy[i] as number) ^ by;
        return copy;
      };
      const wallet = await walletOn({ 'http://a': fakeGateway(scene, { spoil }) });
      const read = await wallet.account(owner);
      assert.ok(!read.ok, 'every byte matters');
      assert.equal(wallet.height, 0);
    }),
    { numRuns: 60 },
  );
});

test('CLIENT-14.3: trust and what was proved survive a restart in one write, and are shown with their age when nobody answers', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-light-'));
  try {
    const store = fileLightStore(join(folder, 'light'));
    const a = fakeGateway(scene);
    const wallet = await walletOn({ 'http://a': a }, { store });
    const read = await wallet.account(owner);
    assert.ok(read.ok);
    assert.ok((await wallet.payload(scene.payload.id)).ok);

    a.isGone = true;
    const later = await walletOn({ 'http://a': a }, { store });
    assert.equal(later.height, tipHeight);
    const offline = await later.account(owner);
    assert.ok(!offline.ok && offline.code === 'unreachable');
    assert.deepEqual(
      [offline.last?.value?.balance, offline.last?.height, offline.last?.time],
      [5n, read.value.height, read.value.time],
    );
    const reading = await later.payload(scene.payload.id);
    assert.ok(!reading.ok && equalBytes(reading.last?.value.payload.id as Uint8Array, scene.payload.id));
    const unknown = await later.account(keyPair(62).address);
    assert.ok(!unknown.ok && unknown.last === undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('CLIENT-14.3: what is kept has one encoding and a bound; unreadable, it is dropped; of another chain, refused', async () => {
  const store = new MemoryLightStore();
  const wallet = await walletOn({ 'http://a': fakeGateway(scene) }, { store });
  assert.ok((await wallet.account(owner)).ok);
  const bytes = (await store.read()) as Uint8Array;
  const kept = decodeKept(bytes);
  assert.ok(kept.ok && equalBytes(encodeKept(kept.value), bytes));
  assert.ok(kept.value.seen.length === 1 && SEEN_MAX === 64);

  const broken = await walletOn(
    {},
    { gateways: ['http://a'], store: new MemoryLightStore(bytes.subarray(5)) },
  );
  assert.equal(broken.height, 0);
  const other = bytes.slice();
  other[1] = (other[1] as number) ^ 1;
  const opened = await LightWallet.open(start, {
    gateways: ['http://a'],
    store: new MemoryLightStore(other),
    random: () => new Uint8Array(32),
  });
  assert.equal(opened.ok ? 'opened' : opened.code, 'other-chain');
});

test('CLIENT-14.4: records and their absence, final transactions and applied payloads are read under a certified header', async () => {
  const wallet = await walletOn({ 'http://a': fakeGateway(scene) });
  const account = await wallet.account(owner);
  assert.ok(account.ok && account.value.value?.balance === 5n && account.value.height === tipHeight);
  const device = await wallet.device(owner);
  assert.ok(device.ok && device.value.value === undefined, 'proved absent');

  const of = <K extends LightItem['kind']>(kind: K): Extract<LightItem, { kind: K }> =>
    scene.items.find((item): item is Extract<LightItem, { kind: K }> => item.kind === kind) as never;
  const transaction = await wallet.transaction(of('transaction').id);
  assert.ok(transaction.ok, transaction.ok ? '' : transaction.message);
  assert.equal(transaction.value.height, of('history').header.height);
  const applied = await wallet.applied(of('applied').id);
  assert.ok(applied.ok, applied.ok ? '' : applied.message);
  const missing = await wallet.transaction(someHash(1));
  assert.ok(!missing.ok && missing.code === 'missing');
});

test('CLIENT-14.5: a payload is proved with its signer and block, and the block lies in the history that is believed', async () => {
  const wallet = await walletOn({ 'http://a': fakeGateway(scene) });
  const found = await wallet.payload(scene.payload.id);
  assert.ok(found.ok, found.ok ? '' : found.message);
  assert.ok(equalBytes(found.value.value.device, keyPair(50).address));
  assert.deepEqual([found.value.height, found.value.signers.length], [tipHeight - 1, 4]);
  const another = await wallet.payload(someHash(1));
  assert.ok(!another.ok && another.code === 'untrue' && another.check === 'payload');
});

test('CLIENT-14.5: attack validators who left office make up a block: the believed history does not hold it', async () => {
  const forged = lightScene([1, 2].map(sliding), '[{"n":"t","v":99}]');
  const gateway = fakeGateway(scene, { readingProof: forged.readingProof });
  const refused = await (await walletOn({ 'http://a': gateway })).payload(forged.payload.id);
  assert.ok(!refused.ok && refused.code === 'untrue' && refused.check === 'history');
});

test('CLIENT-14.6: of two gateways the newest header counts, and who lags or fails is named', async () => {
  const below = scene.chain.builder.blocks.at(-3) as CertifiedBlock;
  const gateways = {
    'http://old': fakeGateway(scene, { newest: below }),
    'http://gone': fakeGateway(scene, { isGone: true }),
    'http://new': fakeGateway(scene),
  };
  const wallet = await walletOn(gateways);
  const synced = await wallet.sync();
  assert.ok(synced.ok && synced.value.height === tipHeight);
  assert.deepEqual(
    synced.value.gateways.map((report) => [report.kind, report.kind === 'behind' ? report.blocks : 0]),
    [
      ['behind', 2],
      ['failed', 0],
      ['agrees', 0],
    ],
  );
  // From now on the old one knows less than is believed.
  const old = await walletOn(
    { 'http://old': gateways['http://old'] },
    { start: { kind: 'checkpoint', trust: wallet.trust } },
  );
  const behind = await old.sync();
  assert.ok(!behind.ok && behind.code === 'behind');
});

test('CLIENT-14.7, CLIENT-14.9: attack two gateways show certified headers at one height: the trust stays, both are kept, and who signed both is named', async () => {
  const gateways = {
    'http://a': fakeGateway(scene),
    'http://b': fakeGateway(scene, { newest: forkedTip() }),
  };
  const store = new MemoryLightStore();
  const wallet = await walletOn(gateways, { store });
  const refused = await wallet.sync();
  assert.ok(!refused.ok && refused.code === 'conflict');
  assert.equal(wallet.height, 0);
  const [conflict] = wallet.conflicts;
  assert.ok(conflict !== undefined && conflict.height === tipHeight);
  assert.equal(convicted(conflict).length, 4);
  const reopened = await walletOn(gateways, { store });
  assert.equal(reopened.conflicts.length, 1);
  // CLIENT-14.9: all four who signed both are reported to whoever listens.
  assert.deepEqual(await reopened.report(), ['http://a', 'http://b']);
  assert.equal(gateways['http://a'].told.length, 4);
});

test('CLIENT-14.7: attack a later header than the believed one contradicts it: by its history, or at the same height', async () => {
  const a = fakeGateway(scene);
  const wallet = await walletOn({ 'http://a': a });
  assert.ok((await wallet.sync()).ok);
  a.newest = forkedTip();
  const read = await wallet.account(owner);
  assert.ok(!read.ok && read.code === 'conflict');
  assert.equal(wallet.conflicts.length, 1);
  assert.equal(convicted(wallet.conflicts[0] as (typeof wallet.conflicts)[0]).length, 4);

  // Another chain of the same validators: its tip lies higher, and its history holds another block at the first one's height.
  const other = lightScene([1, 2].map(sliding), '[{"n":"t","v":99}]');
  const below = scene.chain.builder.blocks.at(-2) as CertifiedBlock;
  const two = await walletOn({
    'http://a': fakeGateway(scene, { newest: below }),
    'http://b': fakeGateway(other),
  });
  const refused = await two.sync();
  assert.ok(!refused.ok && refused.code === 'conflict');
  const [fork] = two.conflicts;
  assert.ok(fork?.earlier !== undefined && fork.first !== undefined);
  assert.ok(!equalBytes(headerHash(fork.earlier), headerHash(fork.first.header)));
});

test('CLIENT-14.8: within the trusting period of its clock a wallet asks for the hops of one third, otherwise of two', async () => {
  const a = fakeGateway(scene);
  const since = home.genesis.time;
  for (const [now, thirds] of [
    [since + 999, '1'],
    [since + 1_000, '2'],
  ] as const) {
    const wallet = await walletOn({ 'http://a': a }, { now: () => now, trustingMs: 1_000 });
    await wallet.sync();
    assert.equal(new URL(a.asked.at(-1) as string).searchParams.get('thirds'), thirds);
  }
});

test('CLIENT-14.10: after months away an answer may lead a part of the way: the wallet goes on from there, and reads what it was asked for', async () => {
  const stopsAt = scene.chain.first[1] as CertifiedBlock;
  const gateway = fakeGateway(scene, { stopsAt });
  const synced = await (await walletOn({ 'http://a': gateway })).sync();
  assert.ok(synced.ok && synced.value.height === tipHeight && synced.value.isFresh);
  assert.equal(gateway.asked.length, 2);
  const account = await (await walletOn({ 'http://a': gateway })).account(owner);
  assert.ok(account.ok && account.value.value?.balance === 5n && account.value.height === tipHeight);
});
