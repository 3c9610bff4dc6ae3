import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import {
  XofTurboShake128,
  accepted,
  prio3Count,
  prio3Histogram,
  prio3L1BoundSum,
  prio3MultihotCountVec,
  prio3Sum,
  prio3SumVec,
} from '@itc/vdaf';
import type { KernelChoice, Prio3 } from '@itc/vdaf';
import type { Result } from './result.ts';

/**
 * Prio3 beside the other TypeScript implementation (draft 08 of 2023) and beside our own plain BigInt
 * kernel, in one run. Contenders take turns within each round, so that a change of the machine's
 * speed falls on all of them; figures are medians over rounds with their 10th and 90th percentiles.
 *
 * What is timed is the same work, but not the same bytes: our figures include encoding and strict
 * decoding of every share, the peer hands objects over.
 */
export const name = 'vdaf';

type Random = (length: number) => Uint8Array;
type Step = 'shard' | 'prepare' | 'aggregate';
const STEPS: readonly Step[] = ['shard', 'prepare', 'aggregate'];

/** One report's way through an implementation, in milliseconds per step. */
type Timed = Readonly<Record<Step, number>>;

interface Contender {
  readonly label: string;
  /** Runs `reports` measurements through all steps. */
  run(reports: number): Timed | Promise<Timed>;
}

/** Reproducible bytes; the bench measures speed, so a public seed does no harm. */
function seeded(seed: number, tag: string): Random {
  const dst = new TextEncoder().encode(`${String(seed)} ${tag}`);
  const xof = new XofTurboShake128(new Uint8Array(32), dst, new Uint8Array());
  return (length) => xof.next(length);
}

/** An aggregation is so short that it is repeated to be seen by the clock. */
const AGGREGATIONS = 20;

const context = new TextEncoder().encode('bench');

function ours<M, R>(label: string, prio3: Prio3<M, R>, measurement: M, random: Random): Contender {
  const verifyKey = random(32);
  return {
    label,
    run: (reports) => {
      const inputs = Array.from({ length: reports }, () => ({
        nonce: random(16),
        rand: random(prio3.sizes.rand),
      }));
      const start = performance.now();
      const sharded = inputs.map((input) => prio3.shard({ ...input, context, measurement }));
      const prepared = performance.now();
      const outputs = sharded.map(({ publicShare, inputShares }, index) => {
        const nonce = inputs[index]?.nonce ?? new Uint8Array();
        const verifiers = inputShares.map((inputShare, aggregatorId) => {
          const task = { verifyKey, context, aggregatorId };
          return accepted(prio3.verifyInit(task, { nonce, publicShare, inputShare }));
        });
        const message = accepted(
          prio3.verifierSharesToMessage(
            context,
            verifiers.map((v) => v.verifierShare),
          ),
        );
        return verifiers.map((v) => accepted(prio3.verifyNext(v.state, message)));
      });
      const aggregated = performance.now();
      const leader = outputs.map((shares) => shares[0] ?? new Uint8Array());
      for (let i = 0; i < AGGREGATIONS; i += 1) prio3.aggregate(leader);
      const end = performance.now();
      return perReport([start, prepared, aggregated, end], reports);
    },
  };
}

function perReport(marks: readonly [number, number, number, number], reports: number): Timed {
  return {
    shard: (marks[1] - marks[0]) / reports,
    prepare: (marks[2] - marks[1]) / reports,
    aggregate: (marks[3] - marks[2]) / reports / AGGREGATIONS,
  };
}

/** As much of the peer's interface as is used. */
interface PeerPrio3 {
  readonly randSize: number;
  shard(
    measurement: unknown,
    nonce: Uint8Array,
    rand: Uint8Array,
  ): Promise<{ readonly publicShare: unknown; readonly inputShares: readonly unknown[] }>;
  prepareInit(
    verifyKey: Uint8Array,
    aggregatorId: number,
    aggregationParameter: null,
    nonce: Uint8Array,
    publicShare: unknown,
    inputShare: unknown,
  ): Promise<{ readonly preparationState: unknown; readonly preparationShare: unknown }>;
  unshardPreparationShares(aggregationParameter: null, shares: readonly unknown[]): Promise<unknown>;
  prepareNext(state: unknown, message: unknown): { readonly outputShare?: unknown };
  aggregate(aggregationParameter: null, outputShares: readonly unknown[]): unknown;
}
type PeerModule = Readonly<
  Record<
    'Prio3Count' | 'Prio3Sum' | 'Prio3Histogram' | 'Prio3SumVec',
    new (options: Readonly<Record<string, number>>) => PeerPrio3
  >
