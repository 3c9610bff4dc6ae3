/** Each answer to the question what became of something, asked over HTTP of a member in a world that can be broken. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { Mempool } from '../mempool/mempool.ts';
import { createLogger } from '../runtime/logger.ts';
import { SubnetWorld, type Member } from '../testing/subnet-world.ts';
import { freePorts } from '../testing/ports.ts';
import { explainRoutes } from './explain-routes.ts';
import { ApiServer } from './server.ts';

installNativeCrypto();

type Answer = Readonly<Record<string, unknown>>;

/** Checkpoints come fast, so that envelopes grow old in seconds. */
const TIMING = { cadenceMs: 200 };
let world: SubnetWorld;
/** Of members 0 and 3. */
const servers: { readonly at: number; readonly server: ApiServer; readonly url: string }[] = [];

before(async () => {
  world = await SubnetWorld.open({ members: 4, timing: TIMING });
  for (const at of [0, 3]) {
    const [port] = (await freePorts(1)) as [number];
    const server = new ApiServer({
      host: '127.0.0.1',
      port,
      version: '0',
      logger: createLogger('test', 'error'),
      routes: [
        explainRoutes({
          chain: world.chain,
          mempool: new Mempool(),
          // Of the member as it runs now: it is killed and started again.
          get subnet() {
            return world.of(at).subnet;
          },
          get store() {
            return world.of(at).store;
          },
          obstacle: () => undefined,
          nameOf: (key) => key.slice(0, 8),
        }),
      ],
    });
    await server.start();
    servers.push({ at, server, url: `http://127.0.0.1:${port}/api/v1/explain` });
  }
});

after(async () => {
  for (const { server } of servers) await server.stop();
  await world.close();
});

async function ask(at: 0 | 3, id: Hash | string): Promise<Answer> {
  const { url } = servers.find((server) => server.at === at) as (typeof servers)[0];
  const response = await fetch(`${url}/${typeof id === 'string' ? id : toHex(id)}`);
  assert.equal(response.status, 200);
  return (await response.json()) as Answer;
}

/** Readings at member 0 until so many more checkpoints are applied there. */
let spoken = 0;
async function goOn(checkpoints: number): Promise<void> {
  const { subnet } = world.of(0);
  const goal = subnet.status().checkpoint + checkpoints;
  while (subnet.status().checkpoint < goal) {
    spoken += 1;
    assert.ok(subnet.offer(world.reading(spoken, 140)).ok);
    await world.run(200);
  }
}

const alone = (index: number, isAlone: boolean): void =>
  world.link([[index], [0, 1, 2, 3].filter((other) => other !== index)], !isAlone);

test('SUBNET-5.4: waiting, pending, final: each with a reason, and with a time while it goes on', async () => {
  const { subnet } = world.of(3);
  await goOn(3);
  alone(3, true);
  const reading = world.reading(1, 121);
  assert.ok(subnet.offer(reading).ok);
  const waiting = await ask(3, reading.id);
  assert.deepEqual([waiting['kind'], waiting['state']], ['payload', 'waiting']);
  assert.match(String(waiting['reason']), /waits for an envelope, one of 1/);
  await world.run(300);
  const pending = await ask(3, reading.id);
  assert.equal(pending['state'], 'pending');
  assert.match(String(pending['reason']), /^\d of 4 stake approves it, 3 is needed/);
  assert.ok(Number(pending['expectedMs']) > 0);
  const envelope = await ask(3, String(pending['envelope']));
  assert.deepEqual([envelope['kind'], envelope['state']], ['envelope', 'pending']);
  alone(3, false);
  await world.until('it is final', () => subnet.final(reading.id) !== undefined);
  const final = await ask(3, reading.id);
  assert.equal(final['state'], 'final');
  assert.match(String(final['reason']), /^applied by checkpoint \d+, final in block \d+$/);
  assert.equal(final['expectedMs'], undefined);
});

test('SUBNET-5.4: unsolid: an envelope whose parents nobody gives out', async () => {
  // Member 3 hears what 2 issues, and nothing of what 2 has heard from 0 and 1.
  world.withhold(2, true);
  world.link([[3], [0, 1]], false);
  const hidden = world.reading(1, 122);
  assert.ok(world.of(0).subnet.offer(hidden).ok);
  await world.run(250);
  assert.ok(world.of(2).subnet.offer(world.reading(1, 123)).ok);
  let unsolid: Answer | undefined;
  await world.run(300);
  for (const { hash } of world.of(2).subnet.graph(50)) {
    const answer = await ask(3, hash);
    if (answer['state'] === 'unsolid') unsolid = answer;
  }
  assert.match(String(unsolid?.['reason']), /^[12] of its parents are not here; they are being asked for$/);
  assert.ok(Number(unsolid?.['expectedMs']) > 0);
  world.withhold(2, false);
  world.link([[3], [0, 1]], true);
  await world.until('it is final there', () => world.of(3).subnet.final(hidden.id) !== undefined);
});

test('SUBNET-5.4: lazy, then evicted: an envelope that came too late, and whose issuer does not go on', async () => {
  const reading = world.reading(2, 121);
  const member = world.members[3] as Member;
  alone(3, true);
  member.reachesChain = false;
  assert.ok(world.of(3).subnet.offer(reading).ok);
  await world.run(300);
  const envelope = String((await ask(3, reading.id))['envelope']);
  await goOn(10);
  world.link([[3], [0]], true);
  await world.until('it has come', () => world.of(0).subnet.traces.envelopeOf(reading.id) !== undefined);
  await world.kill(member);
  for (const id of [reading.id, envelope]) {
    const lazy = await ask(0, id);
    assert.equal(lazy['state'], 'lazy');
    assert.match(
      String(lazy['reason']),
      /its parents are too old for others to build on.*sends its payloads again/,
    );
    assert.ok(Number(lazy['expectedMs']) > 0);
  }
  await goOn(2 * LIMITS.parentDepthMax);
  for (const id of [reading.id, envelope]) {
    const evicted = await ask(0, id);
    assert.equal(evicted['state'], 'evicted');
    assert.match(String(evicted['reason']), /was dropped: no other member approved it for \d+ checkpoints/);
  }
  assert.ok(Number((await ask(0, reading.id))['expectedMs']) > 0, 'its payload comes again');
  member.reachesChain = true;
  await world.start(member);
  alone(3, false);
  await world.until('its issuer goes on with it', () => world.of(0).subnet.final(reading.id) !== undefined);
});

test('SUBNET-5.4, SUBNET-5.5: ignored, and why, is told after a restart, too', async () => {
  const { subnet } = world.of(0);
  const [first, again] = [world.reading(1, 125), world.reading(1, 125, 7)];
  assert.ok(subnet.offer(first).ok);
  await world.until('the first is final', () => subnet.final(first.id) !== undefined);
  assert.ok(subnet.offer(again).ok);
  await world.until('the other is ignored', () => world.of(0).store.ignored.of(again.id) !== undefined);
  const before = await ask(0, again.id);
  assert.equal(before['state'], 'ignored');
  assert.match(
    String(before['reason']),
    /^in checkpoint \d+ without effect: its sequence number was applied before/,
  );
  await world.kill(world.members[0] as Member);
  await world.start(world.members[0] as Member);
  assert.deepEqual(await ask(0, again.id), before);
  assert.equal((await ask(0, first.id))['state'], 'final');
});
