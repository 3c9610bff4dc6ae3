import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, toHex } from '@itc/core/bytes/hex.js';
import { ZERO_HASH, type Hash } from '@itc/core/crypto/hash.js';
import { asAddress } from '@itc/core/ledger/address.js';
import { HEADER_VERSION } from '@itc/core/ledger/block.js';
import { amount, epoch, height, millis, view } from '@itc/core/ledger/ids.js';
import { encodeTransaction } from '@itc/core/ledger/transaction.js';
import { decodeMessage } from '@itc/core/pbft/message-codec.js';
import type { PrePrepare } from '@itc/core/pbft/messages.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { Channel, Peer, Transport } from '../ports.ts';
import { CHANNELS } from './channels.ts';
import { CompactBlocks } from './compact-block.ts';
import { assembleBlock, type PreparedBlock } from './prepared-block.ts';

function transaction(nonce: number): VerifiedTransaction {
  const encoded = encodeTransaction({
    key: { algorithm: 1, bytes: new Uint8Array(32).fill(7) },
    lane: 0,
    nonce,
    fee: amount(1n),
    validUntil: height(1_000),
    body: { kind: 'transfer', to: asAddress(new Uint8Array(32)), amount: amount(1n) },
    signature: new Uint8Array(64),
  });
  const verified = verifyTransaction(ZERO_HASH, encoded, () => true);
  assert.ok(verified.ok);
  return verified.value;
}

function blockOf(count: number): PreparedBlock {
  const header = {
    version: HEADER_VERSION,
    flags: 0,
    epoch: epoch(0),
    height: height(1),
    time: millis(1),
    parentHash: ZERO_HASH,
    stateRoot: ZERO_HASH,
    historyRoot: ZERO_HASH,
    validatorsHash: ZERO_HASH,
    nextValidatorsHash: ZERO_HASH,
  };
  return assembleBlock(
    header,
    Array.from({ length: count }, (_, nonce) => transaction(nonce)),
  );
}

const proposalOf = (block: PreparedBlock): PrePrepare => ({
  kind: 'pre-prepare',
  sender: 0,
  epoch: epoch(0),
  view: view(0),
  block: block.candidate,
  signature: new Uint8Array(64),
});

/** One side of a wire that the test carries messages over. */
class Side {
  readonly pool = new Map<string, VerifiedTransaction>();
  readonly blocks = new Map<string, PreparedBlock>();
  readonly sent: { readonly channel: number; readonly bytes: Uint8Array }[] = [];
  readonly completed: PrePrepare[] = [];
  readonly blamed: string[] = [];
  readonly compact: CompactBlocks;
  isDue = true;
  readonly #channels = new Map<number, Channel>();

  constructor() {
    const transport: Pick<Transport, 'open' | 'send'> = {
      open: (channel) => void this.#channels.set(channel.number, channel),
      send: (_peer, channel, bytes) => {
        this.sent.push({ channel, bytes });
        return true;
      },
    };
    this.compact = new CompactBlocks({
      mempool: { get: (name) => this.pool.get(name) },
      transport: transport as Transport,
      block: (hash: Hash) => this.blocks.get(toHex(hash)),
      isHeard: (peer) => peer === 'other',
      isDue: () => this.isDue,
      complete: (_peer, proposal) => void this.completed.push(proposal),
      blame: (_peer, message) => void this.blamed.push(message),
    });
  }

  hear(channel: number, bytes: Uint8Array, peer = 'other'): void {
    this.#channels.get(channel)?.receive({ id: peer } as Peer, bytes);
  }

