/** A small network in one process for tests: real disks, real TLS on loopback, real time. */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareBytes, equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { NO_CO_SIGNER } from '@itc/core/ledger/co-signers.js';
import { encodeGenesis, genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, height, millis, SUPPLY, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import type { Body } from '@itc/core/ledger/body.js';
import {
  encodeTransaction,
  transactionSigningBytes,
  type UnsignedTransaction,
} from '@itc/core/ledger/transaction.js';
import { sortValidators } from '@itc/core/ledger/validators.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { coSigningKeyPaths, type NodeConfig, type Role } from '../config.ts';
import { CoSigningKey } from '../crypto/co-signing-key.ts';
import { writeCoSigningKeyFile, writeKeyFile } from '../crypto/key-file.ts';
import { KeyPair } from '../crypto/keypair.ts';
import { systemRandom } from '../random.ts';
import { NodeProcess, type NodeProcessOptions } from '../runtime/process.ts';
import { createReplicaLog } from '../runtime/replica-log.ts';
import { nodeDisk } from '../storage/node-disk.ts';
import { freePorts } from './ports.ts';
import { until } from './until.ts';

/** Of each validator, for its weight of 1. */
export const BOND = 1_000n * UNITS_PER_ITC;
/** In the account of every process. */
const PURSE = 10_000n * UNITS_PER_ITC;
const RESERVE = 1_000_000n * UNITS_PER_ITC;

export class LocalNetwork {
  readonly genesis: Genesis;
  readonly chain: Hash;
  readonly subnet: Hash;
  readonly treasury: KeyPair;
  readonly nodes: (NodeProcess | undefined)[] = [];
  readonly #folder: string;
  readonly #configs: readonly NodeConfig[];
  readonly #stopping: Promise<void>[] = [];
  /** Nonces of transactions made here, by account. */
  readonly #nonces = new Map<string, number>();

  private constructor(parts: {
    genesis: Genesis;
    subnet: Hash;
    treasury: KeyPair;
    folder: string;
    configs: readonly NodeConfig[];
  }) {
    this.genesis = parts.genesis;
    this.chain = genesisHash(parts.genesis);
    this.subnet = parts.subnet;
    this.treasury = parts.treasury;
    this.#folder = parts.folder;
    this.#configs = parts.configs;
  }

  /** Keys follow from the index, so that two networks of one shape have the same genesis but for its time. */
  static async create(o: {
    readonly validators: number;
    /** Processes configured as validators that the first epoch does not hold; their indices follow the validators'. */
    readonly candidates?: number;
    /** Pairs of processes that are not in each other's configuration. */
    readonly strangers?: readonly (readonly [number, number])[];
    readonly members?: number;
    /** So many of the validators have a co-signing key, which genesis names. */
    readonly coSigners?: number;
    readonly powBits?: number;
    readonly heartbeatMs?: number;
    readonly viewTimeoutMs?: number;
  }): Promise<LocalNetwork> {
    const roles: Role[] = [
      ...Array<Role>(o.validators + (o.candidates ?? 0)).fill('validator'),
      ...Array<Role>(o.members ?? 0).fill('member'),
    ];
    const keys = roles.map((_, i) => keyPair(i + 1));
    const treasury = keyPair(200);
    const subnet = subnetId(treasury.address, 'home');
    const setOf = (chosen: readonly KeyPair[]): Genesis['validators'] =>
      sortValidators(chosen.map((pair) => ({ key: pair.publicKey, weight: 1 })));
    const validators = setOf(keys.slice(0, o.validators));
    const coSigners = validators.map(({ key }) => {
      const index = keys.findIndex(({ publicKey }) => equalBytes(publicKey.bytes, key.bytes));
      return index < (o.coSigners ?? 0) ? coSigningKey(index).address : NO_CO_SIGNER;
    });
    const spent = BOND * BigInt(o.validators) + PURSE * BigInt(keys.length) + RESERVE;
    const genesis: Genesis = {
      name: 'test',
      time: millis(Date.now() - 1_000),
      validators,
      accounts: [
        { address: treasury.address, balance: amount(SUPPLY - spent) },
        ...keys.map(({ address }) => ({ address, balance: amount(PURSE) })),
      ].sort((a, b) => compareBytes(a.address, b.address)),
      subnets:
        o.members === undefined
          ? []
          : [
              {
                id: subnet,
                name: 'home',
                members: setOf(keys.filter((_, i) => roles[i] === 'member')),
                powBits: o.powBits ?? 4,
              },
            ],
      feePerByte: amount(1n),
      validatorBond: amount(BOND),
      bondPerWeight: amount(BOND),
      reserve: amount(RESERVE),
      rewardPerCheckpoint: amount(UNITS_PER_ITC / 10n),
      depositPerByte: amount(0n),
      accountPrice: amount(0n),
      burnShare: 0,
      ...(o.coSigners !== undefined && { coSigners }),
    };
    const folder = mkdtempSync(join(tmpdir(), 'itc-network-'));
    writeFileSync(join(folder, 'genesis.bin'), encodeGenesis(genesis));
    const ports = await freePorts(roles.length);
    const peers = roles.map((role, i) => ({
      name: `n${i}`,
      role,
      key: toHex((keys[i] as KeyPair).publicKey.bytes),
      host: '127.0.0.1',
      port: ports[i] as number,
    }));
    const areStrangers = (a: number, b: number): boolean =>
      o.strangers?.some((pair) => pair.includes(a) && pair.includes(b)) === true;
    const configs: NodeConfig[] = [];
    for (const [i, role] of roles.entries()) {
      const dataDir = join(folder, `n${i}`);
      mkdirSync(dataDir);
      await writeKeyFile(join(dataDir, 'key.json'), { keys: keys[i] as KeyPair });
      if (i < (o.coSigners ?? 0))
        await writeCoSigningKeyFile(coSigningKeyPaths(join(dataDir, 'key.json'))[0], {
          keys: coSigningKey(i),
        });
      if (role === 'validator')
        await createReplicaLog({ disk: nodeDisk, folder: dataDir, random: systemRandom });
      configs.push({
        name: `n${i}`,
        role,
        dataDir,
        keyFile: join(dataDir, 'key.json'),
        genesisFile: join(folder, 'genesis.bin'),
        peer: { host: '127.0.0.1', port: ports[i] as number },
        api: { host: '127.0.0.1', port: 0 },
        peers: peers.filter((_, other) => other !== i && !areStrangers(i, other)),
        logLevel: 'error',
        verifyThreads: 0,
        heartbeatMs: o.heartbeatMs ?? 500,
        ...(o.viewTimeoutMs === undefined ? {} : { viewTimeoutMs: o.viewTimeoutMs }),
        ...(role === 'validator' ? {} : { subnet: toHex(subnet) }),
      });
    }
    return new LocalNetwork({ genesis, subnet, treasury, folder, configs });
  }

  keys(index: number): KeyPair {
    return keyPair(index + 1);
  }

  config(index: number): NodeConfig {
    return this.#configs[index] as NodeConfig;
  }

  /** A faulty process has a pool or a transport of its own. */
  async start(
    index: number,
    faults: Pick<NodeProcessOptions, 'mempool' | 'wrapTransport'> = {},
  ): Promise<NodeProcess> {
    const node = await NodeProcess.open({ config: this.#configs[index] as NodeConfig, ...faults });
    await node.start();
    this.nodes[index] = node;
    return node;
  }

  async startAll(): Promise<void> {
    for (const index of this.#configs.keys()) await this.start(index);
  }

  async stop(index: number): Promise<void> {
    const node = this.nodes[index];
    this.nodes[index] = undefined;
    if (node !== undefined) this.#stopping[index] = node.stop();
    await this.#stopping[index];
  }

  running(): NodeProcess[] {
    return this.nodes.filter((node) => node !== undefined);
  }

  /** Index among `nodes` of the validator that leads view 0. */
  primaryOfViewZero(): number {
    const [primary] = this.genesis.validators;
    return this.#configs.findIndex(
      (_, i) => primary !== undefined && toHex(keyPair(i + 1).publicKey.bytes) === toHex(primary.key.bytes),
    );
  }

  /** Signed by the treasury. */
  transaction(body: Body, nonce: number): Uint8Array {
    return this.#sign(this.treasury, body, nonce);
  }

  /** Submits in the name of an account, each call its next transaction, and waits until every node has executed it. */
  async act(keys: KeyPair, body: Body): Promise<void> {
    const account = toHex(keys.address);
    const nonce = this.#nonces.get(account) ?? 0;
    this.#nonces.set(account, nonce + 1);
    const nodes = this.running();
    const id = await (nodes[0] as NodeProcess).submit(this.#sign(keys, body, nonce));
    await until(`${body.kind} is executed`, () =>
      nodes.every((node) => node.chain.receipt(id) !== undefined),
    );
    const outcome = nodes[0]?.chain.receipt(id)?.outcome;
    if (outcome?.ok === false) throw new Error(`${body.kind} is refused: ${outcome.message}`);
  }

  /** Keeps the chain busy until a condition holds: blocks follow each other faster than heartbeats. */
  async busyUntil(what: string, condition: () => boolean): Promise<void> {
    let isDone = false;
    const busy = (async () => {
      while (!isDone) {
        await this.act(this.treasury, { kind: 'transfer', to: keyPair(77).address, amount: amount(1n) });
      }
    })();
    try {
      await until(what, condition);
    } finally {
      isDone = true;
      await busy;
    }
  }

  #sign(keys: KeyPair, body: Body, nonce: number): Uint8Array {
    const unsigned: UnsignedTransaction = {
      key: { algorithm: ED25519, bytes: keys.publicKey.bytes },
      lane: 0,
      nonce,
      fee: amount(10_000n),
      validUntil: height(1_000_000),
      body,
    };
    return encodeTransaction({
      ...unsigned,
      signature: keys.sign(transactionSigningBytes(this.chain, unsigned)),
    });
  }

  async close(): Promise<void> {
    for (const index of this.#configs.keys()) await this.stop(index);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export function keyPair(seed: number): KeyPair {
  return KeyPair.fromSeed(new Uint8Array(32).fill(seed));
}

/** Of the validator of this index. */
export function coSigningKey(index: number): CoSigningKey {
  return CoSigningKey.fromSeed(new Uint8Array(32).fill(100 + index));
}
