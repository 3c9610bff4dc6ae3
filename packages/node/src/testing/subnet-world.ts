/**
 * Members of a subnet over fakes: one virtual clock, links that can be cut and lose messages, disks that fill up and
 * lose power, and one main chain with real signatures that can be out of reach. Hours pass in seconds.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { compareBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import type { Timing } from '@itc/core/dag/effects.js';
import { decodeMessage } from '@itc/core/dag/messages.js';
import type { Certificate } from '@itc/core/ledger/block.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import type { CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, height, millis, SUPPLY, view, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import { encodePayload, parsePayload, payloadSigningBytes, type Payload } from '@itc/core/ledger/payload.js';
import { memberPossessionBytes, type MemberStake } from '@itc/core/ledger/bodies/membership.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import type { Body } from '@itc/core/ledger/body.js';
import {
  encodeTransaction,
  transactionSigningBytes,
  type UnsignedTransaction,
} from '@itc/core/ledger/transaction.js';
import { bitmapOf, sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { KeyPair } from '../crypto/keypair.ts';
import { verifyNative } from '../crypto/native.ts';
import { VerifyPool } from '../crypto/verify-pool.ts';
import { MemoryHub, MemoryTransport } from '../network/memory-transport.ts';
import type { Transport } from '../ports.ts';
import { SeededRandom } from '../random.ts';
import { Chain } from '../runtime/chain.ts';
import { CHANNELS } from '../runtime/channels.ts';
import { Hops } from '../runtime/hops.ts';
import type { Logger } from '../runtime/logger.ts';
import type { SubnetChain } from '../runtime/subnet-chain.ts';
import { firstMembers } from '../runtime/subnet-peers.ts';
import { SubnetPins } from '../runtime/subnet-pins.ts';
import { proofOfReading } from '../runtime/subnet-proof.ts';
import {
  logBytes,
  segmentBytes,
  SubnetRetention,
  type RetentionPolicy,
} from '../runtime/subnet-retention.ts';
import { SubnetStore } from '../runtime/subnet-store.ts';
import { Subnet } from '../runtime/subnet.ts';
import { BlockLog } from '../storage/block-log.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { SegmentStore } from '../storage/segment-store.ts';
import { WriteAheadLog } from '../storage/write-ahead-log.ts';
import { ManualClock } from './manual-clock.ts';

/** Members look at the clock this often. */
const STEP_MS = 50;
const BLOCK_MS = 250;
const BOND = 1_000n * UNITS_PER_ITC;

export interface WorldPlan {
  readonly members?: number;
  readonly seed?: number;
  readonly policy?: RetentionPolicy;
  /** Size at which a segment is finished; it decides how soon pruning can unlink it. */
  readonly segmentBytes?: number;
  readonly timing?: Partial<Timing>;
  /** Share of messages between members that is lost, 0 to 1. */
  readonly loss?: number;
  /** Members by stake: the subnet is founded by the treasury, with 10 ITC for each member. */
  readonly staked?: boolean;
}

/** One member as a process: what is in memory goes with `kill`, disk and tables stay. */
export interface Member {
  readonly index: number;
  readonly keys: KeyPair;
  disk: MemoryDisk;
  readonly tables: MemoryTables;
  /** Whether it hears of the main chain, and is heard by it. */
  reachesChain: boolean;
  running: Running | undefined;
}

interface Running {
  readonly subnet: Subnet;
  readonly store: SubnetStore;
  readonly transport: MemoryTransport;
  readonly silence: () => void;
}

export class SubnetWorld {
  readonly clock = new ManualClock();
  readonly hub = new MemoryHub();
  readonly members: Member[] = [];
  readonly subnet: Hash;
  readonly genesis: Genesis;
  chain!: Chain;
  readonly #plan: WorldPlan;
  readonly #random: SeededRandom;
  readonly #validator = pair(240);
  readonly #treasury = pair(200);
  #nonce = 0;
  readonly #pool = new VerifyPool({ workers: 0 });
  readonly #set: ValidatorSet;
  #submitted = new Map<string, VerifiedTransaction>();
  #blockAt = 0;
  #starts = 0;
  readonly #liars = new Set<string>();
  readonly #withholding = new Set<string>();

