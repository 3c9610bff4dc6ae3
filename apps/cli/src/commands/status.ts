/** `itc status`: what runs and, where something does not, why. */
import type { NodeStatus } from '@itc/client/api.js';
import { openClient } from '../wallet.ts';
import type { Command } from '../terminal/command.ts';
import { formatCount, table } from '../terminal/output.ts';

export const status: Command = {
  name: 'status',
  help: `itc status [--why]

Height, view, quorum, subnets and processes, each with a reason where something is not well.
Exit code 0 when the system is ready, 1 when it is not.

Options:
  --why   only what is not well`,
  options: { why: { type: 'boolean' } },
  run: async (call) => {
    const answer = await openClient(call.api).status();
    const reasons = reasonsOf(answer);
    const head = answer.ready ? 'ready' : `NOT READY  ${answer.reason ?? ''}`;
    const lines =
      call.options['why'] === true
        ? reasons.length === 0
          ? ['all is well']
          : reasons
        : [head, ...facts(answer), ...(reasons.length > 0 ? ['', 'Not well:', ...reasons] : [])];
    call.output.result(call.options['why'] === true ? { ready: answer.ready, reasons } : answer, lines);
    return answer.ready ? 0 : 1;
  },
};

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
  return [
    ...(answer.ready || answer.reason === undefined ? [] : [answer.reason]),
    ...(quorum.reason === undefined ? [] : [`quorum: ${quorum.reason}`]),
    ...subnets.flatMap((subnet) =>
      subnet.reason === undefined ? [] : [`subnet ${subnet.name}: ${subnet.reason}`],
    ),
    ...processes.flatMap((process) =>
      process.reason === undefined ? [] : [`${process.name} ${process.reason}`],
    ),
  ];
}
