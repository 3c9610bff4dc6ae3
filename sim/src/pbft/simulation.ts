/** One run of the main chain's consensus: a plan, faults, healing, and all checkers. */
import { height } from '@itc/core/ledger/ids.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { CommittedBlock, Evidence } from '@itc/core/pbft/effects.js';
import type { PreparedCertificate } from '@itc/core/pbft/messages.js';
import { Agreement } from '../checkers/agreement.ts';
import { Certificates } from '../checkers/certificates.ts';
import { ChainLinked } from '../checkers/chain-linked.ts';
import { Violation } from '../checkers/checker.ts';
import { Delivery } from '../checkers/delivery.ts';
import { Epochs } from '../checkers/epochs.ts';
import { LedgerRules } from '../checkers/ledger-rules.ts';
import { NewViews } from '../checkers/new-views.ts';
import { Liveness } from '../checkers/liveness.ts';
import { Promises } from '../checkers/promises.ts';
import { fakeKey, fakeSign } from '../fake-crypto.ts';
import { applyFaults, heal, type Kinds } from '../faults.ts';
import { LedgerTally, type LedgerCounts } from '../ledger/ledger-tally.ts';
import { LightWatch } from '../light/watch.ts';
import { Random } from '../random.ts';
import { World } from '../world.ts';
import { byzantine } from './byzantine.ts';
import { PRODUCTION_MACHINE } from './executions.ts';
import { Home } from './home.ts';
import { BLOCKS, SimReplica, WAL } from './node.ts';
import { validatorsOf, type Plan } from './plan.ts';
import {
  HONEST,
  type Disguise,
  type NodeOptions,
  type Observer,
  type Sabotage,
  type SimMessage,
  type WalRecord,
} from './shell.ts';
import { chainTime } from './sim-block.ts';
import { SimLedger } from './sim-ledger.ts';
import { withLimits } from './small-limits.ts';

export interface Outcome {
  readonly seed: number;
  readonly height: number;
  readonly epoch: number;
  readonly viewMax: number;
  readonly virtualMs: number;
  readonly crashes: number;
  readonly messages: number;
  readonly evidence: number;
  /** Virtual time from healing until everyone had progressed. */
  readonly recoveredMs: number;
  /** How often each kind of fault took place. */
  readonly counts: Readonly<Record<string, number>>;
  /** What became of transactions, by kind. */
  readonly transactions: LedgerCounts;
  readonly violation: { readonly checker: string; readonly message: string } | undefined;
}

const TIMING = { viewTimeoutMs: 1_000, viewTimeoutMaxMs: 8_000, resendMs: 250, heartbeatMs: 5_000 };
const TICK_MS = 50;
const ASK_FIRST_MS = 300;
/** Clients that wait for more than this ask for nothing new. */
const REQUESTS_WAITING_MAX = 128;

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

/** What a scenario may do to the world at a time of its choice. */
export type Script = (simulation: Simulation) => void;

export class Simulation {
  readonly world: World<SimMessage>;
  readonly plan: Plan;
  readonly validators: ValidatorSet;
  /** Nodes that follow the protocol on disks that keep their word. */
  readonly correct: readonly number[];
  readonly heights: number[];
  readonly evidence: Evidence[] = [];
  readonly agreement: Agreement = new Agreement('block');
  /** Executes what was delivered first anywhere. */
  readonly ledger: SimLedger;
  recoveredMs = 0;
  #preparedTop = { height: 0, view: -1 };
  readonly #identities: readonly number[];
  readonly home: Home;
  readonly #rules: LedgerRules;
  readonly transactions: LedgerTally = new LedgerTally();
  /** Light clients, where the plan has them. */
  readonly light: LightWatch | undefined;
  readonly #nodes: (SimReplica | undefined)[] = [];
  readonly #sabotage: Sabotage;
  readonly #random: Random;
  readonly #observer: Observer;
  readonly #forgetful: Set<number> = new Set();

