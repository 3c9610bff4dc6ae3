/** `npm run bench`: finds the benches, runs them one after another, prints tables or one JSON object. */
import { parseArgs } from 'node:util';
import { ATTACKS, attackNamed, type AttackPlan } from './attack-plans.ts';
import { describeMachine, describeVersions, machineLine } from './machine.ts';
import { IncompleteError, type Bench, type Result } from './result.ts';
import { formatTable } from './table.ts';

interface Entry {
  readonly summary: string;
  /** Runs when no name is given. */
  readonly standard: boolean;
}

const BENCHES: Readonly<Record<string, Entry>> = {
  'main-chain': {
    summary: 'main chain: 4 validator processes under load, beside etcd and PostgreSQL',
    standard: true,
  },
  dag: { summary: 'subnet: core, verification, payloads, finality through processes', standard: true },
  light: { summary: 'light client: size and verification time of a reading proof', standard: true },
  storage: { summary: 'storage: what is durable, how fast, how large', standard: true },
  state: {
    summary:
      'state: transfers without signatures at 10 thousand to 10 million accounts, proofs, disk, memory',
    standard: false,
  },
  'dag-kills': {
    summary: 'subnet: members killed 200 times under load, with torn logs',
    standard: false,
  },
  retention: {
    summary: 'subnet: an hour of devices against a target for the disk, with pinned ones',
    standard: false,
  },
  kills: {
    summary: 'main chain: validators killed 100 times under load, with torn logs',
    standard: false,
  },
  'state-sync': {
    summary: 'a validator 100 000 blocks behind: time, bytes and memory until it is current',
    standard: false,
  },
  vdaf: { summary: 'private aggregation: Prio3 beside another implementation', standard: false },
};

/** What attacks are on. */
const MAIN_CHAIN = 'main-chain';

const HELP = `npm run bench [-- NAME …] [--json] [--seed N] [--quick]

Measures, beside peers in the same run where there are any. Without a name: ${Object.keys(BENCHES)
  .filter((name) => BENCHES[name]?.standard)
  .join(', ')}.

${list()}

  --json     one JSON object on standard output: bench, seed, machine, versions, results (several: an array "benches")
  --seed N   of keys and workloads; 1 when left out
  --times N  kills, or minutes replayed; each bench has its own number when left out
  --quick    seconds per bench; for tests, the figures mean little
  --attack NAME  the main chain under an attack, beside itself without; several times for several, \`all\`, or \`list\`
  --list     the names
  --help     this text

Progress goes to standard error. A bench judges nothing: exit code 0 when it ran, 1 when it could not, 2 for bad usage.
docs/guide/bench.md tells what each figure means.`;

function list(): string {
  return Object.entries(BENCHES)
    .map(([name, { summary }]) => `  ${name.padEnd(10)}  ${summary}`)
    .join('\n');
}

function usage(message: string): number {
  process.stderr.write(`bench: ${message}\n\n${list()}\n`);
  return 2;
}

/** The attacks of the command line; a name that does not exist instead. */
function attacksOf(names: readonly string[]): readonly AttackPlan[] | string {
  if (names.includes('all')) return ATTACKS;
  const unknown = names.find((name) => attackNamed(name) === undefined);
  return unknown ?? ATTACKS.filter(({ name }) => names.includes(name));
}

function attackList(): string {
  return ATTACKS.map(({ name, summary }) => `  ${name.padEnd(14)}  ${summary}`).join('\n');
}

interface Report {
  readonly bench: string;
  readonly results: readonly Result[];
}

async function load(name: string): Promise<Bench> {
  // A module per bench, so that one of them needs nothing of what the others import.
  return (await import(new URL(`./${name}.js`, import.meta.url).href)) as Bench;
}

async function underAttack(attacks: readonly AttackPlan[]): Promise<Pick<Bench, 'run'>> {
  const { runAttacks } = await import('./attack.ts');
  return { run: (options) => runAttacks(attacks, options) };
}

async function main(argv: readonly string[]): Promise<number> {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        seed: { type: 'string', default: '1' },
        times: { type: 'string' },
        attack: { type: 'string', multiple: true, default: [] },
      },
    });
  } catch (error) {
    return usage((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help || values.list) {
    process.stdout.write(`${values.help ? HELP : list()}\n`);
    return 0;
  }
  if (values.attack.includes('list')) {
    process.stdout.write(`${attackList()}\n`);
    return 0;
  }
  const attacks = attacksOf(values.attack);
  if (typeof attacks === 'string') {
    process.stderr.write(`bench: there is no attack ${attacks}; these exist:\n\n${attackList()}\n`);
    return 2;
  }
  const isAttack = attacks.length > 0;
  if (isAttack && positionals.some((name) => name !== MAIN_CHAIN))
    return usage(`--attack is for ${MAIN_CHAIN} alone; these exist:`);
  const unknown = isAttack ? undefined : positionals.find((name) => !Object.hasOwn(BENCHES, name));
  if (unknown !== undefined) return usage(`there is no bench ${unknown}; these exist:`);
  if (!/^\d{1,9}$/.test(values.seed)) return usage(`expected a number for --seed, got ${values.seed}`);
  if (values.times !== undefined && !/^[1-9]\d{0,5}$/.test(values.times))
    return usage(`expected a number for --times, got ${values.times}`);
  const times = values.times === undefined ? {} : { times: Number(values.times) };
  const seed = Number(values.seed);
  const standard = Object.keys(BENCHES).filter((name) => BENCHES[name]?.standard);
  const chosen = positionals.length > 0 ? [...new Set(positionals)] : standard;
  const names = isAttack ? [MAIN_CHAIN] : chosen;

  const machine = describeMachine();
  const versions = describeVersions();
  const reports: Report[] = [];
  let failed = false;
  if (!values.json) process.stdout.write(`${machineLine(machine, versions)}, seed ${seed}\n`);
  for (const name of names) {
    const started = performance.now();
    const log = (line: string): void => {
      const seconds = ((performance.now() - started) / 1_000).toFixed(1);
      process.stderr.write(`${name} ${seconds.padStart(6)} s  ${line}\n`);
    };
    const report = (results: readonly Result[]): void => {
      reports.push({ bench: name, results });
      if (!values.json) process.stdout.write(`\n${name}\n${formatTable(results)}\n`);
    };
    try {
      const bench = isAttack ? await underAttack(attacks) : await load(name);
      report(await bench.run({ seed, quick: values.quick, ...times, log }));
    } catch (error) {
      if (error instanceof IncompleteError) report(error.results);
      // The others still run: their figures do not depend on this one.
      failed = true;
      process.stderr.write(
        `bench: ${name} did not run to its end: ${(error as Error).stack ?? String(error)}\n`,
      );
    }
  }
  if (values.json) {
    const [only] = reports;
    const about = { seed, machine, versions };
    const single = names.length === 1 && only !== undefined;
    const object = single
      ? { bench: only.bench, ...about, results: only.results }
      : { ...about, benches: reports };
    process.stdout.write(`${JSON.stringify(object)}\n`);
  }
  return failed ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
