import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { KeyPrefix } from '@itc/core/crypto/state-tree.js';
import { chunkPrefixes, decodeChunk, verifyChunk } from '@itc/core/state/snapshot.js';
import { person } from '@itc/core/testing/state-world.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { MemoryHub, MemoryTransport } from '../network/memory-transport.ts';
import { SeededRandom } from '../random.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { GrownChain } from '../testing/grown-chain.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { CHANNELS } from './channels.ts';
import { SnapshotServer } from './snapshot-server.ts';
import {
  decodeAnswer,
  decodeManifests,
  encodeRequest,
  type Numbered,
  type SyncAnswer,
  type SyncRequest,
} from './state-sync-messages.ts';

installNativeCrypto();

const WHOLE: KeyPrefix = { depth: 0, bits: new Uint8Array(0) };

/** A chain, its server, and one process that asks. */
class World {
  readonly grown: GrownChain;
  readonly server: SnapshotServer;
  readonly clock: ManualClock;
  readonly answers: Numbered<SyncAnswer>[] = [];
  readonly #hub = new MemoryHub();
  readonly #reader: MemoryTransport;
  readonly #serving: MemoryTransport;
  readonly blamed: string[] = [];
  #number = 0;

  private constructor(grown: GrownChain, bytesPerSecond: number) {
    this.grown = grown;
    this.clock = new ManualClock();
    this.#serving = new MemoryTransport(this.#hub, { key: person('server').key, role: 'validator' });
    this.#reader = new MemoryTransport(this.#hub, { key: person('reader').key, role: 'validator' });
    this.#serving.open({ ...CHANNELS.stateReply, receive: () => undefined });
    this.server = new SnapshotServer({
      chain: grown.chain,
      transport: this.#serving,
      clock: this.clock,
      blame: (_, message) => this.blamed.push(message),
      bytesPerSecond,
    });
    this.#reader.open({ ...CHANNELS.stateRequest, receive: () => undefined });
    this.#reader.open({
      ...CHANNELS.stateReply,
      receive: (_, bytes) => {
        const answer = decodeAnswer(bytes.slice());
        assert.ok(answer.ok);
        this.answers.push(answer.value);
      },
    });
  }

  static async open(bytesPerSecond = 1 << 20): Promise<World> {
    const grown = await GrownChain.open({
      disk: new MemoryDisk(),
      folder: '/blocks',
      tables: new MemoryTables(),
      random: new SeededRandom(1),
    });
    await grown.grow(1, grown.payments(1_500));
    const world = new World(grown, bytesPerSecond);
    await world.#serving.start();
    await world.#reader.start();
    return world;
  }

  /** More processes that ask. */
  async crowd(
    count: number,
  ): Promise<{ readonly send: (request: SyncRequest) => void; readonly answers: () => number }[]> {
    const readers = [];
    for (let i = 0; i < count; i += 1) {
      const transport = new MemoryTransport(this.#hub, { key: person(`crowd ${i}`).key, role: 'validator' });
      let answers = 0;
      transport.open({ ...CHANNELS.stateRequest, receive: () => undefined });
      transport.open({ ...CHANNELS.stateReply, receive: () => (answers += 1) });
      await transport.start();
      const send = (content: SyncRequest): void => {
        const bytes = encodeRequest({ number: 1, content });
        transport.send(this.#serving.self, CHANNELS.stateRequest.number, bytes);
      };
      readers.push({ send, answers: () => answers });
    }
    return readers;
  }

  /** The chain reaches a height; every checkpoint becomes stable as soon as it is executed. */
  async growTo(to: number): Promise<void> {
    while (this.grown.chain.height < to) {
      const { height } = this.grown.chain;
      const next = Math.min(to, (Math.floor(height / 32) + 1) * 32);
      await this.grown.grow(next - height);
      if (next % 32 === 0) this.server.noteStable(this.grown.stable(next));
    }
  }

  send(request: SyncRequest): void {
    this.#number += 1;
    this.sendRaw(encodeRequest({ number: this.#number, content: request }));
  }

  sendRaw(bytes: Uint8Array): void {
    this.#reader.send(this.#serving.self, CHANNELS.stateRequest.number, bytes);
  }

  async ask(request: SyncRequest): Promise<SyncAnswer | undefined> {
    this.send(request);
    await settled();
    const last = this.answers.at(-1);
    return last?.number === this.#number ? last.content : undefined;
  }
}

/** Everything sent has arrived. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('SNAPSHOT-6: an anchor is offered when the chain is a pipeline depth above it, and the newest two are', async () => {
  const world = await World.open();
  await world.growTo(32);
  assert.deepEqual(world.server.anchors, []);
  await world.growTo(36);
  assert.deepEqual(world.server.anchors, [32]);
  await world.growTo(150);
  assert.deepEqual(world.server.anchors, [96, 128]);
});

test('SNAPSHOT-6: a state that is being fetched is held while the chain moves on, and what is held is bounded', async () => {
  const world = await World.open(1 << 30);
  await world.growTo(70);
  const manifests = await world.ask({ kind: 'manifests' });
  assert.ok(manifests?.kind === 'piece');
  const decoded = decodeManifests(manifests.body);
  assert.ok(decoded.ok);
  const manifest = decoded.value.find(({ anchor }) => anchor.height === 64);
  assert.ok(manifest);
  const prefixes = chunkPrefixes(manifest.depths);
  assert.ok(prefixes && prefixes.length > 1);
  for (const [i, prefix] of prefixes.entries()) {
    const chunk = await world.ask({ kind: 'chunk', height: 64, prefix });
    assert.ok(chunk?.kind === 'piece');
    const read = decodeChunk(chunk.body);
    // Every piece is of the same state, whatever was executed meanwhile.
    assert.ok(read.ok && verifyChunk(manifest.anchor.stateRoot, read.value));
    await world.grown.grow(1, world.grown.payments(5));
    await world.growTo(world.grown.chain.height + 40);
    assert.ok(world.server.anchors.includes(64), `after chunk ${i}`);
  }
  assert.ok(!equalBytes(manifest.anchor.stateRoot, world.grown.chain.state.root));
  // Others are read from as well: two beside the newest two are the bound.
  for (let round = 0; round < 4; round += 1) {
    for (const height of world.server.anchors) await world.ask({ kind: 'block', height });
    await world.growTo(world.grown.chain.height + 32);
    assert.ok(world.server.anchors.length <= 4);
  }
});

test('SNAPSHOT-6: a state nobody has asked for in two minutes, or that is held for half an hour, goes', async () => {
  const world = await World.open();
  await world.growTo(70);
  assert.equal((await world.ask({ kind: 'block', height: 64 }))?.kind, 'piece');
  await world.growTo(140);
  assert.ok(world.server.anchors.includes(64));
  world.clock.advance(121_000);
  await world.growTo(141);
  assert.ok(!world.server.anchors.includes(64));
  assert.deepEqual(await world.ask({ kind: 'block', height: 64 }), { kind: 'unknown' });

  const held = 128;
  for (let minute = 0; minute <= 31; minute += 1) {
    await world.ask({ kind: 'block', height: held });
    world.clock.advance(60_000);
    await world.growTo(world.grown.chain.height + 4);
  }
  assert.ok(!world.server.anchors.includes(held));
});

test('SNAPSHOT-6: a peer gets its bytes per second and no more; who asks again before the answer is not answered twice', async () => {
  const rate = 64 << 10;
  const world = await World.open(rate);
  await world.growTo(40);
  const [prefix] = chunkPrefixes(Uint8Array.of(1, 1)) ?? [];
  assert.ok(prefix);
  world.send({ kind: 'chunk', height: 32, prefix });
  await settled();
  // A second's worth goes at once, then the answer waits for what it costs.
  const before = world.answers.length;
  for (let i = 0; i < 10; i += 1) world.send({ kind: 'chunk', height: 32, prefix });
  await settled();
  const atOnce = world.answers.length;
  assert.ok(atOnce - before <= 1, String(atOnce));
  world.clock.advance(10_000);
  await settled();
  assert.ok(world.answers.length <= atOnce + 1);
  const [first] = world.answers;
  assert.ok(first?.content.kind === 'piece' && first.content.body.length > rate / 2);
});

test('SNAPSHOT-6: requests without bytes in their answers are rationed, too', async () => {
  const world = await World.open(1 << 20);
  await world.growTo(40);
  for (let i = 0; i < 500; i += 1) {
    world.send({ kind: 'chunk', height: 999, prefix: WHOLE });
    if (i % 50 === 0) await settled();
  }
  await settled();
  assert.ok(world.answers.length < 70, String(world.answers.length));
});

test('SNAPSHOT-6: a crowd that rejoins gets four times what one peer gets, however many they are', async () => {
  const rate = 64 << 10;
  const world = await World.open(rate);
  await world.growTo(40);
  const crowd = await world.crowd(20);
  for (const reader of crowd) reader.send({ kind: 'block', height: 32 });
  await settled();
  // Each request counts as 16 KiB, so that sixteen are what all get in the first second, and every peer's own is enough.
  const served = (): number => crowd.filter(({ answers }) => answers() > 0).length;
  assert.equal(served(), 16);
  world.clock.advance(1_000);
  await settled();
  assert.equal(served(), 20);
});

test('SNAPSHOT-6: what is not held is refused: other heights, pieces beyond the end, prefixes with too many records', async () => {
  const world = await World.open();
  await world.growTo(40);
  const unknown = { kind: 'unknown' };
  assert.deepEqual(await world.ask({ kind: 'block', height: 33 }), unknown);
  assert.deepEqual(await world.ask({ kind: 'hashes', height: 32, index: 1 }), unknown);
  assert.deepEqual(await world.ask({ kind: 'chunk', height: 32, prefix: WHOLE }), unknown);
  const turns = await world.ask({ kind: 'epochs', from: 7 });
  assert.ok(turns?.kind === 'piece' && turns.body.length === 2);
  assert.deepEqual(world.blamed, []);
  world.sendRaw(Uint8Array.of(0, 0, 0, 1, 99));
  await settled();
  assert.equal(world.blamed.length, 1);
});

test('SNAPSHOT-6: a certificate of another state than the one executed here is not served', async () => {
  const world = await World.open();
  await world.grown.grow(40);
  const stable = world.grown.stable(32);
  world.server.noteStable({ ...stable, stateRoot: stable.hash });
  assert.deepEqual(world.server.anchors, []);
});
