/** The HTTP face of one process: chain and subnet routes, events, metrics, health. A gateway adds its own routes. */
import { Type } from 'typebox';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { checkpointHash } from '@itc/core/ledger/checkpoint.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import type { Timer } from '../ports.ts';
import type { NodeProcess } from '../runtime/process.ts';
import { Concerns, type Concern, type Finding } from '../runtime/concerns.ts';
import { findingsOf } from '../runtime/findings.ts';
import { BlockRate, statusOf, type StatusAnswer } from '../runtime/status.ts';
import { chainRoutes, summarise } from './chain-routes.ts';
import { EventHub, eventRoutes } from './events.ts';
import { explainRoutes } from './explain-routes.ts';
import { createMetrics, metricsRoutes, type Metrics } from './metrics.ts';
import { Hops } from '../runtime/hops.ts';
import { ApiServer, refuse, type Routes } from './server.ts';
import { ANSWER_LIMITS, SourceBudget } from './source-budget.ts';
import { submissionStream } from './submission-stream.ts';
import { membershipRoutes } from './membership-routes.ts';
import { subnetRoutes, vertexOf } from './subnet-routes.ts';
import { deviceRoutes } from './device-routes.ts';
import { identityRoutes } from './identity-routes.ts';
import { verifyNative } from '../crypto/native.ts';
import { Accuser } from '../runtime/accuser.ts';
import { evidenceRoutes } from './evidence-routes.ts';
import { coSignedRoutes } from './co-signed-routes.ts';
import { LightServer } from '../runtime/light-server.ts';
import { lightRoutes } from './light-routes.ts';
import { logRoutes } from './log-routes.ts';
import { firmwareRoutes } from './firmware-routes.ts';
import { rentalRoutes } from './rental-routes.ts';
import { tokenRoutes } from './token-routes.ts';
import { validatorRoutes } from './validator-routes.ts';

export const VERSION = '0.1.0';

export interface NodeApiOptions {
  readonly node: NodeProcess;
  readonly hub: EventHub;
  /** Of a gateway: devices, payloads, commands. */
  readonly routes?: readonly Routes[];
  /** What is not as it should be beyond what the node itself knows. */
  readonly findings?: () => readonly Finding[];
}

/** Since when something is so, is known this exactly. */
const LOOK_MS = 1_000;

export class NodeApi {
  readonly hub: EventHub;
  readonly metrics: Metrics;
  readonly #node: NodeProcess;
  readonly #server: ApiServer;
  readonly #rate = new BlockRate();
  readonly #concerns = new Concerns();
  readonly #findings: () => readonly Finding[];
  #look: Timer | undefined;

