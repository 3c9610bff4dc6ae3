/**
 * What is not as it should be with one process: each thing in a sentence, since when, and what to do about it (spec SUBNET-5).
 * Findings are made from what is so now; that they have lasted, and since when, is remembered here.
 */

export type ConcernCode =
  | 'stopped'
  | 'disk-full'
  | 'disk-low'
  | 'quorum-lost'
  | 'cut-off'
  | 'starting'
  | 'catching-up'
  | 'blocks-pruned'
  | 'no-block'
  | 'view-change'
  | 'not-voting'
  | 'validators-slow'
  | 'peers-away'
  | 'vault-grows'
  | 'snapshot'
  | 'diverged'
  | 'behind'
  | 'stake-lost'
  | 'checkpoint-late'
  | 'retention'
  | 'work-raised'
  | 'load-high'
  | 'rate-lowered'
  | 'unsolid'
  | 'barred'
  | 'equivocation';

export interface Finding {
  readonly code: ConcernCode;
  /** `chain`, `disk`, `peers`, or `subnet NAME`. */
  readonly part: string;
  /** In a sentence. */
  readonly what: string;
  readonly todo: string;
  /** The process does not do its work because of it; otherwise it does, and somebody should look all the same. */
  readonly serious: boolean;
  /** Told only when it has lasted this long: shorter, it is the course of things. */
  readonly afterMs?: number;
}

export interface Concern extends Omit<Finding, 'afterMs'> {
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** What comes and goes within this time is one trouble, not many. */
const GONE_MS = 5_000;
const NAMED_MAX = 5;

export class Concerns {
  readonly #since = new Map<string, { readonly since: number; seen: number }>();

  /** Looks at what is so now. To be asked regularly, or the times are those of the questions. */
  observe(findings: readonly Finding[], now: number): Concern[] {
    const concerns: Concern[] = [];
    for (const { afterMs = 0, ...finding } of findings) {
      const key = `${finding.code} ${finding.part}`;
      const known = this.#since.get(key) ?? { since: now, seen: now };
      known.seen = now;
      this.#since.set(key, known);
      if (now - known.since >= afterMs) concerns.push({ ...finding, since: known.since });
    }
    for (const [key, { seen }] of this.#since) if (now - seen > GONE_MS) this.#since.delete(key);
    return concerns.sort((a, b) => Number(b.serious) - Number(a.serious));
  }
}

export function listed(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  return more > 0 ? `${names.slice(0, NAMED_MAX).join(', ')} and ${more} more` : names.join(', ');
}
