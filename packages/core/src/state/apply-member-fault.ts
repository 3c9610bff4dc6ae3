/** Members by stake who break the rules of their subnet (spec STATE-24.12): half of the stake burns, and the place is lost. */
import { ok, refused, type Result } from '../bytes/result.ts';
import { judgeForgery } from '../ledger/accusation.ts';
import { addressOf } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import {
  equivocationFlaw,
  faultyEnvelope,
  signedByIssuer,
  type MemberFault,
} from '../ledger/member-fault.ts';
import type { BlockContext, Flaw, PoolContext } from './block-context.ts';
import { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { stakeIn } from './membership-record.ts';
import { idText } from './record-map.ts';
import type { Rules } from './rules.ts';

/** Needs no state. */
function faultFlaw(fault: MemberFault): Flaw {
  if (fault.kind === 'forgery') return undefined;
  const flaw = equivocationFlaw(fault.first, fault.second);
  return flaw === undefined ? undefined : refused('evidence.malformed', flaw);
}

const stakeKey = (fault: MemberFault): string => {
  const { subnet, issuer } = faultyEnvelope(fault);
  return idText(subnet) + idText(addressOf(issuer));
};

/** What can be looked up is asked before any signature. */
function accusedFlaw(
  draft: Draft,
  context: Pick<BlockContext, 'chain' | 'verify'>,
  fault: MemberFault,
): Flaw {
  const { subnet } = faultyEnvelope(fault);
  if (draft.get('membership', idText(subnet)) === undefined)
    return refused('membership.fixed', 'members of this subnet have no stake to lose');
  const record = draft.get('stake', stakeKey(fault));
  if (record === undefined) return refused('membership.unknown', 'nobody has staked for the accused key');
  if (record.isPunished) return refused('membership.punished', 'the accused was punished already');
  const envelopes = fault.kind === 'equivocation' ? [fault.first, fault.second] : [fault.envelope];
  for (const envelope of envelopes)
    if (!context.verify(record.key, signedByIssuer(context.chain, envelope), envelope.signature))
      return refused('evidence.signature', 'an envelope is not signed by the accused key');
  return fault.kind === 'forgery' ? forgeryFlaw(context, fault) : undefined;
}

function forgeryFlaw(
  { chain, verify }: Pick<BlockContext, 'chain' | 'verify'>,
  fault: Extract<MemberFault, { kind: 'forgery' }>,
): Flaw {
  const judged = judgeForgery(chain, fault);
  if (!judged.ok) return refused('evidence.malformed', judged.message);
  const { signer, signedBytes, signature } = judged.value.payload;
  if (!verify(signer, signedBytes, signature)) return undefined;
  return refused('evidence.malformed', 'the payload is signed by its device');
}

/** What is left; an odd unit burns. */
const half = (value: Amount): Amount => amount(value / 2n);

/** Half of the stake and of all that is on its way back burns; the rest stays the owner’s, without weight from the next election on. */
function applyAccuse(
  draft: Draft,
  context: BlockContext,
  fault: MemberFault,
): Result<LedgerEventBody, ErrorCode> {
  const refusal = accusedFlaw(draft, context, fault);
  if (refusal !== undefined) return refusal;
  const key = stakeKey(fault);
  const record = draft.get('stake', key);
  if (record === undefined) throw new Error('a punishment was let through for a key without stake');
  const stake = half(record.stake);
  const leaving = record.leaving
    .map((part) => ({ ...part, amount: half(part.amount) }))
    .filter((part) => part.amount > 0n);
  const burned = amount(stakeIn(record) - stakeIn({ stake, leaving }));
  draft.set('stake', key, { ...record, stake, leaving, votes: [], isPunished: true });
  const { epoch } = draft;
  draft.setEpoch({ ...epoch, burned: amount(epoch.burned + burned) });
  const { subnet, issuer } = faultyEnvelope(fault);
  return ok({
    kind: 'member-punished',
    subnet,
    member: addressOf(issuer),
    owner: record.owner,
    key: issuer,
    fault: fault.kind,
    burned,
  });
}

export const MEMBER_FAULT_RULES: Rules<'accuse-member'> = {
  'accuse-member': {
    signs: true,
    flaw: (_, { fault }) => faultFlaw(fault),
    proved: (state, context: PoolContext, _, { fault }) => accusedFlaw(new Draft(state), context, fault),
    apply: (draft, context, _, { fault }) => applyAccuse(draft, context, fault),
  },
};
