/** A network that loses, repeats, reorders and delays messages, with links that can be cut one way or clogged. */
import type { Clock } from './clock.ts';
import type { Random } from './random.ts';

export interface LinkQuality {
  /** Probability that a message is lost, and that it arrives twice. */
  loss: number;
  duplication: number;
  delayMinMs: number;
  delayMaxMs: number;
  /** Probability of a straggler that takes ten times as long: reordering far beyond its neighbours. */
  straggling: number;
}

export const GOOD_LINKS: LinkQuality = {
  loss: 0,
  duplication: 0,
  delayMinMs: 1,
  delayMaxMs: 10,
  straggling: 0,
};

export class Network<M> {
  quality: LinkQuality = { ...GOOD_LINKS };
  /** A targeted fault: true loses the message. */
  drop: ((from: number, to: number, message: M) => boolean) | undefined;
  /** A second one, for what lasts long and goes on beside others. */
  deaf: ((to: number, message: M) => boolean) | undefined;
  sent = 0;
  lost = 0;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #arrive: (from: number, to: number, message: M) => void;
  readonly #cut: Set<string> = new Set();
  readonly #clogged: Map<string, number> = new Map();

  constructor(clock: Clock, random: Random, arrive: (from: number, to: number, message: M) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#arrive = arrive;
  }

  send(from: number, to: number, message: M): void {
    const { loss, duplication } = this.quality;
    this.sent += 1;
    if (
      this.#cut.has(link(from, to)) ||
      this.#random.chance(loss) ||
      this.drop?.(from, to, message) === true ||
      this.deaf?.(to, message) === true
    ) {
      this.lost += 1;
      return;
    }
    this.#deliver(from, to, message);
    if (this.#random.chance(duplication)) this.#deliver(from, to, message);
  }

  /** Cuts one direction. */
  cut(from: number, to: number): void {
    this.#cut.add(link(from, to));
  }

  /** Cuts both directions between every two nodes of different groups; nodes in no group keep all their links. */
  partition(groups: readonly (readonly number[])[]): void {
    for (const [i, group] of groups.entries()) {
      for (const [j, other] of groups.entries()) {
        if (i === j) continue;
        for (const a of group) for (const b of other) this.cut(a, b);
      }
    }
  }

  /** What is sent from now on arrives only after that time, in a burst. */
  clog(from: number, to: number, until: number): void {
    this.#clogged.set(link(from, to), until);
  }

  mend(): void {
    this.#cut.clear();
    this.#clogged.clear();
  }

  heal(): void {
    this.mend();
    this.drop = undefined;
    this.deaf = undefined;
    this.quality = { ...GOOD_LINKS };
  }

  #deliver(from: number, to: number, message: M): void {
    const { delayMinMs, delayMaxMs, straggling } = this.quality;
    let delay = delayMinMs + this.#random.next() * (delayMaxMs - delayMinMs);
    if (this.#random.chance(straggling)) delay *= 10;
    const opens = this.#clogged.get(link(from, to)) ?? 0;
    this.#clock.at(Math.max(this.#clock.now, opens) + delay, () => {
      // A cut also takes what is under way: that is what a broken connection does.
      if (!this.#cut.has(link(from, to))) this.#arrive(from, to, message);
    });
  }
}

function link(from: number, to: number): string {
  return `${from}>${to}`;
}
