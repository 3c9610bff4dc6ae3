/** Validators change what is in force: a vote each, in force from the next checkpoint height on (spec STATE-21). */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Address } from '../ledger/address.ts';
import { PARAMETER_NAMES, PARAMETERS, type ParameterName } from '../ledger/bodies/parameters.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, type Height } from '../ledger/ids.ts';
import { quorumOf } from '../ledger/validators.ts';
import { votingWeight } from './apply-validator.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { STATE_LIMITS } from './limits.ts';
import type { ParameterVote, ParameterVotes } from './parameter-votes-record.ts';
import type { Parameters } from './records.ts';
import type { Rules } from './rules.ts';

export function parameterFlaw(body: BodyOf<'parameter-vote'>): Flaw {
  const { max } = PARAMETERS[body.parameter];
  if (body.value <= max) return undefined;
  return refused('parameter.value', `expected at most ${max} for ${body.parameter}, got ${body.value}`);
}

/** One character: the number of the parameter. */
function votesId(parameter: ParameterName): string {
  return String.fromCharCode(PARAMETERS[parameter].code);
}

/** A vote stands as one for a weight does (STATE-10.6). */
function applyVote(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'parameter-vote'>,
): Result<LedgerEventBody, ErrorCode> {
  const { parameter, value } = body;
  if (votingWeight(draft, sender) === 0)
    return refused('validator.inactive', 'expected the account of a validator that decides in this epoch');
  const record: ParameterVotes = draft.get('parameter-votes', votesId(parameter)) ?? {
    votes: [],
    next: undefined,
  };
  const votes = standing(draft, record.votes, context.height)
    .filter(({ voter }) => !equalBytes(voter, sender))
    .concat({ voter: sender, value, castAt: context.height })
    .sort((a, b) => compareBytes(a.voter, b.voter));
  const { total, strong } = quorumOf(draft.epoch.validators.map(({ weight }) => weight));
  let support = 0;
  for (const vote of votes) if (vote.value === value) support += votingWeight(draft, vote.voter);
  const isAgreed = support >= strong;
  draft.set(
    'parameter-votes',
    votesId(parameter),
    isAgreed ? { votes: [], next: value } : { ...record, votes },
  );
  return ok({
    kind: isAgreed ? 'parameter-agreed' : 'parameter-voted',
    parameter,
    value,
    voter: sender,
    support,
    total,
  });
}

function standing(draft: Draft, votes: readonly ParameterVote[], at: Height): ParameterVote[] {
  return votes.filter(
    ({ voter, castAt }) => at < castAt + STATE_LIMITS.voteBlocks && votingWeight(draft, voter) > 0,
  );
}

/** At the end of a checkpoint height: what was agreed on is in force from the next block on. */
export function changeParameters(draft: Draft): readonly LedgerEventBody[] {
  const events: LedgerEventBody[] = [];
  let parameters: Parameters = draft.parameters;
  for (const parameter of PARAMETER_NAMES) {
    const record = draft.get('parameter-votes', votesId(parameter));
    if (record?.next === undefined) continue;
    const { votes, next } = record;
    draft.set(
      'parameter-votes',
      votesId(parameter),
      votes.length === 0 ? undefined : { votes, next: undefined },
    );
    parameters = { ...parameters, [parameter]: parameter === 'burnShare' ? Number(next) : amount(next) };
    events.push({ kind: 'parameter-changed', parameter, value: next });
  }
  if (events.length > 0) draft.set('parameters', '', parameters);
  return events;
}

export const PARAMETERS_RULES: Rules<'parameter-vote'> = {
  'parameter-vote': {
    flaw: (_, body) => parameterFlaw(body),
    apply: (draft, context, { sender }, body) => applyVote(draft, context, sender, body),
  },
};
