/** Which validators decided which heights: one entry per epoch, kept for ever, for proofs, laggards and restarts. */
import { decode, type Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { readCertificate, readHeader, writeCertificate, writeHeader } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epoch, height, type Epoch, type Height } from '@itc/core/ledger/ids.js';
import { readHash } from '@itc/core/ledger/fields.js';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import type { Change, Table, Tables } from '../ports.ts';

export interface EpochStart {
  readonly epoch: Epoch;
  /** First height; the block below it closed the epoch before. */
  readonly since: Height;
  readonly validators: ValidatorSet;
  /** After executing the block below `since`: what the new validators sign first. */
  readonly stateRoot: Hash;
  /**
   * The header that closed the epoch before, with its certificate: pruning takes the block, light clients go on asking
   * for its proof. With it the table proves itself from genesis. Undefined for epoch 0.
   */
  readonly closing: CertifiedHeader | undefined;
}

/** Name of the table in storage: key u32 epoch, value as written by `epochChange`. */
export const EPOCHS_TABLE = 'epochs';

export class EpochTable {
  readonly #table: Table;
  readonly #first: EpochStart;
  /** Entries of blocks executed, whether they are in the table yet or not; starts with the latest one stored. */
  readonly #recent: EpochStart[];

  /** `first` is epoch 0, which follows from genesis and is not stored. */
  constructor(tables: Tables, first: EpochStart) {
    this.#table = tables.table(EPOCHS_TABLE);
    this.#first = first;
    const [stored] = this.#table.range({ reverse: true, limit: 1 });
    this.#recent = [stored === undefined ? first : decodeStart(stored.value)];
  }

  /** The epoch of the block above the committed one. */
  get latest(): EpochStart {
    return this.#recent.at(-1) as EpochStart;
  }

  at(of: number): EpochStart | undefined {
    if (of === 0) return this.#first;
    const recent = this.#recent.find((start) => start.epoch === of);
    if (recent !== undefined) return recent;
    const stored = this.#table.get(epochKey(of));
    return stored === undefined ? undefined : decodeStart(stored);
  }

  /** The epoch a height belongs to. Binary search: epochs are numbered without gaps. */
  of(of: number): EpochStart {
    if (of >= this.latest.since) return this.latest;
    let low = 0;
    let high: number = this.latest.epoch;
    let found = this.#first;
    while (low < high) {
      const middle = (low + high) >> 1;
      const start = this.at(middle);
      if (start === undefined)
        throw new LedgerError('storage.corrupt', `the table of epochs lacks epoch ${middle}`);
      if (start.since <= of) {
        found = start;
        low = middle + 1;
      } else high = middle;
    }
    return found;
  }

  /** The block that closed the epoch before was executed. */
  add(start: EpochStart): void {
    this.#recent.push(start);
  }

  /** Epochs that begin up to this height are in storage now; the latest one stays at hand. */
  stored(upTo: number): void {
    while ((this.#recent[1]?.since ?? Number.POSITIVE_INFINITY) <= upTo) this.#recent.shift();
  }
}

/** How an entry is stored. */
export function epochChange(start: EpochStart): Change {
  const writer = new Writer(256).u53(start.since).fixed(start.stateRoot, HASH_BYTES).u32(start.epoch);
  writeValidatorSet(writer, start.validators);
  if (start.closing === undefined) throw new RangeError('epoch 0 follows from genesis and is not stored');
  writeHeader(writer, start.closing.header);
  writeCertificate(writer, start.closing.certificate);
  return { table: EPOCHS_TABLE, key: epochKey(start.epoch), value: writer.finish() };
}

function epochKey(of: number): Uint8Array {
  return new Writer(4).u32(of).finish();
}

function decodeStart(bytes: Uint8Array): EpochStart {
  const decoded = decode(readStart, bytes);
  if (!decoded.ok)
    throw new LedgerError(
      'storage.corrupt',
      `an entry of the table of epochs does not decode: ${decoded.message}`,
    );
  return decoded.value;
}

function readStart(reader: Reader): EpochStart {
  const since = height(reader.u53());
  const stateRoot = readHash(reader);
  const its = epoch(reader.u32());
  const validators = readValidatorSet(reader);
  const closing = { header: readHeader(reader), certificate: readCertificate(reader) };
  return { epoch: its, since, stateRoot, validators, closing };
}
