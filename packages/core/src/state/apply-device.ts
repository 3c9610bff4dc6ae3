/** The life of a device on the ledger: a batch from its maker, then an owner (spec STATE-4, STATE-5). */
import { ok, refused, type Result } from '../bytes/result.ts';
import { verifyMerklePath } from '../crypto/merkle.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import {
  batchId,
  batchLeaf,
  claimSigningBytes,
  endorsementSigningBytes,
  type Claim,
  type DeviceBatch,
} from '../ledger/bodies/device.ts';
import { attestationFlaw } from './apply-maker.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import { firstOwned } from './device-record.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { STATE_LIMITS } from './limits.ts';
import { holdDeposit, NO_DEPOSIT } from './record-deposit.ts';
import { idText } from './record-map.ts';
import { recordBytes, type Batch, type Device } from './records.ts';
import type { Rules } from './rules.ts';

export function batchFlaw(batch: DeviceBatch): Flaw {
  const { count } = batch;
  if (count >= 1 && count <= STATE_LIMITS.batchDevicesMax) return undefined;
  return refused('batch.malformed', `expected 1 to ${STATE_LIMITS.batchDevicesMax} devices, got ${count}`);
}

/** The maker pays the built-in ITC of all devices now; the batch holds it until they are claimed. */
export function applyRegisterBatch(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  batch: DeviceBatch,
): Result<LedgerEventBody, ErrorCode> {
  const maker = draft.get('maker', idText(sender));
  if (maker === undefined) return refused('maker.unknown', 'only a maker registers batches');
  const id = batchId(sender, batch.root);
  if (draft.get('batch', idText(id)) !== undefined)
    return refused('batch.exists', 'a batch of this maker has this root');
  const flaw = attestationFlaw(draft, context, { sender, maker, batch });
  if (flaw !== undefined) return flaw;
  // As bigints the product cannot wrap: 2^24 devices times 2^64 units is far beyond any balance, and refused.
  const deposit = BigInt(batch.count) * batch.depositPerDevice;
  const { root, count, model, depositPerDevice } = batch;
  const record: Batch = {
    maker: sender,
    root,
    count,
    model,
    depositPerDevice,
    claimed: 0,
    registeredAt: context.height,
    attestation: maker.attestation,
    deposit: NO_DEPOSIT,
  };
  const held = holdDeposit(draft, sender, recordBytes('batch', record), { value: deposit });
  if (!held.ok) return held;
  draft.debit(sender, deposit);
  draft.set('batch', idText(id), { ...record, deposit: held.value });
  return ok({ kind: 'batch-registered', batch: id, maker: sender, count, model, depositPerDevice });
}

/**
 * Only the device itself says which claim key is its own. A batch proves nothing about it: whoever sees a claim
 * on its way could register a batch of that device key and a claim key of theirs, and come first. Needs no
 * state, so a pool asks it too.
 */
export function claimFlaw({ verify }: Pick<BlockContext, 'verify'>, claim: Claim): Flaw {
  const signed = endorsementSigningBytes(claim.device, claim.claimKey);
  if (verify(claim.device, signed, claim.endorsement)) return undefined;
  return refused('claim.endorsement', 'expected the device key’s signature of this claim key');
}

/**
 * Whether this claim makes the sender the owner; gives the batch it is from. What can be looked up is asked before what must be
 * computed. A sponsor asks it before it pays for a claim.
 */
export function provenClaim(
  draft: Draft,
  context: Pick<BlockContext, 'chain' | 'verify'>,
  sender: Address,
  claim: Claim,
): Result<Batch, ErrorCode> {
  const batch = draft.get('batch', idText(claim.batch));
  if (batch === undefined) return refused('batch.unknown', 'the claim names a batch that is not registered');
  const device = addressOf(claim.device);
  const known = draft.get('device', idText(device));
  if (known?.state === 'retired') return refused('device.retired', 'the life of this device is over');
  if (known !== undefined) return refused('device.claimed', 'this device has an owner');
  const flaw = claimFlaw(context, claim);
  if (flaw !== undefined) return flaw;
  const leaf = batchLeaf(claim.device, claim.claimKey);
  if (
    !verifyMerklePath({ root: batch.root, leaf, index: claim.index, count: batch.count, path: claim.path })
  ) {
    return refused('device.not-in-batch', `device and claim key are not number ${claim.index} of the batch`);
  }
  if (!context.verify(claim.claimKey, claimSigningBytes(context.chain, claim.device, sender), claim.proof)) {
    return refused('claim.signature', 'expected the claim key’s signature for this sender on this chain');
  }
  return ok(batch);
}

/**
 * Whoever holds the voucher becomes the owner, once. The deposit goes to the device's own account: it is what the device pays its way
 * with.
 */
export function applyClaim(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  claim: Claim,
): Result<LedgerEventBody, ErrorCode> {
  const proven = provenClaim(draft, context, sender, claim);
  if (!proven.ok) return proven;
  const { value: batch } = proven;
  const device = addressOf(claim.device);
  const record: Device = firstOwned({
    key: claim.device,
    owner: sender,
    batch: claim.batch,
    model: batch.model,
    claimedAt: context.time,
    recoveryDelay: STATE_LIMITS.deviceRecoveryMs,
    deposit: NO_DEPOSIT,
  });
  const held = holdDeposit(draft, sender, recordBytes('device', record), {
    accounts: batch.depositPerDevice === 0n ? [] : [device],
  });
  if (!held.ok) return held;
  // One leaf claims once, since its device then has an owner; so claims never outnumber devices.
  draft.set('batch', idText(claim.batch), { ...batch, claimed: batch.claimed + 1 });
  draft.set('device', idText(device), { ...record, deposit: held.value });
  draft.credit(device, batch.depositPerDevice);
  return ok({
    kind: 'device-claimed',
    device,
    owner: sender,
    batch: claim.batch,
    model: batch.model,
    deposit: batch.depositPerDevice,
  });
}

export const DEVICE_RULES: Rules<'register-batch' | 'claim'> = {
  'register-batch': {
    signs: true,
    flaw: (_, { batch }) => batchFlaw(batch),
    apply: (draft, context, { sender }, { batch }) => applyRegisterBatch(draft, context, sender, batch),
  },
  claim: {
    signs: true,
    proved: (_, context, __, { claim }) => claimFlaw(context, claim),
    apply: (draft, context, { sender }, { claim }) => applyClaim(draft, context, sender, claim),
  },
};
