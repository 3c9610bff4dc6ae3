/**
 * Subnets under faults: loss, delay, partitions, crashes, a main chain out of reach, members that lie. One seed draws
 * everything; what must hold is checked at every delivery and at the end.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import { decodeEnvelopeWithPayloads, envelopeBodyHash, envelopeHash } from '@itc/core/dag/envelope.js';
import { decodeMessage } from '@itc/core/dag/messages.js';
import { sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { DagNode, type NodeOptions, type Sabotage } from './dag/node.ts';
import { MainChain } from './dag/main-chain.ts';
import { payloadOf } from './dag/payloads.ts';
import { fakeHash, fakeKey } from './fake-crypto.ts';
import { applyFaults, drawFaults, heal, NO_FAULTS, type FaultPlan } from './faults.ts';
import { Random } from './random.ts';
import { World } from './world.ts';

export interface DagOptions {
  readonly sabotage?: Sabotage | undefined;
  /** Replaces what the seed draws. */
  readonly faults?: Partial<FaultPlan> | undefined;
  readonly members?: number | undefined;
  readonly byzantine?: number | undefined;
  readonly durationMs?: number | undefined;
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
}

class Violation extends Error {}

const chain = fakeHash(Uint8Array.of(1));
const subnet = fakeHash(Uint8Array.of(2));
/** After the last fault, everything is final at everyone within this time. */
const LIVENESS_MS = 120_000;

function membersOf(count: number): ValidatorSet {
  return sortValidators(Array.from({ length: count }, (_, i) => ({ key: fakeKey(i + 1), weight: 100 })));
}

