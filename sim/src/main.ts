/** `npm run sim`: seeds, scenarios and mutations from the command line. */
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runDagCommand } from './dag/command.ts';
import { MUTATIONS } from './pbft/mutations.ts';
import { drawPlan } from './pbft/plan.ts';
import type { Sabotage } from './pbft/shell.ts';
import { parseScenario, runScenario } from './pbft/scenario.ts';
import { runPlan, type Outcome } from './pbft/simulation.ts';

const USAGE = `usage: npm run sim -- [--seed N | --seeds N [--from N] | --scenario NAME|list | --mutate NAME|list|all] [--json]

  --seed N         one run, all of whose chances follow from N
  --seeds N        N runs, from seed --from (default 1) upwards
  --scenario NAME  a scripted run of sim/scenarios
  --mutate NAME    puts a known fault into the protocol; the run is meant to fail
                   (\`all\`: every fault in turn, and the run passes when the checkers saw each)
  --dag            the same for subnets instead of the main chain
  --json           one JSON object on standard output`;

/** Seeds tried before a mutation counts as not seen. */
export const MUTATION_SEEDS = 300;

const scenarios = new URL('../scenarios/pbft/', import.meta.url);

function main(): number {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      scenario: { type: 'string' },
      mutate: { type: 'string' },
      dag: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const json = values.json === true;
  if (values.dag === true) {
    const number = values.seed === undefined && values.scenario === undefined ? (values.seeds ?? '20') : '1';
    return runDagCommand({
      first: count(values.seed ?? values.from ?? '1'),
      number: count(number),
      scenario: values.scenario,
      mutate: values.mutate,
      print: (fields) => report(json, fields),
    });
  }
  if (values.mutate !== undefined) return mutate(values.mutate, values.seed, json);
  if (values.scenario !== undefined) return scenario(values.scenario, json);
  if (values.seed !== undefined) return seeds(count(values.seed), 1, json);
  return seeds(count(values.from ?? '1'), count(values.seeds ?? '100'), json);
}

function seeds(first: number, number: number, json: boolean): number {
  const started = performance.now();
  let blocks = 0;
  let crashes = 0;
  let evidence = 0;
  for (let seed = first; seed < first + number; seed += 1) {
    const outcome = runPlan(drawPlan(seed));
    blocks += outcome.height;
    crashes += outcome.crashes;
    evidence += outcome.evidence;
    if (outcome.violation !== undefined) return failed(outcome, `npm run sim -- --seed ${seed}`, json);
    if (number > 1 && (process.stderr.isTTY || seed % 50 === 0))
      process.stderr.write(
        `\rseed ${seed}, ${seed - first + 1} of ${number}, ${blocks} blocks, ${crashes} crashes`,
      );
  }
  if (number > 1) process.stderr.write('\n');
  const seconds = (performance.now() - started) / 1000;
  report(json, {
    passed: true,
    seeds: number,
    first,
    blocks,
    crashes,
    evidence,
    seconds: Number(seconds.toFixed(2)),
  });
  return 0;
}

function scenario(name: string, json: boolean): number {
  const names = readdirSync(scenarios)
    .filter((file) => file.endsWith('.txt'))
    .map((file) => file.slice(0, -4));
  if (name === 'list') {
    report(json, { scenarios: names });
    return 0;
  }
  if (!names.includes(name)) return usage(`there is no scenario ${name}; there are ${names.join(', ')}`);
  const outcome = runScenario(parseScenario(readFileSync(new URL(`${name}.txt`, scenarios), 'utf8')));
  if (outcome.violation !== undefined) return failed(outcome, `npm run sim -- --scenario ${name}`, json);
  report(json, { passed: true, scenario: name, ...outcome });
  return 0;
}

function mutate(name: string, seed: string | undefined, json: boolean): number {
  const names = Object.keys(MUTATIONS);
  if (name === 'list') {
    report(json, { mutations: Object.fromEntries(names.map((key) => [key, MUTATIONS[key]?.what])) });
    return 0;
  }
  const first = seed === undefined ? 1 : count(seed);
  const last = seed === undefined ? MUTATION_SEEDS : first;
  if (name !== 'all') {
    const mutation = MUTATIONS[name];
    if (mutation === undefined) return usage(`there is no mutation ${name}; there are ${names.join(', ')}`);
    const outcome = firstViolation(mutation.sabotage, first, last);
    if (outcome !== undefined)
      return failed(
        { caught: true, mutation: name, ...outcome },
        `npm run sim -- --mutate ${name} --seed ${outcome.seed}`,
        json,
      );
    report(json, { passed: true, mutation: name, caught: false, seeds: last - first + 1 });
    return 0;
  }
  const missed: string[] = [];
  const caught: Record<string, unknown> = {};
  for (const [key, mutation] of Object.entries(MUTATIONS)) {
    const outcome = firstViolation(mutation.sabotage, first, last);
    if (outcome === undefined) missed.push(key);
    else caught[key] = { seed: outcome.seed, ...outcome.violation };
  }
  report(json, { passed: missed.length === 0, caught, missed });
  return missed.length === 0 ? 0 : 1;
}

function firstViolation(sabotage: Sabotage, first: number, last: number): Outcome | undefined {
  for (let seed = first; seed <= last; seed += 1) {
    const outcome = runPlan(drawPlan(seed), sabotage);
    if (outcome.violation !== undefined) return outcome;
  }
  return undefined;
}

function failed(
  outcome: Outcome & { readonly caught?: boolean; readonly mutation?: string },
  command: string,
  json: boolean,
): number {
  report(json, { passed: false, replay: command, ...outcome });
  process.stderr.write(`\n${outcome.violation?.message ?? 'failed'}\nreplay: ${command}\n`);
  return 1;
}

function report(json: boolean, fields: Readonly<Record<string, unknown>>): void {
  process.stdout.write(json ? `${JSON.stringify(fields)}\n` : `${JSON.stringify(fields, undefined, 2)}\n`);
}

class UsageError extends Error {}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new UsageError(`expected a whole number, got ${text}`);
  return value;
}

function usage(problem: string): number {
  process.stderr.write(`${problem}\n${USAGE}\n`);
  return 2;
}

try {
  process.exitCode = main();
} catch (error) {
  if (error instanceof UsageError || (error instanceof TypeError && 'code' in error))
    process.exitCode = usage(error.message);
  else throw error;
}
