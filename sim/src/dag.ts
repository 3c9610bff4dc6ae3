/**
 * Subnets under faults: loss, delay, partitions, crashes, clocks, a main chain out of reach, members that lie. One seed
 * draws everything; what must hold is checked at every delivery and at the end.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { DEVICES, LIES, Liar, type Lie } from './dag/liar.ts';
import { DagNode, type NodeOptions, type Sabotage } from './dag/node.ts';
import { MainChain } from './dag/main-chain.ts';
import { payloadOf } from './dag/payloads.ts';
import { Post } from './dag/post.ts';
import { installQuickHash } from './dag/quick-hash.ts';
import { fakeHash, fakeKey, fakeVerify } from './fake-crypto.ts';
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
  /** Liars that every honest member has barred. */
  readonly barred: number;
  /** Payloads applied that their device did not sign. */
  readonly forged: number;
  /** How often each kind of fault took place. */
  readonly faults: Readonly<Record<string, number>>;
}

class Violation extends Error {}

const chain = fakeHash(Uint8Array.of(1));
const subnet = fakeHash(Uint8Array.of(2));
const POW_BITS = 1;
/** After the last fault, everything is final at everyone within this time. */
const LIVENESS_MS = 120_000;

function membersOf(count: number): ValidatorSet {
  return sortValidators(Array.from({ length: count }, (_, i) => ({ key: fakeKey(i + 1), weight: 100 })));
}

export function runDagSeed(seed: number, options: DagOptions = {}): SeedReport {
  installQuickHash();
  return new Run(seed, options).run();
}

