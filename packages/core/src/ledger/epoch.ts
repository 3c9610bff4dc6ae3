/**
 * Epochs (spec STATE-9): the heights over which one validator set decides. An epoch ends at a checkpoint height, and
 * only when something is to change: the set, or a validator that lost its disk and asks for a fresh start.
 */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { amount, epoch, height, type Amount, type Epoch, type Height } from './ids.ts';
import { LIMITS } from './limits.ts';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from './validators.ts';

/** The record of the state that says who decides, and what has been set aside for them. */
export interface EpochRecord {
  readonly epoch: Epoch;
  /** First height of the epoch. */
  readonly since: Height;
  /** Keys here are consensus keys: those that sign votes. */
  readonly validators: ValidatorSet;
  /** Elected `pipelineDepth` below the height that closes the epoch, so that the closing header commits it. */
  readonly next: ElectedSet | undefined;
  /** Fees collected and not paid out yet. */
  readonly fees: Amount;
  /** What is left for rewards. */
  readonly reserve: Amount;
  /** Taken from culprits, for good. */
  readonly burned: Amount;
}

export interface ElectedSet {
  readonly validators: ValidatorSet;
  /** Last height of the epoch that elected it. */
  readonly closes: Height;
}

/** What a header must say about its epoch. */
export interface EpochAt {
  readonly epoch: Epoch;
  readonly validators: ValidatorSet;
  /** Whether the block is the last of its epoch. */
  readonly closes: boolean;
  /** Who decides on the block above. */
  readonly nextValidators: ValidatorSet;
}

/**
 * For a header of `at`, from the record in the state it commits to (`pipelineDepth` heights below). In the first
 * heights of an epoch that state still holds the set as elected, not as installed.
 */
export function epochAt(record: EpochRecord, at: Height): EpochAt {
  const { next } = record;
  if (next === undefined || at < next.closes) {
    const { validators } = record;
    return { epoch: record.epoch, validators, closes: false, nextValidators: validators };
  }
  if (at === next.closes)
    return {
      epoch: record.epoch,
      validators: record.validators,
      closes: true,
      nextValidators: next.validators,
    };
  return {
    epoch: epoch(record.epoch + 1),
    validators: next.validators,
    closes: false,
    nextValidators: next.validators,
  };
}

/** Whether the block of this height is followed by an election: its state is what the next checkpoint height's header commits. */
export function electsAt(at: Height): boolean {
  return at % LIMITS.checkpointInterval === LIMITS.checkpointInterval - LIMITS.pipelineDepth;
}

export function writeEpochRecord(writer: Writer, record: EpochRecord): void {
  writer.u32(record.epoch).u53(record.since);
  writeValidatorSet(writer, record.validators);
  writer.bool(record.next !== undefined);
  if (record.next !== undefined) {
    writeValidatorSet(writer, record.next.validators);
    writer.u53(record.next.closes);
  }
  writer.u64(record.fees).u64(record.reserve).u64(record.burned);
}

export function readEpochRecord(reader: Reader): EpochRecord {
  return {
    epoch: epoch(reader.u32()),
    since: height(reader.u53()),
    validators: readValidatorSet(reader),
    next: reader.bool() ? { validators: readValidatorSet(reader), closes: height(reader.u53()) } : undefined,
    fees: amount(reader.u64()),
    reserve: amount(reader.u64()),
    burned: amount(reader.u64()),
  };
}
