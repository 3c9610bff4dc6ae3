/** Bodies about who is a member of a subnet by stake (spec STATE-24). */
import { concatBytes } from '../../bytes/hex.ts';
import type { Reader } from '../../bytes/reader.ts';
import { utf8Encode, type Writer } from '../../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../../crypto/hash.ts';
import {
  readPublicKey,
  SIGNATURE_BYTES,
  SIGNATURE_DOMAINS,
  writePublicKey,
  type PublicKey,
} from '../../crypto/signature.ts';
import type { Address } from '../address.ts';
import { readAddress, readHash } from '../fields.ts';
import { amount, type Amount } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { readMemberFault, writeMemberFault, type MemberFault } from '../member-fault.ts';
import type { BodyCodecs } from './codec.ts';

/** What a subnet asks of its members; fixed when it is founded. */
export interface MembershipTerms {
  /** Stake behind one unit of weight, above 0. */
  readonly stakePerWeight: Amount;
  /** Least stake of a member, at least `stakePerWeight`. */
  readonly stakeMin: Amount;
  /** Heights for which stake that was asked back stays where it is. */
  readonly delayBlocks: number;
  /** Whether the members vote on who joins; otherwise the stake is enough. */
  readonly isByInvitation: boolean;
}

/** A process that takes part, and what its owner puts in for it. */
export interface MemberStake {
  /** Signs envelopes and checkpoints. Its address names the member. */
  readonly key: PublicKey;
  readonly amount: Amount;
  /** By that key over `memberPossessionBytes`. */
  readonly possession: Uint8Array;
}

export type MembershipBody =
  /** A subnet whose members have weight by stake. The sender stakes for the first of them. */
  | {
      readonly kind: 'found-subnet';
      readonly name: string;
      readonly powBits: number;
      readonly terms: MembershipTerms;
      /** Ascending by key. */
      readonly members: readonly MemberStake[];
    }
  /** A new candidate, or more stake for one the sender has. */
  | ({ readonly kind: 'join-subnet'; readonly subnet: Hash } & MemberStake)
  /** Asks for stake back: all of it is leaving. */
  | {
      readonly kind: 'leave-subnet';
      readonly subnet: Hash;
      readonly member: Address;
      readonly amount: Amount;
    }
  /** By the owner of a member, in a subnet by invitation: that member's vote for a candidate. */
  | {
      readonly kind: 'admit-member';
      readonly subnet: Hash;
      readonly voter: Address;
      readonly candidate: Address;
    }
  /** By anyone: pays what has waited long enough, where no checkpoint of the subnet does it. */
  | { readonly kind: 'collect-stake'; readonly subnet: Hash; readonly member: Address }
  /** By anyone: what a member has signed against the rules. It names subnet and culprit itself. */
  | { readonly kind: 'accuse-member'; readonly fault: MemberFault };

/**
 * What a member's key signs so that an account may stake for it: domain ‖ 0x00 ‖ chain ‖ account ‖ subnet. Nobody can put
 * a stranger's key at risk, and a proof seen on its way serves no other account.
 */
export function memberPossessionBytes(chain: Hash, account: Address, subnet: Hash): Uint8Array {
  return concatBytes(
    utf8Encode(SIGNATURE_DOMAINS.memberPossession),
    Uint8Array.of(0),
    chain,
    account,
    subnet,
  );
}

export function writeTerms(writer: Writer, terms: MembershipTerms): void {
  writer.u64(terms.stakePerWeight).u64(terms.stakeMin).u53(terms.delayBlocks).bool(terms.isByInvitation);
}

export function readTerms(reader: Reader): MembershipTerms {
  return {
    stakePerWeight: amount(reader.u64()),
    stakeMin: amount(reader.u64()),
    delayBlocks: reader.u53(),
    isByInvitation: reader.bool(),
  };
}

function writeMemberStake(writer: Writer, stake: MemberStake): void {
  writePublicKey(writer, stake.key);
  writer.u64(stake.amount).fixed(stake.possession, SIGNATURE_BYTES);
}

function readMemberStake(reader: Reader): MemberStake {
  return {
    key: readPublicKey(reader),
    amount: amount(reader.u64()),
    possession: reader.fixed(SIGNATURE_BYTES).slice(),
  };
}

export const MEMBERSHIP_CODECS: BodyCodecs<MembershipBody> = {
  'found-subnet': {
    write: (writer, body) => {
      writer.text(body.name).u8(body.powBits);
      writeTerms(writer, body.terms);
      writer.list(body.members, writeMemberStake);
    },
    read: (reader) => ({
      kind: 'found-subnet',
      name: reader.text(LIMITS.textBytesMax),
      powBits: reader.u8(),
      terms: readTerms(reader),
      members: reader.list(LIMITS.subnetMembersMax, readMemberStake),
    }),
  },
  'join-subnet': {
    write: (writer, body) => writeMemberStake(writer.fixed(body.subnet, HASH_BYTES), body),
    read: (reader) => ({ kind: 'join-subnet', subnet: readHash(reader), ...readMemberStake(reader) }),
  },
  'leave-subnet': {
    write: (writer, body) =>
      writer.fixed(body.subnet, HASH_BYTES).fixed(body.member, HASH_BYTES).u64(body.amount),
    read: (reader) => ({
      kind: 'leave-subnet',
      subnet: readHash(reader),
      member: readAddress(reader),
      amount: amount(reader.u64()),
    }),
  },
  'admit-member': {
    write: (writer, body) =>
      writer.fixed(body.subnet, HASH_BYTES).fixed(body.voter, HASH_BYTES).fixed(body.candidate, HASH_BYTES),
    read: (reader) => ({
      kind: 'admit-member',
      subnet: readHash(reader),
      voter: readAddress(reader),
      candidate: readAddress(reader),
    }),
  },
  'collect-stake': {
    write: (writer, body) => writer.fixed(body.subnet, HASH_BYTES).fixed(body.member, HASH_BYTES),
    read: (reader) => ({ kind: 'collect-stake', subnet: readHash(reader), member: readAddress(reader) }),
  },
  'accuse-member': {
    write: (writer, body) => writeMemberFault(writer, body.fault),
    read: (reader) => ({ kind: 'accuse-member', fault: readMemberFault(reader) }),
  },
};
