/**
 * A network of real processes on this machine for one bench: genesis, keys and configurations in a temporary folder,
 * one `itc node` each. Disks are real and fsync is on. Everything ends with the bench, however it ends.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { compareBytes, toHex } from '@itc/core/bytes/hex.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { encodeGenesis, genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, millis, SUPPLY, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import { sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { NodeConfig, Role } from '@itc/node/config.js';
import { ENGINE_ARGUMENTS } from '@itc/node/engine.js';
import { writeKeyFile } from '@itc/node/crypto/key-file.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { systemRandom } from '@itc/node/random.js';
import { createReplicaLog } from '@itc/node/runtime/replica-log.js';
import { nodeDisk } from '@itc/node/storage/node-disk.js';
import { freePorts } from '@itc/node/testing/ports.js';

const ITC = fileURLToPath(new URL('../../apps/cli/bin/itc.mjs', import.meta.url));
/** What runs as a node: a program and its first arguments. */
export const ITC_NODE: readonly string[] = [ITC, 'node'];
/** For profiles: `ITC_BENCH_NODE_ARGS="--cpu-prof --cpu-prof-dir=FOLDER"`. */
const NODE_ARGUMENTS = process.env['ITC_BENCH_NODE_ARGS']?.split(' ') ?? [];
const READY_MS = 90_000;
const STOP_MS = 5_000;
const TMPFS_MAGIC = 0x0102_1994;

export interface NetworkPlan {
  readonly seed: number;
  readonly validators: number;
  /** Of each subnet. */
  readonly members: number;
  /** Default 1. */
  readonly subnets?: number;
  /** Accounts with a balance, beside the treasury. */
  readonly accounts: number;
  readonly powBits: number;
  /** Of members: bytes for the subnet's past. */
  readonly retainEnvelopeBytes?: number;
}

export interface NetworkNode {
  readonly name: string;
  readonly role: Role;
  readonly config: NodeConfig;
  readonly url: string;
}

/** The same seed gives the same keys. */
export function keysOf(seed: number, what: string): KeyPair {
  return KeyPair.fromSeed(sha256(utf8Encode(`itc bench ${seed} ${what}`)));
}

/** As in a devnet: bonds, and rewards from a reserve. */
const BOND = 1_000n * UNITS_PER_ITC;
const RESERVE = 1_000_000n * UNITS_PER_ITC;

export class Network implements AsyncDisposable {
  readonly genesis: Genesis;
  readonly chain: Hash;
  readonly subnets: readonly Hash[];
  readonly accounts: readonly KeyPair[];
  readonly nodes: readonly NetworkNode[];
  readonly folder: string;
  readonly #running = new Map<string, ChildProcess>();
  readonly #onExit: () => void;

