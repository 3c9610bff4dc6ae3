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

export interface ProcessKind {
  readonly kind: string;
  readonly pids: readonly number[];
}

/** Validators and members of a network, as far as they are processes. */
export function kindsOf(network: {
  readonly nodes: readonly { readonly name: string; readonly role: string }[];
  pidOf(name: string): number | undefined;
}): ProcessKind[] {
  return ['validator', 'member'].map((role) => ({
    kind: `all ${role}s`,
    pids: network.nodes.flatMap((node) => (node.role === role ? (network.pidOf(node.name) ?? []) : [])),
  }));
}

/** Processor time by kind of process between the first and the last note of a load, per operation done between them. */
export class UsageMeter {
  readonly #kinds: readonly ProcessKind[];
  #notes: { readonly operations: number; readonly usedMs: readonly (number | undefined)[] }[] = [];

  constructor(kinds: readonly ProcessKind[]) {
    this.#kinds = kinds;
  }

  restart(): void {
    this.#notes = [];
  }

  note(operations: number): void {
    this.#notes.push({ operations, usedMs: this.#kinds.map(({ pids }) => processorMs(pids)) });
  }

  /** Microseconds; all kinds together first. Empty where there is no /proc, or without two notes. */
  perOperation(): { readonly kind: string; readonly us: number }[] {
    const first = this.#notes[0];
    const last = this.#notes.at(-1);
    if (first === undefined || last === undefined || last.operations === first.operations) return [];
    const each = this.#kinds.map(({ kind }, i) => {
      const used = (last.usedMs[i] ?? Number.NaN) - (first.usedMs[i] ?? Number.NaN);
      return { kind, us: (1_000 * used) / (last.operations - first.operations) };
    });
    const all = { kind: 'all processes', us: each.reduce((sum, { us }) => sum + us, 0) };
    return Number.isNaN(all.us) ? [] : [all, ...each];
  }
}
