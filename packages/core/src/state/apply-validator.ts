/** Bonds, and the votes and restarts of those who decide (spec STATE-10). Checks come before the first write. */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, height, type Height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { possessionSigningBytes } from '../ledger/bodies/validator.ts';
import type { BodyOf } from '../ledger/body.ts';
import { quorumOf } from '../ledger/validators.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import { Draft } from './draft.ts';
import { weightIn } from './election.ts';
import type { LedgerEventBody } from './events.ts';
import { STATE_LIMITS } from './limits.ts';
import { idText } from './record-map.ts';
import { newValidator, type ValidatorRecord, type WeightVote } from './validator-record.ts';
import type { Rules } from './rules.ts';
import type { OpenedTransaction } from './verified-transaction.ts';

/** For bonds and what is asked back. */
export function amountFlaw(body: BodyOf<'bond' | 'unbond'>): Flaw {
  if (body.amount > 0n) return undefined;
  return refused('validator.bond', 'expected an amount above 0');
}

/** Whoever bonds a key must hold it: votes and punishments would fall on a stranger. Needs no state, so a pool asks it too. */
export function possessionFlaw(
  { chain, verify }: Pick<BlockContext, 'chain' | 'verify'>,
  sender: Address,
  body: BodyOf<'bond'>,
): Flaw {
  if (verify(body.key, possessionSigningBytes(chain, sender), body.possession)) return undefined;
  return refused(
    'validator.possession',
    'expected the consensus key’s signature for the account that bonds it',
  );
}

/** Makes the sender a candidate, or adds to what it has bonded. It decides when the others have granted it weight. */
export function applyBond(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'bond'>,
): Result<LedgerEventBody, ErrorCode> {
  const id = idText(sender);
  const before = draft.get('validator', id);
  const refusal = before === undefined ? newcomerFlaw(draft, body) : bonderFlaw(before, body);
  if (refusal !== undefined) return refusal;
  const { balance } = draft.account(sender);
  if (balance < body.amount) {
    return refused(
      'transaction.balance',
      `expected at least ${body.amount} after the fee, the balance is ${balance}`,
    );
  }
  const flaw = possessionFlaw(context, sender, body);
  if (flaw !== undefined) return flaw;
  draft.debit(sender, body.amount);
  const bond = amount((before?.bond ?? 0n) + body.amount);
  draft.set(
    'validator',
    id,
    before === undefined ? newValidator({ key: body.key, since: context.height, bond }) : { ...before, bond },
  );
  return ok({ kind: 'validator-bonded', validator: sender, key: body.key, amount: body.amount, bond });
}

/** A place in the table costs a bond that carries one unit of weight: the table is bounded and must not fill with dust. */
function newcomerFlaw(draft: Draft, body: BodyOf<'bond'>): Flaw {
  const { bondPerWeight } = draft.parameters;
  if (body.amount < bondPerWeight)
    return refused(
      'validator.bond',
      `expected a first bond of at least ${bondPerWeight}, got ${body.amount}`,
    );
  if (draft.validators().length >= LIMITS.candidatesMax)
    return refused('validator.full', `${LIMITS.candidatesMax} accounts have bonded already`);
  if (draft.validatorOf(body.key) !== undefined)
    return refused('validator.key', 'another account has bonded this key');
  return undefined;
}

/** With a new key under an old bond, a culprit would slip away from what the old key signed. */
function bonderFlaw(record: ValidatorRecord, body: BodyOf<'bond'>): Flaw {
  if (record.jailed) return refused('validator.jailed', 'expected the account not to have been punished');
  if (!equalBytes(record.key.bytes, body.key.bytes))
    return refused('validator.key', 'expected the key the account has bonded already');
  return undefined;
}

/** What is asked back stays punishable for `unbondBlocks`; the weight follows at the next election. */
export function applyUnbond(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'unbond'>,
): Result<LedgerEventBody, ErrorCode> {
  const id = idText(sender);
  const record = draft.get('validator', id);
  if (record === undefined) return refused('validator.unknown', 'the sender has bonded nothing');
  if (record.bond < body.amount)
    return refused('validator.bond', `expected at most the bond of ${record.bond}, got ${body.amount}`);
  // A record held by dust would take up a place for ever: places are few, and the first bond is what one costs.
  const { bondPerWeight } = draft.parameters;
  const rest = record.bond - body.amount;
  if (rest > 0n && rest < bondPerWeight)
    return refused('validator.bond', `expected to leave nothing or at least ${bondPerWeight}, not ${rest}`);
  const releaseAt = height(context.height + LIMITS.unbondBlocks);
  const last = record.unbonding.at(-1);
  const merged = last?.releaseAt === releaseAt;
  if (!merged && record.unbonding.length >= STATE_LIMITS.unbondingsMax) {
    return refused(
      'validator.unbonding',
      `${record.unbonding.length} parts are on their way, the first until height ${record.unbonding[0]?.releaseAt}`,
    );
  }
  const part = { amount: amount(body.amount + (merged ? last.amount : 0n)), releaseAt };
  const bond = amount(record.bond - body.amount);
  draft.set('validator', id, {
    ...record,
    bond,
    unbonding: [...(merged ? record.unbonding.slice(0, -1) : record.unbonding), part],
    // Whoever takes everything back has left: to return, it needs the others' votes again.
    ...(bond === 0n ? { weight: 0, votes: [] } : {}),
  });
  return ok({ kind: 'validator-unbonding', validator: sender, amount: body.amount, bond, releaseAt });
}

