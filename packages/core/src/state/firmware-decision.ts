/**
 * Which release a device should install now (spec STATE-23), from records that a light proof has shown, and why not another
 * one. The same answer wherever it is asked: on a gateway, in a tool, on the chip. No BigInt on this path.
 */
import type { Hash } from '../crypto/hash.ts';
import { equalBytes } from '../bytes/hex.ts';
import type { Address } from '../ledger/address.ts';
import { compareVersions, rolloutPlace, type Version } from '../ledger/firmware.ts';
import type { Millis } from '../ledger/ids.ts';
import { isApproved, type ChannelHead, type ReleaseHead } from './firmware-record.ts';

/** What a device knows of itself. */
export interface InstalledFirmware {
  readonly device: Address;
  readonly model: Hash;
  readonly board: string;
  readonly version: Version;
  /** Security counter of what runs, kept where no update reaches it. */
  readonly counter: number;
  /** Of other product lines in it. */
  readonly others: readonly { readonly channel: Hash; readonly version: Version }[];
}

export interface NumberedRelease {
  readonly number: number;
  readonly release: ReleaseHead;
}

/** Why a release is passed over. */
export type ReleaseReason =
  | 'unapproved'
  | 'halted'
  | 'not-in-share'
  | 'too-old-to-update'
  | 'dependency'
  | 'rollback';

export type FirmwareDecision =
  | ({ readonly kind: 'install' } & NumberedRelease)
  | {
      readonly kind: 'stay';
      readonly reason:
        | 'wrong-board'
        /** The keys were not confirmed in time: what is shown may be what somebody froze. */
        | 'expired'
        /** Not all releases from the newest down were shown, and one that is missing may be the one. */
        | 'incomplete'
        | 'up-to-date'
        | ReleaseReason;
    };

/**
 * The newest release that the device may install, going down from the newest one there is. A release that is passed over
 * gives its reason when none below it is installed either.
 */
export function decideFirmware(o: {
  readonly channel: Hash;
  readonly head: ChannelHead;
  /** From the newest down, without gaps. */
  readonly releases: readonly NumberedRelease[];
  readonly installed: InstalledFirmware;
  /** The device's idea of chain time. */
  readonly now: Millis;
}): FirmwareDecision {
  const { channel, head, installed, now } = o;
  if (!equalBytes(head.model, installed.model) || head.board !== installed.board) return stay('wrong-board');
  if (now >= head.form.expiresAt) return stay('expired');
  let first: ReleaseReason | undefined;
  let number = head.newest;
  for (const entry of o.releases) {
    if (entry.number !== number) return stay('incomplete');
    number -= 1;
    const { release } = entry;
    // Versions of what was approved ascend with the numbers: below this one there is nothing new.
    if (isApproved(head, release) && compareVersions(release.form.version, installed.version) <= 0)
      return stay(first ?? 'up-to-date');
    const reason = reasonAgainst(channel, head, entry, installed);
    if (reason === undefined) return { kind: 'install', ...entry };
    // A proposal is nothing that a device could be waiting for, unless there is nothing else.
    if (first === undefined || first === 'unapproved') first = reason;
  }
  if (number >= head.oldest) return stay('incomplete');
  return stay(first ?? 'up-to-date');
}

function stay(reason: Extract<FirmwareDecision, { kind: 'stay' }>['reason']): FirmwareDecision {
  return { kind: 'stay', reason };
}

function reasonAgainst(
  channel: Hash,
  head: ChannelHead,
  { number, release }: NumberedRelease,
  installed: InstalledFirmware,
): ReleaseReason | undefined {
  const { form, rollout, approvedAt } = release;
  if (!isApproved(head, release)) return 'unapproved';
  if (form.counter < installed.counter || compareVersions(form.version, installed.version) <= 0)
    return 'rollback';
  if (rollout.halted) return 'halted';
  if (compareVersions(installed.version, form.minimum) < 0) return 'too-old-to-update';
  const isMet = form.dependencies.every((needed) =>
    installed.others.some(
      (other) =>
        equalBytes(other.channel, needed.channel) && compareVersions(other.version, needed.minimum) >= 0,
    ),
  );
  if (!isMet) return 'dependency';
  const place = rolloutPlace({ device: installed.device, channel, number, approvedAt });
  return place < rollout.share ? undefined : 'not-in-share';
}
