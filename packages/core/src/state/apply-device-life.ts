/** The life of a device after its claim: sold, stolen, recovered, retired (spec STATE-16). Checks come before the first write. */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { verifyMerklePath } from '../crypto/merkle.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import { batchLeaf } from '../ledger/bodies/device.ts';
import {
  recoverySigningBytes,
  type DeviceLifeBody,
  type Mark,
  type RecoveryClaim,
} from '../ledger/bodies/device-life.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { millis } from '../ledger/ids.ts';
import { beyondModel, type Terms } from '../ledger/terms.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Expiry } from './collect-expired.ts';
import { ownedBy, type Device, type DeviceRecovery, type Sale } from './device-record.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { STATE_LIMITS } from './limits.ts';
import { exchangeDeposit, holdDeposit, NO_DEPOSIT, releaseDeposit } from './record-deposit.ts';
import { idBytes, idText } from './record-map.ts';
import { recordBytes } from './records.ts';
import type { Rules } from './rules.ts';

type Outcome = Result<LedgerEventBody, ErrorCode>;
type Clock = Pick<BlockContext, 'time'>;

/** A device that its owner may still do something with. `isFrozenToo`: also while it is reported stolen. */
export function ownDevice(
  draft: Draft,
  sender: Address,
  address: Address,
  isFrozenToo = false,
): Result<Device, ErrorCode> {
  const device = draft.get('device', idText(address));
  if (device === undefined) return refused('device.unknown', 'nobody has claimed this device');
  if (!equalBytes(device.owner, sender))
    return refused('device.not-owner', 'only the owner of the device may do this');
  return stateFlaw(device, isFrozenToo) ?? ok(device);
}

/** Whoever rents a device has paid for it: until the rental is over it changes neither owner nor state. */
function rentedFlaw(draft: Draft, id: string): Flaw {
  if (draft.get('rental', id) === undefined) return undefined;
  return refused('rental.taken', 'the device is rented; wait until the rental is over');
}

/** Frozen, or over. */
export function stateFlaw({ state }: Device, isFrozenToo: boolean): Flaw {
  if (state === 'retired') return refused('device.retired', 'the life of this device is over');
  if (state === 'stolen' && !isFrozenToo)
    return refused('device.stolen', 'the device was reported stolen, and has not been found');
  return undefined;
}

/**
 * What one device is granted or rented out for stays within what its maker has registered of its model. A group has devices of many
 * models, and a model may be registered late: there the device alone sees to it (LIGHT-12.9).
 */
export function modelFlaw(
  draft: Draft,
  device: Device,
  terms: Pick<Terms, 'actions' | 'levelMax' | 'colour'>,
): Flaw {
  const batch = draft.get('batch', idText(device.batch));
  const model = batch && draft.get('model', idText(batch.maker) + idText(device.model));
  const beyond = model && beyondModel(terms, model);
  return beyond === undefined ? undefined : refused('grant.beyond-model', `the model: ${beyond}`);
}

export function offerFlaw(sender: Address, { to }: BodyOf<'offer-device'>): Flaw {
  if (equalBytes(to, sender)) return refused('offer.malformed', 'expected an offer to somebody else');
  return undefined;
}

/** Replaces an earlier offer. */
function applyOffer(draft: Draft, { time }: Clock, sender: Address, body: BodyOf<'offer-device'>): Outcome {
  const own = ownDevice(draft, sender, body.device);
  if (!own.ok) return own;
  const { device, to, price, expiresAt } = body;
  if (expiresAt <= time || expiresAt > time + STATE_LIMITS.offerMsMax)
    return refused(
      'offer.malformed',
      `expected an end after ${time}, at most ${STATE_LIMITS.offerMsMax} ms later`,
    );
  const id = idText(device);
  const record: Sale = { to, price, expiresAt, deposit: NO_DEPOSIT };
  const before = draft.get('sale', id);
  const deposit = exchangeDeposit(draft, before?.deposit, sender, recordBytes('sale', record));
  if (!deposit.ok) return deposit;
  setExpiring(draft, 'sale', id, { ...record, deposit: deposit.value });
  return ok({ kind: 'device-offered', device, owner: sender, to, price, expiresAt });
}