/**
 * A vote stands until the voter casts another one about this validator, the weight is granted, the voter decides no
 * longer, or `voteBlocks` have passed. When votes for one weight reach the quorum it is granted.
 */
export function applyWeightVote(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'weight-vote'>,
): Result<LedgerEventBody, ErrorCode> {
  const { validator, weight } = body;
  if (votingWeight(draft, sender) === 0)
    return refused('validator.inactive', 'expected the account of a validator that decides in this epoch');
  const record = draft.get('validator', idText(validator));
  if (record === undefined) return refused('validator.unknown', 'the account named has bonded nothing');
  if (record.jailed) return refused('validator.jailed', 'who was punished is granted nothing');
  const needed = BigInt(weight) * draft.parameters.bondPerWeight;
  if (record.bond < needed)
    return refused('validator.bond', `weight ${weight} needs a bond of ${needed}, there is ${record.bond}`);
  const cast: WeightVote = { voter: sender, weight, castAt: context.height };
  const votes = standing(draft, record.votes, context.height)
    .filter(({ voter }) => !equalBytes(voter, sender))
    .concat(cast)
    .sort((a, b) => compareBytes(a.voter, b.voter));
  const { total, strong } = quorumOf(draft.epoch.validators.map((member) => member.weight));
  let support = 0;
  for (const vote of votes) if (vote.weight === weight) support += votingWeight(draft, vote.voter);
  const granted = support >= strong;
  draft.set('validator', idText(validator), { ...record, ...(granted ? { weight, votes: [] } : { votes }) });
  return ok({
    kind: granted ? 'weight-granted' : 'weight-voted',
    validator,
    voter: sender,
    weight,
    support,
    total,
  });
}

/** At most one per validator of the epoch: what others once said is forgotten here. */
function standing(draft: Draft, votes: readonly WeightVote[], at: Height): WeightVote[] {
  return votes.filter(
    ({ voter, castAt }) => at < castAt + STATE_LIMITS.voteBlocks && votingWeight(draft, voter) > 0,
  );
}

/** Weight in this epoch of the validator an account has bonded; none for culprits. */
export function votingWeight(draft: Draft, account: Address): number {
  const record = draft.get('validator', idText(account));
  return record === undefined || record.jailed ? 0 : weightIn(draft.epoch.validators, record.key);
}

/**
 * A restart asks for a new epoch, in which a validator without its log may vote again. A node holds its consensus key
 * only, and its account may be empty: so the key may send it as well as the account, and it needs no fee. What is free
 * must be bounded: it is refused, without any change, to all but validators of this epoch, and to them within
 * `restartBlocks` of the last one.
 */
export function restartFlaw(
  draft: Draft,
  context: Pick<BlockContext, 'height'>,
  transaction: OpenedTransaction,
): Flaw {
  const asker = restarting(draft, transaction);
  if (asker === undefined || asker.record.jailed || weightIn(draft.epoch.validators, asker.record.key) === 0)
    return refused(
      'validator.inactive',
      'expected a validator of this epoch, by its account or consensus key',
    );
  const { restartAt } = asker.record;
  const free = restartAt + STATE_LIMITS.restartBlocks;
  if (restartAt > 0 && context.height < free)
    return refused(
      'validator.restart',
      `the last one was at height ${restartAt}, expected none below ${free}`,
    );
  return undefined;
}

/** A consensus key speaks for its bond, whatever the account of that key may have bonded besides. */
function restarting(
  draft: Draft,
  { tx, sender }: OpenedTransaction,
): { readonly address: Address; readonly record: ValidatorRecord } | undefined {
  const record = draft.get('validator', idText(sender));
  return draft.validatorOf(tx.key) ?? (record && { address: sender, record });
}

/** The caller has asked `restartFlaw`. */
export function applyRestart(
  draft: Draft,
  context: BlockContext,
  transaction: OpenedTransaction,
): Result<LedgerEventBody, ErrorCode> {
  const asker = restarting(draft, transaction);
  if (asker === undefined) throw new Error('a restart was let through for an account without a bond');
  draft.set('validator', idText(asker.address), { ...asker.record, restartAt: context.height });
  return ok({ kind: 'restart-asked', validator: asker.address });
}

export const VALIDATOR_RULES: Rules<'bond' | 'unbond' | 'weight-vote' | 'restart'> = {
  bond: {
    signs: true,
    flaw: (_, body) => amountFlaw(body),
    proved: (_, context, { sender }, body) => possessionFlaw(context, sender, body),
    apply: (draft, context, { sender }, body) => applyBond(draft, context, sender, body),
  },
  unbond: {
    flaw: (_, body) => amountFlaw(body),
    apply: (draft, context, { sender }, body) => applyUnbond(draft, context, sender, body),
  },
  'weight-vote': {
    apply: (draft, context, { sender }, body) => applyWeightVote(draft, context, sender, body),
  },
  restart: {
    proved: (state, context, transaction) => restartFlaw(new Draft(state), context, transaction),
    apply: (draft, context, transaction) => applyRestart(draft, context, transaction),
  },
};
