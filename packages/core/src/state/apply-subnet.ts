/** Subnets and the checkpoints their members agreed on (spec STATE-7, STATE-8). */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import { checkpointHash, checkpointSigningBytes, type CheckpointCertificate } from '../ledger/checkpoint.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { subnetId } from '../ledger/bodies/subnet.ts';
import type { Body } from '../ledger/body.ts';
import { indicesOf, quorumOf, validatorSetFlaw } from '../ledger/validators.ts';
import { membersAt } from '../ledger/member-turns.ts';
import { commitValue, valueBounds, valueFlaw } from './apply-escrow.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import { RANGE_BYTES, rememberCheckpoint } from './checkpoint-range.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { turnMembers } from './member-turns.ts';
import { idText } from './record-map.ts';
import { holdDeposit } from './record-deposit.ts';
import { newSubnet, recordBytes, type Subnet } from './records.ts';
import type { Rules } from './rules.ts';

/** The record of the escrow, which the first deposit makes: key and value. */
const ESCROW_BYTES = 104;

type CreateSubnet = Extract<Body, { kind: 'create-subnet' }>;

export function subnetFlaw(body: CreateSubnet): Flaw {
  if (body.name === '') return refused('subnet.malformed', 'expected a name');
  if (body.members.length > LIMITS.subnetMembersMax) {
    return refused(
      'subnet.malformed',
      `expected at most ${LIMITS.subnetMembersMax} members, got ${body.members.length}`,
    );
  }
  if (body.powBits > LIMITS.powBitsMax) {
    return refused(
      'subnet.malformed',
      `expected at most ${LIMITS.powBitsMax} bits of work, got ${body.powBits}`,
    );
  }
  const flaw = validatorSetFlaw(body.members);
  return flaw === undefined ? undefined : refused('subnet.malformed', flaw);
}

export function applyCreateSubnet(
  draft: Draft,
  sender: Address,
  body: CreateSubnet,
): Result<LedgerEventBody, ErrorCode> {
  const { name, members, powBits } = body;
  const id = subnetId(sender, name);
  if (draft.get('subnet', idText(id)) !== undefined)
    return refused('subnet.exists', 'the sender has a subnet of this name');
  const subnet = newSubnet({ id, name, members, powBits });
  const base = { powBits };
  const bytes = recordBytes('subnet', subnet) + recordBytes('subnet-base', base) + ESCROW_BYTES + RANGE_BYTES;
  const deposit = holdDeposit(draft, sender, bytes);
  if (!deposit.ok) return deposit;
  draft.set('subnet', idText(id), { ...subnet, deposit: deposit.value });
  // Members that start later than others have to go by the same base.
  draft.set('subnet-base', idText(id), base);
  return ok({ kind: 'subnet-created', subnet: id, creator: sender, name, members: members.length });
}

/** The first certificate for the next sequence wins; every later one for it is refused by that sequence. */
export function applyCheckpoint(
  draft: Draft,
  context: BlockContext,
  sender: PublicKey,
  certificate: CheckpointCertificate,
): Result<LedgerEventBody, ErrorCode> {
  const { checkpoint } = certificate;
  const id = idText(checkpoint.subnet);
  const subnet = draft.get('subnet', id);
  if (subnet === undefined)
    return refused('subnet.unknown', 'the checkpoint names a subnet that does not exist');
  const refusal =
    senderFlaw(subnet, sender, checkpoint.sequence) ?? followsFlaw(subnet, context, certificate);
  if (refusal !== undefined) return refusal;
  const signed = checkpointWeight(subnet, context, certificate);
  if (!signed.ok) return signed;
  const flaw = valueFlaw(checkpoint, valueBounds(draft.get('escrow', id)));
  if (flaw !== undefined) return flaw;
  commitValue(draft, checkpoint);
  rememberCheckpoint(draft, checkpoint);
  const hash = checkpointHash(checkpoint);
  const { sequence, appliedRoot, envelopeCount, payloadCount, powBits, time } = checkpoint;
  const committed: Subnet = {
    ...subnet,
    powBits,
    lastSequence: sequence,
    lastHash: hash,
    lastTime: time,
    lastHeight: context.height,
    envelopes: saturatingSum(subnet.envelopes, envelopeCount),
    payloads: saturatingSum(subnet.payloads, payloadCount),
  };
  draft.set('subnet', id, turnMembers(draft, checkpoint.subnet, committed));
  return ok({
    kind: 'checkpoint-committed',
    subnet: checkpoint.subnet,
    sequence,
    hash,
    appliedRoot,
    envelopeCount,
    payloadCount,
    powBits,
    time,
    deposits: checkpoint.value?.deposits ?? 0,
    withdrawalCount: checkpoint.value?.withdrawalCount ?? 0,
    withdrawn: checkpoint.value?.withdrawn ?? amount(0n),
    ...signed.value,
  });
}

