/**
 * The main chain under attack: how much of the fault-free throughput is left. Four validator processes, 256 transfers in
 * flight at the three honest ones; in each round the same network goes through a fault-free phase, then the attack
 * begins and a longer phase follows, so that the turns pass every validator several times and what an attack costs
 * before it is found counts in full. Figures are means over a phase: a median would hide a stall.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { toHex } from '@itc/core/bytes/hex.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { openLoad, WatchedSender, type LoadPhase } from './attack-load.ts';
import type { AttackPlan } from './attack-plans.ts';
import { AttackWatch, type Observed } from './attack-watch.ts';
import { diskWarning, ITC_NODE, keysOf, Network, stopProcess, type NetworkNode } from './network.ts';
import { figure, percentile, type BenchOptions, type Result } from './result.ts';
import type { FloodOptions, FloodReport } from './signature-flood.ts';

const VALIDATORS = 4;
const ACCOUNTS = 1_000;
/** Its turn is neither the first, with which nothing can be compared, nor the last. */
const ATTACKER = 2;
const FLOOD_ADDRESS = '127.0.0.2';
const FLOOD_CONNECTIONS = 32;
const FLOOD_BATCH = 25;
const PROGRAM = fileURLToPath(new URL('./malicious-validator.js', import.meta.url));
const FLOOD = fileURLToPath(new URL('./signature-flood.js', import.meta.url));

export interface Shape {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly freeMs: number;
  readonly attackedMs: number;
}

/** In an attacked phase every validator's turn is to come this often, at the pace seen before. */
const ROTATIONS = 3;
const ROTATION_HEIGHTS = VALIDATORS * LIMITS.rotationBlocks;
const STRETCH_MAX = 3;

const SHAPE: Shape = { rounds: 2, warmUpMs: 4_000, freeMs: 20_000, attackedMs: 60_000 };
const SHAPE_QUICK: Shape = { rounds: 1, warmUpMs: 300, freeMs: 700, attackedMs: 700 };

interface Round {
  readonly free: LoadPhase;
  readonly attacked: LoadPhase;
  readonly seen: Observed;
  readonly waits: { readonly free: readonly number[]; readonly attacked: readonly number[] };
  readonly flood: FloodReport | undefined;
}

export async function runAttacks(
  attacks: readonly AttackPlan[],
  options: BenchOptions,
  shape: Shape = options.quick ? SHAPE_QUICK : SHAPE,
): Promise<Result[]> {
  installNativeCrypto();
  const { log } = options;
  const warning = diskWarning();
  if (warning !== undefined) log(warning);
  const rounds = new Map(attacks.map((attack) => [attack, [] as Round[]]));
  for (let round = 1; round <= shape.rounds; round += 1) {
    for (const [attack, done] of rounds) {
      const result = await playRound(attack, shape, { ...options, seed: options.seed + round - 1 });
      done.push(result);
      log(`${attack.name}, round ${round}: ${describe(result)}`);
    }
  }
  return [...rounds].flatMap(([attack, done]) => figuresOf(attack, done));
}

async function playRound(attack: AttackPlan, shape: Shape, { seed }: BenchOptions): Promise<Round> {
  await using network = await Network.create({
    seed,
    validators: VALIDATORS,
    members: 0,
    accounts: ACCOUNTS + 1,
    powBits: 0,
  });
  const attacker = attackerOf(network);
  const honest = network.nodes.filter((node) => node !== attacker);
  const victim = network.accounts[ACCOUNTS] as (typeof network.accounts)[number];
  const malicious = [PROGRAM, '--attack', attack.name, '--victim', toHex(victim.address)];
  await network.start(network.nodes, (node) =>
    node === attacker && attack.by === 'validator' ? malicious : ITC_NODE,
  );
  const urls = honest.map(({ url }) => url);
  const { chain } = network;
  await using load = await openLoad({ urls, chain: toHex(chain), seed, accounts: ACCOUNTS });
  const watched = new WatchedSender({ urls, key: victim, chain });
  watched.start();
  await load.run(shape.warmUpMs);
  watched.delays();
  const calm = new AttackWatch(urls[0] as string, attacker.name);
  await calm.start();
  const free = await load.run(shape.freeMs);
  const freeWaits = watched.delays();
  const pace = (await calm.stop()).heights / shape.freeMs;

  const watch = new AttackWatch(urls[0] as string, attacker.name);
  await watch.start();
  let flood: Flood | undefined;
  if (attack.by === 'validator') network.tell(attacker.name, 'attack');
  else flood = new Flood({ ...floodOptions(network, seed), perSecond: Math.ceil(free.perSecond) });
  const attacked = await load.run(attackedMs(shape, pace));
  const report = await flood?.stop();
  const seen = await watch.stop();
  await watched.stop();
  const waits = { free: freeWaits, attacked: watched.delays() };
  return { free, attacked, seen, waits, flood: report };
}

