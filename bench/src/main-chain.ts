/**
 * The main chain under load: 4 validator processes on this machine, TLS between them, fsync on, signed transfers over
 * submission streams to all of them; final means committed, executed and durable at the validator that tells. Beside it
 * in the same run, taking turns: etcd (3 nodes, unsigned puts of 256 bytes) and PostgreSQL (synchronous commit with a
 * standby). Both tolerate crashes only and check no signature; here up to a third of the validators may lie.
 */
import { availableParallelism } from 'node:os';
import { toHex } from '@itc/core/bytes/hex.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { VerifyPool } from '@itc/node/crypto/verify-pool.js';
import { ETCD_INSTALL, EtcdCluster, etcdVersion } from './etcd.ts';
import { closedLoop, joinSamples, loadFigures, type LoadSamples } from './load.ts';
import { consensusCost } from './main-chain-growth.ts';
import { LoadClient } from './load-client.ts';
import type { LoadCommand } from './main-chain-load.ts';
import { diskWarning, keysOf, Network } from './network.ts';
import { findPostgres, Postgres, POSTGRES_INSTALL } from './postgres.ts';
import { measured } from './processor-time.ts';
import { figure, percentile, type BenchOptions, type Result } from './result.ts';

export const name = 'main-chain';

const VALIDATORS = 4;
const ACCOUNTS = 1_000;
const VALUE_BYTES = 256;
const OPERATIONS = 16;
/** Beyond this neither peer gains, and their clients only queue. */
const PEER_IN_FLIGHT_MAX = 256;
/** Of what the closed loop with most in flight reached. */
const OPEN_LOAD = 0.6;
/** Of a block in the figures of growth. */
const BLOCK_TRANSACTIONS = 500;

interface Shape {
  readonly rounds: number;
  readonly rampMs: number;
  readonly durationMs: number;
  readonly windows: number;
  readonly warmUpMs: number;
}

export async function run(options: BenchOptions): Promise<Result[]> {
  installNativeCrypto();
  const { quick, seed, log } = options;
  const shape: Shape = quick
    ? { rounds: 1, rampMs: 200, durationMs: 600, windows: 2, warmUpMs: 300 }
    : { rounds: 3, rampMs: 500, durationMs: 2_500, windows: 2, warmUpMs: 8_000 };
  const loads = quick ? [32] : [1, 32, 256, 2_048];
  const warning = diskWarning();
  if (warning !== undefined) log(warning);
  const ceiling = await verificationRate(seed, quick ? 1_024 : 16_384);
  log(`ceiling: ${Math.round(ceiling.perSecond)} verifications per s on all cores`);

  await using network = await Network.create({
    seed,
    validators: VALIDATORS,
    members: 0,
    accounts: ACCOUNTS,
    powBits: 0,
  });
  log(`starting ${VALIDATORS} validators`);
  await network.start(network.nodes);
  await using client = await LoadClient.start({
    urls: network.nodes.map(({ url }) => url),
    chain: toHex(network.chain),
    seed,
    accounts: ACCOUNTS,
  });
  await using etcd = await startEtcd(log);
  await using postgres = await startPostgres(log);

  const most = loads.at(-1) as number;
  log(`warming up for ${shape.warmUpMs} ms: the compiler settles`);
  await client.load({ ...commandOf(shape, 'closed', most), durationMs: shape.warmUpMs });

  const results: Result[] = [
    figure('ceiling: verifications per s ÷ validators', 'per s', [ceiling.perSecond / VALIDATORS]),
    figure('processor time of one verification, alone', 'µs', [ceiling.processorUs]),
  ];
  const runs = loads.map((level) => ({
    level,
    ours: new Contender(),
    etcd: new Contender(),
    sql: new Contender(),
  }));
  const value = new Uint8Array(VALUE_BYTES).map((_, i) => i);
  for (let round = 1; round <= shape.rounds; round += 1) {
    for (const each of runs) {
      const { level } = each;
      log(
        `round ${round}, ${level} in flight: ${await each.ours.chain(network, client, commandOf(shape, 'closed', level))}`,
      );
      if (level > PEER_IN_FLIGHT_MAX) continue;
      if (etcd !== undefined) {
        const { cluster } = etcd;
        const put = (index: number): Promise<void> =>
          cluster.put(Buffer.from(`key ${seed} ${index % ACCOUNTS}`), value);
        const told = await each.etcd.peer(cluster.pids, () => closedLoop(put, { ...shape, inFlight: level }));
        log(`round ${round}, ${level} in flight, etcd: ${told}`);
      }
      if (postgres !== undefined) {
        const seconds = Math.max(1, Math.round((shape.rampMs + shape.durationMs) / 1_000));
        each.sql.samples.push(postgres.server.load(level, seconds));
        log(`round ${round}, ${level} in flight, PostgreSQL: ${each.sql.latest}`);
      }
    }
  }
  for (const { level, ours, etcd: puts, sql } of runs) {
    const at = `${level} in flight`;
    results.push(
      ...against('transfers', at, ours, etcd === undefined ? undefined : { name: etcd.name, puts }),
    );
    if (sql.samples.length > 0)
      results.push(...against('transfers', at, ours, { name: postgres?.name ?? '', puts: sql }).slice(0, 3));
    results.push(...ours.costs(at));
  }
  const best = runs.at(-1)?.ours ?? new Contender();
  const reached = percentile(joinSamples(best.samples).throughput, 0.5);
  results.push(
    figure(`transfers final, ${most} in flight, of the ceiling`, 'share', [
      reached / (ceiling.perSecond / VALIDATORS),
    ]),
  );
  const atPeer = runs.findLast(({ level }) => level <= PEER_IN_FLIGHT_MAX);
  if (etcd !== undefined && atPeer !== undefined) {
    const samples = joinSamples(atPeer.etcd.samples).throughput;
    const peer = { name: `${etcd.name}, ${atPeer.level} in flight`, samples, better: 'more' as const };
    results.push(figure('transfers final, best of all loads', 'per s', [bestOf(runs)], peer));
    const many = new Contender();
    const told = await many.chain(network, client, {
      ...commandOf(shape, 'closed', Math.min(most, 1_024)),
      operations: OPERATIONS,
    });
    log(`${OPERATIONS} transfers per transaction: ${told}`);
    const operations = joinSamples(many.samples).throughput.map((rate) => rate * OPERATIONS);
    results.push(
      figure(`operations final, ${OPERATIONS} in a transaction`, 'per s', operations, peer),
      ...many.costs(`${OPERATIONS} in a transaction`),
    );
  }

  const perSecond = Math.max(10, Math.round((reached * OPEN_LOAD) / 10) * 10 || 0);
  const open = new Contender();
  const told = await open.chain(network, client, {
    ...commandOf(shape, 'open', perSecond),
    durationMs: shape.durationMs * shape.rounds,
    windows: shape.windows * shape.rounds,
  });
  log(`open loop at ${perSecond} per s: ${told}`);
  const at = `open loop at ${perSecond} per s`;
  results.push(
    ...loadFigures({ what: 'transfers final', latency: 'latency', at, samples: joinSamples(open.samples) }),
  );
  results.push(...growth(quick ? [4] : [4, 7, 16, 31], { seed, quick, perTransaction: best.processorUs }));
  return results;
}

