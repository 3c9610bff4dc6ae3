/**
 * Payloads that became final without effect, and why: kept as long as their checkpoint is, so that the question what became of
 * one has an answer after a restart, too (spec SUBNET-5). Bounded per checkpoint; no part of the ledger.
 */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { Delivery, IgnoredPayload } from '@itc/core/dag/effects.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Change, Tables } from '../ports.ts';

export type IgnoredReason = IgnoredPayload['reason'];

export interface Ignored {
  readonly envelope: Hash;
  readonly checkpoint: number;
  readonly reason: IgnoredReason;
}

/** By their numbers on the disk: these do not change, new ones come last. */
const CODES: Readonly<Record<IgnoredReason, number>> = {
  duplicate: 0,
  stale: 1,
  'lanes-full': 2,
  'slot-lost': 3,
  'value-malformed': 4,
  'other-subnet': 5,
  expired: 6,
  uncovered: 7,
  dust: 8,
  'holders-full': 9,
  'withdrawals-full': 10,
  'lane-missing': 11,
  'lane-open': 12,
  'other-payee': 13,
  cashed: 14,
  'issuer-barred': 15,
};
const REASONS = new Map(Object.entries(CODES).map(([reason, code]) => [code, reason as IgnoredReason]));
/** Of one checkpoint; what whoever repeats itself sends beyond is not explained. */
export const IGNORED_MAX = 1_024;
/** Payload → u53 checkpoint ‖ u8 reason ‖ envelope. */
const IGNORED = 'subnet-ignored';
/** Checkpoint → payloads. */
const IGNORED_IDS = 'subnet-ignored-ids';
/** Both rows: keys, values, nodes of the trees, and pages two thirds full. */
const ROW_BYTES = 200;

export class IgnoredPayloads {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** Bytes on disk, an estimate. */
  get bytes(): number {
    return this.#tables.table(IGNORED).count() * ROW_BYTES;
  }

  /** What has to be written with a delivery. The newest word on a payload counts. */
  changes({ committed, ignored }: Delivery): Change[] {
    if (ignored.length === 0) return [];
    const { sequence } = committed.certificate.checkpoint;
    const kept = ignored.slice(0, IGNORED_MAX);
    const ids = new Writer(kept.length * HASH_BYTES);
    for (const { payload } of kept) ids.fixed(payload.id, HASH_BYTES);
    return [
      ...kept.map(({ payload, envelope, reason }) => ({
        table: IGNORED,
        key: payload.id,
        value: new Writer(48).u53(sequence).u8(CODES[reason]).fixed(envelope, HASH_BYTES).finish(),
      })),
      { table: IGNORED_IDS, key: keyOf(sequence), value: ids.finish() },
    ];
  }

  /** What has to be written when a checkpoint is forgotten. */
  forget(sequence: number): Change[] {
    const key = keyOf(sequence);
    const ids = this.#tables.table(IGNORED_IDS).get(key);
    if (ids === undefined) return [];
    const changes: Change[] = [{ table: IGNORED_IDS, key, value: undefined }];
    for (let at = 0; at < ids.length; at += HASH_BYTES) {
      const id = asHash(ids.slice(at, at + HASH_BYTES));
      // A newer checkpoint may have ignored it once more.
      if (this.of(id)?.checkpoint === sequence) changes.push({ table: IGNORED, key: id, value: undefined });
    }
    return changes;
  }

  of(payload: Hash): Ignored | undefined {
    const stored = this.#tables.table(IGNORED).get(payload);
    if (stored === undefined) return undefined;
    const reader = new Reader(stored);
    const checkpoint = reader.u53();
    const reason = REASONS.get(reader.u8());
    if (reason === undefined)
      throw new LedgerError(
        'storage.corrupt',
        'the reason why a payload was ignored is not one of those known',
      );
    return { checkpoint, reason, envelope: asHash(reader.fixed(HASH_BYTES).slice()) };
  }
}

const keyOf = (sequence: number): Uint8Array => new Writer(8).u53(sequence).finish();
