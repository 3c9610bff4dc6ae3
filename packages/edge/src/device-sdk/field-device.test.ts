import { test } from 'node:test';
import assert from 'node:assert/strict';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { StateTree } from '@itc/core/crypto/state-tree.js';
import { encodeCommand } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import { proveAccess } from '@itc/core/light/access-proof.js';
import { advanceTrust, encodeTrust, trustGenesis } from '@itc/core/light/trust.js';
import { deviceKey, stateKeyHash } from '@itc/core/state/keys.js';
import { encodeRecord } from '@itc/core/state/records.js';
import { ChainBuilder, signedPayload, world } from '@itc/core/testing/chain.js';
import { ownedDevice } from '@itc/core/testing/devices.js';
import { installNativeSha256, keyPair, rememberingVerifier, verifyQuickly } from '@itc/core/testing/keys.js';
import { encodedStream, sliding, streamWorld } from '@itc/core/testing/light-streams.js';
import { signerOf } from '../testing/device-signer.ts';
import { FlashChip, PowerCut } from '../testing/flash-chip.ts';
import { FieldDevice } from './field-device.ts';
import { proveBatchReading, verifyBatchReading } from './reading-batch.ts';

installNativeSha256();

const home = world();
const lamp = keyPair(60);
const owner = keyPair(61);
const verify = rememberingVerifier(verifyQuickly);
const genesisTrust = encodeTrust(trustGenesis(home.genesis));

const newChip = (): FlashChip => new FlashChip({ sectorBytes: 4096, sectors: 16, unitBytes: 4 });

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

/** A certified state in which the lamp has its owner. */
const tree = StateTree.empty.update([
  {
    key: stateKeyHash(deviceKey(lamp.address)),
    value: encodeRecord(
      'device',
      ownedDevice({ key: lamp.key, owner: owner.address, at: home.genesis.time }),
    ),
  },
]);
const { block, certificate } = new ChainBuilder(home).append([], { stateRoot: tree.root });
const access = proveAccess({
  tree,
  header: block.header,
  certificate,
  device: lamp.address,
  subject: owner.address,
});
assert.ok(access);
const commandOf = (sequence: number): Uint8Array =>
  signedPayload(home.chain, owner, {
    device: lamp.address,
    contentType: 'command',
    content: encodeCommand({
      device: lamp.address,
      action: { kind: 'on' },
      notAfter: millis(block.header.time + 60_000),
    }),
    sequence,
  }).bytes;
const obey = (device: FieldDevice, sequence: number): ReturnType<FieldDevice['obey']> =>
  device.obey({ command: commandOf(sequence), access, validators: home.validators.set });

test('DEVICE-4.1: readings wait over a restart, leave oldest first under one signature, and are gone when delivered', () => {
  const chip = newChip();
  const before = start(chip);
  for (let i = 0; i < 20; i += 1) assert.equal(before.store(utf8Encode(`reading ${i}`)), 'stored');
  const device = start(chip);
  const batch = device.batch(16, 1000);
  assert.ok(batch);
  assert.equal(batch.readings.length, 16);
  const proven = verifyBatchReading({ chain: home.chain, proof: proveBatchReading(batch, 15), verify });
  assert.ok(proven.ok);
  assert.deepEqual(proven.value.reading, utf8Encode('reading 15'));
  device.delivered(batch);
  const again = start(chip).batch(16, 1000);
  assert.deepEqual(
    again?.readings,
    [16, 17, 18, 19].map((i) => utf8Encode(`reading ${i}`)),
  );
  assert.ok(again.sequence > batch.sequence);
});

test('DEVICE-4.1: cut off before it knows of the delivery, the device sends again under another number', () => {
  const chip = newChip();
  const device = start(chip);
  device.store(utf8Encode('one'));
  device.store(utf8Encode('two'));
  const batch = device.batch(2, 1000);
  assert.ok(batch);
  chip.cutAfter(0);
  assert.throws(() => device.delivered(batch), PowerCut);
  chip.powerOn();
  const again = start(chip).batch(2, 1000);
  // A mark with any bit cleared is one.
  assert.deepEqual(again?.readings, [utf8Encode('two')]);
  assert.ok(again.sequence > batch.sequence);
});

test('DEVICE-4.3: cut off at any byte while it obeys, it obeys a command once or not at all, and moves its trust on', () => {
  const whole = newChip();
  const device = start(whole);
  const from = whole.touched;
  assert.equal(obey(device, 1).kind, 'accepted');
  const total = whole.touched - from;
  // A sector is erased at first; every byte of what is written, and every hundredth of an erasure.
  for (let cut = 0; cut < total; cut += cut % 4096 < 1000 ? 13 : 211) {
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
    const { height, time } = at.header;
    device.believe({ kind: 'believed', trust: encodeTrust(advanced.value), height, time, hops: 0 });
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
