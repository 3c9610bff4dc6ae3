/** Closed and open loops over anything that takes operations and says when they are done. */
import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from './result.ts';

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