  constructor(plan: Plan, sabotage: Sabotage = {}) {
    this.plan = plan;
    this.#sabotage = sabotage;
    this.#random = new Random(plan.seed * 2 + 1);
    this.validators = validatorsOf(plan.weights);
    const machine = sabotage.machine ?? PRODUCTION_MACHINE;
    this.home = new Home({
      seed: plan.seed,
      validators: this.validators,
      elections: new Map(
        plan.elections.map(({ checkpoint, weights }) => [checkpoint, validatorsOf(weights)]),
      ),
      machine,
      hash: sabotage.hash,
    });
    this.ledger = new SimLedger(this.home);
    this.#rules = new LedgerRules(machine, this.home.traffic.people);
    const keys = Math.max(plan.weights.length, ...plan.elections.map(({ weights }) => weights.length));
    const faulty = new Set([...plan.villains, ...plan.frail].map(({ self }) => self));
    this.#identities = [
      ...Array.from({ length: keys }, (_, node) => node),
      ...plan.villains.flatMap(({ self, twin }) => (twin ? [self] : [])),
    ];
    this.correct = [...this.#identities.keys()].filter((node) => !faulty.has(this.#identities[node] ?? -1));
    this.heights = this.#identities.map(() => 0);
    this.#observer = this.#observe((key) => faulty.has(key));
    this.world = new World({
      random: this.#random,
      count: this.#identities.length,
      tickMs: TICK_MS,
      start: (node, disk, world) => {
        const replica = new SimReplica(this.#nodeOptions(node), disk, world);
        this.#nodes[node] = replica;
        return replica;
      },
      onSend: (from, message) => {
        if (message.kind !== 'pbft') return;
        this.#observer.sends(from, message.message, this.#logOf(from));
        this.light?.hears(message.message);
      },
    });
    if (plan.light)
      this.light = new LightWatch({
        ledger: this.ledger,
        chain: this.home.chain,
        tree: this.home.tree,
        villains: faulty,
        random: new Random(plan.seed * 2 + 99),
        tally: this.world.tally,
        make: sabotage.reader,
      });
  }

  /** To look at a missing log must not make one. */
  #logOf(node: number): readonly WalRecord[] {
    const disk = this.world.disk(node);
    return disk.has(WAL) ? disk.file<WalRecord>(WAL).durable : [];
  }

  node(node: number): SimReplica | undefined {
    return this.world.isUp(node) ? this.#nodes[node] : undefined;
  }

  viewMax(): number {
    return Math.max(0, ...this.correct.map((node) => this.node(node)?.status()?.view ?? 0));
  }

