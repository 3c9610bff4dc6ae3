/**
 * Deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) over a fixed, small number of flows: each gets service in
 * proportion to its weight, whatever it sends. Between two items at most ⌈greatest cost / least quantum⌉ turns of all
 * flows pass, a constant, as flows are the members of a subnet.
 *
 * Nothing grows without bound: when it is full, the newest item of the flow that holds most for its weight makes room,
 * and if the sender's own flow would hold as much, the new item does not come in. So nobody can push out what others sent.
 */

export interface FairQueueOptions {
  /** One per flow, positive. */
  readonly weights: readonly number[];
  /** Service per turn of the lightest flow, in units of cost. */
  readonly quantum: number;
  /** Turns of the heaviest flow hold at most so many quanta. */
  readonly quantaMax: number;
  /** Items and units of cost held in all. */
  readonly countMax: number;
  readonly costMax: number;
  /** What has waited longer is dropped: it comes again with the next exchange of heads. */
  readonly delayMaxMs: number;
}

interface Entry<T> {
  readonly item: T;
  readonly cost: number;
  readonly at: number;
}

class Flow<T> {
  readonly weight: number;
  readonly quantum: number;
  deficit = 0;
  /** Whether it has a turn coming, also when all it held was pushed out meanwhile. */
  isActive = false;
  cost = 0;
  dropped = 0;
  #entries: Entry<T>[] = [];
  #first = 0;

  constructor(weight: number, quantum: number) {
    this.weight = weight;
    this.quantum = quantum;
  }

  get length(): number {
    return this.#entries.length - this.#first;
  }

  head(): Entry<T> | undefined {
    return this.#entries[this.#first];
  }

  push(entry: Entry<T>): void {
    this.#entries.push(entry);
    this.cost += entry.cost;
  }

  shift(): Entry<T> {
    const entry = this.#entries[this.#first] as Entry<T>;
    this.#first += 1;
    this.cost -= entry.cost;
    // Moved up when half is behind: each item moves at most once.
    if (2 * this.#first > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    return entry;
  }

  dropNewest(): void {
    const entry = this.#entries.pop() as Entry<T>;
    this.cost -= entry.cost;
    this.dropped += 1;
  }
}

export class FairQueue<T> {
  readonly #flows: readonly Flow<T>[];
  readonly #options: FairQueueOptions;
  /** Flows with items, in the order of their turns. The first has the turn. */
  readonly #active: number[] = [];
  /** Whether the first has got its quantum for this turn. */
  #granted = false;
  #count = 0;
  #cost = 0;

  constructor(options: FairQueueOptions) {
    const { weights, quantum, quantaMax } = options;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.#options = options;
    this.#flows = weights.map((weight) => {
      const quanta = Math.max(1, Math.floor((quantaMax * weight) / total));
      return new Flow<T>(weight, quanta * quantum);
    });
  }

  get length(): number {
    return this.#count;
  }

  get cost(): number {
    return this.#cost;
  }

  lengthOf(flow: number): number {
    return this.#flow(flow).length;
  }

  /** Items of each flow that were refused, pushed out or came too late, since the start. */
  dropped(): number[] {
    return this.#flows.map((flow) => flow.dropped);
  }

  /** False when there is no room for it: then its own flow holds most for its weight. Costs are positive. */
  push(flow: number, item: T, cost: number, now: number): boolean {
    const own = this.#flow(flow);
    while (this.#isFull(cost)) {
      const fullest = this.#fullest((own.cost + cost) / own.weight);
      if (fullest < 0) {
        own.dropped += 1;
        return false;
      }
      this.#dropNewest(fullest);
    }
    if (!own.isActive) {
      this.#active.push(flow);
      own.isActive = true;
      own.deficit = 0;
    }
    own.push({ item, cost, at: now });
    this.#count += 1;
    this.#cost += cost;
    return true;
  }

  /** The next item in turn that has not waited too long, or undefined when there is none. */
  next(now: number): T | undefined {
    for (let turn = this.#active[0]; turn !== undefined; turn = this.#active[0]) {
      const flow = this.#flow(turn);
      const head = flow.head();
      if (head === undefined) {
        this.#pass(true);
        continue;
      }
      if (now - head.at > this.#options.delayMaxMs) {
        this.#take(flow);
        flow.dropped += 1;
        continue;
      }
      if (!this.#granted) {
        flow.deficit += flow.quantum;
        this.#granted = true;
      }
      if (head.cost > flow.deficit) {
        this.#pass(false);
        continue;
      }
      flow.deficit -= head.cost;
      this.#take(flow);
      if (flow.length === 0) this.#pass(true);
      return head.item;
    }
    return undefined;
  }

  #take(flow: Flow<T>): void {
    const entry = flow.shift();
    this.#count -= 1;
    this.#cost -= entry.cost;
  }

  /** Ends a turn. An empty flow leaves and takes no deficit with it: silence cannot be saved up. */
  #pass(leaves: boolean): void {
    const index = this.#active.shift() as number;
    this.#granted = false;
    if (leaves) this.#flow(index).isActive = false;
    else this.#active.push(index);
  }

  #isFull(cost: number): boolean {
    return this.#count >= this.#options.countMax || this.#cost + cost > this.#options.costMax;
  }

  /** The flow with most cost for its weight, if that is more than `least`; else −1. */
  #fullest(least: number): number {
    let fullest = -1;
    let most = least;
    for (const index of this.#active) {
      const { cost, weight } = this.#flow(index);
      if (cost / weight <= most) continue;
      most = cost / weight;
      fullest = index;
    }
    return fullest;
  }

  #dropNewest(index: number): void {
    const flow = this.#flow(index);
    const before = flow.cost;
    flow.dropNewest();
    this.#count -= 1;
    this.#cost -= before - flow.cost;
  }

  #flow(index: number): Flow<T> {
    const flow = this.#flows[index];
    if (flow === undefined) throw new RangeError(`there is no flow ${index}`);
    return flow;
  }
}