/**
 * Both sides at once: the price to the owner, the device to the sender, who takes over what the record costs. What was under way
 * ends, and grants of the owner before count no more, because the number of transfers is another.
 */
function applyAccept(draft: Draft, { time }: Clock, sender: Address, body: BodyOf<'accept-device'>): Outcome {
  const id = idText(body.device);
  const device = draft.get('device', id);
  if (device === undefined) return refused('device.unknown', 'nobody has claimed this device');
  const offer = draft.get('sale', id);
  if (offer === undefined) return refused('offer.unknown', 'the device is not offered to anybody');
  if (!equalBytes(offer.to, sender))
    return refused('offer.not-yours', 'the device is offered to somebody else');
  if (time >= offer.expiresAt) return refused('offer.expired', `the offer stood until ${offer.expiresAt}`);
  if (offer.price !== body.price || device.transfers !== body.transfers)
    return refused(
      'offer.terms',
      `expected price ${offer.price} and ${device.transfers} transfers, got ${body.price} and ${body.transfers}`,
    );
  const { owner: from } = device;
  const { price } = offer;
  const rented = rentedFlaw(draft, id);
  if (rented !== undefined) return rented;
  const next = ownedBy(device, {
    owner: sender,
    how: 'transferred',
    at: time,
    delay: STATE_LIMITS.deviceRecoveryMs,
  });
  const deposit = holdDeposit(draft, sender, recordBytes('device', next), {
    accounts: price === 0n ? [] : [from],
    value: price,
  });
  if (!deposit.ok) return deposit;
  if (price > 0n) {
    draft.debit(sender, price);
    draft.credit(from, price);
  }
  releaseDeposit(draft, device.deposit);
  dropUnderWay(draft, id);
  draft.set('device', id, { ...next, deposit: deposit.value });
  const { transfers } = next;
  return ok({ kind: 'device-transferred', device: body.device, from, to: sender, price, transfers });
}

function applyWithdraw(draft: Draft, sender: Address, device: Address): Outcome {
  const id = idText(device);
  const record = draft.get('device', id);
  const offer = draft.get('sale', id);
  if (record === undefined || offer === undefined)
    return refused('offer.unknown', 'the device is not offered to anybody');
  const { owner } = record;
  if (!equalBytes(owner, sender) && !equalBytes(offer.to, sender))
    return refused('offer.not-yours', 'expected the owner, or the one it was offered to');
  dropExpiring(draft, 'sale', id, offer);
  return ok({ kind: 'device-offer-withdrawn', device, owner, to: offer.to, by: sender });
}

/** Offer and recovery end with the ownership they were about. */
function dropUnderWay(draft: Draft, id: string): void {
  const offer = draft.get('sale', id);
  if (offer !== undefined) dropExpiring(draft, 'sale', id, offer);
  dropRecovery(draft, id);
}

function dropRecovery(draft: Draft, id: string): DeviceRecovery | undefined {
  const recovery = draft.get('device-recovery', id);
  if (recovery !== undefined) dropExpiring(draft, 'device-recovery', id, recovery);
  return recovery;
}

function applyMark(draft: Draft, context: Clock, sender: Address, device: Address, mark: Mark): Outcome {
  switch (mark) {
    case 'stolen':
      return applyStolen(draft, sender, device);
    case 'found':
      return applyFound(draft, sender, device);
    case 'retired':
      return applyRetired(draft, sender, device);
    case 'recovered':
      return applyRecovered(draft, context, sender, device);
  }
}

/** Whoever reports a theft is there to veto, so a recovery under way ends as well. */
function applyStolen(draft: Draft, sender: Address, device: Address): Outcome {
  const own = ownDevice(draft, sender, device);
  if (!own.ok) return own;
  const id = idText(device);
  const rented = rentedFlaw(draft, id);
  if (rented !== undefined) return rented;
  dropUnderWay(draft, id);
  draft.set('device', id, { ...own.value, state: 'stolen' });
  return ok({ kind: 'device-stolen', device, owner: sender });
}

