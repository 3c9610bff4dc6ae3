/** One run of the main chain's consensus: parameters from a seed, faults, healing, and all checkers. */
import { height } from '@itc/core/ledger/ids.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { quorumOf, validatorSetFlaw, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Evidence } from '@itc/core/pbft/effects.js';
import { Agreement } from '../checkers/agreement.ts';
import { Certificates } from '../checkers/certificates.ts';
import { ChainLinked } from '../checkers/chain-linked.ts';
import { Violation } from '../checkers/checker.ts';
import { Delivery } from '../checkers/delivery.ts';
import { Liveness } from '../checkers/liveness.ts';
import { Promises } from '../checkers/promises.ts';
import { fakeHash, fakeKey, fakeSign } from '../fake-crypto.ts';
import { applyFaults, drawFaults, heal, NO_FAULTS, type FaultPlan, type Kinds } from '../faults.ts';
import { Random } from '../random.ts';
import { World } from '../world.ts';
import { byzantine, MISCHIEFS, type Mischief } from './byzantine.ts';
import { SimReplica, type Observer, type Sabotage, type SimMessage, type WalRecord } from './node.ts';

export interface Plan {
  readonly seed: number;
  readonly weights: readonly number[];
  /** Validator indices that are faulty, and how; their weight is at most F. */
  readonly villains: readonly {
    readonly self: number;
    readonly mischiefs: readonly Mischief[];
    readonly probability: number;
    readonly twin: boolean;
  }[];
  readonly faults: FaultPlan;
  /** Faults end here, and the bound for progress begins. */
  readonly healAtMs: number;
  readonly boundMs: number;
  /** Blocks everyone has to deliver above the highest one at healing. */
  readonly progress: number;
  readonly requestEveryMs: number;
  readonly encoded: boolean;
  readonly executionMs: number;
  /** Probability that the first one to deliver a block is cut off at once: what it knows, the others must keep. */
  readonly isolateFirst: number;
}

export interface Outcome {
  readonly seed: number;
  readonly height: number;
  readonly viewMax: number;
  readonly virtualMs: number;
  readonly crashes: number;
  readonly messages: number;
  readonly evidence: number;
  readonly violation: { readonly checker: string; readonly message: string } | undefined;
}

export const CHAIN: Hash = asHash(fakeHash(Uint8Array.of(1, 7, 9)));

const TIMING = { viewTimeoutMs: 1_000, viewTimeoutMaxMs: 8_000, resendMs: 250, heartbeatMs: 5_000 };
const TICK_MS = 50;

/** Votes more often than the rest: who lacks them is what view changes are about. */
const KINDS: Kinds<SimMessage> = {
  all: [
    'commit',
    'commit',
    'prepare',
    'pre-prepare',
    'new-view',
    'view-change',
    'checkpoint',
    'status',
    'blocks',
  ],
  of: (message) => (message.kind === 'pbft' ? message.message.kind : message.kind),
};

/** The swarm: which parameters and faults a seed stands for. */
export function drawPlan(seed: number): Plan {
  const random = new Random(seed);
  const weights = drawWeights(random);
  return {
    seed,
    weights,
    villains: random.chance(0.6) ? drawVillains(random, weights) : [],
    faults: random.chance(0.1) ? NO_FAULTS : drawFaults(random),
    healAtMs: random.between(2_000, 8_000),
    boundMs: 120_000,
    progress: 3,
    requestEveryMs: random.pick([50, 200, 1_000]),
    encoded: random.chance(0.2),
    executionMs: random.pick([0, 10, 100]),
    isolateFirst: random.chance(0.4) ? random.next() * 0.3 : 0,
  };
}

function drawWeights(random: Random): number[] {
  const count = random.between(4, 7);
  for (let attempt = 0; attempt < 50 && random.chance(0.8); attempt += 1) {
    const weights = Array.from({ length: count }, () => random.between(1, random.pick([3, 10, 1_000])));
    if (validatorSetFlaw(weights.map((weight, index) => ({ key: fakeKey(index), weight }))) === undefined)
      return weights;
  }
  return Array.from({ length: count }, () => 1);
}

