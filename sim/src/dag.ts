/**
 * Subnets under faults: loss, delay, partitions, crashes, clocks, a main chain out of reach, members that lie. One seed
 * draws everything; what must hold is checked at every delivery and at the end.
 */
import type { Delivery } from '@itc/core/dag/effects.js';
import type { Member } from '@itc/core/dag/member.js';
import type { LogRecord } from '@itc/core/dag/records.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { faultyEnvelope, type MemberFault } from '@itc/core/ledger/member-fault.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { isTurnDue } from './dag/chain-view.ts';
import { Checks, Violation } from './dag/checks.ts';
import { DEVICES, LIES, Liar, type Lie } from './dag/liar.ts';
import { BANK, MainChain, type ChainSabotage } from './dag/main-chain.ts';
import { DagNode, keyOfNode, nodeOfKey, type NodeOptions, type Sabotage } from './dag/node.ts';
import { payloadOf } from './dag/payloads.ts';
import { Post } from './dag/post.ts';
import { installQuickHash } from './dag/quick-hash.ts';
import { stakedMembers, Turns } from './dag/turns.ts';
import { Value } from './dag/value.ts';
import { sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { applyFaults, drawFaults, heal, NO_FAULTS, type FaultPlan } from './faults.ts';
import { Random } from './random.ts';
import { World } from './world.ts';

export interface DagOptions {
  readonly sabotage?: Sabotage | undefined;
  /** Replaces what the seed draws. */
  readonly faults?: Partial<FaultPlan> | undefined;
  readonly members?: number | undefined;
  readonly byzantine?: number | undefined;
  readonly lies?: readonly Lie[] | undefined;
  readonly durationMs?: number | undefined;
  readonly cadenceMs?: number | undefined;
  /** Whether the main chain is out of reach now and then; the rule. */
  readonly mainChainCuts?: boolean | undefined;
  /** Whether liars get single members to themselves; drawn without it. */
  readonly eclipse?: boolean | undefined;
  /** Whether members come and go by stake, and so many nodes beside the first members; drawn without it. */
  readonly candidates?: number | undefined;
  /** Whether value moves inside; drawn without it. */
  readonly value?: boolean | undefined;
  /** Whether a member loses its disk; drawn without it, where members come and go. */
  readonly wipe?: boolean | undefined;
  readonly chainSabotage?: ChainSabotage | undefined;
  /** Without a step forward for so long a member that is behind takes a snapshot; drawn without it. */
  readonly stuckMs?: number | undefined;
}

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
/** A device whose gateway is gone sends again, to another. */
const RESEND_MS = 2_000;
const VALUE_EVERY_MS = 150;
const TURN_EVERY_MS = 1_200;

function listedMembers(count: number): ValidatorSet {
  return sortValidators(Array.from({ length: count }, (_, i) => ({ key: keyOfNode(i), weight: 100 })));
}

export function runDagSeed(seed: number, options: DagOptions = {}): SeedReport {
  installQuickHash();
  return new Run(seed, options).run();
}

/** What a run holds beside devices that send, drawn apart so that it shifts nothing else. */
function drawExtras(
  seed: number,
  options: DagOptions,
): {
  readonly candidates: number;
  readonly value: boolean;
  readonly wipe: boolean;
  readonly stuckMs: number;
  readonly random: Random;
} {
  const random = new Random(seed * 64 + 63);
  const candidates = random.chance(0.3) ? random.between(1, 3) : 0;
  const value = random.chance(0.4);
  const wipe = random.chance(0.25);
  return {
    candidates: options.candidates ?? candidates,
    value: options.value ?? value,
    wipe: options.wipe ?? (candidates > 0 && wipe),
    stuckMs: random.pick([8_000, 8_000, 700]),
    random,
  };
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
  readonly #extras: ReturnType<typeof drawExtras>;
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
      this.#feedDevices();
      this.#feedExtras();
      world.run(this.#durationMs);
      heal(world);
      this.#offline.clear();
      const waits = new Set(this.#checks.unkept);
      world.run(this.#durationMs + LIVENESS_MS, () => this.#isComplete(waits));
      healedMs = world.now - this.#durationMs;
      if (!this.#isComplete(waits)) throw new Violation(this.#whatIsMissing(waits));
      this.#checkBounds();
      this.#value?.settle(this.#checks.withdrawals);
    } catch (error) {
      return this.#report(error instanceof Violation ? error.message : describe(error), healedMs);
    }
    return this.#report(undefined, healedMs);
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

  /** Devices send to one gateway, sometimes to two: the same payload then travels twice. */
  #feedDevices(): void {
    const random = this.#random.fork();
    const sequences = Array.from({ length: DEVICES }, () => 0);
    const everyMs = random.pick([30, 100, 400]);
    for (let at = 100; at < this.#durationMs; at += random.between(1, 2 * everyMs)) {
      const device = random.below(sequences.length);
      sequences[device] = (sequences[device] as number) + 1;
      const payload = payloadOf(this.#chain.id, device, sequences[device] as number);
      const gateways = random.chance(0.1)
        ? [random.below(this.#first), random.below(this.#first)]
        : [random.below(this.#first)];
      this.#world.clock.at(at, () => {
        for (const gateway of gateways) this.#hand(payload, gateway);
      });
    }
  }

  #feedExtras(): void {
    const { clock, tally } = this.#world;
    const { random, wipe } = this.#extras;
    const value = this.#value;
    const turns = this.#turns;
    for (
      let at = 50;
      value !== undefined && at < this.#durationMs;
      at += random.between(1, 2 * VALUE_EVERY_MS)
    )
      clock.at(at, () => {
        for (const { payload, gateways } of value.act(this.#world.now))
          for (let i = 0; i < gateways; i += 1) this.#hand(payload, random.below(this.#first));
      });
    for (
      let at = 300;
      turns !== undefined && at < this.#durationMs;
      at += random.between(1, 2 * TURN_EVERY_MS)
    )
      clock.at(at, () => tally.add(turns.act()));
    if (turns === undefined && !wipe) return;
    if (wipe) clock.at(random.between(1_000, this.#durationMs - 1_000), () => this.#wipe());
    const resend = (): void => {
      this.#sendAgain();
      clock.after(RESEND_MS, resend);
    };
    clock.after(RESEND_MS, resend);
  }

  /** A device finds one that is a member and means to stay; whoever is down does not answer. */
  #hand(payload: Payload, among: number): void {
    let gateway = among;
    if (this.#turns !== undefined) {
      const { staying, members } = this.#turns;
      const open = members.filter((node) => staying.includes(node));
      gateway = open[among % open.length] ?? among;
    }
    if (!this.#world.isUp(gateway)) return;
    this.#actors[gateway]?.accept(payload);
    if (!this.#isByzantine(gateway)) this.#checks.expect(payload, gateway, this.#world.now);
  }

  /** What a gateway has taken and is no more there for: it has left the subnet, or has lost its disk. */
  #sendAgain(): void {
    const members = this.#members;
    for (const [id, expected] of this.#checks.expected) {
      const { payload, gateway } = expected;
      const isGone = !members.includes(gateway) || this.#checks.wiped.has(gateway);
      if (!isGone || this.#checks.isDecided(id)) continue;
      const others = members.filter(
        (node) => !this.#isByzantine(node) && !this.#checks.wiped.has(node) && this.#world.isUp(node),
      );
      const [other] = this.#extras.random.shuffle(others);
      if (other === undefined) return;
      expected.gateway = other;
      this.#actors[other]?.accept(payload);
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

  /** Whatever was sent, nobody holds more than the rules allow. */
  #checkBounds(): void {
    for (const node of this.#honest) {
      const { pending, unsolid, missing, tips } = (this.#actors[node] as DagNode).member.status();
      const held = { pending, unsolid, missing, tips };
      const within =
        pending <= LIMITS.pendingEnvelopesMax &&
        unsolid <= LIMITS.unsolidEnvelopesMax &&
        missing <= LIMITS.missingMax &&
        tips <= LIMITS.subnetLanesMax + this.#count;
      if (!within) throw new Violation(`member ${node} holds too much: ${JSON.stringify(held)}`);
    }
  }

  #isComplete(waits: Set<string>): boolean {
    if (this.#checks.undecided > 0) return false;
    if (this.#turns !== undefined && isTurnDue(this.#chain, this.#chain.state)) return false;
    if (this.#value !== undefined && this.#credited < this.#chain.deposits.length) return false;
    const { awaited } = this.#checks;
    if (!this.#honest.every((node) => (this.#actors[node]?.member.anchors.head ?? 0) >= awaited))
      return false;
    return waits.size === 0 || !this.#checks.unkept.some((hash) => waits.has(hash));
  }

  get #credited(): number {
    return this.#chain.committed.at(-1)?.certificate.checkpoint.value?.deposits ?? 0;
  }

  #whatIsMissing(waits: Set<string>): string {
    const lines = this.#honest.map((node) => {
      const { reason, checkpoint, pending, accepted, round, unsolid, missing } = (
        this.#actors[node] as DagNode
      ).member.status();
      return (
        `member ${node} at checkpoint ${checkpoint}: ${pending} pending, ${accepted} accepted, ` +
        `${unsolid} unsolid, ${missing} missing, round ${round}, ${reason ?? 'no reason'}`
      );
    });
    const { undecided, unkept } = this.#checks;
    const kept = unkept.filter((hash) => waits.has(hash)).length;
    for (const [id, { payload, gateway, at }] of this.#checks.expected) {
      if (this.#checks.isDecided(id)) continue;
      const outcome = this.#actors[gateway]?.member.payloadOutcome(payload) ?? 'gone';
      lines.push(
        `payload ${id.slice(0, 8)} (${payload.contentType}) of ${at} ms at node ${gateway}: ${outcome}`,
      );
    }
    lines.unshift(
      `${undecided} payloads undecided, ${kept} accepted envelopes not final, ` +
        `${this.#chain.deposits.length - this.#credited} deposits not credited`,
    );
    return `not everything is final ${LIVENESS_MS} ms after healing\n${lines.join('\n')}`;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
