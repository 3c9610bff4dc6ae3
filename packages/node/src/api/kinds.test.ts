/** Kinds of transactions in the OpenAPI document. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KINDS } from '@itc/core/ledger/body.js';
import { pino } from 'pino';
import { freePorts } from '../testing/ports.ts';
import { chainRoutes } from './chain-routes.ts';
import { ApiServer } from './server.ts';

test('NODE-7.21: the OpenAPI document names every kind of transaction', async () => {
  const [port] = await freePorts(1);
  // The routes as they are; nobody asks them anything here, so no chain stands behind them.
  const routes = [chainRoutes({} as Parameters<typeof chainRoutes>[0])];
  const logger = pino({ level: 'silent' });
  const server = new ApiServer({ host: '127.0.0.1', port: port as number, version: '0', logger, routes });
  await server.start();
  try {
    const document = (await (await fetch(`http://127.0.0.1:${port}/api/v1/openapi.json`)).json()) as object;
    assert.deepEqual(enumWith(document, 'transfer'), KINDS);
  } finally {
    await server.stop();
  }
});

/** The first list of allowed values that has this one, wherever it stands. */
function enumWith(value: unknown, known: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  const { enum: list } = value as { enum?: unknown };
  if (Array.isArray(list) && list.includes(known)) return list;
  for (const part of Object.values(value)) {
    const found = enumWith(part, known);
    if (found !== undefined) return found;
  }
  return undefined;
}
