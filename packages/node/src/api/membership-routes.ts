/** Who is a member of a subnet, by what stake, and who will be (spec STATE-24): from the main chain alone. */
import { Type } from 'typebox';
import type { Hash } from '@itc/core/crypto/hash.js';
import { formatAddress, addressOf } from '@itc/core/ledger/address.js';
import { turnEndAfter } from '@itc/core/ledger/member-turns.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Chain } from '../runtime/chain.ts';
import { isTurnDue } from '../runtime/subnet-peers.ts';
import { hash32 } from './chain-routes.ts';
import { AddressText, AmountText, Count, Hex32, Problem } from './schemas.ts';
import { refuse, type Routes } from './server.ts';

const Set = Type.Array(Type.Object({ member: AddressText, key: Type.String(), weight: Count }));

const MembersAnswer = Type.Object({
  subnet: Hex32,
  name: Type.String(),
  checkpoint: Count,
  members: Set,
  terms: Type.Optional(
    Type.Object({
      stakePerWeight: AmountText,
      stakeMin: AmountText,
      delayBlocks: Count,
      isByInvitation: Type.Boolean(),
    }),
  ),
  stakes: Type.Array(
    Type.Object({
      member: AddressText,
      owner: AddressText,
      stake: AmountText,
      leaving: Type.Array(Type.Object({ amount: AmountText, releaseAt: Count })),
      isAdmitted: Type.Boolean(),
      isPunished: Type.Boolean(),
      votes: Type.Array(AddressText),
    }),
  ),
  next: Type.Optional(Set),
  turnAfter: Type.Optional(
    Type.Integer({ description: 'last checkpoint of the members in force; absent where members are fixed' }),
  ),
  changeDue: Type.Boolean({ description: 'the next turn will have other members' }),
  faults: Type.Array(Type.String(), {
    description:
      'what this process can show against members who have not been punished for it; each is the body of an `accuse-member`',
  }),
});

const rows = (
  set: ValidatorSet,
): { readonly member: string; readonly key: string; readonly weight: number }[] =>
  set.map(({ key, weight }) => ({
    member: formatAddress(addressOf(key)),
    key: Buffer.from(key.bytes).toString('hex'),
    weight,
  }));

/** `faults`: what the process at hand holds against members of this subnet. */
export function membershipRoutes(chain: Chain, faults: (subnet: Hash) => readonly Uint8Array[]): Routes {
  return (api) => {
    api.get(
      '/api/v1/subnets/:id/members',
      {
        schema: {
          summary: 'Members of a subnet with their stakes, and who comes next',
          params: Type.Object({ id: Hex32 }),
          response: { 200: MembersAnswer, 404: Problem },
        },
      },
      (request) => {
        const { state } = chain;
        const id = hash32(request.params.id);
        const subnet = state.subnet(id);
        if (subnet === undefined) return refuse('not-found', 'the chain has no such subnet');
        const membership = state.membership(id);
        const stakes = Array.from(state.stakes(id), ({ member, owner, stake: record }) => ({
          member: formatAddress(member),
          owner: formatAddress(owner),
          stake: String(record.stake),
          leaving: record.leaving.map((part) => ({
            amount: String(part.amount),
            releaseAt: part.releaseAt,
          })),
          isAdmitted: record.isAdmitted,
          isPunished: record.isPunished,
          votes: record.votes.map(formatAddress),
        }));
        return {
          subnet: request.params.id,
          name: subnet.name,
          checkpoint: subnet.lastSequence,
          members: rows(subnet.members),
          stakes,
          changeDue: isTurnDue(state, id),
          faults: faults(id).map((bytes) => Buffer.from(bytes).toString('hex')),
          ...(subnet.next && { next: rows(subnet.next) }),
          ...(membership && {
            terms: {
              stakePerWeight: String(membership.terms.stakePerWeight),
              stakeMin: String(membership.terms.stakeMin),
              delayBlocks: membership.terms.delayBlocks,
              isByInvitation: membership.terms.isByInvitation,
            },
            turnAfter: turnEndAfter(subnet.lastSequence),
          }),
        };
      },
    );
  };
}
