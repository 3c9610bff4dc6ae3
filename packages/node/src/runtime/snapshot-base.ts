/**
 * What a node that took over a snapshot remembers of it: the anchor below which it has no states, and which of two
 * tables holds the records. The new state is gathered in the table that is not in use and taken into use by one
 * small batch, so that a crash finds the one or the other, whole.
 */
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { readStable, writeStable, type StableCertificate } from '@itc/core/ledger/stable-certificate.js';
import type { Change, Tables } from '../ports.ts';

export interface SnapshotBase {
  readonly anchor: StableCertificate;
  /** Table of the records in use. */
  readonly stateTable: StateTable;
}

export type StateTable = (typeof STATE_TABLES)[number];

const STATE_TABLES = ['state', 'state-2'] as const;
/** Key in the table `meta`; 0 is that of `ExecutedBlocks`. */
const KEY = Uint8Array.of(1);

/** Undefined for a node that has executed everything since genesis. */
export function snapshotBase(tables: Tables): SnapshotBase | undefined {
  const stored = tables.table('meta').get(KEY);
  if (stored === undefined) return undefined;
  const base = decode((reader): SnapshotBase => {
    const [first, second] = STATE_TABLES;
    return { stateTable: reader.bool() ? second : first, anchor: readStable(reader) };
  }, stored);
  if (!base.ok)
    throw new LedgerError('storage.corrupt', `the anchor of the state does not decode: ${base.message}`);
  return base.value;
}

/** Table of the records in use. */
export function stateTable(tables: Tables): StateTable {
  return snapshotBase(tables)?.stateTable ?? STATE_TABLES[0];
}

/** Where the next state is gathered. */
export function otherStateTable(tables: Tables): StateTable {
  const [first, second] = STATE_TABLES;
  return stateTable(tables) === first ? second : first;
}

export function snapshotBaseChange({ stateTable: table, anchor }: SnapshotBase): Change {
  const writer = new Writer(512).bool(table === STATE_TABLES[1]);
  writeStable(writer, anchor);
  return { table: 'meta', key: KEY, value: writer.finish() };
}
