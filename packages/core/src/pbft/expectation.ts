/**
 * What a proposer is expected to get done: about as much as the others did (spec PBFT-12). After Clement et al., "Making
 * Byzantine Fault Tolerant Systems Tolerate Byzantine Faults" (Aardvark, NSDI 2009) for the rate, and Amir et al.,
 * "Prime" (TDSC 2011) for the delay. Time is sampled on ticks and counts only while requests wait.
 */

/** What was delivered, in what time, and how long it was waited for between two deliveries. */
interface Performance {
  requests: number;
  blocks: number;
  /** All the time, so that a rate over it is what was got done, never more than could have been. */
  elapsedMs: number;
  /** Sum of the waits: all the time in which requests waited. */
  waitedMs: number;
  /** Sum of the squares of the waits; over `waitedMs` the wait that a request which arrives at any time falls into. */
  squares: number;
}

interface Turn extends Performance {
  readonly proposer: number;
  /** Longest wait so far, and the one that is not over. */
  longestMs: number;
  waitMs: number;
  /** Time with a backlog, and what was delivered in it. */
  backlogMs: number;
  backlogRequests: number;
  /** There was a backlog at the last tick. */
  isBehind: boolean;
}

/** Shorter observations say nothing: one scheduling hiccup is as long. */
const WINDOW_MS = 1_000;
const WINDOW_BLOCKS = 4;
/** Requests that wait are a backlog when others need this long for them, and when they are no fewer than this. */
const BACKLOG_MS = 500;
const BACKLOG_MIN = 32;
/** A turn shorter than this gives no rate to measure others by. */
const RATE_MS = 300;
/** A tick that comes later than this was held up on this machine: what was measured before it is void. */
const STALL_MS = 1_000;
const RATE_FACTOR = 2;
const DELAY_FACTOR = 4;
/** A wait this part of the view timeout is no reason for anything. */
const DELAY_FLOOR = 4;
/** One long wait in a turn is forgiven, unless it was needed in this many turns in a row. */
const STRIKES = 2;
/** Every suspicion raises the bar, so that a network that became slow for all does not go through all proposers. */
const CAUTION_MAX = 8;

export class Expectation {
  readonly #viewTimeoutMs: number;
  readonly #known: Performance[];
  readonly #strikes: number[];
  #turn: Turn | undefined;
  #turnId = -1;
  #viewId = -1;
  #caution = 0;

  constructor(count: number, viewTimeoutMs: number) {
    this.#viewTimeoutMs = viewTimeoutMs;
    this.#known = Array.from({ length: count }, () => nothing());
    this.#strikes = Array.from({ length: count }, () => 0);
  }

