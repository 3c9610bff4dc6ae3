import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { SeededRandom } from '../random.ts';
import { SubnetWorld, type Member } from '../testing/subnet-world.ts';

installNativeCrypto();

const isFinalAt = (world: SubnetWorld, index: number, payloads: readonly Payload[]): boolean =>
  payloads.every(({ id }) => world.of(index).store.place(id) !== undefined);

function alike(world: SubnetWorld): boolean {
  const heads = world.running().map(({ subnet }) => subnet.status());
  return heads.every(
    ({ state, checkpointHash }) =>
      state === 'following' &&
      toHex(checkpointHash) === toHex((heads[0] as (typeof heads)[0]).checkpointHash),
  );
}

const used = (member: Member): number =>
  ['/member', '/envelopes']
    .flatMap((folder) => member.disk.list(folder).map((name) => member.disk.sizeOf(`${folder}/${name}`)))
    .reduce((sum, size) => sum + size, 0);

test('SUBNET-3.1: a member whose disk is full refuses new payloads and keeps the others; with room it goes on by itself, nothing lost, nothing twice', async () => {
  const world = await SubnetWorld.open();
  const [member] = world.members as [Member];
  const { subnet } = world.of(0);
  const first = [1, 2, 3].map((i) => world.reading(i));
  for (const payload of first) assert.ok(subnet.offer(payload).ok);
  await world.until('the first are final', () => isFinalAt(world, 0, first));

  member.disk.setCapacity(used(member) + 700);
  const taken: Payload[] = [];
  await world.until('it says no', () => {
    const payload = world.reading(4 + taken.length);
    const offered = subnet.offer(payload);
    if (offered.ok) taken.push(payload);
    else assert.equal(offered.code, 'storage.full');
    return !offered.ok;
  });
  assert.ok(taken.length > 0);
  assert.match(subnet.obstacle ?? '', /no space is left.*it goes on when there is room/);
  assert.ok(isFinalAt(world, 0, first));
  // The other three have a quorum.
  const others = [world.reading(1, 130), world.reading(2, 130)];
  for (const payload of others) assert.ok(world.of(1).subnet.offer(payload).ok);
  await world.until('they go on', () => isFinalAt(world, 1, others));
  assert.equal(isFinalAt(world, 0, others), false);

  member.disk.setCapacity(Number.MAX_SAFE_INTEGER);
  await world.until('it goes on', () => isFinalAt(world, 0, [...taken, ...others]) && alike(world));
  assert.equal(subnet.obstacle, undefined);
  assert.equal(subnet.status().payloadsApplied, first.length + taken.length + others.length);
  await world.close();
});

test('SUBNET-3.2: killed while its disk is full, a member comes back to what it had, and to the same state', async () => {
  const world = await SubnetWorld.open({ seed: 3 });
  const [member] = world.members as [Member];
  member.disk.setCapacity(8_000);
  const sent: Payload[] = [];
  for (let i = 1; i <= 12; i += 1) {
    const payload = world.reading(i);
    if (world.of(0).subnet.offer(payload).ok) sent.push(payload);
    await world.run(500);
  }
  assert.ok(sent.length < 12, 'the disk is full');
  const known = sent.filter(({ id }) => world.of(0).store.place(id) !== undefined);
  await world.kill(member, true);
  member.disk.setCapacity(Number.MAX_SAFE_INTEGER);
  await world.start(member);
  assert.ok(isFinalAt(world, 0, known));
  const last = world.reading(1, 131);
  assert.ok(world.of(1).subnet.offer(last).ok);
  await world.until('it has caught up', () => isFinalAt(world, 0, [last]) && alike(world));
  await world.close();
});

test('SUBNET-3.3: members killed at any moment, with and without loss of power, end with one state; what was told to be in the DAG becomes final, once', async () => {
  for (const seed of [1, 2]) {
    const world = await SubnetWorld.open({ seed, loss: 0.02 });
    const random = new SeededRandom(seed);
    const promised = new Map<string, Payload>();
    const offered = new Map<string, Payload>();
    const listen = (member: Member): void => {
      member.running?.subnet.listen({
        progress: ({ payloads, stage }) => {
          if (stage !== 'in-dag') return;
          for (const id of payloads) {
            const payload = offered.get(toHex(id));
            if (payload !== undefined) promised.set(toHex(id), payload);
          }
        },
      });
    };
    for (const member of world.members) listen(member);
    for (let i = 1; i <= 30; i += 1) {
      const payload = world.reading(i, 120 + (i % 3));
      offered.set(toHex(payload.id), payload);
      const [entry] = world.running().slice(i % Math.max(1, world.running().length));
      entry?.subnet.offer(payload);
      await world.run(Math.floor(random.uniform() * 12) * 50);
      const victim = world.members[Math.floor(random.uniform() * 4)] as Member;
      await world.kill(victim, random.uniform() < 0.5);
      if (random.uniform() < 0.3) await world.run(1_000);
      await world.start(victim);
      listen(victim);
    }
    const all = [...promised.values()];
    assert.ok(all.length > 10, `${all.length} are promised`);
    await world.until(
      'all agree',
      () => world.members.every(({ index }) => isFinalAt(world, index, all)) && alike(world),
      120_000,
    );
    const record = world.chain.state.subnet(world.subnet);
    const places = new Set(
      [...offered.values()].flatMap(({ id }) => (world.of(0).store.place(id) ? [toHex(id)] : [])),
    );
    assert.equal(record?.payloads, places.size, 'as many as are final, each once');
    await world.close();
  }
});
