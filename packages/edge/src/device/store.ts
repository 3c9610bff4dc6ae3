/**
 * What a device keeps over a restart: small records, each written whole. Two slots in turn, so that a write torn by
 * loss of power leaves the one before (spec EDGE-10.4). A chip does the same with two flash pages.
 */
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';

export interface DeviceStore {
  /** The last record written under this name, or undefined. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Resolves when it is on the device for good. Calls for one name must not overlap. */
  write(name: string, bytes: Uint8Array): Promise<void>;
}

const CHECK_BYTES = 16;
const RECORD_BYTES_MAX = 65_536;

interface Slot {
  readonly generation: number;
  readonly bytes: Uint8Array;
}

export class TwoSlotStore implements DeviceStore {
  readonly #folder: string;
  readonly #generations: Map<string, number> = new Map();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    const slots = await Promise.all([0, 1].map((slot) => this.#slot(name, slot)));
    const newest = slots.reduce(
      (best, slot) => ((slot?.generation ?? -1) > (best?.generation ?? -1) ? slot : best),
      undefined,
    );
    this.#generations.set(name, newest?.generation ?? 0);
    return newest?.bytes;
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    if (!this.#generations.has(name)) await this.read(name);
    const generation = (this.#generations.get(name) ?? 0) + 1;
    const body = new Writer(bytes.length + 16).u53(generation).bytes(bytes).finish();
    try {
      await mkdir(this.#folder, { recursive: true });
      await using file = await open(this.#path(name, generation % 2), 'w', 0o600);
      await file.writeFile(
        new Writer(body.length + CHECK_BYTES).raw(body).raw(sha256(body).subarray(0, CHECK_BYTES)).finish(),
      );
      await file.sync();
    } catch (error) {
      throw new LedgerError('storage.failed', `cannot write ${name}`, { folder: this.#folder }, error);
    }
    this.#generations.set(name, generation);
  }

  #path(name: string, slot: number): string {
    return join(this.#folder, `${name}.${slot}`);
  }

  /** A slot that is absent, torn or damaged counts as none. */
  async #slot(name: string, slot: number): Promise<Slot | undefined> {
    let file: Uint8Array;
    try {
      file = new Uint8Array(await readFile(this.#path(name, slot)));
    } catch {
      return undefined;
    }
    if (file.length <= CHECK_BYTES) return undefined;
    const body = file.subarray(0, -CHECK_BYTES);
    if (!equalBytes(sha256(body).subarray(0, CHECK_BYTES), file.subarray(-CHECK_BYTES))) return undefined;
    const read = decode(
      (reader) => ({ generation: reader.u53(), bytes: reader.bytes(RECORD_BYTES_MAX).slice() }),
      body,
    );
    return read.ok ? read.value : undefined;
  }
}

/** For tests, and for devices that may forget. */
export class MemoryStore implements DeviceStore {
  readonly #records: Map<string, Uint8Array> = new Map();

  read(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#records.get(name)?.slice());
  }

  write(name: string, bytes: Uint8Array): Promise<void> {
    this.#records.set(name, bytes.slice());
    return Promise.resolve();
  }
}