/** Longer on a slow machine, within reason. */
function attackedMs({ attackedMs: least }: Shape, pace: number): number {
  const needed = (ROTATIONS * ROTATION_HEIGHTS) / pace;
  return Math.round(Math.min(STRETCH_MAX * least, Math.max(least, needed)));
}

function attackerOf({ genesis, nodes }: Network): NetworkNode {
  const validator = genesis.validators[ATTACKER];
  const key = validator === undefined ? '' : toHex(validator.key.bytes);
  // A node is not among its own peers.
  const found = nodes.find(({ config }) => config.peers.every((peer) => peer.key !== key));
  if (found === undefined) throw new Error('the attacker is not among the nodes');
  return found;
}

function floodOptions(network: Network, seed: number): Omit<FloodOptions, 'perSecond'> {
  return {
    urls: network.nodes.map(({ url }) => url),
    sender: toHex(keysOf(seed, 'treasury').publicKey.bytes),
    localAddress: FLOOD_ADDRESS,
    connectionsPerUrl: FLOOD_CONNECTIONS,
    batch: FLOOD_BATCH,
  };
}

/** The process of the flood. It ends with us. */
export class Flood {
  readonly #child: ChildProcess;
  readonly #report: Promise<FloodReport>;

  constructor(options: FloodOptions) {
    this.#child = spawn(process.execPath, [FLOOD, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#report = new Promise((resolve, reject) => {
      lines.once('line', (line) => resolve(JSON.parse(line) as FloodReport));
      lines.once('close', () => reject(new Error('the flood ended without a report')));
    });
    // Awaited in `stop`; a failure before that is told there.
    this.#report.catch(() => undefined);
  }

  async stop(): Promise<FloodReport> {
    this.#child.stdin?.write('stop\n');
    const report = await this.#report;
    await stopProcess(this.#child);
    return report;
  }
}

function shareOf({ free, attacked }: Round): number {
  return (100 * attacked.perSecond) / free.perSecond;
}

function describe(round: Round): string {
  const { free, attacked, seen, waits, flood } = round;
  const parts = [
    `${attacked.perSecond.toFixed(0)} of ${free.perSecond.toFixed(0)} per s (${shareOf(round).toFixed(0)} %)`,
    `p99 ${attacked.p99Ms.toFixed(0)} instead of ${free.p99Ms.toFixed(0)} ms`,
    `${seen.heights} heights, ${seen.viewChanges} view changes`,
    seen.skipped.length === 0
      ? 'nobody skipped'
      : `skipped: ${seen.skipped.join(', ')} (${seen.attacker} attacks)`,
    `one sender waits ${waitOf(waits.attacked)} instead of ${waitOf(waits.free)}`,
  ];
  if (attacked.refused.length > 0)
    parts.push(`refused: ${attacked.refused.map(([code, count]) => `${code} ${count}`).join(', ')}`);
  if (flood !== undefined) {
    const answers = Object.entries(flood.answers).map(([status, count]) => `${status}: ${count}`);
    parts.push(`${flood.sent} bad signatures sent, requests answered ${answers.join(', ')}`);
  }
  return parts.join('; ');
}

function waitOf(waits: readonly number[]): string {
  return `${percentile(waits, 0.5).toFixed(0)} (at most ${Math.max(...waits, 0).toFixed(0)}) ms`;
}

function figuresOf({ name }: AttackPlan, rounds: readonly Round[]): Result[] {
  const against = (samples: readonly number[], better: 'more' | 'less'): Parameters<typeof figure>[3] => ({
    name: 'fault-free',
    samples,
    better,
  });
  return [
    figure(
      `${name}: transfers final`,
      'per s',
      rounds.map(({ attacked }) => attacked.perSecond),
      against(
        rounds.map(({ free }) => free.perSecond),
        'more',
      ),
    ),
    figure(`${name}: of the fault-free throughput`, '%', rounds.map(shareOf)),
    figure(
      `${name}: latency p99`,
      'ms',
      rounds.map(({ attacked }) => attacked.p99Ms),
      against(
        rounds.map(({ free }) => free.p99Ms),
        'less',
      ),
    ),
    figure(
      `${name}: wait of one sender`,
      'ms',
      rounds.flatMap(({ waits }) => waits.attacked),
      against(
        rounds.flatMap(({ waits }) => waits.free),
        'less',
      ),
    ),
    figure(
      `${name}: longest wait of one sender`,
      'ms',
      rounds.map(({ waits }) => Math.max(...waits.attacked, 0)),
    ),
    figure(
      `${name}: view changes`,
      '',
      rounds.map(({ seen }) => seen.viewChanges),
    ),
  ];
}
