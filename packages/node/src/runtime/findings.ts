/** What is not as it should be with one process and the chain, as it is seen from there (spec SUBNET-5). */
import { statfsSync } from 'node:fs';
import { listed, type ConcernCode, type Finding } from './concerns.ts';
import type { NodeProcess } from './process.ts';
import type { StatusAnswer } from './status.ts';
import { subnetFindings } from './subnet-findings.ts';

const PEERS_AFTER_MS = 5_000;
const SLOW_AFTER_MS = 10_000;
/** The tables keep 16 MiB for themselves. */
const DISK_LOW_BYTES = 64 << 20;

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
  else if (reason.startsWith('catching up') || node.snapshots.progress !== undefined)
    findings.push(of('catching-up', 'wait; blocks and states come from peers'));
  else if (replica !== undefined && replica.phase !== 'normal')
    findings.push(
      of(
        'view-change',
        `wait some seconds; if it lasts, look at ${nameAt(status, replica.primary)}, which opens the view, and at the clocks`,
      ),
    );
  else if (reason.startsWith('no block for'))
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
