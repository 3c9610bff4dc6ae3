/**
 * How members by stake change (spec STATE-24): with certain checkpoints a subnet's next set is elected from its stakes, and a
 * fixed number of checkpoints later it decides. Called for each checkpoint; on most it does nothing.
 */
import { asAddress, type Address } from '../ledger/address.ts';
import { electsMembers, endsMemberTurn, turnEndAfter } from '../ledger/member-turns.ts';
import type { Hash } from '../crypto/hash.ts';
import { amount, type Height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import type { Draft } from './draft.ts';
import { elect, weightIn } from './election.ts';
import { countedId } from './keys.ts';
import { STATE_LIMITS } from './limits.ts';
import { stakeIn, stakeWeight, type Membership, type MemberStakeRecord } from './membership-record.ts';
import { idBytes, idText } from './record-map.ts';
import type { Subnet } from './records.ts';

/** The subnet behind its checkpoint `lastSequence`; other records of its membership are written to the draft. */
export function turnMembers(draft: Draft, id: Hash, subnet: Subnet): Subnet {
  const { lastSequence: sequence } = subnet;
  if (!electsMembers(sequence) && !endsMemberTurn(sequence)) return subnet;
  const membership = draft.get('membership', idText(id));
  if (membership === undefined) return subnet;
  return electsMembers(sequence)
    ? electNext(draft, id, subnet, membership)
    : takeTurn(draft, id, subnet, membership);
}

/** What an election would give now; the same set when nothing is to change. */
export function electable(
  members: ValidatorSet,
  stakes: Iterable<readonly [member: Address, record: MemberStakeRecord]>,
  { terms }: Pick<Membership, 'terms'>,
): ValidatorSet {
  const candidates = Array.from(stakes, ([address, record]) => ({
    address,
    key: record.key,
    current: weightIn(members, record.key),
    target: stakeWeight(record, terms),
    jailed: record.isPunished,
  }));
  return elect(members, candidates, LIMITS.subnetMembersMax);
}

/** Stakes of a subnet by the address of the member's key; at most `subnetStakesMax`. */
export function* stakesOf(
  records: Pick<Draft, 'walk'>,
  subnet: Hash,
): Generator<readonly [member: Address, record: MemberStakeRecord], void> {
  for (const [id, record] of records.walk('stake', idText(subnet)))
    yield [asAddress(idBytes(id).slice(32)), record];
}

function electNext(draft: Draft, id: Hash, subnet: Subnet, membership: Membership): Subnet {
  const elected = electable(subnet.members, stakesOf(draft, id), membership);
  if (elected === subnet.members) return subnet;
  const first = turnEndAfter(subnet.lastSequence) + 1;
  const turns = [...membership.turns, first];
  const forgotten = turns.length > STATE_LIMITS.memberTurnsKept ? turns.shift() : undefined;
  if (forgotten !== undefined) draft.set('turn', idText(countedId(id, forgotten)), undefined);
  draft.set('turn', idText(countedId(id, first)), { members: elected });
  draft.set('membership', idText(id), { ...membership, turns });
  return { ...subnet, next: elected };
}

/** The elected decide from here on; stake whose time has come returns. */
function takeTurn(draft: Draft, id: Hash, before: Subnet, { terms }: Membership): Subnet {
  const { next, ...rest } = before;
  const subnet: Subnet = next === undefined ? before : { ...rest, members: next };
  for (const [member, record] of stakesOf(draft, id)) {
    const due = dueNow(record, subnet, terms.stakePerWeight, subnet.lastHeight);
    payBack(draft, id, member, record, due, subnet);
  }
  return subnet;
}

/**
 * How many parts return now: their time has come, and the member has no weight that the rest of its stake does not carry. A turnover may
 * keep a member longer than it wants, and as long as it decides it has something to lose.
 */
export function dueNow(
  record: MemberStakeRecord,
  subnet: Pick<Subnet, 'members' | 'next'>,
  stakePerWeight: bigint,
  at: Height,
): number {
  const weight = Math.max(weightIn(subnet.members, record.key), weightIn(subnet.next ?? [], record.key));
  if (!record.isPunished && BigInt(weight) * stakePerWeight > record.stake) return 0;
  return record.leaving.filter((part) => part.releaseAt <= at).length;
}

/**
 * Returns the first `due` parts to the owner; a record without stake and weight goes, unless it is there so that a key that was
 * punished does not come back. The sum paid.
 */
export function payBack(
  draft: Draft,
  id: Hash,
  member: Address,
  record: MemberStakeRecord,
  due: number,
  subnet: Pick<Subnet, 'members' | 'next'>,
): bigint {
  const paid = record.leaving.slice(0, due).reduce((sum, part) => sum + part.amount, 0n);
  if (paid > 0n) draft.credit(record.owner, paid);
  const rest: MemberStakeRecord = due === 0 ? record : { ...record, leaving: record.leaving.slice(due) };
  const decides = weightIn(subnet.members, record.key) > 0 || weightIn(subnet.next ?? [], record.key) > 0;
  const key = idText(id) + idText(member);
  if (!decides && !rest.isPunished && stakeIn(rest) === 0n) draft.set('stake', key, undefined);
  else if (due > 0) draft.set('stake', key, rest);
  return amount(paid);
}
