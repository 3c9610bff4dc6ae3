import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { decodeAttestation, type Attestation } from '@itc/core/ledger/firmware.js';
import { millis } from '@itc/core/ledger/ids.js';
import { encodeFirmwareProof, proveFirmware } from '@itc/core/light/firmware-proof.js';
import { ChainBuilder, world } from '@itc/core/testing/chain.js';
import { BOARD, FirmwareWorld, maker, MODEL, releasers, version } from '@itc/core/testing/firmware.js';
import { verifyQuickly } from '@itc/core/testing/keys.js';
import { person } from '@itc/core/testing/state-world.js';
import { FirmwareRun, type FirmwareRunOptions } from './firmware-run.ts';
import { MemoryStore } from './store.ts';

const IMAGE = utf8Encode('image 1.1.0');
const BAD = utf8Encode('does not boot');

/** A product line on a chain, and one device of it. */
class Bench {
  readonly of = world();
  /** Its ledger is years younger than the chain that certifies it. */
  readonly w = new FirmwareWorld();
  readonly chain = new ChainBuilder(this.of);
  readonly store = new MemoryStore();
  readonly said: Attestation[] = [];
  isIdle = true;
  isConnected = true;
  images: readonly Uint8Array[] = [IMAGE, BAD];
  fetched = 0;

  constructor() {
    this.w.accept(maker, this.w.create(this.w.form({ expiresAt: millis(Number.MAX_SAFE_INTEGER) })));
  }

  publish(number: number, image: Uint8Array, o: { share?: number; counter?: number } = {}): void {
    const form = {
      image: sha256(image),
      size: image.length,
      version: version(1, number),
      counter: o.counter ?? 0,
    };
    this.w.accept(maker, this.w.release({ number, ...form }));
    this.w.accept(maker, this.w.rollOut(number, { share: o.share ?? 10_000 }));
  }

  proof(): Uint8Array {
    const { state } = this.w;
    const { block, certificate } = this.chain.append([], { stateRoot: state.root });
    const linked = { hops: [], header: block.header, certificate };
    const proof = proveFirmware({ ...linked, tree: state.tree, channel: this.w.channel });
    assert.ok(proof);
    return encodeFirmwareProof(proof);
  }

  run(changes: Partial<FirmwareRunOptions> = {}): Promise<FirmwareRun> {
    return FirmwareRun.open({
      genesis: this.of.genesis,
      device: person('lamp').address,
      channel: this.w.channel,
      model: MODEL,
      board: BOARD,
      version: version(1),
      store: this.store,
      verify: verifyQuickly,
      proof: () => Promise.resolve(this.proof()),
      image: (hash) => {
        this.fetched += 1;
        return Promise.resolve(this.images.find((one) => Buffer.compare(sha256(one), hash) === 0));
      },
      isIdle: () => this.isIdle,
      passes: (image) => image !== BAD,
      attest: (content) => {
        const read = decodeAttestation(content);
        assert.ok(read.ok);
        if (this.isConnected) this.said.push(read.value);
        return Promise.resolve(this.isConnected);
      },
      now: () => millis(0),
      log: { info: () => {}, warn: () => {}, error: () => {} },
      ...changes,
    });
  }
}

test('EDGE-14.2: a device installs what it has judged itself, when nobody would notice, once, and says so', async () => {
  const b = new Bench();
  const run = await b.run();
  await run.look();
  assert.equal(run.version, '1.0.0', 'there is nothing to install');
  b.publish(1, IMAGE);
  b.isIdle = false;
  for (let i = 0; i < 3; i += 1) await run.look();
  assert.deepEqual([run.version, b.fetched, b.said], ['1.0.0', 1, []], 'it is in use; the image waits');
  b.isIdle = true;
  await run.look();
  assert.equal(run.version, '1.1.0');
  const [said] = b.said;
  assert.deepEqual([said?.outcome, said?.number, said?.measurement], ['installed', 1, sha256(IMAGE)]);
  await run.look();
  const again = await b.run();
  await again.look();
  assert.deepEqual([again.version, b.said.length, b.fetched], ['1.1.0', 1, 1]);
});

test('EDGE-14.2: what a gateway did not take is said again, after a restart too', async () => {
  const b = new Bench();
  b.publish(1, IMAGE);
  b.isConnected = false;
  await (await b.run()).look();
  assert.deepEqual(b.said, []);
  b.isConnected = true;
  await (await b.run()).look();
  assert.equal(b.said.length, 1);
});

test('EDGE-14.2: an image that fails its own test is left, is not tried again, and that is said; a later one is tried', async () => {
  const b = new Bench();
  b.publish(1, BAD);
  const run = await b.run();
  for (let i = 0; i < 3; i += 1) await run.look();
  assert.equal(run.version, '1.0.0');
  assert.deepEqual(
    b.said.map(({ outcome, version: runs }) => [outcome, runs]),
    [['failed', version(1)]],
  );
  b.publish(2, IMAGE);
  await run.look();
  assert.deepEqual([run.version, b.said.at(-1)?.outcome], ['1.2.0', 'installed']);
});

test('EDGE-14.2: halted, outside of the share, another image than the one released, a chain of somebody else: nothing is installed', async () => {
  const halted = new Bench();
  halted.publish(1, IMAGE);
  halted.w.accept(maker, halted.w.rollOut(1, { halted: true, by: releasers.slice(0, 1) }));
  const none = new Bench();
  none.publish(1, IMAGE, { share: 0 });
  const swapped = new Bench();
  swapped.publish(1, IMAGE);
  const strange = new Bench();
  strange.publish(1, IMAGE);
  const runs = [
    await halted.run(),
    await none.run(),
    await swapped.run({ image: () => Promise.resolve(BAD) }),
    await strange.run({ verify: () => false }),
    await strange.run({ proof: () => Promise.resolve(Uint8Array.of(9)) }),
    await strange.run({ proof: () => Promise.reject(new Error('no gateway')) }),
  ];
  for (const run of runs) {
    await run.look();
    assert.equal(run.version, '1.0.0');
  }
  halted.w.accept(maker, halted.w.rollOut(1, {}));
  await runs[0]?.look();
  assert.equal(runs[0]?.version, '1.1.0', 'resumed, it is');
});

test('EDGE-14.2: what is released below the security counter of what runs is not installed', async () => {
  const b = new Bench();
  b.publish(1, IMAGE, { counter: 7 });
  const run = await b.run();
  await run.look();
  // A line whose ledger forgot: another device of it, with the counter this one has seen, would go back.
  const older = new Bench();
  older.publish(1, IMAGE, { counter: 0 });
  older.publish(2, IMAGE, { counter: 0 });
  const back = await older.run({ store: b.store });
  await back.look();
  assert.equal(back.version, '1.1.0');
});