>;

const PEER = '@divviup/prio3 0.8.0';
const INSTALL = 'npm ci --prefix bench/peers/vdaf';

async function loadPeer(): Promise<PeerModule | undefined> {
  try {
    const require = createRequire(new URL('../peers/vdaf/package.json', import.meta.url));
    return (await import(pathToFileURL(require.resolve('@divviup/prio3')).href)) as PeerModule;
  } catch {
    return undefined;
  }
}

function peer(prio3: PeerPrio3, measurement: unknown, random: Random): Contender {
  const verifyKey = Buffer.from(random(16));
  return {
    label: PEER,
    run: async (reports) => {
      const inputs = Array.from({ length: reports }, () => ({
        nonce: Buffer.from(random(16)),
        rand: Buffer.from(random(prio3.randSize)),
      }));
      const start = performance.now();
      const sharded = [];
      for (const { nonce, rand } of inputs) {
        const { publicShare, inputShares } = await prio3.shard(measurement, nonce, rand);
        sharded.push({ nonce, publicShare, inputShares });
      }
      const prepared = performance.now();
      const outputs: unknown[] = [];
      for (const { nonce, publicShare, inputShares } of sharded) {
        const states = [];
        for (const [id, share] of inputShares.entries())
          states.push(await prio3.prepareInit(verifyKey, id, null, nonce, publicShare, share));
        const shares = states.map((s) => s.preparationShare);
        const message = await prio3.unshardPreparationShares(null, shares);
        const results = states.map((s) => prio3.prepareNext(s.preparationState, message).outputShare);
        outputs.push(results[0]);
      }
      const aggregated = performance.now();
      for (let i = 0; i < AGGREGATIONS; i += 1) prio3.aggregate(null, outputs);
      const end = performance.now();
      return perReport([start, prepared, aggregated, end], reports);
    },
  };
}

interface Workload {
  readonly label: string;
  readonly contenders: readonly Contender[];
}

function workloads(seed: number, module: PeerModule | undefined): Workload[] {
  const workload = <M, R>(
    label: string,
    make: (kernel: KernelChoice) => Prio3<M, R>,
    measurement: M,
    makePeer?: (m: PeerModule) => PeerPrio3,
  ): Workload => ({
    label,
    contenders: [
      ours('ours', make('auto'), measurement, seeded(seed, `${label} ours`)),
      ...(module !== undefined && makePeer !== undefined
        ? [peer(makePeer(module), measurement, seeded(seed, `${label} peer`))]
        : []),
      ours('plain BigInt', make('plain'), measurement, seeded(seed, `${label} plain`)),
    ],
  });
  const shares = 2;
  const vector = Array.from({ length: 100 }, (_, i) => (i * 37) % 256);
  const hot = vector.map((_, i) => i < 10);
  const bounded = vector.map((_, i) => (i < 40 ? 6 : 0));
  return [
    workload(
      'count',
      (kernel) => prio3Count({ kernel }),
      true,
      (m) => new m.Prio3Count({ shares }),
    ),
    workload(
      'sum of 8 bits',
      (kernel) => prio3Sum({ kernel, max: 255 }),
      100,
      (m) => new m.Prio3Sum({ shares, bits: 8 }),
    ),
    workload(
      'histogram of 100',
      (kernel) => prio3Histogram({ kernel, length: 100, chunkLength: 10 }),
      42,
      (m) => new m.Prio3Histogram({ shares, length: 100, chunkLength: 10 }),
    ),
    workload(
      'vector of 100 × 8 bits',
      (kernel) => prio3SumVec({ kernel, length: 100, max: 255, chunkLength: 28 }),
      vector,
      (m) => new m.Prio3SumVec({ shares, length: 100, bits: 8, chunkLength: 28 }),
    ),
    workload(
      'vector of 100 × 8 bits, three proofs',
      (kernel) => prio3SumVec({ kernel, length: 100, max: 255, proofs: 3 }),
      vector,
    ),
    workload(
      'multihot of 100, weight 10',
      (kernel) => prio3MultihotCountVec({ kernel, length: 100, maxWeight: 10 }),
      hot,
    ),
    workload(
      'bounded sum of 100, norm 255',
      (kernel) => prio3L1BoundSum({ kernel, length: 100, max: 255 }),
      bounded,
    ),
  ];
}

