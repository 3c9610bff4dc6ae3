/** What an operator wants to know first: is it well, and if not, why, in a sentence. */
import { toHex } from '@itc/core/bytes/hex.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { view as toView } from '@itc/core/ledger/ids.js';
import { quorumOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { proposerOf, scheduleOf } from '@itc/core/pbft/schedule.js';
import type { Static } from 'typebox';
import type { Status, SubnetStatus } from '../api/schemas.ts';
import type { NodeProcess } from './process.ts';

export type StatusAnswer = Omit<Static<typeof Status>, 'concerns'>;

/** Without a block for this long, the chain stands still: heartbeats come every five seconds. */
const STILL_MS = 12_000;
/** A checkpoint that is due for this long is late. */
const CHECKPOINT_LATE_MS = 15_000;
const MINUTE_MS = 60_000;

/** Remembers the times of blocks to tell their rate. */
export class BlockRate {
  #times: number[] = [];

  note(now: number): void {
    this.#times.push(now);
    this.#trim(now);
  }

  perMinute(now: number): number {
    this.#trim(now);
    return this.#times.length;
  }

  #trim(now: number): void {
    const first = this.#times.findIndex((time) => time > now - MINUTE_MS);
    this.#times = first < 0 ? [] : this.#times.slice(first);
  }
}

export function statusOf(node: NodeProcess, version: string, rate: BlockRate): StatusAnswer {
  const { chain, config, genesis, consensus } = node;
  const { epoch, validators } = chain.epoch;
  const now = node.clock.now();
  const connected = new Set([node.transport.self, ...node.transport.peers().map((peer) => peer.id)]);
  const names = new Map([
    [node.transport.self, config.name],
    ...config.peers.map((peer): [string, string] => [peer.key, peer.name]),
  ]);
  const replica = consensus?.status();
  const view = replica?.view ?? chainView(node);
  const quorum = quorumStatus(validators, connected, names);
  const seat = consensus?.seat();
  // Without a replica of its own, a node knows the schedule but not who is skipped.
  const proposer =
    replica?.proposer ?? proposerOf(scheduleOf(validators.length, 0), toView(view), chain.height + 1);
  const subnets = [...chain.state.subnets()].map(({ id }) => subnetStatus(node, id, connected, names, now));
  const age = now - chain.time;
  const target = Math.max(node.observer?.syncTarget ?? 0, consensus?.syncTarget ?? 0);
  const reason =
    failureReason(node.consensus?.failure ?? node.observer?.failure ?? node.subnet?.failure) ??
    fullReason(consensus?.full ?? node.observer?.full) ??
    (quorum.reason === undefined ? undefined : `no block can be final: ${quorum.reason}`) ??
    (chain.height === 0 ? 'the first block has not been committed yet' : undefined) ??
    node.snapshots.progress ??
    (node.observer?.isPruned === true
      ? `block ${chain.height + 1} is missing, and every peer in sight has pruned it: connect a node that keeps all blocks`
      : undefined) ??
    (target > chain.height + 8 ? `catching up: at height ${chain.height} of ${target}` : undefined) ??
    (age > STILL_MS
      ? `no block for ${Math.round(age / 1_000)} s: ${replica?.reason ?? 'the validators do not agree'}`
      : undefined) ??
    (replica !== undefined && replica.phase !== 'normal' ? replica.reason : undefined) ??
    (seat?.role === 'observer' && validators.some(({ key }) => toHex(key.bytes) === node.transport.self)
      ? seat.reason
      : undefined);
  return {
    ready: reason === undefined,
    ...(reason === undefined ? {} : { reason }),
    chain: toHex(chain.id),
    chainName: genesis.name,
    name: config.name,
    version,
    role: config.role,
    address: formatAddress(node.keys.address),
    time: now,
    height: chain.height,
    finalisedHeight: chain.height,
    view,
    epoch,
    ...(seat === undefined ? {} : { seat }),
    blockTime: chain.time,
    blocksPerMinute: rate.perMinute(now),
    transactions: chain.transactionCount,
    peers: config.peers.map((peer) => ({
      name: peer.name,
      address: formatAddress(addressOf({ algorithm: 1, bytes: Buffer.from(peer.key, 'hex') })),
      role: peer.role,
      connected: connected.has(peer.key),
      ...(connected.has(peer.key) ? {} : { reason: `no connection to ${peer.host}:${peer.port}` }),
    })),
    validators: validators.map((validator, index) => {
      const id = toHex(validator.key.bytes);
      const name = names.get(id);
      return {
        index,
        address: formatAddress(addressOf(validator.key)),
        ...(name === undefined ? {} : { name }),
        weight: validator.weight,
        connected: connected.has(id),
        primary: index === view % validators.length,
        proposer: index === proposer,
        skipped: replica?.skipped.includes(index) === true,
      };
    }),
    quorum,
    subnets,
    ...(replica === undefined ? {} : { consensus: replica }),
  };
}

