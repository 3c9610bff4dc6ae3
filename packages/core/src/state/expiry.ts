/**
 * Records that go by themselves (spec STATE-18): a queue in the state, ordered by time, has one entry for each of them. Which
 * moment it is the record itself says, so the queue never names a record that is gone or stays longer.
 */
import { concatBytes } from '../bytes/hex.ts';
import type { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import type { Millis } from '../ledger/ids.ts';
import type { Draft } from './draft.ts';
import { parseStateKey, stateKey, stateKeyHash, type RecordKind, type StateKey } from './keys.ts';
import { idBytes, idText } from './record-map.ts';
import type { RecordTypes } from './records.ts';
import { installsDue } from './firmware-record.ts';
import { rentalDue } from './rental-record.ts';
import { endOfDay } from './sponsor-record.ts';
import { endsAt } from './stream-record.ts';
import { releaseDeposit, type RecordDeposit } from './record-deposit.ts';

/** Time and position are in the key of the entry. */
export interface ExpiryEntry {
  /** The record that goes. */
  readonly key: StateKey;
}

/**
 * When a record goes by itself: at the end of the first block whose time is not below. Undefined: not by itself. A kind that is
 * listed here is written by `setExpiring` only, and has what happens then in `collect-expired.ts`.
 */
const EXPIRES_AT = {
  grant: ({ expiresAt }: RecordTypes['grant']): Millis | undefined => expiresAt,
  delegation: ({ expiresAt }: RecordTypes['delegation']): Millis | undefined => expiresAt,
  sale: ({ expiresAt }: RecordTypes['sale']): Millis | undefined => expiresAt,
  'device-recovery': ({ expiresAt }: RecordTypes['device-recovery']): Millis | undefined => expiresAt,
  sponsorship: ({ terms }: RecordTypes['sponsorship']): Millis | undefined => terms.expiresAt,
  sponsored: (used: RecordTypes['sponsored']): Millis | undefined => endOfDay(used),
  stream: (stream: RecordTypes['stream']): Millis | undefined => endsAt(stream),
  'rental-offer': ({ expiresAt }: RecordTypes['rental-offer']): Millis | undefined => expiresAt,
  rental: (rental: RecordTypes['rental']): Millis | undefined => rentalDue(rental),
  settlement: ({ until }: RecordTypes['settlement']): Millis | undefined => until,
  installs: (installs: RecordTypes['installs']): Millis | undefined => installsDue(installs),
} as const;

export type ExpiringKind = keyof typeof EXPIRES_AT;

export const EXPIRING_KINDS: readonly ExpiringKind[] = Object.keys(EXPIRES_AT) as ExpiringKind[];

/** When this record goes by itself. */
export function expiresAt<K extends ExpiringKind>(kind: K, record: RecordTypes[K]): Millis | undefined {
  // The table has the clock of each kind under that kind, which the type of one lookup cannot say.
  return (EXPIRES_AT[kind] as (record: RecordTypes[K]) => Millis | undefined)(record);
}

/** `draft.set` for a record of a kind that expires: its entry in the queue comes, moves and goes with it. */
export function setExpiring<K extends ExpiringKind>(
  draft: Draft,
  kind: K,
  id: string,
  record: RecordTypes[K] | undefined,
): void {
  const before = draft.get(kind, id);
  draft.set(kind, id, record);
  const was = before && expiresAt(kind, before);
  const is = record && expiresAt(kind, record);
  if (was === is) return;
  const key = stateKey(kind, idBytes(id));
  if (was !== undefined) draft.set('expiry', entryId(was, key), undefined);
  if (is !== undefined) draft.set('expiry', entryId(is, key), { key });
}

/** The record goes and its deposit returns. */
export function dropExpiring<K extends ExpiringKind>(
  draft: Draft,
  kind: K,
  id: string,
  record: RecordTypes[K] & { readonly deposit: RecordDeposit },
): void {
  setExpiring(draft, kind, id, undefined);
  releaseDeposit(draft, record.deposit);
}

/** Big-endian time first, so that the queue is in order; then the hash of the key, so that ids have one width. */
export function entryId(at: Millis, key: StateKey): string {
  return idText(concatBytes(new Writer(8).u53(at).finish(), stateKeyHash(key)));
}

/** The least id of an entry that is not due at this moment. */
export function firstNotDue(now: Millis): string {
  return idText(new Writer(8).u53(now + 1).finish());
}

export function writeExpiryEntry(writer: Writer, { key }: ExpiryEntry): void {
  writer.bytes(key);
}

const KEY_BYTES_MAX = 128;

export function readExpiryEntry(reader: Reader): ExpiryEntry {
  const key = reader.bytes(KEY_BYTES_MAX).slice();
  const parsed = parseStateKey(key);
  if (parsed === undefined || !isExpiring(parsed.kind))
    reader.refuse('decode.unknown-kind', 'expected the key of a record that expires');
  return { key: key as StateKey };
}

export function isExpiring(kind: RecordKind): kind is ExpiringKind {
  return Object.hasOwn(EXPIRES_AT, kind);
}
