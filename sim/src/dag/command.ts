/** `npm run sim -- --dag`: seeds, scenarios, known faults and the oracle of subnets. */
import { runDagSeed, type DagOptions, type SeedReport } from '../dag.ts';
import { runTasks } from '../pool.ts';
import { Tally } from '../tally.ts';
import type { Task } from '../worker.ts';
import { LIES } from './liar.ts';
import { SABOTAGES, type Sabotage } from './node.ts';
import { dagScenarioNames } from './scenario.ts';

/** Seeds tried before a known fault counts as not seen. */
const SABOTAGE_SEEDS = 40;
/** Seeds a worker runs before it asks for more. */
const SEEDS_AT_ONCE = 20;
const ORACLE_AT_ONCE = 500;
/** Crashes are what the known faults need to show. */
const CRASHES: DagOptions = {
  members: 4,
  byzantine: 0,
  durationMs: 8_000,
  cadenceMs: 1_000,
  faults: { loss: 0.1, delayMaxMs: 100, crashEveryMs: 500, blackoutEveryMs: 4_000 },
};

/** The first seed that shows the fault, or undefined. */
export function seedThatShows(sabotage: Sabotage): SeedReport | undefined {
  for (let seed = 1; seed <= SABOTAGE_SEEDS; seed += 1) {
    const report = runDagSeed(seed, { ...CRASHES, sabotage });
    if (report.violation !== undefined) return report;
  }
  return undefined;
}

export interface DagCommand {
  readonly first: number;
  readonly number: number;
  readonly jobs: number;
  readonly scenario: string | undefined;
  readonly mutate: string | undefined;
  /** So many random DAGs against the definitions, instead of seeds. */
  readonly oracle: number | undefined;
  readonly print: (fields: Readonly<Record<string, unknown>>) => void;
}

/** The exit code: 0 when all held, or when every known fault was seen; 2 for names that do not exist. */
export async function runDagCommand(command: DagCommand): Promise<number> {
  const { print, scenario, mutate, oracle } = command;
  if (scenario === 'list' || mutate === 'list') {
    print({ scenarios: dagScenarioNames(), mutations: SABOTAGES, lies: LIES });
    return 0;
  }
  if (mutate !== undefined) return showSabotages(mutate, print);
  if (scenario !== undefined && !dagScenarioNames().includes(scenario)) return 2;
  if (oracle !== undefined) return askOracle({ ...command, number: oracle });
  return runSeeds(command);
}

function showSabotages(mutate: string, print: DagCommand['print']): number {
  const chosen = SABOTAGES.filter((name) => mutate === 'all' || mutate === name);
  for (const name of chosen) {
    const seen = seedThatShows(name);
    print({ passed: seen !== undefined, mutation: name, ...seen });
    if (seen === undefined) return 1;
  }
  return chosen.length > 0 ? 0 : 2;
}

function tasksOf(command: DagCommand, atOnce: number, task: (first: number, number: number) => Task): Task[] {
  const end = command.first + command.number;
  const tasks: Task[] = [];
  for (let at = command.first; at < end; at += atOnce) tasks.push(task(at, Math.min(atOnce, end - at)));
  return tasks;
}

async function runSeeds(command: DagCommand): Promise<number> {
  const { print, scenario, first } = command;
  const started = performance.now();
  const faults = new Tally();
  const totals = {
    seeds: 0,
    withLiars: 0,
    checkpoints: 0,
    payloads: 0,
    crashes: 0,
    evidence: 0,
    healedMsMax: 0,
  };
  const failed: SeedReport[] = [];
  const tasks = tasksOf(command, SEEDS_AT_ONCE, (at, number) => ({
    kind: 'dag-seeds',
    first: at,
    number,
    ...(scenario === undefined ? {} : { scenario }),
  }));
  await runTasks(tasks, command.jobs, (said) => {
    if (said.kind !== 'dag-seed') return 'go on';
    const { seed } = said;
    totals.seeds += 1;
    if (seed.byzantine > 0) totals.withLiars += 1;
    totals.checkpoints += seed.checkpoints;
    totals.payloads += seed.payloads;
    totals.crashes += seed.crashes;
    totals.evidence += seed.equivocations;
    totals.healedMsMax = Math.max(totals.healedMsMax, seed.healedMs);
    faults.merge(seed.faults);
    if (totals.seeds % 500 === 0) process.stderr.write(`${totals.seeds} of ${command.number} seeds\n`);
    if (seed.violation === undefined) return 'go on';
    failed.push(seed);
    return 'enough';
  });
  // The lowest, whichever worker was quicker.
  const worst = failed.sort((a, b) => a.seed - b.seed)[0];
  const seconds = Number(((performance.now() - started) / 1_000).toFixed(1));
  if (worst === undefined) {
    print({ passed: true, first, ...totals, jobs: command.jobs, seconds, faults: faults.counts });
    return 0;
  }
  const named = scenario === undefined ? '' : ` --scenario ${scenario}`;
  print({ passed: false, replay: `npm run sim -- --dag${named} --seed ${worst.seed}`, ...worst });
  return 1;
}

async function askOracle(command: DagCommand): Promise<number> {
  const { print, first, number, jobs } = command;
  const started = performance.now();
  const disagreements: { readonly seed: number; readonly message: string }[] = [];
  const tasks = tasksOf(command, ORACLE_AT_ONCE, (at, count) => ({
    kind: 'dag-oracle',
    first: at,
    number: count,
  }));
  await runTasks(tasks, jobs, (said) => {
    if (said.kind !== 'dag-disagreement') return 'go on';
    disagreements.push(said);
    return 'enough';
  });
  const worst = disagreements.sort((a, b) => a.seed - b.seed)[0];
  const seconds = Number(((performance.now() - started) / 1_000).toFixed(1));
  if (worst === undefined) {
    print({ passed: true, oracle: number, first, seconds });
    return 0;
  }
  const { seed, message } = worst;
  print({ passed: false, replay: `npm run sim -- --dag --oracle 1 --from ${seed}`, seed, message });
  return 1;
}
