/**
 * Two hundred devices that were away come back within a second, each with a backlog it sends as fast as the gateway
 * acknowledges, while others go on as before. What counts is how long these others wait.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hash } from '@itc/core/crypto/hash.js';
import { Devices, type EntryGateway } from './dag-entry.ts';
import type { PayloadLoad } from './dag-load.ts';
import type { Completion } from './load.ts';
import { figure, percentile, seededRandom, type BenchOptions, type Result } from './result.ts';

const AWAY = 200;
const BACKLOG = 40;
/** Unacknowledged messages a connection may have (MQTT 5, Receive Maximum). */
const UNACKNOWLEDGED_MAX = 8;
/** Of what the subnet can carry: a busy evening, with room for those who come back. */
const LOAD = 0.3;
const WITHIN_MS = 1_000;

export async function benchRejoin(
  options: BenchOptions & {
    readonly load: PayloadLoad;
    readonly devices: Devices;
    readonly chain: Hash;
    /** Payloads per second in a closed loop. */
    readonly capacity: number;
  },
): Promise<Result[]> {
  const { load, quick, seed, log, chain } = options;
  const [gateway] = load.gateways;
  if (gateway === undefined) throw new Error('there is no gateway');
  const perSecond = Math.max(50, Math.round((options.capacity * LOAD) / 50) * 50 || 0);
  const away = new Devices({ chain, seed, count: AWAY, name: 'away' });
  const backlog = quick ? 5 : BACKLOG;
  // They are known: each has been heard of before it went away.
  const first = Array.from({ length: AWAY }, (_, i) => away.spool(i, 1));
  const spools: Uint8Array[][] = [];
  for (let i = 0; i < AWAY; i += 1) {
    spools.push(away.spool(i, backlog));
    await sleep(0);
  }
  for (const [bytes] of first) if (bytes !== undefined) gateway.handIn(bytes);
  await load.finish();
  const before = quick ? 2_000 : 5_000;
  const after = quick ? 2_000 : 5_000;
  await options.devices.prepare(Math.ceil((perSecond * (before + after + 1_000)) / 1_000));
  log(`${AWAY} devices with ${backlog} payloads each rejoin at ${perSecond} per s`);
  const ownStarts = new Set<number>();
  const random = seededRandom(seed);
  const start = performance.now();
  const at = start + before;
  const offered = load.offer(perSecond, before + after);
  const rejoined = spools.map(async (spool) => {
    await sleep(before + random() * WITHIN_MS);
    await drain(gateway, spool, ownStarts);
  });
  await Promise.all(rejoined);
  const drained = performance.now();
  await offered;
  const completions = (await load.finish()).filter(({ started }) => !ownStarts.has(started));
  const warm = start + (quick ? 500 : 1_500);
  const normal = latencies(completions, warm, at - 500);
  const during = latencies(completions, at, at + WITHIN_MS + 2_000);
  const [usual, worst] = [percentile(normal, 0.99), percentile(during, 0.99)];
  const what = `${AWAY} devices rejoin within a second with ${backlog} payloads each, ${perSecond} per s besides`;
  const peer = { name: 'before', samples: [usual], better: 'less' as const };
  return [
    figure(`finality p99 of the others, ${what}`, 'ms', [worst], peer),
    figure(`that is, of its value before`, '×', [worst / usual]),
    figure('until the last backlog was taken', 'ms', [drained - at]),
  ];
}

function latencies(completions: readonly Completion[], from: number, to: number): number[] {
  return completions
    .filter(({ started }) => started >= from && started < to)
    .map(({ started, done }) => done - started);
}

/** Sends a backlog over one connection: the next goes out when one is acknowledged. */
function drain(gateway: EntryGateway, spool: readonly Uint8Array[], starts: Set<number>): Promise<void> {
  return new Promise((resolve) => {
    let next = 0;
    let acknowledged = 0;
    const send = (): void => {
      const bytes = spool[next];
      if (bytes === undefined) return;
      next += 1;
      starts.add(
        gateway.handIn(bytes, () => {
          acknowledged += 1;
          if (acknowledged === spool.length) resolve();
          else send();
        }),
      );
    };
    for (let i = 0; i < UNACKNOWLEDGED_MAX; i += 1) send();
  });
}
