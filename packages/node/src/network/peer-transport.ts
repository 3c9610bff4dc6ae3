/**
 * The transport port over TLS 1.3 and TCP: listens, dials, keeps one connection per peer. See
 * docs/decisions/0002-transport.md.
 */
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import type { AddressInfo, Socket } from 'node:net';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { KeyPair } from '../crypto/keypair.ts';
import type {
  Channel,
  Clock,
  DisconnectReason,
  Peer,
  PeerId,
  PeerListener,
  PeerRole,
  Random,
  Timer,
  Transport,
} from '../ports.ts';
import { selfSignedIdentity } from './certificate.ts';
import { Connection, type ConnectionStats } from './connection.ts';
import { FairQueue } from './fair-queue.ts';
import { Handshake, type HelloRefusal } from './handshake.ts';
import { EXPORTER_BYTES, EXPORTER_LABEL, type Side } from './hello.ts';
import type { HybridMode } from './hybrid.ts';
import { tlsGroups } from './tls-groups.ts';
import { NETWORK_LIMITS } from './limits.ts';

export interface PeerTransportOptions {
  readonly chain: Hash;
  readonly keys: KeyPair;
  readonly role: PeerRole;
  readonly host: string;
  /** 0 takes any free port; see `port`. */
  readonly port: number;
  /** Whom to dial and keep connected. `id` is who is expected there: anyone else is refused. */
  readonly peers: readonly { readonly id: PeerId; readonly host: string; readonly port: number }[];
  /** Who may connect. Default: those in `peers`. */
  readonly allow?: (peer: Peer) => boolean;
  /** `host:port` to tell others. Default: where this node listens. */
  readonly advertise?: string;
  /** Default: off. */
  readonly hybrid?: HybridMode;
  readonly clock: Clock;
  readonly random: Random;
}

export interface PeerStats extends ConnectionStats {
  readonly peer: Peer;
  readonly side: Side;
  readonly connectedMs: number;
}

/** Why a connection ended before it was one; counted, and told to nobody outside. */
export type Refusal = HelloRefusal | 'tls' | 'timeout' | 'crowded' | 'unknown' | 'expelled' | 'duplicate';

interface Established {
  readonly peer: Peer;
  readonly connection: Connection;
  readonly side: Side;
  readonly sinceMs: number;
}

interface Target {
  readonly id: PeerId;
  readonly host: string;
  readonly port: number;
  /** Failed attempts since the last connection. */
  failures: number;
  isDialling: boolean;
  timer: Timer | undefined;
}

export class PeerTransport implements Transport {
  readonly self: PeerId;
  readonly #options: PeerTransportOptions;
  readonly #identity = selfSignedIdentity();
  readonly #groups = tlsGroups();
  readonly #channels = new Map<number, Channel>();
  readonly #listeners = new Set<PeerListener>();
  readonly #established = new Map<PeerId, Established>();
  /** Over connections that have ended. */
  #sentBefore = 0;
  readonly #expelled = new Map<PeerId, number>();
  #targets: readonly Target[];
  /** Those of the configuration. */
  readonly #configured: readonly Target[];
  readonly #queue = new FairQueue();
  readonly #refusals = new Map<Refusal, number>();
  /** Connections of unknown people by remote address and port, oldest first. */
  readonly #handshakes = new Map<string, { readonly socket: Socket; readonly timer: Timer }>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #isClosed = false;

  constructor(options: PeerTransportOptions) {
    this.#options = options;
    this.self = toHex(options.keys.publicKey.bytes);
    this.#configured = options.peers.filter(({ id }) => id !== this.self).map(targetOf);
    this.#targets = this.#configured;
  }