  private constructor(plan: WorldPlan) {
    this.#plan = plan;
    this.#random = new SeededRandom(plan.seed ?? 1);
    const keys = Array.from({ length: plan.members ?? 4 }, (_, i) => pair(i + 1));
    const treasury = this.#treasury;
    this.subnet = subnetId(treasury.address, 'home');
    this.#set = sortValidators(keys.map(({ publicKey }) => ({ key: publicKey, weight: 1 })));
    const keysInOrder = this.#set.map(
      ({ key }) => keys.find(({ publicKey }) => toHex(publicKey.bytes) === toHex(key.bytes)) as KeyPair,
    );
    this.genesis = {
      name: 'world',
      time: millis(this.clock.now() - 1_000),
      validators: [{ key: this.#validator.publicKey, weight: 1 }],
      accounts: [
        { address: treasury.address, balance: amount(SUPPLY - BOND - 1n) },
        { address: this.#validator.address, balance: amount(1n) },
      ].sort((a, b) => compareBytes(a.address, b.address)),
      subnets:
        plan.staked === true ? [] : [{ id: this.subnet, name: 'home', members: this.#set, powBits: 0 }],
      feePerByte: amount(1n),
      validatorBond: amount(BOND),
      bondPerWeight: amount(BOND),
      reserve: amount(0n),
      rewardPerCheckpoint: amount(0n),
      depositPerByte: amount(0n),
      accountPrice: amount(0n),
      burnShare: 0,
    };
    for (const [index, key] of keysInOrder.entries()) {
      this.members.push({
        index,
        keys: key,
        disk: new MemoryDisk(),
        tables: new MemoryTables(),
        reachesChain: true,
        running: undefined,
      });
    }
  }

  static async open(plan: WorldPlan = {}): Promise<SubnetWorld> {
    const world = new SubnetWorld(plan);
    const log = await BlockLog.open({ disk: new MemoryDisk(), folder: '/blocks', random: world.#random });
    const { genesis } = world;
    world.chain = await Chain.open({ genesis, log, tables: new MemoryTables(), verify: verifyNative });
    if (plan.staked === true) await world.#found();
    for (const member of world.members) await world.start(member);
    return world;
  }

  async #found(): Promise<void> {
    const terms = {
      stakePerWeight: amount(UNITS_PER_ITC),
      stakeMin: amount(UNITS_PER_ITC),
      delayBlocks: 4,
      isByInvitation: false,
    };
    const members = this.members.map(({ keys }) => this.#stakeFor(keys, 10));
    this.transact({ kind: 'found-subnet', name: 'home', powBits: 0, terms, members });
    await this.#block();
  }

  #stakeFor(keys: KeyPair, itc: number): MemberStake {
    const message = memberPossessionBytes(this.id, this.#treasury.address, this.subnet);
    return {
      key: keys.publicKey,
      amount: amount(BigInt(itc) * UNITS_PER_ITC),
      possession: keys.sign(message),
    };
  }

  /** By the treasury, with the next block. */
  transact(body: Body): void {
    const unsigned: UnsignedTransaction = {
      key: { algorithm: ED25519, bytes: this.#treasury.publicKey.bytes },
      lane: 0,
      nonce: this.#nonce,
      fee: amount(1_000_000n),
      validUntil: height(10_000_000),
      body,
    };
    this.#nonce += 1;
    const signature = this.#treasury.sign(transactionSigningBytes(this.id, unsigned));
    const verified = verifyTransaction(this.id, encodeTransaction({ ...unsigned, signature }), verifyNative);
    if (!verified.ok) throw new Error(verified.message);
    this.#submitted.set(verified.value.name, verified.value);
  }

  /** A further process, with stake; it decides from a turn on. */
  async join(seed: number, itc = 10): Promise<Member> {
    const keys = pair(seed);
    this.transact({ kind: 'join-subnet', subnet: this.subnet, ...this.#stakeFor(keys, itc) });
    const member: Member = {
      index: this.members.length,
      keys,
      disk: new MemoryDisk(),
      tables: new MemoryTables(),
      reachesChain: true,
      running: undefined,
    };
    this.members.push(member);
    await this.start(member);
    return member;
  }

  leave(member: Member, itc = 10): void {
    const value = amount(BigInt(itc) * UNITS_PER_ITC);
    const { address } = member.keys;
    this.transact({ kind: 'leave-subnet', subnet: this.subnet, member: address, amount: value });
  }

  get id(): Hash {
    return genesisHash(this.genesis);
  }

  of(index: number): Running {
    const running = this.members[index]?.running;
    if (running === undefined) throw new Error(`member ${index} does not run`);
    return running;
  }

  running(): Running[] {
    return this.members.flatMap(({ running }) => running ?? []);
  }

  async start(member: Member): Promise<Running> {
    const { disk, tables, keys } = member;
    this.#starts += 1;
    const random = new SeededRandom(1_000 * (this.#plan.seed ?? 1) + this.#starts);
    const { policy = {} } = this.#plan;
    const { bytesTarget } = policy;
    const { log, records } = await WriteAheadLog.open({ disk, folder: '/member', random });
    const segments = await SegmentStore.open({
      disk,
      folder: '/envelopes',
      random,
      segmentBytesMin: this.#plan.segmentBytes ?? segmentBytes(bytesTarget ?? Number.MAX_SAFE_INTEGER),
    });
    const chain = this.#chainOf(member);
    const store = new SubnetStore({ chain: this.id, tables, segments });
    const sources = { chain, hops: new Hops(this.chain), subnet: this.subnet, store };
    const retention = new SubnetRetention({
      policy,
      store,
      pins: new SubnetPins({
        tables,
        store,
        prove: (payload) => proofOfReading(sources, payload),
        bytesMax: (bytesTarget ?? 1 << 30) / 2,
      }),
      logBytes: () => log.size,
      now: () => this.clock.now(),
    });
    const transport = new MemoryTransport(this.hub, { key: keys.publicKey, role: 'member' });
    const listeners: (() => void)[] = [];
    const subnet = new Subnet({
      chain: {
        ...chain,
        get time() {
          return chain.time;
        },
        get state() {
          return chain.state;
        },
        onCommitted: (listener) => {
          const stop = chain.onCommitted(listener);
          listeners.push(stop);
          return stop;
        },
      },
      subnet: this.subnet,
      members: this.#plan.staked === true ? (firstMembers(chain.state, this.subnet) ?? this.#set) : this.#set,
      powBits: 0,
      keys,
      transport: this.#between(transport),
      pool: this.#pool,
      log,
      records,
      store,
      retention,
      clock: this.clock,
      random,
      logger: silent,
      ...(this.#plan.timing === undefined ? {} : { timing: this.#plan.timing }),
      accuser: { bring: ({ body }) => this.transact(body) },
      submit: (certificate) => {
        if (member.reachesChain) this.#submit(member, certificate);
      },
      ...(bytesTarget === undefined ? {} : { logBytesMax: logBytes(bytesTarget) }),
    });
    await transport.start();
    subnet.start();
    member.running = {
      subnet,
      store,
      transport,
      silence: () => listeners.forEach((stop) => stop()),
    };
    return member.running;
  }

  /** As SIGKILL does; with `power`, what was not synced may be lost in part. */
  async kill(member: Member, power = false): Promise<void> {
    const { running } = member;
    if (running === undefined) return;
    member.running = undefined;
    running.silence();
    await running.transport[Symbol.asyncDispose]();
    const disk = power ? member.disk.crash(this.#random) : member.disk.kill();
    void running.subnet.stop();
    member.disk = disk;
  }

  /** A new disk in place of the old one, with nothing on it. */
  replace(index: number): Member {
    const { keys } = this.members[index] as Member;
    const member: Member = {
      index,
      keys,
      disk: new MemoryDisk(),
      tables: new MemoryTables(),
      reachesChain: true,
      running: undefined,
    };
    this.members[index] = member;
    return member;
  }

  /** From now on the member changes a byte of every snapshot it gives out, and its digest with it. */
  falsify(index: number): void {
    this.#liars.add(toHex((this.members[index] as Member).keys.publicKey.bytes));
  }

  /** Whether the member gives out envelopes that others ask it for. */
  withhold(index: number, withholds: boolean): void {
    const name = toHex((this.members[index] as Member).keys.publicKey.bytes);
    if (withholds) this.#withholding.add(name);
    else this.#withholding.delete(name);
  }

  async run(ms: number): Promise<void> {
    for (let done = 0; done < ms; done += STEP_MS) {
      this.clock.advance(STEP_MS);
      await turn();
      if (this.clock.now() >= this.#blockAt) await this.#block();
    }
  }

  async until(what: string, condition: () => boolean, maxMs = 60_000): Promise<void> {
    for (let waited = 0; !condition(); waited += STEP_MS) {
      if (waited > maxMs) throw new Error(`waited ${maxMs} ms of the world's time in vain until ${what}`);
      await this.run(STEP_MS);
    }
  }

  /** A signed reading; the same device and sequence give the same one. */
  reading(sequence: number, device = 120, size = 0): Payload {
    const keys = pair(device);
    const unsigned = {
      signer: keys.publicKey,
      device: keys.address,
      sequence,
      contentType: 'senml+json' as const,
      content: new TextEncoder().encode(`[{"n":"temperature","v":${sequence}}${' '.repeat(size)}]`),
    };
    const bytes = encodePayload(unsigned, keys.sign(payloadSigningBytes(this.id, unsigned)));
    const parsed = parsePayload(this.id, bytes);
    if (!parsed.ok) throw new Error(parsed.message);
    return parsed.value;
  }

  /** Cuts or mends the links between two groups of members. */
  link(groups: readonly [readonly number[], readonly number[]], up: boolean): void {
    const name = (index: number): string => toHex((this.members[index] as Member).keys.publicKey.bytes);
    for (const a of groups[0]) for (const b of groups[1]) this.hub.setLink([name(a), name(b)], up);
  }

  async close(): Promise<void> {
    for (const { running } of this.members) await running?.subnet.stop();
    await this.#pool[Symbol.asyncDispose]();
  }

  #chainOf(member: Member): SubnetChain {
    const { chain } = this;
    return {
      id: chain.id,
      genesis: chain.genesis,
      get time() {
        return chain.time;
      },
      get state() {
        return chain.state;
      },
      checkpointPlace: (subnet, sequence) =>
        member.reachesChain ? chain.checkpointPlace(subnet, sequence) : undefined,
      included: (place) => chain.included(place),
      stateUnder: (of) => chain.stateUnder(of),
      onCommitted: (listener) =>
        chain.onCommitted((committed) => {
          if (member.reachesChain) listener(committed);
        }),
    };
  }

  /** Between a member and its peers: messages get lost, and those of liars are not what the member said. */
  #between(inner: MemoryTransport): Transport {
    const { loss = 0 } = this.#plan;
    const said = (channel: number, bytes: Uint8Array): Uint8Array =>
      channel === CHANNELS.subnetReply.number && this.#liars.has(inner.self) ? falsified(bytes) : bytes;
    return {
      self: inner.self,
      open: (channel) => inner.open(channel),
      listen: (listener) => inner.listen(listener),
      start: () => inner.start(),
      peers: () => inner.peers(),
      send: (peer, channel, bytes) =>
        (loss > 0 && this.#random.uniform() < loss) ||
        (this.#withholding.has(inner.self) && isAnswer(channel, bytes)) ||
        inner.send(peer, channel, said(channel, bytes)),
      broadcast: (channel, bytes) => inner.broadcast(channel, bytes),
      disconnect: (peer) => inner.disconnect(peer),
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    };
  }

  #submit(member: Member, certificate: CheckpointCertificate): void {
    const unsigned: UnsignedTransaction = {
      key: { algorithm: ED25519, bytes: member.keys.publicKey.bytes },
      lane: 0,
      nonce: 0,
      fee: amount(0n),
      validUntil: height(10_000_000),
      body: { kind: 'checkpoint', certificate },
    };
    const signature = member.keys.sign(transactionSigningBytes(this.id, unsigned));
    const verified = verifyTransaction(this.id, encodeTransaction({ ...unsigned, signature }), verifyNative);
    if (verified.ok) this.#submitted.set(verified.value.name, verified.value);
  }

  async #block(): Promise<void> {
    this.#blockAt = this.clock.now() + BLOCK_MS;
    if (this.#submitted.size === 0) return;
    const { chain } = this;
    const transactions = [...this.#submitted.values()];
    this.#submitted = new Map();
    const of = height(chain.height + 1);
    const block = chain.propose(of, chain.tipHash, this.clock.now(), transactions);
    if (block === undefined) throw new Error('the chain proposes nothing');
    const { header, candidate } = block;
    const { validators } = chain.contextAt(of);
    const vote = { chain: this.id, epoch: header.epoch, view: view(0), height: of, hash: candidate.hash };
    const certificate: Certificate = {
      epoch: header.epoch,
      view: view(0),
      height: of,
      hash: candidate.hash,
      signers: bitmapOf(validators.keys(), validators.length),
      signatures: [this.#validator.sign(voteSigningBytes('commit', vote))],
    };
    await chain.commit([{ block, certificate }]);
  }
}

function pair(seed: number): KeyPair {
  return KeyPair.fromSeed(new Uint8Array(32).fill(seed));
}

/** Envelopes that were asked for; what a member issues comes one by one. */
function isAnswer(channel: number, bytes: Uint8Array): boolean {
  if (channel !== CHANNELS.envelope.number) return false;
  const decoded = decodeMessage(bytes.slice());
  return decoded.ok && decoded.value.kind === 'envelopes';
}

/** A digest of its own, and pieces that do not hold. */
function falsified(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  const at = changed.length - 5;
  if (at > 5) changed[at] = (changed[at] as number) ^ 1;
  return changed;
}

const nothing = (): void => undefined;
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing } as unknown as Logger;
