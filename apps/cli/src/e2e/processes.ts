/** A small network of real processes (`itc node`) for one test, started and killed one by one; nothing is left afterwards. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@itc/client/client.js';
import { buildOrder, type SignedOrder } from '@itc/client/value.js';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Address } from '@itc/core/ledger/address.js';
import { VALUE_MIN } from '@itc/core/ledger/escrow.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import type { ValueOrder } from '@itc/core/ledger/value-order.js';
import type { NodeConfig } from '@itc/node/config.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { LocalNetwork } from '@itc/node/testing/local-network.js';
import { freePorts } from '@itc/node/testing/ports.js';
import { openClient, Wallet } from '../wallet.ts';
import { ITC } from './itc.ts';
import { until } from './devnet.ts';

/** A machine with much else to do starts a process in half a minute. */
const STARTED_MS_MAX = 120_000;
const LOG_SHOWN = 3_000;
const LATE = millis(8_000_000_000_000);

export class Processes implements AsyncDisposable {
  readonly network: LocalNetwork;
  readonly #configs: NodeConfig[];
  readonly #running = new Map<number, ChildProcess>();
  readonly #folder: string;

  private constructor(network: LocalNetwork, configs: NodeConfig[]) {
    this.network = network;
    this.#configs = configs;
    this.#folder = join((configs[0] as NodeConfig).dataDir, '..');
  }

  /** Validators come first, then members, as in `LocalNetwork`. */
  static async create(plan: Parameters<typeof LocalNetwork.create>[0]): Promise<Processes> {
    const network = await LocalNetwork.create(plan);
    const count = plan.validators + (plan.candidates ?? 0) + (plan.members ?? 0);
    const ports = await freePorts(count);
    const configs = ports.map((port, index) => ({
      ...network.config(index),
      logLevel: 'warn' as const,
      api: { host: '127.0.0.1', port },
    }));
    return new Processes(network, configs);
  }

  config(index: number): NodeConfig {
    return this.#configs[index] as NodeConfig;
  }

  /** From the next start on. */
  change(index: number, change: Partial<NodeConfig>): void {
    this.#configs[index] = { ...this.config(index), ...change };
  }

  url(index: number): string {
    const { host, port } = this.config(index).api;
    return `http://${host}:${port}`;
  }

  client(index: number): Client {
    return openClient(this.url(index));
  }

  /** Resolves when each answers. */
  async start(...indices: readonly number[]): Promise<void> {
    for (const index of indices) this.#spawn(index);
    await Promise.all(indices.map((index) => this.#answers(index)));
  }

  /** Resolves when each says that it is ready. */
  async ready(...indices: readonly number[]): Promise<void> {
    const isReady = async (index: number): Promise<boolean> => (await this.client(index).status()).ready;
    for (const index of indices)
      await until(`n${index} is ready`, () => isReady(index), STARTED_MS_MAX).catch((error: unknown) => {
        throw new Error(`${(error as Error).message}\n${this.logOf(index)}`, { cause: error });
      });
  }

  /** As a loss of power does, or politely; resolves when it is gone. */
  async end(index: number, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#running.get(index);
    this.#running.delete(index);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  isRunning(index: number): boolean {
    const child = this.#running.get(index);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** What a process has said last. */
  logOf(index: number): string {
    return readFileSync(this.#path(index, 'log'), 'utf8').slice(-LOG_SHOWN);
  }

  /** Brings ITC into the subnet, and waits until a process shows it to its holder. */
  async deposit(at: number, holders: readonly KeyPair[], value: bigint): Promise<void> {
    const { subnet, treasury } = this.network;
    const wallet = await Wallet.open(this.url(at), treasury);
    await wallet.sendAll(
      holders.map(({ address: to }) => ({ kind: 'deposit', subnet, to, amount: amount(value) })),
    );
  }

  /** What a holder has inside the subnet as one member sees it, and the checkpoint that says so. */
  async balance(
    at: number,
    holder: KeyPair,
  ): Promise<{ readonly balance: bigint; readonly checkpoint: string }> {
    const { balance, checkpoint } = await this.client(at).subnetBalance(this.network.subnet, holder.address);
    return { balance: BigInt(balance), checkpoint };
  }

  /** A payment of the least there is, or another order. */
  signed(signer: KeyPair, sequence: number, order: ValueOrder | Address): Promise<SignedOrder> {
    const { chain, subnet } = this.network;
    const pay = (to: Address): ValueOrder => ({ kind: 'transfer', to, amount: VALUE_MIN, expiresAt: LATE });
    return buildOrder({
      chain,
      subnet,
      signer,
      sequence,
      order: order instanceof Uint8Array ? pay(order) : order,
    });
  }

  /** Hands a signed order to a member until it takes it: the same bytes, however often; resolves with the payload's id. */
  async order(at: number, signer: KeyPair, sequence: number, order: ValueOrder | Address): Promise<string> {
    const signed = await this.signed(signer, sequence, order);
    await until(`n${at} takes an order`, () => this.client(at).sendOrder(this.network.subnet, signed));
    return toHex(signed.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.keys()].map((index) => this.end(index)));
    await this.network.close();
  }

  #path(index: number, file: string): string {
    return join(this.#folder, `n${index}.${file}`);
  }

  #spawn(index: number): void {
    assert.ok(!this.isRunning(index), `n${index} runs already`);
    const config = this.#path(index, 'json');
    writeFileSync(config, JSON.stringify(this.config(index)));
    const log = openSync(this.#path(index, 'log'), 'a');
    // The pipe ends with this process, and a supervised node with it.
    const child = spawn(process.execPath, [ITC, 'node', '--config', config], {
      stdio: ['pipe', log, log],
      env: { ...process.env, ITC_SUPERVISED: '1' },
    });
    closeSync(log);
    this.#running.set(index, child);
  }

  async #answers(index: number): Promise<void> {
    await until(
      `n${index} answers`,
      async () => {
        assert.ok(this.isRunning(index), this.logOf(index));
        return (await fetch(`${this.url(index)}/livez`)).ok;
      },
      STARTED_MS_MAX,
    ).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}\n${this.logOf(index)}`, { cause: error });
    });
  }
}
