/**
 * Processes killed one after another without warning (SIGKILL), with a torn last record in their logs, and started again:
 * the next as soon as the last is back. Now and then one is killed a second time while it comes back.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Network, NetworkNode } from './network.ts';
import { processorMs } from './processor-time.ts';
import { figure, percentile, type Result } from './result.ts';
import { tearTails } from './torn-tail.ts';

export interface KillingPlan {
  readonly network: Network;
  readonly victims: readonly NetworkNode[];
  readonly times: number;
  readonly random: () => number;
  readonly log: (line: string) => void;
  /** What the others have reached: whoever is back has it, too. */
  readonly goal: () => number;
  /** How far a process is; undefined while it does not answer. Throws when it will never get there. */
  readonly reached: (node: NetworkNode) => Promise<number | undefined>;
  /** Why to stop; undefined while all is well. */
  readonly failed: () => Error | undefined;
}

export interface Killed {
  readonly backMs: readonly number[];
  /** Until it answered at all, of the same starts. */
  readonly answersMs: readonly number[];
  /** Processor time of the process by then: true also where much else goes on. */
  readonly usedMs: readonly number[];
  readonly torn: number;
  /** Killed again before they were back; not among the times. */
  readonly twice: number;
}

export const BACK_MS_MAX = 60_000;
/** What a crash may cost; more is reported, not hidden. */
const BACK_MS_AIM = 10_000;
/** Between one that is back and the next kill: any moment of a checkpoint or block may be hit. */
const PAUSE_MS_MAX = 400;
/** Down for so long at most, in half of the cases. */
const DOWN_MS_MAX = 1_000;
const TWICE_SHARE = 0.1;
const TWICE_MS_MAX = 2_000;
const POLL_MS = 20;

export async function killAndRestart(plan: KillingPlan): Promise<Killed> {
  const { network, victims, times, random, log } = plan;
  const backMs: number[] = [];
  const answersMs: number[] = [];
  const usedMs: number[] = [];
  let [torn, twice] = [0, 0];
  for (let kill = 1; kill <= times; kill += 1) {
    await sleep(random() * PAUSE_MS_MAX);
    const failed = plan.failed();
    if (failed !== undefined) throw failed;
    const victim = victims[Math.floor(random() * victims.length)] as NetworkNode;
    await network.kill(victim.name);
    torn += tearTails(victim.config.dataDir, random);
    if (random() < TWICE_SHARE) {
      network.spawn(victim);
      await sleep(random() * TWICE_MS_MAX);
      await network.kill(victim.name);
      torn += tearTails(victim.config.dataDir, random);
      twice += 1;
    }
    if (random() < 0.5) await sleep(random() * DOWN_MS_MAX);
    const goal = plan.goal();
    const begun = performance.now();
    network.spawn(victim);
    answersMs.push(await until(plan, victim, 0, begun));
    const took = await until(plan, victim, goal, begun);
    backMs.push(took);
    usedMs.push(processorMs([network.pidOf(victim.name) ?? 0]) ?? Number.NaN);
    if (kill % 10 === 0 || took > BACK_MS_AIM)
      log(`${kill} of ${times}: ${victim.name} back after ${Math.round(took)} ms at ${goal}`);
  }
  return { backMs, answersMs, usedMs, torn, twice };
}

/** Resolves with the time from `begun` until the process has reached the goal. */
export async function until(
  { network, reached }: Pick<KillingPlan, 'network' | 'reached'>,
  node: NetworkNode,
  goal: number,
  begun: number = performance.now(),
): Promise<number> {
  for (;;) {
    const at = await reached(node);
    const took = performance.now() - begun;
    if (at !== undefined && at >= goal) return took;
    if (took > BACK_MS_MAX || !network.runs(node.name))
      throw new Error(
        `${node.name} is at ${at ?? 'nothing'} of ${goal} after ${Math.round(took)} ms:\n${network.logOf(node.name)}`,
      );
    await sleep(POLL_MS);
  }
}

export function killFigures(what: string, { backMs, answersMs, usedMs }: Killed): Result[] {
  const late = backMs.filter((ms) => ms > BACK_MS_AIM).length;
  return [
    figure(`${what} after SIGKILL`, 'ms', backMs),
    figure('until it answers at all', 'ms', answersMs),
    figure('processor time of the process by then', 'ms', usedMs),
    figure('p99', 'ms', [percentile(backMs, 0.99)]),
    figure('slowest of them', 'ms', [Math.max(...backMs)]),
    figure(`back within ${BACK_MS_AIM / 1_000} s`, '%', [(100 * (backMs.length - late)) / backMs.length]),
  ];
}
