/** `itc status`: what runs and, where something does not, why, since when, and what to do. */
import type { Concern, NodeStatus, ProcessStatus } from '@itc/client/api.js';
import { openClient } from '../wallet.ts';
import type { Call, Command } from '../terminal/command.ts';
import { formatCount, formatDuration, table } from '../terminal/output.ts';

export const status: Command = {
  name: 'status',
  help: `itc status [--why]

Height, view, quorum, subnets and processes, each with a reason where something is not well.
Exit code 0 when the system is ready, 1 when it is not.

Options:
  --why   for each node what is not as it should be, since when, and what to do; one line when all is well. Asks every
          process of a devnet, or the one at --api. Exit code 1 when something keeps a node from its work (marked !), or
          a process of the devnet does not run; 0 when all is well or only deserves a look.`,
  options: { why: { type: 'boolean' } },
  wordless: true,
  run: async (call) => {
    const answer = await openClient(call.api).status();
    if (call.options['why'] === true) return why(call, answer);
    const reasons = reasonsOf(answer);
    const head = answer.ready ? 'ready' : `NOT READY  ${answer.reason ?? ''}`;
    call.output.result(answer, [
      head,
      ...facts(answer),
      ...(reasons.length > 0 ? ['', 'Not well (itc status --why tells more):', ...reasons] : []),
    ]);
    return answer.ready ? 0 : 1;
  },
};

interface NodeConcerns {
  readonly name: string;
  readonly role: string;
  readonly healthy: boolean;
  readonly concerns: readonly Concern[];
}

async function why(call: Call, answer: NodeStatus): Promise<number> {
  const { processes } = answer;
  const nodes = processes === undefined ? [concernsOf(answer)] : await Promise.all(processes.map(ask));
  const healthy = nodes.every((node) => node.healthy);
  const many = nodes.length === 1 ? '' : ` with ${nodes.length} nodes`;
  const lines = together(nodes).flatMap(explained);
  call.output.result(
    { healthy, ready: answer.ready, nodes },
    lines.length > 0 ? lines : [`all is well${many}: height ${formatCount(answer.height)}`],
  );
  return healthy ? 0 : 1;
}

function concernsOf({ name, role, ready, reason, concerns = [], time }: NodeStatus): NodeConcerns {
  // A node says in one or the other way that it does not do its work.
  const isSaid = ready || concerns.some(({ serious }) => serious);
  const all = isSaid
    ? concerns
    : [
        {
          code: 'not-ready',
          part: 'chain',
          what: reason ?? 'not ready',
          todo: 'wait',
          since: time,
          serious: true,
        },
        ...concerns,
      ];
  return { name, role, healthy: !all.some(({ serious }) => serious), concerns: all };
}

/** One process of a devnet, by itself: what runs, or what its supervisor knows. */
async function ask({ name, role, state, reason, url, since }: ProcessStatus): Promise<NodeConcerns> {
  const down = (what: string): NodeConcerns => ({
    name,
    role,
    healthy: false,
    concerns: [
      {
        code: 'down',
        part: 'process',
        what,
        todo: `itc devnet start ${name}; its log tells more`,
        since: since ?? Date.now(),
        serious: true,
      },
    ],
  });
  // Voted out: it stands still for good.
  if (state === 'stopped' && reason === undefined) return { name, role, healthy: true, concerns: [] };
  if (state !== 'running') return down(reason ?? `it is ${state}`);
  if (url === undefined) return { name, role, healthy: true, concerns: [] };
  try {
    return concernsOf(await openClient(url).status());
  } catch {
    return down(`it runs, and does not answer at ${url}`);
  }
}

/** One concern, and all who have it. */
interface Shared {
  readonly names: string[];
  readonly concern: Concern;
}

/** What several nodes say in the same words is told once, since the first of them said so; what is serious comes first. */
function together(nodes: readonly NodeConcerns[]): Shared[] {
  const found = new Map<string, Shared>();
  for (const { name, concerns } of nodes)
    for (const concern of concerns) {
      const { code, part, what, todo, serious } = concern;
      const words = JSON.stringify([code, part, what, todo, serious]);
      const before = found.get(words);
      const since = Math.min(concern.since, before?.concern.since ?? concern.since);
      found.set(words, { names: [...(before?.names ?? []), name], concern: { ...concern, since } });
    }
  return [...found.values()].sort((a, b) => Number(b.concern.serious) - Number(a.concern.serious));
}

function explained({ names, concern: { part, what, todo, since, serious } }: Shared): string[] {
  const lasting = formatDuration(Math.max(0, Date.now() - since));
  return [
    `${serious ? '!' : '-'} ${names.join(', ')}  ${part}: ${what}`,
    `    since ${new Date(since).toISOString().slice(0, 19)}Z (${lasting})`,
    `    do: ${todo}`,
  ];
}

function facts(answer: NodeStatus): string[] {
  const { quorum, subnets, processes = [] } = answer;
  return [
    ...table([
      ['chain', answer.chain === '' ? 'unknown' : answer.chain],
      ['height', `${formatCount(answer.height)}  epoch ${answer.epoch}  view ${answer.view}`],
      ...proposing(answer),
      ...(answer.seat === undefined ? [] : [['seat', withReason(answer.seat)]]),
      ['transactions', formatCount(answer.transactions)],
      ['quorum', `${quorum.connected} of ${quorum.total} weight connected, ${quorum.strong} needed`],
      ...subnets.map((subnet) => [
        `subnet ${subnet.name}`,
        `checkpoint ${formatCount(subnet.checkpoint)}, ${formatCount(subnet.payloads)} payloads final, ${subnet.powBits} bits of work`,
      ]),
    ]),
    ...(processes.length === 0
      ? []
      : [
          '',
          ...table(
            processes.map((process) => [
              process.name,
              process.state,
              process.pid === undefined ? '' : `pid ${process.pid}`,
            ]),
          ),
        ]),
  ];
}

function proposing({ validators }: NodeStatus): string[][] {
  const name = (one: NodeStatus['validators'][number]): string => one.name ?? one.address;
  const proposer = validators.find((one) => one.proposer === true);
  const skipped = validators.filter((one) => one.skipped === true);
  if (proposer === undefined) return [];
  const away = skipped.length === 0 ? '' : `; no turn for ${skipped.map(name).join(', ')}`;
  return [['proposer', `${name(proposer)}${away}`]];
}

function withReason({ role, reason }: NonNullable<NodeStatus['seat']>): string {
  return reason === undefined ? role : `${role}: ${reason}`;
}

function reasonsOf(answer: NodeStatus): string[] {
  const { quorum, subnets, processes = [] } = answer;
  // The first one is in the headline when the node is not ready.
  const headline = answer.ready ? undefined : answer.reason;
  const reasons = [
    ...(quorum.reason === undefined || quorum.reason === headline ? [] : [`quorum: ${quorum.reason}`]),
    ...subnets.flatMap((subnet) =>
      subnet.reason === undefined || subnet.reason === headline
        ? []
        : [`subnet ${subnet.name}: ${subnet.reason}`],
    ),
    ...processes.flatMap((process) =>
      process.reason === undefined ? [] : [`${process.name} ${process.reason}`],
    ),
  ];
  return [...new Set(reasons)];
}
