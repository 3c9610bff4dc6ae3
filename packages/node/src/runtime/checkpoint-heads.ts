/**
 * Which checkpoint transactions a block may hold: only such as will be accepted (spec STATE-8, NODE-3). A light
 * proof shows that a checkpoint *is in* a certified block, so being in must mean being accepted. Decided from
 * the executed state that the header commits to and the blocks between, the same on every replica.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { checkpointHash } from '@itc/core/ledger/checkpoint.js';
import { valueBounds, valueFlaw, type ValueBounds } from '@itc/core/state/apply-escrow.js';
import { checkpointWeight, senderFlaw } from '@itc/core/state/apply-subnet.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';

export interface Head {
  readonly sequence: number;
  readonly hash: Hash;
  readonly time: number;
  /** Number of the last deposit it credits, and what it lets out (spec STATE-14). */
  readonly deposits: number;
  readonly withdrawn: bigint;
}

/** By subnet id in hex: the last checkpoint of every subnet that a block moved on. */
export type HeadChanges = ReadonlyMap<string, Head>;

export const NO_HEADS: HeadChanges = new Map();

export interface HeadContext {
  readonly chain: Hash;
  /** The state `pipelineDepth` blocks below. */
  readonly state: LedgerState;
  /** Of the blocks above that state and below this one, oldest first. */
  readonly between: readonly HeadChanges[];
  /** Height of the block in question. */
  readonly height: number;
  readonly verify: SignatureVerifier;
}

/** Splits transactions into those that may stand in the block, and says where that leaves the subnets. */
export function admissible(
  context: HeadContext,
  transactions: readonly VerifiedTransaction[],
): { readonly admitted: VerifiedTransaction[]; readonly heads: HeadChanges } {
  const heads = new Map<string, Head>();
  const admitted = transactions.filter((transaction) => {
    const { body, key, validUntil } = transaction.tx;
    if (body.kind !== 'checkpoint') return true;
    const { certificate } = body;
    const { checkpoint } = certificate;
    const id = toHex(checkpoint.subnet);
    const subnet = context.state.subnet(checkpoint.subnet);
    // One per subnet and block, placed by a member.
    if (subnet === undefined || validUntil < context.height || heads.has(id)) return false;
    if (senderFlaw(subnet, key, checkpoint.sequence) !== undefined) return false;
    const since = context.between.flatMap((changes) => changes.get(id) ?? []);
    const last = since.at(-1) ?? {
      sequence: subnet.lastSequence,
      hash: subnet.lastHash,
      time: subnet.lastTime,
    };
    const escrow = valueBounds(context.state.escrow(checkpoint.subnet));
    // Deposits of the blocks between only add to this: what fits here fits when it is executed.
    const bounds: ValueBounds = {
      deposits: escrow.deposits,
      credited: since.at(-1)?.deposits ?? escrow.credited,
      available: since.reduce((left, { withdrawn }) => left - withdrawn, escrow.available),
    };
    const follows =
      checkpoint.sequence === last.sequence + 1 &&
      equalBytes(checkpoint.previous, last.hash) &&
      checkpoint.time >= last.time;
    if (!follows || valueFlaw(checkpoint, bounds) !== undefined) return false;
    if (!checkpointWeight(subnet, context, certificate).ok) return false;
    heads.set(id, {
      sequence: checkpoint.sequence,
      hash: checkpointHash(checkpoint),
      time: checkpoint.time,
      deposits: checkpoint.value?.deposits ?? 0,
      withdrawn: checkpoint.value?.withdrawn ?? 0n,
    });
    return true;
  });
  return { admitted, heads: heads.size === 0 ? NO_HEADS : heads };
}
