import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { writeCertificate } from '@itc/core/ledger/block.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Channel, Peer, PeerId, PeerListener, Transport } from '../ports.ts';
import { SeededRandom } from '../random.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { chainId, genesis, GrownChain } from '../testing/grown-chain.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { BlockSync, type CertifiedBlock } from './block-sync.ts';
import { CHANNELS } from './channels.ts';
import { prepareBlock } from './prepared-block.ts';

const names: readonly PeerId[] = genesis.validators.map(({ key }) => toHex(key.bytes));

/** A transport in the hand of the test: who is connected, and what was asked of whom. */
class HandTransport implements Transport {
  readonly self = 'self';
  readonly asked: { readonly peer: PeerId; readonly from: number }[] = [];
  readonly expelled: PeerId[] = [];
  readonly #connected = new Map<PeerId, Peer>();
  readonly #channels = new Map<number, Channel>();
  readonly #listeners: PeerListener[] = [];

  connect(id: PeerId): void {
    const key = genesis.validators.find((validator) => toHex(validator.key.bytes) === id)?.key as PublicKey;
    const peer: Peer = { id, key, address: addressOf(key), role: 'validator', listen: '' };
    this.#connected.set(id, peer);
    for (const listener of this.#listeners) listener.connected?.(peer);
  }

  say(id: PeerId, channel: number, bytes: Uint8Array): void {
    this.#channels.get(channel)?.receive(this.#connected.get(id) as Peer, bytes);
  }

  claim(id: PeerId, of: number): void {
    this.say(id, CHANNELS.head.number, new Writer(8).u53(of).finish());
  }

  open(channel: Channel): void {
    this.#channels.set(channel.number, channel);
  }

  listen(listener: PeerListener): void {
    this.#listeners.push(listener);
  }

  async start(): Promise<void> {}

  peers(): readonly Peer[] {
    return [...this.#connected.values()];
  }

  send(peer: PeerId, channel: number, bytes: Uint8Array): boolean {
    if (!this.#connected.has(peer)) return false;
    if (channel === CHANNELS.blockRequest.number)
      this.asked.push({ peer, from: Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)) });
    return true;
  }

  broadcast(): number {
    return 0;
  }

  disconnect(peer: PeerId): void {
    this.expelled.push(peer);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

async function grown(blocks: number): Promise<GrownChain> {
  const [disk, tables, random] = [new MemoryDisk(), new MemoryTables(), new SeededRandom(1)];
  const chain = await GrownChain.open({ disk, folder: '/blocks', tables, random });
  await chain.grow(blocks);
  return chain;
}

/** What an honest peer answers: few blocks at a time, so that many requests are made. */
function reply({ chain }: GrownChain, from: number, count: number): Uint8Array {
  const writer = new Writer(4_096);
  for (let at = from; at < from + count; at += 1) {
    const stored = chain.blockAt(at);
    if (stored === undefined) break;
    writer.bytes(stored.block);
    writeCertificate(writer, stored.certificate);
  }
  return writer.finish();
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function laggard(accept?: (blocks: readonly CertifiedBlock[]) => Promise<void>): Promise<{
  readonly transport: HandTransport;
  readonly clock: ManualClock;
  readonly own: GrownChain;
  readonly sync: BlockSync;
}> {
  const own = await grown(0);
  const transport = new HandTransport();
  const clock = new ManualClock();
  const take = async (blocks: readonly CertifiedBlock[]): Promise<void> => {
    for (const { candidate, certificate } of blocks) {
      const block = await prepareBlock(chainId, candidate.bytes, 'certified', () => undefined);
      assert.ok(block.ok);
      await own.chain.commit([{ block: block.value, certificate }]);
    }
  };
  const { chain } = own;
  const warn = (message: string): void => assert.fail(message);
  const sync = new BlockSync({ chain, transport, clock, accept: accept ?? take, warn });
  return { transport, clock, own, sync };
}

test('NODE-15.1: a validator that is gone, named as one who has blocks, holds nobody up', async () => {
  const source = await grown(30);
  const { transport, clock, own, sync } = await laggard();
  const [a, b, dead] = names as [PeerId, PeerId, PeerId];
  for (const id of [a, b]) {
    transport.connect(id);
    transport.claim(id, 30);
  }
  // The replica names anybody of the set, also who was never connected.
  sync.want(30, dead);
  for (let round = 0; round < 60 && own.chain.height < 30; round += 1) {
    const last = transport.asked.at(-1);
    if (last !== undefined && last.from === own.chain.height + 1)
      transport.say(last.peer, CHANNELS.blockReply.number, reply(source, last.from, 1));
    await settled();
    clock.advance(100);
    sync.pursue();
  }
  assert.equal(own.chain.height, 30);
});

test('NODE-15.1: a peer that claims blocks and does not answer is asked again only after a while, or when nobody else is there', async () => {
  const source = await grown(40);
  const { transport, clock, own, sync } = await laggard();
  const [liar, honest] = names as [PeerId, PeerId];
  for (const id of [liar, honest]) transport.connect(id);
  transport.claim(honest, 40);
  const started = clock.monotonicMs();
  for (let round = 0; round < 2_000 && own.chain.height < 40; round += 1) {
    transport.claim(liar, 1_000_000);
    const last = transport.asked.at(-1);
    if (last?.peer === honest && last.from === own.chain.height + 1)
      transport.say(honest, CHANNELS.blockReply.number, reply(source, last.from, 1));
    await settled();
    clock.advance(20);
    sync.pursue();
  }
  assert.equal(own.chain.height, 40);
  assert.ok(clock.monotonicMs() - started < 12_000, `${clock.monotonicMs() - started} ms`);
});

test('NODE-15.2: a height that one validator claims is no target; that of weight F + 1 is (CometBFT ASA-2025-001)', async () => {
  const { transport, sync } = await laggard();
  for (const id of names) transport.connect(id);
  transport.claim(names[0] as PeerId, 9_000_000_000);
  for (const id of names.slice(1)) transport.claim(id, 7);
  assert.equal(sync.target, 7);
  transport.claim(names[1] as PeerId, 12);
  assert.equal(sync.target, 12);
  // What is certified needs no voices.
  sync.want(20, names[2] as PeerId);
  assert.equal(sync.target, 20);
});

test('NODE-15.1: blocks that are not taken, because consensus stands still, are not asked for in a circle', async () => {
  const source = await grown(5);
  const { transport, clock, sync } = await laggard(async () => {});
  const [peer] = names as [PeerId];
  transport.connect(peer);
  transport.claim(peer, 5);
  for (let round = 0; round < 100; round += 1) {
    const before = transport.asked.length;
    transport.say(peer, CHANNELS.blockReply.number, reply(source, 1, 1));
    await settled();
    clock.advance(100);
    sync.pursue();
    assert.ok(transport.asked.length <= before + 1);
  }
  assert.ok(transport.asked.length <= 11, `${transport.asked.length} requests in ten seconds`);
});
