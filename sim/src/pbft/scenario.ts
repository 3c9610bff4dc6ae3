/**
 * Scripted runs, one event per line, so that a reviewer can read what happens:
 *
 *   weights 1 1 1 1        the validators
 *   requests every 50      load
 *   crash 0 at 2000        also: restart 0 at 4000
 *   crash 0 after 7 effects at 2000
 *   partition 0 1 | 2 3 at 3000
 *   cut 0 > 1 at 3000      one direction
 *   mend at 6000           all links
 *   expect height 9 at 8000  every correct node that is up has it
 *   heal at 10000          everything, and the bound for progress begins
 *   progress 5 within 20000
 */
import { Violation } from '../checkers/checker.ts';
import { QUIET, type Plan } from './plan.ts';
import { runPlan, type Outcome, type Script, type Simulation } from './simulation.ts';

export interface Scenario {
  readonly plan: Plan;
  readonly script: Script;
}

type Event = { readonly at: number; readonly run: (simulation: Simulation) => void };

/** Throws a RangeError that names the line for anything it does not understand: scenarios are part of this repository. */
export function parseScenario(text: string): Scenario {
  let plan: Plan = { ...QUIET, healAtMs: 10_000, encoded: true };
  const events: Event[] = [];
  for (const [number, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*/, '').trim();
    if (line === '') continue;
    const setting = readSetting(line);
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

function readSetting(line: string): Partial<Plan> | undefined {
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

function numbers(text: string | undefined): number[] {
  return (text ?? '')
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '')
    .map(Number);
}
