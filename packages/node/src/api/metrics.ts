/** Prometheus metrics of one process. The only file that imports prom-client. */
import { collectDefaultMetrics, Gauge, Counter, Histogram, Registry } from 'prom-client';
import type { Routes } from './server.ts';

export interface Metrics {
  readonly blocks: Counter;
  readonly transactions: Counter<'kind' | 'outcome'>;
  readonly commitSeconds: Histogram;
  readonly registry: Registry;
  /** A gauge read when it is scraped. */
  gauge(name: string, help: string, read: () => number): void;
}

export function createMetrics(name: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ node: name });
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    blocks: new Counter({
      name: 'itc_blocks_total',
      help: 'Blocks committed since start',
      registers: [registry],
    }),
    transactions: new Counter({
      name: 'itc_transactions_total',
      help: 'Transactions executed since start',
      labelNames: ['kind', 'outcome'],
      registers: [registry],
    }),
    commitSeconds: new Histogram({
      name: 'itc_block_age_seconds',
      help: 'From the time in a header to its commit here',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers: [registry],
    }),
    gauge(gaugeName, help, read) {
      // The gauge lives in the registry; nothing else needs to hold it.
      void new Gauge({
        name: gaugeName,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    },
  };
}

export function metricsRoutes(metrics: Metrics): Routes {
  return (api) => {
    api.get('/metrics', { schema: { summary: 'Prometheus metrics', hide: true } }, async (_request, reply) =>
      reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
    );
  };
}
