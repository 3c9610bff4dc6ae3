/**
 * Payloads from offer to final, through 4 validator processes and a subnet of 4 members: three are processes, the
 * fourth runs here, takes the payloads and hears when each is final (its checkpoint is committed on the main
 * chain and applied by this member). Each member verifies every device signature itself.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { NodeProcess } from '@itc/node/runtime/process.js';
import type { Subnet } from '@itc/node/runtime/subnet.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { signReadings } from './dag-verify.ts';
import { arrivalsOf, burstsOf, loadFigures, openLoop, type Completion, type LoadSamples } from './load.ts';
import { diskWarning, keysOf, Network } from './network.ts';
import { measured } from './processor-time.ts';
import { figure, type BenchOptions, type Result } from './result.ts';

const VALIDATORS = 4;
const MEMBERS = 4;
const DEVICES = 200;
const POW_BITS = 8;
const READY_MS = 20_000;
const DRAIN_MS = 60_000;
const IN_FLIGHT = 4_096;
const OPEN_LOAD = 0.5;

export async function benchFinality(options: BenchOptions): Promise<Result[]> {
  const { quick, seed, log } = options;
  const warning = diskWarning();
  if (warning !== undefined) log(warning);
  await using network = await Network.create({
    seed,
    validators: VALIDATORS,
    members: MEMBERS,
    accounts: 1,
    powBits: POW_BITS,
  });
  const last = network.nodes.length - 1;
  const here = network.nodes[last];
  if (here === undefined) throw new Error('the network has no nodes');
  log(`starting ${VALIDATORS} validators and ${MEMBERS - 1} members, and one member here`);
  const started = network.start(network.nodes.slice(0, last));
  await using node = await NodeProcess.open({ config: here.config });
  await node.start();
  await started;
  const { subnet } = node;
  if (subnet === undefined) throw new Error('the member here has no subnet');
  await ready(subnet);

  const inFlight = quick ? 1_024 : IN_FLIGHT;
  const shape = quick
    ? { rampMs: 500, durationMs: 2_500, windows: 1 }
    : { rampMs: 3_000, durationMs: 9_000, windows: 3 };
  const source = new PayloadSource(network, seed);
  const load = new PayloadLoad(subnet);
  source.prepare(quick ? 2_000 : 30_000);
  log(`closed loop, ${inFlight} in flight`);
  // This process is a member too; handing in payloads costs it little beside that.
  const pids = [...network.pids, process.pid];
  const { value: closed, usedMs } = await measured(pids, () => load.closed({ ...shape, source, inFlight }));
  log(`${closed.total} payloads final`);
  const reached = figure('', '', closed.throughput).value;
  const perSecond = Math.max(50, Math.round((reached * OPEN_LOAD) / 50) * 50 || 0);
  source.prepare(Math.ceil((perSecond * (shape.rampMs + shape.durationMs)) / 1_000));
  log(`open loop at ${perSecond} per s`);
  const open = await load.open({ ...shape, source, perSecond });
  const what = { what: 'payloads final', latency: 'finality' };
  return [
    ...loadFigures({ ...what, at: `closed loop, ${inFlight} in flight`, samples: closed }),
    ...(usedMs === undefined
      ? []
      : [
          figure('processor time of all processes per final payload', 'µs', [
            (1_000 * usedMs) / closed.total,
          ]),
        ]),
    ...loadFigures({ ...what, at: `open loop at ${perSecond} per s`, samples: open }),
  ];
}

async function ready(subnet: Subnet): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const { state, reason } = subnet.status();
    if (state === 'following' && reason === undefined) return;
    if (performance.now() > deadline) throw new Error(`the member here is not ready: ${reason ?? state}`);
    await sleep(50);
  }
}

/** Payloads of many devices in turn, signed before they are needed. */
class PayloadSource {
  readonly #network: Network;
  readonly #devices: readonly KeyPair[];
  #made = 0;
  #ready: Payload[] = [];
  #taken = 0;

  constructor(network: Network, seed: number) {
    this.#network = network;
    this.#devices = Array.from({ length: DEVICES }, (_, i) => keysOf(seed, `device ${i}`));
  }

  prepare(count: number): void {
    this.#ready = this.#ready.slice(this.#taken);
    this.#taken = 0;
    while (this.#ready.length < count) this.#ready.push(this.#make());
  }

  next(): Payload {
    const payload = this.#ready[this.#taken] ?? this.#make();
    this.#taken += 1;
    return payload;
  }

  #make(): Payload {
    const device = this.#devices[this.#made % DEVICES] as KeyPair;
    const sequence = Math.floor(this.#made / DEVICES) + 1;
    this.#made += 1;
    return signReadings({ chain: this.#network.chain, device, sequence, readings: 1 });
  }
}

interface LoadShape {
  readonly source: PayloadSource;
  readonly rampMs: number;
  readonly durationMs: number;
  readonly windows: number;
}

class PayloadLoad {
  readonly #subnet: Subnet;
  readonly #started = new Map<string, number>();
  #completions: Completion[] = [];

  constructor(subnet: Subnet) {
    this.#subnet = subnet;
    subnet.listen({
      progress: ({ stage, payloads }) => {
        if (stage !== 'final') return;
        const done = performance.now();
        for (const payload of payloads) {
          const id = toHex(payload);
          const started = this.#started.get(id);
          if (started === undefined) continue;
          this.#started.delete(id);
          this.#completions.push({ started, done });
        }
      },
    });
  }

  async closed(o: LoadShape & { readonly inFlight: number }): Promise<LoadSamples> {
    const from = performance.now() + o.rampMs;
    const to = from + o.durationMs;
    while (performance.now() < to) {
      this.#check();
      while (this.#started.size < o.inFlight && this.#offer(o.source)) {
        // As many as the member takes.
      }
      await sleep(2);
    }
    const completions = await this.#finish();
    const samples = burstsOf(completions, { from, to });
    if (samples.operations > 0) return samples;
    // On a machine too busy for two checkpoints in the time, the whole load and its drain have to tell.
    const start = completions.reduce((first, { started }) => Math.min(first, started), to);
    return arrivalsOf(completions, { from: start, to, windows: 1 });
  }

  async open(o: LoadShape & { readonly perSecond: number }): Promise<LoadSamples> {
    const from = performance.now() + o.rampMs;
    const to = from + o.durationMs;
    const offer = (count: number): void => {
      this.#check();
      for (let i = 0; i < count; i += 1) this.#offer(o.source);
    };
    await openLoop(offer, { perSecond: o.perSecond, durationMs: o.rampMs + o.durationMs, stepMs: 5 });
    return arrivalsOf(await this.#finish(), { from, to, windows: o.windows });
  }

  #check(): void {
    if (this.#subnet.failure !== undefined)
      throw new Error('the member here has stopped', { cause: this.#subnet.failure });
  }

  #offer(source: PayloadSource): boolean {
    const payload = source.next();
    const taken = this.#subnet.offer(payload);
    // A payload that finds no room is lost to its sequence; the next one of its device goes on.
    if (taken.ok) this.#started.set(toHex(payload.id), performance.now());
    return taken.ok;
  }

  /** Waits for all that is under way. */
  async #finish(): Promise<readonly Completion[]> {
    const deadline = performance.now() + DRAIN_MS;
    while (this.#started.size > 0) {
      this.#check();
      if (performance.now() > deadline)
        throw new Error(`${this.#started.size} payloads were not final ${DRAIN_MS} ms after the load`);
      await sleep(20);
    }
    const completions = this.#completions;
    this.#completions = [];
    return completions;
  }
}
