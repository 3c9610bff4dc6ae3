/** What happens to records whose time has come (spec STATE-18). */
import { FIRMWARE_EXPIRY } from './apply-firmware.ts';
import type { BlockContext } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { EndEvent, LedgerEventBody } from './events.ts';
import { ACCESS_EXPIRY } from './apply-access.ts';
import { DEVICE_LIFE_EXPIRY } from './apply-device-life.ts';
import { GRANT_EXPIRY } from './apply-grant.ts';
import { SPONSOR_EXPIRY } from './apply-sponsor.ts';
import { STREAM_EXPIRY } from './apply-stream.ts';
import { firstNotDue, isExpiring, type ExpiringKind } from './expiry.ts';
import { parseStateKey } from './keys.ts';
import { STATE_LIMITS } from './limits.ts';
import { idText } from './record-map.ts';
import type { RecordTypes } from './records.ts';
import { RENTAL_EXPIRY } from './rental-settlement.ts';

/**
 * What a kind does at its end; `id` is an id text. Afterwards the record is gone (`dropExpiring`) or goes later (`setExpiring`): a
 * rental settles first. It cannot fail, because there is nobody to tell.
 */
export type Expire<K extends ExpiringKind> = (
  draft: Draft,
  context: Pick<BlockContext, 'height' | 'time'>,
  id: string,
  record: RecordTypes[K],
) => LedgerEventBody;

/** Of a group of kinds. */
export type Expiry<K extends ExpiringKind> = { readonly [P in K]: Expire<P> };

const EXPIRY: Expiry<ExpiringKind> = {
  ...GRANT_EXPIRY,
  ...ACCESS_EXPIRY,
  ...DEVICE_LIFE_EXPIRY,
  ...RENTAL_EXPIRY,
  ...FIRMWARE_EXPIRY,
  ...SPONSOR_EXPIRY,
  ...STREAM_EXPIRY,
};

/** In the order of their times, a bounded number per block; the rest goes with the next ones. */
export function collectExpired(
  draft: Draft,
  context: Pick<BlockContext, 'height' | 'time'>,
): readonly EndEvent[] {
  const due: string[] = [];
  const end = firstNotDue(context.time);
  for (const [id] of draft.walk('expiry', '', draft.queueFrom)) {
    if (id >= end || due.length >= STATE_LIMITS.expiriesPerBlock) break;
    due.push(id);
  }
  draft.queueFrom = due.length < STATE_LIMITS.expiriesPerBlock ? end : (due.at(-1) as string);
  // What ends may take others along: a rental its grant.
  return due.flatMap((id) => (draft.get('expiry', id) === undefined ? [] : [expire(draft, context, id)]));
}

function expire(draft: Draft, context: Pick<BlockContext, 'height' | 'time'>, entry: string): EndEvent {
  const key = draft.get('expiry', entry)?.key;
  const parsed = key && parseStateKey(key);
  if (parsed === undefined || !isExpiring(parsed.kind))
    throw new Error('an entry of the queue names nothing');
  const event = expireRecord(draft, context, parsed.kind, idText(parsed.id));
  if (draft.get('expiry', entry) !== undefined) throw new Error(`a ${parsed.kind} stayed after its time`);
  return event;
}

function expireRecord<K extends ExpiringKind>(
  draft: Draft,
  context: Pick<BlockContext, 'height' | 'time'>,
  kind: K,
  id: string,
): EndEvent {
  const record = draft.get(kind, id);
  if (record === undefined) throw new Error(`the queue names a ${kind} that is gone`);
  const made = draft.moves.length;
  // The table has the end of each kind under that kind, which the type of one lookup cannot say.
  const event = (EXPIRY[kind] as unknown as Expire<K>)(draft, context, id, record);
  return draft.moves.length === made ? event : { ...event, moves: draft.moves.splice(made) };
}
