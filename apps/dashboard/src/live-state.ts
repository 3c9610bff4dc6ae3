/**
 * Everything the page knows, and how events and answers change it. Pure: same state and events, same
 * result; the moment of arrival is an argument. Every list has a bound, however long the page stays open.
 */
import type {
  BlockSummary,
  Checkpoint,
  CommandState,
  Device,
  LiveEvent,
  Reading,
  Status,
  SubnetState,
  Vertex,
} from './wire.ts';

export const BOUNDS = {
  blocks: 120,
  vertices: 400,
  checkpoints: 60,
  readings: 200,
  commands: 200,
  devices: 2000,
  /** Samples behind the finality figure. */
  finality: 240,
} as const;

/** A vertex as this page has seen it; moments are of this page's clock. */
export interface SeenVertex extends Vertex {
  readonly seenAt: number;
  readonly changedAt: number;
  /** True when the stream brought it, so that `seenAt` is when it appeared and not when this page loaded. */
  readonly witnessed: boolean;
  /** Sequence of the checkpoint that made it final, when this page saw that happen. */
  readonly checkpoint?: number;
}

export interface SubnetView {
  /** In order of time, oldest first. */
  readonly vertices: readonly SeenVertex[];
  /** Newest first. */
  readonly checkpoints: readonly Checkpoint[];
}

export interface LiveState {
  readonly status: Status | undefined;
  /** Newest first. */
  readonly blocks: readonly BlockSummary[];
  readonly devices: ReadonlyMap<string, Device>;
  readonly subnets: ReadonlyMap<string, SubnetView>;
  /** Newest first. */
  readonly commands: readonly CommandState[];
  /** Newest first, as the stream (throttled by the node) brings them. */
  readonly readings: readonly Reading[];
  /** Milliseconds from seeing an envelope to seeing it final, newest last. */
  readonly finality: readonly number[];
}

export const EMPTY_STATE: LiveState = {
  status: undefined,
  blocks: [],
  devices: new Map(),
  subnets: new Map(),
  commands: [],
  readings: [],
  finality: [],
};

const EMPTY_SUBNET: SubnetView = { vertices: [], checkpoints: [] };

/** An envelope that comes this long after its time was replayed by a resumed stream, not just issued. */
const FRESH_MS = 2_000;

/** `at` is this page's clock, `skewMs` what the node's is ahead of it. */
export function reduce(state: LiveState, event: LiveEvent, at: number, skewMs = 0): LiveState {
  switch (event.kind) {
    case 'block':
      return withBlocks(state, [event.block]);
    case 'envelope':
      return withVertices(
        state,
        event.subnet,
        [event.vertex],
        at,
        Math.abs(at + skewMs - event.vertex.time) < FRESH_MS,
      );
    case 'weight':
      return withAccepted(state, event.subnet, event.accepted, at);
    case 'checkpoint':
      return withCheckpoint(state, event, at);
    case 'reading':
      return withReading(state, event.reading);
    case 'command':
      return withCommands(state, [event.command]);
    case 'device':
      return withDevices(state, [event.device]);
    case 'status':
      return state.status === undefined ? state : { ...state, status: { ...state.status, ...event.status } };
  }
}

/** A front without a living node answers with an empty status: what was known stays, marked as away. */
export function withStatus(state: LiveState, status: Status): LiveState {
  const known = state.status;
  if (status.chain !== '' || known === undefined || known.chain === '') return { ...state, status };
  const away = <T extends { readonly connected: boolean }>(node: T): T => ({ ...node, connected: false });
  const { reason, processes } = status;
  const next: Status = {
    ...known,
    ready: false,
    ...(reason === undefined ? {} : { reason }),
    ...(processes === undefined ? {} : { processes }),
    // Nobody answers this page now.
    address: '',
    blocksPerMinute: 0,
    validators: known.validators.map(away),
    peers: known.peers.map(away),
    quorum: { ...known.quorum, connected: 0 },
    subnets: known.subnets.map((subnet) => ({ ...subnet, members: subnet.members.map(away) })),
  };
  return { ...state, status: next };
}

