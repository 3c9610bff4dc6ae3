/**
 * Whose turn it is to propose (spec PBFT-10). Rotation is part of the schedule, not of the view change: a slow or
 * censoring proposer has `rotationBlocks` heights, and one that showed itself unable has none for `skipBlocks` heights.
 */
import type { View } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { indicesOf } from '../ledger/validators.ts';
import type { SoundViewChange } from './messages.ts';
import type { Weights } from './quorum.ts';

/** Follows from the NEW-VIEW alone, so that everyone in a view has the same. */
export interface Schedule {
  readonly count: number;
  /** Ascending; they get no turn … */
  readonly skipped: readonly number[];
  /** … up to and including this height. */
  readonly until: number;
  /** Everyone else, ascending; never empty. */
  readonly eligible: readonly number[];
}

/** The schedule of a view that begins above `base`. */
export function scheduleOf(count: number, base: number, skipped: readonly number[] = []): Schedule {
  const eligible = Array.from({ length: count }, (_, index) => index).filter(
    (index) => !skipped.includes(index),
  );
  return { count, skipped, until: base + LIMITS.skipBlocks, eligible };
}

/** Number of the turn a height belongs to. */
export function turnOf(height: number): number {
  return Math.floor((height - 1) / LIMITS.rotationBlocks);
}

/** The validator that proposes at a height of a view. */
export function proposerOf(schedule: Schedule, view: View, height: number): number {
  const turn = view + turnOf(height);
  if (height > schedule.until) return turn % schedule.count;
  return schedule.eligible[turn % schedule.eligible.length] as number;
}

/** Those among `skipped` who get no turn at this height. */
export function skippedAt(schedule: Schedule, height: number): readonly number[] {
  return height > schedule.until ? [] : schedule.skipped;
}

/**
 * Whom a set of VIEW-CHANGE messages puts aside: those blamed by weight F + 1 or more, so that one correct voice is among
 * the accusers, the most blamed first (ties by index), as long as their own weight together stays within F. What is
 * left is of weight Q or more.
 */
export function decideSkipped(weights: Weights, set: readonly SoundViewChange[]): number[] {
  const blamed = Array.from({ length: weights.count }, () => 0);
  const heard = new Set<number>();
  for (const { message } of set) {
    if (heard.has(message.sender)) continue;
    heard.add(message.sender);
    for (const index of indicesOf(message.suspects, weights.count) ?? [])
      blamed[index] = (blamed[index] ?? 0) + weights.of(message.sender);
  }
  const order = [...blamed.keys()]
    .filter((index) => (blamed[index] ?? 0) >= weights.quorum.weak)
    .sort((a, b) => (blamed[b] ?? 0) - (blamed[a] ?? 0) || a - b);
  const skipped: number[] = [];
  let total = 0;
  for (const index of order) {
    if (total + weights.of(index) > weights.quorum.faulty) continue;
    total += weights.of(index);
    skipped.push(index);
  }
  return skipped.sort((a, b) => a - b);
}
