/** What a process shows the outside: its HTTP API and, at a gateway, the broker. Loaded when the node itself is under way. */
import { actsAlone } from '@itc/core/ledger/account-keys.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { RequestGuard } from '@itc/edge/api/request-guard.js';
import { EventHub } from '@itc/node/api/events.js';
import { NodeApi } from '@itc/node/api/node-api.js';
import { retentionRoutes } from '@itc/node/api/retention-routes.js';
import type { Routes } from '@itc/node/api/server.js';
import { verifyNative } from '@itc/node/crypto/native.js';
import type { NodeProcess } from '@itc/node/runtime/process.js';

export interface Face {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A gateway hears what its member says from the beginning, so its face is made before the node is started. */
export async function openFace(node: NodeProcess): Promise<Face> {
  const hub = new EventHub(Date.now());
  const gateway =
    node.config.role === 'gateway' ? (await import('./gateway-host.ts')).openGateway(node, hub) : undefined;
  const routes = [...(gateway?.routes ?? []), ...pinRoutes(node)];
  const api = new NodeApi({ node, hub, routes, findings: () => gateway?.findings() ?? [] });
  return {
    async start() {
      await gateway?.start();
      await api.start();
    },
    async stop() {
      await api.stop();
      await gateway?.stop();
    },
  };
}

/** Of whoever keeps readings: how long, and for which devices longer. */
function pinRoutes({ chain, keys, clock, subnet, subnetStore }: NodeProcess): Routes[] {
  if (subnet === undefined || subnetStore === undefined) return [];
  const now = (): number => clock.now();
  const acts = (key: PublicKey): boolean => actsAlone(chain.state.keys(addressOf(key)), key);
  const guard = new RequestGuard({ chain: chain.id, verify: verifyNative, now, acts });
  return [
    retentionRoutes({
      chain,
      retention: subnet.retention,
      levels: subnetStore.levels,
      operator: keys.address,
      now,
      authorise: (request) => guard.check(request),
    }),
  ];
}