function applyFound(draft: Draft, sender: Address, device: Address): Outcome {
  const own = ownDevice(draft, sender, device, true);
  if (!own.ok) return own;
  if (own.value.state !== 'stolen') return refused('device.not-stolen', 'the device was not reported stolen');
  draft.set('device', idText(device), { ...own.value, state: 'owned' });
  return ok({ kind: 'device-found', device, owner: sender });
}

/**
 * For good, also while it is stolen: what comes back is the deposit of the record, to whoever paid it, and what is left of the
 * built-in ITC, to the owner. The record stays, or the voucher would claim the device a second time.
 */
function applyRetired(draft: Draft, sender: Address, device: Address): Outcome {
  const own = ownDevice(draft, sender, device, true);
  if (!own.ok) return own;
  const id = idText(device);
  const rented = rentedFlaw(draft, id);
  if (rented !== undefined) return rented;
  dropUnderWay(draft, id);
  releaseDeposit(draft, own.value.deposit);
  draft.set('device', id, { ...own.value, state: 'retired', deposit: NO_DEPOSIT });
  const { balance } = draft.account(device);
  if (balance > 0n) {
    draft.debit(device, balance);
    draft.credit(sender, balance);
  }
  return ok({ kind: 'device-retired', device, owner: sender, returned: balance });
}

/**
 * Both signatures, in any state and under any owner: what can be said without the ledger is said by a pool too. The count of
 * transfers they cover is the record's.
 */
export function recoveryFlaw(
  { chain, verify }: Pick<BlockContext, 'chain' | 'verify'>,
  claimant: Address,
  device: Device,
  recovery: RecoveryClaim,
): Flaw {
  const { transfers } = device;
  const bytes = recoverySigningBytes(chain, { device: recovery.device, claimant, transfers });
  if (verify(device.key, bytes, recovery.presence) && verify(recovery.claimKey, bytes, recovery.voucher))
    return undefined;
  return refused('device-recovery.proof', 'expected the signatures of the device and of its claim key');
}

/** Opens a recovery. The device stays with its owner, who may end this until the delay is over. */
function applyRecover(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  recovery: RecoveryClaim,
): Outcome {
  const { device: address, claimKey, index, path } = recovery;
  const id = idText(address);
  const device = draft.get('device', id);
  if (device === undefined) return refused('device.unknown', 'nobody has claimed this device');
  const frozen = stateFlaw(device, true);
  if (frozen !== undefined) return frozen;
  if (equalBytes(device.owner, sender))
    return refused('device-recovery.malformed', 'the owner has nothing to recover');
  if (device.recoveryDelay === 0)
    return refused('device-recovery.off', 'the owner allows no recovery of this device');
  if (draft.get('device-recovery', id) !== undefined)
    return refused('device-recovery.pending', 'a recovery of this device is under way');
  const flaw = recoveryFlaw(context, sender, device, recovery);
  if (flaw !== undefined) return flaw;
  const batch = draft.get('batch', idText(device.batch));
  const leaf = batchLeaf(device.key, claimKey);
  if (batch === undefined || !verifyMerklePath({ root: batch.root, leaf, index, count: batch.count, path }))
    return refused('device-recovery.proof', 'device and claim key are not in the batch of the device');
  const readyAt = millis(context.time + device.recoveryDelay);
  const record: DeviceRecovery = {
    claimant: sender,
    readyAt,
    expiresAt: millis(readyAt + STATE_LIMITS.deviceRecoveryOpenMs),
    deposit: NO_DEPOSIT,
  };
  const deposit = holdDeposit(draft, sender, recordBytes('device-recovery', record));
  if (!deposit.ok) return deposit;
  setExpiring(draft, 'device-recovery', id, { ...record, deposit: deposit.value });
  const { owner } = device;
  return ok({ kind: 'device-recovery-opened', device: address, owner, subject: sender, readyAt });
}

