/**
 * The write-ahead log of a validator through the epochs (spec NODE-9). An empty log is made once, when a node's data
 * folder is set up. A log that is missing later means that the disk was lost, and with it the memory of votes given:
 * a node without a log does not vote.
 */
import { join } from 'node:path';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epoch, type Epoch } from '@itc/core/ledger/ids.js';
import { decodeLogRecord, encodeLogRecord, epochOfRecord, type LogRecord } from '@itc/core/pbft/log.js';
import type { Disk, Random } from '../ports.ts';
import { WriteAheadLog } from '../storage/write-ahead-log.ts';
import { parseCandidate } from './candidates.ts';
import type { RecordLog } from './replica-driver.ts';

export interface ReplicaLogPlace {
  readonly disk: Disk;
  /** Data folder of the node. */
  readonly folder: string;
  readonly random: Random;
}

const FOLDER = 'replica';

/** Part of setting up a validator's data folder. Fine when there is a log already: it is left as it is. */
export async function createReplicaLog(place: ReplicaLogPlace): Promise<void> {
  const { log } = await openLog(place);
  await log.close();
}

export class ReplicaLog implements RecordLog, AsyncDisposable {
  readonly #place: ReplicaLogPlace;
  #log: WriteAheadLog | undefined;
  #records: readonly LogRecord[];
  /** Latest epoch the log speaks of. */
  #epoch: Epoch;
  /** What was read at the start was handed out. */
  #isBegun = false;

  private constructor(place: ReplicaLogPlace, log: WriteAheadLog | undefined, records: readonly LogRecord[]) {
    this.#place = place;
    this.#log = log;
    this.#records = records;
    this.#epoch = epoch(Math.max(0, ...records.map((record) => epochOfRecord(record) ?? 0)));
  }

  /** Errors: `storage.corrupt`, `storage.full`, `storage.failed`. */
  static async open(place: ReplicaLogPlace): Promise<ReplicaLog> {
    const { disk, folder } = place;
    if (disk.list(join(folder, FOLDER)).length === 0) return new ReplicaLog(place, undefined, []);
    const { log, records } = await openLog(place);
    return new ReplicaLog(place, log, records.map(decode));
  }

  /** There was none when the process started, and none was made since. */
  get isMissing(): boolean {
    return this.#log === undefined;
  }

  /**
   * Whether the log tells of a later epoch than this one: the chain was lost and is being fetched again, and until
   * it has come back to where the log is, the log must be kept and nothing be voted.
   */
  isAheadOf(of: Epoch): boolean {
    return this.#epoch > of;
  }

  /**
   * What is to be restored in the epoch that begins now; a missing log is made. What is left of earlier epochs goes with the
   * first stable checkpoint of this one, not here: a log emptied before it says anything about the new epoch could not be
   * told from one that never promised anything, should the chain be lost in that moment.
   */
  async begin(of: Epoch): Promise<readonly LogRecord[]> {
    if (this.isAheadOf(of))
      throw new RangeError(`the log holds votes of epoch ${this.#epoch}, later than ${of}`);
    // Again in one epoch, after a snapshot: everything said in it since is to be remembered.
    if (this.#log !== undefined && this.#isBegun && this.#epoch === of) await this.#readAgain(this.#log);
    this.#isBegun = true;
    this.#log ??= (await openLog(this.#place)).log;
    const records = this.#epoch === of ? this.#records : [];
    this.#epoch = of;
    this.#records = [];
    return records;
  }

  async #readAgain(log: WriteAheadLog): Promise<void> {
    await log.close();
    const opened = await openLog(this.#place);
    this.#log = opened.log;
    this.#records = opened.records.map(decode);
  }

  append(records: readonly LogRecord[]): Promise<void> {
    return this.#opened().append(records.map(encodeLogRecord));
  }

  compact(records: readonly LogRecord[]): Promise<void> {
    return this.#opened().compact(records.map(encodeLogRecord));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log?.close();
  }

  #opened(): WriteAheadLog {
    if (this.#log === undefined) throw new RangeError('nobody votes without a log');
    return this.#log;
  }
}

function openLog({ disk, folder, random }: ReplicaLogPlace): ReturnType<typeof WriteAheadLog.open> {
  return WriteAheadLog.open({ disk, folder: join(folder, FOLDER), random });
}

function decode(bytes: Uint8Array): LogRecord {
  const record = decodeLogRecord(bytes, parseCandidate);
  if (!record.ok)
    throw new LedgerError(
      'storage.corrupt',
      `the write-ahead log holds a record that does not decode: ${record.message}`,
    );
  return record.value;
}