/** Blocks may arrive twice (stream and list) or after a gap; the highest come first. */
export function withBlocks(state: LiveState, blocks: readonly BlockSummary[]): LiveState {
  const byHeight = new Map(state.blocks.map((block) => [block.height, block]));
  for (const block of blocks) byHeight.set(block.height, block);
  const sorted = [...byHeight.values()].sort((a, b) => b.height - a.height).slice(0, BOUNDS.blocks);
  const top = sorted[0]?.height ?? 0;
  const { status } = state;
  const next = { ...state, blocks: sorted };
  if (status === undefined || top <= status.finalisedHeight) return next;
  // A block on the stream is certified, so the heights may follow it before the next status arrives.
  return { ...next, status: { ...status, finalisedHeight: top, height: Math.max(status.height, top) } };
}

export function withDevices(state: LiveState, devices: readonly Device[]): LiveState {
  const next = new Map(state.devices);
  for (const device of devices) {
    const known = next.get(device.address);
    if (known === undefined && next.size >= BOUNDS.devices) continue;
    // A stream event may carry less than the list did; what it leaves out stays as it was.
    next.set(
      device.address,
      known === undefined ? { ...device, latest: device.latest ?? [] } : { ...known, ...device },
    );
  }
  return { ...state, devices: next };
}

export function withCommands(state: LiveState, commands: readonly CommandState[]): LiveState {
  const byId = new Map(state.commands.map((command) => [command.id, command]));
  for (const command of commands) {
    const known = byId.get(command.id);
    if (known === undefined) {
      byId.set(command.id, command);
      continue;
    }
    // What it waited for is over unless the newer word says it again.
    const { waiting: _, ...rest } = known;
    byId.set(command.id, { ...rest, ...command, stages: { ...known.stages, ...command.stages } });
  }
  const begun = (command: CommandState): number => startedAt(command) ?? Number.POSITIVE_INFINITY;
  const sorted = [...byId.values()]
    .map((command, i) => ({ command, i, time: begun(command) }))
    .sort((a, b) => (a.time === b.time ? a.i - b.i : b.time - a.time))
    .slice(0, BOUNDS.commands)
    .map((entry) => entry.command);
  let next: LiveState = { ...state, commands: sorted };
  // The lamp is as its newest answer says, in whatever order the answers arrive.
  const newest = new Map<string, CommandState>();
  for (const command of sorted) {
    const answered = newest.get(command.device)?.stages.acknowledged ?? 0;
    if (command.state !== undefined && (command.stages.acknowledged ?? 0) > answered)
      newest.set(command.device, command);
  }
  for (const { id, device: address } of commands) {
    const device = next.devices.get(address);
    const answer = newest.get(address);
    if (device !== undefined && answer?.id === id && answer.state !== undefined)
      next = withDevices(next, [{ ...device, state: answer.state }]);
  }
  return next;
}

