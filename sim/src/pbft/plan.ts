/** What a seed stands for: who takes part in which epoch, who is faulty and how, and what the world does to everyone. */
import { quorumOf, validatorSetFlaw, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { drawFaults, NO_FAULTS, type FaultPlan } from '../faults.ts';
import { fakeKey } from '../fake-crypto.ts';
import { Random } from '../random.ts';
import { MISCHIEFS, VIEW_MISCHIEFS, type Mischief } from './byzantine.ts';
import { REAL_LIMITS, type SmallLimits } from './small-limits.ts';

/** Weight of each node, by number; 0 for one that is no member. */
export type Weights = readonly number[];

export interface Plan {
  readonly seed: number;
  readonly limits: SmallLimits;
  /** The first validator set. */
  readonly weights: Weights;
  /** The sets after it: each is elected for the checkpoint height with that number. */
  readonly elections: readonly { readonly checkpoint: number; readonly weights: Weights }[];
  /**
   * Nodes that are faulty, and how. In every set the weight of all nodes named here and below is at most F.
   */
  readonly villains: readonly {
    readonly self: number;
    readonly mischiefs: readonly Mischief[];
    readonly probability: number;
    readonly twin: boolean;
  }[];
  /** Correct programs on disks that forget: their votes may contradict each other, so they count as faulty. */
  readonly frail: readonly {
    readonly self: number;
    readonly how: 'lying disk' | 'restored backup';
    readonly atMs: number;
  }[];
  /** Nodes whose disk is found to be lost or damaged: silent until an epoch that began after they asked for it. */
  readonly losers: readonly {
    readonly self: number;
    readonly how: 'lost disk' | 'lost log' | 'bit rot';
    readonly atMs: number;
  }[];
  /** Nodes that die in the moment the epoch that leaves them out begins. */
  readonly deserters: readonly number[];
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
  /** The same for the first one to hold a prepared certificate of a block. */
  readonly isolateHolder: number;
  /** One node hears of no checkpoint until the world is healed: its watermark has to hold it back. */
  readonly deafToCheckpoints: boolean;
  /** Light clients ask, and servers lie to them. */
  readonly light: boolean;
}

/** Four equal validators in a world without faults. */
export const QUIET: Plan = {
  seed: 1,
  limits: REAL_LIMITS,
  weights: [1, 1, 1, 1],
  elections: [],
  villains: [],
  frail: [],
  losers: [],
  deserters: [],
  faults: NO_FAULTS,
  healAtMs: 3_000,
  boundMs: 30_000,
  progress: 3,
  requestEveryMs: 50,
  encoded: false,
  executionMs: 10,
  isolateFirst: 0,
  isolateHolder: 0,
  deafToCheckpoints: false,
  light: false,
};

export function validatorsOf(weights: Weights): ValidatorSet {
  return weights.flatMap((weight, node) => (weight > 0 ? [{ key: fakeKey(node), weight }] : []));
}

/**
 * The swarm: which parameters and faults a seed stands for.
 *
 * @param light with light clients, and more often with epochs
 */
export function drawPlan(seed: number, light: boolean = false): Plan {
  const random = new Random(seed);
  const limits = {
    checkpointInterval: random.pick([8, 8, 8, 16, 32]),
    rotationBlocks: random.pick([3, 5, 16]),
    skipBlocks: random.pick([8, 64, 1_024]),
  };
  const weights = drawWeights(random);
  const elections = random.chance(light ? 0.95 : 0.6) ? drawElections(random, weights) : [];
  const sets = [weights, ...elections.map((election) => election.weights)];
  const healAtMs = random.between(2_000, 8_000);
  const faulty = drawFaulty(random, sets, healAtMs);
  // Long enough for those who lost their memory to get the epoch they wait for.
  const awaitsEpoch = faulty.losers.length > 0 && limits.checkpointInterval === 8;
  return {
    seed,
    limits,
    weights,
    elections,
    ...faulty,
    faults: random.chance(0.1) ? NO_FAULTS : drawFaults(random),
    healAtMs,
    boundMs: 120_000,
    progress: awaitsEpoch ? 24 : random.chance(0.8) ? 3 : limits.checkpointInterval + 2,
    requestEveryMs: random.pick([30, 50, 200, 1_000]),
    encoded: random.chance(0.1),
    executionMs: random.pick([0, 10, 100]),
    isolateFirst: random.chance(0.4) ? random.next() * 0.3 : 0,
    isolateHolder: random.chance(0.3) ? 0.3 + 0.7 * random.next() : 0,
    deafToCheckpoints: random.chance(0.1),
    light,
  };
}

function isSound(weights: Weights): boolean {
  return validatorSetFlaw(validatorsOf(weights)) === undefined;
}

function drawWeights(random: Random): number[] {
  const count = random.between(4, 7);
  for (let attempt = 0; attempt < 50 && random.chance(0.8); attempt += 1) {
    const weights = Array.from({ length: count }, () => random.between(1, random.pick([3, 10, 1_000])));
    if (isSound(weights)) return weights;
  }
  return Array.from({ length: count }, () => 1);
}

function drawElections(random: Random, first: Weights): Plan['elections'] {
  const joiners = random.between(0, 2);
  const elections: { checkpoint: number; weights: Weights }[] = [];
  let weights: Weights = [...first, ...Array.from({ length: joiners }, () => 0)];
  let checkpoint = 0;
  for (let left = random.between(1, 4); left > 0; left -= 1) {
    checkpoint += random.pick([1, 1, 1, 2, 3]);
    weights = changeSet(random, weights);
    elections.push({ checkpoint, weights });
  }
  return elections;
}

/** One joins, one leaves or one weighs differently; the same set again when nothing fits. */
function changeSet(random: Random, weights: Weights): Weights {
  const members = weights.flatMap((weight, node) => (weight > 0 ? [node] : []));
  const strangers = weights.flatMap((weight, node) => (weight === 0 ? [node] : []));
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const changed = [...weights];
    const what = random.pick(['join', 'leave', 'leave', 'weigh', 'swap'] as const);
    if (what === 'leave' && members.length <= 4) continue;
    if ((what === 'join' || what === 'swap') && strangers.length === 0) continue;
    const member = random.pick(members);
    const typical = weights[member] ?? 1;
    if (what === 'join' || what === 'swap') changed[random.pick(strangers)] = typical;
    if (what === 'leave' || what === 'swap') changed[member] = 0;
    if (what === 'weigh') changed[member] = random.between(1, 2 * typical);
    if (isSound(changed)) return changed;
  }
  return weights;
}