  /**
   * Who is to be dialled besides those of the configuration, at most `learnedMax`; replaces what was said before. A connection
   * that stands is left alone.
   */
  learn(peers: readonly { readonly id: PeerId; readonly host: string; readonly port: number }[]): void {
    const before = this.#targets.slice(this.#configured.length);
    const isNew = ({ id }: { readonly id: PeerId }): boolean =>
      id !== this.self && !this.#configured.some((target) => target.id === id);
    const learned = peers
      .filter(isNew)
      .slice(0, NETWORK_LIMITS.learnedMax)
      .map(
        (peer) =>
          before.find(({ id, host, port }) => id === peer.id && host === peer.host && port === peer.port) ??
          targetOf(peer),
      );
    this.#targets = [...this.#configured, ...learned];
    for (const target of before) if (!learned.includes(target)) target.timer?.cancel();
    if (this.#server === undefined) return;
    for (const target of learned) if (!before.includes(target)) this.#dialFirst(target);
  }

  /** Where this node listens; the one asked for until `start`. */
  get port(): number {
    const address = this.#server?.address() as AddressInfo | string | null | undefined;
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /** `host:port` as told to others. */
  get listens(): string {
    return this.#options.advertise ?? `${this.#options.host}:${this.port}`;
  }

  /** How many connections were refused, by reason. */
  get refusals(): ReadonlyMap<Refusal, number> {
    return this.#refusals;
  }

  stats(): readonly PeerStats[] {
    const now = this.#options.clock.monotonicMs();
    return [...this.#established.values()].map(({ peer, side, sinceMs, connection }) => ({
      peer,
      side,
      connectedMs: now - sinceMs,
      ...connection.stats(),
    }));
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

  /** Errors: `port.taken`, `config.invalid` when the host cannot be listened on. */
  async start(): Promise<void> {
    const { host, port } = this.#options;
    const server = createServer({
      ...this.#identity,
      ...this.#groups,
      minVersion: 'TLSv1.3',
      requestCert: false,
    });
    this.#server = server;
    server.on('connection', (socket: Socket) => this.#accept(socket));
    server.on('tlsClientError', (_error, socket) => {
      this.#refuse('tls');
      socket.destroy();
    });
    server.on('secureConnection', (socket: TLSSocket) => this.#greet(socket, 'listener', undefined));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const code = error.code === 'EADDRINUSE' ? 'port.taken' : 'config.invalid';
        reject(
          new LedgerError(
            code,
            `cannot listen for peers on ${host}:${port}: ${error.code}`,
            { host, port },
            error,
          ),
        );
      });
      server.listen({ host, port }, resolve);
    });
    for (const target of this.#targets) this.#dialFirst(target);
  }

