/** `npm run sim -- --dag`: seeds, scenarios and known faults of subnets. */
import { readdirSync, readFileSync } from 'node:fs';
import { runDagSeed, type DagOptions, type SeedReport } from '../dag.ts';
import { NO_FAULTS, type FaultPlan } from '../faults.ts';
import { SABOTAGES, type Sabotage } from './node.ts';

const scenarios = new URL('../../scenarios/dag/', import.meta.url);
/** Seeds tried before a known fault counts as not seen. */
const SABOTAGE_SEEDS = 40;
/** Crashes are what the known faults need to show. */
const CRASHES: DagOptions = {
  members: 4,
  byzantine: 0,
  durationMs: 8_000,
  faults: { loss: 0.1, delayMaxMs: 100, crashEveryMs: 500, blackoutEveryMs: 4_000 },
};

export function dagScenarioNames(): string[] {
  return readdirSync(scenarios).flatMap((file) => (file.endsWith('.txt') ? [file.slice(0, -4)] : []));
}

/** Lines of `name number`; names are those of `FaultPlan`, and members, byzantine, durationMs. */
export function readDagScenario(name: string): DagOptions {
  const numbers = new Map<string, number>();
  for (const line of readFileSync(new URL(`${name}.txt`, scenarios), 'utf8').split('\n')) {
    const match = /^(\w+) (\d+(?:\.\d+)?)$/.exec(line.trim());
    if (match !== null) numbers.set(match[1] as string, Number(match[2]));
    else if (line.trim() !== '' && !line.startsWith('#'))
      throw new Error(`not a line of a scenario: ${line}`);
  }
  const faults: Partial<Record<keyof FaultPlan, number>> = {};
  for (const key of Object.keys(NO_FAULTS) as (keyof FaultPlan)[]) {
    const value = numbers.get(key);
    if (value !== undefined) faults[key] = value;
    numbers.delete(key);
  }
  const take = (key: string): number | undefined => {
    const value = numbers.get(key);
    numbers.delete(key);
    return value;
  };
  const options: DagOptions = {
    members: take('members'),
    byzantine: take('byzantine') ?? 0,
    durationMs: take('durationMs'),
    faults,
  };
  if (numbers.size > 0)
    throw new Error(`scenario ${name} has unknown lines: ${[...numbers.keys()].join(', ')}`);
  return options;
}

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
  readonly scenario: string | undefined;
  readonly mutate: string | undefined;
  readonly print: (fields: Readonly<Record<string, unknown>>) => void;
}

/** The exit code: 0 when all held, or when every known fault was seen; 2 for names that do not exist. */
export function runDagCommand(command: DagCommand): number {
  const { print, scenario, mutate } = command;
  if (scenario === 'list' || mutate === 'list') {
    print({ scenarios: dagScenarioNames(), mutations: SABOTAGES });
    return 0;
  }
  if (mutate !== undefined) {
    const chosen = SABOTAGES.filter((name) => mutate === 'all' || mutate === name);
    for (const name of chosen) {
      const seen = seedThatShows(name);
      print({ passed: seen !== undefined, mutation: name, ...seen });
      if (seen === undefined) return 1;
    }
    return chosen.length > 0 ? 0 : 2;
  }
  if (scenario !== undefined && !dagScenarioNames().includes(scenario)) return 2;
  const options = scenario === undefined ? {} : readDagScenario(scenario);
  let checkpoints = 0;
  let payloads = 0;
  for (let seed = command.first; seed < command.first + command.number; seed += 1) {
    const report = runDagSeed(seed, options);
    checkpoints += report.checkpoints;
    payloads += report.payloads;
    if (report.violation === undefined) continue;
    const named = scenario === undefined ? '' : ` --scenario ${scenario}`;
    print({ passed: false, replay: `npm run sim -- --dag${named} --seed ${seed}`, ...report });
    return 1;
  }
  print({ passed: true, seeds: command.number, first: command.first, checkpoints, payloads });
  return 0;
}
