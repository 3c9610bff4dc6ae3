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

/**
 * What is left out follows from the view timeout: what was lost is sent again some times before anybody is blamed for it.
 * Throws for intervals with which a single lost message would cost a view.
 */
export function timingOf(given: Partial<Timing> = {}): Timing {
  const viewTimeoutMs = given.viewTimeoutMs ?? TIMING.viewTimeoutMs;
  const derived = {
    viewTimeoutMaxMs: Math.max(TIMING.viewTimeoutMaxMs, viewTimeoutMs),
    resendMs: Math.min(TIMING.resendMs, Math.ceil(viewTimeoutMs / RESENDS)),
    heartbeatMs: TIMING.heartbeatMs,
  };
  const timing = { ...derived, ...given, viewTimeoutMs };
  if (!(timing.resendMs > 0) || 2 * timing.resendMs > viewTimeoutMs)
    throw new RangeError(
      `the view timeout of ${viewTimeoutMs} ms must be at least twice the resend interval of ${timing.resendMs} ms`,
    );
  if (timing.viewTimeoutMaxMs < viewTimeoutMs)
    throw new RangeError(
      `the view timeout of ${viewTimeoutMs} ms is above its cap of ${timing.viewTimeoutMaxMs} ms`,
    );
  return timing;
}

/** Resend intervals in a view timeout, unless they are given. */
const RESENDS = 4;

/** The timeout after `attempts` view changes without a delivered block: doubled each time, capped. */
export function viewTimeout(timing: Timing, attempts: number): number {
  return Math.min(timing.viewTimeoutMaxMs, timing.viewTimeoutMs * 2 ** Math.min(attempts, 30));
}