/** Draws faulty nodes as long as their weight stays within F in every set. */
function drawFaulty(
  random: Random,
  sets: readonly Weights[],
  healAtMs: number,
): Pick<Plan, 'villains' | 'frail' | 'losers' | 'deserters'> {
  const villains: Plan['villains'][number][] = [];
  const frail: Plan['frail'][number][] = [];
  const losers: Plan['losers'][number][] = [];
  const deserters: number[] = [];
  const none = { villains, frail, losers, deserters };
  if (random.chance(0.25)) return none;
  const left = sets.map((weights) => quorumOf(weights.filter((weight) => weight > 0)).faulty);
  const nodes = (sets.at(-1) as Weights).map((_, node) => node);
  for (const self of random.shuffle(nodes)) {
    if (sets.some((weights, index) => (weights[self] ?? 0) > (left[index] as number))) continue;
    for (const [index, weights] of sets.entries())
      left[index] = (left[index] as number) - (weights[self] ?? 0);
    const atMs = random.between(300, healAtMs - 500);
    const leaves = sets.some(
      (weights, index) =>
        (weights[self] ?? 0) > 0 && sets[index + 1] !== undefined && (sets[index + 1]?.[self] ?? 0) === 0,
    );
    const how = random.next();
    if (leaves && random.chance(0.5)) deserters.push(self);
    else if (how < 0.6) {
      const kinds = random.chance(0.35) ? VIEW_MISCHIEFS : MISCHIEFS;
      const mischiefs = random.shuffle(kinds).slice(0, random.between(1, 5));
      villains.push({ self, mischiefs, probability: random.pick([0.1, 0.5, 1]), twin: random.chance(0.3) });
    } else if (how < 0.75) frail.push({ self, how: random.pick(['lying disk', 'restored backup']), atMs });
    else losers.push({ self, how: random.pick(['lost disk', 'lost log', 'bit rot']), atMs });
    if (random.chance(0.4)) break;
  }
  return none;
}
