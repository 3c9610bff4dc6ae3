/** `itc node`: one process of the network, as its configuration says. */
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { RequestGuard } from '@itc/edge/api/request-guard.js';
import { retentionRoutes } from '@itc/node/api/retention-routes.js';
import type { Routes } from '@itc/node/api/server.js';
import { installNativeCrypto, verifyNative } from '@itc/node/crypto/native.js';
import { readConfig } from '@itc/node/config.js';
import { EventHub } from '@itc/node/api/events.js';
import { NodeApi } from '@itc/node/api/node-api.js';
import { NodeProcess } from '@itc/node/runtime/process.js';
import type { GatewayHost } from '../gateway-host.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';

export const node: Command = {
  name: 'node',
  help: `itc node --config FILE

Runs one process of the network until it is interrupted. The configuration is JSON: name, role (validator, gateway or
member), dataDir, keyFile, genesisFile, peer and api endpoints, peers by ledger key, and for gateways and members the
subnet. See docs/guide/operator.md.`,
  options: { config: { type: 'string' } },
  run: async (call) => run(call),
};

/**
 * Helpers of the garbage collector spin while they wait for each other, and marking beside the program makes each write
 * dearer: where several processes share few processors that takes a fifth of all time for nothing.
 */
const FEW_PROCESSORS = [
  '--no-parallel-scavenge',
  '--no-parallel-compaction',
  '--no-parallel-pointer-update',
  '--no-concurrent-marking',
  '--no-concurrent-sweeping',
];

async function run(call: Call): Promise<number> {
  const path = textOption(call, 'config');
  if (path === undefined) throw new UsageError('--config FILE is needed');
  installNativeCrypto();
  if (availableParallelism() <= 4) for (const flag of FEW_PROCESSORS) setFlagsFromString(flag);
  const config = readConfig(path);
  const node = await NodeProcess.open({ config });
  const hub = new EventHub(Date.now());
  let gateway: GatewayHost | undefined;
  // A member or validator is up sooner without the code of a gateway.
  if (config.role === 'gateway') gateway = (await import('../gateway-host.ts')).openGateway(node, hub);
  const routes = [...(gateway?.routes ?? []), ...pinRoutes(node)];
  const api = new NodeApi({ node, hub, routes, findings: () => gateway?.findings() ?? [] });
  await node.start();
  await gateway?.start();
  await api.start();
  await interrupted();
  node.logger.info({}, 'stopping');
  await api.stop();
  await gateway?.stop();
  await node.stop();
  return 0;
}

/** Of whoever keeps readings: how long, and for which devices longer. */
function pinRoutes({ chain, keys, clock, subnet }: NodeProcess): Routes[] {
  if (subnet === undefined) return [];
  const now = (): number => clock.now();
  const guard = new RequestGuard({ chain: chain.id, verify: verifyNative, now });
  return [
    retentionRoutes({
      chain,
      retention: subnet.retention,
      operator: keys.address,
      now,
      authorise: (request) => guard.check(request),
    }),
  ];
}

/** A signal, or the end of the process that supervises us: nobody should be left behind. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
    if (process.env['ITC_SUPERVISED'] === undefined) return;
    process.stdin.once('end', () => resolve());
    process.stdin.once('error', () => resolve());
    process.stdin.resume();
  });
}