  /** Everything the other side has sent since the last time. */
  take(from: Side): number {
    const messages = from.sent.splice(0);
    for (const { channel, bytes } of messages) this.hear(channel, bytes);
    return messages.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
}

function pair(
  count: number,
  known: (nonce: number) => boolean,
): { block: PreparedBlock; from: Side; to: Side } {
  const block = blockOf(count);
  const [from, to] = [new Side(), new Side()];
  from.blocks.set(toHex(block.candidate.hash), block);
  for (const one of block.transactions) if (known(one.tx.nonce)) to.pool.set(one.name, one);
  return { block, from, to };
}

test('NODE-20.1: a block whose transactions wait here crosses the wire as header and ids, and comes out whole', () => {
  const { block, from, to } = pair(200, () => true);
  const bytes = from.compact.encode(proposalOf(block));
  assert.ok(bytes !== undefined && bytes.length < block.candidate.bytes.length / 4);
  to.hear(CHANNELS.compact.number, bytes);
  assert.deepEqual(to.completed, [proposalOf(block)]);
  assert.deepEqual(to.sent, []);
});

test('NODE-20.2: what is missing is asked for by position, once, and the block comes out whole', () => {
  const { block, from, to } = pair(50, (nonce) => nonce % 7 !== 3);
  to.hear(CHANNELS.compact.number, from.compact.encode(proposalOf(block)) as Uint8Array);
  assert.deepEqual(to.completed, []);
  const [request] = to.sent;
  from.take(to);
  assert.ok(to.take(from) < block.candidate.bytes.length / 3);
  assert.deepEqual(to.completed, [proposalOf(block)]);
  from.hear(request?.channel ?? 0, request?.bytes ?? new Uint8Array(0));
  assert.deepEqual(from.sent, [], 'asked again, it is not answered again');
});

test('NODE-20.3: a proposal sent again is sent whole, and so is a small one', () => {
  const { block, from } = pair(20, () => true);
  assert.ok(from.compact.encode(proposalOf(block)) !== undefined);
  assert.equal(from.compact.encode(proposalOf(block)), undefined);
  const small = pair(2, () => true);
  assert.equal(small.from.compact.encode(proposalOf(small.block)), undefined);
});

test('NODE-20.4: attack wrong ids, wrong bodies: a proposal that cannot become the block of its header costs the peer its connection', () => {
  const { block, from, to } = pair(20, (nonce) => nonce > 1);
  const bytes = from.compact.encode(proposalOf(block)) as Uint8Array;
  const at = bytes.length - 64 - 5;
  to.hear(CHANNELS.compact.number, bytes.with(at, (bytes[at] as number) ^ 1));
  assert.equal(to.blamed.length, 1);
  to.hear(CHANNELS.compact.number, bytes);
  from.take(to);
  const reply = from.sent[0]?.bytes as Uint8Array;
  to.hear(CHANNELS.bodyReply.number, reply.with(reply.length - 1, 9));
  assert.equal(to.blamed.length, 2);
  to.hear(CHANNELS.bodyReply.number, reply);
  assert.deepEqual(to.completed, [], 'nothing waits for it any more');
  to.hear(CHANNELS.compact.number, bytes);
  const first = reply.slice(0, 32 + 4 + (block.transactions[0]?.encoded.length ?? 0));
  to.hear(CHANNELS.bodyReply.number, first);
  assert.equal(to.blamed.length, 3, 'an answer that leaves something out');
  to.hear(CHANNELS.compact.number, concatBytes(bytes, Uint8Array.of(0)));
  assert.equal(to.blamed.length, 4);
  assert.deepEqual(to.completed, []);
});

test('NODE-20.5: strangers are not heard, and nothing is asked for a proposal that is not due', () => {
  const { block, from, to } = pair(20, () => false);
  const bytes = from.compact.encode(proposalOf(block)) as Uint8Array;
  to.hear(CHANNELS.compact.number, bytes, 'stranger');
  to.isDue = false;
  to.hear(CHANNELS.compact.number, bytes);
  assert.deepEqual([to.sent, to.completed, to.blamed], [[], [], []]);
});

test('NODE-20.5: an answer nobody asked for changes nothing', () => {
  const { block, from, to } = pair(20, () => false);
  from.hear(CHANNELS.bodyRequest.number, concatBytes(block.candidate.hash, Uint8Array.of(0, 1, 0, 0)));
  to.take(from);
  assert.deepEqual([to.completed, to.blamed], [[], []]);
  const message = from.compact.encode(proposalOf(block)) as Uint8Array;
  assert.ok(!decodeMessage(message, () => undefined).ok);
});
