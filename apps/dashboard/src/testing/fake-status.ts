/** `/status` of the fake devnet, reasons included. */
import type { Status } from '../wire.ts';
import type { FakeWorld } from './fake-world.ts';

const STRONG = 3;

export function fakeStatus(world: FakeWorld): Status {
  const up = world.validators.filter((validator) => world.running(validator.name));
  const away = world.validators
    .filter((validator) => !world.running(validator.name))
    .map((validator) => validator.name);
  const connected = up.length;
  const stalled =
    connected < STRONG
      ? `validators with ${connected} of 4 weight are connected and ${STRONG} are needed; ${away.join(' and ')} ${away.length === 1 ? 'does' : 'do'} not answer`
      : undefined;
  const membersUp = world.members.filter((member) => world.running(member.name)).length;
  const subnetStalled =
    membersUp < STRONG
      ? `members with ${membersUp} of 4 stake are connected and ${STRONG} are needed for a checkpoint`
      : undefined;
  const reason = stalled ?? (subnetStalled === undefined ? undefined : `subnet home: ${subnetStalled}`);
  const last = world.blocks[world.blocks.length - 1];
  const checkpoint = world.checkpoints[world.checkpoints.length - 1];
  const open = world.vertices.filter((vertex) => vertex.state !== 'final');
  const peers = [...world.validators, ...world.members.slice(1)].map(({ name, address }, i) => ({
    name,
    address,
    role: name.replace(/-\d+$/, ''),
    connected: world.running(name),
    ...(world.running(name) ? { rttMs: 1 + ((i * 7) % 5) } : { reason: 'connection refused; retrying' }),
  }));
  return {
    ready: reason === undefined,
    ...(reason === undefined ? {} : { reason }),
    chain: world.chain,
    chainName: 'devnet',
    name: 'gateway-1',
    version: '0.1.0',
    role: 'gateway',
    address: world.members[0]?.address ?? '',
    time: world.time,
    height: world.height,
    finalisedHeight: world.height,
    view: world.view,
    epoch: 1,
    ...(last === undefined ? {} : { blockTime: last.time }),
    blocksPerMinute: world.blocks.filter((block) => block.time > world.time - 60_000).length,
    transactions: world.transactions,
    peers,
    validators: world.validators.map((validator) => ({
      ...validator,
      connected: world.running(validator.name),
      primary: validator.index === world.view % 4,
    })),
    quorum: { total: 4, strong: STRONG, connected, ...(stalled === undefined ? {} : { reason: stalled }) },
    subnets: [
      {
        id: world.subnet,
        name: 'home',
        checkpoint: checkpoint?.sequence ?? 0,
        ...(checkpoint === undefined ? {} : { checkpointTime: checkpoint.time }),
        payloads: world.payloadsFinal,
        members: world.members.map((member) => ({ ...member, connected: world.running(member.name) })),
        pending: { payloads: open.reduce((sum, vertex) => sum + vertex.payloads, 0), envelopes: open.length },
        tips: Math.min(4, open.length),
        powBits: 8,
        ...(subnetStalled === undefined ? {} : { reason: subnetStalled }),
      },
    ],
    processes: [...world.processes].map(([name, { role, state, restarts }], i) => ({
      name,
      role,
      pid: 4100 + i,
      state,
      restarts,
    })),
  };
}
