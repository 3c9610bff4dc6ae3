/**
 * Throughput against the number of subnets: one, two, four, each with a gateway in this process and two members as processes,
 * all on the machine's own processors. More subnets give more where there are more processors; here it shows what a payload
 * costs beside others' subnets, and that the main chain carries them all.
 */
import { availableParallelism } from 'node:os';
import { Devices } from './dag-entry.ts';
import { openEntries, POW_BITS, ready, VALIDATORS } from './dag-finality.ts';
import { PayloadLoad } from './dag-load.ts';
import { Network } from './network.ts';
import { kindsOf, UsageMeter } from './processor-time.ts';
import { figure, type BenchOptions, type Result } from './result.ts';

const MEMBERS = 3;
const DEVICES = 100;
const SUBNETS = [1, 2, 4];
/** Over all subnets. */
const IN_FLIGHT = 12_288;
const RATE_MAX = 10_000;

export async function benchSubnets(options: BenchOptions): Promise<Result[]> {
  const results: Result[] = [];
  for (const subnets of options.quick ? SUBNETS.slice(1, 2) : SUBNETS)
    results.push(...(await benchOne(options, subnets)));
  return results;
}

async function benchOne({ quick, seed, log }: BenchOptions, subnets: number): Promise<Result[]> {
  await using network = await Network.create({
    seed,
    validators: VALIDATORS,
    members: MEMBERS,
    subnets,
    accounts: 1,
    powBits: POW_BITS,
  });
  const gateways = network.subnets
    .map((_, i) => network.membersOf(i)[0])
    .filter((node) => node !== undefined);
  const others = network.nodes.filter((node) => !gateways.includes(node));
  log(`starting ${subnets} subnets: ${others.length} processes, and ${gateways.length} members here`);
  const started = network.start(others);
  await using entries = await openEntries(gateways);
  await started;
  for (const { subnet } of entries.nodes) await ready(subnet);
  const devices = network.subnets.map(
    (_, i) => new Devices({ chain: network.chain, seed, count: DEVICES, name: `device of ${i}` }),
  );
  const shape = quick
    ? { rampMs: 500, durationMs: 2_500, windows: 1 }
    : { rampMs: 4_000, durationMs: 8_000, windows: 2 };
  const each = ((shape.rampMs + shape.durationMs) / 1_000) * (quick ? 2_000 : RATE_MAX);
  for (const some of devices) await some.prepare(each / subnets);
  const load = new PayloadLoad(entries.gateways, devices);
  const meter = new UsageMeter([...kindsOf(network), { kind: 'the entry members', pids: [process.pid] }]);
  const inFlight = Math.ceil((quick ? 1_024 : IN_FLIGHT) / subnets);
  const samples = await load.closed({ ...shape, inFlight, meter });
  const at = `${subnets} ${subnets === 1 ? 'subnet' : 'subnets'} of ${MEMBERS} on ${availableParallelism()} processors`;
  return [
    // Checkpoints of several subnets do not come together: over the whole time, unless too few came in it.
    figure(`payloads final, ${at}`, 'per s', load.perSecond > 0 ? [load.perSecond] : samples.throughput),
    ...(samples.p99.length === 0 ? [] : [figure(`finality p99, ${at}`, 'ms', samples.p99)]),
    ...meter
      .perOperation()
      .flatMap(({ kind, us }) =>
        kind === 'all processes' ? [figure(`processor time per final payload, ${at}`, 'µs', [us])] : [],
      ),
  ];
}