/** The owner has let the delay pass. Lifts a report of theft, because the device is with who asked. */
function applyRecovered(draft: Draft, { time }: Clock, sender: Address, address: Address): Outcome {
  const id = idText(address);
  const device = draft.get('device', id);
  const recovery = draft.get('device-recovery', id);
  if (device === undefined || recovery === undefined || !equalBytes(recovery.claimant, sender))
    return refused('device-recovery.unknown', 'no recovery of this device by the sender is under way');
  if (time < recovery.readyAt || time >= recovery.expiresAt)
    return refused('device-recovery.early', `it may be finished from ${recovery.readyAt} on`);
  const { owner: from } = device;
  const rented = rentedFlaw(draft, id);
  if (rented !== undefined) return rented;
  const next = ownedBy(device, {
    owner: sender,
    how: 'recovered',
    at: time,
    delay: STATE_LIMITS.deviceRecoveryMs,
  });
  const deposit = holdDeposit(draft, sender, recordBytes('device', next));
  if (!deposit.ok) return deposit;
  releaseDeposit(draft, device.deposit);
  dropUnderWay(draft, id);
  draft.set('device', id, { ...next, deposit: deposit.value });
  const { transfers } = next;
  return ok({ kind: 'device-recovered', device: address, from, to: sender, transfers });
}

export function recoveryDelayFlaw({ delay }: BodyOf<'set-device-recovery'>): Flaw {
  const { recoveryDelayMinMs: min, recoveryDelayMaxMs: max } = STATE_LIMITS;
  if (delay === 0 || (delay >= min && delay <= max)) return undefined;
  return refused('device-recovery.malformed', `expected no delay, or ${min} to ${max} ms, got ${delay}`);
}

/** The owner's veto and the owner's choice in one: whoever can send this has lost nothing. */
function applySetRecovery(draft: Draft, sender: Address, body: BodyOf<'set-device-recovery'>): Outcome {
  const own = ownDevice(draft, sender, body.device, true);
  if (!own.ok) return own;
  const id = idText(body.device);
  const { device, delay } = body;
  const ended = dropRecovery(draft, id);
  draft.set('device', id, { ...own.value, recoveryDelay: delay });
  return ok({ kind: 'device-recovery-set', device, owner: sender, delay, subject: ended?.claimant });
}

export const DEVICE_LIFE_EXPIRY: Expiry<'sale' | 'device-recovery'> = {
  sale: (draft, _, id, record) => {
    dropExpiring(draft, 'sale', id, record);
    return { kind: 'device-offer-expired', device: asAddress(idBytes(id)), to: record.to };
  },
  'device-recovery': (draft, _, id, record) => {
    dropExpiring(draft, 'device-recovery', id, record);
    return { kind: 'device-recovery-lapsed', device: asAddress(idBytes(id)), subject: record.claimant };
  },
};

type DeviceLifeKind = Exclude<DeviceLifeBody['kind'], 'register-model' | 'set-attestation'>;

export const DEVICE_LIFE_RULES: Rules<DeviceLifeKind> = {
  'offer-device': {
    flaw: offerFlaw,
    apply: (draft, context, { sender }, body) => applyOffer(draft, context, sender, body),
  },
  'accept-device': {
    apply: (draft, context, { sender }, body) => applyAccept(draft, context, sender, body),
  },
  'withdraw-device': { apply: (draft, _, { sender }, { device }) => applyWithdraw(draft, sender, device) },
  'mark-device': {
    apply: (draft, context, { sender }, { device, mark }) => applyMark(draft, context, sender, device, mark),
  },
  'recover-device': {
    signs: true,
    // Without the device's record nobody knows whose signature to expect: then it waits for the block to judge.
    proved: (state, context, { sender }, { recovery }) => {
      const device = state.device(recovery.device);
      return device && recoveryFlaw(context, sender, device, recovery);
    },
    apply: (draft, context, { sender }, { recovery }) => applyRecover(draft, context, sender, recovery),
  },
  'set-device-recovery': {
    flaw: (_, body) => recoveryDelayFlaw(body),
    apply: (draft, _, { sender }, body) => applySetRecovery(draft, sender, body),
  },
};
