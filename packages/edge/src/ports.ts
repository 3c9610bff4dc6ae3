/** What the gateway needs of the node it runs in. Implemented by the node's runtime, faked in tests. */
import type { Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Action } from '@itc/core/ledger/command.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import type { Height, Millis } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { StateKey } from '@itc/core/state/keys.js';
import type { DeviceState } from '@itc/core/state/device-record.js';

/** Of the ledger's record of a device, what the gateway looks at. */
export interface DeviceRecord {
  readonly owner: Address;
  /** How many owners came before. */
  readonly transfers: number;
  readonly ownedSince: Millis;
  readonly state: DeviceState;
}

/** What a command wants, so that of several grants the one that allows it is shown. */
export interface Wanted {
  readonly action: Action;
  readonly at: Millis;
}

/** The ledger this gateway follows (main-chain observer in the same process). Synchronous, from memory. */
export interface LedgerPort {
  readonly chain: Hash;
  readonly gateway: Address;
  head(): { readonly height: Height; readonly time: Millis };
  device(address: Address): DeviceRecord | undefined;
  /**
   * Encoded `AccessProof` of core/light against the newest certified header; undefined without a record of the device there.
   * Without `wanted` it shows a grant that is in force, if there is one.
   */
  accessProof(device: Address, subject: Address, wanted?: Wanted): Uint8Array | undefined;
  /** What `accessProof` shows, as state keys for a light stream (LIGHT-15.1). */
  accessKeys(device: Address, subject: Address, wanted?: Wanted): readonly StateKey[] | undefined;
  /** Light stream from an epoch to the newest header, with these records under it; undefined where none leads there. */
  stream(epoch: number, keys: readonly StateKey[]): Uint8Array | undefined;
  /** Of the newest certified header. */
  epoch(): number;
  /** Changes when something does, under the newest certified header, that the device itself should hear of. */
  deviceNews(device: Address): string;
  /** Whether a subject holds a grant to read what the device says now. */
  mayRead(device: Address, subject: Address, at: Millis): boolean;
  /** Newest header ‖ its certificate, in their canonical encodings; undefined before the first block. */
  trustUpdate(): Uint8Array | undefined;
  /** Hash of a certified header; undefined above the newest one, and where it is not kept. */
  anchor(height: number): Hash | undefined;
  /** Called after each new head; returns how to stop. */
  onHead(listener: () => void): () => void;
}

export interface PayloadProgress {
  readonly payloads: readonly Hash[];
  readonly stage: 'in-dag' | 'accepted' | 'final';
  readonly envelope?: Hash;
  readonly checkpoint?: number;
  readonly height?: number;
  readonly time: number;
}

/** The subnet member in the same process. */
export interface SubnetPort {
  /** This gateway's key: it signs as attester with it. */
  readonly key: PublicKey;
  sign(bytes: Uint8Array): Uint8Array;
  /** Bits of work that the subnet's last checkpoint asks of its members. */
  powBits(): number;
  /** Queues a verified payload for the next envelope; refuses while its queue is full. */
  offer(payload: Payload): Result<void, ErrorCode>;
  onProgress(listener: (progress: PayloadProgress) => void): () => void;
  /** Payloads of an envelope that joined the DAG here, whoever issued it, told before its progress; signatures checked. */
  onHeard(listener: (payloads: readonly Payload[]) => void): () => void;
  /** Payloads of the newest checkpoints, oldest first: what may have been missed in the moment of a crash. */
  recent(): Iterable<Payload>;
  /** Where a payload became final, if it did: what this gateway missed while it was away. */
  final(
    payload: Hash,
  ): { readonly checkpoint: number; readonly height: number; readonly time: number } | undefined;
}

/** Readings of batches that other gateways of the subnet have taken. */
export interface BatchPort {
  /** How batches are found here, and what becomes of those that come; they are not checked. */
  use(o: {
    readonly find: (id: Hash) => readonly Uint8Array[] | undefined;
    readonly take: (id: Hash, readings: readonly Uint8Array[]) => void;
  }): void;
  /** A batch was heard of whose readings are not here. */
  want(id: Hash): void;
  /** They are here. */
  has(id: Hash): void;
}

export interface SignedItem {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** One verdict per item, in order. Rejects (`not-ready`) when it has too much to do; nothing was verified then. */
export type BatchVerifier = (items: readonly SignedItem[]) => Promise<readonly boolean[]>;