function commandOf(shape: Shape, kind: LoadCommand['kind'], level: number): LoadCommand {
  const { rampMs, durationMs, windows } = shape;
  return { kind, level, rampMs, durationMs, windows, operations: 1 };
}

function bestOf(runs: readonly { readonly ours: Contender }[]): number {
  return Math.max(...runs.map(({ ours }) => percentile(joinSamples(ours.samples).throughput, 0.5)));
}

function against(
  what: string,
  at: string,
  ours: Contender,
  peer: { readonly name: string; readonly puts: Contender } | undefined,
): Result[] {
  const results = loadFigures({
    what: `${what} final`,
    latency: 'latency',
    at,
    samples: joinSamples(ours.samples),
    ...(peer === undefined ? {} : { peer: { name: peer.name, samples: joinSamples(peer.puts.samples) } }),
  });
  if (peer === undefined || peer.puts.processorUs.length === 0) return results;
  const { name: who, puts } = peer;
  const against = { name: who, samples: puts.processorUs, better: 'less' as const };
  return [...results, figure(`processor time of all servers, ${at}`, 'µs', ours.processorUs, against)];
}

/** Samples of one side at one load, over all rounds. */
class Contender {
  readonly samples: LoadSamples[] = [];
  /** Microseconds of all its server processes per operation, one per round. */
  readonly processorUs: number[] = [];
  readonly #clientUs: number[] = [];
  readonly #wireBytes: number[] = [];
  #transactionBytes = 0;

  async chain(network: Network, client: LoadClient, command: LoadCommand): Promise<string> {
    const before = await network.sentBytes();
    const { value: report, usedMs } = await measured(network.pids, () => client.load(command));
    const { samples } = report;
    this.samples.push(samples);
    if (usedMs !== undefined) this.processorUs.push((1_000 * usedMs) / samples.total);
    this.#clientUs.push((1_000 * report.usedMs) / samples.total);
    this.#wireBytes.push(((await network.sentBytes()) - before) / samples.total);
    this.#transactionBytes = report.bytes;
    const refused = report.refused.map(([code, count]) => `, refused: ${code} ${count}`).join('');
    const late = report.signedUnderWay === 0 ? '' : `, ${report.signedUnderWay} signed under way`;
    return `${this.latest}${refused}${late}`;
  }

