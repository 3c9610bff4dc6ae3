/**
 * What a node that took over a snapshot remembers of it: the anchor below which it has no states, and which of two
 * stores of pages holds the state. The new state is gathered in the store that is not in use and taken into use by one
 * small batch, so that a crash finds the one or the other, whole.
 */
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { readStable, writeStable, type StableCertificate } from '@itc/core/ledger/stable-certificate.js';
import type { Change, Tables } from '../ports.ts';

export interface SnapshotBase {
  readonly anchor: StableCertificate;
  /** Store of the state in use. */
  readonly state: StateName;
}

export type StateName = (typeof STATES)[number];

const STATES = ['state', 'state-2'] as const;
/** Key in the table `meta`; 0 is that of `ExecutedBlocks`. */
const KEY = Uint8Array.of(1);

/** Undefined for a node that has executed everything since genesis. */
export function snapshotBase(tables: Tables): SnapshotBase | undefined {
  const stored = tables.table('meta').get(KEY);
  if (stored === undefined) return undefined;
  const base = decode((reader): SnapshotBase => {
    const [first, second] = STATES;
    return { state: reader.bool() ? second : first, anchor: readStable(reader) };
  }, stored);
  if (!base.ok)
    throw new LedgerError('storage.corrupt', `the anchor of the state does not decode: ${base.message}`);
  return base.value;
}

/** Store of the state in use. */
export function stateName(tables: Tables): StateName {
  return snapshotBase(tables)?.state ?? STATES[0];
}

/** Where the next state is gathered. */
export function otherStateName(tables: Tables): StateName {
  const [first, second] = STATES;
  return stateName(tables) === first ? second : first;
}

export function snapshotBaseChange({ state, anchor }: SnapshotBase): Change {
  const writer = new Writer(512).bool(state === STATES[1]);
  writeStable(writer, anchor);
  return { table: 'meta', key: KEY, value: writer.finish() };
}
