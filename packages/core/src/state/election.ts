/**
 * Who decides in the next epoch (spec STATE-11): the validators of this one, moved towards what votes and bonds say,
 * by less than a third of the weight. Slowly, because light clients follow a set from its predecessor's signatures, and
 * because nobody should take a chain over between two checkpoints.
 */
import { compareBytes } from '../bytes/hex.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import { LIMITS } from '../ledger/limits.ts';
import { quorumOf, sortValidators, validatorSetFlaw, type ValidatorSet } from '../ledger/validators.ts';

/** One bonded account as an election sees it. */
export interface Candidate {
  readonly address: Address;
  readonly key: PublicKey;
  /** Weight in the epoch that ends; 0 when it does not decide. */
  readonly current: number;
  /** Weight it is to have. */
  readonly target: number;
  readonly jailed: boolean;
}

/**
 * Weight that one election may move: Σ |new − old| × 3 < W. In sets of weight 3 and less no integer satisfies this and
 * they would be frozen for ever; they tolerate no fault anyway, and may move one unit.
 */
export function turnoverMax(total: number): number {
  return Math.max(1, Math.ceil(total / 3) - 1);
}

/**
 * The next set. Culprits leave first, then those who want to, then everybody in the order of addresses. A change larger
 * than what is left of the turnover is made in part, and goes on in the next election. A change that would make a set
 * nobody may decide with (someone at a third of the weight, nobody left, too many) is passed over.
 */
export function elect(
  current: ValidatorSet,
  candidates: readonly Candidate[],
  membersMax: number = LIMITS.validatorsMax,
): ValidatorSet {
  let set = current;
  let left = turnoverMax(quorumOf(current.map((member) => member.weight)).total);
  const changes = candidates.filter((candidate) => candidate.target !== candidate.current);
  for (const candidate of changes.toSorted(inOrder)) {
    if (left === 0) break;
    const step = Math.min(Math.abs(candidate.target - candidate.current), left);
    const weight = candidate.current + (candidate.target > candidate.current ? step : -step);
    const changed = withWeight(set, candidate.key, weight);
    if (changed.length > membersMax || validatorSetFlaw(changed) !== undefined) continue;
    set = changed;
    left -= step;
  }
  return set;
}

function inOrder(a: Candidate, b: Candidate): number {
  return rank(a) - rank(b) || compareBytes(a.address, b.address);
}

function rank(candidate: Candidate): number {
  if (candidate.jailed) return 0;
  return candidate.target === 0 ? 1 : 2;
}

function withWeight(set: ValidatorSet, key: PublicKey, weight: number): ValidatorSet {
  const others = set.filter((member) => compareBytes(member.key.bytes, key.bytes) !== 0);
  return weight === 0 ? others : sortValidators([...others, { key, weight }]);
}

/** Weight of a consensus key in a set; 0 when it is not there. */
export function weightIn(set: ValidatorSet, key: PublicKey): number {
  return set.find((member) => compareBytes(member.key.bytes, key.bytes) === 0)?.weight ?? 0;
}