function drawVillains(random: Random, weights: readonly number[]): Plan['villains'] {
  const { faulty } = quorumOf(weights);
  const villains: Plan['villains'][number][] = [];
  let left = faulty;
  for (const self of random.shuffle([...weights.keys()])) {
    const weight = weights[self] ?? 0;
    if (weight > left) continue;
    left -= weight;
    const mischiefs = random.shuffle(MISCHIEFS).slice(0, random.between(1, 4));
    villains.push({ self, mischiefs, probability: random.pick([0.1, 0.5, 1]), twin: random.chance(0.3) });
    if (random.chance(0.4)) break;
  }
  return villains;
}

/** What a scenario may do to the world at a time of its choice. */
export type Script = (simulation: Simulation) => void;

export class Simulation {
  readonly world: World<SimMessage>;
  readonly plan: Plan;
  readonly validators: ValidatorSet;
  /** Nodes that follow the protocol. */
  readonly correct: readonly number[];
  readonly heights: number[];
  readonly evidence: Evidence[] = [];
  readonly agreement: Agreement = new Agreement('block');
  readonly #identities: readonly number[];
  readonly #nodes: (SimReplica | undefined)[] = [];
  readonly #requests: Set<number> = new Set();
  readonly #sabotage: Sabotage;
  readonly #random: Random;

