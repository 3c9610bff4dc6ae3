/**
 * How fast a member may issue (spec DAG-11.5): additive increase, multiplicative decrease, as TCP does (Chiu and Jain
 * 1989; for DAGs Cullen et al., arXiv 2005.07778). The signal needs no message: what the others take is approved within
 * moments, what they drop for being over its share is not.
 */

export const ISSUE_RATE = {
  startPerSecond: 200,
  leastPerSecond: 2,
  mostPerSecond: 2_000,
  /** Envelopes at once after a pause. */
  burst: 64,
  /** Gained per second while what is issued is accepted: additive, or the decrease could not keep up with it. */
  step: 10,
  factor: 0.7,
  /** An own envelope with payloads that waits this long for acceptance says that there is too much. */
  lateMs: 2_000,
  /** Between two decreases: the effect of one has to show first. */
  pauseMs: 1_000,
} as const;

export class IssueRate {
  #perSecond: number = ISSUE_RATE.startPerSecond;
  #tokens: number = ISSUE_RATE.burst;
  #at = 0;
  #decreasedAt = Number.NEGATIVE_INFINITY;

  get perSecond(): number {
    return this.#perSecond;
  }

  mayIssue(now: number): boolean {
    this.#refill(now);
    return this.#tokens >= 1;
  }

  issued(now: number): void {
    this.#refill(now);
    this.#tokens = Math.max(0, this.#tokens - 1);
  }

  /** One more own envelope was accepted: its part of a second's gain. */
  accepted(): void {
    const gain = ISSUE_RATE.step / this.#perSecond;
    this.#perSecond = Math.min(ISSUE_RATE.mostPerSecond, this.#perSecond + gain);
  }

  /** Age of the oldest own envelope that waits for acceptance, once per tick. */
  waiting(now: number, ageMs: number): void {
    if (ageMs <= ISSUE_RATE.lateMs || now - this.#decreasedAt < ISSUE_RATE.pauseMs) return;
    this.#decreasedAt = now;
    this.#perSecond = Math.max(ISSUE_RATE.leastPerSecond, this.#perSecond * ISSUE_RATE.factor);
  }

  #refill(now: number): void {
    const gained = (Math.max(0, now - this.#at) * this.#perSecond) / 1_000;
    this.#tokens = Math.min(ISSUE_RATE.burst, this.#tokens + gained);
    this.#at = Math.max(this.#at, now);
  }
}
