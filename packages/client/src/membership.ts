/** Bodies about members of a subnet by stake (spec STATE-24). */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import { compareBytes, fromHex } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import type { Body } from '@itc/core/ledger/body.js';
import {
  memberPossessionBytes,
  type MembershipTerms,
  type MemberStake,
} from '@itc/core/ledger/bodies/membership.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Amount } from '@itc/core/ledger/ids.js';
import { readMemberFault } from '@itc/core/ledger/member-fault.js';
import type { Signer } from './keys.ts';

export type { MembershipTerms };

/** The key a process signs with, and the stake for it. */
export interface StakedMember {
  readonly key: Pick<Signer, 'publicKey' | 'sign'>;
  readonly amount: Amount;
}

interface Staking {
  readonly chain: Hash;
  /** Sender of the transaction: the owner of the stakes. */
  readonly account: Address;
}

async function staked(o: Staking & { readonly subnet: Hash }, member: StakedMember): Promise<MemberStake> {
  const possession = await member.key.sign(memberPossessionBytes(o.chain, o.account, o.subnet));
  return { key: member.key.publicKey, amount: member.amount, possession };
}

/** A subnet with members by stake; the sender stakes for the first of them. Its id is `subnetId(account, name)`. */
export async function foundSubnet(
  o: Staking & {
    readonly name: string;
    readonly powBits: number;
    readonly terms: MembershipTerms;
    readonly members: readonly StakedMember[];
  },
): Promise<Body> {
  const subnet = subnetId(o.account, o.name);
  const members = await Promise.all(o.members.map((member) => staked({ ...o, subnet }, member)));
  members.sort((a, b) => compareBytes(a.key.bytes, b.key.bytes));
  return { kind: 'found-subnet', name: o.name, powBits: o.powBits, terms: o.terms, members };
}

/** Makes the key a candidate, or adds to its stake. */
export async function joinSubnet(o: Staking & { readonly subnet: Hash } & StakedMember): Promise<Body> {
  return { kind: 'join-subnet', subnet: o.subnet, ...(await staked(o, o)) };
}

/** All of the stake is leaving; it returns after the delay. */
export function leaveSubnet(o: {
  readonly subnet: Hash;
  readonly member: Address;
  readonly amount: Amount;
}): Body {
  return { kind: 'leave-subnet', ...o };
}

/** The vote of one of the sender's members for a candidate, in a subnet by invitation. */
export function admitMember(o: {
  readonly subnet: Hash;
  readonly voter: Address;
  readonly candidate: Address;
}): Body {
  return { kind: 'admit-member', ...o };
}

/** By anybody, where no checkpoint pays due stake back. */
export function collectStake(o: { readonly subnet: Hash; readonly member: Address }): Body {
  return { kind: 'collect-stake', ...o };
}

/** By anybody: what a member has signed against the rules, as a node of its subnet tells it. Throws `evidence.malformed`. */
export function accuseMember(fault: string): Body {
  const bytes = fromHex(fault);
  const read = bytes.ok ? decode(readMemberFault, bytes.value) : bytes;
  if (!read.ok) throw new LedgerError('evidence.malformed', read.message);
  return { kind: 'accuse-member', fault: read.value };
}
