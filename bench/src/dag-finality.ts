/**
 * Payloads from a device's hand to final, through 4 validator processes and a subnet of 4 members: three are processes, the
 * fourth runs here, is the gateway that checks every device's signature, and hears when each payload is final (its checkpoint
 * is committed on the main chain and applied by this member). The other members audit (spec DAG-13).
 */
import { settleEngine } from '@itc/node/engine.js';
import { NodeProcess } from '@itc/node/runtime/process.js';
import type { Subnet } from '@itc/node/runtime/subnet.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { Devices, EntryGateway } from './dag-entry.ts';
import { PayloadLoad, type LoadShape } from './dag-load.ts';
import { benchRejoin } from './dag-rejoin.ts';
import { loadFigures } from './load.ts';
import { diskWarning, Network, type NetworkNode } from './network.ts';
import { kindsOf, UsageMeter } from './processor-time.ts';
import { figure, percentile, type BenchOptions, type Result } from './result.ts';

export const VALIDATORS = 4;
const MEMBERS = 4;
export const DEVICES = 200;
export const POW_BITS = 8;
const READY_MS = 20_000;
/** A home's worth, a rate of ten thousand at a little more than a second and a half, and more than that takes. */
const IN_FLIGHT = [4_096, 16_384, 24_576];
const OPEN_LOADS = [0.5, 0.8];
/** Signatures made before a load, at most: as many as two cores check in its time. */
const RATE_MAX = 12_000;

/** The members that run in this process, ready to take payloads. */
export async function openEntries(
  nodes: readonly NetworkNode[],
): Promise<
  AsyncDisposable & { readonly gateways: readonly EntryGateway[]; readonly nodes: readonly NodeProcess[] }
> {
  // What follows is the process of a gateway.
  settleEngine();
  const opened: NodeProcess[] = [];
  const close = async (): Promise<void> => {
    for (const node of opened) await node.stop();
  };
  try {
    for (const { config } of nodes) {
      const node = await NodeProcess.open({ config });
      opened.push(node);
      await node.start();
    }
  } catch (error) {
    await close();
    throw error;
  }
  const gateways = opened.map((node) => new EntryGateway(node));
  return { gateways, nodes: opened, [Symbol.asyncDispose]: close };
}

export async function ready(subnet: Subnet | undefined): Promise<void> {
  if (subnet === undefined) throw new Error('the member here has no subnet');
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const { state, reason } = subnet.status();
    if (state === 'following' && reason === undefined) return;
    if (performance.now() > deadline) throw new Error(`the member here is not ready: ${reason ?? state}`);
    await sleep(50);
  }
}

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
  const others = network.nodes.slice(0, -1);
  log(`starting ${VALIDATORS} validators and ${MEMBERS - 1} members, and one member here`);
  const started = network.start(others);
  await using entries = await openEntries(network.nodes.slice(-1));
  await started;
  for (const { subnet } of entries.nodes) await ready(subnet);

  const devices = new Devices({ chain: network.chain, seed, count: DEVICES });
  const load = new PayloadLoad(entries.gateways, [devices]);
  const meter = new UsageMeter([...kindsOf(network), { kind: 'the entry member', pids: [process.pid] }]);
  const shape: LoadShape = quick
    ? { rampMs: 500, durationMs: 2_500, windows: 1 }
    : { rampMs: 4_000, durationMs: 9_000, windows: 3 };
  const perLoad = ((shape.rampMs + shape.durationMs) / 1_000) * (quick ? 2_000 : RATE_MAX);
  const what = { what: 'payloads final', latency: 'finality' };
  const results: Result[] = [];
  let reached = 0;
  for (const inFlight of quick ? [1_024] : IN_FLIGHT) {
    await devices.prepare(perLoad);
    const at = `closed loop, ${inFlight} in flight`;
    log(at);
    const samples = await load.closed({ ...shape, inFlight, meter });
    reached = Math.max(reached, percentile(samples.throughput, 0.5));
    results.push(...loadFigures({ ...what, at, samples }));
    for (const { kind, us } of meter.perOperation())
      results.push(figure(`processor time of ${kind} per final payload, ${inFlight} in flight`, 'µs', [us]));
  }
  for (const part of quick ? OPEN_LOADS.slice(0, 1) : OPEN_LOADS) {
    const perSecond = Math.max(50, Math.round((reached * part) / 50) * 50 || 0);
    await devices.prepare(Math.ceil((perSecond * (shape.rampMs + shape.durationMs)) / 1_000));
    const at = `open loop at ${perSecond} per s`;
    log(at);
    results.push(...loadFigures({ ...what, at, samples: await load.open({ ...shape, perSecond }) }));
  }
  results.push(
    ...(await benchRejoin({ ...options, load, devices, chain: network.chain, capacity: reached })),
  );
  return results;
}