  /** Correct nodes that are not gone for good. */
  get #living(): number[] {
    return this.correct.filter((node) => !this.world.isRetired(node));
  }

  /** Runs faults, healing and the wait for progress. Throws the violation. */
  run(script?: Script): void {
    const { plan, world } = this;
    this.#load();
    this.#damage();
    // Setting a node up makes its log; from then on a missing one means a lost disk.
    for (const node of this.#identities.keys()) world.disk(node).file(WAL);
    world.startAll();
    applyFaults(world, this.#random.fork(), plan.faults, plan.healAtMs, KINDS);
    if (plan.deafToCheckpoints) this.#deafen();
    if (this.light !== undefined) this.#ask(this.light);
    script?.(this);
    world.run(plan.healAtMs);
    heal(world);
    const liveness = new Liveness(
      this.agreement.highest + plan.progress,
      this.heights,
      [...this.home.requests.waiting],
      (request) => this.ledger.isDone(request),
    );
    // One event can lift a node by several heights; asking after each event is cheap enough.
    world.run(plan.healAtMs + plan.boundMs, () => liveness.reached(this.#living));
    this.recoveredMs = world.now - plan.healAtMs;
    liveness.check(this.#living, plan.boundMs, (node) => this.#reason(node));
    // A little longer, so that votes under way meet the checkers too.
    world.run(world.now + 1_000);
    checkEvidence(this);
    this.#rules.ended(this.ledger.state);
    this.light?.wakeUp(chainTime(world.now));
  }

  /** Light clients ask now and then, for as long as the run lasts. */
  #ask(light: LightWatch): void {
    const { world } = this;
    const ask = (): void => {
      const up = this.correct.flatMap((node): [number, SimReplica][] => {
        const replica = this.node(node);
        return replica === undefined ? [] : [[node, replica]];
      });
      world.clock.after(light.turn(chainTime(world.now), new Map(up)), ask);
    };
    world.clock.after(ASK_FIRST_MS, ask);
  }

  #reason(node: number): string {
    const replica = this.node(node);
    if (replica === undefined) return 'not running';
    const status = replica.status();
    const where = `epoch ${replica.epoch}, view ${status?.view}, ${status?.phase ?? 'no member'}`;
    return `${where}, ${status?.reason ?? 'no reason given'}`;
  }

  #isolate(node: number): void {
    if (this.world.now >= this.plan.healAtMs || !this.#random.chance(this.plan.isolateFirst)) return;
    const others = [...this.#identities.keys()].filter((other) => other !== node);
    const { network, clock, tally } = this.world;
    tally.add('first to deliver cut off');
    network.partition([[node], others]);
    // Nobody else hears enough COMMITs now: the others have to find out in a view change what may have been decided.
    if (this.#random.chance(0.7)) network.drop = (_from, _to, message) => KINDS.of(message) === 'commit';
    clock.after(this.#random.between(500, 6_000), () => {
      network.mend();
      network.drop = undefined;
    });
  }

  /** Whoever is first to hold a prepared certificate is cut off with it, so that the next view may not know of it. */
  #isolateHolder(node: number, { view, height: at }: PreparedCertificate): void {
    const top = this.#preparedTop;
    if (at < top.height || (at === top.height && view <= top.view)) return;
    this.#preparedTop = { height: at, view };
    if (this.world.now >= this.plan.healAtMs || !this.#random.chance(this.plan.isolateHolder)) return;
    const { network, clock, tally } = this.world;
    tally.add('holder of a prepared certificate cut off');
    network.mend();
    network.partition([[node], [...this.#identities.keys()].filter((other) => other !== node)]);
    network.drop = (_from, _to, message) => KINDS.of(message) === 'prepare';
    clock.after(this.#random.between(200, 900), () => {
      network.drop = undefined;
    });
    clock.after(this.#random.between(900, 4_000), () => network.mend());
  }

  #load(): void {
    let request = 0;
    const arrive = (): void => {
      const { requests, traffic } = this.home;
      if (requests.waiting.size < REQUESTS_WAITING_MAX) {
        request += 1;
        const { state, height: tip } = this.ledger;
        const transaction = traffic.draw(state, tip, chainTime(this.world.now));
        this.transactions.drawn(transaction.tx.body.kind);
        this.home.executions.knows(transaction);
        requests.ask(request, transaction);
      }
      this.world.clock.after(this.#random.next() * 2 * this.plan.requestEveryMs, arrive);
    };
    arrive();
  }

  #deafen(): void {
    const deaf = this.#random.pick(this.correct);
    this.world.tally.add('deaf to checkpoints');
    this.world.network.deaf = (to, message) =>
      to === deaf &&
      message.kind === 'pbft' &&
      (message.message.kind === 'checkpoint' || message.message.kind === 'status');
  }

  /** Plans what happens to disks. */
  #damage(): void {
    const { clock, tally } = this.world;
    for (const { self, how, atMs } of this.plan.losers) clock.at(atMs, () => this.lose(self, how));
    for (const { self, how, atMs } of this.plan.frail) {
      const disk = this.world.disk(self);
      if (how === 'lying disk') {
        disk.lie();
        clock.at(atMs, () => {
          tally.add('crash on a lying disk');
          this.#restart(self);
        });
      } else {
        clock.at(Math.round(atMs / 2), () => {
          const backup = disk.backup();
          clock.at(atMs, () => {
            tally.add('backup restored');
            this.#restart(self, () => disk.restore(backup));
          });
        });
      }
    }
  }

  /** Takes a node's disk, or a part of it. */
  lose(self: number, how: Plan['losers'][number]['how']): void {
    const disk = this.world.disk(self);
    this.#forgetful.add(self);
    this.world.tally.add(how);
    this.#restart(self, () => {
      switch (how) {
        case 'lost disk':
          disk.wipe();
          return;
        case 'lost log':
          disk.remove(WAL);
          return;
        case 'bit rot': {
          // Where it hits is chance: in what was voted, in what was decided, or in both.
          const blocks = disk.file(BLOCKS);
          if (disk.has(WAL)) disk.file(WAL).rot(this.#random.below(disk.file(WAL).durable.length + 1));
          if (this.#random.chance(0.5)) blocks.rot(this.#random.below(blocks.durable.length + 1));
          return;
        }
      }
    });
  }

  #restart(node: number, meanwhile?: () => void): void {
    const { world } = this;
    world.crash(node);
    meanwhile?.();
    world.clock.after(this.#random.between(10, 1_500), () => world.start(node));
  }

  #observe(isFaulty: (key: number) => boolean): Observer {
    const isCorrect = (node: number): boolean => this.correct.includes(node);
    const { chain } = this.home;
    const roots = new Agreement('state root');
    const linked = new ChainLinked(chain);
    const certificates = new Certificates(chain);
    const delivery = new Delivery();
    const promises = new Promises();
    const epochs = new Epochs(this.ledger, isFaulty);
    const newViews = new NewViews(chain, this.ledger);
    const tips = new Map<number, { height: number; hash: Hash }>();
    const deliveredFirst = (node: number, committed: CommittedBlock): void => {
      const { block } = committed;
      linked.delivered(node, block);
      const { epoch } = this.ledger.present;
      const execution = this.ledger.apply(block);
      this.#rules.executed(execution);
      for (const receipt of execution.receipts) {
        this.transactions.executed(receipt);
        this.home.traffic.executed(receipt.transaction);
      }
      this.light?.committed(committed, this.ledger);
      if (this.ledger.present.epoch !== epoch) this.world.tally.add('epoch change');
      const { waiting } = this.home.requests;
      for (const request of waiting) if (this.ledger.isDone(request)) waiting.delete(request);
      this.#isolate(node);
    };
    return {
      started: (node, tip) => {
        this.heights[node] = tip;
        if (!isCorrect(node)) return;
        delivery.started(node, tip, this.#forgetful.has(node));
        tips.set(node, { height: tip, hash: this.agreement.at(tip) ?? chain });
      },
      enters: (node, epoch, validators, base) => {
        if (isCorrect(node)) epochs.enters(node, epoch, validators, base);
      },
      delivered: (node, committed) => {
        const { block } = committed;
        this.heights[node] = block.height;
        if (!isCorrect(node)) return;
        delivery.delivered(node, block.height);
        const isFirst = block.height > this.agreement.highest;
        this.agreement.saw(node, block.height, block.hash);
        if (isFirst) deliveredFirst(node, committed);
        else linked.delivered(node, block);
        const { epoch, validators } = this.ledger.epochOfHeight(block.height);
        certificates.delivered(node, committed, epoch, validators);
      },
      executed: (node, at, root) => {
        if (!isCorrect(node)) return;
        roots.saw(node, at, root);
        delivery.executed(node, at);
        // Executed means synced: from here on the block log proves what is final.
        tips.set(node, { height: at, hash: this.agreement.at(at) ?? chain });
      },
      persists: (node, record) => {
        if (!isCorrect(node)) return;
        epochs.persists(node, record);
        newViews.persists(node, record);
        if (record.kind === 'prepared') this.#isolateHolder(node, record.certificate);
      },
      sends: (node, message, wal) => {
        newViews.said(message);
        if (!isCorrect(node)) return;
        promises.sends(node, message, wal, tips.get(node) ?? { height: height(0), hash: chain });
        epochs.sends(node, message);
      },
      evidence: (node, evidence) => {
        if (!isCorrect(node)) return;
        this.evidence.push(evidence);
        this.world.tally.add(`evidence: ${evidence.kind}`);
      },
    };
  }

  #nodeOptions(node: number): NodeOptions {
    const { plan } = this;
    const self = this.#identities[node] ?? -1;
    const villain = plan.villains.find((candidate) => candidate.self === self);
    return {
      node,
      self,
      identities: this.#identities,
      home: this.home,
      timing: TIMING,
      random: this.#random.fork(),
      observer: this.#observer,
      tally: this.world.tally,
      diesWhenLeaving: plan.deserters.includes(self),
      disguise: villain === undefined ? HONEST : this.#disguise(villain),
      // A faulty replica needs no further sabotage.
      sabotage: this.correct.includes(node) ? this.#sabotage : {},
      encoded: plan.encoded,
      executionMs: plan.executionMs,
    };
  }

  #disguise({ self, mischiefs, probability, twin }: Plan['villains'][number]): Disguise {
    const { tally } = this.world;
    if (twin) tally.add('start of a twin');
    return byzantine(
      {
        chain: this.home.chain,
        tree: this.home.tree,
        sign: (bytes) => fakeSign(fakeKey(self), bytes),
        random: this.#random.fork(),
        tally,
        delayMaxMs: TIMING.viewTimeoutMs * 0.9,
        membership: (epoch) => {
          const set = this.ledger.validatorsOf(epoch) ?? [];
          return { self: set.findIndex(({ key }) => key.bytes[0] === self), count: set.length };
        },
      },
      mischiefs,
      probability,
    );
  }
}

/** Runs a plan. A violation is a result, and so is an exception: an assertion of the core is a checker too. */
export function runPlan(plan: Plan, sabotage: Sabotage = {}, script?: Script): Outcome {
  return withLimits(plan.limits, () => {
    const simulation = new Simulation(plan, sabotage);
    let violation: Outcome['violation'];
    try {
      simulation.run(script);
    } catch (error) {
      violation =
        error instanceof Violation
          ? { checker: error.checker, message: error.message }
          : {
              checker: 'exception',
              message: error instanceof Error ? (error.stack ?? error.message) : String(error),
            };
    }
    return outcomeOf(simulation, violation);
  });
}

function outcomeOf(simulation: Simulation, violation: Outcome['violation']): Outcome {
  const { world } = simulation;
  return {
    seed: simulation.plan.seed,
    height: simulation.agreement.highest,
    epoch: simulation.ledger.present.epoch,
    viewMax: simulation.viewMax(),
    virtualMs: Math.round(world.now),
    crashes: world.crashes,
    messages: world.network.sent,
    evidence: simulation.evidence.length,
    recoveredMs: Math.round(simulation.recoveredMs),
    counts: world.tally.counts,
    transactions: simulation.transactions.counts,
    violation,
  };
}

/** Evidence names nobody who follows the protocol. */
function checkEvidence({ evidence, ledger, correct }: Simulation): void {
  for (const { kind, culprit, first } of evidence) {
    const key = ledger.validatorsOf(first.epoch)?.[culprit]?.key.bytes[0];
    if (key !== undefined && correct.includes(key))
      throw new Violation('evidence', `validator ${key} is accused of a double ${kind} without guilt`);
  }
}
