/**
 * Processor time of processes, for figures that stay true while others use the machine too. Linux only:
 * /proc/PID/stat, fields 14 and 15 in ticks of 10 ms (proc(5)).
 */
import { readFileSync } from 'node:fs';

const TICK_MS = 10;

/** User and system time in milliseconds since the processes began; undefined where there is no /proc. */
export function processorMs(pids: readonly number[]): number | undefined {
  let total = 0;
  for (const pid of pids) {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    } catch {
      return undefined;
    }
    // The name in brackets may hold anything: fields are counted behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    total += Number(fields[11]) + Number(fields[12]);
  }
  return total * TICK_MS;
}

/** Milliseconds of processor time the processes use while `work` goes on. */
export async function measured<T>(
  pids: readonly number[],
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly usedMs: number | undefined }> {
  const before = processorMs(pids);
  const value = await work();
  const after = processorMs(pids);
  return { value, usedMs: before === undefined || after === undefined ? undefined : after - before };
}
