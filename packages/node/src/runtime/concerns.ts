/**
 * What is not as it should be with one process: each thing in a sentence, since when, and what to do about it (spec SUBNET-5).
 * Findings are made from what is so now; that they have lasted, and since when, is remembered here.
 */
import { statfsSync } from 'node:fs';
import { toHex } from '@itc/core/bytes/hex.js';
import type { NodeProcess } from './process.ts';
import type { StatusAnswer } from './status.ts';
import { subnetFindings } from './subnet-concerns.ts';

/** Of chain and process. Those of a subnet are in `subnet-concerns.ts`. */
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
const PEERS_AFTER_MS = 5_000;
const SLOW_AFTER_MS = 10_000;
/** The tables keep 16 MiB for themselves. */
const DISK_LOW_BYTES = 64 << 20;
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

export function findingsOf(node: NodeProcess, status: StatusAnswer): Finding[] {
  return [
    ...chainFindings(node, status),
    ...diskFindings(node),
    ...peerFindings(status),
    ...status.subnets.flatMap((subnet) => subnetFindings(node, subnet)),
  ];
}

/** What keeps the chain from going on here: one thing, because the others follow from it. */
function chainFindings(node: NodeProcess, status: StatusAnswer): Finding[] {
  const { reason } = status;
  const { consensus } = node;
  const slow = status.validators.filter(({ skipped }) => skipped);
  const findings: Finding[] = [];
  if (slow.length > 0)
    findings.push({
      code: 'validators-slow',
      part: 'chain',
      what: `no turn to propose for ${listed(slow.map(({ name, address }) => name ?? address))}: too slow, or silent`,
      todo: 'look at their load, disks and network; they get a turn again by themselves',
      serious: false,
      afterMs: SLOW_AFTER_MS,
    });
  if (reason === undefined) return findings;
  const of = (code: ConcernCode, todo: string, what = reason): Finding => ({
    code,
    part: 'chain',
    what,
    todo,
    serious: true,
  });
  const missing = status.validators.filter(({ connected }) => !connected);
  const names = listed(missing.map(({ name, address }) => name ?? address));
  const isFull = consensus?.full !== undefined || node.observer?.full !== undefined;
  const replica = consensus?.status();
  if ((consensus?.failure ?? node.observer?.failure ?? node.subnet?.failure) !== undefined)
    findings.push(of('stopped', 'read the log, repair what it names, and start the process again'));
  else if (isFull)
    findings.push(of('disk-full', `make room on the volume of ${node.config.dataDir}; it goes on by itself`));
  else if (consensus === undefined && missing.length === status.validators.length)
    findings.push(
      of(
        'cut-off',
        `start or reach ${names}; the subnet goes on without the main chain, and what it orders becomes final afterwards`,
        `cut off from the main chain: none of ${missing.length} validators is connected`,
      ),
    );
  else if (status.quorum.reason !== undefined) findings.push(of('quorum-lost', `start or reach ${names}`));
  else if (status.height === 0) findings.push(of('starting', 'wait for the first block'));
  else if (node.observer?.isPruned === true)
    findings.push(of('blocks-pruned', 'name a peer that keeps all blocks in the configuration'));
  else if (/^catching up/.test(reason) || node.snapshots.progress !== undefined)
    findings.push(of('catching-up', 'wait; blocks and states come from peers'));
  else if (replica !== undefined && replica.phase !== 'normal')
    findings.push(
      of(
        'view-change',
        `wait some seconds; if it lasts, look at ${nameAt(status, replica.primary)}, which opens the view, and at the clocks`,
      ),
    );
  else if (/^no block for/.test(reason))
    findings.push(of('no-block', 'ask the validators themselves: itc status --why --api URL of each'));
  else
    findings.push(
      of('not-voting', 'wait for the next epoch (itc validator restart asks for one), or bring the log back'),
    );
  return findings;
}

function diskFindings({ config, subnet }: NodeProcess): Finding[] {
  const { bavail, bsize } = statfsSync(config.dataDir);
  const free = bavail * bsize;
  // Full is said by whoever could not write.
  if (free >= DISK_LOW_BYTES || subnet?.isFull === true) return [];
  return [
    {
      code: 'disk-low',
      part: 'disk',
      what: `${Math.round(free / (1 << 20))} MiB are free on the volume of ${config.dataDir}`,
      todo: 'make room, or set retainEnvelopeBytes and retainBytes lower: at 16 MiB nothing new is taken',
      serious: false,
    },
  ];
}

function peerFindings(status: StatusAnswer): Finding[] {
  const away = status.peers.filter(({ connected }) => !connected);
  if (away.length === 0) return [];
  const names = listed(away.map(({ name, address }) => name ?? address));
  return [
    {
      code: 'peers-away',
      part: 'peers',
      what: `${away.length} of ${status.peers.length} peers are not connected: ${names}`,
      todo: `start or reach them; whoever is gone for good is taken out of the configuration`,
      serious: false,
      afterMs: PEERS_AFTER_MS,
    },
  ];
}

const nameAt = (status: StatusAnswer, index: number): string =>
  status.validators[index]?.name ?? `validator ${index}`;

export function listed(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  return more > 0 ? `${names.slice(0, NAMED_MAX).join(', ')} and ${more} more` : names.join(', ');
}

/** Whose subnet it is, for findings about it. */
export const isOurs = (node: NodeProcess, id: string): boolean =>
  node.subnet !== undefined && toHex(node.subnet.id) === id;
