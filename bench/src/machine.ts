/** Where and with what a bench ran: figures mean nothing without it. */
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly platform: string;
  /** Processes that wanted a processor when the bench began: above zero, others were at work too. */
  readonly load: number;
}

export type Versions = Readonly<Record<string, string>>;

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${arch()} ${release()}`,
    load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  };
}

export function describeVersions(): Versions {
  const own = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const { node, v8, openssl } = process.versions;
  return { itc: own.version, node, ...(v8 && { v8 }), ...(openssl && { openssl }) };
}

export function machineLine(machine: Machine, versions: Versions): string {
  const { cpu, cores, memoryGiB, load } = machine;
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${machine.platform}, Node ${versions['node']}, load ${load} at the start`;
}
