/**
 * A world of nodes on one virtual clock. A node is anything that turns inputs into a list of actions; the world
 * carries the actions out one by one, and can crash the node between any two of them.
 */
import { Clock } from './clock.ts';
import { Disk } from './disk.ts';
import { Network } from './network.ts';
import type { Random } from './random.ts';
import { Tally } from './tally.ts';

/** One effect. Whatever a real shell does in one system call is one action. */
export type Action<M> =
  /** Nodes are addressed by their number in the world. */
  | { readonly kind: 'send'; readonly to: readonly number[]; readonly message: M }
  /** Anything local: append to a file, sync it, hand a block to the application. */
  | { readonly kind: 'do'; readonly what: string; readonly run: () => void };

/** The volatile part of a node: gone in a crash, built anew from its disk. */
export interface Actor<M> {
  tick(now: number): Action<M>[];
  receive(now: number, from: number, message: M): Action<M>[];
}

export interface WorldOptions<M> {
  readonly random: Random;
  readonly count: number;
  readonly tickMs: number;
  /** Builds a node from its disk, at the first start and after each crash. */
  readonly start: (node: number, disk: Disk, world: World<M>) => Actor<M>;
  /** Sees every message that leaves, before the network does. */
  readonly onSend?: (from: number, message: M) => void;
  /** Told when a node stops, before its disk loses what was not synced. */
  readonly onCrash?: (node: number) => void;
  readonly onRestart?: (node: number) => void;
}

interface Place<M> {
  readonly disk: Disk;
  actor: Actor<M> | undefined;
  /** Counts starts: work planned by an earlier life is not done by a later one. */
  life: number;
  /** Actions left until the planned crash. */
  fuse: number | undefined;
  /** What its clock shows beyond the true time. */
  skewMs: number;
  /** Never started again. */
  retired: boolean;
}

export class World<M> {
  readonly clock: Clock = new Clock();
  readonly network: Network<M>;
  readonly tally: Tally = new Tally();
  readonly count: number;
  crashes = 0;
  actions = 0;
  readonly #options: WorldOptions<M>;
  readonly #random: Random;
  readonly #places: Place<M>[];

  constructor(options: WorldOptions<M>) {
    this.#options = options;
    this.#random = options.random.fork();
    this.count = options.count;
    this.network = new Network(this.clock, options.random.fork(), (from, to, message) => {
      this.#input(to, (actor, now) => actor.receive(now, from, message));
    });
    this.#places = Array.from({ length: options.count }, () => ({
      disk: new Disk(),
      actor: undefined,
      life: 0,
      fuse: undefined,
      skewMs: 0,
      retired: false,
    }));
  }

  get now(): number {
    return this.clock.now;
  }

  disk(node: number): Disk {
    return this.#place(node).disk;
  }

  isUp(node: number): boolean {
    return this.#place(node).actor !== undefined;
  }

  /** The clock of a node jumps: all it is told from now on is off by that much. */
  skew(node: number, byMs: number): void {
    this.#place(node).skewMs = byMs;
  }

  /** The node is gone for good. */
  retire(node: number): void {
    this.crash(node);
    this.#place(node).retired = true;
  }

  isRetired(node: number): boolean {
    return this.#place(node).retired;
  }

  start(node: number): void {
    const place = this.#place(node);
    if (place.actor !== undefined || place.retired) return;
    place.life += 1;
    place.fuse = undefined;
    place.actor = this.#options.start(node, place.disk, this);
    if (place.life > 1) this.#options.onRestart?.(node);
    this.#tick(node, place.life, this.#random.next() * this.#options.tickMs);
  }

  startAll(): void {
    for (let node = 0; node < this.count; node += 1) this.start(node);
  }

  /** The process is gone at once, and with it everything its disk had not synced. */
  crash(node: number): void {
    const place = this.#place(node);
    if (place.actor === undefined) return;
    this.#options.onCrash?.(node);
    place.actor = undefined;
    place.fuse = undefined;
    this.tally.add('torn log record', place.disk.crash(this.#random));
    this.crashes += 1;
  }

  /** The process will be gone after that many further actions, wherever that falls; undefined calls it off. */
  crashAfter(node: number, actions: number | undefined): void {
    this.#place(node).fuse = actions;
  }

  /** Local work of a node after a delay, unless the node crashes before. */
  later(node: number, delayMs: number, work: (now: number) => Action<M>[]): void {
    const { life } = this.#place(node);
    this.clock.after(delayMs, () => {
      if (this.#place(node).life === life) this.#input(node, (_, now) => work(now));
    });
  }

  /** Runs until that time, or until `done` says so, asked after every event. */
  run(until: number, done: () => boolean = () => false): void {
    while (this.clock.step(until)) if (done()) return;
  }

  #tick(node: number, life: number, delayMs: number): void {
    this.clock.after(delayMs, () => {
      const place = this.#place(node);
      if (place.life !== life || place.actor === undefined) return;
      this.#input(node, (actor, now) => actor.tick(now));
      this.#tick(node, life, this.#options.tickMs);
    });
  }

  #input(node: number, produce: (actor: Actor<M>, now: number) => Action<M>[]): void {
    const place = this.#place(node);
    if (place.actor === undefined) return;
    let last = 'nothing';
    for (const action of produce(place.actor, this.clock.now + place.skewMs)) {
      const what = action.kind === 'send' ? 'send' : action.what;
      if (place.fuse !== undefined) {
        if (place.fuse === 0) {
          this.tally.add(`crash between ${last} and ${what}`);
          this.crash(node);
          return;
        }
        place.fuse -= 1;
      }
      this.actions += 1;
      last = what;
      this.#act(node, action);
      // An action may be the end of the node itself.
      if (place.actor === undefined) return;
    }
  }

  #act(node: number, action: Action<M>): void {
    switch (action.kind) {
      case 'do':
        action.run();
        return;
      case 'send':
        this.#options.onSend?.(node, action.message);
        for (const to of action.to) this.network.send(node, to, action.message);
        return;
    }
  }

  #place(node: number): Place<M> {
    const place = this.#places[node];
    if (place === undefined) throw new RangeError(`there is no node ${node}`);
    return place;
  }
}
