/** Members by stake (spec STATE-24): founding their subnet, joining, leaving, admitting. Checks come before the first write. */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import {
  memberPossessionBytes,
  type MembershipTerms,
  type MemberStake,
} from '../ledger/bodies/membership.ts';
import { subnetId } from '../ledger/bodies/subnet.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { quorumOf, validatorSetFlaw, type ValidatorSet } from '../ledger/validators.ts';
import { RANGE_BYTES } from './checkpoint-range.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';
import { weightIn } from './election.ts';
import type { LedgerEventBody } from './events.ts';
import { countedId } from './keys.ts';
import { STATE_LIMITS } from './limits.ts';
import { dueNow, payBack, stakesOf } from './member-turns.ts';
import { stakeWeight, type Membership, type MemberStakeRecord } from './membership-record.ts';
import { idText } from './record-map.ts';
import { holdDeposit } from './record-deposit.ts';
import { newSubnet, recordBytes, type Subnet } from './records.ts';
import type { Rules } from './rules.ts';

/** Records of past turns that the founder's deposit pays for, and the escrow (see `apply-subnet.ts`). */
const SETS_KEPT = STATE_LIMITS.memberTurnsKept + 2;
const ESCROW_BYTES = 104;

export function termsFlaw(terms: MembershipTerms): Flaw {
  if (terms.stakePerWeight === 0n || terms.stakeMin < terms.stakePerWeight)
    return refused('membership.terms', 'expected stakeMin ≥ stakePerWeight > 0');
  if (terms.delayBlocks < 1 || terms.delayBlocks > LIMITS.unbondBlocks)
    return refused(
      'membership.terms',
      `expected a delay of 1 to ${LIMITS.unbondBlocks} blocks, got ${terms.delayBlocks}`,
    );
  return undefined;
}

function foundFlaw(body: BodyOf<'found-subnet'>): Flaw {
  if (body.name === '') return refused('subnet.malformed', 'expected a name');
  if (body.powBits > LIMITS.powBitsMax)
    return refused('subnet.malformed', `expected at most ${LIMITS.powBitsMax} bits of work`);
  const flaw = termsFlaw(body.terms);
  if (flaw !== undefined) return flaw;
  const set = foundedSet(body);
  if (set.length > LIMITS.subnetMembersMax)
    return refused('subnet.malformed', `expected at most ${LIMITS.subnetMembersMax} members`);
  const small = body.members.findIndex((member) => member.amount < body.terms.stakeMin);
  if (small >= 0) return refused('membership.stake', `member ${small} has less stake than the terms ask for`);
  const malformed = validatorSetFlaw(set);
  return malformed === undefined ? undefined : refused('subnet.malformed', malformed);
}

function foundedSet({ members, terms }: BodyOf<'found-subnet'>): ValidatorSet {
  return members.map(({ key, amount: stake }) => ({
    key,
    weight: stakeWeight({ stake, isAdmitted: true, isPunished: false }, terms),
  }));
}

/** Asked by a pool too: needs no state. */
function possessionFlaw(
  { chain, verify }: Pick<BlockContext, 'chain' | 'verify'>,
  sender: Address,
  subnet: Hash,
  stakes: readonly MemberStake[],
): Flaw {
  const message = memberPossessionBytes(chain, sender, subnet);
  if (stakes.every(({ key, possession }) => verify(key, message, possession))) return undefined;
  return refused(
    'membership.possession',
    'expected the signature of the member’s key for this account and subnet',
  );
}

const stakeKey = (subnet: Hash, member: Address): string => idText(subnet) + idText(member);

function applyFound(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'found-subnet'>,
): Result<LedgerEventBody, ErrorCode> {
  const { name, powBits, terms } = body;
  const id = subnetId(sender, name);
  if (draft.get('subnet', idText(id)) !== undefined)
    return refused('subnet.exists', 'the sender has a subnet of this name');
  const flaw = possessionFlaw(context, sender, id, body.members);
  if (flaw !== undefined) return flaw;
  const staked = body.members.reduce((sum, member) => sum + member.amount, 0n);
  const { balance } = draft.account(sender);
  if (balance < staked)
    return refused(
      'transaction.balance',
      `the stakes are ${staked}, the balance after the fee is ${balance}`,
    );
  const members = foundedSet(body);
  const subnet = newSubnet({ id, name, members, powBits });
  const membership: Membership = { terms, powBits, turns: [1] };
  const bytes =
    recordBytes('subnet', subnet) +
    recordBytes('membership', membership) +
    SETS_KEPT * recordBytes('turn', { members }) +
    ESCROW_BYTES +
    RANGE_BYTES;
  // What is staked is not there for the deposit any more: taken first, given back if that does not suffice.
  draft.debit(sender, staked);
  const deposit = holdDeposit(draft, sender, bytes);
  if (!deposit.ok) {
    draft.credit(sender, staked);
    return deposit;
  }
  draft.set('subnet', idText(id), { ...subnet, deposit: deposit.value });
  draft.set('membership', idText(id), membership);
  draft.set('turn', idText(countedId(id, 1)), { members });
  for (const { key, amount: stake } of body.members)
    draft.set('stake', stakeKey(id, addressOf(key)), newStake(key, sender, stake, true));
  return ok({ kind: 'subnet-created', subnet: id, creator: sender, name, members: members.length });
}

