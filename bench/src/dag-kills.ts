/**
 * Members of a subnet under load, killed one after another without warning (SIGKILL), with a torn last record in their
 * logs, and started again. Stated: how long each needs to answer and to have applied the checkpoint the others were at.
 * Checked, and an error when it does not hold: every member applies the same checkpoints (each compares the state root
 * with what the main chain committed, and stops when it differs), and what was sent is final exactly once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '@itc/core/bytes/hex.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { NodeProcess } from '@itc/node/runtime/process.js';
import type { Subnet } from '@itc/node/runtime/subnet.js';
import { signReadings } from './dag-verify.ts';
import { BACK_MS_MAX, killAndRestart, killFigures, until } from './killing.ts';
import { keysOf, Network, type NetworkNode } from './network.ts';
import { figure, seededRandom, type BenchOptions, type Result } from './result.ts';

export const name = 'dag-kills';

const MEMBERS = 4;
const DEVICES = 16;
const POW_BITS = 4;
const TIMES = 200;
const TIMES_QUICK = 4;
const LOAD_PAUSE_MS = 50;

export async function run(options: BenchOptions): Promise<Result[]> {
  installNativeCrypto();
  const { seed, quick, log } = options;
  const times = options.times ?? (quick ? TIMES_QUICK : TIMES);
  const random = seededRandom(seed);
  await using network = await Network.create({
    seed,
    validators: 1,
    members: MEMBERS,
    accounts: 1,
    powBits: POW_BITS,
  });
  const last = network.nodes.length - 1;
  const here = network.nodes[last] as NetworkNode;
  const victims = network.nodes.filter(({ role }) => role === 'member').slice(0, -1);
  const started = network.start(network.nodes.slice(0, last));
  await using node = await NodeProcess.open({ config: here.config });
  await node.start();
  await started;
  const { subnet } = node;
  if (subnet === undefined) throw new Error('the member here has no subnet');
  const load = new Load(network, subnet, seed);
  load.start();
  const killed = await killAndRestart({
    network,
    victims,
    times,
    random,
    log,
    goal: () => subnet.status().checkpoint,
    reached: appliedAt,
    failed: () => undefined,
  });
  await load.finish();
  const { checkpoint } = subnet.status();
  for (const victim of victims) await until({ network, reached: appliedAt }, victim, checkpoint);
  const payloads = node.chain.state.subnet(network.subnet)?.payloads;
  if (payloads !== load.sent)
    throw new Error(`${load.sent} payloads were sent, ${String(payloads)} are final`);
  log(
    `${times} kills and ${killed.twice} more on the way back, ${killed.torn} torn records, checkpoint ${checkpoint} alike on ${MEMBERS} members, ${load.sent} payloads final once each`,
  );
  return [
    ...killFigures('back at the checkpoint of the others', killed),
    figure('payloads final exactly once, of those sent', '%', [100]),
  ];
}

/** A member that has diverged, or whose disk lost something, does not get on. */
async function appliedAt(node: NetworkNode): Promise<number | undefined> {
  const answer = await fetch(`${node.url}/metrics`).catch(() => undefined);
  const text = answer?.ok === true ? await answer.text() : '';
  const applied = /^itc_subnet_checkpoint(?:\{[^}]*\})? (\d+)/m.exec(text)?.[1];
  return applied === undefined ? undefined : Number(applied);
}

/** Readings one after another at the member that is not killed, until the end; then all have to be final. */
class Load {
  readonly #subnet: Subnet;
  readonly #network: Network;
  readonly #devices: readonly KeyPair[];
  readonly #open = new Set<string>();
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  sent = 0;

  constructor(network: Network, subnet: Subnet, seed: number) {
    this.#subnet = subnet;
    this.#network = network;
    this.#devices = Array.from({ length: DEVICES }, (_, i) => keysOf(seed, `device ${i}`));
    subnet.listen({
      progress: ({ stage, payloads }) => {
        if (stage === 'final') for (const id of payloads) this.#open.delete(toHex(id));
      },
    });
  }

  start(): void {
    this.#running = this.#send();
  }

  async finish(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    const deadline = performance.now() + BACK_MS_MAX;
    while (this.#open.size > 0) {
      if (performance.now() > deadline)
        throw new Error(`${this.#open.size} of ${this.sent} payloads are not final`);
      await sleep(50);
    }
  }

  async #send(): Promise<void> {
    while (!this.#stopped) {
      const payload = signReadings({
        chain: this.#network.chain,
        device: this.#devices[this.sent % DEVICES] as KeyPair,
        sequence: Math.floor(this.sent / DEVICES) + 1,
        readings: 1,
      });
      this.#open.add(toHex(payload.id));
      if (this.#subnet.offer(payload).ok) this.sent += 1;
      else this.#open.delete(toHex(payload.id));
      await sleep(LOAD_PAUSE_MS);
    }
  }
}