  peers(): readonly Peer[] {
    return [...this.#established.values()].map(({ peer }) => peer);
  }

  sentBytes(): number {
    let total = this.#sentBefore;
    for (const { connection } of this.#established.values()) total += connection.stats().bytesOut;
    return total;
  }

  send(peer: PeerId, channel: number, bytes: Uint8Array): boolean {
    return (
      this.#established
        .get(peer)
        ?.connection.send({ channel, bytes, priority: this.#channel(channel, bytes).priority }) ?? false
    );
  }

  broadcast(channel: number, bytes: Uint8Array): number {
    const { priority } = this.#channel(channel, bytes);
    let count = 0;
    for (const { connection } of this.#established.values())
      if (connection.send({ channel, bytes, priority })) count += 1;
    return count;
  }

  disconnect(peer: PeerId): void {
    this.#expelled.set(peer, this.#options.clock.monotonicMs() + NETWORK_LIMITS.expelMs);
    this.#established.get(peer)?.connection.close('expelled');
  }

  /** The answer of `allow` may have changed: connections it no longer allows end. */
  review(): void {
    for (const { peer, connection } of this.#established.values())
      if (!this.#isAllowed(peer)) connection.close('unwelcome');
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { timer } of this.#targets) timer?.cancel();
    for (const { timer } of this.#handshakes.values()) timer.cancel();
    for (const { connection } of this.#established.values()) connection.close('closed');
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    if (server?.listening === true) await new Promise((resolve) => server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Our own message: a wrong channel or length is a bug here. */
  #channel(number: number, bytes: Uint8Array): Channel {
    const channel = this.#channels.get(number);
    if (channel === undefined || bytes.length > channel.bytesMax) {
      throw new RangeError(`a message of ${bytes.length} bytes does not go through channel ${number}`);
    }
    return channel;
  }

  /** A TCP connection from anywhere. It has a deadline, and a full house pushes out the one that dawdled longest. */
  #accept(socket: Socket): void {
    if (this.#handshakes.size >= NETWORK_LIMITS.handshakesMax) {
      const oldest = this.#handshakes.keys().next().value as string;
      this.#refuse('crowded');
      this.#handshakes.get(oldest)?.socket.destroy();
      this.#endHandshake(oldest);
    }
    const name = endpointOf(socket);
    const timer = this.#options.clock.after(NETWORK_LIMITS.handshakeMs, () => {
      this.#refuse('timeout');
      socket.destroy();
    });
    this.#handshakes.set(name, { socket, timer });
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#handshakes.get(name)?.socket === socket) this.#endHandshake(name);
    });
  }

  #endHandshake(name: string): void {
    this.#handshakes.get(name)?.timer.cancel();
    this.#handshakes.delete(name);
  }

  /** Both ends know each other and dial; the one with the smaller key goes first, which saves most duplicates. */
  #dialFirst(target: Target): void {
    this.#dialAfter(
      target,
      this.self < target.id ? 0 : NETWORK_LIMITS.redialMs * (1 + this.#options.random.uniform()),
    );
  }

  #dialAfter(target: Target, delayMs: number): void {
    target.timer?.cancel();
    // A learned one may have been forgotten while it was dialled.
    if (this.#isClosed || !this.#targets.includes(target)) return;
    target.timer = this.#options.clock.after(delayMs, () => this.#dial(target));
  }

  #dial(target: Target): void {
    if (this.#isClosed || target.isDialling || this.#established.has(target.id)) return;
    target.isDialling = true;
    // The certificate is not checked on purpose: the HELLO inside shows the ledger key, for this session only.
    const socket = connect({
      host: target.host,
      port: target.port,
      ...this.#groups,
      minVersion: 'TLSv1.3',
      rejectUnauthorized: false,
    });
    this.#sockets.add(socket);
    const deadline = this.#options.clock.after(NETWORK_LIMITS.handshakeMs, () => {
      if (!this.#isEstablishedOn(target.id, socket)) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      deadline.cancel();
      this.#sockets.delete(socket);
      target.isDialling = false;
      if (this.#established.has(target.id)) return;
      // Doubling with jitter, so that a network that comes back is not greeted by everyone at once.
      const ceiling = Math.min(
        NETWORK_LIMITS.redialMsMax,
        NETWORK_LIMITS.redialMs * 2 ** Math.min(target.failures, 16),
      );
      target.failures += 1;
      this.#dialAfter(target, ceiling * (0.5 + this.#options.random.uniform() / 2));
    });
    socket.on('secureConnect', () => this.#greet(socket, 'dialler', target));
  }

  readonly #socketOf = new WeakMap<Connection, TLSSocket>();

  #isEstablishedOn(id: PeerId, socket: TLSSocket): boolean {
    const established = this.#established.get(id);
    return established !== undefined && this.#socketOf.get(established.connection) === socket;
  }

  /** TLS stands: the dialler shows its key first, so that a listener tells strangers nothing. */
  #greet(socket: TLSSocket, side: Side, target: Target | undefined): void {
    if (this.#isClosed || socket.destroyed) return void socket.destroy();
    const exporter = socket.exportKeyingMaterial(
      EXPORTER_BYTES,
      EXPORTER_LABEL,
      Buffer.from(this.#options.chain),
    );
    const handshake = new Handshake({ ...this.#options, listens: this.listens, exporter, side });
    let established: Established | undefined;
    const connection: Connection = new Connection(socket, {
      clock: this.#options.clock,
      queue: this.#queue,
      rules: {
        limitOf: (channel) => this.#channels.get(channel)?.bytesMax,
        onHello: (bytes) => {
          const judged = handshake.hear(bytes, this.#judges(target?.id));
          if (!judged.ok) {
            this.#refuse(judged.code);
            return connection.close('malformed');
          }
          const { peer, reply, keys } = judged.value;
          if (reply !== undefined) {
            connection.sendHello(reply);
            this.#endHandshake(endpointOf(socket));
          }
          if (keys !== undefined) connection.secure(keys);
          established = { peer, connection, side, sinceMs: this.#options.clock.monotonicMs() };
          return this.#establish(established, target);
        },
        onMessage: (channel, bytes) => {
          if (established !== undefined) this.#channels.get(channel)?.receive(established.peer, bytes);
        },
        onClose: (reason) => {
          if (established !== undefined) this.#ended(established, reason);
        },
      },
    });
    this.#socketOf.set(connection, socket);
    if (side === 'dialler') connection.sendHello(handshake.first());
    return undefined;
  }

  /** Who may be here at all, cheapest question first; asked once the signature holds. */
  #judges(expected: PeerId | undefined): (peer: Peer) => Refusal | undefined {
    return (peer) => {
      const { id } = peer;
      if (id === this.self || (expected !== undefined && id !== expected)) return 'unknown';
      if (!this.#isAllowed(peer)) return 'unknown';
      return (this.#expelled.get(id) ?? 0) > this.#options.clock.monotonicMs() ? 'expelled' : undefined;
    };
  }

  #isAllowed(peer: Peer): boolean {
    return this.#options.allow?.(peer) ?? this.#targets.some((target) => target.id === peer.id);
  }

  /**
   * One connection per pair. Of two that cross, both ends keep the one dialled by the smaller key; of two in the
   * same direction the newer, because the dialler would not dial again unless the older was lost.
   */
  #establish(fresh: Established, target: Target | undefined): void {
    const { id } = fresh.peer;
    const old = this.#established.get(id);
    if (old !== undefined) {
      const diallerOf = (one: Established): PeerId => (one.side === 'dialler' ? this.self : id);
      const preferred = this.self < id ? this.self : id;
      if (diallerOf(old) === preferred && diallerOf(fresh) !== preferred) {
        // Unless the peer has lost that one without our noticing.
        old.connection.probe();
        this.#refuse('duplicate');
        return fresh.connection.close('replaced');
      }
    }
    this.#established.set(id, fresh);
    if (target !== undefined) target.failures = 0;
    old?.connection.close('replaced');
    fresh.connection.open();
    if (old !== undefined) this.#tell((listener) => listener.disconnected?.(old.peer, 'replaced'));
    this.#tell((listener) => listener.connected?.(fresh.peer));
    return undefined;
  }

  #ended(established: Established, reason: DisconnectReason): void {
    const { id } = established.peer;
    if (this.#established.get(id) !== established) return;
    this.#established.delete(id);
    this.#sentBefore += established.connection.stats().bytesOut;
    this.#tell((listener) => listener.disconnected?.(established.peer, reason));
    const target = this.#targets.find((candidate) => candidate.id === id);
    if (target !== undefined && !target.isDialling)
      this.#dialAfter(target, NETWORK_LIMITS.redialMs * (0.5 + this.#options.random.uniform() / 2));
  }

  #tell(tell: (listener: PeerListener) => void): void {
    for (const listener of this.#listeners) tell(listener);
  }

  #refuse(reason: Refusal): void {
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
  }
}

function targetOf(peer: { readonly id: PeerId; readonly host: string; readonly port: number }): Target {
  return { ...peer, failures: 0, isDialling: false, timer: undefined };
}

function endpointOf(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}`;
}