function newStake(
  key: MemberStake['key'],
  owner: Address,
  stake: MemberStakeRecord['stake'],
  isAdmitted: boolean,
): MemberStakeRecord {
  return { key, owner, stake, leaving: [], isAdmitted, votes: [], isPunished: false };
}

/** The subnet with its terms, or why it has none. */
function stakedSubnet(
  draft: Draft,
  id: Hash,
): Result<{ readonly subnet: Subnet; readonly membership: Membership }, ErrorCode> {
  const subnet = draft.get('subnet', idText(id));
  if (subnet === undefined) return refused('subnet.unknown', 'no such subnet');
  const membership = draft.get('membership', idText(id));
  if (membership === undefined)
    return refused('membership.fixed', 'the members of this subnet were listed when it was made');
  return ok({ subnet, membership });
}

/** Makes the key a candidate, or adds to its stake. It decides from the turn after the next election, if that has room for it. */
function applyJoin(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'join-subnet'>,
): Result<LedgerEventBody, ErrorCode> {
  const found = stakedSubnet(draft, body.subnet);
  if (!found.ok) return found;
  const { terms } = found.value.membership;
  const member = addressOf(body.key);
  const id = stakeKey(body.subnet, member);
  const before = draft.get('stake', id);
  if (before !== undefined) {
    if (!equalBytes(before.owner, sender))
      return refused('membership.key', 'another account has staked for this key');
    if (before.isPunished) return refused('membership.punished', 'the member was punished');
  } else if (stakes(draft, body.subnet) >= STATE_LIMITS.subnetStakesMax) {
    return refused(
      'membership.full',
      `${STATE_LIMITS.subnetStakesMax} keys have stake in the subnet already`,
    );
  }
  const stake = amount((before?.stake ?? 0n) + body.amount);
  if (body.amount === 0n || stake < terms.stakeMin)
    return refused(
      'membership.stake',
      `expected a stake of at least ${terms.stakeMin}, it would be ${stake}`,
    );
  const { balance } = draft.account(sender);
  if (balance < body.amount)
    return refused(
      'transaction.balance',
      `the stake is ${body.amount}, the balance after the fee is ${balance}`,
    );
  const flaw = possessionFlaw(context, sender, body.subnet, [body]);
  if (flaw !== undefined) return flaw;
  draft.debit(sender, body.amount);
  draft.set(
    'stake',
    id,
    before === undefined ? newStake(body.key, sender, stake, !terms.isByInvitation) : { ...before, stake },
  );
  const { subnet, amount: added } = body;
  return ok({ kind: 'member-staked', subnet, member, owner: sender, key: body.key, amount: added, stake });
}

function stakes(draft: Draft, subnet: Hash): number {
  let count = 0;
  for (const _ of stakesOf(draft, subnet)) count += 1;
  return count;
}

/** What is asked back stays punishable for the delay; the weight follows with the next turn. */
function applyLeave(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  body: BodyOf<'leave-subnet'>,
): Result<LedgerEventBody, ErrorCode> {
  const found = stakedSubnet(draft, body.subnet);
  if (!found.ok) return found;
  const { terms } = found.value.membership;
  const id = stakeKey(body.subnet, body.member);
  const record = draft.get('stake', id);
  if (record === undefined || !equalBytes(record.owner, sender))
    return refused('membership.unknown', 'the sender has not staked for this member');
  const rest = record.stake - body.amount;
  if (body.amount === 0n || rest < 0n)
    return refused('membership.stake', `expected an amount up to the stake of ${record.stake}`);
  // Places are few: a stake below the least one would hold one for nothing.
  if (rest > 0n && rest < terms.stakeMin)
    return refused(
      'membership.stake',
      `expected to leave nothing or at least ${terms.stakeMin}, not ${rest}`,
    );
  const releaseAt = height(context.height + terms.delayBlocks);
  const last = record.leaving.at(-1);
  const isMerged = last?.releaseAt === releaseAt;
  if (!isMerged && record.leaving.length >= STATE_LIMITS.unbondingsMax)
    return refused('membership.leaving', `${record.leaving.length} parts are on their way already`);
  const part = { amount: amount(body.amount + (isMerged ? last.amount : 0n)), releaseAt };
  draft.set('stake', id, {
    ...record,
    stake: amount(rest),
    leaving: [...(isMerged ? record.leaving.slice(0, -1) : record.leaving), part],
    // Whoever takes everything back has left: to return, it needs the others again.
    ...(rest === 0n && terms.isByInvitation ? { isAdmitted: false } : {}),
  });
  const { subnet, member, amount: asked } = body;
  return ok({
    kind: 'member-leaving',
    subnet,
    member,
    owner: sender,
    amount: asked,
    stake: amount(rest),
    releaseAt,
  });
}

