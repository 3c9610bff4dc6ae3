/**
 * Who the members are at the moment, and which peers (spec DAG-14): indices are by the set of the member in memory, which changes
 * with its turns. What of that is on the main chain is read here.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { MemberOptions } from '@itc/core/dag/effects.js';
import { Member } from '@itc/core/dag/member.js';
import type { LogRecord } from '@itc/core/dag/records.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { electable } from '@itc/core/state/member-turns.js';
import type { PeerId } from '../ports.ts';
import type { SubnetOptions } from './subnet-options.ts';

export class SubnetPeers {
  #members: ValidatorSet;
  #peerOf: readonly PeerId[] = [];
  #indexOf: ReadonlyMap<PeerId, number> = new Map();

  constructor(members: ValidatorSet) {
    this.#members = members;
    this.#index();
  }

  get members(): ValidatorSet {
    return this.#members;
  }

  /** By index. */
  get ids(): readonly PeerId[] {
    return this.#peerOf;
  }

  /** Undefined for who is no member. */
  indexOf(peer: PeerId): number | undefined {
    return this.#indexOf.get(peer);
  }

  /** Goes by this set from now on. False when it is the one it went by. */
  take(members: ValidatorSet): boolean {
    if (members === this.#members) return false;
    this.#members = members;
    this.#index();
    return true;
  }

  #index(): void {
    this.#peerOf = this.#members.map((member) => toHex(member.key.bytes));
    this.#indexOf = new Map(this.#peerOf.map((id, index) => [id, index]));
  }
}

/** From its records, or from nothing; where members are by stake it asks the main chain for turns. */
export function newMember(o: SubnetOptions, restore: readonly LogRecord[], pastUncertain: boolean): Member {
  const { chain, subnet, members, powBits, keys, random, timing } = o;
  const own = toHex(keys.publicKey.bytes);
  return new Member({
    chain: chain.id,
    subnet,
    members,
    powBits,
    self: members.findIndex(({ key }) => toHex(key.bytes) === own),
    random: () => random.uniform(),
    sign: keys.sign,
    ...(timing === undefined ? {} : { timing }),
    ...turns(o),
    restore,
    pastUncertain,
  });
}

function turns({
  chain,
  subnet,
  keys,
}: SubnetOptions): Pick<MemberOptions, 'own' | 'turnAfter' | 'isAwaited'> {
  if (chain.state.membership(subnet) === undefined) return {};
  let seen: LedgerState | undefined;
  let isAwaited = false;
  return {
    own: keys.publicKey,
    turnAfter: (sequence) => chain.state.memberTurn(subnet, sequence + 1),
    isAwaited: () => {
      const { state } = chain;
      // Asked with every tick; the state changes once a block.
      if (seen !== state) isAwaited = isTurnDue(state, subnet);
      seen = state;
      return isAwaited;
    },
  };
}

/** Whether the members are about to change: a set is elected, or the next election would give another one. */
export function isTurnDue(state: LedgerState, subnet: Hash): boolean {
  const record = state.subnet(subnet);
  const membership = state.membership(subnet);
  if (record === undefined || membership === undefined) return false;
  if (record.next !== undefined) return true;
  const stakes = Array.from(state.stakes(subnet), ({ member, stake }) => [member, stake] as const);
  return electable(record.members, stakes, membership) !== record.members;
}

/**
 * Who decided a subnet's first checkpoint. Where that is forgotten, too many have changed since for anybody to follow from there: a
 * snapshot brings its own set.
 */
export function firstMembers(state: LedgerState, subnet: Hash): ValidatorSet | undefined {
  return state.memberTurn(subnet, 1) ?? state.subnet(subnet)?.members;
}
