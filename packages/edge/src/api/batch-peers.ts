/**
 * Readings of batches between gateways of one subnet (spec EDGE-15.7): the subnet carries the root, the readings stay with the gateway
 * that took them, and another one that has heard of the batch asks for them. What comes is checked against the root.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { readHash } from '@itc/core/ledger/fields.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Clock, Peer, Transport } from '@itc/node/ports.js';
import { CHANNELS } from '@itc/node/runtime/channels.js';
import { BATCH_READINGS_MAX } from '../device-sdk/reading-batch.ts';
import { EDGE_LIMITS } from '../limits.ts';
import type { BatchPort } from '../ports.ts';

export interface BatchPeersOptions {
  readonly transport: Pick<Transport, 'open' | 'listen' | 'peers' | 'send'>;
  readonly clock: Pick<Clock, 'after' | 'monotonicMs'>;
  /** Of the subnet: nobody else is asked, or answered. */
  readonly members: () => ValidatorSet;
}

/** Of one peer that are answered in a second. */
const ANSWERS_PER_SECOND = 64;
/** Batches that are being looked for, and when each is asked for: a gateway may hear of one before the readings are on the other's disk. */
const WANTED_MAX = 1_024;
const ASK_MS: readonly number[] = [0, 1_000, 10_000];

export class BatchPeers implements BatchPort {
  readonly #o: BatchPeersOptions;
  readonly #wanted: Set<string> = new Set();
  readonly #answered: Map<string, { second: number; count: number }> = new Map();
  #find: (id: Hash) => readonly Uint8Array[] | undefined = () => undefined;
  #take: (id: Hash, readings: readonly Uint8Array[]) => void = () => {};

  /** Before the transport is started. */
  constructor(options: BatchPeersOptions) {
    this.#o = options;
    const { transport } = options;
    transport.open({ ...CHANNELS.batchRequest, receive: (peer, bytes) => this.#serve(peer, bytes) });
    transport.open({ ...CHANNELS.batchReply, receive: (_, bytes) => this.#receive(bytes) });
    transport.listen({ disconnected: ({ id }) => void this.#answered.delete(id) });
  }

  use(o: Parameters<BatchPort['use']>[0]): void {
    this.#find = o.find;
    this.#take = o.take;
  }

  want(id: Hash): void {
    const text = toHex(id);
    if (this.#wanted.size >= WANTED_MAX || this.#wanted.has(text)) return;
    this.#wanted.add(text);
    for (const [i, delayMs] of ASK_MS.entries())
      this.#o.clock.after(delayMs, () => {
        if (!this.#wanted.has(text)) return;
        this.#ask(id);
        // The last answer has a while to come; what nobody has by then its device may bring.
        if (i === ASK_MS.length - 1)
          this.#o.clock.after(ASK_MS[1] as number, () => this.#wanted.delete(text));
      });
  }

  #ask(id: Hash): void {
    const { transport } = this.#o;
    for (const peer of transport.peers())
      if (this.#isGateway(peer)) transport.send(peer.id, CHANNELS.batchRequest.number, id);
  }

  #isGateway({ role, key }: Peer): boolean {
    return role === 'gateway' && this.#o.members().some((member) => equalBytes(member.key.bytes, key.bytes));
  }

  #serve(peer: Peer, bytes: Uint8Array): void {
    const second = Math.floor(this.#o.clock.monotonicMs() / 1_000);
    const before = this.#answered.get(peer.id);
    const count = before?.second === second ? before.count + 1 : 1;
    const asked = decode(readHash, bytes);
    if (count > ANSWERS_PER_SECOND || !asked.ok || !this.#isGateway(peer)) return;
    this.#answered.set(peer.id, { second, count });
    const readings = this.#find(asked.value);
    if (readings === undefined) return;
    const reply = new Writer(1_024)
      .fixed(asked.value, HASH_BYTES)
      .list(readings, (w, reading) => w.bytes(reading))
      .finish();
    this.#o.transport.send(peer.id, CHANNELS.batchReply.number, reply);
  }

  #receive(bytes: Uint8Array): void {
    const read = decode(
      (reader) => ({
        id: readHash(reader),
        readings: reader.list(BATCH_READINGS_MAX, (r) => r.bytes(EDGE_LIMITS.packetBytesMax).slice()),
      }),
      bytes,
    );
    // Unasked, or known by now.
    if (!read.ok || !this.#wanted.has(toHex(read.value.id))) return;
    this.#take(read.value.id, read.value.readings);
  }

  has(id: Hash): void {
    this.#wanted.delete(toHex(id));
  }
}
