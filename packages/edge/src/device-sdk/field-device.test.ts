import { test } from 'node:test';
import assert from 'node:assert/strict';
import { toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { StateTree } from '@itc/core/crypto/state-tree.js';
import { encodeCommand } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { accessKeys } from '@itc/core/light/stream-access.js';
import { UseCounts } from '@itc/core/light/use-counts.js';
import { encodeLightStream, type LightItem } from '@itc/core/light/stream.js';
import { advanceTrust, encodeTrust, trustGenesis } from '@itc/core/light/trust.js';
import { deviceKey, grantKey, stateKeyHash, type StateKey } from '@itc/core/state/keys.js';
import { encodeRecord } from '@itc/core/state/records.js';
import { ChainBuilder, signedPayload, world } from '@itc/core/testing/chain.js';
import { grantBy, ownedDevice } from '@itc/core/testing/devices.js';
import {
  installNativeSha256,
  keyPair,
  rememberingVerifier,
  verifyQuickly,
  type KeyPair,
} from '@itc/core/testing/keys.js';
import { EpochChain } from '@itc/core/testing/epochs.js';
import { encodedStream, sliding, streamWorld } from '@itc/core/testing/light-streams.js';
import { signerOf } from '../testing/device-signer.ts';
import { FlashChip, PowerCut } from '../testing/flash-chip.ts';
import { FieldDevice } from './field-device.ts';
import { KeptRecord } from './kept-record.ts';
import { proveBatchReading, verifyBatchReading } from './reading-batch.ts';

installNativeSha256();

const home = world();
const lamp = keyPair(60);
const owner = keyPair(61);
const guest = keyPair(62);
const verify = rememberingVerifier(verifyQuickly);
const genesisTrust = encodeTrust(trustGenesis(home.genesis));

const newChip = (): FlashChip => new FlashChip({ sectorBytes: 4096, sectors: 20, unitBytes: 4 });

let elapsed = 0;
const start = (flash: FlashChip): FieldDevice =>
  new FieldDevice({
    flash,
    chain: home.chain,
    signer: signerOf(lamp),
    trust: genesisTrust,
    verify,
    policy: 'drop-oldest',
    monotonicMs: () => elapsed,
  });

const serial = 5;

/** A certified state in which the lamp has its owner, and a guest may switch it three times. */
const records: readonly (readonly [StateKey, Uint8Array])[] = [
  [
    deviceKey(lamp.address),
    encodeRecord('device', ownedDevice({ key: lamp.key, owner: owner.address, at: home.genesis.time })),
  ],
  [
    grantKey(lamp.address, guest.address),
    encodeRecord('grant', grantBy(owner.address, home.genesis.time, { uses: 3, serial })),
  ],
];
const tree = StateTree.empty.update(records.map(([key, value]) => ({ key: stateKeyHash(key), value })));
const { block, certificate } = new ChainBuilder(home).append([], { stateRoot: tree.root });
const itemsFor = (subject: KeyPair): LightItem[] =>
  accessKeys({
    device: lamp.address,
    owner: owner.address,
    subject: subject.address,
    ...(subject !== owner && { path: { granters: [] } }),
  }).map((key) => {
    const value = records.find(([known]) => toHex(known) === toHex(key))?.[1];
    return { kind: 'state', key, ...(value && { value }), proof: tree.prove(stateKeyHash(key)) };
  });
const streamFor = (subject: KeyPair): Uint8Array =>
  encodeLightStream({
    trusted: home.validators.set,
    hops: [],
    header: block.header,
    certificate,
    items: itemsFor(subject),
  });
const commandOf = (sequence: number, by = owner, notAfter: number = block.header.time + 60_000): Uint8Array =>
  signedPayload(home.chain, by, {
    device: lamp.address,
    contentType: 'command',
    content: encodeCommand({
      device: lamp.address,
      action: { kind: 'on' },
      notAfter: millis(notAfter),
    }),
    sequence,
  }).bytes;
const obey = (device: FieldDevice, sequence: number, by = owner): ReturnType<FieldDevice['obey']> =>
  device.obey({ command: commandOf(sequence, by), stream: streamFor(by) });
const offer = (device: FieldDevice, countMax: number): ReturnType<FieldDevice['offer']> =>
  device.offer({ countMax, bytesMax: 1_000 });

test('DEVICE-4.1: readings wait over a restart, leave oldest first under one signature, and are gone when delivered', () => {
  const chip = newChip();
  const before = start(chip);
  for (let i = 0; i < 20; i += 1) assert.equal(before.store(utf8Encode(`reading ${i}`)), 'stored');
  const device = start(chip);
  const batch = offer(device, 16);
  assert.ok(batch);
  assert.equal(batch.readings.length, 16);
  const proven = verifyBatchReading({ chain: home.chain, proof: proveBatchReading(batch, 15), verify });
  assert.ok(proven.ok);
  assert.deepEqual(proven.value.reading, utf8Encode('reading 15'));
  device.delivered(batch);
  const again = offer(start(chip), 16);
  assert.deepEqual(
    again?.readings,
    [16, 17, 18, 19].map((i) => utf8Encode(`reading ${i}`)),
  );
  assert.ok(again.sequence > batch.sequence);
});

test('DEVICE-4.1, DEVICE-4.5: cut off before it knows of the delivery, the device sends again under another number', () => {
  const chip = newChip();
  const device = start(chip);
  device.store(utf8Encode('one'));
  device.store(utf8Encode('two'));
  const batch = offer(device, 2);
  assert.ok(batch);
  chip.cutAfter(0);
  assert.throws(() => device.delivered(batch), PowerCut);
  chip.powerOn();
  const again = offer(start(chip), 2);
  // A mark with any bit cleared is one; what is left is one reading, and is sent as it is.
  assert.ok(again);
  assert.deepEqual([again.readings, again.entries.length], [[], 1]);
  const parsed = parsePayload(home.chain, again.payload);
  assert.deepEqual(parsed.ok && parsed.value.content, utf8Encode('two'));
  assert.ok(again.sequence > batch.sequence);
});

test('DEVICE-4.3: cut off at any byte while it obeys, it obeys a command once or not at all, and moves its trust on', () => {
  const whole = newChip();
  const device = start(whole);
  const from = whole.touched;
  assert.equal(obey(device, 1).kind, 'accepted');
  const total = whole.touched - from;
  // A sector is erased at first; every byte of what is written, and every hundredth of an erasure.
  for (let cut = 0; cut < total; cut += cut % 4096 < 1000 ? 29 : 401) {
    const chip = newChip();
    const first = start(chip);
    chip.cutAfter(cut);
    assert.throws(() => obey(first, 1), PowerCut);
    chip.powerOn();
    const second = start(chip);
    const verdict = obey(second, 1);
    assert.ok(
      verdict.kind === 'accepted' || (verdict.kind === 'refused' && verdict.reason === 'replayed'),
      `cut at ${cut}: ${verdict.kind}`,
    );
    assert.equal(obey(second, 2).kind, 'accepted');
    assert.deepEqual(start(chip).trust, second.trust);
  }
});

test('DEVICE-4.3: what was obeyed is not obeyed again after a restart, and a worn flash obeys nobody', () => {
  const chip = newChip();
  assert.equal(obey(start(chip), 5).kind, 'accepted');
  const after = obey(start(chip), 5);
  assert.ok(after.kind === 'refused' && after.reason === 'replayed');

  const worn = newChip();
  const device = start(worn);
  worn.program = () => {};
  assert.equal(obey(device, 1).kind, 'not-durable');
});

test('DEVICE-4.2: a stream moves trust at once, over epochs, and it is durable with the epoch; its root is known', () => {
  const of = streamWorld([1, 2, 3].map(sliding));
  const { trust, stream } = encodedStream(of);
  const chip = newChip();
  const open = (): FieldDevice =>
    new FieldDevice({
      flash: chip,
      chain: of.home.chain,
      signer: signerOf(lamp),
      trust,
      verify,
      policy: 'thin-out',
      monotonicMs: () => elapsed,
    });
  const device = open();
  const reader = device.reader(new Uint8Array(32).fill(7));
  for (const event of reader.push(stream)) if (event.kind === 'believed') device.believe(event);
  assert.ok(reader.isDone);
  const { header } = of.tip.block;
  assert.equal(device.heightOf(header.stateRoot), header.height);
  assert.deepEqual(open().trust, device.trust);
  assert.equal(open().heightOf(header.stateRoot), header.height);
});

test('DEVICE-1.6: of headers a second apart one root a minute is kept, and of those a minute apart all', () => {
  const builder = new ChainBuilder(home);
  const root = (n: number): Hash => asHash(new Uint8Array(32).fill(n));
  const headers = Array.from({ length: 121 }, (_, i) => builder.append([], { stateRoot: root(i + 1) }));
  const device = start(newChip());
  for (const { block: at, certificate: by } of headers) {
    const advanced = advanceTrust(trustGenesis(home.genesis), { header: at.header, certificate: by, verify });
    assert.ok(advanced.ok);
    device.believe({ trust: encodeTrust(advanced.value) });
  }
  const known = headers
    .map(({ block: at }) => at.header.height)
    .filter((n) => device.heightOf(root(n)) === n);
  assert.deepEqual(known, [1, 61, 121]);
});

test('DEVICE-1.7: time is the chain’s, never goes back, and after a loss of power begins where trust was kept', () => {
  const chip = newChip();
  elapsed = 0;
  const device = start(chip);
  assert.deepEqual(device.now(), { time: home.genesis.time, isSure: false });
  // A counter that runs far too fast.
  elapsed = 50_000;
  const ahead = device.now().time;
  assert.equal(ahead, home.genesis.time + 50_000);
  obey(device, 1);
  elapsed += 5;
  const after = device.now();
  assert.ok(after.isSure);
  assert.equal(after.time, ahead);
  elapsed += 2_000_000;
  assert.ok(device.now().time > ahead);
  assert.deepEqual(start(chip).now(), { time: block.header.time, isSure: false });
});

test('DEVICE-4.3: cut off at any byte while it obeys a grant that is counted, no count is lost and none goes back', () => {
  /** As the flash has it: the record behind trust and windows. */
  const used = (chip: FlashChip): number => {
    const kept = new KeptRecord(chip, 4).read();
    const counts = kept && UseCounts.decode(kept);
    return counts?.ok === true ? counts.value.used(serial) : 0;
  };
  const before = newChip();
  assert.equal(obey(start(before), 1, guest).kind, 'accepted');
  const whole = before.copy();
  const device = start(whole);
  const from = whole.touched;
  assert.equal(obey(device, 2, guest).kind, 'accepted');
  const total = whole.touched - from;
  assert.equal(used(whole), 2);
  for (let cut = 0; cut < total; cut += 1) {
    const chip = before.copy();
    const first = start(chip);
    chip.cutAfter(cut);
    assert.throws(() => obey(first, 2, guest), PowerCut);
    chip.powerOn();
    const atStart = used(chip);
    assert.ok(atStart === 1 || atStart === 2, `cut at ${cut}: ${atStart}`);
    const again = obey(start(chip), 2, guest);
    const isReplayed = again.kind === 'refused' && again.reason === 'replayed';
    assert.ok(again.kind === 'accepted' || isReplayed, `cut at ${cut}: ${again.kind}`);
    // Counted is at least what was obeyed, and a command obeyed after all is one more.
    assert.equal(used(chip), again.kind === 'accepted' ? atStart + 1 : atStart, `cut at ${cut}`);
  }
});

test('DEVICE-4.3: what the application decides is durable with the command, and its refusal is the answer', () => {
  const chip = newChip();
  const device = start(chip);
  const asked = { command: commandOf(1), stream: streamFor(owner) };
  const refused = device.obey({ ...asked, decide: () => ({ kind: 'refuse', reason: 'not-begun' }) });
  assert.ok(refused.kind === 'refused' && refused.reason === 'not-begun');
  assert.equal(device.own(), undefined);
  const own = utf8Encode('on');
  const command = commandOf(2);
  const taken = device.obey({ ...asked, command, decide: () => ({ kind: 'go', own }) });
  assert.equal(taken.kind, 'accepted');
  assert.deepEqual(start(chip).own(), own);
});

for (const slept of [1, 10, 30])
  test(`DEVICE-4.4: a device that slept through ${slept} epochs obeys its owner after one answer, and replays of before stay refused`, () => {
    const chain = new EpochChain(
      home,
      Array.from({ length: slept }, (_, i) => sliding(i + 1)),
    );
    // What it obeyed before it went to sleep.
    const chip = newChip();
    assert.equal(obey(start(chip), 7).kind, 'accepted');
    const tip = chain.append([], { stateRoot: tree.root });
    assert.equal(tip.block.header.epoch, slept);
    const stream = encodeLightStream({
      trusted: home.validators.set,
      hops: chain.hopsTo(tip),
      header: tip.block.header,
      certificate: tip.certificate,
      items: itemsFor(owner),
    });
    const device = start(chip);
    const later = { stream, command: commandOf(8, owner, tip.block.header.time + 60_000) };
    const verdict = device.obey(later);
    assert.equal(verdict.kind, 'accepted', verdict.kind === 'refused' ? verdict.message : '');
    assert.equal(device.epoch, slept);
    const replayed = device.obey({ ...later, command: commandOf(7, owner, tip.block.header.time + 60_000) });
    assert.ok(replayed.kind === 'refused' && replayed.reason === 'replayed');
    // From the epoch it was in nothing leads on any more, and nothing leads back.
    const old = start(chip).obey({
      stream: streamFor(owner),
      command: commandOf(9, owner, tip.block.header.time + 60_000),
    });
    assert.ok(old.kind === 'refused' && old.unfollowed === 'trusted-set');
    assert.equal(start(chip).epoch, slept);
  });

test('DEVICE-4.4: attack: a stream of a past state does not bring back what was revoked', () => {
  const chip = newChip();
  const device = start(chip);
  const builder = new ChainBuilder(home);
  builder.append([], { stateRoot: tree.root });
  const without = StateTree.empty.update(
    records.slice(0, 1).map(([key, value]) => ({ key: stateKeyHash(key), value })),
  );
  const later = builder.append([], { stateRoot: without.root });
  const news = encodeLightStream({
    trusted: home.validators.set,
    hops: [],
    header: later.block.header,
    certificate: later.certificate,
    items: [],
  });
  assert.ok(device.follow(news).ok);
  const verdict = device.obey({ command: commandOf(1, guest), stream: streamFor(guest) });
  assert.ok(verdict.kind === 'refused' && verdict.reason === 'stale-proof');
});
