/**
 * The rental a device serves, by its own account (spec EDGE-13): when it began, how often it was used, when it ended. The chain
 * believes nobody else about that, so it is kept with what must not be forgotten.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Reader } from '@itc/core/bytes/reader.js';
import type { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { Action } from '@itc/core/ledger/command.js';
import { readHash } from '@itc/core/ledger/fields.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import type { RentalWord } from '@itc/core/ledger/rental.js';
import type { Allowed } from '@itc/core/light/access.js';

export interface RentalRun {
  readonly id: Hash;
  readonly startedAt: Millis;
  /** The last moment of it, as far as a proof has shown. */
  readonly until: Millis;
  readonly uses: number;
  /** Absent while it goes on. */
  readonly endedAt: Millis | undefined;
}

export type RentalStep =
  | { readonly kind: 'refuse' }
  | {
      readonly kind: 'go';
      /** To be kept. */
      readonly run: RentalRun | undefined;
      /** To be said, after it is kept. */
      readonly word?: RentalWord;
    };

/**
 * Whether a command that access allows is obeyed, and what it does to the rental. Whoever has access without renting is not
 * concerned. One rental is remembered: when another begins, the chain has settled the one before.
 */
export function stepRental(
  run: RentalRun | undefined,
  o: {
    readonly rental: Allowed['rental'];
    readonly action: Action;
    /** A use for somebody who pays by use: the lamp goes on. */
    readonly isUse: boolean;
    readonly now: Millis;
  },
): RentalStep {
  const { rental, action, isUse, now } = o;
  if (rental === undefined) return { kind: 'go', run };
  const { id, until } = rental;
  const own = run !== undefined && equalBytes(run.id, id) ? run : undefined;
  if (action.kind === 'begin') {
    if (own !== undefined) return own.endedAt === undefined ? { kind: 'go', run: own } : { kind: 'refuse' };
    const begun: RentalRun = { id, startedAt: now, until, uses: 0, endedAt: undefined };
    return { kind: 'go', run: begun, word: wordOf(begun) };
  }
  if (own === undefined) return { kind: 'refuse' };
  if (action.kind === 'end') return own.endedAt === undefined ? ended(own, now) : { kind: 'go', run: own };
  if (own.endedAt !== undefined) return { kind: 'refuse' };
  const next = { ...own, until };
  if (!isUse) return { kind: 'go', run: next };
  const used = { ...next, uses: own.uses + 1 };
  return { kind: 'go', run: used, word: { rental: id, event: 'used', at: now, uses: used.uses } };
}

/** What the ledger shows of a device's rental under a header that is believed. */
export interface ShownRental {
  readonly id: Hash;
  /** The last moment of it; absent as long as the ledger has not heard that it began. */
  readonly end: Millis | undefined;
}

/** What the run is after that was shown, or that there is none: a renter may have given the device back, or all is settled. */
export function heardOf(
  run: RentalRun | undefined,
  shown: ShownRental | undefined,
  now: Millis,
): RentalRun | undefined {
  if (run === undefined || run.endedAt !== undefined) return run;
  if (shown === undefined || !equalBytes(shown.id, run.id)) return endingAt(run, Math.min(run.until, now));
  return shown.end === undefined ? run : endingAt(run, shown.end);
}

function endingAt(run: RentalRun, end: number): RentalRun {
  const until = millis(Math.max(end, run.startedAt));
  return until === run.until ? run : { ...run, until };
}

/** When its time is over the device says so by itself. Undefined where there is nothing to say. */
export function overdueRental(
  run: RentalRun | undefined,
  now: Millis,
): Extract<RentalStep, { kind: 'go' }> | undefined {
  if (run === undefined || run.endedAt !== undefined || now < run.until) return undefined;
  return ended(run, run.until);
}

function ended(run: RentalRun, at: Millis): Extract<RentalStep, { kind: 'go' }> {
  const over = { ...run, endedAt: millis(Math.max(at, run.startedAt)) };
  return { kind: 'go', run: over, word: wordOf(over) };
}

/** Where it stands, to be said again after a restart: the word before may have been lost. */
export function wordOf({ id: rental, startedAt, uses, endedAt }: RentalRun): RentalWord {
  if (endedAt === undefined) return { rental, event: 'started', at: startedAt, uses: 0 };
  return { rental, event: 'stopped', at: endedAt, uses };
}

export function writeRentalRun(writer: Writer, run: RentalRun | undefined): void {
  writer.bool(run !== undefined);
  if (run === undefined) return;
  writer
    .fixed(run.id, HASH_BYTES)
    .u53(run.startedAt)
    .u53(run.until)
    .u32(run.uses)
    .bool(run.endedAt !== undefined);
  if (run.endedAt !== undefined) writer.u53(run.endedAt);
}

export function readRentalRun(reader: Reader): RentalRun | undefined {
  if (!reader.bool()) return undefined;
  return {
    id: readHash(reader),
    startedAt: millis(reader.u53()),
    until: millis(reader.u53()),
    uses: reader.u32(),
    endedAt: reader.bool() ? millis(reader.u53()) : undefined,
  };
}
