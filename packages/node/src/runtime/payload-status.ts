/**
 * The security level of a payload, as this member sees it now (spec SUBNET-8): 0 seen, 1 approved by more than half of stake
 * and work, 2 by two thirds of the stake, 3 final on the main chain; or ignored, and why.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { IgnoredReason } from './subnet-ignored.ts';
import type { Level } from './subnet-levels.ts';
import type { SubnetStore } from './subnet-store.ts';
import type { Subnet } from './subnet.ts';

/** Why a final envelope's payload had no effect, to follow "without effect:". */
export const IGNORED_WORDS: Readonly<Record<IgnoredReason, string>> = {
  duplicate: 'its sequence number was applied before, in another envelope',
  stale: `its sequence number lies more than ${LIMITS.laneWindow} below the newest of its device`,
  'lanes-full': 'there is no room for another lane: its member, or the subnet, has opened all it may',
  'slot-lost': 'its envelope lost its slot to another of the same issuer, which had more weight',
  'value-malformed': 'its content is no order about value',
  'other-subnet': 'it was signed for another subnet',
  expired: 'its time, or that of its voucher lane, had passed',
  uncovered: 'it asked for more than the balance, or what is left of the voucher lane',
  dust: 'it is, or would have left, less than the least balance',
  'holders-full': 'there is no room for another holder in the subnet',
  'withdrawals-full': 'the checkpoint let out as many withdrawals as it may',
  'lane-missing': 'the holder has no such voucher lane',
  'lane-open': 'the voucher lane is open still, or under other terms',
  'other-payee': 'the voucher lane is set aside for another payee',
  'issuer-barred': 'the member that issued it was shown to forge payloads: hand it to another one',
  cashed: 'a voucher with this number was cashed, or its number is too far behind',
};

export type PayloadStatus =
  | { readonly state: 'unknown' }
  | {
      /** `waiting` for an envelope, `pending` in one, or `contested`: its envelope has a rival, so nothing is promised. */
      readonly state: 'waiting' | 'pending' | 'contested';
      readonly level: 0 | 1 | 2;
      readonly envelope?: Hash;
      /** Stake that approves the envelope, and stake of all. Whether an order is covered is decided by the checkpoint only. */
      readonly weight?: number;
      readonly total?: number;
    }
  | { readonly state: 'applied'; readonly level: 3; readonly checkpoint: number; readonly height?: number }
  | {
      readonly state: 'ignored';
      readonly checkpoint: number;
      readonly envelope: Hash;
      readonly reason: IgnoredReason;
    };

/** The level that the owner of its device has asked for, as far as that is known here. */
export function neededLevel(
  port: { readonly subnet: Subnet; readonly store: SubnetStore },
  id: Hash,
): Level | undefined {
  const device = port.subnet.traces.deviceOf(id) ?? port.store.deviceOf(id);
  return device && port.store.levels.of(device);
}

export function payloadStatus(
  port: { readonly subnet: Subnet; readonly store: SubnetStore },
  id: Hash,
): PayloadStatus {
  const { subnet, store } = port;
  const final = subnet.final(id) ?? subnet.retention.pins.proof(id);
  if (final !== undefined)
    return { state: 'applied', level: 3, checkpoint: final.checkpoint, height: final.height };
  const place = store.place(id);
  if (place !== undefined) return { state: 'applied', level: 3, checkpoint: place.checkpoint };
  const inside = subnet.traces.envelopeOf(id);
  const seen = inside === undefined ? undefined : envelopeStatus(subnet, inside);
  if (seen !== undefined) return seen;
  if (subnet.isWaiting(id)) return { state: 'waiting', level: 0 };
  const ignored = store.ignored.of(id);
  return ignored === undefined ? { state: 'unknown' } : { state: 'ignored', ...ignored };
}

function envelopeStatus(subnet: Subnet, envelope: Hash): PayloadStatus | undefined {
  const explained = subnet.explain(envelope);
  switch (explained.state) {
    case 'unsolid':
      return { state: 'pending', level: 0, envelope };
    case 'pending':
    case 'accepted': {
      const total = subnet.members.reduce((sum, member) => sum + member.weight, 0);
      const { weight, level, equivocation } = explained;
      // Only the checkpoint decides between two envelopes of one slot, whatever either has gathered.
      return equivocation
        ? { state: 'contested', level: 0, envelope, weight, total }
        : { state: 'pending', level, envelope, weight, total };
    }
    case 'final':
      // The checkpoint is known, what it made of the payload is being written down: told when it is.
      return { state: 'pending', level: 2, envelope };
    case 'unknown':
    case 'refused':
      return undefined;
  }
}
