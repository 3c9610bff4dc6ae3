/** Numbers that are taken once, in any order, with constant memory: a high-water mark and a window of bits (spec DAG-7.2). */
import { LIMITS } from '../ledger/limits.ts';

export const WINDOW_BYTES: number = LIMITS.laneWindow / 8;

export interface SequenceWindow {
  /** Greatest number taken; 0 before the first. */
  high: number;
  /** Bit `number mod laneWindow`, for numbers above high − window. */
  window: Uint8Array;
}

export function judgeNumber(
  lane: { readonly high: number; readonly window: Uint8Array },
  number: number,
): 'applied' | 'duplicate' | 'stale' {
  if (number > lane.high) return 'applied';
  if (number + LIMITS.laneWindow <= lane.high) return 'stale';
  const bit = number % LIMITS.laneWindow;
  return (((lane.window[bit >> 3] as number) >> (bit & 7)) & 1) === 1 ? 'duplicate' : 'applied';
}

/** Marks a number; sliding forward clears the bits of the numbers that come into the window. */
export function takeNumber(lane: SequenceWindow, number: number): void {
  if (number - lane.high >= LIMITS.laneWindow) lane.window.fill(0);
  else {
    for (let s = lane.high + 1; s <= number; s += 1) {
      const bit = s % LIMITS.laneWindow;
      lane.window[bit >> 3] = (lane.window[bit >> 3] as number) & ~(1 << (bit & 7));
    }
  }
  const bit = number % LIMITS.laneWindow;
  lane.window[bit >> 3] = (lane.window[bit >> 3] as number) | (1 << (bit & 7));
  if (number > lane.high) lane.high = number;
}
