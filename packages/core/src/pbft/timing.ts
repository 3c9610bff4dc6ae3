/** Timers of the replica, all in milliseconds of the clock that arrives with `tick` inputs. */
export interface Timing {
  /** Time without a delivered block, while there is work, after which a backup asks for the next view. */
  readonly viewTimeoutMs: number;
  /** Cap of the doubling: without one, round 10 of a troubled network looks like a dead chain. */
  readonly viewTimeoutMaxMs: number;
  /** Votes, VIEW-CHANGE, CHECKPOINT and status are sent again after this long without progress. */
  readonly resendMs: number;
  /** An idle primary asks the shell for a proposal this often; the shell may leave the question unanswered. */
  readonly heartbeatMs: number;
}

/** For a devnet of several processes on two busy cores. */
export const TIMING: Timing = {
  viewTimeoutMs: 4_000,
  viewTimeoutMaxMs: 60_000,
  resendMs: 1_000,
  heartbeatMs: 10_000,
};

/** The timeout after `attempts` view changes without a delivered block: doubled each time, capped. */
export function viewTimeout(timing: Timing, attempts: number): number {
  return Math.min(timing.viewTimeoutMaxMs, timing.viewTimeoutMs * 2 ** Math.min(attempts, 30));
}