export function runDagSeed(seed: number, options: DagOptions = {}): SeedReport {
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
  /** Payloads of honest nodes and whether they have been applied. */
  readonly #expected = new Set<string>();
  readonly #appliedOnce = new Set<string>();
  readonly #appliedAt: Set<string>[];
  readonly #slots = new Map<string, string>();
  readonly #votes = new Map<string, string>();
  #equivocations = 0;

  constructor(seed: number, options: DagOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#random = new Random(seed);
    this.#count = options.members ?? this.#random.pick([4, 4, 5, 7]);
    this.#byzantine = options.byzantine ?? (this.#random.chance(0.4) ? 1 : 0);
    this.#durationMs = options.durationMs ?? 12_000;
    const drawn = drawFaults(this.#random.fork());
    // Members keep no time of their own that a jump could spoil, and nothing happens in a subnet while one sleeps.
    const calm = { ...drawn, clockJumpEveryMs: 0, sleepEveryMs: 0 };
    this.#faults = { ...(options.faults === undefined ? calm : NO_FAULTS), ...options.faults };
    const members = membersOf(this.#count);
    this.#mainChain = new MainChain({ chain, subnet, members });
    this.#appliedAt = Array.from({ length: this.#count }, () => new Set<string>());
    this.#world = new World<Uint8Array>({
      random: this.#random,
      count: this.#count,
      tickMs: 50,
      start: (index, disk, world) => {
        const actor = new DagNode(index, this.#nodeOptions(index, members), disk, world);
        this.#actors[index] = actor;
        return actor;
      },
      onSend: (from, message) => this.#watch(from, message),
    });
  }

  #nodeOptions(index: number, members: ValidatorSet): NodeOptions {
    return {
      chain,
      subnet,
      members,
      powBits: 1,
      mainChain: this.#mainChain,
      isConnected: (node) => !this.#offline.has(node),
      onDelivery: (node, delivery) => this.#check(node, delivery),
      onEvidence: () => {
        this.#equivocations += 1;
      },
      byzantine: this.#isByzantine(index),
      random: this.#random.fork(),
      sabotage: this.#options.sabotage,
    };
  }

  #isByzantine(node: number): boolean {
    return node < this.#byzantine;
  }

  run(): SeedReport {
    const world = this.#world;
    let healedMs = 0;
    try {
      world.startAll();
      applyFaults(world, this.#random.fork(), this.#faults, this.#durationMs);
      this.#cutMainChain();
      this.#feedDevices();
      world.run(this.#durationMs);
      heal(world);
      this.#offline.clear();
      world.run(this.#durationMs + LIVENESS_MS, () => this.#isComplete());
      healedMs = world.now - this.#durationMs;
      if (!this.#isComplete()) throw new Violation(this.#whatIsMissing());
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
    };
  }

  /** The main chain out of reach: for single nodes, and for all at once. */
  #cutMainChain(): void {
    const random = this.#random.fork();
    const { clock } = this.#world;
    for (let at = random.between(500, 4_000); at < this.#durationMs; at += random.between(2_000, 6_000)) {
      const everyone = random.chance(0.4);
      const cut = Array.from({ length: this.#count }, (_, i) => i).filter(
        () => everyone || random.chance(0.3),
      );
      clock.at(at, () => {
        for (const node of cut) this.#offline.add(node);
      });
      clock.at(at + random.between(500, 5_000), () => {
        for (const node of cut) this.#offline.delete(node);
      });
    }
  }

  /** Devices send to one gateway, sometimes to two: the same payload then travels twice. */
  #feedDevices(): void {
    const random = this.#random.fork();
    const sequences = Array.from({ length: 6 }, () => 0);
    const everyMs = random.pick([20, 100, 400]);
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
          if (!this.#isByzantine(gateway)) this.#expected.add(toHex(payload.id));
        }
      });
    }
  }

  /** An honest member never signs twice in a slot, nor two checkpoints in one round, however often it crashed. */
  #watch(from: number, bytes: Uint8Array): void {
    if (this.#isByzantine(from)) return;
    const message = decodeMessage(bytes);
    if (!message.ok) throw new Violation(`member ${from} sent what cannot be read: ${message.message}`);
    const { value } = message;
    if (value.kind === 'envelope') {
      const whole = decodeEnvelopeWithPayloads(value.encoded);
      if (!whole.ok) throw new Violation(`member ${from} sent a malformed envelope: ${whole.message}`);
      const { envelope } = whole.value;
      const hash = toHex(envelopeHash(envelopeBodyHash(envelope), envelope.nonce));
      this.#once(this.#slots, `${from}/${envelope.lane}/${envelope.sequence}`, hash, 'equivocates');
    } else if (value.kind === 'vote')
      this.#once(this.#votes, `${from}/${value.sequence}/${value.round}`, toHex(value.hash), 'votes twice');
  }

  #once(table: Map<string, string>, key: string, hash: string, what: string): void {
    const before = table.get(key);
    if (before !== undefined && before !== hash) throw new Violation(`an honest member ${what} in ${key}`);
    table.set(key, hash);
  }

  /** Same order, same roots at everyone; nothing applied twice. */
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
      for (const id of applied) {
        if (this.#appliedOnce.has(id))
          throw new Violation(`a payload is applied twice, again in ${sequence}`);
        this.#appliedOnce.add(id);
      }
    } else if (
      reference.hash !== hash ||
      reference.ids !== ids ||
      reference.applied.join() !== applied.join()
    )
      throw new Violation(`member ${node} orders checkpoint ${sequence} differently`);
    for (const id of applied) this.#appliedAt[node]?.add(id);
  }

  #isComplete(): boolean {
    for (let node = this.#byzantine; node < this.#count; node += 1) {
      const applied = this.#appliedAt[node] as Set<string>;
      if (applied.size < this.#expected.size) return false;
      for (const id of this.#expected) if (!applied.has(id)) return false;
    }
    return true;
  }

  #whatIsMissing(): string {
    const lines: string[] = [];
    for (let node = this.#byzantine; node < this.#count; node += 1) {
      const applied = this.#appliedAt[node] as Set<string>;
      const missing = [...this.#expected].filter((id) => !applied.has(id)).length;
      const {
        reason,
        checkpoint,
        pending,
        accepted,
        round,
        unsolid,
        missing: asked,
      } = (this.#actors[node] as DagNode).member.status();
      lines.push(
        `member ${node} lacks ${missing} payloads at checkpoint ${checkpoint}: ${pending} pending, ${accepted} accepted, ` +
          `${unsolid} unsolid, ${asked} missing, round ${round}, ${reason ?? 'no reason'}`,
      );
    }
    return `not everything is final ${LIVENESS_MS} ms after healing\n${lines.join('\n')}`;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