  constructor(options: NodeApiOptions) {
    const { node, hub } = options;
    this.#node = node;
    this.hub = hub;
    this.#findings = options.findings ?? (() => []);
    this.metrics = createMetrics(node.config.name);
    this.#observe();
    const { subnet, subnetStore } = node;
    const hops = new Hops(node.chain);
    const sources = new SourceBudget(node);
    const answers = new SourceBudget(node, ANSWER_LIMITS);
    this.#server = new ApiServer({
      host: node.config.api.host,
      port: node.config.api.port,
      version: VERSION,
      logger: node.logger,
      routes: [
        this.#healthRoutes(),
        eventRoutes(hub),
        metricsRoutes(this.metrics),
        chainRoutes({
          chain: node.chain,
          hops,
          status: () => this.status(),
          submit: (encoded) => node.submit(encoded),
          isPending: (id) => node.isPending(id),
          sources,
        }),
        explainRoutes({
          chain: node.chain,
          mempool: node.mempool,
          subnet,
          store: subnetStore,
          obstacle: () => this.status().reason,
          nameOf: (key) => peerOf(node, key).name ?? key.slice(0, 8),
        }),
        validatorRoutes({ chain: node.chain, hops, peer: (key) => peerOf(node, key) }),
        identityRoutes({ chain: node.chain, hops }),
        logRoutes(node.chain),
        deviceRoutes({ chain: node.chain, hops }),
        membershipRoutes(node.chain, (subnet) =>
          node.subnet !== undefined && equalBytes(node.subnet.id, subnet) ? node.subnet.faults.open : [],
        ),
        rentalRoutes(node.chain),
        tokenRoutes(node.chain),
        firmwareRoutes({ chain: node.chain, hops }),
        lightRoutes(
          new LightServer({
            chain: node.chain,
            hops,
            keys: node.keys,
            now: () => node.clock.now(),
            peers: node.light,
          }),
          answers,
        ),
        evidenceRoutes({
          chain: node.chain,
          verify: verifyNative,
          sources,
          accuser: new Accuser({
            chain: node.chain,
            keys: node.keys,
            clock: node.clock,
            logger: node.logger,
            submit: (encoded) => node.submit(encoded),
          }),
        }),
        coSignedRoutes(node.chain, node.coSigning, answers),
        submissionStream({
          chain: node.chain,
          mempool: node.mempool,
          offer: (encoded, done) => node.offer(encoded, done),
          sources,
        }),
        ...(subnet === undefined || subnetStore === undefined
          ? []
          : [
              subnetRoutes({
                chain: node.chain,
                subnet,
                sources: { chain: node.chain, hops, subnet: subnet.id, store: subnetStore },
                subnets: () => this.status().subnets,
              }),
            ]),
        ...(options.routes ?? []),
      ],
    });
  }

  status(): StatusAnswer & { concerns: Concern[] } {
    const facts = statusOf(this.#node, VERSION, this.#rate);
    const findings = [...findingsOf(this.#node, facts), ...this.#findings()];
    return { ...facts, concerns: this.#concerns.observe(findings, facts.time) };
  }

  async start(): Promise<void> {
    await this.#server.start();
    const look = (): void => {
      this.status();
      this.#look = this.#node.clock.after(LOOK_MS, look);
    };
    look();
  }

  async stop(): Promise<void> {
    this.#look?.cancel();
    this.hub.close();
    await this.#server.stop();
  }

  #observe(): void {
    const { chain, subnet, clock, mempool } = this.#node;
    const { hub, metrics } = this;
    chain.onCommitted(({ block, certificate, receipts }) => {
      this.#rate.note(clock.now());
      metrics.blocks.inc();
      metrics.commitSeconds.observe(Math.max(0, clock.now() - block.header.time) / 1_000);
      for (const [key, count] of countedBy(receipts, outcomeOf)) {
        const [kind, outcome] = key.split(' ', 2) as [string, string];
        metrics.transactions.inc({ kind, outcome }, count);
      }
      const { header, candidate, transactions } = block;
      hub.publish(
        'block',
        summarise(
          chain,
          {
            height: header.height,
            time: header.time,
            hash: candidate.hash,
            transactions: transactions.length,
            bytes: candidate.bytes.length,
          },
          certificate,
        ),
      );
    });
    metrics.gauge('itc_height', 'Height of the last committed block', () => chain.height);
    metrics.gauge('itc_epoch', 'Epoch of the next block', () => chain.epoch.epoch);
    metrics.gauge('itc_pool_transactions', 'Transactions waiting for a block', () => mempool.size);
    metrics.gauge(
      'itc_peer_sent_bytes',
      'Bytes written to connected peers, TLS included',
      () => this.#node.transport.sentBytes?.() ?? 0,
    );
    metrics.gauge('itc_peers', 'Connected peers', () => this.#node.transport.peers().length);
    const { consensus } = this.#node;
    if (consensus !== undefined) {
      metrics.gauge('itc_votes', '1 while this process has a vote in the epoch', () =>
        Number(consensus.votes),
      );
      metrics.gauge('itc_view', 'View of the epoch', () => consensus.status()?.view ?? 0);
      metrics.gauge(
        'itc_validators_skipped',
        'Validators that get no turn to propose for some time',
        () => consensus.status()?.skipped.length ?? 0,
      );
    }
    if (subnet === undefined) return;
    metrics.gauge('itc_subnet_checkpoint', 'Last checkpoint applied', () => subnet.status().checkpoint);
    metrics.gauge(
      'itc_subnet_pending_envelopes',
      'Envelopes that are not final',
      () => subnet.status().pending,
    );
    metrics.gauge('itc_subnet_waiting_payloads', 'Payloads waiting for an envelope', () => subnet.waiting);
    const id = toHex(subnet.id);
    subnet.listen({
      envelope: (envelope) => {
        if (!hub.observed) return;
        const { issuer, hash, payloads } = envelope;
        const { lane, sequence, parents, time } = envelope.envelope;
        hub.publish('envelope', {
          subnet: id,
          ...vertexOf(subnet, {
            hash,
            issuer,
            lane,
            sequence,
            parents,
            time,
            payloads: payloads.length,
            weight: 0,
            state: 'pending',
            tip: true,
          }),
        });
      },
      accepted: (hashes) => {
        if (hub.observed) hub.publish('weight', { subnet: id, accepted: hashes.map(toHex) });
      },
      delivered: ({ committed, envelopes, applied }) => {
        const { checkpoint } = committed.certificate;
        hub.publish('checkpoint', {
          subnet: id,
          sequence: checkpoint.sequence,
          hash: toHex(checkpointHash(checkpoint)),
          time: checkpoint.time,
          height: committed.height,
          payloads: applied.length,
          final: envelopes.map(({ hash }) => toHex(hash)),
        });
      },
    });
  }

  #healthRoutes(): Routes {
    return (api) => {
      const Alive = Type.Object({ alive: Type.Boolean() });
      for (const path of ['/livez', '/api/v1/livez']) {
        api.get(path, { schema: { summary: 'The process answers', response: { 200: Alive } } }, () => ({
          alive: true,
        }));
      }
      for (const path of ['/readyz', '/api/v1/readyz']) {
        api.get(path, { schema: { summary: 'The process does its work', response: { 200: Alive } } }, () => {
          const { ready, reason } = this.status();
          return ready ? { alive: true } : refuse('not-ready', reason ?? 'not ready');
        });
      }
    };
  }
}

function peerOf(node: NodeProcess, key: string): { readonly name?: string; readonly connected: boolean } {
  const { transport, config } = node;
  const isSelf = transport.self === key;
  const name = isSelf ? config.name : config.peers.find((peer) => peer.key === key)?.name;
  const connected = isSelf || transport.peers().some(({ id }) => id === key);
  return { connected, ...(name === undefined ? {} : { name }) };
}

function outcomeOf({ kind, outcome }: Receipt): string {
  return `${kind} ${outcome.ok ? 'ok' : outcome.code}`;
}

/** Counted together, because a counter with labels costs as much as executing a transaction. */
function countedBy<T>(items: readonly T[], nameOf: (item: T) => string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) {
    const name = nameOf(item);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