function percentile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? Number.NaN;
}

/**
 * Runs a contender until the compiler has settled, and returns the reports per run that make a run
 * take a few milliseconds: timers are coarse and jitter is not.
 */
async function warmUp(contender: Contender, milliseconds: number): Promise<number> {
  const end = performance.now() + milliseconds;
  let last: Timed;
  do last = await contender.run(4);
  while (performance.now() < end);
  return Math.max(1, Math.min(64, Math.round(8 / (last.shard + last.prepare))));
}

async function measure(warm: WarmWorkload, rounds: number, warmUpMs: number): Promise<Map<string, Timed[]>> {
  const samples = new Map<string, Timed[]>(warm.contenders.map(({ contender }) => [contender.label, []]));
  // Once more: other workloads may have changed what the compiler believes.
  for (const { contender } of warm.contenders) await warmUp(contender, warmUpMs);
  for (let round = 0; round < rounds; round += 1) {
    for (const { contender, reports } of warm.contenders)
      samples.get(contender.label)?.push(await contender.run(reports));
  }
  return samples;
}

interface WarmWorkload {
  readonly label: string;
  readonly contenders: readonly { readonly contender: Contender; readonly reports: number }[];
}

/** Everything is warm before anything is measured: the compiler judges shared code by all its uses. */
async function warmUpAll(all: readonly Workload[], milliseconds: number): Promise<WarmWorkload[]> {
  const out: WarmWorkload[] = [];
  for (const { label, contenders } of all) {
    const warm = [];
    for (const contender of contenders)
      warm.push({ contender, reports: await warmUp(contender, milliseconds) });
    out.push({ label, contenders: warm });
  }
  return out;
}

export async function run(options: {
  readonly seed: number;
  readonly quick: boolean;
  log(line: string): void;
}): Promise<Result[]> {
  const module = await loadPeer();
  if (module === undefined)
    options.log(`${PEER} is not installed: no ratios to it. Install it with: ${INSTALL}`);
  const figures: Result[] = [];
  const warmUpMs = options.quick ? 30 : 200;
  const all = await warmUpAll(workloads(options.seed, module), warmUpMs);
  for (const workload of all) {
    const samples = await measure(workload, options.quick ? 5 : 21, warmUpMs);
    const times = (label: string, step: Step): number[] =>
      (samples.get(label) ?? []).map((t) => 1000 * t[step]);
    for (const step of STEPS) {
      const own = times('ours', step);
      const value = percentile(own, 0.5);
      const figure = {
        metric: `${workload.label}: ${step}`,
        unit: 'µs per report',
        value,
        p10: percentile(own, 0.1),
        p90: percentile(own, 0.9),
      };
      const peers = workload.contenders.slice(1).map(({ contender }) => contender);
      for (const { label } of peers) {
        const peerValue = percentile(times(label, step), 0.5);
        figures.push({ ...figure, peer: label, peerValue, ratio: peerValue / value });
      }
      const against = peers.map(({ label }) => {
        const theirs = percentile(times(label, step), 0.5);
        return `${label} ${theirs.toFixed(1)} (${(theirs / value).toFixed(1)}×)`;
      });
      options.log(`${figure.metric}: ${value.toFixed(1)} ${figure.unit}; ${against.join(', ')}`);
    }
  }
  return figures;
}
