/** Closed and open loops over anything that takes operations and says when they are done. */
import { setTimeout as sleep } from 'node:timers/promises';
import { figure, percentile, type Peer, type Result } from './result.ts';

/** What becomes done within this is one burst. */
const BURST_MS = 20;

/** What a load saw, cut into windows of equal length. */
export interface LoadSamples {
  /** Operations per second, one per window. */
  readonly throughput: readonly number[];
  /** Milliseconds from handing in to done: the median and the 99th percentile of each window. */
  readonly p50: readonly number[];
  readonly p99: readonly number[];
  readonly operations: number;
  /** With those before and after what counts. */
  readonly total: number;
}

export interface Completion {
  /** `performance.now()` at handing in and at being done. */
  readonly started: number;
  readonly done: number;
}

/** `from` and `to` bound what counts: the ramp before and the drain after do not. */
export function windowsOf(
  completions: readonly Completion[],
  o: { readonly from: number; readonly to: number; readonly windows: number },
): LoadSamples {
  const width = (o.to - o.from) / o.windows;
  const latencies: number[][] = Array.from({ length: o.windows }, () => []);
  let operations = 0;
  for (const { started, done } of completions) {
    if (done < o.from || done >= o.to) continue;
    operations += 1;
    latencies[Math.min(o.windows - 1, Math.floor((done - o.from) / width))]?.push(done - started);
  }
  const busy = latencies.filter((window) => window.length > 0);
  return {
    throughput: latencies.map((window) => (1_000 * window.length) / width),
    p50: busy.map((window) => percentile(window, 0.5)),
    p99: busy.map((window) => percentile(window, 0.99)),
    operations,
    total: completions.length,
  };
}

/**
 * For what becomes done in bursts (a checkpoint, a block): a sample per burst, its size over the time since the burst
 * before. The first one only sets the clock.
 */
export function burstsOf(
  completions: readonly Completion[],
  o: { readonly from: number; readonly to: number },
): LoadSamples {
  const bursts: { readonly done: number; readonly latencies: number[] }[] = [];
  for (const { started, done } of completions.toSorted((a, b) => a.done - b.done)) {
    if (done < o.from || done >= o.to) continue;
    let last = bursts.at(-1);
    if (last === undefined || done - last.done > BURST_MS) {
      last = { done, latencies: [] };
      bursts.push(last);
    }
    last.latencies.push(done - started);
  }
  const counted = bursts.slice(1);
  return {
    throughput: counted.map(
      ({ done, latencies }, i) => (1_000 * latencies.length) / (done - (bursts[i]?.done ?? o.from)),
    ),
    p50: counted.map(({ latencies }) => percentile(latencies, 0.5)),
    p99: counted.map(({ latencies }) => percentile(latencies, 0.99)),
    operations: counted.reduce((sum, { latencies }) => sum + latencies.length, 0),
    total: completions.length,
  };
}

/**
 * For an open loop: latency of what was handed in within a window, however late it was done, so that a stall weighs
 * on everything it delayed. Throughput is what was done from the first to the last of them.
 */
export function arrivalsOf(
  completions: readonly Completion[],
  o: { readonly from: number; readonly to: number; readonly windows: number },
): LoadSamples {
  const counted = completions.filter(({ started }) => started >= o.from && started < o.to);
  const width = (o.to - o.from) / o.windows;
  const latencies: number[][] = Array.from({ length: o.windows }, () => []);
  for (const { started, done } of counted)
    latencies[Math.floor((started - o.from) / width)]?.push(done - started);
  const busy = latencies.filter((window) => window.length > 0);
  const last = counted.reduce((latest, { done }) => Math.max(latest, done), o.from);
  return {
    throughput: counted.length === 0 ? [] : [(1_000 * counted.length) / (Math.max(last, o.to) - o.from)],
    p50: busy.map((window) => percentile(window, 0.5)),
    p99: busy.map((window) => percentile(window, 0.99)),
    operations: counted.length,
    total: completions.length,
  };
}

/** What a load saw as figures; what it did not see (nothing was done in time) is left out. */
export function loadFigures(o: {
  readonly what: string;
  readonly latency: string;
  readonly at: string;
  readonly samples: LoadSamples;
  readonly peer?: { readonly name: string; readonly samples: LoadSamples };
}): Result[] {
  const { samples, peer } = o;
  const against = (
    own: keyof Pick<LoadSamples, 'throughput' | 'p50' | 'p99'>,
    better: 'more' | 'less',
  ): Peer | undefined => peer && { name: peer.name, samples: peer.samples[own], better };
  const figures: Result[] = [];
  if (samples.throughput.length > 0)
    figures.push(figure(`${o.what}, ${o.at}`, 'per s', samples.throughput, against('throughput', 'more')));
  if (samples.p50.length > 0)
    figures.push(figure(`${o.latency} p50, ${o.at}`, 'ms', samples.p50, against('p50', 'less')));
  if (samples.p99.length > 0)
    figures.push(figure(`${o.latency} p99, ${o.at}`, 'ms', samples.p99, against('p99', 'less')));
  return figures;
}

/** Keeps `inFlight` operations going, each a promise, for `durationMs` after a ramp. */
export async function closedLoop(
  operation: (index: number) => Promise<void>,
  o: {
    readonly inFlight: number;
    readonly rampMs: number;
    readonly durationMs: number;
    readonly windows: number;
  },
): Promise<LoadSamples> {
  const completions: Completion[] = [];
  const from = performance.now() + o.rampMs;
  const to = from + o.durationMs;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < to) {
      const started = performance.now();
      next += 1;
      await operation(next - 1);
      completions.push({ started, done: performance.now() });
    }
  };
  await Promise.all(Array.from({ length: o.inFlight }, worker));
  return windowsOf(completions, { from, to, windows: o.windows });
}

/** Calls `offer` with how many operations are due by now, every few milliseconds, whatever became of the earlier ones. */
export async function openLoop(
  offer: (count: number) => void,
  o: { readonly perSecond: number; readonly durationMs: number; readonly stepMs: number },
): Promise<void> {
  const start = performance.now();
  let offered = 0;
  for (;;) {
    const elapsed = performance.now() - start;
    if (elapsed >= o.durationMs) return;
    const due = Math.floor((elapsed / 1_000) * o.perSecond);
    if (due > offered) offer(due - offered);
    offered = Math.max(offered, due);
    await sleep(o.stepMs);
  }
}

export function joinSamples(parts: readonly LoadSamples[]): LoadSamples {
  return {
    throughput: parts.flatMap((part) => part.throughput),
    p50: parts.flatMap((part) => part.p50),
    p99: parts.flatMap((part) => part.p99),
    operations: parts.reduce((sum, part) => sum + part.operations, 0),
    total: parts.reduce((sum, part) => sum + part.total, 0),
  };
}
