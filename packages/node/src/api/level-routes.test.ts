/** Security levels that owners ask for: who may say them, and where they show. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, ok } from '@itc/core/bytes/result.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { KeyPair } from '../crypto/keypair.ts';
import { explain } from '../runtime/explain.ts';
import { createLogger } from '../runtime/logger.ts';
import { neededLevel } from '../runtime/payload-status.ts';
import { SubnetLevels } from '../runtime/subnet-levels.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { Mempool } from '../mempool/mempool.ts';
import { freePorts } from '../testing/ports.ts';
import { SubnetWorld } from '../testing/subnet-world.ts';
import { retentionRoutes } from './retention-routes.ts';
import { ApiServer } from './server.ts';

installNativeCrypto();

const pair = (seed: number): KeyPair => KeyPair.fromSeed(new Uint8Array(32).fill(seed));
const [owner, operator, stranger, lamp] = [pair(1), pair(2), pair(3), pair(4)] as const;

test('SUBNET-8.4: the owner of a device, or who runs the process, says which level its payloads need; it outlives a restart', async (t) => {
  const tables = new MemoryTables();
  const levels = new SubnetLevels(tables);
  let caller: Address | undefined;
  const [port] = (await freePorts(1)) as [number];
  const server = new ApiServer({
    host: '127.0.0.1',
    port,
    version: '0',
    logger: createLogger('test', 'error'),
    routes: [
      retentionRoutes({
        chain: { state: { device: () => ({ owner: owner.address }) } } as never,
        retention: {} as never,
        levels,
        operator: operator.address,
        now: () => 0,
        authorise: () =>
          caller === undefined ? refused('request.unauthorised', 'not signed') : ok({ address: caller }),
      }),
    ],
  });
  await server.start();
  t.after(() => server.stop());
  const url = `http://127.0.0.1:${port}/api/v1/levels`;
  const device = formatAddress(lamp.address);
  const say = async (by: Address | undefined, level?: number): Promise<number> => {
    caller = by;
    const body = JSON.stringify({ device, ...(level === undefined ? {} : { level }) });
    const headers = { 'content-type': 'application/json' };
    return (await fetch(url, { method: 'POST', headers, body })).status;
  };
  const told = async (): Promise<unknown> => (await fetch(`${url}/${device}`)).json();
  assert.deepEqual(await told(), { device });
  assert.equal(await say(undefined, 2), 403);
  assert.equal(await say(stranger.address, 0), 403);
  assert.equal(await say(owner.address, 4), 400);
  assert.deepEqual(await told(), { device });
  assert.equal(await say(owner.address, 2), 200);
  assert.deepEqual(await told(), { device, level: 2 });
  assert.equal(new SubnetLevels(tables).of(lamp.address), 2);
  assert.equal(await say(operator.address), 200);
  assert.deepEqual(await told(), { device });
  assert.equal(new SubnetLevels(tables).of(lamp.address), undefined);
});

test('SUBNET-8.4: while a payload is on its way, and when it is final, it is told which level its device asks for, and whether it has that', async () => {
  const world = await SubnetWorld.open({ members: 4, timing: { cadenceMs: 200 } });
  const { subnet, store } = world.of(0);
  const payload = world.reading(1, 120);
  await store.levels.set(payload.device, 2);
  assert.ok(subnet.offer(payload).ok);
  const port = {
    chain: world.chain,
    mempool: new Mempool(),
    subnet,
    store,
    obstacle: () => undefined,
    nameOf: (key: string) => key.slice(0, 8),
  };
  const levels: number[] = [];
  const look = (id: Hash): boolean => {
    const { level, levelNeeded, reason } = explain(port, id);
    if (level !== undefined && level !== levels.at(-1)) levels.push(level);
    if (levelNeeded === undefined) return false;
    assert.equal(levelNeeded, 2);
    assert.match(reason, (level ?? 0) >= 2 ? /which it has$/ : /does not have yet$/);
    return level === 3;
  };
  await world.until('it is final', () => look(payload.id));
  assert.ok(levels.includes(3) && levels.length > 1, `${toHex(payload.id)}: ${levels.join()}`);
  assert.equal(neededLevel({ subnet, store }, payload.id), 2);
  await world.close();
});
