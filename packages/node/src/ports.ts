/**
 * The only ways out of a node: time, chance, files, tables and peers. Everything else in this package is
 * written against these, so the simulator can replace them; each has one contract suite that runs against
 * the real thing and its in-memory fake.
 */
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Millis } from '@itc/core/ledger/ids.js';

/** A pending timer. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall time. May jump; for values that leave the node (block times), never for durations. */
  now(): Millis;
  /** Milliseconds since an arbitrary start, never decreasing; for durations and deadlines. */
  monotonicMs(): number;
  /** Runs the callback once after at least `delayMs`. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
}

export interface Random {
  /** Fresh unpredictable bytes (in a simulation: drawn from the seed). */
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1); for jitter and choices, not for secrets. */
  uniform(): number;
}

/**
 * Files. Reads and writes are synchronous: they end in the page cache, and a thread hop costs more than
 * they do. `sync` waits for the device and is therefore asynchronous.
 * Errors: `storage.full` when no space is left, `storage.failed` for any other refusal of the system.
 */
export interface Disk {
  /** Creates the folder with its parents; fine when it exists. */
  makeFolder(folder: string): void;
  /** Names of the files in a folder, sorted; empty when there is no such folder. */
  list(folder: string): readonly string[];
  /** Opens for reading and writing, creating an empty file when absent. */
  open(path: string): DiskFile;
  /** Replaces `to` by `from` in one step. Durable after `syncFolder`. */
  rename(from: string, to: string): void;
  /** Fine when the file is gone already. */
  remove(path: string): void;
  /** Makes creations, renames and removals inside the folder durable. */
  syncFolder(folder: string): Promise<void>;
}

export interface DiskFile {
  /** Bytes in the file now. */
  size(): number;
  /** All of it or an error; after an error the bytes at and after `at` are undefined. */
  write(bytes: Uint8Array, at: number): void;
  /** Up to `length` bytes; fewer only at the end of the file. The result is the caller's. */
  read(at: number, length: number): Uint8Array;
  truncate(size: number): void;
  /** Resolves when everything written before the call is on the device (fdatasync). */
  sync(): Promise<void>;
  close(): void;
}

/** An ordered map of byte keys (1 to 512 bytes) to byte values, one of several in a `Tables`. */
export interface Table {
  get(key: Uint8Array): Uint8Array | undefined;
  /** For large values of which little is wanted: what `read` sees is not its own, and is gone when it returns. */
  view<T>(key: Uint8Array, read: (value: Uint8Array) => T): T | undefined;
  has(key: Uint8Array): boolean;
  /** Entries in key order: from `start` (inclusive) to `end` (exclusive); reversed when asked, from the end downwards. */
  range(options?: RangeOptions): Iterable<Entry>;
  count(): number;
}

export interface RangeOptions {
  readonly start?: Uint8Array;
  readonly end?: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
}

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** `value: undefined` removes the key. */
export interface Change {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** Named tables with atomic batches over all of them. */
export interface Tables extends AsyncDisposable {
  /** The same object for the same name; created when absent. */
  table(name: string): Table;
  /**
   * Applies all changes or none, later ones over earlier ones; resolves when they are visible to reads.
   * Survives kill -9 from there, and loss of power after `flush`. Errors: `storage.full`, `storage.failed`.
   */
  commit(changes: readonly Change[]): Promise<void>;
  /** Resolves when every earlier commit is on the device. */
  flush(): Promise<void>;
}

/** Lower-case hex of the peer's 32-byte ledger key: a map key and a name for logs. */
export type PeerId = string;

export type PeerRole = 'validator' | 'gateway' | 'member' | 'observer';

/** What the handshake has proved: the peer holds the secret of `key`, on this connection, for this chain. */
export interface Peer {
  readonly id: PeerId;
  readonly key: PublicKey;
  readonly address: Address;
  readonly role: PeerRole;
  /** `host:port` where the peer says it listens; empty when it does not. A claim, not a proof. */
  readonly listen: string;
}

/** Votes overtake proposals and requests, which overtake bulk. Lower goes first. */
export type Priority = 0 | 1 | 2;
export const PRIORITY: { readonly urgent: 0; readonly normal: 1; readonly bulk: 2 } = {
  urgent: 0,
  normal: 1,
  bulk: 2,
};

export interface Channel {
  /** 1 to 255 (0 is the connection's own); the same on both sides. */
  readonly number: number;
  /** Checked on the announced length, before anything is allocated. */
  readonly bytesMax: number;
  readonly priority: Priority;
  /**
   * Called once per message, fairly between peers. The bytes are a view into the read buffer: decode at
   * once or copy. It must not throw: what a peer sent is judged by returned values.
   */
  readonly receive: (peer: Peer, bytes: Uint8Array) => void;
}

export interface PeerListener {
  /** At most one connection per peer: `connected` and `disconnected` alternate for each id. */
  connected?(peer: Peer): void;
  disconnected?(peer: Peer, reason: DisconnectReason): void;
}

export type DisconnectReason =
  | 'closed' // by us
  | 'ended' // by the peer, or the path broke
  | 'silent' // no sign of life
  | 'replaced' // by another connection of the same pair
  | 'malformed' // a frame breaks the rules
  | 'too-long' // an announced length exceeds the channel's
  | 'unwelcome' // no longer allowed to connect
  | 'expelled'; // `disconnect` was called

export interface Transport extends AsyncDisposable {
  readonly self: PeerId;
  /** Before `start`, once per channel number. */
  open(channel: Channel): void;
  /** Before `start`, or at any time: earlier events are not repeated. */
  listen(listener: PeerListener): void;
  start(): Promise<void>;
  peers(): readonly Peer[];
  /** Written to peers since the start, where it is counted. */
  sentBytes?(): number;
  /** Queues a message. False when there is no such peer or its queue for this priority is full: the message is dropped and counted. */
  send(peer: PeerId, channel: number, bytes: Uint8Array): boolean;
  /** To all connected peers; returns to how many. */
  broadcast(channel: number, bytes: Uint8Array): number;
  /** Ends the connection because of what the peer did (an invalid signature); it may come back after a pause. */
  disconnect(peer: PeerId): void;
}
