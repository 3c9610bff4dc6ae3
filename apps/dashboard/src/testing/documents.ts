/** Small documents for tests: what a test does not say has a plain value. */
import type { SeenVertex } from '../live-state.ts';
import type { CommandState, Device, Status, Vertex } from '../wire.ts';

export function statusOf(more: Partial<Status> = {}): Status {
  return {
    ready: true,
    chain: '00'.repeat(32),
    name: 'gateway-1',
    version: '0.1.0',
    role: 'gateway',
    address: 'itc1self',
    time: 1_000_000,
    height: 10,
    finalisedHeight: 10,
    view: 0,
    epoch: 0,
    blocksPerMinute: 60,
    transactions: 100,
    peers: [],
    validators: [0, 1, 2, 3].map((index) => ({
      index,
      address: `itc1validator${index}`,
      name: `validator-${index + 1}`,
      weight: 1,
      connected: true,
      primary: index === 0,
    })),
    quorum: { total: 4, strong: 3, connected: 4 },
    subnets: [],
    ...more,
  };
}

/** The same with some validators away. */
export function statusWithout(...away: readonly number[]): Status {
  const base = statusOf();
  const connected = 4 - away.length;
  return {
    ...base,
    ready: connected >= 3,
    validators: base.validators.map((v) => ({ ...v, connected: !away.includes(v.index) })),
    quorum: { total: 4, strong: 3, connected },
    ...(connected >= 3 ? {} : { reason: `${connected} of 4 weight answers and 3 are needed` }),
  };
}

export function vertexOf(hash: string, more: Partial<Vertex> = {}): Vertex {
  return {
    hash,
    issuer: 0,
    lane: 0,
    sequence: 1,
    parents: [],
    time: 0,
    payloads: 1,
    weight: 0,
    state: 'pending',
    ...more,
  };
}

/**
 * A DAG from text, one vertex per word: `a b:a c:a,b` names parents after the colon. Issuers take turns in
 * rows of two, time advances by 100 ms per word.
 */
export function graphOf(text: string): SeenVertex[] {
  return text.split(/\s+/).map((word, i) => {
    const [hash = '', parents = ''] = word.split(':');
    const names = parents === '' ? [] : parents.split(',');
    const vertex = vertexOf(hash, { issuer: i % 2, parents: names, time: 100 * i, sequence: i + 1 });
    return { ...vertex, seenAt: 0, changedAt: 0, witnessed: true };
  });
}

export function deviceOf(address: string, more: Partial<Device> = {}): Device {
  return { address, name: address, registered: true, online: true, latest: [], ...more };
}

export function commandOf(id: string, more: Partial<CommandState> = {}): CommandState {
  return { id, device: 'lamp', signer: 'itc1me', action: { kind: 'on' }, stages: { sent: 1000 }, ...more };
}
