/**
 * When the members of a subnet change (spec STATE-24): after a checkpoint whose sequence is a multiple of `memberTurnCheckpoints`.
 * Who decides from then on is elected `memberLeadCheckpoints` earlier, so that everybody who judges a checkpoint knows
 * its members, also from a state that is a few blocks old. Known to state, dag, light and shells.
 */
import { LIMITS } from './limits.ts';
import type { ValidatorSet } from './validators.ts';

/** Whether the set may change behind this checkpoint. */
export function endsMemberTurn(sequence: number): boolean {
  return sequence > 0 && sequence % LIMITS.memberTurnCheckpoints === 0;
}

/** Whether the main chain elects the next set with this checkpoint. */
export function electsMembers(sequence: number): boolean {
  return sequence > 0 && endsMemberTurn(sequence + LIMITS.memberLeadCheckpoints);
}

/** The last checkpoint of the turn that `sequence` follows or is inside of. */
export function turnEndAfter(sequence: number): number {
  return (Math.floor(sequence / LIMITS.memberTurnCheckpoints) + 1) * LIMITS.memberTurnCheckpoints;
}

/** A subnet as far as its members go. */
export interface SubnetMembers {
  /** Those who decide the checkpoint after `lastSequence`. */
  readonly members: ValidatorSet;
  /** Those who decide from the next turn on, once elected and if others. */
  readonly next?: ValidatorSet;
  readonly lastSequence: number;
}

/**
 * Who decides a checkpoint to come. Right for all up to `memberLeadCheckpoints` ahead; further on the set may not be elected yet.
 */
export function membersAt(subnet: SubnetMembers, sequence: number): ValidatorSet {
  return sequence > turnEndAfter(subnet.lastSequence) ? (subnet.next ?? subnet.members) : subnet.members;
}
