/** What a bench returns, and how samples become one figure. */

export interface Result {
  readonly metric: string;
  readonly unit: string;
  /** Median over the samples. */
  readonly value: number;
  readonly p10: number;
  readonly p90: number;
  /** What it is held against, measured in the same run. */
  readonly peer?: string;
  readonly peerValue?: number;
  /** Above 1 we are ahead, whether more is better or less is. */
  readonly ratio?: number;
}

export interface BenchOptions {
  readonly seed: number;
  /** Seconds instead of minutes, for tests: the figures mean little then. */
  readonly quick: boolean;
  /** How often, where that can be chosen; each bench has its own default. */
  readonly times?: number;
  /** Progress and conditions, one line each. */
  readonly log: (line: string) => void;
}

export interface Bench {
  readonly name: string;
  run(options: BenchOptions): Promise<readonly Result[]>;
}

/** A part could not be measured; the others are here. */
export class IncompleteError extends Error {
  readonly results: readonly Result[];

  constructor(message: string, results: readonly Result[], cause: unknown) {
    super(message, { cause });
    this.results = results;
  }
}

/** Nearest rank; NaN when there are no values. */
export function percentile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? Number.NaN;
}

export interface Peer {
  readonly name: string;
  readonly samples: readonly number[];
  /** Which way is better decides which way the ratio is formed. */
  readonly better: 'more' | 'less';
}

export function figure(metric: string, unit: string, samples: readonly number[], peer?: Peer): Result {
  const value = percentile(samples, 0.5);
  const own = { metric, unit, value, p10: percentile(samples, 0.1), p90: percentile(samples, 0.9) };
  if (peer === undefined || peer.samples.length === 0) return own;
  const peerValue = percentile(peer.samples, 0.5);
  const ratio = peer.better === 'more' ? value / peerValue : peerValue / value;
  return { ...own, peer: peer.name, peerValue, ratio };
}

/** Does some operations and says how many. */
export type Operation = () => number | Promise<number>;

export interface Rate {
  readonly perSecond: readonly number[];
  /** Microseconds of all threads of this process per operation: true also while others use the machine. */
  readonly processorUs: readonly number[];
}

/**
 * One sample per contender and round. They take turns within a round, so that a change of the machine's speed falls
 * on all of them; the first round only lets the compiler settle.
 */
export async function rates<Contenders extends readonly Operation[]>(
  rounds: number,
  ...contenders: Contenders
): Promise<{ [K in keyof Contenders]: Rate }> {
  const samples = contenders.map(() => ({ perSecond: [] as number[], processorUs: [] as number[] }));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [i, operation] of contenders.entries()) {
      const before = process.cpuUsage();
      const start = performance.now();
      const count = await operation();
      const seconds = (performance.now() - start) / 1_000;
      const used = process.cpuUsage(before);
      if (round === 0) continue;
      samples[i]?.perSecond.push(count / seconds);
      samples[i]?.processorUs.push((used.user + used.system) / count);
    }
  }
  return samples as { [K in keyof Contenders]: Rate };
}

/** xorshift32: small, seeded, uniform enough for a workload. */
export function seededRandom(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e37_79b1) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}