  async peer(pids: readonly number[], load: () => Promise<LoadSamples>): Promise<string> {
    const { value, usedMs } = await measured(pids, load);
    this.samples.push(value);
    if (usedMs !== undefined) this.processorUs.push((1_000 * usedMs) / value.total);
    return this.latest;
  }

  costs(at: string): Result[] {
    return [
      figure(`processor time of all validators per transaction, ${at}`, 'µs', this.processorUs),
      figure(`processor time of the client per transaction, ${at}`, 'µs', this.#clientUs),
      figure(
        `bytes between validators per transaction of ${this.#transactionBytes}, ${at}`,
        'bytes',
        this.#wireBytes,
      ),
    ].filter(({ value }) => Number.isFinite(value));
  }

  get latest(): string {
    const samples = this.samples.at(-1);
    if (samples === undefined) return 'nothing yet';
    const [rate, p50, p99] = [samples.throughput, samples.p50, samples.p99].map((list) =>
      percentile(list, 0.5),
    );
    const cost = this.processorUs.at(-1);
    const each = cost === undefined ? '' : `, ${Math.round(cost)} µs of processor time each`;
    return `${Math.round(rate ?? 0)} per s, p50 ${p50?.toFixed(1)} ms, p99 ${p99?.toFixed(1)} ms${each}`;
  }
}

interface Started<T> {
  readonly name: string;
  readonly server: T;
}

async function startEtcd(
  log: BenchOptions['log'],
): Promise<(AsyncDisposable & { readonly name: string; readonly cluster: EtcdCluster }) | undefined> {
  const version = etcdVersion();
  if (version === undefined) {
    log(ETCD_INSTALL);
    return undefined;
  }
  log(`starting etcd ${version}, 3 nodes, client: gRPC over one HTTP/2 connection, no npm client between`);
  const cluster = await EtcdCluster.start();
  return {
    name: `etcd ${version} × 3, unsigned puts`,
    cluster,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

async function startPostgres(
  log: BenchOptions['log'],
): Promise<(AsyncDisposable & Started<Postgres>) | undefined> {
  const installed = findPostgres();
  if (installed === undefined) {
    log(POSTGRES_INSTALL);
    return undefined;
  }
  log(`starting PostgreSQL ${installed.version}, one synchronous standby, client: pgbench`);
  try {
    const server = await Postgres.start(installed);
    return {
      name: `PostgreSQL ${installed.version} × 2, upserts`,
      server,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  } catch (error) {
    log(`PostgreSQL is left out: ${(error as Error).message.split('\n', 2).join(' ')}`);
    return undefined;
  }
}

/** What the signature primitive allows: 200-byte messages, every core, nothing else going on. */
async function verificationRate(
  seed: number,
  count: number,
): Promise<{ readonly perSecond: number; readonly processorUs: number }> {
  await using pool = new VerifyPool({ workers: availableParallelism(), chunkMax: 256, costMax: 65_536 });
  const pair = keysOf(seed, 'ceiling');
  const items = Array.from({ length: 1_024 }, (_, i) => {
    const message = new Uint8Array(200).fill(i);
    return { key: pair.publicKey.bytes, message, signature: pair.sign(message) };
  });
  await pool.verifyBatch(items);
  const before = process.cpuUsage();
  const start = performance.now();
  for (let done = 0; done < count; done += items.length) await pool.verifyBatch(items);
  const seconds = (performance.now() - start) / 1_000;
  const { user, system } = process.cpuUsage(before);
  return { perSecond: count / seconds, processorUs: (user + system) / count };
}

/** Cost of more validators: each one verifies and executes all, and all of them vote on each block. Simulated. */
function growth(
  sizes: readonly number[],
  o: { readonly seed: number; readonly quick: boolean; readonly perTransaction: readonly number[] },
): Result[] {
  const results: Result[] = [];
  const measuredUs = percentile(o.perTransaction, 0.5);
  let base: number | undefined;
  for (const n of sizes) {
    const cost = consensusCost(n, { seed: o.seed, stretches: o.quick ? 1 : 5 });
    const perBlock = percentile(cost.perBlockUs, 0.5);
    // What a transaction costs one validator apart from votes, from the processes measured above.
    base ??= Math.max(0, measuredUs / VALIDATORS - perBlock / BLOCK_TRANSACTIONS / n);
    const perTransaction = n * base + perBlock / BLOCK_TRANSACTIONS;
    results.push(figure(`n = ${n}, simulated: consensus per block, all validators`, 'µs', cost.perBlockUs));
    results.push(figure(`n = ${n}, simulated: messages per block`, 'messages', [cost.messages]));
    results.push(figure(`n = ${n}, simulated: bytes of votes per block`, 'bytes', [cost.bytes]));
    if (Number.isFinite(perTransaction))
      results.push(
        figure(
          `n = ${n}, simulated: processor time per transaction, all validators, ${BLOCK_TRANSACTIONS} in a block`,
          'µs',
          [perTransaction],
        ),
      );
  }
  return results;
}