/** Two thirds of the stake that decides now let a candidate in. */
function applyAdmit(
  draft: Draft,
  sender: Address,
  body: BodyOf<'admit-member'>,
): Result<LedgerEventBody, ErrorCode> {
  const found = stakedSubnet(draft, body.subnet);
  if (!found.ok) return found;
  const { subnet } = found.value;
  const voter = draft.get('stake', stakeKey(body.subnet, body.voter));
  if (voter === undefined || !equalBytes(voter.owner, sender))
    return refused('membership.unknown', 'the sender has not staked for this member');
  if (voter.isPunished || weightIn(subnet.members, voter.key) === 0)
    return refused('membership.voter', 'expected a member that decides now');
  const id = stakeKey(body.subnet, body.candidate);
  const candidate = draft.get('stake', id);
  if (candidate === undefined) return refused('membership.unknown', 'nobody has staked for this candidate');
  if (candidate.isAdmitted || candidate.isPunished)
    return refused('membership.admitted', 'there is nothing to vote on about this candidate');
  const votes = standing(draft, body.subnet, subnet, candidate.votes)
    .filter((address) => !equalBytes(address, body.voter))
    .concat(body.voter)
    .sort(compareBytes);
  const { total, strong } = quorumOf(subnet.members.map((member) => member.weight));
  const support = votes.reduce((sum, address) => sum + votingWeight(draft, body.subnet, subnet, address), 0);
  const isAdmitted = support >= strong;
  draft.set('stake', id, { ...candidate, isAdmitted, votes: isAdmitted ? [] : votes });
  return ok({
    kind: isAdmitted ? 'member-admitted' : 'admission-voted',
    subnet: body.subnet,
    member: body.candidate,
    owner: candidate.owner,
    voter: body.voter,
    from: sender,
    support,
    total,
  });
}

/** Votes of who still decides: at most one per member. */
function standing(draft: Draft, id: Hash, subnet: Subnet, votes: readonly Address[]): Address[] {
  return votes.filter((voter) => votingWeight(draft, id, subnet, voter) > 0);
}

function votingWeight(draft: Draft, id: Hash, subnet: Subnet, voter: Address): number {
  const record = draft.get('stake', stakeKey(id, voter));
  return record === undefined || record.isPunished ? 0 : weightIn(subnet.members, record.key);
}

/** Where checkpoints come, they pay stake back; a subnet without any must not keep it for ever. */
function applyCollect(
  draft: Draft,
  context: BlockContext,
  body: BodyOf<'collect-stake'>,
): Result<LedgerEventBody, ErrorCode> {
  const found = stakedSubnet(draft, body.subnet);
  if (!found.ok) return found;
  const { subnet, membership } = found.value;
  const record = draft.get('stake', stakeKey(body.subnet, body.member));
  if (record === undefined) return refused('membership.unknown', 'nobody has staked for this member');
  const { terms } = membership;
  const isSilent = context.height >= subnet.lastHeight + 2 * terms.delayBlocks;
  const due = isSilent
    ? record.leaving.filter((part) => part.releaseAt <= context.height).length
    : dueNow(record, subnet, terms.stakePerWeight, context.height);
  if (due === 0) return refused('membership.early', 'no stake of this member may return yet');
  const paid = payBack(draft, body.subnet, body.member, record, due, subnet);
  return ok({
    kind: 'stake-returned',
    subnet: body.subnet,
    member: body.member,
    owner: record.owner,
    amount: amount(paid),
  });
}

type MembershipKind = 'found-subnet' | 'join-subnet' | 'leave-subnet' | 'admit-member' | 'collect-stake';

export const MEMBERSHIP_RULES: Rules<MembershipKind> = {
  'found-subnet': {
    signs: true,
    flaw: (_, body) => foundFlaw(body),
    proved: (_, context, { sender }, body) =>
      possessionFlaw(context, sender, subnetId(sender, body.name), body.members),
    apply: (draft, context, { sender }, body) => applyFound(draft, context, sender, body),
  },
  'join-subnet': {
    signs: true,
    proved: (_, context, { sender }, body) => possessionFlaw(context, sender, body.subnet, [body]),
    apply: (draft, context, { sender }, body) => applyJoin(draft, context, sender, body),
  },
  'leave-subnet': {
    apply: (draft, context, { sender }, body) => applyLeave(draft, context, sender, body),
  },
  'admit-member': { apply: (draft, _, { sender }, body) => applyAdmit(draft, sender, body) },
  'collect-stake': { apply: (draft, context, _, body) => applyCollect(draft, context, body) },
};
