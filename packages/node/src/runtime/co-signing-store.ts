/**
 * Co-signed checkpoints on disk (spec QUANTUM-2.5): those that close an epoch for ever, because clients follow them from genesis; the
 * others as long as their blocks, and in number. Keys are kept once.
 */
import { idText } from '@itc/core/bytes/id-text.js';
import { decode, Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asAddress, type Address } from '@itc/core/ledger/address.js';
import { closesEpoch } from '@itc/core/ledger/block.js';
import { readCoSigners, type CoSigners } from '@itc/core/ledger/co-signers.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { CoSignature, CoSignedCheckpoint, CoSignedHop } from '@itc/core/light/co-signed-stream.js';
import type { Change, Table, Tables } from '../ports.ts';
import { decodeStored, encodeStored, type CoSignedEntry, type StoredEntry } from './co-signing-messages.ts';
import { heightKey } from './executed-blocks.ts';

/** Checkpoints kept besides those that close an epoch. */
export const CO_SIGNED_KEPT = 256;

const ENTRIES = 'co-signed';
const KEYS = 'co-signing-keys';
const PROMISES = 'co-signed-heights';

/** A checkpoint that leads to another epoch, as far as finding the way needs it. */
export interface Boundary {
  readonly header: CoSignedHop['header'];
  readonly coSigners: CoSigners;
  readonly coSignatures: readonly { readonly signer: Address }[];
}

export class CoSigningStore {
  readonly #tables: Tables;
  readonly #entries: Table;
  readonly #keys: Table;
  readonly #promises: Table;
  /** Heights that close no epoch, ascending. */
  #plain: number[] = [];
  /** By the epoch that ends. */
  readonly #boundaries = new Map<number, Boundary>();

  constructor(tables: Tables) {
    this.#tables = tables;
    this.#entries = tables.table(ENTRIES);
    this.#keys = tables.table(KEYS);
    this.#promises = tables.table(PROMISES);
    for (const { value } of this.#entries.range()) this.#note(stored(value));
  }

  /** Who co-signs in the epoch after the one that ended; undefined where that is not known here. */
  successorsOf(ended: number): CoSigners | undefined {
    return this.#boundaries.get(ended)?.coSigners;
  }

  /** In the order of their epochs. */
  boundaries(): Boundary[] {
    return [...this.#boundaries.values()].toSorted((a, b) => a.header.height - b.header.height);
  }

  boundary(of: number): Boundary | undefined {
    return this.#boundaries.get(of);
  }

  /** Of either kind, whatever is here of them; the newest first. */
  *newest(): Generator<StoredEntry, void> {
    for (const { value } of this.#entries.range({ reverse: true })) yield stored(value);
  }

  entry(of: number): StoredEntry | undefined {
    const value = this.#entries.get(heightKey(of));
    return value === undefined ? undefined : stored(value);
  }

  /** With the keys, as clients need it. */
  checkpoint(of: number): CoSignedCheckpoint | undefined {
    const entry = this.entry(of);
    return entry && { header: entry.header, stateRoot: entry.stateRoot, coSignatures: this.#withKeys(entry) };
  }

  hop(of: number): CoSignedHop | undefined {
    const entry = this.entry(of);
    const coSigners = entry && this.#boundaries.get(entry.header.epoch)?.coSigners;
    if (entry?.successors === undefined || coSigners === undefined) return undefined;
    const { header, stateRoot, successors } = entry;
    return { header, stateRoot, successors, coSigners, coSignatures: this.#withKeys(entry) };
  }

  /** Replaces what was there. Resolves when it is durable. */
  async put(entry: CoSignedEntry, coSignatures: readonly CoSignature[], floor: number): Promise<void> {
    const whole = { ...entry, signatures: coSignatures };
    const changes: Change[] = coSignatures
      .filter(({ signer }) => !this.#keys.has(signer))
      .map(({ signer, key }) => ({ table: KEYS, key: signer, value: key }));
    changes.push({ table: ENTRIES, key: heightKey(entry.header.height), value: encodeStored(whole) });
    this.#note(whole);
    const gone = this.#plain.filter((at, i) => at < floor || i < this.#plain.length - CO_SIGNED_KEPT);
    for (const at of gone) changes.push({ table: ENTRIES, key: heightKey(at), value: undefined });
    this.#plain = this.#plain.slice(gone.length);
    await this.#tables.commit(changes);
  }

  /** The highest height this key has signed; 0 for none. */
  signedUpTo(signer: Address): number {
    const value = this.#promises.get(signer);
    return value === undefined ? 0 : new Reader(value).u53();
  }

  /** Before the signature leaves: the same key never signs another checkpoint at this height. */
  async promise(signer: Address, of: number): Promise<void> {
    await this.#tables.commit([{ table: PROMISES, key: signer, value: new Writer(8).u53(of).finish() }]);
    await this.#tables.flush();
  }

  #note({ header, successors, signatures }: StoredEntry): void {
    if (!closesEpoch(header)) {
      if (this.#plain.includes(header.height)) return;
      this.#plain.push(header.height);
      this.#plain.sort((a, b) => a - b);
      return;
    }
    const coSigners = successors && decode(readCoSigners, successors.record);
    if (coSigners === undefined) return;
    if (!coSigners.ok) throw new LedgerError('storage.corrupt', 'a record of co-signers does not decode');
    const coSignatures = signatures.map(({ signer }) => ({ signer }));
    this.#boundaries.set(header.epoch, { header, coSigners: coSigners.value, coSignatures });
  }

  #withKeys({ signatures }: StoredEntry): CoSignature[] {
    return signatures.map(({ signer, signature }) => {
      const key = this.#keys.get(signer);
      if (key === undefined)
        throw new LedgerError('storage.corrupt', `the co-signing key ${idText(signer)} is missing`);
      return { signer: asAddress(signer.slice()), key: key.slice(), signature };
    });
  }
}

function stored(value: Uint8Array): StoredEntry {
  const entry = decodeStored(value);
  if (!entry.ok)
    throw new LedgerError('storage.corrupt', `a co-signed checkpoint does not decode: ${entry.message}`);
  return entry.value;
}
