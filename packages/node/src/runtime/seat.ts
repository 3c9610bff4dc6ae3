/** A node's place among the validators, for operators. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { EpochRecord } from '@itc/core/ledger/epoch.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { ValidatorRecord } from '@itc/core/state/validator-record.js';
import type { PeerId } from '../ports.ts';

export interface Seat {
  /** 'leaving': it decides, but not for long; 'joining': it was granted weight and waits for its epoch. */
  readonly role: 'validator' | 'leaving' | 'joining' | 'observer';
  readonly reason?: string;
}

/** `votes`: whether it has a replica; `silent`: why it has none although the set holds it. */
export function seatOf(
  state: LedgerState,
  self: PeerId,
  o: { readonly votes: boolean; readonly silent: string | undefined },
): Seat {
  const { epoch } = state;
  const record = recordOf(state, self);
  if (o.silent !== undefined) return { role: 'observer', reason: o.silent };
  return o.votes ? decidingSeat(epoch, self, record) : watchingSeat(epoch, self, record);
}

function decidingSeat(epoch: EpochRecord, self: PeerId, record: ValidatorRecord | undefined): Seat {
  if (epoch.next !== undefined && !holds(epoch.next.validators, self))
    return { role: 'leaving', reason: `it leaves above block ${epoch.next.closes}` };
  if (record?.jailed === true) return { role: 'leaving', reason: 'it signed two conflicting messages' };
  if (record === undefined || record.weight === 0 || record.bond === 0n)
    return { role: 'leaving', reason: 'its weight was taken back; it leaves with one of the next epochs' };
  return { role: 'validator' };
}

function watchingSeat(epoch: EpochRecord, self: PeerId, record: ValidatorRecord | undefined): Seat {
  if (epoch.next !== undefined && holds(epoch.next.validators, self))
    return { role: 'joining', reason: `it decides above block ${epoch.next.closes}` };
  if (record === undefined) return { role: 'observer', reason: 'nobody has bonded its key' };
  if (record.jailed) return { role: 'observer', reason: 'it signed two conflicting messages' };
  if (record.weight > 0)
    return { role: 'joining', reason: 'it was granted weight and decides from one of the next epochs on' };
  return { role: 'observer', reason: 'its key is bonded; the validators have granted it no weight' };
}

function holds(set: ValidatorSet, self: PeerId): boolean {
  return set.some(({ key }) => toHex(key.bytes) === self);
}

function recordOf(state: LedgerState, self: PeerId): ValidatorRecord | undefined {
  for (const { validator } of state.validators()) if (toHex(validator.key.bytes) === self) return validator;
  return undefined;
}
