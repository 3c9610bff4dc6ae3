/** Processes that serve and take over states, over a hub in memory; servers may be made to lie. */
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { fakeVerify, person } from '@itc/core/testing/state-world.js';
import { systemClock } from '../clock.ts';
import { MemoryHub, MemoryTransport } from '../network/memory-transport.ts';
import type { Channel, Clock, Disk, Peer, PeerId, PeerListener, Tables, Transport } from '../ports.ts';
import { SeededRandom } from '../random.ts';
import type { Logger } from '../runtime/logger.ts';
import { SnapshotServer } from '../runtime/snapshot-server.ts';
import { decodeRequest, type SyncRequest } from '../runtime/state-sync-messages.ts';
import { CHANNELS } from '../runtime/channels.ts';
import { StateSync, type StateSyncOptions } from '../runtime/state-sync.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { GrownChain } from './grown-chain.ts';

/** The system's, but a test waits for its timers. */
const clock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => {
    const timeout = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
};

/** What a server does to its own answers: another one, several, or none. */
export type Tamper = (answer: Uint8Array, request: SyncRequest | undefined) => readonly Uint8Array[];

class TamperedTransport implements Transport {
  readonly #inner: Transport;
  readonly #tamper: Tamper;
  #request: SyncRequest | undefined;

  constructor(inner: Transport, tamper: Tamper) {
    this.#inner = inner;
    this.#tamper = tamper;
  }

  get self(): PeerId {
    return this.#inner.self;
  }

  open(channel: Channel): void {
    if (channel.number !== CHANNELS.stateRequest.number) return this.#inner.open(channel);
    this.#inner.open({
      ...channel,
      receive: (peer, bytes) => {
        const request = decodeRequest(bytes.slice());
        this.#request = request.ok ? request.value.content : undefined;
        channel.receive(peer, bytes);
      },
    });
  }

  listen(listener: PeerListener): void {
    this.#inner.listen(listener);
  }

  start(): Promise<void> {
    return this.#inner.start();
  }

  peers(): readonly Peer[] {
    return this.#inner.peers();
  }

  send(peer: PeerId, channel: number, bytes: Uint8Array): boolean {
    if (channel !== CHANNELS.stateReply.number) return this.#inner.send(peer, channel, bytes);
    for (const answer of this.#tamper(bytes, this.#request)) this.#inner.send(peer, channel, answer);
    return true;
  }

  broadcast(channel: number, bytes: Uint8Array): number {
    return this.#inner.broadcast(channel, bytes);
  }

  disconnect(peer: PeerId): void {
    this.#inner.disconnect(peer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }
}

export interface Served {
  readonly id: PeerId;
  readonly server: SnapshotServer;
  /** Requests that came, in order. */
  readonly requests: SyncRequest[];
}

export interface Reader {
  readonly grown: GrownChain;
  readonly sync: StateSync;
  readonly warnings: { readonly peer: string; readonly message: string }[];
  readonly transport: MemoryTransport;
}

export class SyncWorld {
  readonly hub = new MemoryHub();
  readonly #names = new Map<PeerId, string>();

  /** A process that has the states of a chain. */
  async serve(
    name: string,
    source: GrownChain,
    o: { readonly anchors: readonly number[]; readonly tamper?: Tamper; readonly bytesPerSecond?: number },
  ): Promise<Served> {
    const requests: SyncRequest[] = [];
    const inner = this.#transport(name);
    const transport = new TamperedTransport(inner, (answer, request) => {
      if (request !== undefined) requests.push(request);
      return o.tamper === undefined ? [answer] : o.tamper(answer, request);
    });
    transport.open({ ...CHANNELS.stateReply, receive: () => undefined });
    const server = new SnapshotServer({
      chain: source.chain,
      transport,
      clock,
      blame: (peer) => transport.disconnect(peer),
      ...(o.bytesPerSecond === undefined ? {} : { bytesPerSecond: o.bytesPerSecond }),
    });
    for (const at of o.anchors) server.noteStable(source.stable(at));
    await transport.start();
    return { id: inner.self, server, requests };
  }

  /** A process that is behind. Without tables and disk of its own it is new. */
  async read(
    name: string,
    o: Partial<StateSyncOptions> & {
      readonly disk?: Disk;
      readonly tables?: Tables;
      readonly folder?: string;
    } = {},
  ): Promise<Reader> {
    const { disk = new MemoryDisk(), tables = new MemoryTables(), folder = '/blocks', ...options } = o;
    const transport = this.#transport(name);
    transport.open({ ...CHANNELS.stateRequest, receive: () => undefined });
    const random = new SeededRandom(7);
    const grown = await GrownChain.open({ disk, folder, tables, random });
    const warnings: { peer: string; message: string }[] = [];
    const nameOf = (peer: PeerId): string => this.#names.get(peer) ?? peer;
    const sync = new StateSync({
      chain: grown.chain,
      tables,
      log: grown.log,
      transport,
      clock,
      random,
      logger: loggerOf(warnings),
      verify: fakeVerify,
      boundBlocks: 100,
      target: () => 1_000_000,
      isPruned: () => false,
      between: (work) => work(),
      nameOf,
      answerMsMax: 150,
      jitterMs: 0,
      ...options,
    });
    await transport.start();
    return { grown, sync, warnings, transport };
  }

  #transport(name: string): MemoryTransport {
    const key: PublicKey = person(name).key;
    const transport = new MemoryTransport(this.hub, { key, role: 'validator' });
    this.#names.set(transport.self, name);
    return transport;
  }
}

function loggerOf(warnings: { peer: string; message: string }[]): Logger {
  const warn = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    const { peer } = fields;
    warnings.push({ peer: typeof peer === 'string' ? peer : '', message });
  };
  return { debug: () => undefined, info: () => undefined, warn, error: warn };
}
