/** `npm run sim`: seeds, scenarios, mutations and the model from the command line. */
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runDagCommand } from './dag/command.ts';
import { runLedgerModelCommand } from './ledger-model-command.ts';
import { LedgerTally } from './ledger/ledger-tally.ts';
import type { Exploration } from './model/explore.ts';
import { BROKEN, EXHAUSTED, RULE, type Bounds } from './model/pipeline.ts';
import { isLight, MUTATIONS } from './pbft/mutations.ts';
import { parseScenario, runScenario } from './pbft/scenario.ts';
import type { Outcome } from './pbft/simulation.ts';
import { jobsDefault, runTasks } from './pool.ts';
import { Tally } from './tally.ts';
import type { Task } from './worker.ts';

const USAGE = `usage: npm run sim -- [--seed N | --seeds N [--from N] [--light] | --scenario NAME|list | --mutate NAME|list|all | --model |
                      --model-transactions N [--seed N]] [--jobs N] [--json]

  --seed N         one run, all of whose chances follow from N
  --seeds N        N runs, from seed --from (default 1) upwards
  --light          seeds with light clients: servers that are right, that lag behind and that lie answer them, and the
                   chain goes on through many epochs while some of them sleep
  --scenario NAME  a scripted run of sim/scenarios
  --mutate NAME    takes one safety rule out of the protocol and runs --seeds N seeds (default 500); exits with 1
                   when the fault is caught, and with 0 when it is not (\`list\`: a line for each; \`all\`: every one
                   in turn, and then 0 means that all were caught)
  --model          explores every state of the small model of the pipelining rule, then of the model with one rule
                   broken, which must give a counterexample
  --model-transactions N
                   N random transactions of every kind the ledger knows, in stories that follow from --seed, against what must
                   hold of supply, grants, deposits and nonces after each block (nightly: 1000000)
  --jobs N         worker processes (default: one per processor)
  --dag            seeds, scenarios and mutations of the subnets instead of the main chain
  --oracle N       with --dag: N random DAGs, from seed --from upwards, against the rules by their definitions
  --json           one JSON object on standard output`;

/** Seeds tried before a mutation counts as not caught. */
const MUTATION_SEEDS = 500;
/** Seeds a worker runs before it asks for more. */
const SEEDS_AT_ONCE = 10;

const scenarios = new URL('../scenarios/pbft/', import.meta.url);

interface Common {
  readonly jobs: number;
  readonly json: boolean;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      scenario: { type: 'string' },
      mutate: { type: 'string' },
      model: { type: 'boolean' },
      light: { type: 'boolean' },
      'model-transactions': { type: 'string' },
      jobs: { type: 'string' },
      dag: { type: 'boolean' },
      oracle: { type: 'string' },
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
      isCounted: values.seed !== undefined || values.seeds !== undefined,
      scenario: values.scenario,
      mutate: values.mutate,
      jobs: values.jobs === undefined ? jobsDefault() : count(values.jobs),
      oracle: values.oracle === undefined ? undefined : count(values.oracle),
      print: (fields) => report(json, fields),
    });
  }
  if (values['model-transactions'] !== undefined)
    return runLedgerModelCommand({
      transactions: count(values['model-transactions']),
      seed: count(values.seed ?? '1'),
      print: (fields) => report(json, fields),
    });
  const common = { jobs: values.jobs === undefined ? jobsDefault() : count(values.jobs), json };
  const first = count(values.seed ?? values.from ?? '1');
  const number = (otherwise: number): number =>
    values.seed === undefined ? count(values.seeds ?? `${otherwise}`) : 1;
  if (values.model === true) return model(common);
  if (values.mutate !== undefined)
    return mutate(values.mutate, { ...common, first, number: number(MUTATION_SEEDS) });
  if (values.scenario !== undefined) return scenario(values.scenario, json);
  return seeds({ ...common, first, number: number(100), light: values.light === true });
}

interface Range extends Common {
  readonly first: number;
  readonly number: number;
  /** With light clients. */
  readonly light?: boolean;
}

interface Found {
  readonly summary: Record<string, unknown>;
  /** Of the lowest seed that failed. */
  readonly failed: Outcome | undefined;
  /** Seeds up to and including that one. */
  readonly needed: number;
}

async function runRange(range: Range, mutation?: string): Promise<Found> {
  const started = performance.now();
  const counts = new Tally();
  const transactions = new LedgerTally();
  const totals = { blocks: 0, epochs: 0, crashes: 0, evidence: 0, recoveredMsMax: 0 };
  let done = 0;
  let failed: Outcome | undefined;
  const tasks: Task[] = [];
  for (let at = range.first; at < range.first + range.number; at += SEEDS_AT_ONCE)
    tasks.push({
      kind: 'seeds',
      first: at,
      number: Math.min(SEEDS_AT_ONCE, range.first + range.number - at),
      light: range.light === true || (mutation !== undefined && isLight(mutation)),
      ...(mutation === undefined ? {} : { mutation }),
    });
  await runTasks(tasks, range.jobs, (said) => {
    if (said.kind !== 'outcome') return 'go on';
    const { outcome } = said;
    done += 1;
    totals.blocks += outcome.height;
    totals.epochs += outcome.epoch;
    totals.crashes += outcome.crashes;
    totals.evidence += outcome.evidence;
    totals.recoveredMsMax = Math.max(totals.recoveredMsMax, outcome.recoveredMs);
    counts.merge(outcome.counts);
    transactions.merge(outcome.transactions);
    if (outcome.violation !== undefined && (failed === undefined || outcome.seed < failed.seed))
      failed = outcome;
    if (mutation === undefined) progress(done, range.number, totals);
    return failed === undefined ? 'go on' : 'enough';
  });
  if (mutation === undefined && range.number > 1) process.stderr.write('\n');
  const seconds = Number(((performance.now() - started) / 1000).toFixed(1));
  return {
    failed,
    needed: (failed?.seed ?? range.first + range.number - 1) - range.first + 1,
    summary: {
      seeds: done,
      first: range.first,
      ...totals,
      jobs: range.jobs,
      seconds,
      counts: counts.counts,
      transactions: transactions.counts,
      neverAccepted: transactions.neverAccepted,
    },
  };
}

