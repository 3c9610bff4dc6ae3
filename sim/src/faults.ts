/**
 * Swarm testing (Groce et al., ISSTA 2012): each seed switches some kinds of faults on and leaves others out, because
 * a run with everything at once hides what a run with little would show.
 */
import type { Random } from './random.ts';
import type { World } from './world.ts';

export interface FaultPlan {
  readonly loss: number;
  readonly duplication: number;
  readonly delayMaxMs: number;
  readonly straggling: number;
  /** Mean time between two events of each kind, in ms; 0 = never. */
  readonly crashEveryMs: number;
  readonly partitionEveryMs: number;
  readonly cutEveryMs: number;
  readonly clogEveryMs: number;
  /** All nodes at once lose power. */
  readonly blackoutEveryMs: number;
  /** Some nodes get none of one kind of message: votes of one phase reach only a part. */
  readonly starveEveryMs: number;
  /** A clock jumps forward or back, by up to `clockJumpMaxMs`. */
  readonly clockJumpEveryMs: number;
  readonly clockJumpMaxMs: number;
  /** A node is down for so long that the others go through epochs meanwhile. */
  readonly sleepEveryMs: number;
}

/** How messages are told apart for targeted loss. */
export interface Kinds<M> {
  readonly all: readonly string[];
  readonly of: (message: M) => string;
}

export const NO_FAULTS: FaultPlan = {
  loss: 0,
  duplication: 0,
  delayMaxMs: 10,
  straggling: 0,
  crashEveryMs: 0,
  partitionEveryMs: 0,
  cutEveryMs: 0,
  clogEveryMs: 0,
  blackoutEveryMs: 0,
  starveEveryMs: 0,
  clockJumpEveryMs: 0,
  clockJumpMaxMs: 0,
  sleepEveryMs: 0,
};

export function drawFaults(random: Random): FaultPlan {
  const some = (low: number, high: number): number => (random.chance(0.5) ? random.between(low, high) : 0);
  return {
    loss: random.chance(0.5) ? random.next() * random.pick([0.02, 0.1, 0.4]) : 0,
    duplication: random.chance(0.5) ? random.next() * 0.3 : 0,
    delayMaxMs: random.pick([5, 20, 100, 400]),
    straggling: random.chance(0.5) ? random.next() * 0.1 : 0,
    crashEveryMs: some(500, 8_000),
    partitionEveryMs: some(3_000, 12_000),
    cutEveryMs: some(1_000, 6_000),
    clogEveryMs: some(1_000, 6_000),
    blackoutEveryMs: random.chance(0.2) ? random.between(4_000, 15_000) : 0,
    starveEveryMs: some(500, 4_000),
    clockJumpEveryMs: random.chance(0.3) ? random.between(500, 5_000) : 0,
    clockJumpMaxMs: random.pick([500, 4_000, 20_000]),
    sleepEveryMs: random.chance(0.25) ? random.between(2_000, 8_000) : 0,
  };
}

/** Lets the faults happen until that time; whoever calls heals afterwards. */
export function applyFaults<M>(
  world: World<M>,
  random: Random,
  plan: FaultPlan,
  until: number,
  kinds?: Kinds<M>,
): void {
  world.network.quality = {
    loss: plan.loss,
    duplication: plan.duplication,
    delayMinMs: 1,
    delayMaxMs: plan.delayMaxMs,
    straggling: plan.straggling,
  };
  const nodes = Array.from({ length: world.count }, (_, i) => i);
  const { tally } = world;
  repeat(world, random, plan.crashEveryMs, until, () => {
    const node = random.pick(nodes);
    // Some effects later rather than now: the interesting places are between two effects of one step.
    world.crashAfter(node, random.below(12));
    tally.add('crash');
    world.clock.after(random.between(50, 4_000), () => restart(world, node));
  });
  repeat(world, random, plan.partitionEveryMs, until, () => {
    const shuffled = random.shuffle(nodes);
    const size = random.between(1, nodes.length - 1);
    world.network.mend();
    tally.add('partition');
    world.network.partition([shuffled.slice(0, size), shuffled.slice(size)]);
    world.clock.after(random.between(200, 6_000), () => world.network.mend());
  });
  repeat(world, random, plan.cutEveryMs, until, () => {
    world.network.cut(random.pick(nodes), random.pick(nodes));
    tally.add('link cut one way');
    world.clock.after(random.between(200, 3_000), () => world.network.mend());
  });
  repeat(world, random, plan.clogEveryMs, until, () => {
    tally.add('link clogged');
    world.network.clog(random.pick(nodes), random.pick(nodes), world.now + random.between(100, 3_000));
  });
  repeat(world, random, kinds === undefined ? 0 : plan.starveEveryMs, until, () => {
    if (kinds === undefined) return;
    const kind = random.pick(kinds.all);
    // What one kind of message says, another one may show as well.
    const second = random.chance(0.3) ? random.pick(kinds.all) : kind;
    tally.add(`starved of ${kind}`);
    const starved = new Set(random.shuffle(nodes).slice(0, random.between(1, nodes.length)));
    world.network.drop = (_, to, message) => {
      if (!starved.has(to)) return false;
      const what = kinds.of(message);
      return what === kind || what === second;
    };
    world.clock.after(random.between(200, 4_000), () => {
      world.network.drop = undefined;
    });
  });
  repeat(world, random, plan.clockJumpEveryMs, until, () => {
    const jump = Math.round((random.next() * 2 - 1) * plan.clockJumpMaxMs);
    tally.add(jump < 0 ? 'clock jump back' : 'clock jump forward');
    world.skew(random.pick(nodes), jump);
  });
  repeat(world, random, plan.sleepEveryMs, until, () => {
    const node = random.pick(nodes);
    tally.add('long sleep');
    world.crash(node);
    world.clock.at(until - random.below(500), () => restart(world, node));
  });
  repeat(world, random, plan.blackoutEveryMs, until, () => {
    tally.add('blackout');
    for (const node of nodes) world.crash(node);
    for (const node of nodes) world.clock.after(random.between(10, 1_000), () => restart(world, node));
  });
}

/** Ends all faults of the environment: links are good, clocks are right, everybody who is not gone for good is up. */
export function heal<M>(world: World<M>): void {
  world.network.heal();
  for (let node = 0; node < world.count; node += 1) {
    world.crashAfter(node, undefined);
    world.skew(node, 0);
    restart(world, node);
  }
}

function restart<M>(world: World<M>, node: number): void {
  if (!world.isUp(node)) world.start(node);
}

function repeat<M>(world: World<M>, random: Random, everyMs: number, until: number, event: () => void): void {
  if (everyMs === 0) return;
  const next = (): void => {
    const delay = -Math.log(1 - random.next()) * everyMs;
    if (world.now + delay >= until) return;
    world.clock.after(delay, () => {
      event();
      next();
    });
  };
  next();
}
