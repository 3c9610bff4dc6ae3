/** A fake of the transport port: processes in one program, connected by a hub that can be told to fail. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf } from '@itc/core/ledger/address.js';
import type { Channel, Peer, PeerId, PeerListener, PeerRole, Transport } from '../ports.ts';

/** Carries messages in order and in a later microtask. Cut links lose what is sent. */
export class MemoryHub {
  readonly #members = new Map<PeerId, MemoryTransport>();
  readonly #cut = new Set<string>();

  join(transport: MemoryTransport): void {
    this.#members.set(transport.self, transport);
    for (const other of this.#members.values()) this.#connect(transport, other);
  }

  leave(transport: MemoryTransport): void {
    this.#members.delete(transport.self);
    for (const other of this.#members.values()) other.lose(transport.peer, 'ended');
  }

  /** Breaks or mends the link of a pair. */
  setLink(pair: readonly [PeerId, PeerId], up: boolean): void {
    const [a, b] = [this.#members.get(pair[0]), this.#members.get(pair[1])];
    const name = [...pair].sort().join();
    if (up) this.#cut.delete(name);
    else this.#cut.add(name);
    if (a === undefined || b === undefined) return;
    if (up) return this.#connect(a, b);
    a.lose(b.peer, 'silent');
    return b.lose(a.peer, 'silent');
  }

  carry(message: {
    readonly from: Peer;
    readonly to: PeerId;
    readonly channel: number;
    readonly bytes: Uint8Array;
  }): void {
    const copy = message.bytes.slice();
    queueMicrotask(() => this.#members.get(message.to)?.deliver(message.from, message.channel, copy));
  }

  #connect(a: MemoryTransport, b: MemoryTransport): void {
    if (a === b || this.#cut.has([a.self, b.self].sort().join())) return;
    a.gain(b.peer);
    b.gain(a.peer);
  }
}

export class MemoryTransport implements Transport {
  readonly self: PeerId;
  readonly peer: Peer;
  readonly #hub: MemoryHub;
  readonly #channels = new Map<number, Channel>();
  readonly #listeners = new Set<PeerListener>();
  readonly #peers = new Map<PeerId, Peer>();

  constructor(hub: MemoryHub, identity: { readonly key: PublicKey; readonly role: PeerRole }) {
    this.#hub = hub;
    this.self = toHex(identity.key.bytes);
    this.peer = { id: this.self, ...identity, address: addressOf(identity.key), listen: '' };
  }

  open(channel: Channel): void {
    if (channel.number < 1 || channel.number > 255 || this.#channels.has(channel.number)) {
      throw new RangeError(`channel ${channel.number} is taken or not from 1 to 255`);
    }
    this.#channels.set(channel.number, channel);
  }

  listen(listener: PeerListener): void {
    this.#listeners.add(listener);
  }

  async start(): Promise<void> {
    await Promise.resolve();
    this.#hub.join(this);
  }

  peers(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  send(peer: PeerId, channel: number, bytes: Uint8Array): boolean {
    const bytesMax = this.#channels.get(channel)?.bytesMax ?? -1;
    if (bytes.length > bytesMax)
      throw new RangeError(`a message of ${bytes.length} bytes does not go through channel ${channel}`);
    if (!this.#peers.has(peer)) return false;
    this.#hub.carry({ from: this.peer, to: peer, channel, bytes });
    return true;
  }

  broadcast(channel: number, bytes: Uint8Array): number {
    return this.peers().filter(({ id }) => this.send(id, channel, bytes)).length;
  }

  disconnect(peer: PeerId): void {
    const gone = this.#peers.get(peer);
    if (gone !== undefined) this.lose(gone, 'expelled');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
    this.#hub.leave(this);
    for (const peer of this.peers()) this.lose(peer, 'closed');
  }

  /** For the hub. */
  gain(peer: Peer): void {
    if (this.#peers.has(peer.id)) return;
    this.#peers.set(peer.id, peer);
    for (const listener of this.#listeners) listener.connected?.(peer);
  }

  /** For the hub. */
  lose(peer: Peer, reason: Parameters<NonNullable<PeerListener['disconnected']>>[1]): void {
    if (!this.#peers.delete(peer.id)) return;
    for (const listener of this.#listeners) listener.disconnected?.(peer, reason);
  }

  /** For the hub. */
  deliver(from: Peer, channel: number, bytes: Uint8Array): void {
    if (this.#peers.has(from.id)) this.#channels.get(channel)?.receive(from, bytes);
  }
}