function progress(
  done: number,
  number: number,
  { blocks, epochs, crashes }: Readonly<Record<string, number>>,
): void {
  if (number === 1 || (!process.stderr.isTTY && done % 100 !== 0 && done !== number)) return;
  const line = `${done} of ${number} seeds, ${blocks} blocks, ${epochs} changes of epoch, ${crashes} crashes`;
  process.stderr.write(process.stderr.isTTY ? `\r${line}` : `${line}\n`);
}

async function seeds(range: Range): Promise<number> {
  const { failed, summary } = await runRange(range);
  if (failed !== undefined)
    return fail(
      failed,
      `npm run sim -- ${range.light === true ? '--light ' : ''}--seed ${failed.seed}`,
      range.json,
    );
  report(range.json, { passed: true, ...summary });
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
  if (outcome.violation !== undefined) return fail(outcome, `npm run sim -- --scenario ${name}`, json);
  report(json, { passed: true, scenario: name, ...outcome });
  return 0;
}

async function mutate(name: string, range: Range): Promise<number> {
  const names = Object.keys(MUTATIONS);
  if (name === 'list') {
    const lines = names.map((key) => `${key.padEnd(26)}${MUTATIONS[key]?.what}`);
    if (range.json)
      report(true, { mutations: Object.fromEntries(names.map((key) => [key, MUTATIONS[key]?.what])) });
    else process.stdout.write(`${lines.join('\n')}\n`);
    return 0;
  }
  if (name === 'all') return mutateAll(names, range);
  if (!names.includes(name)) return usage(`there is no mutation ${name}; there are ${names.join(', ')}`);
  const { failed, needed } = await runRange(range, name);
  if (failed !== undefined)
    return fail(failed, `npm run sim -- --mutate ${name} --seed ${failed.seed}`, range.json, {
      caught: true,
      mutation: name,
      seeds: needed,
    });
  report(range.json, { passed: true, caught: false, mutation: name, seeds: range.number });
  process.stderr.write(
    `not caught: ${range.number} seeds show nothing wrong with ${MUTATIONS[name]?.what}\n`,
  );
  return 0;
}

async function mutateAll(names: readonly string[], range: Range): Promise<number> {
  const missed: string[] = [];
  const caught: Record<string, unknown> = {};
  for (const name of names) {
    const { failed, needed } = await runRange(range, name);
    if (failed === undefined) missed.push(name);
    else caught[name] = { seeds: needed, ...failed.violation };
    process.stderr.write(
      `${name.padEnd(26)}${failed === undefined ? 'not caught' : `seed ${failed.seed}`}\n`,
    );
  }
  report(range.json, { passed: missed.length === 0, caught, missed });
  return missed.length === 0 ? 0 : 1;
}

async function model({ jobs, json }: Common): Promise<number> {
  const tasks: Task[] = [...EXHAUSTED]
    .map((bounds): Task => ({ kind: 'model', bounds, variant: RULE.name }))
    .concat(BROKEN.map(({ name, shownBy }): Task => ({ kind: 'model', bounds: shownBy, variant: name })));
  const found: Exploration[] = [];
  const started = performance.now();
  await runTasks(tasks, jobs, (said) => {
    if (said.kind === 'exploration') {
      found.push(said.exploration);
      if (!json) tell(said.exploration);
    }
    return 'go on';
  });
  const rule = found.filter(({ variant }) => variant === RULE.name);
  const broken = found.filter(({ variant }) => variant !== RULE.name);
  const passed =
    rule.every(({ complete, flaw }) => complete && flaw === undefined) &&
    broken.every(({ flaw }) => flaw !== undefined);
  const seconds = Number(((performance.now() - started) / 1000).toFixed(1));
  if (json) report(true, { passed, seconds, explorations: found });
  else process.stdout.write(`${passed ? 'passed' : 'FAILED'} in ${seconds} s\n`);
  return passed ? 0 : 1;
}

function tell({ variant, heights, views, states, steps, depth, complete, flaw, trace }: Exploration): void {
  const bounds: Bounds = { heights, views };
  const size = `heights ${bounds.heights}, views ${bounds.views}: ${states} states, ${steps} steps, depth ${depth}`;
  const verdict = flaw ?? (complete ? 'every state visited, no flaw' : 'not all states visited');
  const lines = trace.map((line, index) => `  ${index + 1}. ${line}`);
  process.stdout.write([`${variant}: ${size}`, `  ${verdict}`, ...lines, ''].join('\n'));
}

function fail(
  outcome: Outcome,
  command: string,
  json: boolean,
  fields: Readonly<Record<string, unknown>> = {},
): number {
  report(json, { passed: false, replay: command, ...fields, ...outcome });
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
  process.exitCode = await main();
} catch (error) {
  if (error instanceof UsageError || (error instanceof TypeError && 'code' in error))
    process.exitCode = usage(error.message);
  else throw error;
}
