/** Scripted runs of subnets: `sim/scenarios/dag/NAME.txt`. */
import { readdirSync, readFileSync } from 'node:fs';
import type { DagOptions } from './options.ts';
import { NO_FAULTS, type FaultPlan } from '../faults.ts';
import { LIES, type Lie } from './liar.ts';

const scenarios = new URL('../../scenarios/dag/', import.meta.url);

export function dagScenarioNames(): string[] {
  return readdirSync(scenarios).flatMap((file) => (file.endsWith('.txt') ? [file.slice(0, -4)] : []));
}

/**
 * Lines of `name number`; names are those of `FaultPlan`, and members, byzantine, durationMs, cadenceMs,
 * mainChainCuts (0 for none), eclipse, candidates (nodes beside the first members, who come and go by stake), value and
 * wipe (a member loses its disk). A line
 * `lie NAME` gives the liars one way to lie, instead of those the seed draws.
 */
export function readDagScenario(name: string): DagOptions {
  const numbers = new Map<string, number>();
  const lies: Lie[] = [];
  for (const line of readFileSync(new URL(`${name}.txt`, scenarios), 'utf8').split('\n')) {
    const match = /^(\w+) (\d+(?:\.\d+)?)$/.exec(line.trim());
    const lie = LIES.find((known) => line.trim() === `lie ${known}`);
    if (match !== null) numbers.set(match[1] as string, Number(match[2]));
    else if (lie !== undefined) lies.push(lie);
    else if (line.trim() !== '' && !line.startsWith('#'))
      throw new Error(`not a line of a scenario: ${line}`);
  }
  const faults: Partial<Record<keyof FaultPlan, number>> = {};
  for (const key of Object.keys(NO_FAULTS) as (keyof FaultPlan)[]) {
    const value = numbers.get(key);
    if (value !== undefined) faults[key] = value;
    numbers.delete(key);
  }
  const take = (key: string): number | undefined => {
    const value = numbers.get(key);
    numbers.delete(key);
    return value;
  };
  const options: DagOptions = {
    members: take('members'),
    byzantine: take('byzantine') ?? 0,
    lies: lies.length === 0 ? undefined : lies,
    durationMs: take('durationMs'),
    cadenceMs: take('cadenceMs'),
    mainChainCuts: take('mainChainCuts') !== 0,
    eclipse: (take('eclipse') ?? 0) > 0,
    candidates: take('candidates') ?? 0,
    value: (take('value') ?? 0) > 0,
    wipe: (take('wipe') ?? 0) > 0,
    faults,
  };
  if (numbers.size > 0)
    throw new Error(`scenario ${name} has unknown lines: ${[...numbers.keys()].join(', ')}`);
  return options;
}