function failureReason(failure: unknown): string | undefined {
  if (failure === undefined) return undefined;
  return `stopped by an error: ${failure instanceof Error ? failure.message : 'unknown'}; see the log`;
}

function fullReason(error: Error | undefined): string | undefined {
  return (
    error && `${error.message}: nothing new is taken, what is here is kept; it goes on when there is room`
  );
}

/** An observer knows the view from the last certificate; a new epoch begins in view 0. */
function chainView({ chain }: NodeProcess): number {
  return chain.height < chain.epoch.since ? 0 : (chain.blockAt(chain.height)?.certificate.view ?? 0);
}

function quorumStatus(
  set: ValidatorSet,
  connected: ReadonlySet<string>,
  names: ReadonlyMap<string, string>,
): StatusAnswer['quorum'] {
  const { total, strong } = quorumOf(set.map((validator) => validator.weight));
  let weight = 0;
  const missing: string[] = [];
  for (const validator of set) {
    const id = toHex(validator.key.bytes);
    if (connected.has(id)) weight += validator.weight;
    else missing.push(names.get(id) ?? id.slice(0, 8));
  }
  const reason =
    weight >= strong
      ? undefined
      : `${weight} of ${total} validator weight is connected, ${strong} is needed; missing: ${missing.join(', ')}`;
  return { total, strong, connected: weight, ...(reason === undefined ? {} : { reason }) };
}

function subnetStatus(
  node: NodeProcess,
  id: Hash,
  connected: ReadonlySet<string>,
  names: ReadonlyMap<string, string>,
  now: number,
): Static<typeof SubnetStatus> {
  const record = node.chain.state.subnet(id);
  if (record === undefined) throw new RangeError('the subnet was just listed');
  const ours = node.subnet !== undefined && toHex(node.subnet.id) === toHex(id) ? node.subnet : undefined;
  const member = ours?.status();
  const members = record.members.map(({ key, weight }, index) => {
    const peer = toHex(key.bytes);
    const name = names.get(peer);
    return {
      index,
      address: formatAddress(addressOf(key)),
      ...(name === undefined ? {} : { name }),
      weight,
      connected: connected.has(peer),
    };
  });
  const { strong, total } = quorumOf(record.members.map((m) => m.weight));
  const present = members.reduce((sum, m) => sum + (m.connected ? m.weight : 0), 0);
  // A certificate on its way to the main chain is the normal course of things, until it takes long.
  const isUnderWay =
    member?.submitted === true && now - Math.max(record.lastTime, node.chain.time) < CHECKPOINT_LATE_MS;
  const memberReason = isUnderWay ? undefined : member?.reason;
  const reason =
    ours === undefined
      ? undefined
      : (ours.obstacle ??
        memberReason ??
        (present < strong
          ? `${present} of ${total} stake is connected, ${strong} is needed for a checkpoint; missing: ${members
              .filter((m) => !m.connected)
              .map((m) => m.name ?? m.address)
              .join(', ')}`
          : undefined) ??
        ((member?.pending ?? 0) > 0 && record.lastSequence > 0 && now - record.lastTime > CHECKPOINT_LATE_MS
          ? `${member?.pending ?? 0} envelopes wait for a checkpoint since ${Math.round((now - record.lastTime) / 1_000)} s${member?.submitted === true ? ': the main chain has not committed it' : ''}`
          : undefined));
  return {
    id: toHex(id),
    name: record.name,
    checkpoint: record.lastSequence,
    checkpointTime: record.lastTime,
    payloads: record.payloads,
    envelopes: record.envelopes,
    members,
    ...(member === undefined
      ? {}
      : { pending: { payloads: ours?.waiting ?? 0, envelopes: member.pending }, tips: member.tips }),
    powBits: record.powBits,
    ...(reason === undefined ? {} : { reason }),
  };
}
