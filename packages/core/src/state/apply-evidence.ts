/** Punishment (spec STATE-12): who signs two statements that contradict each other loses half of its stake and its place. */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { SignatureDomain } from '../crypto/signature.ts';
import { voteSigningBytes } from '../ledger/block.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { Evidence, SignedHash, SignedState } from '../ledger/evidence.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import { stableSigningBytes } from '../ledger/stable-certificate.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { idText } from './record-map.ts';
import { stakeOf } from './validator-record.ts';
import type { Rules } from './rules.ts';

const DOMAINS = {
  'pre-prepare': 'prePrepare',
  prepare: 'prepare',
  commit: 'commit',
} as const satisfies Readonly<Record<string, SignatureDomain>>;

/** The same statement twice is no contradiction, whatever its signatures. Needs no state. */
export function evidenceFlaw(evidence: Evidence): Flaw {
  const same =
    evidence.kind === 'checkpoint'
      ? sameState(evidence.first, evidence.second)
      : equalBytes(evidence.first.hash, evidence.second.hash);
  if (!same) return undefined;
  return refused('evidence.malformed', 'expected two statements that differ, got one of them twice');
}

function sameState(a: SignedState, b: SignedState): boolean {
  return equalBytes(a.hash, b.hash) && equalBytes(a.stateRoot, b.stateRoot);
}

/**
 * Whether a punishment is due. What can be looked up is asked before any signature. A key is answerable from the block
 * that bonded it until all of the stake is gone: before that it had nothing to lose, and after a punishment and a new
 * bond the old contradiction does not count again.
 */
export function accusedFlaw(
  draft: Draft,
  context: Pick<BlockContext, 'chain' | 'verify'>,
  evidence: Evidence,
): Flaw {
  const accused = draft.validatorOf(evidence.culprit);
  if (accused === undefined) return refused('validator.unknown', 'nobody has bonded the accused key');
  const { record } = accused;
  if (record.jailed) return refused('validator.jailed', 'the accused was punished already');
  if (evidence.height < record.since)
    return refused(
      'evidence.stale',
      `expected a height from ${record.since}, where the key was bonded, got ${evidence.height}`,
    );
  if (evidence.epoch > draft.epoch.epoch)
    return refused('evidence.stale', `expected an epoch up to ${draft.epoch.epoch}, got ${evidence.epoch}`);
  for (const [name, signed] of [
    ['first', signedBytes(context.chain, evidence, 'first')],
    ['second', signedBytes(context.chain, evidence, 'second')],
  ] as const) {
    if (!context.verify(evidence.culprit, signed, evidence[name].signature))
      return refused('evidence.signature', `the ${name} statement is not signed by the accused key`);
  }
  return undefined;
}

/** Exactly what a replica signs. */
function signedBytes(chain: Hash, evidence: Evidence, which: 'first' | 'second'): Uint8Array {
  const { epoch, height } = evidence;
  if (evidence.kind === 'checkpoint') {
    const { hash, stateRoot } = evidence[which];
    return stableSigningBytes(chain, { epoch, height, hash, stateRoot });
  }
  const { hash }: SignedHash = evidence[which];
  return voteSigningBytes(DOMAINS[evidence.kind], { chain, epoch, view: evidence.view, height, hash });
}

/** Half of the bond and of all that is on its way back burns; the culprit has no say from now on and leaves at the next election. */
export function applyEvidence(
  draft: Draft,
  context: BlockContext,
  evidence: Evidence,
): Result<LedgerEventBody, ErrorCode> {
  const refusal = accusedFlaw(draft, context, evidence);
  if (refusal !== undefined) return refusal;
  const accused = draft.validatorOf(evidence.culprit);
  if (accused === undefined) throw new Error('a punishment was let through for a key without a bond');
  const { address, record } = accused;
  const bond = half(record.bond);
  const unbonding = record.unbonding
    .map((part) => ({ ...part, amount: half(part.amount) }))
    .filter((part) => part.amount > 0n);
  const burned = amount(stakeOf(record) - stakeOf({ bond, unbonding }));
  const { epoch } = draft;
  draft.set('validator', idText(address), { ...record, bond, unbonding, weight: 0, votes: [], jailed: true });
  draft.setEpoch({ ...epoch, burned: amount(epoch.burned + burned) });
  return ok({
    kind: 'validator-jailed',
    validator: address,
    key: record.key,
    statement: evidence.kind,
    burned,
  });
}

/** What is left; an odd unit burns. */
function half(value: Amount): Amount {
  return amount(value / 2n);
}

export const EVIDENCE_RULES: Rules<'evidence'> = {
  evidence: {
    signs: true,
    flaw: (_, { evidence }) => evidenceFlaw(evidence),
    proved: (state, context, _, { evidence }) => accusedFlaw(new Draft(state), context, evidence),
    apply: (draft, context, _, { evidence }) => applyEvidence(draft, context, evidence),
  },
};
