/** One list of all that runs, from three views of it: validators, peers and (on a devnet) processes. Pure. */
import { processDetail, processTone, type Tone } from './words.ts';
import type { Process, Status } from './wire.ts';

export type NodeRole = 'validator' | 'gateway' | 'member' | 'home' | 'other';

export interface NodeRow {
  readonly name: string;
  readonly role: NodeRole;
  readonly tone: Tone;
  readonly detail: string;
  readonly address?: string;
  readonly weight?: number;
  readonly primary: boolean;
  readonly rttMs?: number;
  /** Where the devnet front lets this page stop and start it. */
  readonly process?: Process;
}

const ROLES: readonly NodeRole[] = ['validator', 'gateway', 'member', 'home', 'other'];

function roleOf(role: string): NodeRole {
  return ROLES.find((known) => known === role) ?? 'other';
}

export function nodeRows(status: Status): NodeRow[] {
  const rows = new Map<string, NodeRow>();
  const processes = new Map((status.processes ?? []).map((process) => [process.name, process]));
  const peers = new Map(status.peers.map((peer) => [peer.address, peer]));
  const self = status.address;

  const add = (
    address: string,
    given: string | undefined,
    role: NodeRole,
    connected: boolean,
    more: Partial<NodeRow>,
  ): void => {
    const peer = peers.get(address);
    const name = given ?? peer?.name ?? `${role} ${address.slice(0, 10)}…`;
    const process = processes.get(name);
    const troubled = process !== undefined && process.state !== 'running';
    const up = connected || address === self;
    const detail = troubled
      ? processDetail(process)
      : up
        ? address === self
          ? 'answers this page'
          : 'connected'
        : (peer?.reason ?? process?.reason ?? 'not connected');
    rows.set(name, {
      name,
      role,
      tone: troubled ? processTone(process) : up ? 'good' : 'bad',
      detail,
      address,
      primary: false,
      ...(up && peer?.rttMs !== undefined ? { rttMs: peer.rttMs } : {}),
      ...(process === undefined ? {} : { process }),
      ...more,
    });
  };

  for (const v of status.validators)
    add(v.address, v.name, 'validator', v.connected, { weight: v.weight, primary: v.primary });
  const known = new Set(status.validators.map((v) => v.address));
  for (const peer of status.peers)
    if (!known.has(peer.address)) add(peer.address, peer.name, roleOf(peer.role), peer.connected, {});
  for (const peer of status.peers) known.add(peer.address);
  for (const subnet of status.subnets)
    for (const member of subnet.members)
      if (!known.has(member.address)) {
        known.add(member.address);
        add(member.address, member.name, 'member', member.connected, {});
      }
  for (const process of processes.values())
    if (!rows.has(process.name))
      rows.set(process.name, {
        name: process.name,
        role: roleOf(process.role),
        tone: processTone(process),
        detail: processDetail(process),
        primary: false,
        process,
      });
  // A process knows its role best: a gateway is a subnet member too.
  const merged = [...rows.values()].map((row) =>
    row.process === undefined ? row : { ...row, role: roleOf(row.process.role) },
  );
  return merged.sort(
    (a, b) =>
      ROLES.indexOf(a.role) - ROLES.indexOf(b.role) || a.name.localeCompare(b.name, 'en', { numeric: true }),
  );
}