/** The earliest moment known of a command; undefined until the node has told of one. */
export function startedAt(command: CommandState): number | undefined {
  const { sent, inDag, final } = command.stages;
  const known = [sent, inDag, final].filter((time): time is number => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function withReading(state: LiveState, reading: Reading): LiveState {
  const readings = [reading, ...state.readings.filter((known) => known.id !== reading.id)].slice(
    0,
    BOUNDS.readings,
  );
  const device = state.devices.get(reading.device);
  if (device === undefined) return { ...state, readings };
  const { name, unit, value, time } = reading;
  const others = device.latest.filter((latest) => latest.name !== name);
  const known = device.latest.find((latest) => latest.name === name);
  // The stream is not in order of measurement; an older value does not replace a newer one.
  if (known !== undefined && known.time > time) return { ...state, readings };
  const fresh = unit === undefined ? { name, value, time } : { name, unit, value, time };
  const latest =
    known === undefined ? [...others, fresh] : device.latest.map((old) => (old.name === name ? fresh : old));
  const lastSeen = Math.max(device.lastSeen ?? 0, time);
  return withDevices({ ...state, readings }, [{ ...device, latest, lastSeen, online: true }]);
}

const RANK = { pending: 0, accepted: 1, final: 2 } as const;

/** A vertex only ever advances: an answer older than the stream does not take a state back. */
export function withVertices(
  state: LiveState,
  subnet: string,
  vertices: readonly Vertex[],
  at: number,
  witnessed = false,
): LiveState {
  return withSubnet(state, subnet, (view) => {
    const byHash = new Map(view.vertices.map((vertex) => [vertex.hash, vertex]));
    for (const vertex of vertices) {
      const known = byHash.get(vertex.hash);
      if (known === undefined) byHash.set(vertex.hash, { ...vertex, seenAt: at, changedAt: at, witnessed });
      else if (RANK[vertex.state] > RANK[known.state])
        byHash.set(vertex.hash, { ...known, ...vertex, changedAt: at });
      else byHash.set(vertex.hash, { ...known, weight: Math.max(known.weight, vertex.weight) });
    }
    const sorted = [...byHash.values()].sort((a, b) => a.time - b.time || (a.hash < b.hash ? -1 : 1));
    return { ...view, vertices: sorted.slice(-BOUNDS.vertices) };
  });
}

function withAccepted(state: LiveState, subnet: string, accepted: readonly string[], at: number): LiveState {
  const hashes = new Set(accepted);
  return withSubnet(state, subnet, (view) => ({
    ...view,
    vertices: view.vertices.map((vertex) =>
      hashes.has(vertex.hash) && vertex.state === 'pending'
        ? { ...vertex, state: 'accepted', weight: Math.max(vertex.weight, 2 / 3), changedAt: at }
        : vertex,
    ),
  }));
}

function withCheckpoint(
  state: LiveState,
  event: Extract<LiveEvent, { kind: 'checkpoint' }>,
  at: number,
): LiveState {
  const hashes = new Set(event.final);
  const samples: number[] = [];
  const known = state.subnets.get(event.subnet) ?? EMPTY_SUBNET;
  for (const vertex of known.vertices)
    if (hashes.has(vertex.hash) && vertex.state !== 'final' && vertex.witnessed)
      samples.push(at - vertex.seenAt);
  const next = withSubnet(state, event.subnet, (view) => ({
    vertices: view.vertices.map((vertex) =>
      hashes.has(vertex.hash) && vertex.state !== 'final'
        ? { ...vertex, state: 'final', checkpoint: event.sequence, changedAt: at }
        : vertex,
    ),
    checkpoints: mergeCheckpoints(view.checkpoints, [
      {
        sequence: event.sequence,
        hash: event.checkpoint.hash ?? '',
        time: event.checkpoint.time ?? at,
        envelopes: event.checkpoint.envelopes ?? event.final.length,
        payloads: event.checkpoint.payloads ?? 0,
        ...(event.checkpoint.height === undefined ? {} : { height: event.checkpoint.height }),
      },
    ]),
  }));
  return { ...advanceSubnet(next, event), finality: [...state.finality, ...samples].slice(-BOUNDS.finality) };
}

/** The status card follows the stream between two answers of `/status`. */
function advanceSubnet(state: LiveState, event: Extract<LiveEvent, { kind: 'checkpoint' }>): LiveState {
  const { status } = state;
  if (status === undefined) return state;
  const advance = (subnet: SubnetState): SubnetState => {
    if (subnet.id !== event.subnet || event.sequence <= subnet.checkpoint) return subnet;
    const { time, payloads } = event.checkpoint;
    return {
      ...subnet,
      checkpoint: event.sequence,
      payloads: subnet.payloads + (payloads ?? 0),
      ...(time === undefined ? {} : { checkpointTime: time }),
    };
  };
  return { ...state, status: { ...status, subnets: status.subnets.map(advance) } };
}

export function withCheckpoints(
  state: LiveState,
  subnet: string,
  checkpoints: readonly Checkpoint[],
): LiveState {
  return withSubnet(state, subnet, (view) => ({
    ...view,
    checkpoints: mergeCheckpoints(view.checkpoints, checkpoints),
  }));
}

function mergeCheckpoints(known: readonly Checkpoint[], fresh: readonly Checkpoint[]): Checkpoint[] {
  const bySequence = new Map(known.map((checkpoint) => [checkpoint.sequence, checkpoint]));
  for (const checkpoint of fresh)
    bySequence.set(checkpoint.sequence, { ...bySequence.get(checkpoint.sequence), ...checkpoint });
  return [...bySequence.values()].sort((a, b) => b.sequence - a.sequence).slice(0, BOUNDS.checkpoints);
}

function withSubnet(state: LiveState, subnet: string, change: (view: SubnetView) => SubnetView): LiveState {
  const subnets = new Map(state.subnets);
  subnets.set(subnet, change(subnets.get(subnet) ?? EMPTY_SUBNET));
  return { ...state, subnets };
}
