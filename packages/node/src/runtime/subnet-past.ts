/**
 * What a member has to know of itself when its log does not tell it: after the loss of its records, or when the log of
 * others' state has taken its place (spec SUBNET-6). Kept in a row beside the log.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Member } from '@itc/core/dag/member.js';
import { decodeLogRecord, readSnapshotRecord, type LogRecord, type Snapshot } from '@itc/core/dag/records.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { OwnPast, SubnetStore } from './subnet-store.ts';

export class SubnetPast {
  readonly #store: SubnetStore;
  #past: OwnPast;
  /** Of a snapshot whose log is in force but whose tables are not. */
  #toAdopt: Snapshot | undefined;

  constructor(store: SubnetStore, records: readonly LogRecord[], alone: boolean) {
    this.#store = store;
    const past = store.past;
    // Without records we may have issued and forgotten it, also if we are killed before others have told.
    this.#past = records.length === 0 && !alone ? { ...past, uncertain: true } : past;
    // A crash came between the log of a snapshot and its tables.
    const [first] = records;
    if (past.adopting === 0 || first?.kind !== 'snapshot') return;
    const snapshot = readSnapshotRecord(first.bytes);
    if ((snapshot.checkpoint?.sequence ?? 0) >= past.adopting) this.#toAdopt = snapshot;
  }

  get uncertain(): boolean {
    return this.#past.uncertain;
  }

  /** The lane envelopes go to: the first in which none of ours was given up. */
  lane(lanes: number): number {
    for (let lane = 0; lane < lanes; lane += 1) if (((this.#past.burntLanes >>> lane) & 1) === 0) return lane;
    return 0;
  }

  /** Durable when it resolves: before the log of a snapshot takes the place of the one that tells of `givenUp`. */
  async begin(snapshot: Snapshot, givenUp: readonly VerifiedEnvelope[], uncertain: boolean): Promise<void> {
    const adopting = snapshot.checkpoint?.sequence ?? 0;
    const burntLanes = givenUp.reduce(
      (mask, { envelope }) => mask | (1 << envelope.lane),
      this.#past.burntLanes,
    );
    await this.#set({ uncertain, burntLanes, adopting });
  }

  /** The snapshot's log is in force. */
  adopt(snapshot: Snapshot): void {
    this.#toAdopt = snapshot;
  }

  /** Brings what is stored up to what the member knows; before anything that hangs on it is written. */
  async note(member: Member): Promise<void> {
    const uncertain = !member.isCertainOfPast;
    if (this.#toAdopt !== undefined) {
      await this.#store.adopt(this.#toAdopt.finalised, new Set(member.finalHeads().map(toHex)));
      this.#toAdopt = undefined;
      await this.#set({ ...this.#past, uncertain, adopting: 0 });
    } else if (this.#store.past.uncertain !== uncertain) await this.#set({ ...this.#past, uncertain });
  }

  async #set(past: OwnPast): Promise<void> {
    await this.#store.setPast(past);
    this.#past = past;
  }
}

/** Throws `storage.corrupt`. */
export function readLogRecord(bytes: Uint8Array): LogRecord {
  const record = decodeLogRecord(bytes);
  if (record.ok) return record.value;
  throw new LedgerError(
    'storage.corrupt',
    `the member's log holds a record that does not decode: ${record.message}`,
  );
}
