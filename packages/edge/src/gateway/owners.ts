/**
 * Whose readings are whose (spec EDGE-7): a reading belongs to whoever owned the device when it was made. A sale takes the device
 * away and leaves its past where it was.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { EDGE_LIMITS } from '../limits.ts';
import type { DeviceRecord } from '../ports.ts';

/** As stored, oldest first. */
export interface OwnerSpan {
  /** bech32m. */
  readonly owner: string;
  /** Time of the block that made this the owner. */
  readonly since: number;
  /** How many owners there were before: two spans in a row may leave some out, whose readings are nobody's here. */
  readonly transfers: number;
}

/** The spans with the present owner at their end; the same list when nothing changed. */
export function withOwner(spans: readonly OwnerSpan[], record: DeviceRecord): readonly OwnerSpan[] {
  const { transfers, owner, ownedSince } = record;
  const last = spans.at(-1);
  if (last !== undefined && last.transfers >= transfers) return spans;
  const next = { owner: formatAddress(owner), since: ownedSince, transfers };
  return [...spans, next].slice(-EDGE_LIMITS.ownersKeptMax);
}

/** Which moments of a device somebody may look at. */
export type Visible = (time: number) => boolean;

/** Moments under the present owner. */
export function presentOf(spans: readonly OwnerSpan[]): Visible {
  const since = spans.at(-1)?.since ?? 0;
  // The first owner has what the device said before anybody had claimed it.
  return spans.length === 1 && spans[0]?.transfers === 0 ? () => true : (time) => time >= since;
}

/** Moments that are this account's own. */
export function ownMoments(spans: readonly OwnerSpan[], account: Address): Visible {
  const name = formatAddress(account);
  const own = spans.flatMap((span, i) => (span.owner === name ? [{ ...span, ...endOf(spans, i) }] : []));
  return (time) =>
    own.some(({ since, until, transfers }) => (transfers === 0 || time >= since) && time < until);
}

/** Where the next owner known is not the next one there was, nobody can tell when the span ended: it counts as empty. */
function endOf(spans: readonly OwnerSpan[], i: number): { readonly until: number } {
  const next = spans[i + 1];
  if (next === undefined) return { until: Number.POSITIVE_INFINITY };
  const isNext = next.transfers === (spans[i] as OwnerSpan).transfers + 1;
  return { until: isNext ? next.since : Number.NEGATIVE_INFINITY };
}

export interface Reader {
  /** Who signed the request; nobody did when left out. */
  readonly caller?: Address;
  /** The caller holds a grant to read, which is in force. */
  readonly mayRead: boolean;
}

/**
 * Undefined: nothing at all. Without a signature: what the present owner has, at a gateway that answers its home; a gateway that
 * wants signatures answers nobody else.
 */
export function visibleTo(
  record: DeviceRecord,
  spans: readonly OwnerSpan[],
  { caller, mayRead }: Reader,
  isSignedOnly: boolean,
): Visible | undefined {
  if (caller === undefined) return isSignedOnly ? undefined : presentOf(spans);
  const own = ownMoments(spans, caller);
  if (!mayRead || equalBytes(caller, record.owner)) return own;
  const present = presentOf(spans);
  return (time) => own(time) || present(time);
}