  /** It is `proposer`'s turn. What the turn before it achieved is kept. */
  turn(view: number, turn: number, proposer: number): void {
    if (view === this.#viewId && turn === this.#turnId) return;
    this.#finish();
    this.#viewId = view;
    this.#turnId = turn;
    this.#turn = emptyTurn(proposer);
  }

  /** Forgets what was measured in this turn: blocks came another way, or nobody was watching. */
  restart(): void {
    if (this.#turn !== undefined) this.#turn = emptyTurn(this.#turn.proposer);
  }

  /** Time has passed, at the end of which this many requests wait. */
  pass(elapsedMs: number, pending: number): void {
    const turn = this.#turn;
    if (turn === undefined) return;
    if (elapsedMs > STALL_MS) return this.restart();
    turn.elapsedMs += elapsedMs;
    if (pending === 0) {
      // Requests that vanished without a block were nobody's delay.
      turn.waitedMs -= turn.waitMs;
      turn.waitMs = 0;
      turn.isBehind = false;
      return;
    }
    turn.waitedMs += elapsedMs;
    turn.waitMs += elapsedMs;
    const rate = this.#medianRate(turn.proposer);
    turn.isBehind = rate !== undefined && pending >= Math.max(BACKLOG_MIN, rate * BACKLOG_MS);
    if (turn.isBehind) turn.backlogMs += elapsedMs;
  }

  /** A block of the present proposer was delivered. */
  delivered(requests: number): void {
    const turn = this.#turn;
    if (turn === undefined) return;
    turn.blocks += 1;
    turn.requests += requests;
    if (turn.isBehind) turn.backlogRequests += requests;
    turn.squares += turn.waitMs ** 2;
    turn.longestMs = Math.max(turn.longestMs, turn.waitMs);
    turn.waitMs = 0;
  }

  /** Whether the present proposer does clearly worse than most others did in their last turns. */
  isSlow(): boolean {
    const turn = this.#turn;
    if (turn === undefined || turn.waitedMs < WINDOW_MS || turn.blocks < WINDOW_BLOCKS) return false;
    const forgiving = (this.#strikes[turn.proposer] ?? 0) < STRIKES;
    return this.#isSlow(turn, forgiving);
  }

  /** The present proposer is being replaced for being slow. */
  suspected(): void {
    this.#caution = Math.min(CAUTION_MAX, this.#caution + 1);
  }

  #isSlow(turn: Turn, forgiving: boolean): boolean {
    const bar = 2 ** this.#caution;
    const rate = this.#medianRate(turn.proposer);
    const forgivenMs = forgiving ? Math.max(turn.longestMs, turn.waitMs) : 0;
    const backlogMs = turn.backlogMs - forgivenMs;
    if (rate !== undefined && turn.backlogMs >= WINDOW_MS && backlogMs > 0) {
      if (turn.backlogRequests / backlogMs < rate / (RATE_FACTOR * bar)) return true;
    }
    const delay = this.#medianDelay(turn.proposer);
    if (delay === undefined) return false;
    // Fewer but larger blocks are no fault.
    if (rate !== undefined && turn.requests > RATE_FACTOR * rate * turn.waitedMs) return false;
    const own = delayOf({
      waitedMs: turn.waitedMs - forgivenMs,
      squares: turn.squares + turn.waitMs ** 2 - forgivenMs ** 2,
    });
    return own > Math.max(this.#viewTimeoutMs / DELAY_FLOOR, DELAY_FACTOR * bar * delay);
  }

  #finish(): void {
    const turn = this.#turn;
    if (turn === undefined || turn.blocks < WINDOW_BLOCKS) return;
    const { proposer } = turn;
    this.#strikes[proposer] = this.#isSlow(turn, false) ? (this.#strikes[proposer] ?? 0) + 1 : 0;
    this.#caution = Math.max(0, this.#caution - 1);
    // The last turn counts as much as all before it: load changes. Its longest wait is left out, as in the comparison.
    const known = this.#known[proposer] ?? nothing();
    const longestMs = Math.max(turn.longestMs, turn.waitMs);
    this.#known[proposer] = {
      requests: known.requests / 2 + turn.requests,
      blocks: known.blocks / 2 + turn.blocks,
      elapsedMs: known.elapsedMs / 2 + turn.elapsedMs,
      waitedMs: known.waitedMs / 2 + turn.waitedMs - longestMs,
      squares: known.squares / 2 + turn.squares + turn.waitMs ** 2 - longestMs ** 2,
    };
  }

  /** Requests per millisecond; the lower of two middle ones, so that in doubt less is expected. */
  #medianRate(except: number): number | undefined {
    const rates = this.#others(except, (known) =>
      known.elapsedMs >= RATE_MS ? known.requests / known.elapsedMs : undefined,
    );
    return rates?.[Math.ceil(rates.length / 2) - 1];
  }

  /** Milliseconds; the higher of two middle ones. */
  #medianDelay(except: number): number | undefined {
    const delays = this.#others(except, (known) =>
      known.blocks >= WINDOW_BLOCKS ? delayOf(known) : undefined,
    );
    return delays?.[Math.floor(delays.length / 2)];
  }

  /** Ascending; undefined while no other is known. */
  #others(except: number, measure: (known: Performance) => number | undefined): number[] | undefined {
    const found: number[] = [];
    for (const [index, known] of this.#known.entries()) {
      const value = index === except ? undefined : measure(known);
      if (value !== undefined) found.push(value);
    }
    return found.length > 0 ? found.sort((a, b) => a - b) : undefined;
  }
}

function delayOf(of: Pick<Performance, 'waitedMs' | 'squares'>): number {
  return of.waitedMs <= 0 ? 0 : of.squares / of.waitedMs;
}

function nothing(): Performance {
  return { requests: 0, blocks: 0, elapsedMs: 0, waitedMs: 0, squares: 0 };
}

function emptyTurn(proposer: number): Turn {
  return {
    ...nothing(),
    proposer,
    longestMs: 0,
    waitMs: 0,
    backlogMs: 0,
    backlogRequests: 0,
    isBehind: false,
  };
}
