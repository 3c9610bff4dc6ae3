/** Members by stake as drivers with disks of their own, over one main chain: joining, leaving, restarts across turns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { SubnetWorld, type Member } from '../testing/subnet-world.ts';

installNativeCrypto();

const T = LIMITS.memberTurnCheckpoints;

/** Those who decide have applied the same checkpoint. */
function alike(world: SubnetWorld): boolean {
  const deciding = world.members.filter(({ keys, running }) => {
    if (running === undefined) return false;
    const set = world.chain.state.subnet(world.subnet)?.members ?? [];
    return set.some(({ key }) => toHex(key.bytes) === toHex(keys.publicKey.bytes));
  });
  const heads = deciding.map(({ index }) => world.of(index).subnet.status());
  return heads.every(
    ({ checkpointHash }) => toHex(checkpointHash) === toHex((heads[0] as (typeof heads)[0]).checkpointHash),
  );
}

/** Readings by these members until the main chain has this checkpoint. */
async function upTo(
  world: SubnetWorld,
  sequence: number,
  by: readonly number[],
  sent: Payload[],
): Promise<void> {
  const now = (): number => world.chain.state.subnet(world.subnet)?.lastSequence ?? 0;
  for (let n = 0; now() < sequence; n += 1) {
    if (n > 2_000) throw new Error(`checkpoint ${sequence} does not come, the chain has ${now()}`);
    const index = by[n % by.length] as number;
    const payload = world.reading(sent.length + 1, 120 + index);
    if (world.of(index).subnet.offer(payload).ok) sent.push(payload);
    await world.run(200);
  }
}

test('SUBNET-10.1, DAG-14.6: a process joins with an empty disk under load, another leaves, one is killed across a turn: what was sent is final, once', async () => {
  const world = await SubnetWorld.open({ members: 4, staked: true, timing: { cadenceMs: 200 }, loss: 0.01 });
  const sent: Payload[] = [];
  await upTo(world, 2, [0, 1, 2, 3], sent);
  const fifth = await world.join(9);
  await upTo(world, T + 1, [0, 1, 2, 3], sent);
  assert.equal(world.chain.state.subnet(world.subnet)?.members.length, 5);
  await world.until('the newcomer follows', () => alike(world));
  assert.equal(world.of(fifth.index).subnet.members.length, 5);
  await upTo(world, T + 4, [1, fifth.index], sent);

  const leaver = world.members[0] as Member;
  world.leave(leaver);
  const victim = world.members[2] as Member;
  await world.kill(victim);
  await upTo(world, 2 * T, [1, fifth.index], sent);
  await world.start(victim);
  await upTo(world, 2 * T + 3, [1, 2, fifth.index], sent);
  assert.equal(world.chain.state.subnet(world.subnet)?.members.length, 4);
  await world.until('all who decide agree', () => alike(world));
  const places = (): number => sent.filter(({ id }) => world.of(1).store.place(id) !== undefined).length;
  await world.until('all that was sent is final', () => places() === sent.length);
  assert.equal(world.chain.state.subnet(world.subnet)?.payloads, sent.length, 'each once');
  assert.equal(world.of(0).subnet.failure, undefined);
  await world.close();
});