  private constructor(parts: {
    readonly genesis: Genesis;
    readonly subnets: readonly Hash[];
    readonly accounts: readonly KeyPair[];
    readonly nodes: readonly NetworkNode[];
    readonly folder: string;
  }) {
    this.genesis = parts.genesis;
    this.chain = genesisHash(parts.genesis);
    this.subnets = parts.subnets;
    this.accounts = parts.accounts;
    this.nodes = parts.nodes;
    this.folder = parts.folder;
    this.#onExit = () => {
      for (const child of this.#running.values()) child.kill('SIGKILL');
      rmSync(this.folder, { recursive: true, force: true });
    };
    process.once('exit', this.#onExit);
  }

  static async create(plan: NetworkPlan): Promise<Network> {
    const { seed } = plan;
    const subnetCount = plan.subnets ?? 1;
    const roles: Role[] = [
      ...Array<Role>(plan.validators).fill('validator'),
      ...Array<Role>(plan.members * subnetCount).fill('member'),
    ];
    /** Number of the subnet a node is in; −1 for validators. */
    const groupOf = (i: number): number =>
      i < plan.validators ? -1 : Math.floor((i - plan.validators) / plan.members);
    const keys = roles.map((role, i) => keysOf(seed, `${role} ${i}`));
    const accounts = Array.from({ length: plan.accounts }, (_, i) => keysOf(seed, `account ${i}`));
    const treasury = keysOf(seed, 'treasury');
    const nameOf = (group: number): string => (group === 0 ? 'home' : `home-${group}`);
    const subnets = Array.from({ length: subnetCount }, (_, i) => subnetId(treasury.address, nameOf(i)));
    const setOf = (group: number): ValidatorSet =>
      sortValidators(
        keys.filter((_, i) => groupOf(i) === group).map((pair) => ({ key: pair.publicKey, weight: 1 })),
      );
    // Half of the supply for all accounts together; the rest is the treasury's.
    const share = SUPPLY / 2n / BigInt(Math.max(1, plan.accounts));
    const balances = [
      ...accounts.map(({ address }) => ({ address, balance: amount(share) })),
      {
        address: treasury.address,
        balance: amount(SUPPLY - share * BigInt(plan.accounts) - BOND * BigInt(plan.validators) - RESERVE),
      },
    ];
    const genesis: Genesis = {
      name: 'bench',
      time: millis(Date.now() - 1_000),
      validators: setOf(-1),
      accounts: balances.sort((a, b) => compareBytes(a.address, b.address)),
      subnets:
        plan.members === 0
          ? []
          : subnets
              .map((id, i) => ({ id, name: nameOf(i), members: setOf(i), powBits: plan.powBits }))
              .sort((a, b) => compareBytes(a.id, b.id)),
      feePerByte: amount(1n),
      validatorBond: amount(BOND),
      bondPerWeight: amount(BOND),
      reserve: amount(RESERVE),
      rewardPerCheckpoint: amount(UNITS_PER_ITC / 10n),
      depositPerByte: amount(0n),
      accountPrice: amount(0n),
      burnShare: 0,
    };
    const folder = mkdtempSync(join(tmpdir(), 'itc-bench-'));
    writeFileSync(join(folder, 'genesis.bin'), encodeGenesis(genesis));
    const ports = await freePorts(2 * roles.length);
    const peers = roles.map((role, i) => ({
      name: `${role}-${i}`,
      role,
      key: toHex((keys[i] as KeyPair).publicKey.bytes),
      host: '127.0.0.1',
      port: ports[i] as number,
    }));
    const nodes: NetworkNode[] = [];
    for (const [i, { name, role, port }] of peers.entries()) {
      const dataDir = join(folder, name);
      mkdirSync(dataDir);
      await writeKeyFile(join(dataDir, 'key.json'), { keys: keys[i] as KeyPair });
      if (role === 'validator')
        await createReplicaLog({ disk: nodeDisk, folder: dataDir, random: systemRandom });
      const api = { host: '127.0.0.1', port: ports[roles.length + i] as number };
      const config: NodeConfig = {
        name,
        role,
        dataDir,
        keyFile: join(dataDir, 'key.json'),
        genesisFile: join(folder, 'genesis.bin'),
        peer: { host: '127.0.0.1', port },
        api,
        // Members of one subnet talk to each other and to the validators.
        peers: peers.filter(
          (peer, k) => peer.name !== name && (groupOf(i) < 0 || groupOf(k) < 0 || groupOf(k) === groupOf(i)),
        ),
        logLevel: 'warn',
        ...(role === 'validator'
          ? {}
          : {
              subnet: toHex(subnets[groupOf(i)] as Hash),
              ...(plan.retainEnvelopeBytes === undefined
                ? {}
                : { retainEnvelopeBytes: plan.retainEnvelopeBytes }),
            }),
      };
      writeFileSync(join(dataDir, 'config.json'), JSON.stringify(config));
      nodes.push({ name, role, config, url: `http://127.0.0.1:${api.port}` });
    }
    return new Network({ genesis, subnets, accounts, nodes, folder });
  }

  /** The first. */
  get subnet(): Hash {
    return this.subnets[0] as Hash;
  }

  /** Processes of one subnet. */
  membersOf(subnet: number): readonly NetworkNode[] {
    const id = toHex(this.subnets[subnet] as Hash);
    return this.nodes.filter(({ config }) => config.subnet === id);
  }

  /** Spawns the given nodes and resolves when each answers that it is ready. */
  async start(
    nodes: readonly NetworkNode[],
    program: (node: NetworkNode) => readonly string[] = () => ITC_NODE,
  ): Promise<void> {
    for (const node of nodes) this.spawn(node, program(node));
    const deadline = performance.now() + READY_MS;
    for (const node of nodes) await this.#ready(node, deadline);
  }

  /** Starts a process, and does not wait for it. */
  spawn({ name }: NetworkNode, program: readonly string[] = ITC_NODE): void {
    const log = openSync(join(this.folder, name, 'log'), 'a');
    const config = join(this.folder, name, 'config.json');
    // The pipe ends with us: a supervised node does not outlive whoever started it.
    const child = spawn(
      process.execPath,
      [...ENGINE_ARGUMENTS, ...NODE_ARGUMENTS, ...program, '--config', config],
      {
        stdio: ['pipe', log, log],
        env: { ...process.env, ITC_SUPERVISED: '1' },
      },
    );
    closeSync(log);
    this.#running.set(name, child);
  }

  runs(name: string): boolean {
    const child = this.#running.get(name);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Ends a process as a loss of power would, and resolves when it is gone. */
  async kill(name: string): Promise<void> {
    const child = this.#running.get(name);
    if (child === undefined) return;
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await ended;
    }
    this.#running.delete(name);
  }

  /** A line on standard input, for programs of a bench that wait for one. */
  tell(name: string, line: string): void {
    this.#running.get(name)?.stdin?.write(`${line}\n`);
  }

  /** Of the processes that run. */
  get pids(): readonly number[] {
    return [...this.#running.values()].flatMap(({ pid }) => pid ?? []);
  }

  /** Undefined while it does not run. */
  pidOf(name: string): number | undefined {
    return this.#running.get(name)?.pid;
  }

  /** To each other, since they began, over all nodes; what goes to clients is not counted. */
  async sentBytes(): Promise<number> {
    let total = 0;
    for (const { url } of this.nodes) {
      const text = await (await fetch(`${url}/metrics`)).text();
      total += Number(/^itc_peer_sent_bytes(?:\{[^}]*\})? (\S+)$/m.exec(text)?.[1] ?? Number.NaN);
    }
    return total;
  }

  /** What a process has written; its last lines say why it is not well. */
  logOf(name: string): string {
    try {
      return readFileSync(join(this.folder, name, 'log'), 'utf8').slice(-2_000);
    } catch {
      return '';
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = [...this.#running.values()].map((child) => stopProcess(child));
    await Promise.all(ended);
    this.#running.clear();
    process.removeListener('exit', this.#onExit);
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #ready(node: NetworkNode, deadline: number): Promise<void> {
    for (;;) {
      const { exitCode } = this.#running.get(node.name) as ChildProcess;
      if (exitCode !== null)
        throw new Error(`${node.name} ended with ${exitCode}:\n${this.logOf(node.name)}`);
      const answer = await fetch(`${node.url}/readyz`).catch(() => undefined);
      if (answer?.ok === true) return;
      if (performance.now() > deadline) {
        const why = answer === undefined ? 'no answer' : await answer.text();
        throw new Error(`${node.name} is not ready after ${READY_MS} ms: ${why}\n${this.logOf(node.name)}`);
      }
      await sleep(50);
    }
  }
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(timer);
}

/** A warning when temporary files are kept in memory: then no fsync costs anything. */
export function diskWarning(): string | undefined {
  return statfsSync(tmpdir()).type === TMPFS_MAGIC
    ? `${tmpdir()} is in memory: fsync costs nothing there; set TMPDIR to a folder on a disk`
    : undefined;
}
