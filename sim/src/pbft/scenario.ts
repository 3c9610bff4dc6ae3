/**
 * Scripted runs, one event per line, so that a reviewer can read what happens:
 *
 *   weights 1 1 1 1        the validators
 *   limits 8 3 64          checkpoint interval, blocks of a turn, blocks of a skip (default: the real ones)
 *   elect 1 1 1 0 1 at checkpoint 2   the set from the block after that checkpoint on
 *   deserter 3             dies in the moment the epoch that leaves it out begins
 *   villain 0 slow censor  what a faulty validator does, all the time
 *   requests every 50      load
 *   crash 0 at 2000        also: restart 0 at 4000
 *   crash 0 after 7 effects at 2000
 *   partition 0 1 | 2 3 at 3000
 *   clock 2 by -5000 at 3000
 *   lost disk 1 at 2000    also: lost log, bit rot
 *   cut 0 > 1 at 3000      one direction
 *   mend at 6000           all links
 *   expect height 9 at 8000  every correct node that is up has it
 *   expect epoch 1 at 8000   and has entered it
 *   heal at 10000          everything, and the bound for progress begins
 *   progress 5 within 20000
 */
import { MISCHIEFS } from './byzantine.ts';
import { Violation } from '../checkers/checker.ts';
import { QUIET, type Plan } from './plan.ts';
import { runPlan, type Outcome, type Script, type Simulation } from './simulation.ts';

export interface Scenario {
  readonly plan: Plan;
  readonly script: Script;
}

const LOSSES: readonly Plan['losers'][number]['how'][] = ['lost disk', 'lost log', 'bit rot'];

type Event = { readonly at: number; readonly run: (simulation: Simulation) => void };

/** Throws a RangeError that names the line for anything it does not understand: scenarios are part of this repository. */
export function parseScenario(text: string): Scenario {
  let plan: Plan = { ...QUIET, healAtMs: 10_000, encoded: true };
  const events: Event[] = [];
  for (const [number, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*/, '').trim();
    if (line === '') continue;
    const setting = readSetting(line, plan);
    const event = setting === undefined ? readEvent(line) : undefined;
    if (setting !== undefined) plan = { ...plan, ...setting };
    else if (event !== undefined) events.push(event);
    else throw new RangeError(`line ${number + 1} of the scenario is not understood: ${line}`);
  }
  const script: Script = (simulation) => {
    for (const { at, run } of events) simulation.world.clock.at(at, () => run(simulation));
  };
  return { plan, script };
}

export function runScenario(scenario: Scenario): Outcome {
  return runPlan(scenario.plan, {}, scenario.script);
}

function readSetting(line: string, plan: Plan): Partial<Plan> | undefined {
  const limits = /^limits (\d+) (\d+) (\d+)$/.exec(line);
  if (limits !== null)
    return {
      limits: {
        checkpointInterval: Number(limits[1]),
        rotationBlocks: Number(limits[2]),
        skipBlocks: Number(limits[3]),
      },
    };
  const elect = /^elect((?: \d+)+) at checkpoint (\d+)$/.exec(line);
  if (elect !== null)
    return {
      elections: [...plan.elections, { checkpoint: Number(elect[2]), weights: numbers(elect[1]) }],
    };
  const deserter = /^deserter (\d+)$/.exec(line);
  if (deserter !== null) return { deserters: [...plan.deserters, Number(deserter[1])] };
  const villain = /^villain (\d+)((?: [a-z-]+)+)$/.exec(line);
  if (villain !== null) {
    const named = (villain[2] ?? '').trim().split(' ');
    const mischiefs = MISCHIEFS.filter((mischief) => named.includes(mischief));
    if (mischiefs.length !== named.length) return undefined;
    const self = Number(villain[1]);
    return { villains: [...plan.villains, { self, mischiefs, probability: 1, twin: false }] };
  }
  const weights = /^weights((?: \d+)+)$/.exec(line);
  if (weights !== null) return { weights: numbers(weights[1]) };
  const heal = /^heal at (\d+)$/.exec(line);
  if (heal !== null) return { healAtMs: Number(heal[1]) };
  const progress = /^progress (\d+) within (\d+)$/.exec(line);
  if (progress !== null) return { progress: Number(progress[1]), boundMs: Number(progress[2]) };
  const requests = /^requests every (\d+)$/.exec(line);
  if (requests !== null) return { requestEveryMs: Number(requests[1]) };
  const seed = /^seed (\d+)$/.exec(line);
  return seed === null ? undefined : { seed: Number(seed[1]) };
}

function readEvent(line: string): Event | undefined {
  const match = /^(.*) at (\d+)$/.exec(line);
  if (match === null) return undefined;
  const [, what = '', at] = match;
  const run = readAction(what);
  return run === undefined ? undefined : { at: Number(at), run };
}

function readAction(what: string): Event['run'] | undefined {
  const fuse = /^crash (\d+) after (\d+) effects$/.exec(what);
  if (fuse !== null) return ({ world }) => world.crashAfter(Number(fuse[1]), Number(fuse[2]));
  const crash = /^crash((?: \d+)+)$/.exec(what);
  if (crash !== null) return ({ world }) => numbers(crash[1]).forEach((node) => world.crash(node));
  const restart = /^restart((?: \d+)+)$/.exec(what);
  if (restart !== null) return ({ world }) => numbers(restart[1]).forEach((node) => world.start(node));
  const loss = /^(lost disk|lost log|bit rot) (\d+)$/.exec(what);
  if (loss !== null) {
    const how = LOSSES.find((one) => one === loss[1]);
    if (how !== undefined) return (simulation) => simulation.lose(Number(loss[2]), how);
  }
  const clock = /^clock (\d+) by (-?\d+)$/.exec(what);
  if (clock !== null) return ({ world }) => world.skew(Number(clock[1]), Number(clock[2]));
  const epoch = /^expect epoch (\d+)$/.exec(what);
  if (epoch !== null) return (simulation) => expectEpoch(simulation, Number(epoch[1]));
  const partition = /^partition([\d |]+)$/.exec(what);
  if (partition !== null)
    return ({ world }) => world.network.partition((partition[1] ?? '').split('|').map(numbers));
  const expected = /^expect height (\d+)$/.exec(what);
  if (expected !== null) return (simulation) => expectHeight(simulation, Number(expected[1]));
  const cut = /^cut (\d+) > (\d+)$/.exec(what);
  if (cut !== null) return ({ world }) => world.network.cut(Number(cut[1]), Number(cut[2]));
  return what === 'mend' ? ({ world }) => world.network.mend() : undefined;
}

function expectHeight({ correct, world, heights }: Simulation, height: number): void {
  for (const one of correct) {
    if (!world.isUp(one) || (heights[one] ?? 0) >= height) continue;
    throw new Violation(
      'liveness',
      `at ${world.now} ms node ${one} has height ${heights[one]}, expected was ${height}`,
    );
  }
}

function expectEpoch(simulation: Simulation, epoch: number): void {
  const { correct, world } = simulation;
  for (const one of correct) {
    if (!world.isUp(one) || (simulation.node(one)?.epoch ?? 0) >= epoch) continue;
    throw new Violation('liveness', `at ${world.now} ms node ${one} has not entered epoch ${epoch}`);
  }
}

function numbers(text: string | undefined): number[] {
  return (text ?? '')
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '')
    .map(Number);
}
