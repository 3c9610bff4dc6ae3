/** Puts a gateway on a node process: broker, vault, its routes and events. */
import { actsAlone } from '@itc/core/ledger/account-keys.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { BatchPeers } from '@itc/edge/api/batch-peers.js';
import { ChainLedger } from '@itc/edge/api/ledger-port.js';
import { gatewayRoutes } from '@itc/edge/api/gateway-routes.js';
import { rentalWordRoutes } from '@itc/edge/api/rental-word-routes.js';
import { RequestGuard } from '@itc/edge/api/request-guard.js';
import { Vault } from '@itc/edge/3-cyber/vault/vault.js';
import { Gateway } from '@itc/edge/gateway.js';
import type { EventHub } from '@itc/node/api/events.js';
import type { Routes } from '@itc/node/api/server.js';
import { verifyNative } from '@itc/node/crypto/native.js';
import type { Finding } from '@itc/node/runtime/concerns.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { Hops } from '@itc/node/runtime/hops.js';
import { LightServer } from '@itc/node/runtime/light-server.js';
import type { NodeProcess } from '@itc/node/runtime/process.js';
import type { Subnet } from '@itc/node/runtime/subnet.js';
import { DeviceOwners } from './device-owners.ts';
import { InstallReporter } from './install-reporter.ts';
import { RentalCarrier } from './rental-carrier.ts';

/** Of the way in one message to a device: with access and command it stays below what a broker carries. */
const WAY_BYTES_MAX = 40_000;
/** More than a subnet makes final in some seconds, for half a minute. */
const VAULT_MANY = 20_000;
const VAULT_AFTER_MS = 30_000;

export interface GatewayHost {
  readonly routes: readonly Routes[];
  findings(): readonly Finding[];
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** After a restart it is not told who issued them: then signatures tell, should anybody be barred. */
function* recentOf(subnet: Subnet): Generator<Payload> {
  const isAnyBarred = subnet.status().barred.length > 0;
  for (const payload of subnet.recentPayloads())
    if (!isAnyBarred || verifyNative(payload.signer, payload.signedBytes, payload.signature)) yield payload;
}

export function openGateway(node: NodeProcess, hub: EventHub): GatewayHost {
  const { chain, subnet, keys, clock, tables, pool, logger, config } = node;
  if (subnet === undefined) throw new LedgerError('config.invalid', 'a gateway needs a subnet');
  const now = (): number => clock.now();
  const light = new LightServer({
    chain,
    hops: new Hops(chain),
    keys,
    now: () => clock.now(),
    peers: node.light,
    wayBytesMax: WAY_BYTES_MAX,
  });
  const ledger = new ChainLedger({ chain, light, gateway: keys.address, now });
  const owners = new DeviceOwners(chain.state);
  const unhear = chain.onCommitted(({ events }) => owners.apply(events));
  const vault = Vault.open({ tables });
  const gateway = new Gateway({
    ledger,
    subnet: {
      key: keys.publicKey,
      sign: keys.sign,
      powBits: () => chain.state.subnet(subnet.id)?.powBits ?? 0,
      offer: (payload) => subnet.offer(payload),
      onProgress: (listener) => subnet.listen({ progress: listener }),
      // A gateway checks all it hears; what was forged all the same came with what others built on it, and its issuer is barred.
      onHeard: (listener) =>
        subnet.listen({
          envelope: ({ issuer, payloads }) => {
            if (!subnet.bars(issuer)) listener(payloads);
          },
        }),
      recent: () => recentOf(subnet),
      final: (payload) => subnet.final(payload),
    },
    vault,
    batches: new BatchPeers({ transport: node.transport, clock, members: () => subnet.members }),
    mqttHost: config.mqtt?.host ?? '127.0.0.1',
    mqttPort: config.mqtt?.port ?? 1883,
    verify: verifyNative,
    verifyBatch: (items) => pool.verifyBatch(items),
    now,
    log: {
      info: (message, fields = {}) => logger.info(fields, message),
      warn: (message, fields = {}) => logger.warn(fields, message),
      error: (message, fields = {}) => logger.error(fields, message),
    },
    // Whoever owns a device that this chain knows may bring older ones without a key, too.
    mayEnrol: (caller) => owners.owns(caller),
  });
  const sender = {
    chain,
    signer: keys,
    submit: (encoded: Uint8Array) => node.submit(encoded),
    now: () => performance.now(),
    warn: (message: string, fields: Readonly<Record<string, unknown>>) => logger.warn(fields, message),
  };
  const carrier = new RentalCarrier(sender);
  const reporter = new InstallReporter({ ...sender, subnet: subnet.id, installs: () => gateway.installs() });
  gateway.events((event) => {
    switch (event.kind) {
      case 'reading':
        return hub.publish('reading', event.reading);
      case 'command':
        return hub.publish('command', event.command);
      case 'device':
        return hub.publish('device', event.device);
      case 'rental-word':
        return carrier.bring(event.device, event.word);
    }
  });
  const acts = (key: PublicKey, account: Address): boolean => {
    const set = chain.state.keys(account);
    // Without a record the first key alone acts: the one whose hash the address is.
    return set === undefined ? equalBytes(addressOf(key), account) : actsAlone(set, key);
  };
  const guard = new RequestGuard({ chain: chain.id, verify: verifyNative, now, acts });
  return {
    routes: [gatewayRoutes({ gateway, ledger, chain, guard }), rentalWordRoutes(gateway)],
    findings: () =>
      vault.openCount < VAULT_MANY
        ? []
        : [
            {
              code: 'vault-grows',
              part: 'gateway',
              what: `${vault.openCount} payloads in the vault are not final`,
              todo: 'see what is said of its subnet; nothing is lost, and devices go on sending until the vault is full',
              serious: false,
              afterMs: VAULT_AFTER_MS,
            },
          ],
    async start() {
      await gateway.start();
      carrier.start();
      reporter.start();
    },
    async stop() {
      unhear();
      carrier.stop();
      reporter.stop();
      await gateway.stop();
      await vault.close();
    },
  };
}
