/** `npm run sim -- --dag`: seeds, scenarios, known faults and the oracle of subnets. */
import type { SeedReport } from '../dag.ts';
import { runTasks } from '../pool.ts';
import { Tally } from '../tally.ts';
import type { Task } from '../worker.ts';
import { LIES } from './liar.ts';
import { DAG_MUTATIONS, MUTATION_SEEDS, seedThatShows } from './mutations.ts';
import { dagScenarioNames } from './scenario.ts';

/** Seeds a worker runs before it asks for more. */
const SEEDS_AT_ONCE = 20;
const ORACLE_AT_ONCE = 500;
export interface DagCommand {
  readonly first: number;
  readonly number: number;
  /** Whether so many seeds were asked for. */
  readonly isCounted: boolean;
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
    const mutations = Object.fromEntries(
      Object.entries(DAG_MUTATIONS).map(([name, { what }]) => [name, what]),
    );
    print({ scenarios: dagScenarioNames(), mutations, lies: LIES });
    return 0;
  }
  if (mutate !== undefined) return showMutations(mutate, command);
  if (scenario !== undefined && !dagScenarioNames().includes(scenario)) return 2;
  if (oracle !== undefined) return askOracle({ ...command, number: oracle });
  return runSeeds(command);
}

function showMutations(mutate: string, { print, first, number, isCounted }: DagCommand): number {
  const chosen = Object.keys(DAG_MUTATIONS).filter((name) => mutate === 'all' || mutate === name);
  let missed = 0;
  for (const name of chosen) {
    const seen = seedThatShows(name, first, isCounted ? number : MUTATION_SEEDS);
    if (seen === undefined) missed += 1;
    const replay = seen && `npm run sim -- --dag --mutate ${name} --seed ${seen.seed}`;
    print({ passed: seen !== undefined, mutation: name, what: DAG_MUTATIONS[name]?.what, replay, ...seen });
  }
  if (chosen.length === 0) return 2;
  return missed === 0 ? 0 : 1;
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
