/** A batch of devices on disk: its tree level by level, and the factory's seed from which keys and codes follow. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { ED25519, type PublicKey } from '@itc/core/crypto/signature.js';
import { endorsementSigningBytes } from '@itc/core/ledger/bodies/device.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { batchPath, type LeafKeys, type NodeStore } from '@itc/client/batch-tree.js';
import { claimSeedOf, CODE_SECRET_BYTES, formatManualCode } from '@itc/client/manual-code.js';
import type { Voucher } from '@itc/client/voucher.js';
import { expandSeed, signNative } from '@itc/node/crypto/native.js';

/** What is told of a batch; no secret is in it. */
export interface BatchNote {
  readonly id: string;
  readonly maker: string;
  readonly root: string;
  readonly count: number;
  readonly model: string;
  readonly depositPerDevice: string;
}

const BUFFER_BYTES = 1 << 20;
/** Leaves between two turns of the event loop. */
const TURN = 1_000;

interface LevelFile {
  readonly file: number;
  readonly buffer: Uint8Array;
  length: number;
}

/** Levels as files; what was appended is read after `close`. */
export class FileNodes implements NodeStore {
  readonly #folder: string;
  readonly #levels: LevelFile[] = [];
  readonly #open: Map<number, number> = new Map();

  constructor(folder: string) {
    this.#folder = folder;
  }

  append(level: number, node: Hash): void {
    const here = this.#level(level);
    if (here.length === here.buffer.length) this.#flush(level);
    here.buffer.set(node, here.length);
    here.length += HASH_BYTES;
  }

  read(level: number, index: number): Hash {
    let file = this.#open.get(level);
    if (file === undefined) {
      file = openSync(this.#path(level), 'r');
      this.#open.set(level, file);
    }
    const bytes = new Uint8Array(HASH_BYTES);
    const read = readSync(file, bytes, 0, HASH_BYTES, HASH_BYTES * index);
    if (read !== HASH_BYTES)
      throw new LedgerError('storage.corrupt', 'the tree of the batch is cut off', { level, index });
    return asHash(bytes);
  }

  close(): void {
    for (const level of this.#levels.keys()) {
      this.#flush(level);
      closeSync(this.#level(level).file);
    }
    this.#levels.length = 0;
    for (const file of this.#open.values()) closeSync(file);
    this.#open.clear();
  }

  #level(level: number): LevelFile {
    // Levels are begun in their order. Each is half as long as the one below, and so is its buffer.
    this.#levels[level] ??= {
      file: openSync(this.#path(level), 'w', 0o644),
      buffer: new Uint8Array(Math.max(HASH_BYTES, BUFFER_BYTES >> level)),
      length: 0,
    };
    return this.#levels[level];
  }

  #flush(level: number): void {
    const here = this.#level(level);
    if (here.length > 0) writeSync(here.file, here.buffer, 0, here.length);
    here.length = 0;
  }

  #path(level: number): string {
    return join(this.#folder, `level-${String(level).padStart(2, '0')}`);
  }
}

/**
 * The factory of a devnet: keys of devices and secrets of vouchers follow from one seed, so a million of them take no room. A real
 * one hears the public key from each device and keeps nothing.
 */
export class Factory {
  readonly #seed: Uint8Array;

  constructor(seed: Uint8Array) {
    this.#seed = seed;
  }

  deviceSeed(index: number): Uint8Array {
    return this.#derive('itc factory device', index);
  }

  secret(index: number): Uint8Array {
    return this.#derive('itc factory code', index).slice(0, CODE_SECRET_BYTES);
  }

  keys(index: number): LeafKeys & { readonly secretKey: Uint8Array } {
    const { publicKey, secretKey } = expandSeed(this.deviceSeed(index));
    const device: PublicKey = { algorithm: ED25519, bytes: publicKey };
    const claimKey = expandSeed(claimSeedOf(device, this.secret(index))).publicKey;
    return { device, claimKey: { algorithm: ED25519, bytes: claimKey }, secretKey };
  }

  async *leaves(count: number): AsyncGenerator<LeafKeys, void> {
    for (let index = 0; index < count; index += 1) {
      // Minutes without a turn of the loop would hide that the node has closed the connection meanwhile.
      if (index % TURN === TURN - 1) await new Promise((resolve) => setImmediate(resolve));
      yield this.keys(index);
    }
  }

  /** Voucher and code of one device, with its path in a tree that was built. */
  voucher(
    batch: Hash,
    nodes: NodeStore,
    o: { readonly count: number; readonly index: number },
  ): { readonly voucher: Voucher; readonly code: string } {
    const { index, count } = o;
    const { device, claimKey, secretKey } = this.keys(index);
    const secret = this.secret(index);
    const voucher: Voucher = {
      batch,
      device,
      claimSeed: claimSeedOf(device, secret),
      index,
      path: batchPath(nodes, count, index),
      endorsement: signNative(secretKey, endorsementSigningBytes(device, claimKey)),
    };
    return { voucher, code: formatManualCode(device, secret) };
  }

  #derive(label: string, index: number): Uint8Array {
    const writer = new Writer(64).raw(utf8Encode(label)).u8(0).raw(this.#seed).u32(index);
    return sha256(writer.finish());
  }
}

const SEED = 'factory.seed';
const NOTE = 'batch.json';

export function createFolder(folder: string, seed: Uint8Array): void {
  if (existsSync(join(folder, SEED)))
    throw new LedgerError('key.exists', `${folder} holds a batch already; choose another folder`, { folder });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, SEED);
  writeFileSync(path, `${toHex(seed)}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
}

export function writeNote(folder: string, note: BatchNote): void {
  writeFileSync(join(folder, NOTE), `${JSON.stringify(note, undefined, 2)}\n`);
}

/** The tree is whole; whether it is registered, the ledger knows. */
export function isBuilt(folder: string): boolean {
  return existsSync(join(folder, NOTE));
}

export function openFolder(folder: string): { readonly note: BatchNote; readonly factory: Factory } {
  if (!existsSync(join(folder, NOTE)))
    throw new LedgerError('not-found', `${folder} holds no batch; make one with: itc device batch`, {
      folder,
    });
  const note = JSON.parse(readFileSync(join(folder, NOTE), 'utf8')) as BatchNote;
  const seed = fromHex(readFileSync(join(folder, SEED), 'utf8').trim());
  if (!seed.ok) throw new LedgerError('key.malformed', `${folder}: ${seed.message}`, { folder });
  return { note, factory: new Factory(seed.value) };
}