/** Anyone may own a subnet and sign any counts: the totals must not leave the range that can be written. */
function saturatingSum(total: number, count: number): number {
  return Math.min(total + count, Number.MAX_SAFE_INTEGER);
}

/** Certificates are public, and placing one is free: whoever places it must at least be answerable in its subnet. */
export function senderFlaw(subnet: Subnet, sender: PublicKey, sequence: number): Flaw {
  const { algorithm, bytes } = sender;
  if (
    membersAt(subnet, sequence).some(({ key }) => key.algorithm === algorithm && equalBytes(key.bytes, bytes))
  )
    return undefined;
  return refused('checkpoint.sender', 'expected the transaction to be signed by a member of the subnet');
}

function followsFlaw(
  subnet: Subnet,
  context: Pick<BlockContext, 'height'>,
  { checkpoint }: CheckpointCertificate,
): Flaw {
  if (checkpoint.sequence !== subnet.lastSequence + 1) {
    return refused(
      'checkpoint.sequence',
      `expected sequence ${subnet.lastSequence + 1}, got ${checkpoint.sequence}`,
    );
  }
  // Checkpoints pay nothing, so that a subnet takes at most one place in a block, however many it signs.
  if (context.height === subnet.lastHeight)
    return refused('checkpoint.sequence', 'this block holds a checkpoint of the subnet already');
  if (!equalBytes(checkpoint.previous, subnet.lastHash))
    return refused('checkpoint.previous', 'another checkpoint came before');
  if (checkpoint.time < subnet.lastTime)
    return refused('checkpoint.previous', 'the time lies before the last checkpoint’s');
  return undefined;
}

/**
 * The stake that signed, and all of it. Weight is counted before any signature is verified, so that a
 * certificate without a quorum costs nothing; then every listed signature must hold, not just enough of them.
 */
export function checkpointWeight(
  subnet: Subnet,
  context: Pick<BlockContext, 'chain' | 'verify'>,
  certificate: CheckpointCertificate,
): Result<{ readonly weight: number; readonly total: number }, ErrorCode> {
  const members = membersAt(subnet, certificate.checkpoint.sequence);
  const signers = indicesOf(certificate.signers, members.length);
  if (signers === undefined || signers.length !== certificate.signatures.length) {
    return refused('checkpoint.quorum', 'expected one signature for each bit of the members’ bitmap');
  }
  const { total, strong } = quorumOf(members.map((member) => member.weight));
  let weight = 0;
  for (const index of signers) weight += members[index]?.weight ?? 0;
  if (weight < strong)
    return refused('checkpoint.quorum', `expected stake ${strong} of ${total}, got ${weight}`);
  const message = checkpointSigningBytes(context.chain, certificate.checkpoint);
  for (const [i, index] of signers.entries()) {
    const member = members[index];
    const signature = certificate.signatures[i];
    if (member === undefined || signature === undefined || !context.verify(member.key, message, signature)) {
      return refused('checkpoint.signature', `the signature of member ${index} does not verify`);
    }
  }
  return ok({ weight, total });
}

export const SUBNET_RULES: Rules<'create-subnet' | 'checkpoint'> = {
  'create-subnet': {
    flaw: (_, body) => subnetFlaw(body),
    apply: (draft, _, { sender }, body) => applyCreateSubnet(draft, sender, body),
  },
  checkpoint: {
    signs: true,
    apply: (draft, context, { tx }, { certificate }) => applyCheckpoint(draft, context, tx.key, certificate),
  },
};
