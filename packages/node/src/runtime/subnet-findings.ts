/** What is not as it should be with the subnet a process is a member of (spec SUBNET-5). */
import { toHex } from '@itc/core/bytes/hex.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import type { Static } from 'typebox';
import type { SubnetStatus } from '../api/schemas.ts';
import { listed, type ConcernCode, type Finding } from './concerns.ts';
import type { NodeProcess } from './process.ts';

type SubnetFacts = Static<typeof SubnetStatus>;

/** Payloads that wait for an envelope: as many as an envelope holds leave with the next one. */
const WAITING_MANY = 1_000;
const WAITING_AFTER_MS = 5_000;
const UNSOLID_AFTER_MS = 15_000;
const BEHIND_AFTER_MS = 5_000;
const LOAD_AFTER_MS = 10_000;

export function subnetFindings(node: NodeProcess, facts: SubnetFacts): Finding[] {
  const { subnet } = node;
  if (subnet === undefined || toHex(subnet.id) !== facts.id) return [];
  const member = subnet.status();
  const part = `subnet ${facts.name}`;
  const names = (indices: readonly number[]): string =>
    listed(indices.map((index) => facts.members[index]?.name ?? facts.members[index]?.address ?? `${index}`));
  const self = subnet.members.findIndex(({ key }) => toHex(key.bytes) === node.transport.self);
  const findings: Finding[] = [];
  const add = (code: ConcernCode, serious: boolean, what: string, todo: string, afterMs?: number): void => {
    findings.push({ code, part, what, todo, serious, ...(afterMs === undefined ? {} : { afterMs }) });
  };

  const { strong, total } = quorumOf(facts.members.map(({ weight }) => weight));
  const away = facts.members.filter(({ connected }) => !connected);
  const present = total - away.reduce((sum, { weight }) => sum + weight, 0);
  const hasQuorum = present >= strong;
  if (subnet.isFull)
    add(
      'disk-full',
      true,
      String(subnet.obstacle),
      `make room on the volume of ${node.config.dataDir}; it goes on by itself`,
    );
  else if (member.state === 'diverged')
    add(
      'diverged',
      true,
      String(member.reason),
      'keep its data folder for whoever looks into it, and start it with an empty one: it takes a state over from the others',
    );
  else if (!hasQuorum)
    add(
      'stake-lost',
      true,
      `${present} of ${total} stake is connected, ${strong} is needed for a checkpoint`,
      `start or reach ${names(facts.members.flatMap(({ connected }, i) => (connected ? [] : [i])))}; what is sent meanwhile waits`,
    );
  else if (subnet.snapshotProgress !== undefined)
    add('snapshot', true, subnet.snapshotProgress, 'wait; it comes from the other members');
  else if (facts.checkpoint > member.checkpoint)
    add(
      'behind',
      true,
      `it has applied checkpoint ${member.checkpoint} of ${facts.checkpoint}${member.reason === undefined ? '' : `: ${member.reason}`}`,
      'wait; what is missing comes from the other members, or a snapshot after a while',
      BEHIND_AFTER_MS,
    );
  else if (facts.reason !== undefined && subnet.retention.reason !== facts.reason)
    add(
      'checkpoint-late',
      true,
      facts.reason,
      member.submitted
        ? 'look at the main chain: itc status --why of a validator'
        : 'look at the other members: itc status --why of each',
      BEHIND_AFTER_MS,
    );

  const { reason } = subnet.retention;
  if (reason !== undefined)
    add('retention', false, reason, 'raise retainEnvelopeBytes, or end pins: itc retention');
  const extra = member.powAdjustments[self] ?? 0;
  if (extra > 0)
    add(
      'work-raised',
      false,
      `its envelopes cost ${extra} bits of work more than others': it sent more than its share, or lost or lazy ones`,
      'send less, or more readings in each payload; it falls again by itself',
    );
  if (member.powBits > facts.powBits)
    add(
      'load-high',
      false,
      `the subnet asks ${member.powBits} bits of work in place of ${facts.powBits}: more comes in than it takes`,
      'found another subnet for a part of the devices, or send more readings in each payload',
      LOAD_AFTER_MS,
    );
  if (subnet.waiting > WAITING_MANY)
    add(
      'rate-lowered',
      false,
      `${subnet.waiting} payloads wait for an envelope; the others take ${member.issuePerSecond.toFixed(1)} envelopes a second of this member`,
      'send less, or more readings in each payload, or hold more stake',
      WAITING_AFTER_MS,
    );
  if (member.unsolid > 0)
    add(
      'unsolid',
      false,
      `${member.unsolid} envelopes wait for ${member.missing} parents that no peer has given out yet`,
      'look at the peers: whoever issued them does not give out what they stand on',
      UNSOLID_AFTER_MS,
    );
  if (member.equivocators.length > 0)
    add(
      'equivocation',
      false,
      `${names(member.equivocators)} sent two envelopes in one slot`,
      'whoever runs it: one key runs in one process, and member/ is never restored from a copy',
    );
  if (member.barred.length > 0)
    add(
      'barred',
      member.barred.includes(self),
      `${names(member.barred)} put a payload with a false signature into an envelope: its own payloads are ignored`,
      'whoever runs it has to answer for it; another member takes its devices',
    );
  return findings;
}