  constructor(plan: Plan, sabotage: Sabotage = {}) {
    this.plan = plan;
    this.#sabotage = sabotage;
    this.#random = new Random(plan.seed * 2 + 1);
    this.validators = plan.weights.map((weight, index) => ({ key: fakeKey(index), weight }));
    const twins = plan.villains.filter((villain) => villain.twin).map((villain) => villain.self);
    this.#identities = [...plan.weights.keys(), ...twins];
    const bad = new Set(plan.villains.map((villain) => villain.self));
    this.correct = [...plan.weights.keys()].filter((node) => !bad.has(node));
    this.heights = this.#identities.map(() => 0);
    const observer = this.#observe();
    this.world = new World({
      random: this.#random,
      count: this.#identities.length,
      tickMs: TICK_MS,
      start: (node, disk, world) => {
        const replica = new SimReplica(this.#nodeOptions(node, observer), disk, world);
        this.#nodes[node] = replica;
        return replica;
      },
      onSend: (from, message) => {
        if (message.kind === 'pbft')
          observer.sends(
            from,
            message.message,
            this.world.disk(from).file<WalRecord>('write-ahead log').durable,
          );
      },
    });
  }

  node(node: number): SimReplica | undefined {
    return this.world.isUp(node) ? this.#nodes[node] : undefined;
  }

  viewMax(): number {
    return Math.max(...this.correct.map((node) => this.node(node)?.status().view ?? 0));
  }

  /** Runs faults, healing and the wait for progress. Throws the violation. */
  run(script?: Script): void {
    const { plan, world } = this;
    this.#load();
    world.startAll();
    applyFaults(world, this.#random.fork(), plan.faults, plan.healAtMs, KINDS);
    script?.(this);
    world.run(plan.healAtMs);
    heal(world);
    const liveness = new Liveness(world.count, this.agreement.highest + plan.progress, this.heights);
    this.#liveness = liveness;
    // One event can lift a node by several heights; asking after each event is cheap enough.
    world.run(plan.healAtMs + plan.boundMs, () => liveness.reached(this.correct));
    liveness.check(
      this.correct,
      plan.boundMs,
      (node) => this.node(node)?.status().reason ?? 'no reason given',
    );
    // A little longer, so that votes under way meet the checkers too.
    world.run(world.now + 1_000);
  }

  #liveness: Liveness | undefined;

  #isolate(node: number): void {
    if (this.world.now >= this.plan.healAtMs || !this.#random.chance(this.plan.isolateFirst)) return;
    const others = [...this.#identities.keys()].filter((other) => other !== node);
    const { network, clock } = this.world;
    network.partition([[node], others]);
    // Nobody else hears enough COMMITs now: the others have to find out in a view change what may have been decided.
    if (this.#random.chance(0.7)) network.drop = (_from, _to, message) => KINDS.of(message) === 'commit';
    clock.after(this.#random.between(500, 6_000), () => {
      network.mend();
      network.drop = undefined;
    });
  }

  #load(): void {
    let request = 0;
    const arrive = (): void => {
      request += 1;
      this.#requests.add(request);
      // What everyone has executed is forgotten, as a pool forgets it.
      if (this.#requests.size > 96)
        for (const old of this.#requests) {
          this.#requests.delete(old);
          if (this.#requests.size <= 48) break;
        }
      this.world.clock.after(this.#random.next() * 2 * this.plan.requestEveryMs, arrive);
    };
    arrive();
  }

  #observe(): Observer {
    const isCorrect = (node: number): boolean => this.correct.includes(node);
    const roots = new Agreement('state root');
    const linked = new ChainLinked(CHAIN);
    const certificates = new Certificates(CHAIN, this.validators);
    const delivery = new Delivery();
    const promises = new Promises();
    const tips = new Map<number, { height: number; hash: Hash }>();
    return {
      started: (node, tip) => {
        if (!isCorrect(node)) return;
        delivery.started(node, tip);
        const hash = this.agreement.at(tip);
        tips.set(node, { height: tip, hash: hash ?? CHAIN });
      },
      delivered: (node, committed) => {
        if (!isCorrect(node)) return;
        const { block } = committed;
        if (block.height > this.agreement.highest) this.#isolate(node);
        delivery.delivered(node, block.height);
        this.agreement.saw(node, block.height, block.hash);
        linked.delivered(node, block);
        certificates.delivered(node, committed);
        this.heights[node] = block.height;
        this.#liveness?.delivered(node, block.height);
      },
      executed: (node, at, root) => {
        if (!isCorrect(node)) return;
        roots.saw(node, at, root);
        // Executed means synced: from here on the block log proves what is final.
        tips.set(node, { height: at, hash: this.agreement.at(at) ?? CHAIN });
      },
      sends: (node, message, wal) => {
        if (isCorrect(node))
          promises.sends(node, message, wal, tips.get(node) ?? { height: height(0), hash: CHAIN });
      },
    };
  }

  #nodeOptions(node: number, observer: Observer): ConstructorParameters<typeof SimReplica>[0] {
    const { plan } = this;
    const self = this.#identities[node] ?? -1;
    const villain = plan.villains.find((candidate) => candidate.self === self);
    const random = this.#random.fork();
    const key = fakeKey(self);
    const sign = (bytes: Uint8Array): Uint8Array => fakeSign(key, bytes);
    return {
      node,
      self,
      identities: this.#identities,
      chain: CHAIN,
      validators: this.validators,
      timing: TIMING,
      random,
      observer,
      requests: { known: this.#requests },
      disguise:
        villain === undefined
          ? (effects) => {
              this.evidence.push(...effects.evidence);
              return effects;
            }
          : byzantine(
              { self, count: plan.weights.length, chain: CHAIN, sign, random: this.#random.fork() },
              villain.mischiefs,
              villain.probability,
            ),
      // A faulty replica needs no further sabotage.
      sabotage: villain === undefined ? this.#sabotage : {},
      encoded: plan.encoded,
      executionMs: plan.executionMs,
    };
  }
}

/** Runs a plan; a violation is a result, any other exception is a bug and passes through. */
export function runPlan(plan: Plan, sabotage: Sabotage = {}, script?: Script): Outcome {
  const simulation = new Simulation(plan, sabotage);
  let violation: Outcome['violation'];
  try {
    simulation.run(script);
    checkEvidence(simulation);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = { checker: error.checker, message: error.message };
  }
  return {
    seed: plan.seed,
    height: simulation.agreement.highest,
    viewMax: simulation.viewMax(),
    virtualMs: Math.round(simulation.world.now),
    crashes: simulation.world.crashes,
    messages: simulation.world.network.sent,
    evidence: simulation.evidence.length,
    violation,
  };
}

/** Evidence names nobody who follows the protocol. */
function checkEvidence(simulation: Simulation): void {
  for (const { kind, culprit } of simulation.evidence) {
    if (simulation.correct.includes(culprit))
      throw new Violation('evidence', `validator ${culprit} is accused of a double ${kind} without guilt`);
  }
}