class Run {
  readonly #seed: number;
  readonly #random: Random;
  readonly #count: number;
  readonly #byzantine: number;
  readonly #durationMs: number;
  readonly #world: World<Uint8Array>;
  readonly #mainChain: MainChain;
  readonly #post: Post;
  readonly #actors: (DagNode | undefined)[] = [];
  readonly #faults: FaultPlan;
  readonly #options: DagOptions;
  /** Nodes that do not reach the main chain; all of them when it is down. */
  readonly #offline = new Set<number>();
  readonly #reference: {
    readonly hash: string;
    readonly ids: string;
    readonly applied: readonly string[];
  }[] = [];
  /** Payloads that an honest node has taken. */
  readonly #expected = new Set<string>();
  readonly #appliedOnce = new Set<string>();
  readonly #appliedAt: Set<string>[];
  /** By node: expected payloads not applied there yet. */
  readonly #lacking: number[];
  readonly #slots = new Map<string, string>();
  readonly #votes = new Map<string, string>();
  #equivocations = 0;
  #forged = 0;
  /** Payloads on their way: gateway and arrival. */
  readonly #arrivals = new Map<string, { readonly gateway: number; readonly at: number }>();
  readonly #finality: number[] = [];

  constructor(seed: number, options: DagOptions) {
    this.#seed = seed;
    this.#options = options;
    const random = new Random(seed);
    this.#random = random;
    this.#count = options.members ?? random.pick([4, 4, 4, 5, 7]);
    const tolerated = Math.floor((this.#count - 1) / 3);
    this.#byzantine = options.byzantine ?? (random.chance(0.7) ? random.between(1, tolerated) : 0);
    // Now and then long enough for an epoch of weights and for what is evicted late.
    const isLong = random.chance(0.02);
    this.#durationMs = options.durationMs ?? (isLong ? 40_000 : random.pick([2_000, 4_000, 7_000]));
    const drawn = drawFaults(random.fork());
    this.#faults = { ...(options.faults === undefined ? drawn : NO_FAULTS), ...options.faults };
    const members = membersOf(this.#count);
    const context = { chain, subnet, members, powBits: POW_BITS };
    this.#mainChain = new MainChain(context);
    this.#post = new Post(context);
    this.#appliedAt = members.map(() => new Set<string>());
    this.#lacking = members.map(() => 0);
    const timing = { cadenceMs: options.cadenceMs ?? (isLong ? 50 : random.pick([150, 400, 1_000])) };
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
      onSend: (from, message) => this.#watch(from, message),
    });
    for (const index of members.keys()) {
      nodes.push({
        ...context,
        timing,
        mainChain: this.#mainChain,
        post: this.#post,
        isConnected: (node) => !this.#offline.has(node),
        onDelivery: (node, delivery) => this.#check(node, delivery),
        onEvidence: () => {
          this.#equivocations += 1;
        },
        liar: this.#isByzantine(index) ? this.#liarOf(index, members) : undefined,
        random: random.fork(),
        audits: new Random(seed * 64 + index),
        sabotage: options.sabotage,
      });
    }
  }

  #isByzantine(node: number): boolean {
    return node < this.#byzantine;
  }

  /** One to three ways to lie: alone each shows clearly, together they cover for each other. */
  #liarOf(index: number, members: ValidatorSet): Liar {
    const random = this.#random.fork();
    const lies = this.#options.lies ?? random.shuffle(LIES).slice(0, random.between(1, 3));
    const { tally } = this.#world;
    return new Liar({
      index,
      lies,
      chain,
      subnet,
      members,
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
      world.run(this.#durationMs);
      heal(world);
      this.#offline.clear();
      world.run(this.#durationMs + LIVENESS_MS, () => this.#isComplete());
      healedMs = world.now - this.#durationMs;
      if (!this.#isComplete()) throw new Violation(this.#whatIsMissing());
      this.#checkBounds();
    } catch (error) {
      return this.#report(error instanceof Violation ? error.message : describe(error), healedMs);
    }
    return this.#report(undefined, healedMs);
  }

  #report(violation: string | undefined, healedMs: number): SeedReport {
    return {
      seed: this.#seed,
      violation,
      members: this.#count,
      byzantine: this.#byzantine,
      checkpoints: this.#mainChain.committed.length,
      payloads: this.#expected.size,
      crashes: this.#world.crashes,
      equivocations: this.#equivocations,
      healedMs,
      finalityP99Ms: this.#finality.sort((a, b) => a - b)[Math.floor(0.99 * this.#finality.length)] ?? 0,
      barred: this.#barred()[0]?.length ?? 0,
      forged: this.#forged,
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
      const payload = payloadOf(chain, device, sequences[device] as number);
      const gateways = random.chance(0.1)
        ? [random.below(this.#count), random.below(this.#count)]
        : [random.below(this.#count)];
      this.#world.clock.at(at, () => {
        for (const gateway of gateways) {
          if (!this.#world.isUp(gateway)) continue;
          this.#actors[gateway]?.accept(payload);
          if (!this.#isByzantine(gateway)) this.#expect(toHex(payload.id), gateway);
        }
      });
    }
  }

  #expect(id: string, gateway: number): void {
    if (this.#expected.has(id)) return;
    this.#expected.add(id);
    this.#arrivals.set(id, { gateway, at: this.#world.now });
    for (const [node, applied] of this.#appliedAt.entries())
      if (!applied.has(id)) this.#lacking[node] = (this.#lacking[node] as number) + 1;
  }

  /** An honest member never signs twice in a slot, nor two checkpoints in one round, however often it crashed. */
  #watch(from: number, bytes: Uint8Array): void {
    if (this.#isByzantine(from)) return;
    const message = this.#post.open(bytes);
    if (message === undefined) throw new Violation(`member ${from} sent what cannot be read`);
    if (message.kind === 'envelope') {
      const made = this.#post.verify(message.encoded);
      if (made === undefined) throw new Violation(`member ${from} sent an envelope that is refused`);
      const { envelope, hash } = made.envelope;
      this.#once(this.#slots, `${from}/${envelope.lane}/${envelope.sequence}`, toHex(hash), 'equivocates');
    } else if (message.kind === 'vote')
      this.#once(
        this.#votes,
        `${from}/${message.sequence}/${message.round}`,
        toHex(message.hash),
        'votes twice',
      );
  }

  #once(table: Map<string, string>, key: string, hash: string, what: string): void {
    const before = table.get(key);
    if (before !== undefined && before !== hash) throw new Violation(`an honest member ${what} in ${key}`);
    table.set(key, hash);
  }

  /** Same order, same roots at everyone; nothing applied twice; no envelope of an honest member lost to a conflict. */
  #check(node: number, delivery: Delivery): void {
    const { sequence } = delivery.committed.certificate.checkpoint;
    const hash = toHex(delivery.hash);
    const ids = delivery.envelopes.map((envelope) => toHex(envelope.hash)).join();
    const applied = delivery.applied.map(({ payload }) => toHex(payload.id));
    const reference = this.#reference[sequence - 1];
    if (reference === undefined) {
      if (this.#reference.length !== sequence - 1)
        throw new Violation(`checkpoint ${sequence} is delivered before ${this.#reference.length + 1}`);
      this.#reference.push({ hash, ids, applied });
      for (const { payload } of delivery.applied)
        if (!fakeVerify(payload.signer, payload.signedBytes, payload.signature)) this.#forged += 1;
      for (const id of applied) {
        if (this.#appliedOnce.has(id))
          throw new Violation(`a payload is applied twice, again in ${sequence}`);
        this.#appliedOnce.add(id);
      }
      this.#checkLosers(delivery);
    } else if (
      reference.hash !== hash ||
      reference.ids !== ids ||
      reference.applied.join() !== applied.join()
    )
      throw new Violation(`member ${node} orders checkpoint ${sequence} differently`);
    const here = this.#appliedAt[node] as Set<string>;
    for (const id of applied) {
      if (here.has(id)) continue;
      here.add(id);
      const arrival = this.#arrivals.get(id);
      if (arrival?.gateway === node) this.#finality.push(this.#world.now - arrival.at);
      if (this.#expected.has(id)) this.#lacking[node] = (this.#lacking[node] as number) - 1;
    }
  }

  /** White flag: whatever conflicts are in the cone, nobody who did not equivocate has to issue again. */
  #checkLosers(delivery: Delivery): void {
    const lost = delivery.ignored.filter(({ reason }) => reason === 'slot-lost');
    for (const { envelope } of lost) {
      const issuer = delivery.envelopes.find(({ hash }) => hash === envelope)?.issuer ?? -1;
      if (!this.#isByzantine(issuer))
        throw new Violation(`an envelope of honest member ${issuer} lost its slot`);
    }
  }

  /** By honest member, whom it has barred. */
  #barred(): (readonly number[])[] {
    return this.#actors.slice(this.#byzantine).map((actor) => actor?.member.status().barred ?? []);
  }

  /** Whatever was sent, nobody holds more than the rules allow. */
  #checkBounds(): void {
    for (let node = this.#byzantine; node < this.#count; node += 1) {
      const { pending, unsolid, missing, tips } = (this.#actors[node] as DagNode).member.status();
      const held = { pending, unsolid, missing, tips };
      const wrongly = this.#barred()[0]?.find((member) => !this.#isByzantine(member));
      if (wrongly !== undefined) throw new Violation(`honest member ${wrongly} is barred`);
      const within =
        pending <= LIMITS.pendingEnvelopesMax &&
        unsolid <= LIMITS.unsolidEnvelopesMax &&
        missing <= LIMITS.missingMax &&
        tips <= LIMITS.subnetLanesMax + this.#count;
      if (!within) throw new Violation(`member ${node} holds too much: ${JSON.stringify(held)}`);
    }
  }

  #isComplete(): boolean {
    for (let node = this.#byzantine; node < this.#count; node += 1)
      if ((this.#lacking[node] as number) > 0) return false;
    return true;
  }

  #whatIsMissing(): string {
    const lines: string[] = [];
    for (let node = this.#byzantine; node < this.#count; node += 1) {
      const { reason, checkpoint, pending, accepted, round, unsolid, missing } = (
        this.#actors[node] as DagNode
      ).member.status();
      lines.push(
        `member ${node} lacks ${this.#lacking[node]} payloads at checkpoint ${checkpoint}: ${pending} pending, ` +
          `${accepted} accepted, ${unsolid} unsolid, ${missing} missing, round ${round}, ${reason ?? 'no reason'}`,
      );
    }
    return `not everything is final ${LIVENESS_MS} ms after healing\n${lines.join('\n')}`;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
