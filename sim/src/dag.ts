/**
 * Subnets under faults: loss, delay, partitions, crashes, clocks, a main chain out of reach, members that lie. One seed
 * draws everything; what must hold is checked at every delivery and at the end.
 */
import type { Delivery } from '@itc/core/dag/effects.js';
import type { Member } from '@itc/core/dag/member.js';
import type { LogRecord } from '@itc/core/dag/records.js';
import { faultyEnvelope, type MemberFault } from '@itc/core/ledger/member-fault.js';
import { Checks, Violation } from './dag/checks.ts';
import { BANK, MainChain } from './dag/main-chain.ts';
import { Ending } from './dag/ending.ts';
import { LIES, Liar } from './dag/liar.ts';
import { Load } from './dag/load.ts';
import type { NodeOptions } from './dag/node-options.ts';
import { DagNode, keyOfNode, nodeOfKey } from './dag/node.ts';
import { drawExtras, type DagOptions, type Extras } from './dag/options.ts';
import { Post } from './dag/post.ts';
import { installQuickHash } from './dag/quick-hash.ts';
import { stakedMembers, Turns } from './dag/turns.ts';
import { Value } from './dag/value.ts';
import { sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { applyFaults, drawFaults, heal, NO_FAULTS, type FaultPlan } from './faults.ts';
import { Random } from './random.ts';
import { World } from './world.ts';

export interface SeedReport {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly members: number;
  readonly byzantine: number;
  readonly checkpoints: number;
  readonly payloads: number;
  readonly crashes: number;
  readonly equivocations: number;
  /** Virtual time from the end of all faults until everything was final everywhere. */
  readonly healedMs: number;
  /** From a payload's arrival at an honest gateway until it is applied there, 99th percentile. */
  readonly finalityP99Ms: number;
  /** Liars that honest members have barred, also those who have lost their place since. */
  readonly barred: number;
  /** Payloads applied that their device did not sign. */
  readonly forged: number;
  /** Sets of members that have decided, and withdrawals that were let out. */
  readonly sets: number;
  readonly withdrawals: number;
  readonly deposits: number;
  /** How often each kind of fault took place. */
  readonly faults: Readonly<Record<string, number>>;
}

const POW_BITS = 1;
/** After the last fault, everything is final at everyone within this time. */
const LIVENESS_MS = 120_000;

function listedMembers(count: number): ValidatorSet {
  return sortValidators(Array.from({ length: count }, (_, i) => ({ key: keyOfNode(i), weight: 100 })));
}

export function runDagSeed(seed: number, options: DagOptions = {}): SeedReport {
  installQuickHash();
  return new Run(seed, options).run();
}

class Run {
  readonly #seed: number;
  readonly #random: Random;
  /** First members. */
  readonly #first: number;
  /** Nodes: the first members and those who may become some. */
  readonly #count: number;
  readonly #byzantine: number;
  readonly #durationMs: number;
  readonly #world: World<Uint8Array>;
  readonly #chain: MainChain;
  readonly #post: Post;
  readonly #checks: Checks;
  readonly #turns: Turns | undefined;
  readonly #value: Value | undefined;
  readonly #extras: Extras;
  readonly #actors: (DagNode | undefined)[] = [];
  readonly #faults: FaultPlan;
  readonly #options: DagOptions;
  /** Nodes that do not reach the main chain; all of them when it is down. */
  readonly #offline = new Set<number>();
  #equivocations = 0;
  readonly #barred = new Set<number>();

  constructor(seed: number, options: DagOptions) {
    this.#seed = seed;
    this.#options = options;
    const random = new Random(seed);
    this.#random = random;
    const extras = drawExtras(seed, options);
    this.#extras = extras;
    this.#first = options.members ?? random.pick([4, 4, 4, 5, 7]);
    this.#count = this.#first + extras.candidates;
    const staked = extras.candidates > 0;
    const tolerated = Math.floor((this.#first - 1) / 3);
    this.#byzantine = options.byzantine ?? (random.chance(0.7) ? random.between(1, tolerated) : 0);
    // Now and then long enough for an epoch of weights and for what is evicted late; turns take their time, too.
    const isLong = random.chance(0.02);
    const durationMs = options.durationMs ?? (isLong ? 40_000 : random.pick([2_000, 4_000, 7_000]));
    const turnsMs = extras.random.pick([8_000, 14_000]);
    this.#durationMs =
      staked && options.durationMs === undefined ? Math.max(durationMs, turnsMs) : durationMs;
    const drawn = drawFaults(random.fork());
    this.#faults = { ...(options.faults === undefined ? drawn : NO_FAULTS), ...options.faults };
    const members = staked ? stakedMembers(this.#first, this.#byzantine) : listedMembers(this.#first);
    const sabotage = options.chainSabotage;
    this.#chain = new MainChain({ members, powBits: POW_BITS, staked, sabotage });
    const { id: chain, subnet } = this.#chain;
    this.#post = new Post({ chain, subnet, powBits: POW_BITS });
    this.#checks = new Checks({
      chain: this.#chain,
      post: this.#post,
      isByzantine: (node) => this.#isByzantine(node),
    });
    const cadenceMs = options.cadenceMs ?? (isLong ? 50 : random.pick([150, 400, 1_000]));
    const timing = { cadenceMs: staked ? Math.min(cadenceMs, 150) : cadenceMs };
    const nodes: NodeOptions[] = [];
    this.#world = new World<Uint8Array>({
      random,
      count: this.#count,
      tickMs: 50,
      start: (index, disk, world) => {
        const node = nodes[index];
        if (node === undefined) throw new RangeError(`there is no node ${index}`);
        const actor = new DagNode(index, node, disk, world);
        this.#actors[index] = actor;
        return actor;
      },
      onSend: (from, message) =>
        this.#checks.onSend(from, message, (this.#actors[from] as DagNode).member.members),
    });
    for (let index = 0; index < this.#count; index += 1) {
      nodes.push({
        members,
        powBits: POW_BITS,
        timing,
        mainChain: this.#chain,
        post: this.#post,
        isConnected: (node) => !this.#offline.has(node),
        onDelivery: (node, delivery) => this.#deliver(node, delivery),
        onState: (node, member) => {
          this.#checks.onState(node, member);
          if (!this.#isByzantine(node)) this.#noteBarred(member);
        },
        onAccepted: (node, hashes) =>
          this.#checks.onAccepted(node, (this.#actors[node] as DagNode).member, hashes),
        onFault: (fault) => this.#accuse(fault),
        snapshot: (node, applied) => this.#snapshotFor(node, applied),
        liar: this.#isByzantine(index) ? this.#liarOf(index) : undefined,
        random: random.fork(),
        audits: new Random(seed * 64 + index),
        sabotage: options.sabotage,
        stuckMs: options.stuckMs ?? extras.stuckMs,
      });
    }
    if (staked)
      this.#turns = new Turns({
        chain: this.#chain,
        random: extras.random.fork(),
        byzantine: this.#byzantine,
        count: this.#count,
      });
    if (extras.value) this.#value = new Value(this.#chain, extras.random.fork());
  }

  #isByzantine(node: number): boolean {
    return node < this.#byzantine;
  }

  /** One to three ways to lie: alone each shows clearly, together they cover for each other. */
  #liarOf(index: number): Liar {
    const random = this.#random.fork();
    const lies = this.#options.lies ?? random.shuffle(LIES).slice(0, random.between(1, 3));
    const { tally } = this.#world;
    const { id: chain, subnet } = this.#chain;
    return new Liar({
      index,
      count: this.#count,
      lies,
      chain,
      subnet,
      powBits: POW_BITS,
      random,
      tally,
      post: this.#post,
    });
  }

  run(): SeedReport {
    const world = this.#world;
    let healedMs = 0;
    try {
      world.startAll();
      applyFaults(world, this.#random.fork(), this.#faults, this.#durationMs, {
        all: ['envelope', 'envelopes', 'heads', 'proposal', 'vote'],
        of: (message) => this.#post.open(message)?.kind ?? 'unreadable',
      });
      if (this.#options.mainChainCuts !== false) this.#cutMainChain();
      if (this.#byzantine > 0) this.#eclipse();
      const load = this.#load();
      load.feedDevices(this.#random.fork());
      load.feedExtras(this.#extras.wipe ? () => this.#wipe() : undefined);
      world.run(this.#durationMs);
      heal(world);
      this.#offline.clear();
      const ending = this.#ending();
      world.run(this.#durationMs + LIVENESS_MS, () => ending.isComplete());
      healedMs = world.now - this.#durationMs;
      if (!ending.isComplete()) throw new Violation(ending.whatIsMissing(LIVENESS_MS));
      ending.checkBounds();
      this.#value?.settle(this.#checks.withdrawals);
    } catch (error) {
      return this.#report(error instanceof Violation ? error.message : describe(error), healedMs);
    }
    return this.#report(undefined, healedMs);
  }

  #load(): Load {
    return new Load({
      chain: this.#chain,
      world: this.#world,
      checks: this.#checks,
      actors: this.#actors,
      turns: this.#turns,
      value: this.#value,
      count: this.#first,
      durationMs: this.#durationMs,
      isByzantine: (node) => this.#isByzantine(node),
      members: () => this.#members,
      random: this.#extras.random,
    });
  }

  #ending(): Ending {
    return new Ending({
      chain: this.#chain,
      checks: this.#checks,
      actors: this.#actors,
      honest: () => this.#honest,
      hasTurns: this.#turns !== undefined,
      hasValue: this.#value !== undefined,
    });
  }

  #report(violation: string | undefined, healedMs: number): SeedReport {
    const { finality, expected, forged, withdrawals } = this.#checks;
    return {
      seed: this.#seed,
      violation,
      members: this.#first,
      byzantine: this.#byzantine,
      checkpoints: this.#chain.committed.length,
      payloads: expected.size,
      crashes: this.#world.crashes,
      equivocations: this.#equivocations,
      healedMs,
      finalityP99Ms: finality.sort((a, b) => a - b)[Math.floor(0.99 * finality.length)] ?? 0,
      barred: this.#barred.size,
      forged,
      sets: this.#chain.sets.filter(({ first }) => first <= this.#chain.committed.length + 1).length,
      withdrawals: [...withdrawals.values()].reduce((sum, { length }) => sum + length, 0),
      deposits: this.#chain.deposits.length,
      faults: this.#world.tally.counts,
    };
  }

  /** The main chain out of reach: for single nodes, and for all at once. */
  #cutMainChain(): void {
    const random = this.#random.fork();
    const { clock, tally } = this.#world;
    for (let at = random.between(500, 4_000); at < this.#durationMs; at += random.between(2_000, 6_000)) {
      const everyone = random.chance(0.4);
      const cut = Array.from({ length: this.#count }, (_, i) => i).filter(
        () => everyone || random.chance(0.3),
      );
      clock.at(at, () => {
        tally.add(everyone ? 'main chain down' : 'main chain out of reach');
        for (const node of cut) this.#offline.add(node);
      });
      clock.at(at + random.between(500, 5_000), () => {
        for (const node of cut) this.#offline.delete(node);
      });
    }
  }

  /** An honest member hears liars only, for a while. */
  #eclipse(): void {
    const random = this.#random.fork();
    if (!(this.#options.eclipse ?? random.chance(0.3))) return;
    const { clock, tally, network } = this.#world;
    for (let at = random.between(200, 2_000); at < this.#durationMs; at += random.between(2_000, 5_000)) {
      const victim = random.between(this.#byzantine, this.#count - 1);
      clock.at(at, () => {
        tally.add('eclipse');
        for (let other = this.#byzantine; other < this.#count; other += 1) {
          network.cut(victim, other);
          network.cut(other, victim);
        }
      });
      clock.at(at + random.between(500, 3_000), () => network.mend());
    }
  }

  /** A member comes back with an empty disk. */
  #wipe(): void {
    const honest = this.#honest;
    // Before the first checkpoint nobody can tell a subnet that begins from a member that has lost everything.
    if (honest.length === 0 || this.#chain.committed.length < 3) return;
    const node = this.#extras.random.pick(honest);
    this.#world.tally.add('disk lost');
    this.#world.crash(node);
    this.#world.disk(node).wipe();
    this.#checks.wiped.add(node);
    this.#world.clock.after(this.#extras.random.between(50, 2_000), () => {
      if (!this.#world.isUp(node)) this.#world.start(node);
    });
  }

  /** Whatever anybody finds is brought before the main chain, and costs nobody who keeps to the rules. */
  #accuse(fault: MemberFault): void {
    if (fault.kind === 'equivocation') this.#equivocations += 1;
    const outcome = this.#chain.send(BANK, { kind: 'accuse-member', fault });
    if (outcome !== 'ok') return;
    const culprit = nodeOfKey(faultyEnvelope(fault).issuer);
    this.#world.tally.add(`punished for ${fault.kind}`);
    if (!this.#isByzantine(culprit))
      throw new Violation(`honest member ${culprit} is punished for ${fault.kind}`);
  }

  #snapshotFor(node: number, applied: number): LogRecord | undefined {
    const given = this.#extras.random.shuffle(
      this.#actors.flatMap((actor, other) => {
        const isThere = other !== node && !this.#isByzantine(other) && this.#world.isUp(other);
        return isThere && actor !== undefined && actor.member.self >= 0 ? [actor.member] : [];
      }),
    );
    return given.find((member) => member.status().checkpoint > applied)?.snapshot()[0];
  }

  #deliver(node: number, delivery: Delivery): void {
    this.#checks.onDelivery(node, delivery, this.#world.now);
    const { withdrawals } = delivery;
    // By each member that hears of it, or by some: who comes second gets nothing.
    if (withdrawals.length > 0 && this.#extras.random.chance(0.4))
      this.#value?.claim(delivery.committed.certificate.checkpoint.sequence, withdrawals);
  }

  /** Nodes that decide now. */
  get #members(): number[] {
    return this.#turns?.members ?? Array.from({ length: this.#count }, (_, node) => node);
  }

  get #honest(): number[] {
    return this.#members.filter((node) => !this.#isByzantine(node));
  }

  /** Whom an honest member has barred: it names them by the set it goes by, and forgets them with it. */
  #noteBarred(member: Member): void {
    for (const index of member.status().barred) {
      const key = member.members[index]?.key;
      if (key === undefined) continue;
      const barred = nodeOfKey(key);
      this.#barred.add(barred);
      if (!this.#isByzantine(barred)) throw new Violation(`honest member ${barred} is barred`);
    }
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
